use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Candidate, Reason, Results, Retrieval, UnknownFields};

/// Names that a result needs for itself, beyond those that a candidate has too.
pub(super) const RESERVED: &[&str] =
    &["logit", "retrieval", "truncated", "window", "status", "reason"];

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

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(json: &str) -> Candidate {
        let set = format!(r#"{{"request_id":"r","query":"q","u":1e400,"candidates":[{json}]}}"#);
        let limits = crate::wire::Limits {
            record_bytes_max: 1_000,
            query_chars_max: 9,
            candidates_max: 9,
            candidates_refused_above: 9,
            passage_chars_max: 3,
        };
        crate::wire::decode(Some(set.as_bytes()), &limits).unwrap().candidates.remove(0)
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
}
