//! Threads that watch the run from outside, and write down what they see.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::Value;

use super::fleet::Pids;
use super::inputs;
use super::ledger::{End, Input, Ledger, Memory, Sample, Topic, Window};
use super::stage::{INPUT_PARTITIONS, LETTER_PARTITIONS, OUTPUT_PARTITIONS};
use super::worker::Role;

const SAMPLE_INTERVAL: Duration = Duration::from_millis(250);
const SAMPLE_MAX: Duration = Duration::from_secs(3);
/// So many wrong ends are described.
const NOTES_MAX: usize = 5;
const NOTE_BYTES: usize = 500;
/// Nothing more is to come once it has been quiet for so long.
const QUIET: Duration = Duration::from_secs(2);

/// What was seen so far, shared by all who see something.
pub(crate) struct Watch {
    since: Instant,
    since_ms: i64,
    /// Whether the workers' scorer is ours, so that what it answers is known.
    knows_answers: bool,
    stop: AtomicBool,
    state: Mutex<State>,
}

struct State {
    ledger: Ledger,
    /// Inputs that have an end: partition, then offset.
    answered: Vec<Vec<bool>>,
    answered_count: usize,
    committed_count: usize,
    mark: Mark,
    /// For each partition of both topics, whether all is read.
    at_end: Vec<bool>,
    last_read: Instant,
}

/// Looks out for the first progress after a moment.
struct Mark {
    at: Instant,
    from_ms: u32,
    topic: Option<Topic>,
    /// One for each input partition.
    seen: Vec<bool>,
}

/// The threads that watch.
pub(crate) struct Watching {
    watch: Arc<Watch>,
    threads: Vec<JoinHandle<()>>,
}

// === impl Watch ===

