use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Ranked, Reason, Status, UnknownFields, read};

/// Names that the output needs for itself, beyond those that the input has too.
pub(super) const RESERVED: &[&str] =
    &["status", "reason", "model", "results", "context", "usage", "timing_ms"];

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

    #[test]
    fn times_are_in_milliseconds_to_the_microsecond() {
        let nanos = Duration::from_nanos;
        let timing = TimingMs::new(nanos(1_234_567), nanos(499), nanos(2_000_000_000));
        assert_eq!(timing, TimingMs { queue: 1.235, score: 0.0, total: 2_000.0 });
    }
}
