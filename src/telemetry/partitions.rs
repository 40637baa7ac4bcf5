use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What was read of each partition of the input. Bounded by the partitions that there are.
#[derive(Debug, Default)]
pub struct Partitions(Mutex<BTreeMap<(Arc<str>, i32), PartitionTotals>>);

/// What was read of a partition since start-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionTotals {
    /// Records claimed.
    pub records: u64,
    /// Bytes of their keys, values and headers.
    pub bytes: u64,
    /// Tokens that the model read for their answers.
    pub tokens: u64,
}

/// A partition, whether it is still assigned or not, and what was read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRead {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its number.
    pub index: i32,
    /// What was read of it.
    pub totals: PartitionTotals,
}

// === impl Partitions ===

impl Partitions {
    /// A record of so many bytes was claimed.
    pub fn claimed(&self, topic: &Arc<str>, index: i32, bytes: usize) {
        let mut partitions = self.lock();
        let totals = partitions.entry((Arc::clone(topic), index)).or_default();
        totals.records += 1;
        totals.bytes += bytes as u64;
    }

    /// The model read so many tokens for an answer.
    pub fn read(&self, topic: &Arc<str>, index: i32, tokens: usize) {
        self.lock().entry((Arc::clone(topic), index)).or_default().tokens += tokens as u64;
    }

    /// All that were seen.
    pub fn get(&self) -> Vec<PartitionRead> {
        let partitions = self.lock();
        let read = |((topic, index), totals): (&(Arc<str>, i32), &PartitionTotals)| PartitionRead {
            topic: Arc::clone(topic),
            index: *index,
            totals: *totals,
        };
        partitions.iter().map(read).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Arc<str>, i32), PartitionTotals>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_add_up_for_each_partition() {
        let (partitions, topic) = (Partitions::default(), Arc::from("sets"));
        partitions.claimed(&topic, 3, 100);
        partitions.claimed(&topic, 3, 20);
        partitions.read(&topic, 3, 512);
        partitions.claimed(&topic, 1, 7);
        let read = |index, records, bytes, tokens| {
            let totals = PartitionTotals { records, bytes, tokens };
            PartitionRead { topic: Arc::clone(&topic), index, totals }
        };
        assert_eq!(partitions.get(), [read(1, 1, 7, 0), read(3, 2, 120, 512)]);
    }
}
