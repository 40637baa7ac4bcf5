//! Every input follows from its number, and so does the answer to it.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

/// The header that carries the number. Outputs and dead letters keep the headers of their input.
pub(crate) const ID: &str = "audit-id";
/// A larger set is refused by the worker.
pub(crate) const RECORD_BYTES_MAX: usize = 8_192;
/// A larger record is refused by the dead letter topic.
pub(crate) const DEAD_LETTER_BYTES_MAX: usize = 65_536;

const KEYS: u64 = 500;
const OVERSIZE_BYTES: usize = 12_000;
const HUGE_BYTES: usize = 80_000;

/// What an input is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Set,
    /// Bytes that are no JSON.
    Corrupt,
    Tombstone,
    /// Larger than a set may be.
    Oversize,
    /// Larger than a dead letter may be.
    Huge,
}

// === impl Kind ===

impl Kind {
    pub(crate) fn of(id: u32) -> Self {
        match mixed(id, "kind") % 2_000 {
            0..30 => Self::Corrupt,
            30..40 => Self::Tombstone,
            40..55 => Self::Oversize,
            55 => Self::Huge,
            _ => Self::Set,
        }
    }

    /// The code of the dead letter that it becomes.
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Set => None,
            Self::Corrupt => Some("invalid_json"),
            Self::Tombstone => Some("null_value"),
            Self::Oversize | Self::Huge => Some("record_too_large"),
        }
    }
}

/// Nine inputs of ten have a key.
pub(crate) fn key(id: u32) -> Option<u32> {
    let mixed = mixed(id, "key");
    (!mixed.is_multiple_of(10)).then_some(u32::try_from(mixed / 10 % KEYS).expect("a small number"))
}

/// Records of one key go to one partition.
pub(crate) fn partition(id: u32, partitions: usize) -> usize {
    key(id).unwrap_or(id) as usize % partitions
}

pub(crate) fn value(id: u32) -> Option<Vec<u8>> {
    match Kind::of(id) {
        Kind::Set => Some(set(id).to_string().into_bytes()),
        Kind::Corrupt => Some(format!("{{\"request_id\": {id}, ").into_bytes()),
        Kind::Tombstone => None,
        Kind::Oversize => Some(noise(id, OVERSIZE_BYTES)),
        // No codec makes it smaller.
        Kind::Huge => Some(noise(id, HUGE_BYTES)),
    }
}

fn set(id: u32) -> Value {
    let candidates: Vec<_> = (0..candidates(id))
        .map(|place| json!({"id": place.to_string(), "text": passage(id, place)}))
        .collect();
    json!({"request_id": id.to_string(), "query": query(id), "candidates": candidates})
}

fn candidates(id: u32) -> u64 {
    2 + mixed(id, "candidates") % 3
}

fn query(id: u32) -> String {
    format!("what is thing {id}")
}

fn passage(id: u32, place: u64) -> String {
    format!("thing {id} is {}", mixed(id, "passage").wrapping_mul(place + 1) % 10_007)
}

fn noise(id: u32, bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(u64::from(id));
    (0..bytes).map(|_| random.u8(..)).collect()
}

/// What the workers' scorer says of a pair.
pub(crate) fn logit(query: &str, passage: &str) -> f32 {
    (hash(&(query, passage)) % 16_001) as f32 / 1_000.0 - 8.0
}

/// Whether `answer` is what the workers' scorer leads to.
pub(crate) fn is_answer_to(id: u32, answer: &Value) -> bool {
    let query = query(id);
    let mut expected: Vec<(f32, u64)> =
        (0..candidates(id)).map(|place| (logit(&query, &passage(id, place)), place)).collect();
    expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let results = answer["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    results.len() == expected.len()
        && answer["status"] == "reranked"
        && results.iter().zip(&expected).all(|(result, (logit, place))| {
            result["id"].as_str() == Some(&place.to_string())
                && result["logit"].as_f64().is_some_and(|seen| (seen as f32) == *logit)
        })
}

/// Whether a dead letter with this code and value is what becomes of this input. `left_out` is what
/// the letter says of a value that it does not have.
pub(crate) fn is_letter_of(
    id: u32,
    code: &str,
    found: Option<&[u8]>,
    left_out: Option<usize>,
) -> bool {
    let kind = Kind::of(id);
    kind.code() == Some(code)
        && match kind {
            Kind::Huge => found.is_none() && left_out == Some(HUGE_BYTES),
            _ => found == value(id).as_deref() && left_out.is_none(),
        }
}

pub(crate) fn hash(content: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

fn mixed(id: u32, of: &str) -> u64 {
    hash(&(id, of))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: std::ops::Range<u32> = 0..20_000;

    fn answer(id: u32) -> Value {
        let scored = |place: u64| (logit(&query(id), &passage(id, place)), place);
        let mut scored: Vec<_> = (0..candidates(id)).map(scored).collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        let result = |(logit, place): (f32, u64)| json!({"id": place.to_string(), "logit": logit});
        let results: Vec<_> = scored.into_iter().map(result).collect();
        json!({"status": "reranked", "results": results})
    }

    #[test]
    fn every_kind_of_input_is_among_them() {
        let count = |kind| IDS.filter(|&id| Kind::of(id) == kind).count();
        for kind in [Kind::Corrupt, Kind::Tombstone, Kind::Oversize, Kind::Huge] {
            assert!((1..600).contains(&count(kind)), "{kind:?}: {}", count(kind));
        }
        assert!(IDS.filter(|&id| key(id).is_none()).count() > 1_000);
        let lengths = |id| value(id).map_or(0, |value| value.len());
        assert!(
            IDS.filter(|&id| lengths(id) > RECORD_BYTES_MAX).all(|id| Kind::of(id) != Kind::Set)
        );
    }

    #[test]
    fn an_answer_is_right_only_with_its_own_scores_in_their_order() {
        for id in IDS.step_by(97) {
            assert!(is_answer_to(id, &answer(id)), "{id}");
            assert!(!is_answer_to(id + 1, &answer(id)), "{id}");
            let mut swapped = answer(id);
            swapped["results"].as_array_mut().unwrap().swap(0, 1);
            assert!(!is_answer_to(id, &swapped), "{id}");
        }
    }

    #[test]
    fn a_letter_is_right_only_with_its_own_value_and_code() {
        let of = |kind| IDS.into_iter().find(|&id| Kind::of(id) == kind).unwrap();
        let (corrupt, huge) = (of(Kind::Corrupt), of(Kind::Huge));
        let text = value(corrupt).unwrap();
        assert!(is_letter_of(corrupt, "invalid_json", Some(&text), None));
        assert!(!is_letter_of(corrupt, "engine", Some(&text), None));
        assert!(!is_letter_of(corrupt, "invalid_json", Some(&text[1..]), None));
        assert!(!is_letter_of(corrupt, "invalid_json", None, Some(text.len())));
        assert!(is_letter_of(huge, "record_too_large", None, Some(HUGE_BYTES)));
        assert!(!is_letter_of(huge, "record_too_large", None, None));
        assert!(is_letter_of(of(Kind::Tombstone), "null_value", None, None));
        assert!(!is_letter_of(of(Kind::Set), "engine", None, None), "a good set has an output");
    }
}
