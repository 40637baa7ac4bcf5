use proptest::prelude::*;

use super::*;

fn partition(index: i32) -> Partition {
    Partition { topic: "sets".into(), index }
}

fn settled(position: &Position, outcome: Outcome) -> Settled {
    Settled { position: position.clone(), outcome }
}

/// A tracker with partition 0 assigned and `offsets` claimed.
fn claimed(offsets: impl IntoIterator<Item = i64>) -> (OffsetTracker, Vec<Position>) {
    let mut tracker = OffsetTracker::default();
    tracker.assign(partition(0));
    let positions = offsets.into_iter().map(|o| tracker.claim(&partition(0), o).unwrap()).collect();
    (tracker, positions)
}

#[test]
fn a_hole_holds_the_commit_until_it_is_filled() {
    let (mut tracker, at) = claimed(5..9);
    for position in [&at[1], &at[3]] {
        assert_eq!(tracker.settle(&settled(position, Outcome::Published)), Settlement::Counted);
    }
    assert_eq!(tracker.committable(&partition(0)), None);
    tracker.settle(&settled(&at[0], Outcome::Published));
    assert_eq!(tracker.committable(&partition(0)), Some(7));
    tracker.settle(&settled(&at[2], Outcome::Published));
    assert_eq!(tracker.committable(&partition(0)), Some(9));
}

/// As in a transaction, which commits what its worker has not yet heard of.
#[test]
fn an_outcome_after_its_commit_leaves_no_debt() {
    let (mut tracker, at) = claimed(5..9);
    tracker.committed(&partition(0), 8);
    for position in &at[..3] {
        assert_eq!(tracker.settle(&settled(position, Outcome::Published)), Settlement::Counted);
    }
    assert_eq!(tracker.uncommitted_of(&partition(0)), 1);
    assert_eq!(tracker.committable(&partition(0)), None);
    tracker.settle(&settled(&at[3], Outcome::Published));
    assert_eq!(tracker.committable(&partition(0)), Some(9));
    assert_eq!(tracker.uncommitted_of(&partition(0)), 1);
}

#[test]
fn gaps_in_the_log_do_not_hold_the_commit() {
    let (mut tracker, at) = claimed([3, 10, 11, 40]);
    for position in &at {
        tracker.settle(&settled(position, Outcome::Published));
    }
    assert_eq!(tracker.committable(&partition(0)), Some(41));
}

#[test]
fn what_is_settled_above_a_hole_stays_open_until_it_is_filled() {
    let (mut tracker, at) = claimed(0..6);
    for position in &at[1..5] {
        tracker.settle(&settled(position, Outcome::Published));
    }
    assert_eq!(
        (tracker.uncommitted_of(&partition(0)), tracker.unsettled_of(&partition(0))),
        (6, 2)
    );
    tracker.settle(&settled(&at[0], Outcome::Published));
    // Only a commit ends the debt.
    assert_eq!(tracker.uncommitted_of(&partition(0)), 6);
    tracker.committed(&partition(0), 5);
    assert_eq!(tracker.uncommitted_of(&partition(0)), 1);
    assert_eq!(tracker.uncommitted_of(&partition(1)), 0);
}

#[test]
fn what_was_completed_above_the_commit_is_passed_over_after_a_new_assignment() {
    let (mut tracker, at) = claimed(0..6);
    for settle in [1, 2, 4] {
        tracker.settle(&settled(&at[settle], Outcome::Published));
    }
    let completed = tracker.completed(&partition(0));
    tracker.revoke(&partition(0));
    tracker.assign_with(partition(0), completed);
    let passed: Vec<i64> = (0..6).filter(|&offset| tracker.pass(&partition(0), offset)).collect();
    assert_eq!(passed, [1, 2, 4]);
    assert_eq!(tracker.unsettled(), 0);
}

#[test]
fn what_is_staged_is_committable_up_to_the_first_that_is_not() {
    let (mut tracker, at) = claimed(0..5);
    tracker.settle(&settled(&at[1], Outcome::Published));
    let committable =
        |staged: &[i64]| tracker.committable_if(&partition(0), |offset| staged.contains(&offset));
    assert_eq!(committable(&[]), Some(0));
    assert_eq!(committable(&[2, 3]), Some(0));
    assert_eq!(committable(&[0]), Some(2));
    assert_eq!(committable(&[0, 2, 4]), Some(3));
    assert_eq!(committable(&[0, 2, 3, 4]), Some(5));
    tracker.settle(&settled(&at[2], Outcome::Returned));
    let held = tracker.committable_if(&partition(0), |_| true);
    assert_eq!(held, Some(2), "a record that goes back is never staged over");
}

