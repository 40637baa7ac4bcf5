use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::stream::{OffsetTracker, Partition};

/// Looks that are kept of one partition. A second apart, so that only what waits for a quarter of an hour
/// and more is told a little coarser.
const LOOKS_MAX: usize = 1024;

/// Since when partitions owe a commit.
#[derive(Debug, Default)]
pub(super) struct Ages(HashMap<Partition, Claims>);

/// Up to where a partition was claimed, and when that was seen; both ascend.
#[derive(Debug, Default)]
struct Claims(VecDeque<(i64, Instant)>);

// === impl Ages ===

impl Ages {
    /// Since when the oldest record of a partition has been claimed that is not committed; zero where there
    /// is none. As exact as it is asked often.
    pub(super) fn look(
        &mut self,
        tracker: &OffsetTracker,
        partition: &Partition,
        now: Instant,
    ) -> Duration {
        let claims = self.0.entry(partition.clone()).or_default();
        if let Some(next) = tracker.next_of(partition) {
            claims.look(next, now);
        }
        tracker.committed_of(partition).map_or(Duration::ZERO, |at| claims.age(at, now))
    }

    /// Forgets the partitions that are not among these.
    pub(super) fn retain(&mut self, is_ours: impl Fn(&Partition) -> bool) {
        self.0.retain(|partition, _| is_ours(partition));
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

    #[test]
    fn age_counts_from_the_oldest_claim_that_is_not_committed() {
        let partition = Partition { topic: "sets".into(), index: 3 };
        let (mut ages, mut tracker) = (Ages::default(), OffsetTracker::default());
        let began = Instant::now();
        let mut age = |tracker: &OffsetTracker, seconds: u32| {
            ages.look(tracker, &partition, began + SECOND * seconds)
        };
        tracker.assign(partition.clone());
        assert_eq!(age(&tracker, 0), Duration::ZERO, "no record was claimed");
        let first = tracker.claim(&partition, 5).unwrap();
        assert_eq!(age(&tracker, 0), Duration::ZERO);
        let second = tracker.claim(&partition, 6).unwrap();
        assert_eq!(age(&tracker, 1), SECOND);
        assert_eq!(age(&tracker, 3), SECOND * 3);

        tracker.settle(&Settled { position: first, outcome: Outcome::Published });
        tracker.committed(&partition, 6);
        assert_eq!(age(&tracker, 3), SECOND * 2, "the second was claimed a second later");

        tracker.settle(&Settled { position: second, outcome: Outcome::Published });
        tracker.committed(&partition, 7);
        assert_eq!(age(&tracker, 9), Duration::ZERO);
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
}
