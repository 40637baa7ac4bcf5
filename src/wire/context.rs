use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Candidate, Results, Retrieval, UnknownFields, read};

/// Names that the output needs for itself, beyond those that the input has too.
pub(super) const RESERVED: &[&str] =
    &["status", "reason", "model", "results", "context", "usage", "timing_ms"];
/// The same for a candidate and its result.
pub(super) const RESULT_RESERVED: &[&str] =
    &["logit", "retrieval", "truncated", "window", "status", "reason"];

/// Of a result, beside its text and what the caller added.
const RESULT_BYTES: usize = 320;

/// The answer to a candidate set: one record of `crossrank.context.v1`.
#[derive(Clone, Debug, Serialize)]
pub struct RerankedContext {
    /// That of the set.
    pub request_id: String,
    /// That of the set.
    pub query: String,
    /// How much of the set was scored.
    pub status: Status,
    /// Why not all of it.
    pub reason: Option<Reason>,
    /// What scored.
    pub model: Model,
    /// Best first.
    pub results: Vec<Ranked>,
    /// The prompt-ready text; absent where it is switched off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    /// What it took.
    pub usage: Usage,
    /// How long it took.
    pub timing_ms: TimingMs,
    /// Fields of the set that are not known.
    #[serde(flatten)]
    pub extra: UnknownFields,
}

/// How much of a set was scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All of it.
    Reranked,
    /// Some of it; the rest is `unscored`, behind, in first-stage order.
    Partial,
    /// Nothing: the results stand in first-stage order.
    Passthrough,
}

/// Why a candidate has no score, or a set not all of its scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// `expires_at` had passed when the set was read.
    Expired,
    /// There was no time for it before `expires_at`.
    Deadline,
    /// More candidates than [`candidates_max`](super::Limits::candidates_max).
    OverCandidateLimit,
    /// The passage is empty or only white space.
    EmptyText,
    /// The tokenizer refused the passage.
    NotTokenised,
    /// The model gave no finite logit.
    LogitNotFinite,
}

/// What scored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Its name.
    pub id: String,
    /// Which state of it, where known.
    pub revision: Option<String>,
    /// Of a model with several labels, the one that the scores are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Number format of weights and activations.
    pub precision: String,
    /// What computed.
    pub backend: String,
}

/// A candidate with its place in the answer.
#[derive(Clone, Debug, Serialize)]
pub struct Ranked {
    /// That of the candidate.
    pub id: String,
    /// From 1.
    pub rank: usize,
    /// Its rank in the first stage, from 1, where the lists of several retrievers are fused. Not in the
    /// record, which has the rank in each list.
    #[serde(skip)]
    pub first: usize,
    /// What the model said; absent where `unscored`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logit: Option<f32>,
    /// Its sigmoid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The passage; absent where an answer repeats ids only, like all that follows but
    /// `truncated`, `status` and `reason`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Who retrieved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where it stood in the first stage.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retrieval: Vec<Retrieval>,
    /// Whether only a part of the passage was scored, or kept.
    pub truncated: bool,
    /// Of a passage that was scored in windows, the best one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Whether it has a score.
    pub status: ResultStatus,
    /// Why it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The caller's own, byte for byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<RawValue>>,
    /// Fields of the candidate that are not known.
    #[serde(flatten)]
    pub extra: UnknownFields,
}

/// A part of a passage, in Unicode code points of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Where it begins.
    pub start: usize,
    /// Where it has ended.
    pub end: usize,
}

/// Whether a result has a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultStatus {
    /// It has `logit` and `score`.
    Scored,
    /// It has neither, but a `reason`.
    Unscored,
}

/// The prompt-ready text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// The text.
    pub text: String,
    /// How long it is.
    pub tokens: usize,
    /// Ids of the passages in it, in its order.
    pub passages: Vec<String>,
    /// Passages left out because a better one says nearly the same.
    pub duplicates: Vec<Duplicate>,
    /// Id of the passage that was cut to fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<String>,
}

/// A passage that says nearly the same as a better one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duplicate {
    /// The one left out.
    pub id: String,
    /// The better one.
    pub of: String,
}

/// What an answer took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Candidates of the set, after merging.
    pub candidates: usize,
    /// Pairs scored, from the cache included.
    pub pairs: usize,
    /// What these pairs were scored in: one window for a passage that fits, several for a long one.
    pub windows: usize,
    /// Tokens the model read for it, special tokens included; none for the pairs of `cache_hits`.
    pub tokens: usize,
    /// Pairs scored without the model: their logit was in the cache, or is that of an identical pair in
    /// this or another set that was scored at the time.
    pub cache_hits: usize,
    /// Passages of which only a part was scored, or kept.
    pub truncated: usize,
    /// Whether only a part of the query was used.
    pub query_truncated: bool,
}

