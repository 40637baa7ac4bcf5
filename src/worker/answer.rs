use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::deadline::{Deadlines, Expiry, LatePolicy};
use super::outcome::{Outcome, ranked, usage};
use super::shown::{self, Before};
use crate::context::{AssembleError, Assembler, Passage};
use crate::engine::{EngineError, ScoreRequest, Scorer, SetScores};
use crate::rank::Cuts;
use crate::telemetry::board::SetShown;
use crate::telemetry::{self, Asked, Counts, SetSpan, Stage, names};
use crate::wire::{
    self, CandidateSet, Context, Duplicate, Limits, Model, Ranked, Reason, RerankedContext,
    Results, Status, TimingMs,
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
    /// Tokens that the model read for it.
    pub tokens: usize,
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
        self.answer_within(&SetSpan::default(), set, wanted, now).await
    }

    /// The same; what is done is told below `span`.
    ///
    /// # Errors
    /// As for [`Self::answer`].
    pub async fn answer_within(
        &self,
        span: &SetSpan,
        set: CandidateSet,
        wanted: Box<dyn Fn() -> bool + Send + Sync>,
        now: Timestamp,
    ) -> Result<Answered, AnswerError> {
        let received = Instant::now();
        span.asked(&Asked {
            model: &self.scorer.model().id,
            candidates: set.candidates.len(),
            top_n: set.top_n.or(self.settings.cuts.top_n),
        });
        let expiry = set.expires_at.map(|at| Expiry::new(at, now, received));
        let unscored = self.unscored(&set, expiry.as_ref());
        let before = self.counts.board.wants_set().map(|texts| Before::of(&set, texts));
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
            let span = span.clone();
            let request = ScoreRequest { query, passages, deadline, wanted, span };
            let scores = self.scorer.score(request).await.map_err(AnswerError::Engine)?;
            self.counts.took(Stage::Queue, scores.queue);
            self.counts.took(Stage::Score, scores.score);
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
        span.step(names::span::QUEUE, scores.queue, scores.score);
        self.refuse_late(&set, &outcomes, now)?;
        let mut answer = self.assemble(set, &outcomes, &scores, received)?;
        self.count(&answer, &outcomes);
        self.count_late(answer.status, &outcomes, expiry);
        let displacement = shown::displacement(&answer);
        self.count_ranks(&answer, displacement);
        let shown = before.map(|before| before.answered(&answer, displacement));
        let (status, tokens) = (answer.status, answer.usage.tokens);
        let passages = answer.results.iter().filter_map(|result| result.text.as_deref());
        span.show(&answer.query, passages);
        answer.results.iter_mut().for_each(|result| result.reduce(self.settings.results));
        let value = wire::encode(&answer);
        let took = scored.elapsed();
        self.counts.took(Stage::Assemble, took);
        span.step(names::span::RANK, took, Duration::ZERO);
        span.answered(&told(&answer));
        Ok(Answered { value, status, tokens, shown })
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
        let results = ranked(set.candidates, outcomes, &cuts);
        let context = match &self.settings.context {
            Some(assembler) => Some(context(assembler, &results).map_err(AnswerError::Context)?),
            None => None,
        };
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

    fn count(&self, answer: &RerankedContext, outcomes: &[Outcome]) {
        let (counts, usage) = (&self.counts, &answer.usage);
        counts.pairs_scored.add(usage.pairs as u64);
        counts.windows_scored.add(usage.windows as u64);
        counts.tokens_scored.add(usage.tokens as u64);
        counts.cache_hits.add(usage.cache_hits as u64);
        counts.candidates_unscored.add((usage.candidates - usage.pairs) as u64);
        for reason in Reason::ALL {
            let with = |outcome: &&Outcome| outcome.reason() == Some(reason);
            match outcomes.iter().filter(with).count() {
                0 => {}
                count => counts.unscored.add(reason.as_str(), count as u64),
            }
        }
        counts.passages_truncated.add(usage.truncated as u64);
        counts.queries_truncated.add(u64::from(usage.query_truncated));
    }

    fn count_ranks(&self, answer: &RerankedContext, displacement: Option<f64>) {
        if let Some(distributions) = self.counts.distributions() {
            let scores = answer.results.iter().filter_map(|result| result.score);
            distributions.ranked(scores, displacement);
        }
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

/// What the span of a set says of its answer.
fn told(answer: &RerankedContext) -> telemetry::Reranked {
    telemetry::Reranked {
        status: answer.status.as_str(),
        reason: answer.reason.map(wire::Reason::as_str),
        pairs: answer.usage.pairs,
        tokens: answer.usage.tokens,
        cache_hits: answer.usage.cache_hits,
    }
}

fn context(assembler: &Assembler, results: &[Ranked]) -> Result<Context, AssembleError> {
    let passages = results.iter().map(|result| Passage {
        id: &result.id,
        title: result.title.as_deref(),
        text: part(assembler, result),
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
fn part<'a>(assembler: &Assembler, result: &'a Ranked) -> &'a str {
    let text = result.text.as_deref().unwrap_or_default();
    match result.window.filter(|_| assembler.shows_windows()) {
        Some(window) => window.part(text),
        None => text,
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
