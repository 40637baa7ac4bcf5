use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::poll::PollThread;
use super::statistics::End;
use crate::stream::{OffsetTracker, Partition};
use crate::telemetry::{Counts, Held};

/// Looks that are kept of one partition. A second apart, so that only what waits for a quarter of an hour
/// and more is told a little coarser.
const LOOKS_MAX: usize = 1024;

/// Since when partitions owe a commit.
#[derive(Debug, Default)]
pub(super) struct Ages(HashMap<Partition, Claims>);

/// Up to where a partition was claimed, and when that was seen; both ascend.
#[derive(Debug, Default)]
struct Claims(VecDeque<(i64, Instant)>);

// === impl PollThread ===

impl PollThread {
    /// Tells how far behind each partition is, with the ends of their logs.
    pub(super) fn tell_partitions(&mut self, ends: &[End]) {
        self.ages.tell(&self.tracker, ends, self.watch.counts(), Instant::now());
    }

    /// Partitions were taken away: `how` they were.
    pub(super) fn tell_gone(&mut self, partitions: &[Partition], how: &'static str) {
        if partitions.is_empty() {
            return;
        }
        let counts = self.watch.counts();
        counts.rebalances.add(how, 1);
        for partition in partitions {
            self.ages.0.remove(partition);
            counts.partitions.let_go(&partition.topic, partition.index);
        }
    }
}

// === impl Ages ===

impl Ages {
    fn tell(&mut self, tracker: &OffsetTracker, ends: &[End], counts: &Arc<Counts>, now: Instant) {
        let ends: HashMap<_, _> = ends.iter().map(|end| (&end.partition, end)).collect();
        for partition in tracker.assigned() {
            let committed = tracker.committed_of(partition);
            let claims = self.0.entry(partition.clone()).or_default();
            if let Some(next) = tracker.next_of(partition) {
                claims.look(next, now);
            }
            let held = Held {
                lag: ends.get(partition).and_then(|end| end.lag(committed)),
                uncommitted: tracker.uncommitted_of(partition) as u64,
                commit_age: committed.map_or(Duration::ZERO, |at| claims.age(at, now)),
            };
            counts.partitions.hold(&partition.topic, partition.index, held);
        }
    }
}

// === impl Claims ===

impl Claims {
    /// Claimed up to `next`.
    fn look(&mut self, next: i64, now: Instant) {
        // A log that was rewound is claimed anew.
        while self.0.back().is_some_and(|(seen, _)| *seen > next) {
            self.0.pop_back();
        }
        if self.0.back().is_none_or(|(seen, _)| *seen < next) {
            if self.0.len() >= LOOKS_MAX {
                // The first one is the one that counts.
                self.0.remove(1);
            }
            self.0.push_back((next, now));
        }
    }

    /// Since when something was claimed that is not committed.
    fn age(&mut self, committed: i64, now: Instant) -> Duration {
        while self.0.front().is_some_and(|(claimed, _)| *claimed <= committed) {
            self.0.pop_front();
        }
        self.0.front().map_or(Duration::ZERO, |(_, since)| now.saturating_duration_since(*since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Outcome, Settled};

    const SECOND: Duration = Duration::from_secs(1);

    fn partition() -> Partition {
        Partition { topic: "sets".into(), index: 3 }
    }

    fn end(end: i64) -> End {
        End { partition: partition(), end: Some(end), committed: None, next: None }
    }

    fn held(ages: &mut Ages, tracker: &OffsetTracker, log_end: i64, now: Instant) -> Held {
        let counts = Arc::new(Counts::default());
        ages.tell(tracker, &[end(log_end)], &counts, now);
        counts.partitions.get()[0].held.unwrap()
    }

    #[test]
    fn lag_counts_from_the_commit_and_age_from_the_oldest_claim_above_it() {
        let (mut ages, mut tracker) = (Ages::default(), OffsetTracker::default());
        let began = Instant::now();
        tracker.assign(partition());
        assert_eq!(held(&mut ages, &tracker, 9, began).lag, None, "no record was claimed");
        let claim =
            |tracker: &mut OffsetTracker, offset| tracker.claim(&partition(), offset).unwrap();
        let first = claim(&mut tracker, 5);
        let told = held(&mut ages, &tracker, 9, began);
        let expected = Held { lag: Some(4), uncommitted: 1, commit_age: Duration::ZERO };
        assert_eq!(told, expected);
        let second = claim(&mut tracker, 6);
        held(&mut ages, &tracker, 9, began + SECOND);
        let told = held(&mut ages, &tracker, 9, began + SECOND * 3);
        assert_eq!(told, Held { lag: Some(4), uncommitted: 2, commit_age: SECOND * 3 });

        tracker.settle(&Settled { position: first, outcome: Outcome::Published });
        tracker.committed(&partition(), 6);
        let told = held(&mut ages, &tracker, 9, began + SECOND * 3);
        assert_eq!(told, Held { lag: Some(3), uncommitted: 1, commit_age: SECOND * 2 });

        tracker.settle(&Settled { position: second, outcome: Outcome::Published });
        tracker.committed(&partition(), 7);
        let told = held(&mut ages, &tracker, 9, began + SECOND * 9);
        assert_eq!(told, Held { lag: Some(2), uncommitted: 0, commit_age: Duration::ZERO });
    }

    #[test]
    fn a_record_that_holds_its_partition_for_hours_keeps_its_age_and_little_memory() {
        let (mut claims, began) = (Claims::default(), Instant::now());
        for second in 0..10_000_u32 {
            claims.look(i64::from(second) + 1, began + SECOND * second);
        }
        assert_eq!(claims.0.len(), LOOKS_MAX);
        assert_eq!(claims.age(0, began + SECOND * 10_000), SECOND * 10_000);
    }

    #[test]
    fn a_partition_that_nothing_was_claimed_of_lags_behind_what_the_group_committed() {
        let known = |committed, next| End { committed, next, ..end(9) };
        assert_eq!(known(Some(4), Some(6)).lag(None), Some(5));
        assert_eq!(known(None, Some(6)).lag(None), Some(3));
        assert_eq!(known(None, None).lag(None), None);
        assert_eq!(known(Some(4), None).lag(Some(12)), Some(0), "the end is of a second ago");
    }
}
