use proptest::prelude::*;

use super::*;
use crate::stream::{Outcome, Settled};

type Answered = oneshot::Receiver<Result<(), PublishError>>;

/// A tracker with one partition, and what stands above it.
struct Desk {
    tracker: OffsetTracker,
    staging: Staging,
}

fn partition() -> Partition {
    Partition { topic: "sets".into(), index: 3 }
}

fn desk() -> Desk {
    let mut tracker = OffsetTracker::default();
    tracker.assign(partition());
    Desk { tracker, staging: Staging::default() }
}

// === impl Desk ===

impl Desk {
    fn claim(&mut self, offsets: std::ops::Range<i64>) -> Vec<Position> {
        offsets.map(|offset| self.tracker.claim(&partition(), offset).unwrap()).collect()
    }

    fn stage(&mut self, position: &Position) -> Answered {
        let (output, answered) = Output::new("out", Record::default(), position);
        self.staging.stage(output, &self.tracker);
        answered
    }

    fn commit(&mut self, batch: Batch) {
        let outputs = self.staging.committed(batch, &mut self.tracker);
        outputs.into_iter().for_each(Output::published);
    }

    fn settle(&mut self, position: &Position, outcome: Outcome) {
        self.tracker.settle(&Settled { position: position.clone(), outcome });
        match outcome {
            Outcome::Published => self.staging.settled(position),
            Outcome::Returned | Outcome::Abandoned => self.staging.held(position),
        }
    }

    /// Offsets of the outputs that can go now, and what is committed with them.
    fn take(&mut self) -> Option<(Vec<i64>, i64, Batch)> {
        let batch = self.staging.take(&self.tracker)?;
        let outputs = batch.outputs.iter().map(|output| output.position.offset).collect();
        Some((outputs, batch.offsets[0].offset, batch))
    }
}

fn is_returned(answered: &mut Answered) -> bool {
    matches!(answered.try_recv(), Ok(Err(PublishError::InputReturned { .. })))
}

#[test]
fn outputs_go_in_the_order_of_their_inputs_and_none_beyond_the_commit() {
    let mut desk = desk();
    let at = desk.claim(0..5);
    let mut answers: Vec<_> = [4, 1, 3, 0].map(|place| desk.stage(&at[place])).into();
    let (outputs, next, batch) = desk.take().unwrap();
    assert_eq!((outputs, next), (vec![0, 1], 2));
    assert_eq!(desk.staging.waiting(), 2);
    desk.commit(batch);
    assert!(matches!(answers[1].try_recv(), Ok(Ok(()))));
    assert!(answers[0].try_recv().is_err(), "nothing is said of what waits");
    assert!(desk.take().is_none());
    let _answered = desk.stage(&at[2]);
    let (outputs, next, _) = desk.take().unwrap();
    assert_eq!((outputs, next), (vec![2, 3, 4], 5));
}

#[test]
fn what_is_committed_counts_before_its_worker_says_so() {
    let mut desk = desk();
    let at = desk.claim(0..2);
    let _answered = desk.stage(&at[0]);
    let (.., batch) = desk.take().unwrap();
    desk.commit(batch);
    let _answered = desk.stage(&at[1]);
    let (outputs, next, _) = desk.take().unwrap();
    assert_eq!((outputs, next), (vec![1], 2));
}

#[test]
fn a_record_that_is_settled_without_an_output_is_committed_all_the_same() {
    let mut desk = desk();
    let at = desk.claim(0..2);
    desk.settle(&at[0], Outcome::Published);
    let (outputs, next, batch) = desk.take().unwrap();
    assert_eq!((outputs, next), (vec![], 1));
    desk.commit(batch);
    assert!(desk.take().is_none());
}

#[test]
fn an_aborted_batch_goes_again_as_it_was() {
    let mut desk = desk();
    let at = desk.claim(0..3);
    let mut answers: Vec<_> = at.iter().map(|position| desk.stage(position)).collect();
    let (.., batch) = desk.take().unwrap();
    desk.staging.put_back(batch.outputs, &desk.tracker);
    assert!(answers.iter_mut().all(|answered| answered.try_recv().is_err()));
    let (outputs, next, _) = desk.take().unwrap();
    assert_eq!((outputs, next), (vec![0, 1, 2], 3));
}

