use std::borrow::Cow;
use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::first_stage::{self, Entry, List};
use super::json::{self, Items, Object};
use super::path::{At, path_at};
use super::{DEPTH_MAX, DecodeError, Limits, UnknownFields, context, deadline, read};

const REQUIRED: &str = "a candidate set has request_id, query, and candidates or lists";
const CANDIDATE_REQUIRED: &str = "a candidate has id and text";

/// A query and the passages that a first stage found for it: one record of
/// `crossrank.candidates.v1`.
#[derive(Clone, Debug)]
pub struct CandidateSet {
    /// The caller's name for the request. Not empty.
    pub request_id: String,
    /// What the passages are scored against. Not blank.
    pub query: String,
    /// At most this many results, 1 or more.
    pub top_n: Option<usize>,
    /// Scored results below this score are left out, 0 to 1.
    pub min_score: Option<f64>,
    /// After this moment nobody waits for scores. The record's header
    /// [`DEADLINE`](super::header::DEADLINE) may say it too; see [`expire_by`](Self::expire_by).
    pub expires_at: Option<Timestamp>,
    /// In first-stage order, ids unique.
    ///
    /// One list is ordered by `rank`, and a candidate without one has its place in the list as
    /// its rank; ties stay in input order. Several lists are merged by id and ordered by
    /// reciprocal rank fusion: the sum over the lists of 1 / (60 + rank), ties in the order in
    /// which the ids first occur.
    pub candidates: Vec<Candidate>,
    /// Fields of the set that are not known.
    pub extra: UnknownFields,
}

/// A passage to score.
///
/// Where several lists name the same id, text, title, source, metadata and every unknown field
/// are those of the first list that has them; a blank text counts as none.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Not empty, unique in its set.
    pub id: String,
    /// The passage; may be blank.
    pub text: String,
    /// Its title.
    pub title: Option<String>,
    /// Who retrieved it: its own `source`, or else that of its list.
    pub source: Option<String>,
    /// Where it stood in each list that names it, in the order of the lists. Never empty.
    pub retrieval: Vec<Retrieval>,
    /// The caller's own, byte for byte.
    pub metadata: Option<Box<RawValue>>,
    /// Whether [`passage_chars_max`](Limits::passage_chars_max) cut the text.
    pub cut: bool,
    /// Fields of the candidate that are not known.
    pub extra: UnknownFields,
}

// === impl CandidateSet ===

impl CandidateSet {
    /// Takes a deadline that came beside the set: the earlier of the two counts.
    pub fn expire_by(&mut self, deadline: Option<Timestamp>) {
        self.expires_at = match (self.expires_at, deadline) {
            (Some(own), Some(other)) => Some(own.min(other)),
            (own, other) => own.or(other),
        };
    }
}

/// Where a candidate stood in one list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retrieval {
    /// Who retrieved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its rank there, from 1: the one given, or else its place in the list.
    pub rank: u32,
    /// Its score there; absent where a 64-bit float cannot hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "read::exact_option")]
    pub score: Option<f64>,
}

/// Reads the value of a record; `None` is Kafka's null.
pub fn decode(value: Option<&[u8]>, limits: &Limits) -> Result<CandidateSet, DecodeError> {
    let value = value.ok_or(DecodeError::NullValue)?;
    if value.len() > limits.record_bytes_max {
        let limit = limits.record_bytes_max;
        return Err(DecodeError::RecordTooLarge { actual: value.len(), limit });
    }
    let json = str::from_utf8(value).map_err(|error| {
        let offset = error.valid_up_to();
        let valid = String::from_utf8_lossy(value.get(..offset).unwrap_or_default());
        DecodeError::InvalidUtf8 { path: path_at(&valid, offset), offset }
    })?;
    // What is known has a depth of its own, so depth is measured only where it can be too large:
    // in what is carried along, and where something else is wrong.
    decode_json(json, limits).map_err(|error| match json::depth(json) > DEPTH_MAX {
        true => json::too_deep(json),
        false => error,
    })
}

