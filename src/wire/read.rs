//! The output, read back: for tests, for tools, and for those who consume the topic in Rust.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;

use super::json;
use super::{
    Context, Model, Ranked, Reason, RerankedContext, ResultStatus, Retrieval, Status, TimingMs,
    UnknownFields, Usage, Window,
};

const KNOWN: &[&str] = &[
    "request_id",
    "query",
    "status",
    "reason",
    "model",
    "results",
    "context",
    "usage",
    "timing_ms",
];
const RESULT_KNOWN: &[&str] = &[
    "id",
    "rank",
    "logit",
    "score",
    "text",
    "title",
    "source",
    "retrieval",
    "truncated",
    "window",
    "status",
    "reason",
    "metadata",
];

/// All of them: an answer has fields of its own beside those that came in.
type Fields<'a> = json::Fields<'a, { usize::MAX }>;

#[derive(serde::Deserialize)]
struct Known<'a> {
    request_id: String,
    query: String,
    status: Status,
    reason: Option<Reason>,
    model: Model,
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
    context: Option<Context>,
    usage: Usage,
    timing_ms: TimingMs,
}

#[derive(serde::Deserialize)]
struct Reranked<'a> {
    id: String,
    rank: usize,
    logit: Option<f32>,
    #[serde(default, deserialize_with = "exact_option")]
    score: Option<f64>,
    text: Option<String>,
    title: Option<String>,
    source: Option<String>,
    #[serde(default)]
    retrieval: Vec<Retrieval>,
    truncated: bool,
    window: Option<Window>,
    status: ResultStatus,
    reason: Option<Reason>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

/// Reads the value of an output record. Reading and writing again gives the same bytes.
pub fn read(value: &[u8]) -> Result<RerankedContext, serde_json::Error> {
    let known: Known<'_> = serde_json::from_slice(value)?;
    let all: Fields<'_> = serde_json::from_slice(value)?;
    Ok(RerankedContext {
        request_id: known.request_id,
        query: known.query,
        status: known.status,
        reason: known.reason,
        model: known.model,
        results: known.results.into_iter().map(result).collect::<Result<_, _>>()?,
        context: known.context,
        usage: known.usage,
        timing_ms: known.timing_ms,
        extra: UnknownFields::beside(&all.kept, KNOWN),
    })
}

fn result(raw: &RawValue) -> Result<Ranked, serde_json::Error> {
    let known: Reranked<'_> = serde_json::from_str(raw.get())?;
    let all: Fields<'_> = serde_json::from_str(raw.get())?;
    Ok(Ranked {
        first: 0,
        id: known.id,
        rank: known.rank,
        logit: known.logit,
        score: known.score,
        text: known.text,
        title: known.title,
        source: known.source,
        retrieval: known.retrieval,
        truncated: known.truncated,
        window: known.window,
        status: known.status,
        reason: known.reason,
        metadata: known.metadata.map(ToOwned::to_owned),
        extra: UnknownFields::beside(&all.kept, RESULT_KNOWN),
    })
}

/// A float to the last bit; serde_json by itself may be off by one.
pub(super) fn exact<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    raw.get().parse().map_err(D::Error::custom)
}

/// The same for one that may be absent.
pub(super) fn exact_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<f64>, D::Error> {
    let raw = <Option<&RawValue>>::deserialize(deserializer)?;
    raw.map(|raw| raw.get().parse().map_err(D::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{FIELDS_MAX, encode};

    #[test]
    fn as_many_unknown_fields_as_a_set_may_have_are_read() {
        let fields = |count| {
            let all: Vec<String> = (0..count).map(|n| format!(r#","f{n}":{n}"#)).collect();
            all.concat()
        };
        let answer = r#"{"request_id":"r","query":"q","status":"passthrough","reason":"expired","#
            .to_owned()
            + r#""model":{"id":"m","revision":null,"precision":"f32","backend":"flex"},"results":["#
            + r#"{"id":"a","rank":1,"truncated":false,"status":"unscored","reason":"expired""#
            + &fields(FIELDS_MAX - 2)
            + r#"}],"usage":{"candidates":1,"pairs":0,"windows":0,"tokens":0,"cache_hits":0,"truncated":0,"#
            + r#""query_truncated":false},"timing_ms":{"queue":0.0,"score":0.0,"total":0.5}"#
            + &fields(FIELDS_MAX - 3)
            + "}";
        let read = read(answer.as_bytes()).unwrap();
        assert!(encode(&read) == answer.as_bytes(), "written again it is the same");
    }
}