/// How long an answer took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimingMs {
    /// From claim to first batch.
    #[serde(deserialize_with = "read::exact")]
    pub queue: f64,
    /// From first batch to last logit.
    #[serde(deserialize_with = "read::exact")]
    pub score: f64,
    /// From claim to answer.
    #[serde(deserialize_with = "read::exact")]
    pub total: f64,
}

// === impl Status ===

impl Status {
    /// As it stands in an answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reranked => "reranked",
            Self::Partial => "partial",
            Self::Passthrough => "passthrough",
        }
    }

    /// What a set is, by the reasons for which its candidates are unscored, in first-stage order
    /// (`None`: scored). The first reason stands for all, but a missed deadline goes before any other.
    /// A set without candidates is reranked.
    pub fn of(unscored: impl IntoIterator<Item = Option<Reason>>) -> (Self, Option<Reason>) {
        let (mut scored, mut first) = (false, None);
        for reason in unscored {
            scored |= reason.is_none();
            first = match reason {
                Some(Reason::Deadline) => reason,
                _ => first.or(reason),
            };
        }
        match (first, scored) {
            (None, _) => (Self::Reranked, None),
            (reason, true) => (Self::Partial, reason),
            (reason, false) => (Self::Passthrough, reason),
        }
    }
}

// === impl Reason ===

impl Reason {
    /// As it stands in an answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Deadline => "deadline",
            Self::OverCandidateLimit => "over_candidate_limit",
            Self::EmptyText => "empty_text",
            Self::NotTokenised => "not_tokenised",
            Self::LogitNotFinite => "logit_not_finite",
        }
    }

    /// Whether it is for want of time.
    pub fn is_late(self) -> bool {
        matches!(self, Self::Expired | Self::Deadline)
    }
}

// === impl Ranked ===

impl Ranked {
    /// A result with a score; `truncated` and the best window, in bytes, are what the engine says.
    pub fn scored(
        candidate: Candidate,
        logit: f32,
        score: f64,
        truncated: bool,
        window: Option<Range<usize>>,
    ) -> Self {
        let window = window.map(|bytes| Window::of(&candidate.text, bytes));
        let mut ranked = Self::new(candidate, ResultStatus::Scored);
        ranked.window = window;
        ranked.logit = Some(logit);
        ranked.score = Some(score);
        ranked.truncated |= truncated;
        ranked
    }

    /// A result without a score.
    pub fn unscored(candidate: Candidate, reason: Reason) -> Self {
        let mut ranked = Self::new(candidate, ResultStatus::Unscored);
        ranked.reason = Some(reason);
        ranked
    }

    fn new(candidate: Candidate, status: ResultStatus) -> Self {
        Self {
            id: candidate.id,
            rank: 0,
            first: 0,
            logit: None,
            score: None,
            text: Some(candidate.text),
            title: candidate.title,
            source: candidate.source,
            retrieval: candidate.retrieval,
            truncated: candidate.cut,
            window: None,
            status,
            reason: None,
            metadata: candidate.metadata,
            extra: candidate.extra,
        }
    }

    /// Leaves out what `results` does not repeat.
    pub fn reduce(&mut self, results: Results) {
        match results {
            Results::Full => {}
            Results::Ids => {
                self.text = None;
                self.title = None;
                self.source = None;
                self.retrieval = Vec::new();
                self.metadata = None;
                self.extra = UnknownFields::default();
            }
        }
    }
}

// === impl Window ===

impl Window {
    /// The window at these bytes of `text`.
    pub fn of(text: &str, bytes: Range<usize>) -> Self {
        let chars = |bytes: Range<usize>| text.get(bytes).unwrap_or_default().chars().count();
        let start = chars(0..bytes.start);
        Self { start, end: start + chars(bytes) }
    }

    /// What of `text` it is.
    pub fn part(self, text: &str) -> &str {
        let byte =
            |place: usize| text.char_indices().nth(place).map_or(text.len(), |(byte, _)| byte);
        text.get(byte(self.start)..byte(self.end)).unwrap_or_default()
    }
}

// === impl TimingMs ===

impl TimingMs {
    /// Durations as the wire has them: milliseconds, to the microsecond.
    pub fn new(queue: Duration, score: Duration, total: Duration) -> Self {
        let ms = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
        Self { queue: ms(queue), score: ms(score), total: ms(total) }
    }
}

