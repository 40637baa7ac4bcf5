use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::EngineError;
use crate::telemetry::SetSpan;

/// Scores sets of passages against a query. A worker knows no more of an engine than this.
pub trait Scorer: Send + Sync + 'static {
    /// The model that scores.
    fn model(&self) -> &ModelIdentity;

    /// Scores every passage of `request`, or those that its [`Deadline`] leaves time for. Requests are
    /// begun in the order of their deadlines, and of the calls among those without. Dropping the future
    /// gives the set up: what is not being scored yet, and nobody else waits for, will not be.
    fn score(
        &self,
        request: ScoreRequest,
    ) -> impl Future<Output = Result<SetScores, EngineError>> + Send;
}

/// Which model scored, and how: enough to score the same again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelIdentity {
    /// The model's name.
    pub id: String,
    /// Names its exact content.
    pub revision: String,
    /// Number format it was run in.
    pub precision: String,
    /// What computed.
    pub backend: String,
    /// The label that its scores are about, where the model has several.
    pub label: Option<String>,
}

/// One query and its passages.
pub struct ScoreRequest {
    /// The query.
    pub query: String,
    /// The passages. Where there is not the time for all, the first ones are scored.
    pub passages: Vec<String>,
    /// When the scores are wanted.
    pub deadline: Option<Deadline>,
    /// Asked before the set is begun; `false` answers it with [`EngineError::Unwanted`].
    pub wanted: Box<dyn Fn() -> bool + Send + Sync>,
    /// What the engine does for the set is told below it.
    pub span: SetSpan,
}

/// When the scores of a set are wanted, and what becomes of those that do not come by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// By then the set is answered, but for [`Late::Score`]. It also decides what goes first.
    pub at: Instant,
    /// What becomes of a set that cannot be scored by then.
    pub late: Late,
}

/// What becomes of a set that cannot be scored by its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Late {
    /// It is scored all the same.
    Score,
    /// The first passages are scored, as many as there is time for; the others are
    /// [`PairError::Late`].
    Trim,
    /// Nothing of it is scored: every passage is [`PairError::Late`]. It is given up as soon as that
    /// is known.
    Drop,
}

/// The scores of one set.
#[derive(Clone, Debug, PartialEq)]
pub struct SetScores {
    /// Whether the query was cut to its own limit of tokens.
    pub query_truncated: bool,
    /// One for each passage, in the order of the request.
    pub pairs: Vec<PairScore>,
    /// From the call until the set's first pair was handed to a replica; all the time where none
    /// was, because every logit was known or on its way.
    pub queue: Duration,
    /// From then until the last logit came back.
    pub score: Duration,
}

/// The score of one (query, passage) pair.
#[derive(Clone, Debug, PartialEq)]
pub struct PairScore {
    /// The raw output of the model; always finite.
    pub logit: Result<f32, PairError>,
    /// Its length in tokens, special tokens included; of all its windows together.
    pub tokens: usize,
    /// Those that the model read for it.
    pub tokens_read: usize,
    /// Whether only a part of the passage was read.
    pub truncated: bool,
    /// Whether the model did not run for it: its logit was in the score cache, or is that of an
    /// identical pair which was waiting or being scored.
    pub cached: bool,
    /// How a passage that does not fit was read, where it is read in windows.
    pub windows: Option<Windows>,
}

/// A passage that the model cannot read at once, in windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// How many were scored.
    pub count: usize,
    /// The one with the largest logit: bytes of the passage, at borders of characters.
    pub best: Range<usize>,
}

/// Why a single pair has no score. The other pairs of its set are not affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// The tokenizer refused the passage.
    #[error("the passage cannot be tokenised")]
    Tokenization,
    /// The model's output is infinite or not a number.
    #[error("the model's output is not finite")]
    NotFinite,
    /// There was no time for it before the set's deadline.
    #[error("there was no time for it before the deadline")]
    Late,
}

// === impl ScoreRequest ===

impl ScoreRequest {
    /// A request that is always wanted, and has no deadline.
    pub fn new(query: impl Into<String>, passages: Vec<String>) -> Self {
        let (wanted, span) = (Box::new(|| true), SetSpan::default());
        Self { query: query.into(), passages, deadline: None, wanted, span }
    }
}

// === impl Deadline ===

impl Deadline {
    /// Whether the set is answered by then, whatever is scored.
    pub(super) fn binds(&self) -> bool {
        match self.late {
            Late::Score => false,
            Late::Trim | Late::Drop => true,
        }
    }
}

// === impl PairScore ===

impl PairScore {
    /// That of a pair of so many tokens, all of which the model read, at once.
    pub fn new(logit: Result<f32, PairError>, tokens: usize) -> Self {
        let (tokens_read, truncated, cached, windows) = (tokens, false, false, None);
        Self { logit, tokens, tokens_read, truncated, cached, windows }
    }

    /// That of a pair for which there was no time.
    pub(super) fn late() -> Self {
        Self::new(Err(PairError::Late), 0)
    }
}

impl fmt::Debug for ScoreRequest {
    /// Sizes only: texts are not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScoreRequest")
            .field("passages", &self.passages.len())
            .finish_non_exhaustive()
    }
}