fn decode_json(json: &str, limits: &Limits) -> Result<CandidateSet, DecodeError> {
    let at = &At::Root;
    let mut fields = Object::of_record(json)?;
    let request_id = name(fields.require(at, "request_id", REQUIRED)?, &at.field("request_id"))?;
    let query = query(fields.require(at, "query", REQUIRED)?, &at.field("query"), limits)?;
    let top_n = fields.optional("top_n").map(|raw| top_n(raw, &at.field("top_n"))).transpose()?;
    let min_score = fields
        .optional("min_score")
        .map(|raw| min_score(raw, &at.field("min_score")))
        .transpose()?;
    let expires_at = fields
        .optional("expires_at")
        .map(|raw| expires_at(raw, &at.field("expires_at")))
        .transpose()?;
    let candidates = fields.optional("candidates");
    let lists = fields.optional("lists");
    fields.check_depth(at, 1)?;
    let mut extra = UnknownFields::keep(&fields.0).shadow(context::RESERVED);
    let path = if lists.is_some() { "lists" } else { "candidates" };
    let candidates = match (candidates, lists) {
        (Some(raw), None) => first_stage::order(entries(raw, &at.field("candidates"), 2, limits)?),
        (None, Some(raw)) => {
            let lists = self::lists(raw, &at.field("lists"), limits)?;
            if lists.iter().any(|list| !list.extra.is_empty()) {
                extra.push("lists", &lists);
            }
            first_stage::fuse(lists)
        }
        (None, None) => return Err(at.missing("candidates", REQUIRED)),
        (Some(_), Some(_)) => return Err(DecodeError::CandidatesAndLists),
    };
    refuse_too_many(path, candidates.len(), limits)?;
    Ok(CandidateSet { request_id, query, top_n, min_score, expires_at, candidates, extra })
}

fn lists(raw: &RawValue, at: &At<'_>, limits: &Limits) -> Result<Vec<List>, DecodeError> {
    let read = Items::of(raw, at, first_stage::LISTS_MAX)?;
    if read.total > first_stage::LISTS_MAX {
        let (path, limit) = (at.to_string(), first_stage::LISTS_MAX);
        return Err(DecodeError::TooManyLists { path, actual: read.total, limit });
    }
    let list = |(index, raw): (usize, &&RawValue)| list(raw, &At::Item(at, index), limits);
    read.items.iter().enumerate().map(list).collect()
}

fn list(raw: &RawValue, at: &At<'_>, limits: &Limits) -> Result<List, DecodeError> {
    let mut fields = Object::of(raw, at)?;
    let candidates = fields.require(at, "candidates", "a list has candidates")?;
    let source = optional_text(&mut fields, at, "source")?;
    fields.check_depth(at, 3)?;
    let extra = UnknownFields::keep(&fields.0);
    let entries = entries(candidates, &at.field("candidates"), 4, limits)?;
    Ok(List { source, entries, extra })
}

