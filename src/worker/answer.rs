use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::deadline::{Deadlines, Expiry, LatePolicy};
use super::shown::Before;
use crate::context::{AssembleError, Assembler, Passage};
use crate::engine::{EngineError, PairError, PairScore, ScoreRequest, Scorer, SetScores, Windows};
use crate::rank::{self, Cuts, Logit};
use crate::telemetry::board::SetShown;
use crate::telemetry::{Counts, Stage};
use crate::wire::{
    self, CandidateSet, Context, Duplicate, Limits, Model, Ranked, Reason, RerankedContext,
    Results, Status, TimingMs, Usage,
};

/// What an answer looks like, but for its scores.
#[derive(Debug)]
pub struct AnswerSettings {
    /// What a candidate set may be at most.
    pub limits: Limits,
    /// What is left out, where the set does not say.
    pub cuts: Cuts,
    /// What becomes of sets that cannot be scored before they expire.
    pub deadlines: Deadlines,
    /// How much of each candidate is repeated.
    pub results: Results,
    /// Puts the prompt-ready text together; `None` leaves it out.
    pub context: Option<Assembler>,
}

/// Turns candidate sets into answers: the same for a worker as for a file.
pub struct Reranker<E> {
    scorer: E,
    settings: AnswerSettings,
    counts: Arc<Counts>,
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

/// An answer, encoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The value of the output record.
    pub value: Vec<u8>,
    /// How much of the set was scored.
    pub status: Status,
    /// What people are shown of it, where somebody looks.
    pub shown: Option<Box<SetShown>>,
}

/// Why a set has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The engine did not score it.
    #[error("the set was not scored")]
    Engine(#[source] EngineError),
    /// Its context could not be put together.
    #[error("the context could not be put together; correct context.template")]
    Context(#[source] AssembleError),
    /// It had expired when it was read, and [`LatePolicy::Fail`] says that it has no answer then.
    #[error(
        "the set expired {late_ms} ms before it was read; give sets more time or add workers, or \
         choose another worker.late"
    )]
    Expired {
        /// Milliseconds since it had expired.
        late_ms: u64,
    },
    /// There was not the time to score it before it expires, and [`LatePolicy::Fail`] says that it has
    /// no answer then.
    #[error(
        "the set could not be scored before it expires; give sets more time or add workers, or \
         choose another worker.late"
    )]
    DeadlineMissed,
}

/// What is known of a candidate's score.
enum Outcome {
    Scored { logit: Logit, truncated: bool, windows: Option<Windows> },
    Unscored(Reason),
}

// === impl Reranker ===

impl<E: Scorer> Reranker<E> {
    /// Answers with the scores of `scorer`, and counts what it does.
    pub fn new(scorer: E, settings: AnswerSettings, counts: Arc<Counts>) -> Self {
        Self { scorer, settings, counts, clock: Box::new(Timestamp::now) }
    }

    /// Tells the time by `clock` instead of the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// The time, as `expires_at` counts it.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// What a candidate set may be at most; for [`wire::decode`].
    pub fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// What was done so far.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// What scores.
    pub fn scorer(&self) -> &E {
        &self.scorer
    }

    /// Scores, ranks and encodes `set`. `now` is the time of its receipt, from which the time that it
    /// has is counted; `wanted` is asked once more before it is begun.
    ///
    /// # Errors
    /// The engine's, those of a template that fails on these passages, and where
    /// [`LatePolicy::Fail`] is chosen a set that is late. A single candidate's failure to be scored is
    /// part of the answer, never an error.
    pub async fn answer(
        &self,
        set: CandidateSet,
        wanted: Box<dyn Fn() -> bool + Send + Sync>,
        now: Timestamp,
    ) -> Result<Answered, AnswerError> {
        let received = Instant::now();
        let expiry = set.expires_at.map(|at| Expiry::new(at, now, received));
        let unscored = self.unscored(&set, expiry.as_ref());
        let board = &self.counts.board;
        let before = board.wants_set().map(|texts| Before::of(&set, texts));
        let passages: Vec<String> = set
            .candidates
            .iter()
            .zip(&unscored)
            .filter(|(_, reason)| reason.is_none())
            .map(|(candidate, _)| candidate.text.clone())
            .collect();
        let scores = if passages.is_empty() {
            SetScores::nothing()
        } else {
            let deadline = expiry.and_then(|expiry| expiry.deadline(&self.settings.deadlines));
            let query = set.query.clone();
            let request = ScoreRequest { query, passages, deadline, wanted };
            let scores = self.scorer.score(request).await.map_err(AnswerError::Engine)?;
            board.took(Stage::Queue, scores.queue);
            board.took(Stage::Score, scores.score);
            scores
        };
        let scored = Instant::now();
        let mut pairs = scores.pairs.iter();
        let outcomes: Vec<Outcome> = unscored
            .into_iter()
            .map(|reason| match reason {
                Some(reason) => Outcome::Unscored(reason),
                None => Outcome::of(pairs.next()),
            })
            .collect();
        self.refuse_late(&set, &outcomes, now)?;
        let answer = self.assemble(set, &outcomes, &scores, received)?;
        self.count(&answer);
        self.count_late(answer.status, &outcomes, expiry);
        let shown = before.map(|before| before.answered(&answer));
        let value = wire::encode(&answer);
        board.took(Stage::Assemble, scored.elapsed());
        Ok(Answered { value, status: answer.status, shown })
    }