/// Bytes of an answer, rather too many: a buffer that grows copies everything each time.
fn bytes_about(answer: &RerankedContext) -> usize {
    let escaped = |text: &str| text.len() + text.len() / 8;
    let result = |result: &Ranked| {
        let metadata = result.metadata.as_ref().map_or(0, |raw| raw.get().len());
        RESULT_BYTES + result.text.as_deref().map_or(0, escaped) + metadata
    };
    let context = answer.context.as_ref().map_or(0, |context| escaped(&context.text));
    RESULT_BYTES + context + answer.results.iter().map(result).sum::<usize>()
}

/// The value of the output record.
pub fn encode(answer: &RerankedContext) -> Vec<u8> {
    let mut json = Vec::with_capacity(bytes_about(answer));
    match serde_json::to_writer(&mut json, answer) {
        Ok(()) => json,
        // Keys are strings, values are JSON, and a Vec takes every byte.
        Err(error) => unreachable!("an answer is always JSON: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(json: &str) -> Candidate {
        let set = format!(r#"{{"request_id":"r","query":"q","u":1e400,"candidates":[{json}]}}"#);
        let limits = super::super::Limits {
            record_bytes_max: 1_000,
            query_chars_max: 9,
            candidates_max: 9,
            candidates_refused_above: 9,
            passage_chars_max: 3,
        };
        super::super::decode(Some(set.as_bytes()), &limits).unwrap().candidates.remove(0)
    }

    #[test]
    fn a_result_is_written_with_what_came_in_and_nothing_it_lacks() {
        let mut result = Ranked::scored(
            candidate(r#"{"n":1.50,"id":"a","text":"abcd","metadata":{"b": 1e400},"score":1}"#),
            8.607_138,
            0.25,
            false,
            None,
        );
        result.rank = 1;
        let json = serde_json::to_string(&result).unwrap();
        let expected = r#"{"id":"a","rank":1,"logit":8.607138,"score":0.25,"text":"abc","#
            .to_owned()
            + r#""retrieval":[{"rank":1,"score":1.0}],"truncated":true,"status":"scored","#
            + r#""metadata":{"b": 1e400},"n":1.50}"#;
        assert_eq!(json, expected);
        result.reduce(Results::Ids);
        let json = serde_json::to_string(&result).unwrap();
        let expected = r#"{"id":"a","rank":1,"logit":8.607138,"score":0.25,"truncated":true,"status":"scored"}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn a_window_counts_characters_and_finds_its_part_again() {
        let text = "aä𝄞 b";
        let window = Window::of(text, 1..8);
        assert_eq!(window, Window { start: 1, end: 4 });
        assert_eq!(window.part(text), "ä𝄞 ");
        assert_eq!(Window::of(text, 0..text.len()).part(text), text);
        assert_eq!(Window { start: 4, end: 99 }.part(text), "b");
    }

    #[test]
    fn a_result_without_a_score_says_why() {
        let result = Ranked::unscored(candidate(r#"{"id":"a","text":" "}"#), Reason::EmptyText);
        let json = serde_json::to_string(&result).unwrap();
        assert!(json.contains(r#""truncated":false,"status":"unscored","reason":"empty_text""#));
        assert!(!json.contains("logit") && !json.contains("score\""), "{json}");
    }

    #[test]
    fn a_set_is_what_its_candidates_are() {
        use Reason::{Deadline, EmptyText, Expired, LogitNotFinite};
        let of = |reasons: &[Option<Reason>]| Status::of(reasons.iter().copied());
        assert_eq!(of(&[]), (Status::Reranked, None));
        assert_eq!(of(&[None, None]), (Status::Reranked, None));
        let partial = of(&[None, Some(EmptyText), Some(LogitNotFinite)]);
        assert_eq!(partial, (Status::Partial, Some(EmptyText)));
        let late = of(&[None, Some(EmptyText), Some(Deadline), Some(LogitNotFinite)]);
        assert_eq!(late, (Status::Partial, Some(Deadline)));
        assert_eq!(of(&[Some(Expired); 2]), (Status::Passthrough, Some(Expired)));
    }

    #[test]
    fn times_are_in_milliseconds_to_the_microsecond() {
        let nanos = Duration::from_nanos;
        let timing = TimingMs::new(nanos(1_234_567), nanos(499), nanos(2_000_000_000));
        assert_eq!(timing, TimingMs { queue: 1.235, score: 0.0, total: 2_000.0 });
    }
}
