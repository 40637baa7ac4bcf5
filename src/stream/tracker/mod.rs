use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{Completed, Epoch, Outcome, Partition, Position, Settled};

/// What a settled record changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The record counts towards the committable offset.
    Counted,
    /// The record will be read again; the partition cannot be committed past it any more.
    Held,
    /// The record belongs to an assignment that is gone: nothing to do.
    Stale,
}

/// Knows, per assigned partition, the lowest offset below which everything claimed is settled.
///
/// Only claimed offsets are tracked, so gaps in a log (compaction, control records, aborted
/// batches) can never hold a commit back.
///
/// A log may be rewound under its reader (truncation, a reset of its offsets). What is then read
/// again counts anew, and the committable offset goes back with it: what lies between is owed again.
#[derive(Debug, Default)]
pub struct OffsetTracker {
    partitions: HashMap<Partition, Assigned>,
    epoch: Epoch,
}

#[derive(Debug)]
struct Assigned {
    epoch: Epoch,
    /// Claimed, and not yet part of the contiguous published run.
    open: BTreeMap<i64, Open>,
    /// Part of that run, and not yet committed; ascending.
    done: VecDeque<i64>,
    /// Settled under an earlier assignment, above what was committed then.
    completed: Completed,
    /// One past the last claimed offset: where the reader stands.
    next: Option<i64>,
    /// What the broker knows: the last commit it took, or where reading began.
    committed: Option<i64>,
    unsettled: usize,
}

/// A claimed offset.
#[derive(Debug, Default)]
struct Open {
    /// Handles without an outcome. More than one where the offset was claimed again meanwhile.
    waiting: usize,
    /// Some handle ended without output: the record must be read again.
    held: bool,
}

// === impl OffsetTracker ===

impl OffsetTracker {
    /// Uncommitted records of one partition, beyond which a source hands out no more of it, unless it
    /// is told otherwise.
    ///
    /// One record that is retried for hours holds everything above it, while the rest of the
    /// partition flows: without a limit that is memory that grows, and as much work to repeat after
    /// a crash. Far more than any worker has in flight, so that only such a record is noticed.
    pub const UNCOMMITTED_MAX: usize = 10_000;

    /// Starts tracking `partition` under a new epoch, forgetting any earlier assignment of it.
    pub fn assign(&mut self, partition: Partition) -> Epoch {
        self.assign_with(partition, Completed::default())
    }

    /// As [`Self::assign`], where `completed` was settled under an earlier assignment: see
    /// [`Self::pass`].
    pub fn assign_with(&mut self, partition: Partition, completed: Completed) -> Epoch {
        self.epoch.0 += 1;
        let assigned = Assigned {
            epoch: self.epoch,
            open: BTreeMap::new(),
            done: VecDeque::new(),
            completed,
            next: None,
            committed: None,
            unsettled: 0,
        };
        self.partitions.insert(partition, assigned);
        self.epoch
    }

    /// Forgets `partition`. Late outcomes of its records are [`Settlement::Stale`].
    pub fn revoke(&mut self, partition: &Partition) {
        self.partitions.remove(partition);
    }

    /// The current assignment of `partition`, if it has one.
    pub fn epoch(&self, partition: &Partition) -> Option<Epoch> {
        self.partitions.get(partition).map(|assigned| assigned.epoch)
    }

    /// Notes that the record at `offset` was handed out; `None` if the partition is not assigned.
    /// An offset that was claimed before (the log was rewound) starts anew.
    pub fn claim(&mut self, partition: &Partition, offset: i64) -> Option<Position> {
        let assigned = self.partitions.get_mut(partition)?;
        while assigned.done.back().is_some_and(|&done| done >= offset) {
            assigned.done.pop_back();
        }
        let open = assigned.open.entry(offset).or_default();
        open.waiting += 1;
        open.held = false;
        assigned.unsettled += 1;
        assigned.next = Some(offset + 1);
        assigned.committed.get_or_insert(offset);
        Some(Position { partition: partition.clone(), offset, epoch: assigned.epoch })
    }

    /// Notes how a claimed record ended.
    pub fn settle(&mut self, settled: &Settled) -> Settlement {
        let position = &settled.position;
        let Some(assigned) = self.partitions.get_mut(&position.partition) else {
            return Settlement::Stale;
        };
        if assigned.epoch != position.epoch {
            return Settlement::Stale;
        }
        let Some(open @ Open { waiting: 1.., .. }) = assigned.open.get_mut(&position.offset) else {
            return Settlement::Stale;
        };
        open.waiting -= 1;
        assigned.unsettled -= 1;
        match settled.outcome {
            Outcome::Published => {
                while let Some(entry) = assigned.open.first_entry() {
                    if !entry.get().is_done() {
                        break;
                    }
                    let (offset, _) = entry.remove_entry();
                    // A transaction commits a record before its worker hears of it. What is not owed must not
                    // count as such, or the partition might never be read again.
                    if assigned.committed.is_none_or(|committed| offset >= committed) {
                        assigned.done.push_back(offset);
                    }
                }
                Settlement::Counted
            }
            Outcome::Returned | Outcome::Abandoned => {
                open.held = true;
                Settlement::Held
            }
        }
    }

