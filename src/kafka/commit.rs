use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tracing::{debug, warn};

use super::context::Context;
use super::error::Meaning;
use crate::stream::{Epoch, OffsetTracker, Partition};

/// An answer that takes longer is not waited for any more; what it was about is committed again.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Commits in the background, one request at a time.
///
/// Never through librdkafka's synchronous commit: that one has no time limit.
pub(super) struct Commits {
    interval: Duration,
    due: Instant,
    pending: Option<Pending>,
}

struct Pending {
    since: Instant,
    offsets: Vec<(Partition, Epoch, i64)>,
}

// === impl Commits ===

impl Commits {
    /// How long a rebalance or a close waits for the last commit.
    pub(super) const WAIT_MAX: Duration = Duration::from_secs(5);

    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, due: Instant::now() + interval, pending: None }
    }

    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.due && !self.is_pending()
    }

    pub(super) fn is_pending(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.since.elapsed() < ANSWER_MAX)
    }

    pub(super) fn give_up(&mut self) {
        self.pending = None;
    }

    /// Sends what has moved, if anything has.
    pub(super) fn start(&mut self, consumer: &BaseConsumer<Context>, tracker: &OffsetTracker) {
        self.due = Instant::now() + self.interval;
        let mut list = TopicPartitionList::new();
        let mut offsets = Vec::new();
        for (partition, offset) in tracker.all_committable() {
            let Some(epoch) = tracker.epoch(&partition) else {
                continue;
            };
            let at = Offset::Offset(offset);
            match list.add_partition_offset(&partition.topic, partition.index, at) {
                Ok(()) => offsets.push((partition, epoch, offset)),
                Err(error) => warn!(%partition, offset, %error, "could not note an offset"),
            }
        }
        if offsets.is_empty() {
            return;
        }
        match consumer.commit(&list, CommitMode::Async) {
            Ok(()) => self.pending = Some(Pending { since: Instant::now(), offsets }),
            Err(error) => warn!(%error, "could not commit; tried again"),
        }
    }

    /// Takes the broker's answer. A refusal that will not pass is returned; the rest is logged,
    /// and committed again with the next interval.
    pub(super) fn answered(
        &mut self,
        result: KafkaResult<()>,
        list: &TopicPartitionList,
        tracker: &mut OffsetTracker,
    ) -> Option<RDKafkaErrorCode> {
        let Some(pending) = self.pending.take() else {
            debug!("an answer to a commit came too late");
            return None;
        };
        let elements = list.elements();
        let failure = result.err().or(elements.iter().find_map(|e| e.error().err()));
        if failure.is_none() {
            for (partition, epoch, offset) in pending.offsets {
                // An answer for an earlier assignment says nothing about this one.
                if tracker.epoch(&partition) == Some(epoch) {
                    tracker.committed(&partition, offset);
                }
            }
        }
        // After a failure in part, the part that was taken is committed once more: it is the same.
        let code = failure?.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        match Meaning::of(code) {
            Meaning::TopicUnauthorized | Meaning::GroupUnauthorized | Meaning::Fatal => Some(code),
            Meaning::Transient
            | Meaning::Unreachable
            | Meaning::Dns
            | Meaning::Tls
            | Meaning::Credentials
            | Meaning::TopicMissing
            | Meaning::RecordRefused => {
                warn!(%code, "commit was not taken; tried again with the next one");
                None
            }
        }
    }
}
