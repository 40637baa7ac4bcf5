//! A record's value → a candidate set → its answer, or an error.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crossrank::wire::{self, CandidateSet, DecodeError, Limits};
use serde_json::Value;

use super::{memory, scorer};

/// Those of `default.toml`.
const USUAL: Limits = Limits {
    record_bytes_max: 4_194_304,
    query_chars_max: 8_192,
    candidates_max: 1_000,
    candidates_refused_above: 10_000,
    passage_chars_max: 8_192,
};
const TINY: Limits = Limits {
    record_bytes_max: 2_000,
    query_chars_max: 12,
    candidates_max: 2,
    candidates_refused_above: 4,
    passage_chars_max: 6,
};
/// A word that a message may hold only where a name has it.
const SECRET: &str = "secret";
/// A path of eight names, each of 64 characters that are escaped, and what stands around it.
const MESSAGE_BYTES_MAX: usize = 8 * 64 * 10 + 400;

/// Decodes `data` and answers it.
///
/// # Panics
/// Where a property does not hold that is promised of any input.
pub(crate) fn run(data: &[u8]) {
    let bytes_max = (1 << 20) + 64 * data.len();
    memory::within(bytes_max, || {
        let usual = decoded(data, &USUAL);
        let tiny = decoded(data, &TINY);
        assert!(usual || !tiny, "what narrow limits take, wide ones take");
        if let Ok(output) = wire::read(data) {
            assert_stable(&output);
        }
    });
}

/// Whether `data` is a candidate set.
fn decoded(data: &[u8], limits: &Limits) -> bool {
    let (first, second) = (wire::decode(Some(data), limits), wire::decode(Some(data), limits));
    assert_eq!(format!("{first:?}"), format!("{second:?}"), "the same bytes are the same set");
    match first {
        Ok(set) => {
            assert_checked(&set, limits);
            answer(set, limits);
            true
        }
        Err(error) => {
            assert_tells_nothing(data, &error);
            false
        }
    }
}

/// What no later stage checks again.
fn assert_checked(set: &CandidateSet, limits: &Limits) {
    assert!(!set.request_id.is_empty() && !set.query.trim().is_empty());
    assert!(set.query.chars().count() <= limits.query_chars_max);
    assert!(set.top_n != Some(0));
    assert!(set.min_score.is_none_or(|score| (0.0..=1.0).contains(&score)));
    assert!(set.candidates.len() <= limits.candidates_refused_above);
    let mut ids: Vec<&str> = set.candidates.iter().map(|candidate| candidate.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), set.candidates.len(), "ids are unique");
    for candidate in &set.candidates {
        assert!(!candidate.id.is_empty() && !candidate.retrieval.is_empty());
        assert!(candidate.text.chars().count() <= limits.passage_chars_max);
        let sound = |found: &wire::Retrieval| {
            found.rank > 0 && found.score.is_none_or(|score| score.is_finite())
        };
        assert!(candidate.retrieval.iter().all(sound));
    }
}

/// Answers the set, and reads the answer as those who consume the topic do.
fn answer(set: CandidateSet, limits: &Limits) {
    let candidates = set.candidates.len();
    let extra: Vec<String> = set.extra.iter().map(|(_, json)| json.to_owned()).collect();
    let reranker = scorer::reranker(*limits);
    let now = reranker.now();
    let mut answering = pin!(reranker.answer(set, Box::new(|| true), now));
    let Poll::Ready(answered) = answering.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("the scorer waits for nothing");
    };
    let value = answered.expect("no policy refuses a set here").value;
    let read = wire::read(&value).expect("an answer can be read");
    assert!(read.results.len() <= candidates);
    assert!(wire::encode(&read) == value, "an answer that is read and written is the same");
    let text = String::from_utf8(value).expect("JSON is UTF-8");
    assert!(extra.iter().all(|json| text.contains(json.as_str())), "unknown fields come back");
}

/// Reading an output and writing it again gives the same bytes.
fn assert_stable(output: &wire::RerankedContext) {
    let written = wire::encode(output);
    let again = wire::read(&written).expect("what was written can be read");
    assert_eq!(wire::encode(&again), written);
}

/// A message ends in logs and in headers.
fn assert_tells_nothing(data: &[u8], error: &DecodeError) {
    let message = error.to_string();
    assert!(message.len() <= MESSAGE_BYTES_MAX, "{} bytes", message.len());
    assert!(!message.contains(char::is_control), "{message:?}");
    if let DecodeError::InvalidJson { problem, .. } = error {
        // So it begins where the parser quotes what it has met.
        let quotes = ["invalid type", "invalid value", "unknown ", "missing "];
        assert!(!quotes.iter().any(|start| problem.starts_with(start)), "{problem}");
    }
    let Ok(set) = serde_json::from_slice::<Value>(data) else { return };
    assert!(is_named(&set) || !message.contains(SECRET), "{message}");
}

/// Whether a name in it has the word that is watched for.
fn is_named(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains(SECRET) || is_named(value))
        }
        Value::Array(items) => items.iter().any(is_named),
        _ => false,
    }
}
