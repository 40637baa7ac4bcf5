use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::Limits;

/// A query and a passage to score.
#[derive(Debug)]
pub(super) struct Pair {
    /// The caller's name for it, which comes back as it is.
    pub(super) id: Option<Box<RawValue>>,
    /// Not blank.
    pub(super) query: String,
    /// May be blank.
    pub(super) passage: String,
    /// Whether `limits.passage_chars_max` cut the passage.
    pub(super) cut: bool,
}

/// How a pair is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Query, tab, passage.
    Tabs,
    /// An object with `query` and `text`.
    Json,
}

/// Why a line is no pair.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// More bytes than `limits.record_bytes_max`.
    #[error("the line has {actual} bytes, limits.record_bytes_max is {limit}")]
    TooLong {
        /// Bytes of the line.
        actual: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Bytes that are not UTF-8.
    #[error("byte {offset} of the line is not UTF-8")]
    NotUtf8 {
        /// The first offending byte.
        offset: usize,
    },
    /// Not two columns.
    #[error("{tabs} tabs; a pair is a query, one tab and a passage, or JSON with --form jsonl")]
    Columns {
        /// Tabs in the line.
        tabs: usize,
    },
    /// Not an object with `query` and `text`, both strings.
    #[error(r#"not a pair as JSON, {{"query": "…", "text": "…"}}"#)]
    Json(#[source] serde_json::Error),
    /// A query that is empty or only white space.
    #[error("the query is empty; there is nothing to score the passage against")]
    EmptyQuery,
    /// More characters than `limits.query_chars_max`.
    #[error("the query has {actual} characters, limits.query_chars_max is {limit}")]
    QueryTooLong {
        /// Characters of the query.
        actual: usize,
        /// What is allowed.
        limit: usize,
    },
}

/// Fields that are not named here, a title among them, are not read: no part of them is scored.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    query: Cow<'a, str>,
    #[serde(borrow)]
    text: Cow<'a, str>,
    id: Option<Box<RawValue>>,
}

// === impl Form ===

impl Form {
    /// The form of a file that begins with this line.
    pub(super) fn of(line: &[u8]) -> Self {
        if line.trim_ascii_start().starts_with(b"{") { Self::Json } else { Self::Tabs }
    }
}

// === impl Pair ===

impl Pair {
    /// Reads a line.
    ///
    /// # Errors
    /// It is no pair, or one beyond the limits.
    pub(super) fn read(line: &[u8], form: Form, limits: &Limits) -> Result<Self, PairError> {
        let line = str::from_utf8(line)
            .map_err(|error| PairError::NotUtf8 { offset: error.valid_up_to() })?;
        let Fields { query, text, id } = match form {
            Form::Json => serde_json::from_str(line).map_err(PairError::Json)?,
            Form::Tabs => match line.split_once('\t') {
                Some((query, text)) if !text.contains('\t') => {
                    Fields { query: query.into(), text: text.into(), id: None }
                }
                _ => return Err(PairError::Columns { tabs: line.matches('\t').count() }),
            },
        };
        if query.trim().is_empty() {
            return Err(PairError::EmptyQuery);
        }
        let (actual, limit) = (query.chars().count(), limits.query_chars_max);
        if actual > limit {
            return Err(PairError::QueryTooLong { actual, limit });
        }
        let mut passage = text.into_owned();
        let end = passage.char_indices().nth(limits.passage_chars_max).map(|(end, _)| end);
        if let Some(end) = end {
            passage.truncate(end);
        }
        Ok(Self { id, query: query.into_owned(), passage, cut: end.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        record_bytes_max: 1_000,
        query_chars_max: 8,
        candidates_max: 1,
        candidates_refused_above: 1,
        passage_chars_max: 4,
    };

    fn read(line: &str) -> Result<Pair, PairError> {
        Pair::read(line.as_bytes(), Form::of(line.as_bytes()), &LIMITS)
    }

    #[test]
    fn both_forms_say_the_same() {
        for line in
            ["what?\tthat", r#" {"text": "that", "title": "x", "query": "what?", "id": [1]}"#]
        {
            let pair = read(line).unwrap();
            assert_eq!((pair.query.as_str(), pair.passage.as_str()), ("what?", "that"));
            assert!(!pair.cut);
        }
        assert_eq!(read(r#"{"query":"q","text":"t","id":7}"#).unwrap().id.unwrap().get(), "7");
        assert!(read(r#"{"query":"q","text":"t","id":null}"#).unwrap().id.is_none());
    }

    #[test]
    fn a_long_passage_is_cut_at_a_character_and_may_be_blank() {
        let pair = read("q\tüüüüü").unwrap();
        assert_eq!((pair.passage.as_str(), pair.cut), ("üüüü", true));
        assert_eq!(read("q\t").unwrap().passage, "");
    }

    #[test]
    fn what_is_no_pair_is_refused_with_what_is_wrong() {
        for (line, told) in [
            ("no tab", "0 tabs"),
            ("a\tb\tc", "2 tabs"),
            (" \tpassage", "the query is empty"),
            ("123456789\tp", "9 characters"),
            (r#"{"query": "q"}"#, "missing field `text`"),
            (r#"{"query": "q", "query": "r", "text": "t"}"#, "duplicate field"),
            (r#"{"query": 3, "text": "t"}"#, "invalid type"),
        ] {
            let error = crate::error_text(&read(line).unwrap_err());
            assert!(error.contains(told), "{error}");
        }
        let error = Pair::read(b"q\t\xff", Form::Tabs, &LIMITS).unwrap_err();
        assert!(matches!(error, PairError::NotUtf8 { offset: 2 }), "{error}");
    }
}