#[test]
fn nothing_above_a_record_that_goes_back_is_published() {
    let mut desk = desk();
    let at = desk.claim(0..5);
    let mut below = desk.stage(&at[0]);
    let mut above = desk.stage(&at[3]);
    desk.settle(&at[1], Outcome::Returned);
    assert!(is_returned(&mut above));
    assert!(is_returned(&mut desk.stage(&at[4])), "nor what comes later");
    let (outputs, next, batch) = desk.take().unwrap();
    assert_eq!((outputs, next), (vec![0], 1));
    desk.staging.put_back(batch.outputs, &desk.tracker);
    let (.., batch) = desk.take().unwrap();
    desk.commit(batch);
    assert!(matches!(below.try_recv(), Ok(Ok(()))));
}

#[test]
fn a_log_that_is_rewound_fills_the_hole() {
    let mut desk = desk();
    let at = desk.claim(0..2);
    desk.settle(&at[0], Outcome::Returned);
    assert!(is_returned(&mut desk.stage(&at[1])));
    desk.settle(&at[1], Outcome::Returned);
    let again = desk.claim(0..2);
    let _answered = again.iter().map(|position| desk.stage(position)).collect::<Vec<_>>();
    let (outputs, next, _) = desk.take().unwrap();
    assert_eq!((outputs, next), (vec![0, 1], 2));
}

#[test]
fn an_input_that_was_claimed_twice_is_published_once_and_both_hear_of_it() {
    let mut desk = desk();
    let first = desk.claim(0..1);
    let again = desk.claim(0..1);
    let (mut one, mut two) = (desk.stage(&first[0]), desk.stage(&again[0]));
    let (outputs, _, batch) = desk.take().unwrap();
    assert_eq!(outputs, [0]);
    desk.commit(batch);
    assert!(matches!((one.try_recv(), two.try_recv()), (Ok(Ok(())), Ok(Ok(())))));
    assert_eq!(desk.staging.waiting(), 0);
}

#[test]
fn an_output_of_an_earlier_assignment_is_not_published() {
    let mut desk = desk();
    let at = desk.claim(0..3);
    let mut waiting = desk.stage(&at[1]);
    let mut running = desk.stage(&at[0]);
    let (.., batch) = desk.take().unwrap();
    desk.tracker.revoke(&partition());
    desk.staging.revoke(&partition());
    assert!(batch.outputs.len() == 2 && desk.staging.waiting() == 0);
    desk.tracker.assign(partition());
    let at_again = desk.claim(0..1);
    desk.staging.put_back(batch.outputs, &desk.tracker);
    assert!(is_returned(&mut waiting) && is_returned(&mut running));
    assert!(is_returned(&mut desk.stage(&at[2])));
    assert!(desk.take().is_none());
    let _answered = desk.stage(&at_again[0]);
    assert_eq!(desk.take().unwrap().0, [0]);
}

proptest! {
    /// Whatever comes in whatever order: every record is in exactly one committed batch, in order, and
    /// every batch ends where its commit stands.
    #[test]
    fn every_output_is_committed_once(
        order in Just((0..40_usize).collect::<Vec<_>>()).prop_shuffle(),
        aborts in prop::collection::vec(any::<bool>(), 40),
        pauses in prop::collection::vec(any::<bool>(), 40),
    ) {
        let mut desk = desk();
        let at = desk.claim(0..40);
        let (mut committed, mut answers) = (Vec::new(), Vec::new());
        let mut step = |desk: &mut Desk, abort: bool| {
            let Some((outputs, next, batch)) = desk.take() else { return };
            if abort {
                return desk.staging.put_back(batch.outputs, &desk.tracker);
            }
            committed.extend(outputs);
            assert_eq!(committed.len() as i64, next);
            desk.commit(batch);
        };
        for (number, &place) in order.iter().enumerate() {
            answers.push(desk.stage(&at[place]));
            if !pauses[number] {
                step(&mut desk, aborts[number]);
            }
        }
        step(&mut desk, false);
        prop_assert_eq!(committed, (0..40).collect::<Vec<_>>());
        prop_assert!(answers.iter_mut().all(|a| matches!(a.try_recv(), Ok(Ok(())))));
    }
}
