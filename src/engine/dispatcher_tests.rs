//! The dispatcher between a test that plays the tokenizers and one that plays the replicas.

#[path = "dispatcher_order_tests.rs"]
mod order;
#[path = "dispatcher_sharing_tests.rs"]
mod sharing;
#[path = "dispatcher_span_tests.rs"]
mod spans;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{RecvTimeoutError, bounded};
use tokio::sync::oneshot;

use super::*;
use crate::engine::schedule::{PATIENCE, SWEEP_INTERVAL};
use crate::engine::tokenizers::{Header, KeyedWindow};
use crate::engine::{Deadline, EngineError, Late, PairError, SetScores, WindowScore};
use crate::telemetry::SetSpan;

type Reply = oneshot::Receiver<Result<SetScores, EngineError>>;

/// Longer than anything takes here: what waits this long waits for ever.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// What a batch takes; of no account where no deadline binds.
const TOOK: Duration = Duration::from_millis(1);

/// One replica that takes one batch at a time.
const SIZES: Sizes = Sizes {
    replicas: 1,
    ahead_max: 1,
    batch_tokens_max: 16,
    queue_tokens_max: 1000,
    cache_pairs_max: 0,
};

struct Stage {
    parts: Option<Sender<Part>>,
    batches: Receiver<Vec<Keyed>>,
    events: Sender<Event>,
    dispatcher: JoinHandle<()>,
    /// The number of the last set or pair that is unlike any other.
    last: std::cell::Cell<u64>,
}

/// A set on its way in.
struct Set {
    header: Header,
    pairs: Vec<Option<Keyed>>,
    scores: Reply,
}

// === impl Stage ===

impl Stage {
    fn start(sizes: Sizes) -> Self {
        let (into_parts, parts) = bounded(0);
        let (into_events, events) = bounded(sizes.ahead_max);
        let (into_batches, batches) = bounded(sizes.ahead_max);
        let channels = Channels { parts, events, batches: into_batches };
        let dispatcher = Dispatcher::new(channels, sizes, Arc::default(), Arc::default());
        let dispatcher = std::thread::spawn(move || dispatcher.run());
        let last = std::cell::Cell::new(1000);
        Self { parts: Some(into_parts), batches, events: into_events, dispatcher, last }
    }

    fn send(&self, set: Set) -> Reply {
        let count = set.pairs.len();
        let (part, scores) = self.send_in_parts(set, count);
        self.send_part(part);
        scores
    }

    /// Sends a set in parts of `count` pairs, but for the last part, which is handed back.
    fn send_in_parts(&self, set: Set, count: usize) -> (Part, Reply) {
        let number = self.unlike_any();
        let mut last = Part { set: number, header: Some(set.header), passages: Vec::new() };
        for pair in set.pairs {
            if last.passages.len() == count {
                self.send_part(last);
                last = Part { set: number, header: None, passages: Vec::new() };
            }
            last.passages.push(pair.map(whole));
        }
        (last, set.scores)
    }

    fn send_part(&self, part: Part) {
        let parts = self.parts.as_ref().unwrap();
        assert!(parts.send_timeout(part, WAIT_MAX).is_ok(), "nothing is taken");
    }

    fn unlike_any(&self) -> u64 {
        self.last.set(self.last.get() + 1);
        self.last.get()
    }

    /// A set of pairs unlike any other; a length of 0 was refused by the tokenizer.
    fn set(&self, lengths: &[usize]) -> Set {
        let pair =
            |&tokens: &usize| (tokens > 0).then(|| Keyed::numbered(self.unlike_any(), tokens));
        set_of(lengths.iter().map(pair).collect())
    }

    fn batch(&self) -> Vec<Keyed> {
        self.batches.recv_timeout(WAIT_MAX).unwrap()
    }

    /// Answers one batch: the logit of a pair is its number of tokens.
    fn answer_one(&self) -> Vec<Keyed> {
        let members = self.batch();
        let answered = members.iter().map(|k| Keyed { key: k.key, pair: k.pair.clone() });
        let answered = answered.collect();
        let logits = members.iter().map(|k| k.pair.ids.len() as f32).collect();
        self.events.send(Event::Scored { members, logits, took: TOOK }).unwrap();
        answered
    }

    fn end(mut self) {
        self.parts = None;
        let more = self.batches.recv_timeout(WAIT_MAX).map(|batch| batch.len());
        assert_eq!(more, Err(RecvTimeoutError::Disconnected), "nothing more is scored");
        self.dispatcher.join().unwrap();
    }
}

// === impl Set ===

impl Set {
    fn wanted(mut self, wanted: &Arc<AtomicBool>) -> Self {
        let wanted = Arc::clone(wanted);
        self.header.wanted = Box::new(move || wanted.load(Ordering::Acquire));
        self
    }

    fn since(mut self, since: Instant) -> Self {
        self.header.since = since;
        self
    }

    fn deadline(mut self, deadline: Instant) -> Self {
        self.header.deadline = Some(Deadline { at: deadline, late: Late::Score });
        self
    }
}