    /// Why each candidate will not be scored; `None` where it will.
    fn unscored(&self, set: &CandidateSet, expiry: Option<&Expiry>) -> Vec<Option<Reason>> {
        let expired = match self.settings.deadlines.late {
            LatePolicy::Passthrough | LatePolicy::Partial | LatePolicy::Fail => {
                expiry.is_some_and(Expiry::had_passed)
            }
            LatePolicy::Late => false,
        };
        let reason = |(index, candidate): (usize, &wire::Candidate)| {
            if expired {
                Some(Reason::Expired)
            } else if index >= self.settings.limits.candidates_max {
                Some(Reason::OverCandidateLimit)
            } else if candidate.text.trim().is_empty() {
                Some(Reason::EmptyText)
            } else {
                None
            }
        };
        set.candidates.iter().enumerate().map(reason).collect()
    }

    /// Refuses a set of which a candidate is late, where that is the policy.
    fn refuse_late(
        &self,
        set: &CandidateSet,
        outcomes: &[Outcome],
        now: Timestamp,
    ) -> Result<(), AnswerError> {
        let mut late =
            outcomes.iter().filter_map(Outcome::reason).filter(|reason| reason.is_late());
        let Some(reason) = late.next() else { return Ok(()) };
        if self.settings.deadlines.late != LatePolicy::Fail {
            return Ok(());
        }
        self.counts.sets_late_failed.add(1);
        if reason == Reason::Deadline {
            return Err(AnswerError::DeadlineMissed);
        }
        let late = set.expires_at.map(|at| now.duration_since(at).as_millis());
        let late_ms = late.and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default();
        Err(AnswerError::Expired { late_ms })
    }

    fn assemble(
        &self,
        set: CandidateSet,
        outcomes: &[Outcome],
        scores: &SetScores,
        received: Instant,
    ) -> Result<RerankedContext, AnswerError> {
        let (status, reason) = Status::of(outcomes.iter().map(Outcome::reason));
        let usage = usage(&set, outcomes, scores);
        let cuts = self.settings.cuts.or_own(set.top_n, set.min_score);
        let mut results = ranked(set.candidates, outcomes, &cuts);
        let context = match &self.settings.context {
            Some(assembler) => Some(context(assembler, &results).map_err(AnswerError::Context)?),
            None => None,
        };
        results.iter_mut().for_each(|result| result.reduce(self.settings.results));
        let timing_ms = TimingMs::new(scores.queue, scores.score, received.elapsed());
        Ok(RerankedContext {
            request_id: set.request_id,
            query: set.query,
            status,
            reason,
            model: self.model(),
            results,
            context,
            usage,
            timing_ms,
            extra: set.extra,
        })
    }

    fn model(&self) -> Model {
        let model = self.scorer.model();
        Model {
            id: model.id.clone(),
            revision: Some(model.revision.clone()),
            label: model.label.clone(),
            precision: model.precision.clone(),
            backend: model.backend.clone(),
        }
    }

    fn count(&self, answer: &RerankedContext) {
        let (counts, usage) = (&self.counts, &answer.usage);
        counts.pairs_scored.add(usage.pairs as u64);
        counts.windows_scored.add(usage.windows as u64);
        counts.tokens_scored.add(usage.tokens as u64);
        counts.cache_hits.add(usage.cache_hits as u64);
        counts.candidates_unscored.add((usage.candidates - usage.pairs) as u64);
        counts.passages_truncated.add(usage.truncated as u64);
        counts.queries_truncated.add(u64::from(usage.query_truncated));
    }

    fn count_late(&self, status: Status, outcomes: &[Outcome], expiry: Option<Expiry>) {
        let counts = &self.counts;
        let reasons = outcomes.iter().filter_map(Outcome::reason);
        let late = reasons.filter(|reason| reason.is_late()).count();
        counts.candidates_late.add(late as u64);
        match (status, late) {
            (Status::Partial, 1..) => counts.sets_late_partial.add(1),
            (Status::Passthrough, 1..) => counts.sets_late_passthrough.add(1),
            _ if expiry.is_some_and(|expiry| expiry.has_passed()) => counts.sets_late_scored.add(1),
            _ => {}
        }
    }
}

