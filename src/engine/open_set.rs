use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::key::{Keyed, PairKey};
use super::tokenizers::Header;
use super::{Deadline, EngineError, Late, PairError, PairScore, SetScores};

/// A set that waits for logits.
pub(super) struct OpenSet {
    query_truncated: bool,
    due: Duration,
    /// Only one that binds.
    deadline: Option<Deadline>,
    /// Those that the tokenizer is done with.
    pairs: Vec<PairScore>,
    pairs_expected: usize,
    /// The pairs that it owns in the queue, by place; those that are answered are in here too.
    queued: Vec<(usize, PairKey)>,
    unanswered: usize,
    /// Of all that is not answered, in a batch or not.
    unanswered_tokens: usize,
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
            deadline: header.deadline.filter(Deadline::binds),
            pairs: Vec::with_capacity(header.pairs),
            pairs_expected: header.pairs,
            queued: Vec::with_capacity(header.pairs),
            unanswered: 0,
            unanswered_tokens: 0,
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

    /// When it is answered, whatever is scored.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    pub(super) fn has_begun(&self) -> bool {
        self.started.is_some()
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
    pub(super) fn queue(&mut self, index: usize, key: PairKey) {
        self.queued.push((index, key));
        self.unanswered += 1;
        self.unanswered_tokens += self.pairs[index].tokens;
    }

    /// The pairs that it may own in the queue, in the order of the request.
    pub(super) fn queued(&self) -> &[(usize, PairKey)] {
        &self.queued
    }

    /// Tokens of the pairs that have no logit yet.
    pub(super) fn unanswered_tokens(&self) -> usize {
        self.unanswered_tokens
    }

    /// Takes a logit; `cached` where the model did not run for this set.
    pub(super) fn set_logit(&mut self, index: usize, logit: f32, cached: bool) {
        let pair = &mut self.pairs[index];
        pair.cached = cached;
        pair.logit = if logit.is_finite() { Ok(logit) } else { Err(PairError::NotFinite) };
    }

    /// Notes that this queued pair has its logit, or will not get one.
    pub(super) fn dequeue(&mut self, index: usize) {
        self.unanswered -= 1;
        self.unanswered_tokens -= self.pairs[index].tokens;
    }

    pub(super) fn is_complete(&self) -> bool {
        self.unanswered == 0 && self.pairs.len() == self.pairs_expected
    }

    /// Answers with what there is. What has no logit by now is late, and with it all of a set that is
    /// scored whole or not at all.
    pub(super) fn answer(mut self, now: Instant) {
        self.pairs.resize_with(self.pairs_expected, PairScore::late);
        let is_late = |pair: &PairScore| pair.logit == Err(PairError::Late);
        if self.deadline.is_some_and(|deadline| deadline.late == Late::Drop)
            && self.pairs.iter().any(is_late)
        {
            let known = self.pairs.iter_mut().filter(|p| p.logit != Err(PairError::Tokenization));
            known.for_each(|pair| pair.logit = Err(PairError::Late));
        }
        let started = self.started.unwrap_or(now);
        let _gone = self.reply.send(Ok(SetScores {
            query_truncated: self.query_truncated,
            pairs: self.pairs,
            queue: started.saturating_duration_since(self.since),
            score: now.saturating_duration_since(started),
        }));
    }

    pub(super) fn refuse(self, error: EngineError) {
        let _gone = self.reply.send(Err(error));
    }
}

/// The score of a pair as long as no logit has come for it.
fn unscored(keyed: &Option<Keyed>) -> PairScore {
    let (logit, pair) = match keyed {
        Some(keyed) => (Err(PairError::Late), Some(&keyed.pair)),
        None => (Err(PairError::Tokenization), None),
    };
    PairScore {
        logit,
        tokens: pair.map_or(0, |pair| pair.ids.len()),
        truncated: pair.is_some_and(|pair| pair.truncated),
        cached: false,
    }
}