#[test]
fn what_was_committed_is_not_offered_again() {
    let (mut tracker, at) = claimed(0..1);
    tracker.settle(&settled(&at[0], Outcome::Published));
    tracker.committed(&partition(0), 1);
    assert_eq!(tracker.committable(&partition(0)), None);
    assert!(tracker.all_committable().is_empty());
}

#[test]
fn a_returned_record_holds_every_later_commit() {
    for outcome in [Outcome::Returned, Outcome::Abandoned] {
        let (mut tracker, at) = claimed(0..3);
        assert_eq!(tracker.settle(&settled(&at[1], outcome)), Settlement::Held);
        tracker.settle(&settled(&at[0], Outcome::Published));
        tracker.settle(&settled(&at[2], Outcome::Published));
        assert_eq!(tracker.committable(&partition(0)), Some(1));
        assert_eq!(tracker.unsettled(), 0);
    }
}

#[test]
fn an_outcome_counts_once() {
    let (mut tracker, at) = claimed(0..2);
    tracker.settle(&settled(&at[0], Outcome::Returned));
    assert_eq!(tracker.settle(&settled(&at[0], Outcome::Published)), Settlement::Stale);
    assert_eq!(tracker.unsettled(), 1);
}

#[test]
fn an_outcome_from_an_earlier_assignment_is_stale() {
    let (mut tracker, at) = claimed(0..1);
    tracker.revoke(&partition(0));
    assert_eq!(tracker.settle(&settled(&at[0], Outcome::Published)), Settlement::Stale);
    tracker.assign(partition(0));
    tracker.claim(&partition(0), 0);
    assert_eq!(tracker.settle(&settled(&at[0], Outcome::Published)), Settlement::Stale);
    assert_eq!(tracker.unsettled_of(&partition(0)), 1);
    assert_eq!(tracker.committable(&partition(0)), None);
}

#[test]
fn a_returned_record_that_is_claimed_again_can_be_published() {
    let (mut tracker, at) = claimed(0..2);
    tracker.settle(&settled(&at[0], Outcome::Returned));
    tracker.settle(&settled(&at[1], Outcome::Published));
    let again = tracker.claim(&partition(0), 0).unwrap();
    assert_eq!(tracker.unsettled(), 1);
    assert_eq!(tracker.settle(&settled(&again, Outcome::Published)), Settlement::Counted);
    // The reader stands at 1 again: record 1 will be read once more.
    assert_eq!(tracker.committable(&partition(0)), Some(1));
}

#[test]
fn a_rewind_takes_the_commit_back() {
    let (mut tracker, at) = claimed(0..10);
    for position in &at {
        tracker.settle(&settled(position, Outcome::Published));
    }
    tracker.committed(&partition(0), 10);
    let again = tracker.claim(&partition(0), 4).unwrap();
    assert_eq!(tracker.committable(&partition(0)), Some(4));
    tracker.settle(&settled(&again, Outcome::Published));
    assert_eq!(tracker.committable(&partition(0)), Some(5));
}

#[test]
fn an_offset_claimed_twice_is_done_when_both_are() {
    let (mut tracker, at) = claimed(0..1);
    let again = tracker.claim(&partition(0), 0).unwrap();
    tracker.settle(&settled(&at[0], Outcome::Published));
    assert_eq!(tracker.committable(&partition(0)), None);
    assert_eq!(tracker.unsettled(), 1);
    tracker.settle(&settled(&again, Outcome::Published));
    assert_eq!(tracker.committable(&partition(0)), Some(1));
}

/// The same promise, computed anew from everything that happened under one assignment.
#[derive(Default)]
struct Naive {
    claims: Vec<Position>,
    history: Vec<(i64, Event)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Event {
    Claimed,
    Ended(Outcome),
}

impl Naive {
    /// Where the reader stands.
    fn next(&self) -> Option<i64> {
        self.claims.last().map(|position| position.offset + 1)
    }

    fn unsettled(&self, offset: i64) -> usize {
        let of_offset = || self.history.iter().filter(|(o, _)| *o == offset);
        let claims = of_offset().filter(|(_, event)| *event == Event::Claimed).count();
        claims - (of_offset().count() - claims)
    }

