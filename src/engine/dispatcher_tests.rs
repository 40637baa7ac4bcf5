//! The dispatcher between a test that plays the tokenizers and one that plays the replicas.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::bounded;

use super::*;

type Reply = oneshot::Receiver<Result<SetScores, EngineError>>;

struct Stage {
    sets: Option<Sender<Tokenized>>,
    batches: Receiver<Vec<Waiting>>,
    events: Sender<Event>,
    dispatcher: JoinHandle<()>,
}

impl Stage {
    fn start(batch_tokens_max: usize, queue_tokens_max: usize, ahead_max: usize) -> Self {
        let (into_sets, sets) = bounded(0);
        let (into_events, events) = bounded(ahead_max);
        let (into_batches, batches) = bounded(ahead_max);
        let channels = Channels { sets, events, batches: into_batches };
        let dispatcher = Dispatcher::new(channels, batch_tokens_max, queue_tokens_max, ahead_max);
        let dispatcher = std::thread::spawn(move || dispatcher.run());
        Self { sets: Some(into_sets), batches, events: into_events, dispatcher }
    }

    fn send(&self, lengths: &[usize], wanted: &Arc<AtomicBool>) -> Reply {
        let pair = |&n: &usize| {
            (n > 0).then(|| Pair { ids: vec![1; n], types: vec![0; n], truncated: false })
        };
        let (reply, scores) = oneshot::channel();
        let wanted = Arc::clone(wanted);
        let set = Tokenized {
            query_truncated: false,
            pairs: lengths.iter().map(pair).collect(),
            wanted: Box::new(move || wanted.load(Ordering::Acquire)),
            since: Instant::now(),
            reply,
        };
        self.sets.as_ref().unwrap().send(set).unwrap();
        scores
    }

    /// Answers one batch: the logit of a pair is its number of tokens.
    fn answer_one(&self) {
        let members = self.batches.recv().unwrap();
        let logits = members.iter().map(|w| w.pair.ids.len() as f32).collect();
        self.events.send(Event::Scored { members, logits }).unwrap();
    }

    fn end(mut self) {
        self.sets = None;
        self.dispatcher.join().unwrap();
    }
}

fn wanted() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(true))
}

fn logits(reply: Reply) -> Vec<Result<f32, PairError>> {
    reply.blocking_recv().unwrap().unwrap().pairs.into_iter().map(|pair| pair.logit).collect()
}

#[test]
fn scores_come_back_in_the_order_of_the_request() {
    let stage = Stage::start(16, 1000, 1);
    let reply = stage.send(&[9, 3, 12, 4], &wanted());
    (0..2).for_each(|_| stage.answer_one());
    assert_eq!(logits(reply), [Ok(9.0), Ok(3.0), Ok(12.0), Ok(4.0)]);
    stage.end();
}

#[test]
fn a_passage_that_cannot_be_tokenised_does_not_fail_its_set() {
    let stage = Stage::start(16, 1000, 1);
    let reply = stage.send(&[9, 0], &wanted());
    stage.answer_one();
    assert_eq!(logits(reply), [Ok(9.0), Err(PairError::Tokenization)]);
    let nothing = stage.send(&[0, 0], &wanted());
    assert_eq!(logits(nothing), [Err(PairError::Tokenization); 2]);
    stage.end();
}

#[test]
fn a_logit_that_is_not_finite_does_not_fail_its_set() {
    let stage = Stage::start(16, 1000, 1);
    let reply = stage.send(&[5, 5], &wanted());
    let members = stage.batches.recv().unwrap();
    stage.events.send(Event::Scored { members, logits: vec![f32::NAN, 1.0] }).unwrap();
    assert_eq!(logits(reply), [Err(PairError::NotFinite), Ok(1.0)]);
    stage.end();
}

#[test]
fn a_set_that_is_no_longer_wanted_is_answered_without_being_scored() {
    let stage = Stage::start(16, 1000, 1);
    let (first, second) = (wanted(), wanted());
    let begun = stage.send(&[16, 16], &first);
    let waiting = stage.send(&[16, 16], &second);
    let members = stage.batches.recv().unwrap();
    first.store(false, Ordering::Release);
    second.store(false, Ordering::Release);
    assert_eq!(waiting.blocking_recv().unwrap(), Err(EngineError::Unwanted));
    stage.events.send(Event::Scored { members, logits: vec![1.0] }).unwrap();
    stage.answer_one();
    assert_eq!(logits(begun), [Ok(1.0), Ok(16.0)], "what was begun is finished");
    stage.end();
}

#[test]
fn pairs_of_a_caller_that_went_away_are_not_scored() {
    let stage = Stage::start(16, 1000, 1);
    let first = stage.send(&[16], &wanted());
    drop(stage.send(&[8, 8], &wanted()));
    let last = stage.send(&[12], &wanted());
    (0..2).for_each(|_| stage.answer_one());
    assert_eq!(logits(first), [Ok(16.0)]);
    assert_eq!(logits(last), [Ok(12.0)]);
    stage.end();
}

#[test]
fn no_set_is_taken_while_too_many_tokens_wait() {
    let stage = Stage::start(10, 20, 1);
    let first = stage.send(&[10, 10, 10], &wanted());
    let blocked = {
        let (reply, _scores) = oneshot::channel();
        let set = Tokenized {
            query_truncated: false,
            pairs: Vec::new(),
            wanted: Box::new(|| true),
            since: Instant::now(),
            reply,
        };
        stage.sets.as_ref().unwrap().send_timeout(set, 3 * SWEEP_INTERVAL)
    };
    assert!(blocked.is_err(), "20 tokens wait behind the batch that was handed out");
    (0..3).for_each(|_| stage.answer_one());
    assert_eq!(logits(first).len(), 3);
    drop(stage.send(&[1], &wanted()));
    stage.end();
}

#[test]
fn a_lost_replica_answers_every_open_set_with_the_reason() {
    let stage = Stage::start(16, 1000, 1);
    let replies = [stage.send(&[16], &wanted()), stage.send(&[16], &wanted())];
    stage.events.send(Event::Lost { reason: "device lost".to_owned() }).unwrap();
    for reply in replies {
        let error = reply.blocking_recv().unwrap().unwrap_err();
        assert_eq!(error, EngineError::Lost { reason: "device lost".to_owned() });
    }
    stage.end();
}