// === impl Outcome ===

impl Outcome {
    fn of(pair: Option<&PairScore>) -> Self {
        // A scorer that returns too few pairs leaves the last candidates without a logit.
        let Some(pair) = pair else { return Self::Unscored(Reason::LogitNotFinite) };
        match pair.logit {
            Ok(raw) => match Logit::new(raw) {
                Some(logit) => {
                    let windows = pair.windows.clone();
                    Self::Scored { logit, truncated: pair.truncated, windows }
                }
                None => Self::Unscored(Reason::LogitNotFinite),
            },
            Err(PairError::NotFinite) => Self::Unscored(Reason::LogitNotFinite),
            Err(PairError::Tokenization) => Self::Unscored(Reason::NotTokenised),
            Err(PairError::Late) => Self::Unscored(Reason::Deadline),
        }
    }

    fn logit(&self) -> Option<Logit> {
        match self {
            Self::Scored { logit, .. } => Some(*logit),
            Self::Unscored(_) => None,
        }
    }

    fn reason(&self) -> Option<Reason> {
        match self {
            Self::Scored { .. } => None,
            Self::Unscored(reason) => Some(*reason),
        }
    }
}

// === impl SetScores ===

impl SetScores {
    /// The scores of a set that has nothing to score.
    fn nothing() -> Self {
        Self {
            query_truncated: false,
            pairs: Vec::new(),
            queue: Duration::ZERO,
            score: Duration::ZERO,
        }
    }
}

/// The candidates in their final order, cut, with their ranks.
fn ranked(candidates: Vec<wire::Candidate>, outcomes: &[Outcome], cuts: &Cuts) -> Vec<Ranked> {
    let logits: Vec<Option<Logit>> = outcomes.iter().map(Outcome::logit).collect();
    let mut order = rank::order(&logits);
    rank::cut(&mut order, &logits, cuts);
    let mut candidates: Vec<_> = candidates.into_iter().map(Some).collect();
    let results = order.into_iter().enumerate().filter_map(|(place, index)| {
        let candidate = candidates[index].take()?;
        let mut result = match &outcomes[index] {
            Outcome::Scored { logit, truncated, windows } => {
                let window = windows.as_ref().map(|windows| windows.best.clone());
                Ranked::scored(candidate, logit.get(), logit.score(), *truncated, window)
            }
            Outcome::Unscored(reason) => Ranked::unscored(candidate, *reason),
        };
        (result.rank, result.first) = (place + 1, index + 1);
        Some(result)
    });
    results.collect()
}

fn context(assembler: &Assembler, results: &[Ranked]) -> Result<Context, AssembleError> {
    let passages = results.iter().map(|result| Passage {
        id: &result.id,
        title: result.title.as_deref(),
        text: shown(assembler, result),
        source: result.source.as_deref(),
        score: result.score,
    });
    let passages: Vec<Passage<'_>> = passages.collect();
    let text = assembler.assemble(&passages)?;
    let duplicates = text.duplicates.into_iter().map(|d| Duplicate { id: d.id, of: d.of });
    Ok(Context {
        text: text.text,
        tokens: text.tokens,
        passages: text.passages,
        duplicates: duplicates.collect(),
        truncated: text.truncated,
    })
}

/// The part of a result's text that the prompt shows.
fn shown<'a>(assembler: &Assembler, result: &'a Ranked) -> &'a str {
    let text = result.text.as_deref().unwrap_or_default();
    match result.window.filter(|_| assembler.shows_windows()) {
        Some(window) => window.part(text),
        None => text,
    }
}

fn usage(set: &CandidateSet, outcomes: &[Outcome], scores: &SetScores) -> Usage {
    let truncated = set.candidates.iter().zip(outcomes).filter(|(candidate, outcome)| {
        candidate.cut || matches!(outcome, Outcome::Scored { truncated: true, .. })
    });
    let windows = |outcome: &Outcome| match outcome {
        Outcome::Scored { windows, .. } => windows.as_ref().map_or(1, |windows| windows.count),
        Outcome::Unscored(_) => 0,
    };
    Usage {
        candidates: set.candidates.len(),
        pairs: outcomes.iter().filter(|outcome| outcome.logit().is_some()).count(),
        windows: outcomes.iter().map(windows).sum(),
        tokens: scores.pairs.iter().map(|pair| pair.tokens_read).sum(),
        cache_hits: scores.pairs.iter().filter(|p| p.cached && p.logit.is_ok()).count(),
        truncated: truncated.count(),
        query_truncated: scores.query_truncated,
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
