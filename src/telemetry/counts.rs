use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::{Board, CountBy, Distributions, Level, Partitions, Stage};

/// One number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

macro_rules! counts {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// What happened since start-up. Shared as `Arc<Counts>`; each number is exact, and the
        /// numbers of one snapshot may be a few records apart.
        ///
        /// What has labels, or is of the moment, stands beside them and is in no snapshot.
        #[derive(Debug, Default)]
        pub struct Counts {
            $($(#[$doc])+ pub $name: Count,)+
            /// Those of `candidates_unscored` by their reason.
            pub unscored: CountBy,
            /// Those of `dead_letters` by their code.
            pub dead_letter_codes: CountBy,
            /// Rebalances that brought partitions, or took them: `assigned`, `revoked`, `lost`.
            pub rebalances: CountBy,
            /// What was read of each partition.
            pub partitions: Partitions,
            /// Sets that are claimed and not settled.
            pub sets_in_flight: Level,
            /// Bytes that they cost, about.
            pub sets_memory: Level,
            /// Tokens that wait to be scored.
            pub queue_tokens: Level,
            /// What people and probes are shown beside these numbers.
            pub board: Board,
            group: OnceLock<Arc<str>>,
            pub(super) distributions: OnceLock<Distributions>,
        }

        /// The counts at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Snapshot {
            $($(#[$doc])+ pub $name: u64,)+
        }

        impl Counts {
            /// The counts as they are now.
            pub fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.get(),)+ }
            }
        }

        impl Snapshot {
            /// What was added since an earlier snapshot.
            #[must_use]
            pub fn since(&self, earlier: &Self) -> Self {
                Self { $($name: self.$name.saturating_sub(earlier.$name),)+ }
            }

            /// Names and numbers, in a fixed order.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }

            /// Logs the counts as the fields of one event.
            pub fn log(&self) {
                tracing::info!($($name = self.$name,)+ "counts");
            }
        }
    };
}

/// A set in flight; it is none any more when this is dropped.
#[derive(Debug)]
pub struct InFlight {
    counts: Arc<Counts>,
    bytes: usize,
}

counts! {
    /// Sets taken from the input topic, bad records included.
    sets_claimed,
    /// Answers acknowledged by the brokers, of any status.
    sets_published,
    /// Answers in which every candidate has its score.
    sets_reranked,
    /// Answers in first-stage order, because nothing was scored in time or by policy.
    sets_passthrough,
    /// Answers with some candidates unscored.
    sets_partial,
    /// Records acknowledged by the brokers on the dead letter topic.
    dead_letters,
    /// Pairs with a logit.
    pairs_scored,
    /// Windows that they were scored in: one for a passage that fits, several for a long one.
    windows_scored,
    /// Tokens that the model read, special tokens included; pairs from the score cache add none.
    tokens_scored,
    /// Those of them whose logit was known already, or shared with an identical pair.
    cache_hits,
    /// Passages of which only the first part was scored.
    passages_truncated,
    /// Queries of which only the first part was used.
    queries_truncated,
    /// Candidates without a score: empty, beyond the limit, late, or with a logit that is not finite.
    candidates_unscored,
    /// Sets that were late or expired and came back in first-stage order.
    sets_late_passthrough,
    /// Sets that were late and came back with those candidates scored for which there was time.
    sets_late_partial,
    /// Sets that were late or expired and became dead letters.
    sets_late_failed,
    /// Sets that had expired by the time their scores were there, which was no reason not to score them.
    sets_late_scored,
    /// Candidates without a score for want of time; among `candidates_unscored`, but for those of dead
    /// letters.
    candidates_late,
    /// Publishes tried again after a refusal.
    publish_retries,
    /// Transactions that committed outputs and inputs.
    transactions_committed,
    /// Transactions that were given up; what was in them goes into later ones.
    transactions_aborted,
    /// Kafka clients that were stuck and replaced.
    client_rebuilds,
}

// === impl Count ===

impl Count {
    /// Adds `more`.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The number as it is now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

// === impl Counts ===

impl Counts {
    /// Counts that somebody looks at.
    pub(super) fn shown_on(board: Board) -> Self {
        Self { board, ..Self::default() }
    }

    /// A set that costs so many bytes is in flight.
    pub fn take_in(self: &Arc<Self>, bytes: usize) -> InFlight {
        self.sets_in_flight.rise(1);
        self.sets_memory.rise(bytes);
        InFlight { counts: Arc::clone(self), bytes }
    }

    /// Says for which group records are read. The first word counts.
    pub fn reads_for(&self, group: &Arc<str>) {
        let _known = self.group.set(Arc::clone(group));
    }

    pub(super) fn group(&self) -> Option<&Arc<str>> {
        self.group.get()
    }

    /// A set took so long in a stage: for the page, and for who collects metrics.
    pub fn took(&self, stage: Stage, time: Duration) {
        self.board.took(stage, time);
        if let Some(distributions) = self.distributions() {
            distributions.stage(stage, time);
        }
    }

    /// Where distributions are recorded; `None` where nobody collects them.
    pub fn distributions(&self) -> Option<&Distributions> {
        self.distributions.get()
    }
}

// === impl InFlight ===

impl Drop for InFlight {
    fn drop(&mut self) {
        self.counts.sets_in_flight.fall(1);
        self.counts.sets_memory.fall(self.bytes);
    }
}

// === impl Snapshot ===

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, number)) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            write!(f, "{separator}{name}={number}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_holds_what_was_counted_and_since_only_what_was_added() {
        let counts = Counts::default();
        counts.sets_claimed.add(2);
        let earlier = counts.snapshot();
        counts.sets_claimed.add(3);
        counts.pairs_scored.add(50);

        let added = counts.snapshot().since(&earlier);
        assert_eq!(counts.snapshot().sets_claimed, 5);
        assert_eq!(added, Snapshot { sets_claimed: 3, pairs_scored: 50, ..Snapshot::default() });
    }

    #[test]
    fn a_set_is_in_flight_for_as_long_as_its_guard_lives() {
        let counts = Arc::new(Counts::default());
        let (small, large) = (counts.take_in(10), counts.take_in(90));
        assert_eq!((counts.sets_in_flight.get(), counts.sets_memory.get()), (2, 100));
        drop(large);
        assert_eq!((counts.sets_in_flight.get(), counts.sets_memory.get()), (1, 10));
        drop(small);
        assert_eq!((counts.sets_in_flight.get(), counts.sets_memory.get()), (0, 0));
    }

    #[test]
    fn counts_of_many_threads_are_all_there() {
        let counts = Counts::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| counts.tokens_scored.add(1)));
            }
        });
        assert_eq!(counts.tokens_scored.get(), 4_000);
    }

    #[test]
    fn printed_counts_name_every_number_on_one_line() {
        let line = Snapshot { dead_letters: 7, ..Snapshot::default() }.to_string();
        assert!(line.starts_with("sets_claimed=0 sets_published=0 "), "{line}");
        assert!(line.contains(" dead_letters=7 "), "{line}");
        assert!(!line.contains('\n'));
    }
}