/// A passage that is read at once.
fn whole(keyed: Keyed) -> Vec<KeyedWindow> {
    vec![KeyedWindow { keyed, bytes: None }]
}

fn set_of(pairs: Vec<Option<Keyed>>) -> Set {
    let (reply, scores) = oneshot::channel();
    let header = Header {
        query_truncated: false,
        passages: pairs.len(),
        score: WindowScore::Best,
        deadline: None,
        wanted: Box::new(|| true),
        span: SetSpan::default(),
        since: Instant::now(),
        taken: Arc::default(),
        reply,
    };
    Set { header, pairs, scores }
}

/// A set of 16-token pairs by number: the same number is the same pair.
fn numbered(numbers: &[u64]) -> Set {
    set_of(numbers.iter().map(|&number| Some(Keyed::numbered(number, 16))).collect())
}

fn wanted() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(true))
}

fn received(reply: Reply) -> Result<SetScores, EngineError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let received = runtime.block_on(async { tokio::time::timeout(WAIT_MAX, reply).await });
    received.expect("no answer comes").unwrap()
}

fn scores(reply: Reply) -> SetScores {
    received(reply).unwrap()
}

fn logits(reply: Reply) -> Vec<Result<f32, PairError>> {
    scores(reply).pairs.into_iter().map(|pair| pair.logit).collect()
}

/// Which pairs the model did not run for. All have a logit.
fn cached(reply: Reply) -> Vec<bool> {
    let pair = |pair: crate::engine::PairScore| pair.logit.map(|_| pair.cached).unwrap();
    scores(reply).pairs.into_iter().map(pair).collect()
}

fn is(batch: &[Keyed], number: u64) -> bool {
    batch.iter().map(|keyed| keyed.key).eq([Keyed::numbered(number, 1).key])
}

#[test]
fn scores_come_back_in_the_order_of_the_request() {
    let stage = Stage::start(SIZES);
    let reply = stage.send(stage.set(&[9, 3, 12, 4]));
    (0..2).for_each(|_| drop(stage.answer_one()));
    assert_eq!(logits(reply), [Ok(9.0), Ok(3.0), Ok(12.0), Ok(4.0)]);
    stage.end();
}

#[test]
fn a_passage_that_cannot_be_tokenised_does_not_fail_its_set() {
    let stage = Stage::start(SIZES);
    let reply = stage.send(stage.set(&[9, 0]));
    stage.answer_one();
    assert_eq!(logits(reply), [Ok(9.0), Err(PairError::Tokenization)]);
    let nothing = stage.send(stage.set(&[0, 0]));
    assert_eq!(logits(nothing), [Err(PairError::Tokenization); 2]);
    stage.end();
}

#[test]
fn a_logit_that_is_not_finite_does_not_fail_its_set() {
    let stage = Stage::start(Sizes { cache_pairs_max: 10, ..SIZES });
    let reply = stage.send(set_of((1..3).map(|n| Some(Keyed::numbered(n, 5))).collect()));
    let members = stage.batch();
    stage.events.send(Event::Scored { members, logits: vec![f32::NAN, 1.0], took: TOOK }).unwrap();
    assert_eq!(logits(reply), [Err(PairError::NotFinite), Ok(1.0)]);
    let again = stage.send(numbered(&[1]));
    stage.answer_one();
    assert_eq!(cached(again), [false], "no number is no score to remember");
    stage.end();
}

#[test]
fn a_set_that_is_no_longer_wanted_is_answered_without_being_scored() {
    let stage = Stage::start(SIZES);
    let (first, second) = (wanted(), wanted());
    let begun = stage.send(stage.set(&[16, 16]).wanted(&first));
    let waiting = stage.send(stage.set(&[16, 16]).wanted(&second));
    let members = stage.batch();
    first.store(false, Ordering::Release);
    second.store(false, Ordering::Release);
    assert_eq!(received(waiting), Err(EngineError::Unwanted));
    stage.events.send(Event::Scored { members, logits: vec![1.0], took: TOOK }).unwrap();
    stage.answer_one();
    assert_eq!(logits(begun), [Ok(1.0), Ok(16.0)], "what was begun is finished");
    stage.end();
}

#[test]
fn pairs_of_a_caller_that_went_away_are_not_scored() {
    let stage = Stage::start(SIZES);
    let first = stage.send(stage.set(&[16]));
    drop(stage.send(stage.set(&[8, 8])));
    drop(stage.send(numbered(&[1])));
    let last = stage.send(stage.set(&[12]));
    (0..2).for_each(|_| drop(stage.answer_one()));
    assert_eq!(logits(first), [Ok(16.0)]);
    assert_eq!(logits(last), [Ok(12.0)]);
    let again = stage.send(numbered(&[1]));
    assert!(is(&stage.answer_one(), 1));
    assert_eq!(cached(again), [false]);
    stage.end();
}

