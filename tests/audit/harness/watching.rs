//! The threads that watch: readers, the sampler of commits, the scales.

use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use super::fleet::Pids;
use super::ledger::{Ledger, Sample, Topic};
use super::stage::{INPUT_PARTITIONS, LETTER_PARTITIONS, OUTPUT_PARTITIONS};
use super::watch::Watch;
use super::worker::Role;

const SAMPLE_INTERVAL: Duration = Duration::from_millis(250);
const SAMPLE_MAX: Duration = Duration::from_secs(3);

/// The threads that watch.
pub(crate) struct Watching {
    watch: Arc<Watch>,
    threads: Vec<JoinHandle<()>>,
}

// === impl Watching ===

impl Watching {
    /// Starts to watch.
    pub(crate) fn start(watch: &Arc<Watch>, brokers: &str, role: &Role, pids: Pids) -> Self {
        let reader = |topic, name: &str, partitions: usize| {
            let (watch, brokers, name) = (Arc::clone(watch), brokers.to_owned(), name.to_owned());
            thread::spawn(move || read(&watch, &brokers, topic, &name, partitions))
        };
        let outputs = reader(Topic::Outputs, &role.outputs, OUTPUT_PARTITIONS);
        let letters = reader(Topic::Letters, &role.letters, LETTER_PARTITIONS);
        let sampler = {
            let (watch, brokers, role) = (Arc::clone(watch), brokers.to_owned(), role.clone());
            thread::spawn(move || sample(&watch, &brokers, &role))
        };
        let scales = {
            let watch = Arc::clone(watch);
            thread::spawn(move || weigh(&watch, &pids))
        };
        Self { watch: Arc::clone(watch), threads: vec![outputs, letters, sampler, scales] }
    }

    /// Whether a thread has given up, which the end will tell.
    pub(crate) fn has_failed(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Reads what is left, where nobody publishes any more, and ends. What was seen.
    pub(crate) fn end(self, wait_max: Duration) -> Ledger {
        let until = Instant::now() + wait_max;
        while !self.watch.is_quiet() && !self.has_failed() {
            assert!(Instant::now() < until, "the topics are not read to their ends");
            thread::park_timeout(Duration::from_millis(50));
        }
        self.watch.end();
        for thread in self.threads {
            thread.join().expect("a thread that watches");
        }
        self.watch.take_ledger()
    }
}

/// Reads a topic as its readers do: no record of a transaction that is not committed.
fn read(watch: &Watch, brokers: &str, topic: Topic, name: &str, partitions: usize) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "auditor")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        // A position that is not there would mean that acknowledged records are gone.
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "100")
        .set("reconnect.backoff.max.ms", "500")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        let added = list.add_partition_offset(name, partition as i32, Offset::Beginning);
        added.expect("a partition");
    }
    consumer.assign(&list).expect("an assignment");
    while !watch.is_over() {
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => {
                watch.at_end(topic, message.partition(), false);
                watch.read(topic, &message);
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => watch.at_end(topic, partition, true),
            // Brokers come and go.
            Some(Err(error)) => assert_ne!(
                error.rdkafka_error_code(),
                Some(RDKafkaErrorCode::AutoOffsetReset),
                "acknowledged records of {name} are gone"
            ),
        }
    }
}

/// Looks now and then what is committed, and how far the topics go by then.
fn sample(watch: &Watch, brokers: &str, role: &Role) {
    let mut consumer = sampler(brokers, role);
    while !watch.is_over() {
        drop(consumer.poll(SAMPLE_INTERVAL));
        match sample_once(&consumer, role) {
            Ok(sample) => watch.sampled(sample),
            // Brokers come and go: the next one will do. A client of its own may have been told of
            // a coordinator that is gone.
            Err(error) => {
                watch.not_sampled(&error);
                consumer = sampler(brokers, role);
            }
        }
    }
}

fn sampler(brokers: &str, role: &Role) -> BaseConsumer {
    let created = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", &role.group)
        .set("enable.auto.commit", "false")
        // A transaction that is committed counts, even where its markers are still on their way.
        .set("isolation.level", "read_uncommitted")
        .set("reconnect.backoff.max.ms", "500")
        .create();
    created.expect("a consumer")
}

fn sample_once(consumer: &BaseConsumer, role: &Role) -> Result<Sample, KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_range(&role.input, 0, INPUT_PARTITIONS as i32 - 1);
    let list = consumer.committed_offsets(list, SAMPLE_MAX)?;
    let mut committed = vec![None; INPUT_PARTITIONS];
    for element in list.elements() {
        element.error()?;
        committed[element.partition() as usize] = match element.offset() {
            Offset::Offset(offset) => Some(u32::try_from(offset).expect("a short log")),
            _ => None,
        };
    }
    let topics =
        [(role.outputs.as_str(), OUTPUT_PARTITIONS), (role.letters.as_str(), LETTER_PARTITIONS)];
    let mut limits = Vec::new();
    for (topic, partitions) in topics {
        for partition in 0..partitions {
            let (_, end) = consumer.fetch_watermarks(topic, partition as i32, SAMPLE_MAX)?;
            limits.push(u32::try_from(end).expect("a short log"));
        }
    }
    Ok(Sample { committed, limits })
}

/// Notes every second how much memory the largest worker has.
fn weigh(watch: &Watch, pids: &Pids) {
    while !watch.is_over() {
        thread::park_timeout(Duration::from_secs(1));
        let pids = pids.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(most) = pids.into_iter().filter_map(resident).max() {
            watch.measured(most);
        }
    }
}

/// Bytes of memory that a process has; `None` where it has ended, or where the system does not tell.
fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}