    /// Whether somebody gave the record back, and nobody claimed it since.
    fn is_held(&self, offset: i64) -> bool {
        let of_offset = self.history.iter().filter(|(o, _)| *o == offset);
        let since = of_offset.rev().take_while(|(_, event)| *event != Event::Claimed);
        since.into_iter().any(|(_, event)| *event == Event::Ended(Outcome::Returned))
    }

    /// The offsets that have no output.
    fn owed(&self) -> impl Iterator<Item = i64> {
        let offsets: std::collections::BTreeSet<i64> =
            self.history.iter().map(|(offset, _)| *offset).collect();
        offsets.into_iter().filter(|&o| self.unsettled(o) > 0 || self.is_held(o))
    }

    /// The lowest offset that is owed, or where the reader stands.
    fn owed_from(&self) -> Option<i64> {
        self.owed().chain(self.next()).min()
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// The next record, after a gap.
    Read { gap: i64 },
    /// A record that was read before.
    Rewind { back: i64 },
    /// An outcome for one of the claims, possibly one that has an outcome already.
    Settle { pick: usize, published: bool },
    /// The broker takes what is offered.
    Commit,
    /// The partition goes away and comes back, and reading resumes from the commit.
    Reassign,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3i64).prop_map(|gap| Step::Read { gap }),
        1 => (1..6i64).prop_map(|back| Step::Rewind { back }),
        6 => (any::<usize>(), prop::bool::weighted(0.9))
            .prop_map(|(pick, published)| Step::Settle { pick, published }),
        2 => Just(Step::Commit),
        1 => Just(Step::Reassign),
    ]
}

proptest! {
    #[test]
    fn agrees_with_a_naive_model(steps in prop::collection::vec(step(), 1..120)) {
        let p = partition(0);
        let mut tracker = OffsetTracker::default();
        tracker.assign(p.clone());
        let mut naive = Naive::default();
        let mut open: Vec<Position> = Vec::new();
        let mut stale: Vec<Position> = Vec::new();
        let mut broker = None;
        let mut rewound = false;
        for step in steps {
            match step {
                Step::Read { .. } | Step::Rewind { .. } => {
                    rewound |= matches!(step, Step::Rewind { .. });
                    let next = naive.next().or(broker).unwrap_or(0);
                    let offset = match step {
                        Step::Read { gap } => next + gap,
                        Step::Rewind { back } => (next - back).max(0),
                        _ => unreachable!(),
                    };
                    let position = tracker.claim(&p, offset).unwrap();
                    // Known to the broker as the place where reading began.
                    broker.get_or_insert(offset);
                    if naive.claims.is_empty() {
                        broker = Some(offset);
                    }
                    open.push(position.clone());
                    naive.claims.push(position);
                    naive.history.push((offset, Event::Claimed));
                }
                Step::Settle { pick, published } => {
                    let outcome = if published { Outcome::Published } else { Outcome::Returned };
                    for old in stale.drain(..) {
                        prop_assert_eq!(tracker.settle(&settled(&old, outcome)), Settlement::Stale);
                    }
                    if open.is_empty() {
                        continue;
                    }
                    let position = open.swap_remove(pick % open.len());
                    let expected = if published { Settlement::Counted } else { Settlement::Held };
                    prop_assert_eq!(tracker.settle(&settled(&position, outcome)), expected);
                    naive.history.push((position.offset, Event::Ended(outcome)));
                }
                Step::Commit => {
                    for (partition, offset) in tracker.all_committable() {
                        tracker.committed(&partition, offset);
                        broker = Some(offset);
                    }
                }
                Step::Reassign => {
                    stale.append(&mut open);
                    naive = Naive::default();
                    tracker.revoke(&p);
                    tracker.assign(p.clone());
                }
            }
            prop_assert_eq!(tracker.unsettled(), open.len());
            let owed_records = naive.owed().count();
            prop_assert!(tracker.uncommitted_of(&p) >= owed_records);
            // After a rewind the broker knows of more than was read again.
            if owed_records == 0 && tracker.committable(&p).is_none() && !rewound {
                prop_assert_eq!(tracker.uncommitted_of(&p), 0, "all of it is committed");
            }
            let owed = naive.owed_from();
            prop_assert_eq!(tracker.committable(&p), owed.filter(|_| owed != broker));
        }
    }
}
