use std::collections::HashMap;
use std::ptr;
use std::time::{Duration, Instant};

use rdkafka::bindings::{
    rd_kafka_commit_queue, rd_kafka_queue_destroy, rd_kafka_queue_get_consumer,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{IsError, KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};
use tracing::{debug, warn};

use super::context::Context;
use super::error::Meaning;
use crate::stream::{Epoch, OffsetTracker, Partition};

/// An answer that takes longer is not waited for any more; what it was about is committed again.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// An answer takes one round trip. This long without one, and its coordinator is away.
const HEARD_WITHIN: Duration = Duration::from_secs(1);
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
    /// The last answer was that there is nobody to answer.
    unreachable: bool,
}

struct Pending {
    since: Instant,
    offsets: HashMap<Partition, (Epoch, Offset)>,
}

// === impl Commits ===

impl Commits {
    /// How long a rebalance or a close waits for the last commit.
    pub(super) const WAIT_MAX: Duration = Duration::from_secs(5);

    pub(super) fn new(interval: Duration) -> Self {
        let due = Instant::now() + interval;
        let (pending, retry_at, failing_since) = (None, None, None);
        Self { interval, due, pending, retry_at, failing_since, unreachable: false }
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

    /// Whether the group's coordinator seems to be away.
    pub(super) fn is_unheard(&self) -> bool {
        let waited = self.pending.as_ref().map(|pending| pending.since.elapsed());
        self.unreachable || waited.is_some_and(|waited| waited >= HEARD_WITHIN)
    }

    /// Sends what has moved, if anything has.
    pub(super) fn start(&mut self, consumer: &BaseConsumer<Context>, tracker: &OffsetTracker) {
        self.due = Instant::now() + self.interval;
        let mut list = TopicPartitionList::new();
        let mut offsets = HashMap::new();
        for (partition, offset) in tracker.all_committable() {
            let Some(epoch) = tracker.epoch(&partition) else {
                continue;
            };
            let at = Offset::Offset(offset);
            match list.add_partition_offset(&partition.topic, partition.index, at) {
                Ok(()) => drop(offsets.insert(partition, (epoch, at))),
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
    ///
    /// A request that was given up may be answered while a later one waits: only an answer that
    /// names the offsets of the request counts, and it says nothing beyond those offsets.
    pub(super) fn answered(
        &mut self,
        result: KafkaResult<()>,
        list: &TopicPartitionList,
        tracker: &mut OffsetTracker,
    ) -> Option<RDKafkaErrorCode> {
        let elements = list.elements();
        let Some(pending) = self.pending.take_if(|pending| pending.is_answered_by(&elements))
        else {
            debug!("an answer to a commit came too late");
            return None;
        };
        self.unreachable = false;
        let failure = result.err().or(elements.iter().find_map(|e| e.error().err()));
        if failure.is_none() {
            self.retry_at = None;
            self.failing_since = None;
            for (partition, (epoch, offset)) in pending.offsets {
                // An answer for an earlier assignment says nothing about this one.
                if let Offset::Offset(offset) = offset
                    && tracker.epoch(&partition) == Some(epoch)
                {
                    tracker.committed(&partition, offset);
                }
            }
        }
        // After a failure in part, the part that was taken is committed once more: it is the same.
        let code = failure?.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        let meaning = Meaning::of(code);
        self.unreachable = meaning == Meaning::Unreachable;
        match meaning {
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

// === impl Pending ===

impl Pending {
    fn is_answered_by(&self, elements: &[TopicPartitionListElem<'_>]) -> bool {
        let is_ours = |element: &TopicPartitionListElem<'_>| {
            let partition = Partition { topic: element.topic().into(), index: element.partition() };
            self.offsets.get(&partition).is_some_and(|(_, offset)| *offset == element.offset())
        };
        elements.len() == self.offsets.len() && elements.iter().all(is_ours)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Outcome, Settled};

    fn partition() -> Partition {
        Partition { topic: "sets".into(), index: 3 }
    }

    fn list(offset: i64) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("sets", 3, Offset::Offset(offset)).unwrap();
        list
    }

    /// A tracker with this much settled, and a request for it on its way.
    fn pending(tracker: &mut OffsetTracker, settled: std::ops::Range<i64>) -> Commits {
        let offset = settled.end;
        for offset in settled {
            let position = tracker.claim(&partition(), offset).unwrap();
            tracker.settle(&Settled { position, outcome: Outcome::Published });
        }
        let epoch = tracker.epoch(&partition()).unwrap();
        let offsets = HashMap::from([(partition(), (epoch, Offset::Offset(offset)))]);
        let mut commits = Commits::new(Duration::ZERO);
        commits.pending = Some(Pending { since: Instant::now(), offsets });
        commits
    }

    fn assigned() -> OffsetTracker {
        let mut tracker = OffsetTracker::default();
        tracker.assign(partition());
        tracker
    }

    #[test]
    fn an_answer_to_a_request_that_was_given_up_is_not_taken_for_the_next_one() {
        let mut tracker = assigned();
        pending(&mut tracker, 0..5);
        let mut commits = pending(&mut tracker, 5..9);
        assert_eq!(commits.answered(Ok(()), &list(5), &mut tracker), None);
        assert_eq!(tracker.committable(&partition()), Some(9));
        assert!(commits.is_pending());
        assert_eq!(commits.answered(Ok(()), &list(9), &mut tracker), None);
        assert_eq!(tracker.committable(&partition()), None);
        assert!(!commits.is_pending());
    }

    #[test]
    fn an_answer_for_an_earlier_assignment_commits_nothing() {
        let mut tracker = assigned();
        let mut commits = pending(&mut tracker, 0..5);
        tracker.assign(partition());
        let position = tracker.claim(&partition(), 4).unwrap();
        tracker.settle(&Settled { position, outcome: Outcome::Published });
        assert_eq!(commits.answered(Ok(()), &list(5), &mut tracker), None);
        assert_eq!(tracker.committable(&partition()), Some(5));
    }

    #[test]
    fn a_refusal_is_tried_again_and_a_broker_that_is_away_is_noticed() {
        let mut tracker = assigned();
        let mut commits = pending(&mut tracker, 0..5);
        let away = KafkaError::ConsumerCommit(RDKafkaErrorCode::BrokerTransportFailure);
        assert_eq!(commits.answered(Err(away), &list(5), &mut tracker), None);
        assert_eq!(tracker.committable(&partition()), Some(5));
        assert!(commits.is_pending() && commits.is_unheard());
    }
}
