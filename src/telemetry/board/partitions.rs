use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use serde::{Serialize, Serializer};

/// A partition of this worker, as its poll thread sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionNow {
    /// The topic.
    pub topic: Arc<str>,
    /// Which of its partitions.
    pub index: i32,
    /// Where reading goes on; `None` before the first record.
    pub next: Option<i64>,
    /// What the group has committed, or where reading began; `None` before the first record.
    pub committed: Option<i64>,
    /// Where the partition ends; `None` where it was not heard of yet.
    pub end: Option<i64>,
    /// Records that are claimed and have no outcome yet.
    pub in_flight: usize,
    /// Records that are claimed and not committed: what is read again if this process ends now.
    pub uncommitted: usize,
    /// Since when the oldest of those has been claimed; zero where there is none.
    #[serde(rename = "commit_age_s", serialize_with = "seconds")]
    pub commit_age: Duration,
    /// What happens to it.
    pub state: PartitionState,
}

/// What happens to a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PartitionState {
    /// It is read.
    Assigned,
    /// It is not read on for now: as much is uncommitted as may be.
    Paused,
    /// It goes to another worker; what is in flight is being finished.
    Draining,
}

/// The partitions of a moment. The writer never waits: while somebody reads, which takes as long as it
/// takes to copy a pointer, it leaves the older state.
#[derive(Debug, Default)]
pub(super) struct Partitions(Mutex<Arc<[PartitionNow]>>);

// === impl PartitionNow ===

impl PartitionNow {
    /// Records behind the end of the partition that are not committed.
    pub fn lag(&self) -> Option<u64> {
        // What the client heard of the end may be older than the commit.
        Some(u64::try_from(self.end? - self.committed?).unwrap_or(0))
    }
}

// === impl Partitions ===

impl Partitions {
    /// Whether it was written.
    pub(super) fn write(&self, partitions: Vec<PartitionNow>) -> bool {
        let mut place = match self.0.try_lock() {
            Ok(place) => place,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        *place = partitions.into();
        true
    }

    pub(super) fn read(&self) -> Arc<[PartitionNow]> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(index: i32) -> PartitionNow {
        PartitionNow {
            topic: "sets".into(),
            index,
            next: Some(12),
            committed: Some(10),
            end: Some(25),
            in_flight: 2,
            uncommitted: 2,
            commit_age: Duration::from_secs(3),
            state: PartitionState::Assigned,
        }
    }

    #[test]
    fn lag_is_what_is_not_committed_and_unknown_where_an_offset_is() {
        assert_eq!(partition(0).lag(), Some(15));
        assert_eq!(PartitionNow { end: None, ..partition(0) }.lag(), None);
        assert_eq!(PartitionNow { committed: None, ..partition(0) }.lag(), None);
        assert_eq!(PartitionNow { end: Some(9), ..partition(0) }.lag(), Some(0));
    }

    #[test]
    fn a_writer_does_not_wait_for_who_reads() {
        let partitions = Partitions::default();
        let reading = partitions.0.lock().unwrap();
        assert!(!partitions.write(vec![partition(0)]));
        drop(reading);
        assert!(partitions.write(vec![partition(1)]));
        assert_eq!(partitions.read()[0].index, 1);
    }
}
