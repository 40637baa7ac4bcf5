use serde_json::Value;

use super::*;
use crate::telemetry::board::{Board, Notices, PartitionState};

const SECOND: Duration = Duration::from_secs(1);

/// A keeper, and the time that it is told.
struct Kept {
    counts: Arc<Counts>,
    keeper: Keeper,
    now: Instant,
    wall_ms: u64,
}

impl Kept {
    fn new() -> Self {
        let (counts, keeper) = Board::kept(false, &Notices::default());
        Self { counts, now: keeper.looked, keeper, wall_ms: 1_000_000 }
    }

    fn look_after(&mut self, time: Duration) {
        self.now += time;
        self.wall_ms += time.as_millis() as u64;
        self.keeper.look(self.now, self.wall_ms);
    }

    fn all(&self) -> Value {
        serde_json::to_value(self.keeper.all(self.now, self.wall_ms)).unwrap()
    }

    fn news(&self) -> Value {
        serde_json::to_value(self.keeper.news(self.now, self.wall_ms)).unwrap()
    }
}

fn length(value: &Value, of: &str) -> usize {
    value[of].as_array().unwrap().len()
}

fn partition(index: i32, committed: i64, end: i64) -> PartitionNow {
    PartitionNow {
        topic: "sets".into(),
        index,
        next: Some(committed),
        committed: Some(committed),
        end: Some(end),
        in_flight: 1,
        uncommitted: 1,
        commit_age: Duration::ZERO,
        state: PartitionState::Assigned,
    }
}

#[test]
fn rates_are_what_was_counted_in_the_time_that_passed() {
    let mut kept = Kept::new();
    kept.counts.sets_published.add(30);
    kept.counts.pairs_scored.add(1500);
    kept.look_after(SECOND);
    kept.counts.sets_published.add(30);
    kept.look_after(3 * SECOND);
    let all = kept.all();
    assert_eq!(all["rates"][0]["sets"], 30.0);
    assert_eq!(all["rates"][0]["pairs"], 1500.0);
    assert_eq!(all["rates"][1]["sets"], 10.0, "a late look tells the same pace");
    assert_eq!(all["totals"]["sets_published"], 60);
}

#[test]
fn an_hour_of_load_keeps_ten_minutes_and_fifty_of_each_kind() {
    let mut kept = Kept::new();
    for _ in 0..3600 {
        for _ in 0..100 {
            if kept.counts.board.wants_set().is_some() {
                kept.counts.board.show_set(Box::default());
            }
            kept.counts.board.show_dead_letter("sets/0/1", "not_json", "bad");
            kept.counts.board.answered_after(SECOND);
        }
        kept.look_after(SECOND);
    }
    let all = kept.all();
    let lengths = ["rates", "latencies", "sets", "notices"].map(|of| length(&all, of));
    assert_eq!(lengths, [600, 120, 50, 50]);
    assert_eq!(all["notices_missed"], 3600 * 50);
    assert_eq!(all["stages"][6]["count"], 6000, "the last minute");
}

#[test]
fn news_are_what_the_last_look_brought() {
    let mut kept = Kept::new();
    kept.counts.board.show_dead_letter("sets/0/1", "empty_query", "the query is empty");
    kept.look_after(SECOND);
    kept.counts.board.show_set(Box::new(SetShown { offset: 8, ..SetShown::default() }));
    kept.look_after(SECOND);
    let news = kept.news();
    assert_eq!(["rates", "sets", "notices"].map(|of| length(&news, of)), [1, 1, 0]);
    assert_eq!((&news["sets"][0]["offset"], &news["sets"][0]["number"]), (&8.into(), &2.into()));
    let all = kept.all();
    assert_eq!(all["notices"][0]["position"], "sets/0/1");
    assert_eq!(all["notices"][0]["kind"], "dead_letter");
}

#[test]
fn lag_and_in_flight_are_sums_over_the_partitions() {
    let mut kept = Kept::new();
    kept.look_after(SECOND);
    assert_eq!(kept.all()["rates"][0]["lag"], Value::Null, "nothing is known yet");
    assert!(kept.counts.board.show_partitions(vec![partition(1, 10, 25), partition(0, 3, 4)]));
    kept.look_after(SECOND);
    let all = kept.all();
    assert_eq!((&all["rates"][1]["lag"], &all["rates"][1]["in_flight"]), (&16.into(), &2.into()));
    assert_eq!(all["partitions"][0]["index"], 0);
    assert_eq!(all["partitions"][1]["lag"], 15);
}

#[test]
fn of_too_many_partitions_those_behind_are_shown() {
    let mut kept = Kept::new();
    let many = (0..5000).map(|index| partition(index, 0, i64::from(index)));
    assert!(kept.counts.board.show_partitions(many.collect()));
    kept.look_after(SECOND);
    let all = kept.all();
    assert_eq!((length(&all, "partitions"), &all["partitions_total"]), (200, &5000.into()));
    assert_eq!(all["partitions"][0]["index"], 4800);
}

#[test]
fn a_process_that_stood_still_is_given_time() {
    let mut kept = Kept::new();
    kept.look_after(SECOND);
    kept.now += 900 * SECOND;
    assert!(kept.keeper.live(kept.now).iter().all(|check| check.good));
    kept.look_after(Duration::ZERO);
    assert_eq!(kept.keeper.running_since, kept.now);
    kept.look_after(SECOND);
    assert_eq!(kept.keeper.running_since, kept.now - SECOND);
}
