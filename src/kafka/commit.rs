use std::ptr;
use std::time::{Duration, Instant};

use rdkafka::bindings::{
    rd_kafka_commit_queue, rd_kafka_queue_destroy, rd_kafka_queue_get_consumer,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{IsError, KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tracing::{debug, warn};

use super::context::Context;
use super::error::Meaning;
use crate::stream::{Epoch, OffsetTracker, Partition};

/// An answer that takes longer is not waited for any more; what it was about is committed again.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// After a refusal, before the next try.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// A commit may fail for a while: during a rebalance it has to. After this long it is reported, and
/// again whenever it has passed.
const FAILING_MAX: Duration = Duration::from_secs(30);

/// Commits in the background, one request at a time.
pub(super) struct Commits {
    interval: Duration,
    due: Instant,
    pending: Option<Pending>,
    /// Not before this, since the last one was refused.
    retry_at: Option<Instant>,
    /// When the refusals began, or were last reported.
    failing_since: Option<Instant>,
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
        let due = Instant::now() + interval;
        Self { interval, due, pending: None, retry_at: None, failing_since: None }
    }

    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.due && !self.is_pending()
    }

    /// Whether an answer or the next try is waited for.
    pub(super) fn is_pending(&self) -> bool {
        let now = Instant::now();
        self.pending.as_ref().is_some_and(|pending| now - pending.since < ANSWER_MAX)
            || self.retry_at.is_some_and(|at| now < at)
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
        match send(consumer, &list) {
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
            self.retry_at = None;
            self.failing_since = None;
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
                debug!(%code, "commit was not taken; tried again");
                let now = Instant::now();
                self.retry_at = Some(now + RETRY_AFTER);
                if now - *self.failing_since.get_or_insert(now) >= FAILING_MAX {
                    self.failing_since = Some(now);
                    warn!(%code, "no commit has been taken for a while; it is tried again");
                }
                None
            }
        }
    }
}

/// Sends a commit whose answer comes as an event of the consumer's queue.
///
/// Not through rdkafka: its asynchronous commit is never answered (librdkafka answers it only to a
/// callback that rdkafka does not register), and its synchronous one has no time limit.
fn send(consumer: &BaseConsumer<Context>, list: &TopicPartitionList) -> KafkaResult<()> {
    let client = consumer.client().native_ptr();
    // SAFETY: client and list live through the call, which copies the list. The queue is a
    // reference of our own, given back once; the pending answer holds one of its own.
    let code = unsafe {
        let queue = rd_kafka_queue_get_consumer(client);
        if queue.is_null() {
            return Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::State));
        }
        let code = rd_kafka_commit_queue(client, list.ptr(), queue, None, ptr::null_mut());
        rd_kafka_queue_destroy(queue);
        code
    };
    if code.is_error() { Err(KafkaError::ConsumerCommit(code.into())) } else { Ok(()) }
}
