//! What becomes of the records of a transaction that did not end as it should.

use super::Ended;
use crate::stream::{Batch, Output, Position, PublishError};

/// There can be no further transaction.
pub(super) fn failed(batch: Batch, reason: String) -> Ended {
    for output in batch.outputs {
        fail(output, &reason);
    }
    Ended { failed: Some(reason), ..Ended::default() }
}

/// The record cannot be published any more.
pub(super) fn fail(output: Output, reason: &str) {
    output.failed(|topic| PublishError::Fatal { topic, reason: reason.to_owned(), source: None });
}

/// Splits a batch whose transaction has ended unheard, by what is committed now.
pub(super) fn sort(batch: Batch, now: &[Position]) -> Ended {
    let (done, _): (Vec<Position>, Vec<Position>) =
        batch.offsets.into_iter().partition(|position| now.contains(position));
    let is_done = |output: &Output| {
        done.iter().any(|position| {
            position.partition == output.position.partition
                && position.epoch == output.position.epoch
        })
    };
    let (outputs, again) = batch.outputs.into_iter().partition(is_done);
    Ended { committed: Batch { outputs, offsets: done }, again, failed: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Epoch, Partition, Record};

    fn at(index: i32, offset: i64) -> Position {
        let partition = Partition { topic: "sets".into(), index };
        Position { partition, offset, epoch: Epoch(1) }
    }

    /// Outputs of two partitions, of which 5 and 8 are to be committed.
    fn batch() -> Batch {
        let inputs = [at(0, 3), at(0, 4), at(1, 7)];
        let outputs =
            inputs.iter().map(|input| Output::new("out", Record::default(), input).0).collect();
        Batch { outputs, offsets: vec![at(0, 5), at(1, 8)] }
    }

    fn offsets(outputs: &[Output]) -> Vec<i64> {
        outputs.iter().map(|output| output.position.offset).collect()
    }

    #[test]
    fn what_is_committed_tells_what_became_of_a_transaction() {
        let all = sort(batch(), &[at(0, 5), at(1, 8)]);
        assert_eq!((all.committed.offsets.len(), all.again.len()), (2, 0));
        let none = sort(batch(), &[at(0, 3), at(1, -1)]);
        assert_eq!((none.committed.outputs.len(), offsets(&none.again)), (0, vec![3, 4, 7]));
    }

    /// Somebody else has gone on there: what is ours of it is answered as of an earlier assignment.
    #[test]
    fn a_commit_beyond_the_transaction_is_not_its_own() {
        let ended = sort(batch(), &[at(0, 5), at(1, 9)]);
        assert_eq!(ended.committed.offsets, [at(0, 5)]);
        assert_eq!(offsets(&ended.committed.outputs), [3, 4]);
        assert_eq!(offsets(&ended.again), [7]);
    }
}
