use std::collections::HashMap;
use std::ffi::CString;
use std::ptr;
use std::time::{Duration, Instant};

use rdkafka::bindings::{
    rd_kafka_commit_queue, rd_kafka_queue_destroy, rd_kafka_queue_get_consumer,
    rd_kafka_topic_partition_list_find,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{IsError, KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};
use tracing::{debug, warn};

use super::context::Context;
use super::error::Meaning;
use super::watchdog::Seen;
use crate::stream::{Completed, Epoch, OffsetTracker, Partition};

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
    /// Says in the metadata of a commit what is settled above it.
    keep_completed: bool,
    /// What was last said about each partition.
    told: HashMap<Partition, String>,
    due: Instant,
    pending: Option<Pending>,
    /// Not before this, since the last one was refused.
    retry_at: Option<Instant>,
    /// When the refusals began, or were last reported.
    failing_since: Option<Instant>,
    /// The last answer was that there is nobody to answer.
    unreachable: bool,
    /// Answers of any kind.
    answers: usize,
}

/// What is committed for one partition.
struct Due {
    partition: Partition,
    epoch: Epoch,
    offset: i64,
    metadata: String,
}

struct Pending {
    since: Instant,
    offsets: HashMap<Partition, (Epoch, Offset)>,
}

// === impl Commits ===

impl Commits {
    /// How long a rebalance or a close waits for the last commit.
    pub(super) const WAIT_MAX: Duration = Duration::from_secs(5);

    pub(super) fn new(interval: Duration, keep_completed: bool) -> Self {
        Self {
            interval,
            keep_completed,
            told: HashMap::new(),
            due: Instant::now() + interval,
            pending: None,
            retry_at: None,
            failing_since: None,
            unreachable: false,
            answers: 0,
        }
    }

