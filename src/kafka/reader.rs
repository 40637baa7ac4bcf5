use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::client;
use super::context::{Context, Event};
use super::error::{Meaning, StartError, creation_error};
use super::hand_out::to_record;
use super::reach::probe;
use super::settings::Settings;
use crate::stream::StoredRecord;

/// Records that wait between the thread and who reads.
const READ_AHEAD: usize = 64;
/// One look at one partition.
const LOOK_MAX: Duration = Duration::from_millis(20);
const REQUEST_MAX: Duration = Duration::from_secs(5);

/// Why a topic cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing comes any more.
    #[error("nothing came from topic {topic} for {waited:.0?} ({detail}); look at its brokers")]
    Stalled {
        /// The topic.
        topic: String,
        /// How long it was waited.
        waited: Duration,
        /// The last thing that was reported.
        detail: String,
    },
    /// What will not pass: not authorised, topic gone.
    #[error("cannot read topic {topic}: {reason}")]
    Refused {
        /// The topic.
        topic: String,
        /// What the broker said.
        reason: String,
    },
}

/// Reads a topic once, up to where it ended at the start, whatever any group has committed, and
/// commits nothing itself. Records come in the order of their timestamps across partitions, and in the
/// order of their offsets within one.
#[derive(Debug)]
pub struct TopicReader {
    records: async_channel::Receiver<Result<StoredRecord, ReadError>>,
    total: u64,
}

/// One partition on its way to its end.
struct Part {
    queue: PartitionQueue<Context>,
    index: i32,
    end: i64,
    head: Option<StoredRecord>,
    done: bool,
}

/// The thread that owns the consumer.
struct Reading {
    topic: String,
    consumer: Arc<BaseConsumer<Context>>,
    events: Receiver<Event>,
    parts: Vec<Part>,
    silence_max: Duration,
}

// === impl TopicReader ===

impl TopicReader {
    /// Starts at the beginning or, of each partition, at the first record that is not older than
    /// `since_ms`. Blocks, for `startup_timeout` or so.
    pub fn start(
        settings: &Settings,
        topic: &str,
        since_ms: Option<i64>,
    ) -> Result<Self, StartError> {
        let report = probe(settings, &[topic])?;
        let count = report.topics.first().map_or(0, |topic| topic.partitions);
        let (consumer, events) = consumer(settings, count)?;
        let until = Instant::now() + settings.startup_timeout;
        let not_ready = |error: &KafkaError| StartError::NotReady {
            subject: format!("topic {topic}"),
            waited: settings.startup_timeout,
            detail: error.to_string(),
        };
        let indexes = 0..i32::try_from(count).unwrap_or(i32::MAX);
        let mut bounds = Vec::new();
        for index in indexes {
            let ask = || consumer.fetch_watermarks(topic, index, REQUEST_MAX);
            bounds.push(again(until, ask).map_err(|error| not_ready(&error))?);
        }
        if let Some(since_ms) = since_ms {
            let mut times = TopicPartitionList::new();
            for index in (0..).take(bounds.len()) {
                // The list takes any time after 1970; what is earlier is the beginning.
                let time = Offset::Offset(since_ms.max(0));
                times.add_partition_offset(topic, index, time).map_err(creation_error)?;
            }
            let ask = || consumer.offsets_for_times(times.clone(), REQUEST_MAX);
            let found = again(until, ask).map_err(|error| not_ready(&error))?;
            for element in found.elements() {
                let place = usize::try_from(element.partition()).ok();
                let Some(bounds) = place.and_then(|place| bounds.get_mut(place)) else { continue };
                bounds.0 = match element.offset() {
                    Offset::Offset(offset) => offset.max(bounds.0),
                    // Nothing is as young.
                    _ => bounds.1,
                };
            }
        }
        let mut assignment = TopicPartitionList::new();
        let mut parts = Vec::new();
        let mut total = 0;
        for (index, &(start, end)) in (0..).zip(&bounds).filter(|(_, (start, end))| start < end) {
            let offset = Offset::Offset(start);
            assignment.add_partition_offset(topic, index, offset).map_err(creation_error)?;
            let queue = consumer.split_partition_queue(topic, index).ok_or_else(|| {
                StartError::Client { reason: format!("partition {topic}/{index} has no queue") }
            })?;
            parts.push(Part { queue, index, end, head: None, done: false });
            total += end.abs_diff(start);
        }
        consumer.assign(&assignment).map_err(creation_error)?;
        let (sender, records) = async_channel::bounded(READ_AHEAD);
        let (topic, silence_max) = (topic.to_owned(), settings.startup_timeout);
        let reading = Reading { topic, consumer, events, parts, silence_max };
        const NAME: &str = "kafka-read";
        thread::Builder::new()
            .name(NAME.to_owned())
            .spawn(move || reading.run(&sender))
            .map_err(|source| StartError::Thread { name: NAME, source })?;
        Ok(Self { records, total })
    }