impl Watch {
    pub(crate) fn new(knows_answers: bool) -> Arc<Self> {
        let ledger = Ledger::new(INPUT_PARTITIONS, OUTPUT_PARTITIONS, LETTER_PARTITIONS);
        let state = State {
            at_end: vec![false; ledger.ends.len()],
            ledger,
            answered: vec![Vec::new(); INPUT_PARTITIONS],
            answered_count: 0,
            committed_count: 0,
            mark: Mark::new(0, None),
            last_read: Instant::now(),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
        Arc::new(Self {
            since: Instant::now(),
            since_ms: i64::try_from(now.as_millis()).expect("a time in this age"),
            knows_answers,
            stop: AtomicBool::new(false),
            state: Mutex::new(state),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    fn now_ms(&self) -> u32 {
        u32::try_from(self.since.elapsed().as_millis()).expect("a run of days")
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// A record is in the input topic.
    pub(crate) fn sent(&self, id: u32, partition: i32, offset: i64) {
        let mut state = self.lock();
        let inputs = &mut state.ledger.inputs[partition as usize];
        assert_eq!(inputs.len() as i64, offset, "nobody else writes to the input topic");
        inputs.push(Input { id, key: inputs::key(id) });
    }

    /// A fault begins, which may repeat so many records.
    pub(crate) fn begin_window(&self, repeats_max: u32) {
        let begun_ms = self.now_ms();
        self.lock().ledger.windows.push(Window { begun_ms, repeats_max });
    }

    /// From now on, [`Self::has_recovered`] waits for progress.
    pub(crate) fn mark(&self, topic: Option<Topic>) {
        self.lock().mark = Mark::new(self.now_ms(), topic);
    }

    /// When that was.
    pub(crate) fn marked(&self) -> Instant {
        self.lock().mark.at
    }

    /// Whether every input partition has had an answer to a record for the first time, published
    /// after the mark.
    pub(crate) fn has_recovered(&self) -> bool {
        self.lock().mark.seen.iter().all(|&seen| seen)
    }

    /// Which partitions have not.
    pub(crate) fn behind(&self) -> Vec<usize> {
        let state = self.lock();
        (0..INPUT_PARTITIONS).filter(|&partition| !state.mark.seen[partition]).collect()
    }

    /// Inputs that are in their topic.
    pub(crate) fn sent_count(&self) -> usize {
        self.lock().ledger.produced()
    }

    /// Inputs that have an end.
    pub(crate) fn answered(&self) -> usize {
        self.lock().answered_count
    }

    /// Inputs that the group has committed.
    pub(crate) fn committed(&self) -> usize {
        self.lock().committed_count
    }

    /// Whether all is read, where nobody publishes any more.
    fn is_quiet(&self) -> bool {
        let state = self.lock();
        state.at_end.iter().all(|&at_end| at_end) && state.last_read.elapsed() > QUIET
    }

    fn read(&self, topic: Topic, message: &BorrowedMessage<'_>) {
        let parsed = self.parse(topic, message);
        let mut guard = self.lock();
        let state = &mut *guard;
        state.last_read = Instant::now();
        if !parsed.is_right && state.ledger.notes.len() < NOTES_MAX {
            state.ledger.notes.push(note(parsed.id, topic, message));
        }
        let list = state.ledger.ends_of(topic, message.partition());
        list.ends.push(parsed);
        let (partition, offset) = (usize::from(parsed.input.0), parsed.input.1 as usize);
        let is_ours = |ledger: &Ledger| partition < ledger.inputs.len();
        if !is_ours(&state.ledger) || parsed.input.1 == u32::MAX {
            return;
        }
        let answered = &mut state.answered[partition];
        if answered.len() <= offset {
            answered.resize(offset + 1, false);
        }
        if std::mem::replace(&mut answered[offset], true) {
            return;
        }
        state.answered_count += 1;
        let mark = &mut state.mark;
        if parsed.published_ms >= mark.from_ms && mark.topic.is_none_or(|only| only == topic) {
            mark.seen[partition] = true;
        }
    }

    fn parse(&self, topic: Topic, message: &BorrowedMessage<'_>) -> End {
        let text = |name: &str| header(message, name).unwrap_or_default();
        let id = text(inputs::ID).parse().unwrap_or(u32::MAX);
        let published = message.timestamp().to_millis().unwrap_or_default() - self.since_ms;
        let (place, fingerprint, is_right) = match topic {
            Topic::Outputs => {
                let source = text("crossrank-source");
                let mut parts = source.rsplit('/');
                let (offset, partition) = (parts.next(), parts.next());
                let (fingerprint, is_right) = self.judge_output(id, message.payload());
                ((partition.and_then(number), offset.and_then(number)), fingerprint, is_right)
            }
            Topic::Letters => {
                let place =
                    (number(text("__dlq.errors.partition")), number(text("__dlq.errors.offset")));
                let code = text("crossrank.dlq.code");
                let left_out = text("crossrank.dlq.value_bytes").parse().ok();
                let is_right = inputs::is_letter_of(id, &code, message.payload(), left_out);
                (place, inputs::hash(&(&code, message.payload(), left_out)), is_right)
            }
        };
        let partition = place.0.and_then(|partition| u16::try_from(partition).ok());
        End {
            offset: u32::try_from(message.offset()).expect("a short log"),
            published_ms: u32::try_from(published.max(0)).expect("a run of days"),
            id,
            // What says no place answers a record that nobody sent.
            input: (partition.unwrap_or(u16::MAX), place.1.unwrap_or(u32::MAX)),
            fingerprint,
            is_right,
        }
    }

    fn judge_output(&self, id: u32, value: Option<&[u8]>) -> (u64, bool) {
        let Ok(mut answer) = serde_json::from_slice::<Value>(value.unwrap_or_default()) else {
            return (inputs::hash(&value), false);
        };
        // What may differ between two answers to one set: when, and what was known by then.
        answer["timing_ms"].take();
        ["tokens", "cache_hits"].iter().for_each(|part| drop(answer["usage"][part].take()));
        let is_right = answer["request_id"].as_str() == Some(&id.to_string())
            && inputs::Kind::of(id) == inputs::Kind::Set
            && (!self.knows_answers || inputs::is_answer_to(id, &answer));
        (inputs::hash(&answer.to_string()), is_right)
    }

    fn sampled(&self, sample: Sample) {
        let mut state = self.lock();
        let committed = sample.committed.iter().flatten();
        state.committed_count = committed.map(|&offset| offset as usize).sum();
        state.ledger.samples.push(sample);
    }

    fn not_sampled(&self, error: &KafkaError) {
        let mut state = self.lock();
        state.ledger.not_sampled += 1;
        if state.ledger.not_sampled <= NOTES_MAX {
            let (at, error) = (self.elapsed().as_secs(), error.to_string());
            state.ledger.notes.push(format!("no sample at {at} s: {error}"));
        }
    }

    fn measured(&self, bytes: u64) {
        let at = self.elapsed();
        self.lock().ledger.memory.push(Memory { at, bytes });
    }
}

// === impl Mark ===

impl Mark {
    fn new(from_ms: u32, topic: Option<Topic>) -> Self {
        Self { at: Instant::now(), from_ms, topic, seen: vec![false; INPUT_PARTITIONS] }
    }
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
        self.watch.stop.store(true, Ordering::Release);
        for thread in self.threads {
            thread.join().expect("a thread that watches");
        }
        std::mem::take(&mut self.watch.lock().ledger)
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
    let first = if topic == Topic::Outputs { 0 } else { OUTPUT_PARTITIONS };
    let at_end = |partition: i32, is_it: bool| {
        watch.lock().at_end[first + partition as usize] = is_it;
    };
    while !watch.is_over() {
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => {
                at_end(message.partition(), false);
                watch.read(topic, &message);
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => at_end(partition, true),
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

fn header(message: &BorrowedMessage<'_>, name: &str) -> Option<String> {
    let headers = message.headers()?;
    let value = headers.iter().find(|header| header.key == name)?.value?;
    String::from_utf8(value.to_vec()).ok()
}

/// What is wrong, for people.
fn note(id: u32, topic: Topic, message: &BorrowedMessage<'_>) -> String {
    let headers = message.headers().map(|headers| {
        let text =
            |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or(b"-")).into_owned();
        headers.iter().map(|header| format!("{}={}", header.key, text(header.value))).collect()
    });
    let headers: Vec<String> = headers.unwrap_or_default();
    let value = message.payload().map(|value| {
        let shown = value.get(..NOTE_BYTES).unwrap_or(value);
        format!("{} bytes, {}", value.len(), String::from_utf8_lossy(shown))
    });
    let kind = inputs::Kind::of(id);
    format!("{topic:?}/{}: {kind:?} {id}, {headers:?}, {value:?}", message.offset())
}

fn number(text: impl AsRef<str>) -> Option<u32> {
    text.as_ref().parse().ok()
}
