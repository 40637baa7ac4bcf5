//! What a program without any processing does: consume, produce, await delivery, commit.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossrank::stream::{OffsetTracker, Outcome, Partition, Position, Settled};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::topics::{PARTITIONS, Topics};
use crate::{Run, cpu};

/// As `kafka.commit_interval_ms` is.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// Delivery reports are looked at so often, in records.
const REPORTS_EVERY: usize = 8;
const WAIT: Duration = Duration::from_millis(1);
const FLUSH_MAX: Duration = Duration::from_secs(60);

/// Knows what was delivered: only below that is committed.
#[derive(Default)]
struct Delivered(Mutex<OffsetTracker>);

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = Box<Position>;

    fn delivery(&self, result: &DeliveryResult<'_>, position: Box<Position>) {
        assert!(result.is_ok(), "a record was not delivered");
        let settled = Settled { position: *position, outcome: Outcome::Published };
        self.tracker(|tracker| tracker.settle(&settled));
    }
}

impl Delivered {
    fn tracker<T>(&self, body: impl FnOnce(&mut OffsetTracker) -> T) -> T {
        body(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Copies every record of the input, made as long as an output, to a topic.
pub(crate) fn run(topics: &Topics, bytes: usize) -> Run {
    topics.with_output(|output| copy(topics, output, bytes))
}

fn copy(topics: &Topics, output: &str, bytes: usize) -> Run {
    let consumer = consumer(topics, output);
    let producer = producer(topics);
    let partition = |index| Partition { topic: topics.input.as_str().into(), index };
    let assigned: Vec<Partition> = (0..PARTITIONS).map(partition).collect();
    let tracked = producer.context();
    for partition in &assigned {
        tracked.tracker(|tracker| tracker.assign(partition.clone()));
    }
    let (mut copied, mut since) = (0, None);
    let cpu = cpu::seconds();
    let mut committed = Instant::now();
    let mut value = Vec::new();
    while copied < topics.sets {
        if let Some(message) = consumer.poll(WAIT) {
            let message = message.expect("a record");
            since.get_or_insert_with(Instant::now);
            let from = &assigned[message.partition() as usize];
            let position = tracked.tracker(|tracker| tracker.claim(from, message.offset()));
            let position = position.expect("an assigned partition");
            produce(&producer, output, &message, (&mut value, bytes), position);
            copied += 1;
        }
        if copied % REPORTS_EVERY == 0 {
            producer.poll(Duration::ZERO);
        }
        if committed.elapsed() >= COMMIT_INTERVAL {
            commit(&consumer, tracked, CommitMode::Async);
            committed = Instant::now();
        }
    }
    producer.flush(FLUSH_MAX).expect("every record delivered");
    let seconds = since.expect("a first record").elapsed().as_secs_f64();
    commit(&consumer, tracked, CommitMode::Sync);
    Run {
        sets_per_s: topics.sets as f64 / seconds,
        bytes_per_s: (topics.sets * bytes) as f64 / seconds,
        cpu_seconds: cpu::seconds() - cpu,
    }
}

fn produce(
    producer: &BaseProducer<Delivered>,
    topic: &str,
    message: &BorrowedMessage<'_>,
    (value, bytes): (&mut Vec<u8>, usize),
    position: Position,
) {
    // An answer repeats a part of its passages, in the context.
    let payload = message.payload().expect("a value");
    value.clear();
    value.extend_from_slice(payload);
    value.extend_from_slice(payload.get(..bytes.saturating_sub(payload.len())).unwrap_or(payload));
    let source = position.to_string();
    let headers =
        OwnedHeaders::new().insert(Header { key: "crossrank-source", value: Some(&source) });
    let mut position = Box::new(position);
    loop {
        let mut record = BaseRecord::with_opaque_to(topic, position)
            .payload(value.as_slice())
            .headers(headers.clone());
        record.key = message.key();
        match producer.send(record) {
            Ok(()) => return,
            Err((error, record)) => {
                let full = Some(RDKafkaErrorCode::QueueFull);
                assert_eq!(error.rdkafka_error_code(), full, "{error}");
                position = record.delivery_opaque;
                producer.poll(WAIT);
            }
        }
    }
}

fn commit(consumer: &BaseConsumer, delivered: &Delivered, mode: CommitMode) {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in delivered.tracker(|tracker| tracker.all_committable()) {
        let at = Offset::Offset(offset);
        list.add_partition_offset(&partition.topic, partition.index, at).expect("an offset");
        delivered.tracker(|tracker| tracker.committed(&partition, offset));
    }
    if list.count() > 0 {
        consumer.commit(&list, mode).expect("a commit");
    }
}

fn consumer(topics: &Topics, group: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &topics.brokers)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("partition.assignment.strategy", "cooperative-sticky");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    consumer.subscribe(&[&topics.input]).expect("a subscription");
    consumer
}

/// With the properties of the worker's own producer.
fn producer(topics: &Topics) -> BaseProducer<Delivered> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &topics.brokers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("message.max.bytes", "8388608")
        .set("partitioner", "murmur2_random")
        .set("batch.size", "262144")
        .set("queue.buffering.max.kbytes", "65536")
        .set("compression.codec", "lz4");
    config.create_with_context(Delivered::default()).expect("a producer")
}