    /// The offset that may be committed for `partition`, if it moved since [`Self::committed`].
    pub fn committable(&self, partition: &Partition) -> Option<i64> {
        let assigned = self.partitions.get(partition)?;
        let next = assigned.next?;
        let offset = assigned.open.first_key_value().map_or(next, |(&first, _)| first.min(next));
        (Some(offset) != assigned.committed).then_some(offset)
    }

    /// Whether the record at `offset` was settled under an earlier assignment, and need not be handed
    /// out; it is then claimed and settled.
    pub fn pass(&mut self, partition: &Partition, offset: i64) -> bool {
        let assigned = self.partitions.get(partition);
        if !assigned.is_some_and(|assigned| assigned.completed.contains(offset)) {
            return false;
        }
        let Some(position) = self.claim(partition, offset) else { return false };
        self.settle(&Settled { position, outcome: Outcome::Published });
        true
    }

    /// What of `partition` is settled above what can be committed.
    pub fn completed(&self, partition: &Partition) -> Completed {
        let open = self.partitions.get(partition).into_iter().flat_map(|a| a.open.iter());
        open.filter(|(_, open)| open.is_done()).map(|(&offset, _)| offset).collect()
    }

    /// The offset that could be committed for `partition` if those of its open records were settled
    /// for which `settled` says so; `None` where nothing was claimed.
    pub fn committable_if(
        &self,
        partition: &Partition,
        settled: impl Fn(i64) -> bool,
    ) -> Option<i64> {
        let assigned = self.partitions.get(partition)?;
        let next = assigned.next?;
        let mut owed = assigned.open.iter().filter(|(_, open)| !open.is_done());
        let first = owed.find(|(offset, open)| open.held || !settled(**offset));
        Some(first.map_or(next, |(&first, _)| first.min(next)))
    }

    /// What was committed last for `partition`, or where reading began.
    pub fn committed_of(&self, partition: &Partition) -> Option<i64> {
        self.partitions.get(partition)?.committed
    }

    /// One past the last record of `partition` that was claimed.
    pub fn next_of(&self, partition: &Partition) -> Option<i64> {
        self.partitions.get(partition)?.next
    }

    /// Whether the record at `offset` ended without an output and is not claimed again: nothing from
    /// there on will be committed under this assignment.
    pub fn is_held(&self, partition: &Partition, offset: i64) -> bool {
        let open = self.partitions.get(partition).and_then(|a| a.open.get(&offset));
        open.is_some_and(|open| open.held)
    }

    /// Every partition whose committable offset moved, with that offset.
    pub fn all_committable(&self) -> Vec<(Partition, i64)> {
        let partitions = self.partitions.keys();
        partitions.filter_map(|p| Some((p.clone(), self.committable(p)?))).collect()
    }

    /// Notes that the broker took a commit of `offset`.
    pub fn committed(&mut self, partition: &Partition, offset: i64) {
        if let Some(assigned) = self.partitions.get_mut(partition) {
            assigned.committed = Some(offset);
            while assigned.done.front().is_some_and(|&done| done < offset) {
                assigned.done.pop_front();
            }
        }
    }

    /// Records of `partition` that were claimed and are not committed: what is read again at most
    /// if this process ends now.
    pub fn uncommitted_of(&self, partition: &Partition) -> usize {
        self.partitions.get(partition).map_or(0, |a| a.done.len() + a.open.len())
    }

    /// Records of `partition` that were claimed and have no outcome yet.
    pub fn unsettled_of(&self, partition: &Partition) -> usize {
        self.partitions.get(partition).map_or(0, |assigned| assigned.unsettled)
    }

    /// Records of all partitions that were claimed and have no outcome yet.
    pub fn unsettled(&self) -> usize {
        self.partitions.values().map(|assigned| assigned.unsettled).sum()
    }

    /// The partitions assigned now.
    pub fn assigned(&self) -> impl Iterator<Item = &Partition> {
        self.partitions.keys()
    }
}

// === impl Open ===

impl Open {
    fn is_done(&self) -> bool {
        self.waiting == 0 && !self.held
    }
}

#[cfg(test)]
mod tests;
