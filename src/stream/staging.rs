use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::sync::oneshot;

use super::{Epoch, OffsetTracker, Partition, Position, PublishError, Record};

/// Outputs that wait for their transaction.
///
/// A transaction takes, of each partition, the outputs of the records below the first one that has
/// none, in the order of those records, and the offset of that first one. So nothing beyond the
/// committed position is ever in it, and what it commits is answered in it.
#[derive(Debug, Default)]
pub(crate) struct Staging {
    partitions: HashMap<Partition, Stage>,
    waiting: usize,
}

/// One assignment of one partition.
#[derive(Debug, Default)]
struct Stage {
    epoch: Epoch,
    waiting: BTreeMap<i64, Output>,
    /// Committed with their outputs; whoever worked on them has not heard of it, or has not said so.
    committed: BTreeSet<i64>,
    /// The lowest record that goes back unread: nothing from there on can be committed.
    hole: Option<i64>,
}

/// A record to publish.
#[derive(Debug)]
pub(crate) struct Output {
    /// The record that it answers.
    pub(crate) position: Position,
    pub(crate) topic: String,
    pub(crate) record: Record,
    /// Who waits for it. More than one where its input was claimed again meanwhile.
    answers: Vec<oneshot::Sender<Result<(), PublishError>>>,
}

/// What goes into one transaction.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Of each partition in the order of their inputs.
    pub(crate) outputs: Vec<Output>,
    /// What is committed: a partition, its assignment, and the next offset to read.
    pub(crate) offsets: Vec<Position>,
}

// === impl Staging ===

impl Staging {
    /// Outputs that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Takes an output in. One that cannot be committed any more is answered at once.
    pub(crate) fn stage(&mut self, output: Output, tracker: &OffsetTracker) {
        let Position { partition, offset, epoch } = output.position.clone();
        if tracker.epoch(&partition) != Some(epoch) {
            return output.returned();
        }
        let stage = self.partitions.entry(partition.clone()).or_default();
        if stage.epoch != epoch {
            self.waiting -= stage.waiting.len();
            std::mem::replace(stage, Stage { epoch, ..Stage::default() }).returned();
        }
        // A log that was rewound is read again from below the hole.
        stage.hole = stage.hole.filter(|&hole| tracker.is_held(&partition, hole));
        if stage.hole.is_some_and(|hole| hole <= offset) {
            return output.returned();
        }
        let before = stage.waiting.remove(&offset);
        self.waiting += usize::from(before.is_none());
        let mut output = output;
        output.answers.extend(before.into_iter().flat_map(|output| output.answers));
        stage.waiting.insert(offset, output);
    }

    /// The record at `position` is settled, as far as its worker is concerned.
    pub(crate) fn settled(&mut self, position: &Position) {
        let stage = self.partitions.get_mut(&position.partition);
        if let Some(stage) = stage.filter(|stage| stage.epoch == position.epoch) {
            stage.committed.remove(&position.offset);
        }
    }

    /// The record at `position` goes back unread, and so does everything above it.
    pub(crate) fn held(&mut self, position: &Position) {
        let stage = self.partitions.entry(position.partition.clone()).or_default();
        if stage.waiting.is_empty() && stage.committed.is_empty() {
            stage.epoch = position.epoch;
        }
        if stage.epoch != position.epoch {
            return;
        }
        let hole = stage.hole.map_or(position.offset, |hole| hole.min(position.offset));
        stage.hole = Some(hole);
        let above = stage.waiting.split_off(&hole);
        self.waiting -= above.len();
        above.into_values().for_each(Output::returned);
    }

    /// The partition is not ours any more.
    pub(crate) fn revoke(&mut self, partition: &Partition) {
        if let Some(stage) = self.partitions.remove(partition) {
            self.waiting -= stage.waiting.len();
            stage.returned();
        }
    }

    /// What can be committed now; `None` where that is nothing new.
    pub(crate) fn take(&mut self, tracker: &OffsetTracker) -> Option<Batch> {
        let mut batch = Batch { outputs: Vec::new(), offsets: Vec::new() };
        for partition in tracker.assigned() {
            let Some(epoch) = tracker.epoch(partition) else { continue };
            let stage = self.partitions.get_mut(partition).filter(|stage| stage.epoch == epoch);
            let is_settled = |offset: i64| {
                stage.as_ref().is_some_and(|stage| {
                    stage.waiting.contains_key(&offset) || stage.committed.contains(&offset)
                })
            };
            let Some(next) = tracker.committable_if(partition, is_settled) else { continue };
            let outputs = stage.map(|stage| {
                let above = stage.waiting.split_off(&next);
                std::mem::replace(&mut stage.waiting, above)
            });
            let outputs = outputs.unwrap_or_default();
            if outputs.is_empty() && tracker.committed_of(partition) == Some(next) {
                continue;
            }
            self.waiting -= outputs.len();
            batch.outputs.extend(outputs.into_values());
            batch.offsets.push(Position { partition: partition.clone(), offset: next, epoch });
        }
        (!batch.offsets.is_empty()).then_some(batch)
    }

    /// The transaction is committed. Its outputs, still to be told so.
    #[must_use]
    pub(crate) fn committed(&mut self, batch: Batch, tracker: &mut OffsetTracker) -> Vec<Output> {
        for Position { partition, offset, epoch } in batch.offsets {
            if tracker.epoch(&partition) == Some(epoch) {
                tracker.committed(&partition, offset);
            }
        }
        for output in &batch.outputs {
            let Position { partition, offset, epoch } = &output.position;
            let stage = self.partitions.get_mut(partition);
            if let Some(stage) = stage.filter(|stage| stage.epoch == *epoch) {
                stage.committed.insert(*offset);
            }
        }
        batch.outputs
    }

    /// The transaction was aborted: its outputs wait again.
    pub(crate) fn put_back(&mut self, outputs: Vec<Output>, tracker: &OffsetTracker) {
        for output in outputs {
            self.stage(output, tracker);
        }
    }
}

// === impl Stage ===

impl Stage {
    fn returned(self) {
        self.waiting.into_values().for_each(Output::returned);
    }
}

// === impl Output ===

impl Output {
    /// An output, and where its fate is told.
    pub(crate) fn new(
        topic: &str,
        record: Record,
        answers: &Position,
    ) -> (Self, oneshot::Receiver<Result<(), PublishError>>) {
        let (answer, answered) = oneshot::channel();
        let (position, topic) = (answers.clone(), topic.to_owned());
        (Self { position, topic, record, answers: vec![answer] }, answered)
    }

    /// Tells that its transaction is committed.
    pub(crate) fn published(self) {
        for answer in self.answers {
            // Whoever published may have given up waiting.
            let _told = answer.send(Ok(()));
        }
    }

    fn returned(self) {
        self.failed(|topic| PublishError::InputReturned { topic });
    }

    /// Tells that it is not published, by an error about its topic.
    pub(crate) fn failed(self, error: impl Fn(String) -> PublishError) {
        for answer in self.answers {
            let _told = answer.send(Err(error(self.topic.clone())));
        }
    }
}

#[cfg(test)]
#[path = "staging_tests.rs"]
mod tests;