/// Reads an array of candidates; `level` is how deep the array stands.
fn entries(
    raw: &RawValue,
    at: &At<'_>,
    level: usize,
    limits: &Limits,
) -> Result<Vec<Entry>, DecodeError> {
    let read = Items::of(raw, at, limits.candidates_refused_above)?;
    refuse_too_many(at, read.total, limits)?;
    let mut entries = Vec::with_capacity(read.items.len());
    let mut places = HashMap::with_capacity(read.items.len());
    for (index, raw) in read.items.into_iter().enumerate() {
        let at = At::Item(at, index);
        let entry = entry(raw, &at, level + 1, limits)?;
        if let Some(first) = places.insert(entry.candidate.id.clone(), index) {
            return Err(DecodeError::DuplicateId {
                path: at.field("id").to_string(),
                first: at.sibling(first).field("id").to_string(),
            });
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(raw: &RawValue, at: &At<'_>, level: usize, limits: &Limits) -> Result<Entry, DecodeError> {
    let mut fields = Object::of(raw, at)?;
    let id = name(fields.require(at, "id", CANDIDATE_REQUIRED)?, &at.field("id"))?;
    let text = json::text(fields.require(at, "text", CANDIDATE_REQUIRED)?, &at.field("text"))?;
    let (text, cut) = cut(text, limits.passage_chars_max);
    let title = optional_text(&mut fields, at, "title")?;
    let source = optional_text(&mut fields, at, "source")?;
    let rank = fields.optional("rank").map(|raw| rank(raw, &at.field("rank"))).transpose()?;
    let score = fields.optional("score").map(|raw| score(raw, &at.field("score"))).transpose()?;
    fields.check_depth(at, level)?;
    let metadata = fields.optional("metadata").map(ToOwned::to_owned);
    let extra = UnknownFields::keep(&fields.0);
    let retrieval = Vec::with_capacity(1);
    let candidate = Candidate { id, text, title, source, retrieval, metadata, cut, extra };
    Ok(Entry { candidate, rank, score: score.flatten() })
}

fn refuse_too_many(path: impl ToString, actual: usize, limits: &Limits) -> Result<(), DecodeError> {
    let limit = limits.candidates_refused_above;
    match actual > limit {
        true => Err(DecodeError::TooManyCandidates { path: path.to_string(), actual, limit }),
        false => Ok(()),
    }
}

fn optional_text(
    fields: &mut Object<'_>,
    at: &At<'_>,
    name: &str,
) -> Result<Option<String>, DecodeError> {
    let text = fields.optional(name).map(|raw| json::text(raw, &At::Field(at, name)));
    Ok(text.transpose()?.map(Cow::into_owned))
}

/// Reads a string that names something.
fn name(raw: &RawValue, at: &At<'_>) -> Result<String, DecodeError> {
    let text = json::text(raw, at)?;
    if text.is_empty() { Err(at.invalid("must not be empty")) } else { Ok(text.into_owned()) }
}

fn query(raw: &RawValue, at: &At<'_>, limits: &Limits) -> Result<String, DecodeError> {
    let text = json::text(raw, at)?;
    if text.trim().is_empty() {
        return Err(DecodeError::EmptyQuery);
    }
    let limit = limits.query_chars_max;
    if text.len() > limit {
        let actual = text.chars().count();
        if actual > limit {
            return Err(DecodeError::QueryTooLong { actual, limit });
        }
    }
    Ok(text.into_owned())
}

/// What the first `chars_max` characters of `text` are, and whether there were more.
fn cut(text: Cow<'_, str>, chars_max: usize) -> (String, bool) {
    if text.len() <= chars_max {
        return (text.into_owned(), false);
    }
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => (text.get(..end).unwrap_or_default().to_owned(), true),
        None => (text.into_owned(), false),
    }
}

/// Reads a whole number from 1 up; `3.0` and `3e0` are one, as JSON has no integers.
fn top_n(raw: &RawValue, at: &At<'_>) -> Result<usize, DecodeError> {
    match json::number(raw, at)? {
        n if n >= 1.0 && n.fract() == 0.0 => Ok(n as usize),
        _ => Err(at.invalid("must be a whole number from 1 up")),
    }
}

fn rank(raw: &RawValue, at: &At<'_>) -> Result<u32, DecodeError> {
    match json::number(raw, at)? {
        n if n >= 1.0 && n <= f64::from(u32::MAX) && n.fract() == 0.0 => Ok(n as u32),
        _ => Err(at.invalid("must be a whole number from 1 to 4294967295")),
    }
}

/// Reads a first-stage score. Nothing depends on it, so one that is out of range is as good as
/// none, and its set goes on.
fn score(raw: &RawValue, at: &At<'_>) -> Result<Option<f64>, DecodeError> {
    json::float(raw, at).map(|score| score.is_finite().then_some(score))
}

fn min_score(raw: &RawValue, at: &At<'_>) -> Result<f64, DecodeError> {
    match json::number(raw, at)? {
        score if (0.0..=1.0).contains(&score) => Ok(score),
        _ => Err(at.invalid("must be between 0 and 1; scores are, after the sigmoid")),
    }
}

fn expires_at(raw: &RawValue, at: &At<'_>) -> Result<Timestamp, DecodeError> {
    let time = deadline::rfc3339(&json::text(raw, at)?);
    time.ok_or_else(|| at.invalid("must be an RFC 3339 time, such as 2026-11-23T12:00:00.250Z"))
}

#[cfg(test)]
mod tests;
