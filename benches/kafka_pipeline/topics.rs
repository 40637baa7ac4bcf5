use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use tokio::runtime::Runtime;

use crate::kafka::{create_topic, delete_topic};
use crate::support::Sets;

pub(crate) const PARTITIONS: i32 = 4;
const WAIT: Duration = Duration::from_millis(20);
const FLUSH_MAX: Duration = Duration::from_secs(120);

/// A topic full of candidate sets, and names for what is made of them.
pub(crate) struct Topics {
    pub(crate) brokers: String,
    pub(crate) input: String,
    /// The value of one of its records.
    pub(crate) sample: Vec<u8>,
    pub(crate) sets: usize,
    runs: AtomicUsize,
    runtime: Runtime,
}

// === impl Topics ===

impl Topics {
    pub(crate) fn filled(brokers: &str, size: usize, sets: usize) -> Self {
        let mut random = Sets::new();
        let made: Vec<Vec<u8>> = (0..sets).map(|id| random.set(id, size)).collect();
        Self::holding(brokers, &format!("{size}"), &made)
    }

    /// A topic of these records, at least one.
    pub(crate) fn holding(brokers: &str, name: &str, values: &[Vec<u8>]) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let input = format!("bench-{}-{name}", std::process::id());
        runtime.block_on(create_topic(brokers, &input, PARTITIONS, 1));
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("compression.codec", "lz4");
        let producer: BaseProducer = config.create().expect("a producer");
        for (id, value) in values.iter().enumerate() {
            send(&producer, &input, id, value);
        }
        producer.flush(FLUSH_MAX).expect("every set in the topic");
        let brokers = brokers.to_owned();
        let (sample, sets) = (values[0].clone(), values.len());
        Self { brokers, input, sample, sets, runs: AtomicUsize::new(0), runtime }
    }

    /// Runs `body` with a topic for outputs, and a name for it and its group that nobody had before.
    pub(crate) fn with_output<T>(&self, body: impl FnOnce(&str) -> T) -> T {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let output = format!("{}-out-{run}", self.input);
        self.runtime.block_on(create_topic(&self.brokers, &output, PARTITIONS, 1));
        let result = body(&output);
        self.runtime.block_on(delete_topic(&self.brokers, &output));
        result
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        self.runtime.block_on(delete_topic(&self.brokers, &self.input));
    }
}

fn send(producer: &BaseProducer, topic: &str, id: usize, value: &[u8]) {
    let key = id.to_string();
    let partition = id as i32 % PARTITIONS;
    loop {
        let record = BaseRecord::to(topic).key(&key).payload(value).partition(partition);
        match producer.send(record) {
            Ok(()) => return,
            Err((error, _)) => {
                let full = Some(RDKafkaErrorCode::QueueFull);
                assert_eq!(error.rdkafka_error_code(), full, "{error}");
                producer.poll(WAIT);
            }
        }
    }
}
