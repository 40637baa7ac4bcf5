//! Sends the inputs, in bursts, at a pace that makes them last for all faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::inputs;
use super::stage::INPUT_PARTITIONS;
use super::watch::Watch;

/// Inputs without an end at most: what waits is no news after that.
const AHEAD_MAX: usize = 10_000;
/// Records a second, where a fault takes longer than its share of the records.
const TRICKLE: u32 = 40;
/// Between two bursts at most.
const REST_MAX_MS: u64 = 900;
/// Longer than any outage.
const DELIVERY_TIMEOUT: &str = "300000";

/// How fast inputs are sent.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    per_second: AtomicU32,
    /// From this input on, a few at a time: the rest is for later faults.
    quota: AtomicU32,
}

/// A thread that sends.
pub(crate) struct Producing {
    thread: JoinHandle<()>,
    pub(crate) pace: Arc<Pace>,
}

/// Writes down what is acknowledged.
struct Report(Arc<Watch>);

// === impl Pace ===

impl Pace {
    pub(crate) fn set(&self, per_second: u32, quota: u32) {
        self.quota.store(quota, Ordering::Release);
        self.per_second.store(per_second, Ordering::Release);
    }

    /// How many are to be sent from `next` on, after such a time.
    fn due(&self, next: u32, time: Duration) -> usize {
        let per_second = self.per_second.load(Ordering::Acquire);
        let due = |rate: u32| (f64::from(rate) * time.as_secs_f64()) as usize;
        let left = self.quota.load(Ordering::Acquire).saturating_sub(next) as usize;
        due(per_second).min(left.max(due(per_second.min(TRICKLE))))
    }
}

// === impl Report ===

impl ClientContext for Report {}

impl ProducerContext for Report {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, id: usize) {
        match result {
            Ok(sent) => self.0.sent(id as u32, sent.partition(), sent.offset()),
            Err((error, _)) => panic!("input {id} cannot be sent: {error}"),
        }
    }
}

// === impl Producing ===

impl Producing {
    pub(crate) fn start(
        watch: &Arc<Watch>,
        brokers: &str,
        topic: &str,
        messages: u32,
        seed: u64,
    ) -> Self {
        let pace = Arc::new(Pace::default());
        let (watch, at) = (Arc::clone(watch), Arc::clone(&pace));
        let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
        let send = move || produce(&watch, &brokers, &topic, messages, &at, seed);
        Self { thread: thread::spawn(send), pace }
    }

    /// Whether all is sent, or has failed.
    pub(crate) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    pub(crate) fn end(self) {
        self.thread.join().expect("the producer");
    }
}

fn produce(watch: &Arc<Watch>, brokers: &str, topic: &str, messages: u32, pace: &Pace, seed: u64) {
    let producer: BaseProducer<Report> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("delivery.timeout.ms", DELIVERY_TIMEOUT)
        .set("linger.ms", "5")
        .set("compression.type", "lz4")
        .set("reconnect.backoff.max.ms", "500")
        .create_with_context(Report(Arc::clone(watch)))
        .expect("a producer");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut ids = 0..messages;
    let mut last = Instant::now();
    while !ids.is_empty() && !watch.is_over() {
        let rest = Instant::now() + Duration::from_millis(random.u64(20..REST_MAX_MS));
        while Instant::now() < rest {
            producer.poll(Duration::from_millis(10));
        }
        let due = pace.due(ids.start, last.elapsed());
        last = Instant::now();
        let ahead = ids.start as usize - watch.answered().min(ids.start as usize);
        for id in ids.by_ref().take(due.min(AHEAD_MAX.saturating_sub(ahead))) {
            send(&producer, topic, id);
        }
    }
    while producer.in_flight_count() > 0 && !watch.is_over() {
        producer.poll(Duration::from_millis(10));
    }
}

fn send(producer: &BaseProducer<Report>, topic: &str, id: u32) {
    let text = id.to_string();
    let header = Header { key: inputs::ID, value: Some(&text) };
    let key = inputs::key(id).map(|key| key.to_string());
    let value = inputs::value(id);
    let mut record = BaseRecord::<str, [u8], usize>::with_opaque_to(topic, id as usize)
        .partition(inputs::partition(id, INPUT_PARTITIONS) as i32)
        .headers(OwnedHeaders::new().insert(header));
    record.key = key.as_deref();
    record.payload = value.as_deref();
    while let Err((error, back)) = producer.send(record) {
        let full = Some(RDKafkaErrorCode::QueueFull);
        assert_eq!(error.rdkafka_error_code(), full, "{error}");
        record = back;
        producer.poll(Duration::from_millis(10));
    }
}
