//! What is seen of the run from outside, while it goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::Message;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers};
use serde_json::Value;

use super::inputs;
use super::ledger::{End, Ends, Input, Ledger, Memory, Sample, Topic, Window};
use super::stage::{INPUT_PARTITIONS, LETTER_PARTITIONS, OUTPUT_PARTITIONS};

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

    /// Nobody has to watch any more.
    pub(crate) fn end(&self) {
        self.stop.store(true, Ordering::Release);
    }

    pub(crate) fn take_ledger(&self) -> Ledger {
        std::mem::take(&mut self.lock().ledger)
    }

    /// Whether a partition is read to its end.
    pub(crate) fn at_end(&self, topic: Topic, partition: i32, is_it: bool) {
        let first = if topic == Topic::Outputs { 0 } else { OUTPUT_PARTITIONS };
        self.lock().at_end[first + partition as usize] = is_it;
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

    /// How far each partition is read.
    pub(crate) fn read_up_to(&self) -> String {
        let state = self.lock();
        let next = |ends: &Ends| ends.ends.last().map_or(0, |end| end.offset + 1);
        let told = state
            .ledger
            .ends
            .iter()
            .map(|ends| format!("{:?}/{}: {}", ends.topic, ends.partition, next(ends)));
        told.collect::<Vec<_>>().join(", ")
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
    pub(crate) fn is_quiet(&self) -> bool {
        let state = self.lock();
        state.at_end.iter().all(|&at_end| at_end) && state.last_read.elapsed() > QUIET
    }

    /// An output or a dead letter is there.
    pub(crate) fn read(&self, topic: Topic, message: &BorrowedMessage<'_>) {
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

    pub(crate) fn sampled(&self, sample: Sample) {
        let mut state = self.lock();
        let committed = sample.committed.iter().flatten();
        state.committed_count = committed.map(|&offset| offset as usize).sum();
        state.ledger.samples.push(sample);
    }

    pub(crate) fn not_sampled(&self, error: &KafkaError) {
        let mut state = self.lock();
        state.ledger.not_sampled += 1;
        if state.ledger.not_sampled <= NOTES_MAX {
            let (at, error) = (self.elapsed().as_secs(), error.to_string());
            state.ledger.notes.push(format!("no sample at {at} s: {error}"));
        }
    }

    pub(crate) fn measured(&self, bytes: u64) {
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
