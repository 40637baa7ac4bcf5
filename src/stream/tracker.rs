use std::collections::{BTreeMap, HashMap};

use super::{Epoch, Outcome, Partition, Position, Settled};

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
#[derive(Debug, Default)]
pub struct OffsetTracker {
    partitions: HashMap<Partition, Assigned>,
    epoch: Epoch,
}

#[derive(Debug)]
struct Assigned {
    epoch: Epoch,
    /// Claimed, and not yet part of the contiguous settled run. `true` once published.
    open: BTreeMap<i64, bool>,
    /// One past the highest claimed offset: what may be committed when nothing is open.
    next: Option<i64>,
    /// The first offset claimed: nothing below it was ever ours to commit.
    first: Option<i64>,
    committed: Option<i64>,
    unsettled: usize,
}

// === impl OffsetTracker ===

impl OffsetTracker {
    /// Starts tracking `partition` under a new epoch, forgetting any earlier assignment of it.
    pub fn assign(&mut self, partition: Partition) -> Epoch {
        self.epoch.0 += 1;
        let assigned = Assigned {
            epoch: self.epoch,
            open: BTreeMap::new(),
            next: None,
            first: None,
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

    /// Notes that the record at `offset` was handed out; `None` if the partition is not assigned.
    /// An offset that was claimed before (the broker rewound) starts anew.
    pub fn claim(&mut self, partition: &Partition, offset: i64) -> Option<Position> {
        let assigned = self.partitions.get_mut(partition)?;
        if assigned.open.insert(offset, false) != Some(false) {
            assigned.unsettled += 1;
        }
        assigned.next = assigned.next.max(Some(offset + 1));
        assigned.first.get_or_insert(offset);
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
        let Some(published @ false) = assigned.open.get_mut(&position.offset) else {
            return Settlement::Stale;
        };
        assigned.unsettled -= 1;
        match settled.outcome {
            Outcome::Published => {
                *published = true;
                while let Some(entry) = assigned.open.first_entry() {
                    if !entry.get() {
                        break;
                    }
                    entry.remove();
                }
                Settlement::Counted
            }
            // The entry stays open and unpublished, which holds every later commit back.
            Outcome::Returned | Outcome::Abandoned => Settlement::Held,
        }
    }

    /// The offset that may be committed for `partition`, if it moved since [`Self::committed`].
    pub fn committable(&self, partition: &Partition) -> Option<i64> {
        let assigned = self.partitions.get(partition)?;
        let offset = assigned.open.first_key_value().map(|(&offset, _)| offset).or(assigned.next)?;
        let floor = assigned.committed.or(assigned.first)?;
        (offset > floor).then_some(offset)
    }

    /// Every partition whose committable offset moved, with that offset.
    pub fn all_committable(&self) -> Vec<(Partition, i64)> {
        let partitions = self.partitions.keys();
        partitions.filter_map(|p| Some((p.clone(), self.committable(p)?))).collect()
    }

    /// Notes that the broker took a commit of `offset`.
    pub fn committed(&mut self, partition: &Partition, offset: i64) {
        if let Some(assigned) = self.partitions.get_mut(partition) {
            assigned.committed = assigned.committed.max(Some(offset));
        }
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