    /// Offsets between start and end: about as many records.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The next record; `None` at the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<StoredRecord, ReadError>> {
        self.records.recv().await.ok()
    }
}

// === impl Reading ===

impl Reading {
    fn run(mut self, sender: &async_channel::Sender<Result<StoredRecord, ReadError>>) {
        loop {
            let next = self.next();
            let end = !matches!(next, Ok(Some(_)));
            // Closed: nobody reads any more.
            let closed = next.transpose().is_some_and(|next| sender.send_blocking(next).is_err());
            if end || closed {
                return;
            }
        }
    }

    /// The oldest of what comes next in each partition; `None` at the end of all.
    fn next(&mut self) -> Result<Option<StoredRecord>, ReadError> {
        let mut heard = Instant::now();
        let mut last = String::from("no answer");
        loop {
            // Serves the client; everything else comes through the partitions' own queues.
            drop(self.consumer.poll(Duration::ZERO));
            for event in self.events.try_iter() {
                if let Event::Failed(_, reason) = event {
                    last = reason;
                }
            }
            let mut waiting = false;
            for part in self.parts.iter_mut().filter(|part| part.head.is_none() && !part.done) {
                match part.look() {
                    Ok(true) => heard = Instant::now(),
                    Ok(false) => waiting = true,
                    Err(code) => last = failed(&self.topic, code)?,
                }
            }
            if !waiting && self.parts.iter().all(|part| part.head.is_some() || part.done) {
                return Ok(self.oldest());
            }
            let waited = heard.elapsed();
            if waited > self.silence_max {
                let topic = self.topic.clone();
                return Err(ReadError::Stalled { topic, waited, detail: last });
            }
        }
    }

    fn oldest(&mut self) -> Option<StoredRecord> {
        let age = |part: &&mut Part| {
            let head = part.head.as_ref();
            (head.and_then(|head| head.record.timestamp_ms), part.index)
        };
        let heads = self.parts.iter_mut().filter(|part| part.head.is_some());
        let part = heads.min_by_key(age)?;
        part.head.take()
    }
}

// === impl Part ===

impl Part {
    /// Whether there is a head now, or none will come.
    fn look(&mut self) -> Result<bool, RDKafkaErrorCode> {
        let message = match self.queue.poll(LOOK_MAX) {
            None => return Ok(false),
            Some(Err(KafkaError::PartitionEOF(_))) => {
                self.done = true;
                return Ok(true);
            }
            Some(Err(error)) => {
                return Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail));
            }
            Some(Ok(message)) => message,
        };
        let offset = message.offset();
        self.done = offset + 1 >= self.end;
        if offset < self.end {
            let record = to_record(&message);
            self.head = Some(StoredRecord { partition: self.index, offset, record });
        }
        Ok(true)
    }
}

/// A consumer that is no member of any group, and says where a partition ends.
pub(super) fn consumer(
    settings: &Settings,
    partitions: usize,
) -> Result<(Arc<BaseConsumer<Context>>, Receiver<Event>), StartError> {
    let (context, events) = Context::new("reader", settings);
    let mut config = client::consumer(settings, partitions);
    config.set("enable.partition.eof", "true");
    let consumer = config.create_with_context(context).map_err(creation_error)?;
    Ok((Arc::new(consumer), events))
}

/// What is told of an error that passes; an error where it does not.
pub(super) fn failed(topic: &str, code: RDKafkaErrorCode) -> Result<String, ReadError> {
    match Meaning::of(code) {
        Meaning::TopicMissing
        | Meaning::TopicUnauthorized
        | Meaning::RecordRefused
        | Meaning::Fatal => {
            Err(ReadError::Refused { topic: topic.to_owned(), reason: code.to_string() })
        }
        Meaning::Transient
        | Meaning::Unreachable
        | Meaning::Dns
        | Meaning::Tls
        | Meaning::Credentials
        | Meaning::GroupUnauthorized => Ok(code.to_string()),
    }
}

/// Asks until there is an answer, or the time is up.
fn again<T>(until: Instant, ask: impl Fn() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    loop {
        match ask() {
            Err(_) if Instant::now() < until => {}
            answer => return answer,
        }
    }
}
