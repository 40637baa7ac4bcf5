use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::key::{Keyed, PairKey};
use super::tokenizers::Header;
use super::{EngineError, PairError, PairScore, SetScores};

/// A set that waits for logits.
pub(super) struct OpenSet {
    query_truncated: bool,
    due: Duration,
    /// Those that the tokenizer is done with.
    pairs: Vec<PairScore>,
    pairs_expected: usize,
    /// The pairs that it owns in the queue; those that are answered are in here too.
    queued: Vec<PairKey>,
    unanswered: usize,
    wanted: Box<dyn Fn() -> bool + Send + Sync>,
    since: Instant,
    started: Option<Instant>,
    reply: oneshot::Sender<Result<SetScores, EngineError>>,
}

// === impl OpenSet ===

impl OpenSet {
    /// A set whose pairs are yet to come.
    pub(super) fn new(header: Header, due: Duration) -> Self {
        Self {
            query_truncated: header.query_truncated,
            due,
            pairs: Vec::with_capacity(header.pairs),
            pairs_expected: header.pairs,
            queued: Vec::with_capacity(header.pairs),
            unanswered: 0,
            wanted: header.wanted,
            since: header.since,
            started: None,
            reply: header.reply,
        }
    }

    /// When its logits are wanted.
    pub(super) fn due(&self) -> Duration {
        self.due
    }

    /// Adds the next pair, and says its place.
    pub(super) fn add(&mut self, keyed: &Option<Keyed>) -> usize {
        self.pairs.push(unscored(keyed));
        self.pairs.len() - 1
    }

    /// A set that was begun is finished, unless its caller is gone altogether.
    pub(super) fn is_wanted(&self) -> bool {
        !self.reply.is_closed() && (self.started.is_some() || (self.wanted)())
    }

    /// Notes that the first of its pairs is handed to a replica.
    pub(super) fn begin(&mut self, now: Instant) {
        self.started.get_or_insert(now);
    }

    /// Notes that a pair waits in the queue.
    pub(super) fn queue(&mut self, key: PairKey) {
        self.queued.push(key);
        self.unanswered += 1;
    }

    /// The pairs that it may own in the queue.
    pub(super) fn queued(&self) -> &[PairKey] {
        &self.queued
    }

    /// Takes a logit; `cached` where the model did not run for this set.
    pub(super) fn set_logit(&mut self, index: usize, logit: f32, cached: bool) {
        let pair = &mut self.pairs[index];
        pair.cached = cached;
        if logit.is_finite() {
            pair.logit = Ok(logit);
        }
    }

    /// Notes that one of the queued pairs has its logit.
    pub(super) fn dequeue(&mut self) {
        self.unanswered -= 1;
    }

    pub(super) fn is_complete(&self) -> bool {
        self.unanswered == 0 && self.pairs.len() == self.pairs_expected
    }

    pub(super) fn answer(self) {
        let now = Instant::now();
        let started = self.started.unwrap_or(now);
        let _gone = self.reply.send(Ok(SetScores {
            query_truncated: self.query_truncated,
            pairs: self.pairs,
            queue: started - self.since,
            score: now - started,
        }));
    }

    pub(super) fn refuse(self, error: EngineError) {
        let _gone = self.reply.send(Err(error));
    }
}

/// The score of a pair as long as no finite logit has come for it.
fn unscored(keyed: &Option<Keyed>) -> PairScore {
    let (logit, pair) = match keyed {
        Some(keyed) => (Err(PairError::NotFinite), Some(&keyed.pair)),
        None => (Err(PairError::Tokenization), None),
    };
    PairScore {
        logit,
        tokens: pair.map_or(0, |pair| pair.ids.len()),
        truncated: pair.is_some_and(|pair| pair.truncated),
        cached: false,
    }
}
