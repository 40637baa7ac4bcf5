use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What authors of models state, as facts with their source.
const PUBLISHED: &str = include_str!("published.json");

/// Scores that a model is known to give.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedScores {
    /// Queries, their passages and the raw logits of each pair.
    pub sets: Vec<ExpectedSet>,
}

/// The scores of one query's passages.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ExpectedSet {
    /// The names of the model that gives them, where it is one of the hub.
    #[serde(default)]
    pub models: Vec<String>,
    /// Who says so.
    pub source: String,
    /// The query.
    pub query: String,
    /// The passages.
    pub passages: Vec<String>,
    /// Of a model with several labels, the one that the logits are the log-odds of.
    #[serde(default)]
    pub label: Option<String>,
    /// The raw logit of each passage, in the order of the passages.
    pub logits: Vec<f32>,
}

/// A file of expected scores that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExpectedError {
    /// It cannot be read.
    #[error("cannot read the expected scores in {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It does not hold what it should.
    #[error("{} does not hold expected scores; tools/expected_scores.py writes such a file", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it breaks.
        #[source]
        source: serde_json::Error,
    },
    /// Nothing can be compared with it.
    #[error("{}: {reason}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

// === impl ExpectedScores ===

impl ExpectedScores {
    /// Reads a file: a JSON list of objects with `source`, `query`, `passages` and `logits`.
    ///
    /// # Errors
    /// It cannot be read, is not such a list, or holds nothing to compare.
    pub fn read(path: &Path) -> Result<Self, ExpectedError> {
        let own = || path.to_owned();
        let text =
            std::fs::read(path).map_err(|source| ExpectedError::Read { path: own(), source })?;
        let sets: Vec<ExpectedSet> = serde_json::from_slice(&text)
            .map_err(|source| ExpectedError::Json { path: own(), source })?;
        let wrong = |reason| Err(ExpectedError::Content { path: own(), reason });
        if sets.iter().all(|set| set.passages.is_empty()) {
            return wrong("no pair is in there, so nothing would be tested".to_owned());
        }
        for (place, set) in sets.iter().enumerate() {
            let (passages, logits) = (set.passages.len(), set.logits.len());
            if passages != logits {
                return wrong(format!("set {place} has {passages} passages and {logits} logits"));
            }
        }
        Ok(Self { sets })
    }

    /// Number of scores.
    pub fn pairs(&self) -> usize {
        self.sets.iter().map(|set| set.logits.len()).sum()
    }
}

/// The scores that the authors of this model state, if they do.
pub(super) fn published(id: &str) -> Option<ExpectedScores> {
    let sets: Vec<ExpectedSet> =
        serde_json::from_str(PUBLISHED).expect("a test of this room reads the same text");
    let of_model = |set: &ExpectedSet| set.models.iter().any(|name| name.eq_ignore_ascii_case(id));
    let sets: Vec<ExpectedSet> = sets.into_iter().filter(of_model).collect();
    (!sets.is_empty()).then_some(ExpectedScores { sets })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_score_has_a_pair_and_a_source() {
        let sets: Vec<ExpectedSet> = serde_json::from_str(PUBLISHED).unwrap();
        assert!(!sets.is_empty());
        for set in sets {
            assert!(!set.models.is_empty() && !set.source.is_empty());
            assert!(!set.logits.is_empty() && set.logits.len() == set.passages.len());
        }
        let known = published("cross-encoder/ms-marco-MiniLM-L6-v2").unwrap();
        assert_eq!(known.sets[0].logits, [8.607_138, -4.320_078]);
        assert_eq!(published("cross-encoder/ms-marco-MiniLM-L-6-v2"), Some(known));
        assert_eq!(published("somebody/ms-marco-MiniLM-L6-v2"), None);
    }

    #[test]
    fn a_file_that_would_test_nothing_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("expected.json");
        let refused = |text: &str| {
            std::fs::write(&path, text).unwrap();
            crate::error_text(&ExpectedScores::read(&path).unwrap_err())
        };
        assert!(refused("[]").contains("nothing would be tested"));
        assert!(refused("{}").contains("expected_scores.py"));
        let uneven = r#"[{"source": "me", "query": "q", "passages": ["a", "b"], "logits": [1.0]}]"#;
        assert!(refused(uneven).contains("set 0 has 2 passages and 1 logits"));
        let missing = ExpectedScores::read(&folder.path().join("none.json")).unwrap_err();
        assert!(missing.to_string().contains("none.json"));
    }
}
