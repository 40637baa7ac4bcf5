use std::ops::Range;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::key::PairKey;
use super::tokenizers::{Header, KeyedWindow};
use super::windows::{Piece, together};
use super::{Deadline, EngineError, Late, PairError, PairScore, SetScores, WindowScore};
use crate::telemetry::SetSpan;

/// A set that waits for logits.
pub(super) struct OpenSet {
    query_truncated: bool,
    due: Duration,
    /// Only one that binds.
    deadline: Option<Deadline>,
    /// The pieces of each passage that the tokenizer is done with; `None` where it refused one.
    passages: Vec<Option<Range<usize>>>,
    passages_expected: usize,
    /// Windows, and passages that are read at once, in the order of the request.
    pieces: Vec<Piece>,
    score: WindowScore,
    /// The pieces that it owns in the queue, by place; those that are answered are in here too.
    queued: Vec<(usize, PairKey)>,
    unanswered: usize,
    /// Of all that is not answered, in a batch or not.
    unanswered_tokens: usize,
    wanted: Box<dyn Fn() -> bool + Send + Sync>,
    span: SetSpan,
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
            passages: Vec::with_capacity(header.passages),
            passages_expected: header.passages,
            pieces: Vec::with_capacity(header.passages),
            score: header.score,
            queued: Vec::with_capacity(header.passages),
            unanswered: 0,
            unanswered_tokens: 0,
            wanted: header.wanted,
            span: header.span,
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

    /// What is done for it is told below this.
    pub(super) fn span(&self) -> &SetSpan {
        &self.span
    }

    pub(super) fn has_begun(&self) -> bool {
        self.started.is_some()
    }

    /// Adds the next passage, and says the place of its first piece.
    pub(super) fn add(&mut self, passage: Option<&[KeyedWindow]>) -> usize {
        let first = self.pieces.len();
        self.pieces.extend(passage.into_iter().flatten().map(unscored));
        self.passages.push(passage.map(|_| first..self.pieces.len()));
        first
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
        self.unanswered_tokens += self.pieces[index].tokens;
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
        let piece = &mut self.pieces[index];
        piece.cached = cached;
        piece.logit = if logit.is_finite() { Ok(logit) } else { Err(PairError::NotFinite) };
    }

    /// Notes that this queued pair has its logit, or will not get one.
    pub(super) fn dequeue(&mut self, index: usize) {
        self.unanswered -= 1;
        self.unanswered_tokens -= self.pieces[index].tokens;
    }

    pub(super) fn is_complete(&self) -> bool {
        self.unanswered == 0 && self.passages.len() == self.passages_expected
    }

    /// Answers with what there is. What has no logit by now is late, and with it all of a set that is
    /// scored whole or not at all.
    pub(super) fn answer(self, now: Instant) {
        let mut pairs = self.pairs();
        let is_late = |pair: &PairScore| pair.logit == Err(PairError::Late);
        if self.deadline.is_some_and(|deadline| deadline.late == Late::Drop)
            && pairs.iter().any(is_late)
        {
            let known = pairs.iter_mut().filter(|p| p.logit != Err(PairError::Tokenization));
            known.for_each(|pair| pair.logit = Err(PairError::Late));
        }
        let started = self.started.unwrap_or(now);
        let _gone = self.reply.send(Ok(SetScores {
            query_truncated: self.query_truncated,
            pairs,
            queue: started.saturating_duration_since(self.since),
            score: now.saturating_duration_since(started),
        }));
    }

    /// One score for each passage of the request.
    fn pairs(&self) -> Vec<PairScore> {
        let score = |passage: &Option<Range<usize>>| match passage {
            Some(pieces) => together(&self.pieces[pieces.clone()], self.score),
            None => PairScore::new(Err(PairError::Tokenization), 0),
        };
        let mut pairs: Vec<PairScore> = self.passages.iter().map(score).collect();
        pairs.resize_with(self.passages_expected, PairScore::late);
        pairs
    }

    pub(super) fn refuse(self, error: EngineError) {
        let _gone = self.reply.send(Err(error));
    }
}

/// A piece as long as no logit has come for it.
fn unscored(window: &KeyedWindow) -> Piece {
    let pair = &window.keyed.pair;
    Piece {
        logit: Err(PairError::Late),
        tokens: pair.ids.len(),
        truncated: pair.truncated,
        cached: false,
        bytes: window.bytes.clone(),
    }
}
