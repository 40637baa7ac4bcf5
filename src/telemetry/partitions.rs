use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What happens to each partition of the input. Bounded by the partitions that there are.
#[derive(Debug, Default)]
pub struct Partitions(Mutex<BTreeMap<(Arc<str>, i32), Seen>>);

#[derive(Clone, Debug, Default)]
struct Seen {
    totals: PartitionTotals,
    held: Option<Held>,
}

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

/// How far behind a partition of ours is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Records from the committed offset to the end of the log, where both are known.
    pub lag: Option<u64>,
    /// Records that are claimed and not committed.
    pub uncommitted: u64,
    /// Since the oldest of those was claimed.
    pub commit_age: Duration,
}

/// A partition, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionNow {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its number.
    pub index: i32,
    /// What was read of it.
    pub totals: PartitionTotals,
    /// Only while it is assigned.
    pub held: Option<Held>,
}

// === impl Partitions ===

impl Partitions {
    /// A record of so many bytes was claimed.
    pub fn claimed(&self, topic: &Arc<str>, index: i32, bytes: usize) {
        let mut partitions = self.lock();
        let totals = &mut partitions.entry((Arc::clone(topic), index)).or_default().totals;
        totals.records += 1;
        totals.bytes += bytes as u64;
    }

    /// The model read so many tokens for an answer.
    pub fn read(&self, topic: &Arc<str>, index: i32, tokens: usize) {
        self.lock().entry((Arc::clone(topic), index)).or_default().totals.tokens += tokens as u64;
    }

    /// It is ours, and so far behind.
    pub fn hold(&self, topic: &Arc<str>, index: i32, held: Held) {
        self.lock().entry((Arc::clone(topic), index)).or_default().held = Some(held);
    }

    /// It is not ours any more.
    pub fn let_go(&self, topic: &Arc<str>, index: i32) {
        if let Some(seen) = self.lock().get_mut(&(Arc::clone(topic), index)) {
            seen.held = None;
        }
    }

    /// All that were seen.
    pub fn get(&self) -> Vec<PartitionNow> {
        let partitions = self.lock();
        let now = |((topic, index), seen): (&(Arc<str>, i32), &Seen)| PartitionNow {
            topic: Arc::clone(topic),
            index: *index,
            totals: seen.totals,
            held: seen.held,
        };
        partitions.iter().map(now).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Arc<str>, i32), Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_stay_when_a_partition_goes_and_its_lag_does_not() {
        let (partitions, topic) = (Partitions::default(), Arc::from("sets"));
        partitions.claimed(&topic, 3, 100);
        partitions.claimed(&topic, 3, 20);
        partitions.read(&topic, 3, 512);
        let held = Held { lag: Some(7), uncommitted: 2, commit_age: Duration::from_secs(1) };
        partitions.hold(&topic, 3, held);
        let totals = PartitionTotals { records: 2, bytes: 120, tokens: 512 };
        let now = PartitionNow { topic: Arc::clone(&topic), index: 3, totals, held: Some(held) };
        assert_eq!(partitions.get(), [now.clone()]);
        partitions.let_go(&topic, 3);
        assert_eq!(partitions.get(), [PartitionNow { held: None, ..now }]);
    }
}