    /// Whether commits say what is settled above them.
    pub(super) fn keeps_completed(&self) -> bool {
        self.keep_completed
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

    /// What is waited for, and what came.
    pub(super) fn seen(&self) -> Seen {
        // What was given up is sent anew, if there still is something to commit.
        let waits = |pending: &Pending| pending.since.elapsed() < ANSWER_MAX;
        let owed = usize::from(self.pending.as_ref().is_some_and(waits));
        Seen { owed, answered: self.answers }
    }

    /// Sends what has moved, if anything has.
    pub(super) fn start(&mut self, consumer: &BaseConsumer<Context>, tracker: &OffsetTracker) {
        self.due = Instant::now() + self.interval;
        let mut list = TopicPartitionList::new();
        let mut offsets = HashMap::new();
        let due: Vec<Due> = tracker.assigned().filter_map(|p| self.due_of(p, tracker)).collect();
        for Due { partition, epoch, offset, metadata } in due {
            let at = Offset::Offset(offset);
            match list.add_partition_offset(&partition.topic, partition.index, at) {
                Ok(()) => {
                    if let Some(mut element) =
                        list.find_partition(&partition.topic, partition.index)
                    {
                        element.set_metadata(&metadata);
                    }
                    self.told.insert(partition.clone(), metadata);
                    offsets.insert(partition, (epoch, at));
                }
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

    /// The partition is not ours any more: whoever owns it next may commit something else.
    pub(super) fn forget(&mut self, partition: &Partition) {
        self.told.remove(partition);
    }

    /// What there is to commit of one partition, if it differs from what the broker knows.
    fn due_of(&self, partition: &Partition, tracker: &OffsetTracker) -> Option<Due> {
        let epoch = tracker.epoch(partition)?;
        let moved = tracker.committable(partition);
        if !self.keep_completed {
            let (partition, metadata) = (partition.clone(), String::new());
            return Some(Due { partition, epoch, offset: moved?, metadata });
        }
        let offset = tracker.committable_if(partition, |_| false)?;
        let metadata = tracker.completed(partition).to_text(offset);
        let told = self.told.get(partition).map_or("", String::as_str);
        if moved.is_none() && metadata == told {
            return None;
        }
        Some(Due { partition: partition.clone(), epoch, offset, metadata })
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
        self.answers += 1;
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
        if code == RDKafkaErrorCode::OffsetMetadataTooLarge && self.keep_completed {
            // Without it the next commit is taken.
            self.keep_completed = false;
            warn!(
                "the brokers take no metadata of {} bytes with a commit; it goes without from now on: \
                 raise offset.metadata.max.bytes, or set kafka.keep_completed = false",
                Completed::TEXT_BYTES_MAX
            );
        }
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
                self.told.clear();
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

/// What was committed beside the offset of this partition, if it is text.
///
/// Not through rdkafka, whose reader panics on metadata that is not UTF-8: any program may have
/// written it.
pub(super) fn metadata(list: &TopicPartitionList, partition: &Partition) -> Option<String> {
    let topic = CString::new(&*partition.topic).ok()?;
    // SAFETY: list and topic live through the block. The element that is found belongs to the list, and
    // its metadata, where there is any, are `metadata_size` bytes that nobody changes meanwhile.
    let bytes = unsafe {
        let found = rd_kafka_topic_partition_list_find(list.ptr(), topic.as_ptr(), partition.index);
        let element = found.as_ref()?;
        if element.metadata.is_null() {
            return None;
        }
        std::slice::from_raw_parts(element.metadata.cast::<u8>(), element.metadata_size).to_vec()
    };
    String::from_utf8(bytes).ok()
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
        let mut commits = Commits::new(Duration::ZERO, true);
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
    fn metadata_of_any_kind_can_be_read() {
        let offsets = list(5);
        assert_eq!(metadata(&offsets, &partition()), None);
        let set = |text: &str| {
            let element = offsets.find_partition("sets", 3);
            element.unwrap().set_metadata(text);
            metadata(&offsets, &partition())
        };
        assert_eq!(set("crossrank").as_deref(), Some("crossrank"));
        assert_eq!(set("").as_deref(), Some(""));
        let elsewhere = Partition { index: 4, ..partition() };
        assert_eq!(metadata(&offsets, &elsewhere), None);
    }

    #[test]
    fn what_is_settled_above_a_hole_is_said_once() {
        let mut tracker = assigned();
        let at: Vec<_> = (0..4).map(|o| tracker.claim(&partition(), o).unwrap()).collect();
        let mut commits = Commits::new(Duration::ZERO, true);
        assert!(commits.due_of(&partition(), &tracker).is_none(), "nothing is settled");
        tracker.settle(&Settled { position: at[2].clone(), outcome: Outcome::Published });
        let due = commits.due_of(&partition(), &tracker).unwrap();
        assert_eq!(due.offset, 0);
        assert!(Completed::from_text(&due.metadata, 0).contains(2));
        commits.told.insert(partition(), due.metadata);
        assert!(commits.due_of(&partition(), &tracker).is_none(), "it is known");
        commits.forget(&partition());
        assert!(commits.due_of(&partition(), &tracker).is_some());
        commits.keep_completed = false;
        assert!(commits.due_of(&partition(), &tracker).is_none(), "turned off");
    }

    #[test]
    fn brokers_that_take_no_metadata_get_commits_without() {
        let mut tracker = assigned();
        let mut commits = pending(&mut tracker, 0..5);
        let held = tracker.claim(&partition(), 5).unwrap();
        let above = tracker.claim(&partition(), 6).unwrap();
        tracker.settle(&Settled { position: above, outcome: Outcome::Published });
        assert_ne!(commits.due_of(&partition(), &tracker).unwrap().metadata, "");
        let refused = KafkaError::ConsumerCommit(RDKafkaErrorCode::OffsetMetadataTooLarge);
        assert_eq!(commits.answered(Err(refused), &list(5), &mut tracker), None);
        let due = commits.due_of(&partition(), &tracker).unwrap();
        assert_eq!((due.offset, due.metadata.as_str()), (held.offset, ""));
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