#[test]
fn no_set_is_taken_while_too_many_tokens_wait() {
    let stage = Stage::start(Sizes { queue_tokens_max: 32, ..SIZES });
    let refused = |set: Set| {
        let part = Part {
            set: 0,
            header: Some(set.header),
            passages: Vec::from_iter(set.pairs.into_iter().map(|pair| pair.map(whole))),
        };
        stage.parts.as_ref().unwrap().send_timeout(part, 3 * SWEEP_INTERVAL).is_err()
    };
    let first = stage.send(stage.set(&[16, 16, 16]));
    assert!(refused(stage.set(&[1])), "32 tokens wait behind the batch that was handed out");
    (0..3).for_each(|_| drop(stage.answer_one()));
    assert_eq!(logits(first).len(), 3);
    let shared = [stage.send(numbered(&[1])), stage.send(numbered(&[1, 1]))];
    assert!(refused(numbered(&[1])), "two more wait for the pair that was handed out");
    stage.answer_one();
    shared.into_iter().for_each(|reply| drop(logits(reply)));
    stage.end();
}

#[test]
fn a_lost_replica_answers_every_open_set_with_the_reason() {
    let stage = Stage::start(SIZES);
    let sets = [stage.set(&[16]), stage.set(&[16]), numbered(&[1]), numbered(&[1])];
    let replies = sets.map(|set| stage.send(set));
    let _lost = stage.batch();
    stage.events.send(Event::Lost { reason: "device lost".to_owned() }).unwrap();
    for reply in replies {
        let error = received(reply).unwrap_err();
        assert_eq!(error, EngineError::Lost { reason: "device lost".to_owned() });
    }
    stage.end();
}

#[test]
fn one_set_on_an_idle_engine_keeps_every_replica_busy_until_the_end() {
    let lengths = |pairs: usize| (0..pairs).map(|i| 30 + 37 * i % 120).collect::<Vec<_>>();
    for (replicas, pairs) in [(2, 10), (2, 50), (2, 100), (3, 31), (4, 100), (8, 50), (8, 100)] {
        let stage = Stage::start(Sizes {
            replicas,
            ahead_max: 2 * replicas,
            batch_tokens_max: 512,
            queue_tokens_max: 100_000,
            ..SIZES
        });
        let lengths = lengths(pairs);
        let reply = stage.send(stage.set(&lengths));
        let mut left: usize = lengths.iter().sum();
        let mut loads = vec![0; replicas];
        let mut running: Vec<Option<Vec<Keyed>>> = (0..replicas).map(|_| None).collect();
        while left > 0 {
            // The replica that has computed least is free next, and takes the next batch.
            let free = (0..replicas).min_by_key(|&r| loads[r]).unwrap();
            if let Some(members) = running[free].take() {
                let logits = vec![1.0; members.len()];
                stage.events.send(Event::Scored { members, logits, took: TOOK }).unwrap();
            }
            let batch = stage.batch();
            let tokens: usize = batch.iter().map(|keyed| keyed.pair.ids.len()).sum();
            loads[free] += tokens;
            left -= tokens;
            running[free] = Some(batch);
        }
        for members in running.into_iter().flatten() {
            let logits = vec![1.0; members.len()];
            stage.events.send(Event::Scored { members, logits, took: TOOK }).unwrap();
        }
        assert_eq!(logits(reply), vec![Ok(1.0); pairs]);
        let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
        assert!(most - least <= 149, "{pairs} pairs of at most 149 tokens: {loads:?}");
        stage.end();
    }
}

#[test]
fn the_memory_of_a_batch_is_used_again() {
    let stage = Stage::start(SIZES);
    let capacity = |reserved: usize| {
        let reply = stage.send(stage.set(&[16]));
        let mut members = stage.batch();
        let capacity = members.capacity();
        members.reserve(reserved);
        stage.events.send(Event::Scored { members, logits: vec![1.0], took: TOOK }).unwrap();
        logits(reply);
        capacity
    };
    assert!(capacity(1000) < 1000);
    assert!(capacity(0) >= 1000, "it is the batch that came back");
    stage.end();
}

#[test]
fn the_first_pairs_of_a_set_are_scored_while_the_rest_is_tokenised() {
    let stage = Stage::start(Sizes { cache_pairs_max: 10, ..SIZES });
    let (rest, reply) = stage.send_in_parts(stage.set(&[9, 0, 16]), 2);
    stage.answer_one();
    let known = stage.send(stage.set(&[0]));
    assert_eq!(logits(known).len(), 1, "the first logit was dealt with");
    stage.send_part(rest);
    stage.answer_one();
    assert_eq!(logits(reply), [Ok(9.0), Err(PairError::Tokenization), Ok(16.0)]);
    stage.end();
}

#[test]
fn the_rest_of_a_set_that_was_given_up_is_not_scored() {
    let stage = Stage::start(SIZES);
    let given_up = stage.set(&[16, 16, 16]).wanted(&Arc::new(AtomicBool::new(false)));
    let (rest, reply) = stage.send_in_parts(given_up, 2);
    assert_eq!(received(reply), Err(EngineError::Unwanted));
    stage.send_part(rest);
    stage.end();
}
