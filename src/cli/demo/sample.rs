use bytes::Bytes;
use serde::Deserialize;

use crate::cli::CliError;
use crate::wire::{self, CandidateSet, Limits};

const SAMPLES: &str = include_str!("sets.jsonl");

/// A candidate set of the demonstration, and what a person would say of it.
pub(super) struct Sample {
    pub(super) value: Bytes,
    pub(super) set: CandidateSet,
    judgement: Judgement,
}

/// What stands in a sample beside what every candidate set has.
#[derive(Deserialize)]
struct Judgement {
    /// Ids of the passages that answer the query.
    answers: Vec<String>,
}

// === impl Sample ===

impl Sample {
    pub(super) fn all(limits: &Limits) -> Result<Vec<Self>, CliError> {
        SAMPLES.lines().map(|line| Self::read(line, limits)).collect()
    }

    fn read(line: &'static str, limits: &Limits) -> Result<Self, CliError> {
        let set = wire::decode(Some(line.as_bytes()), limits);
        let set = set.map_err(|error| CliError::Demo { reason: error.to_string() })?;
        let judgement = serde_json::from_str(line);
        let judgement = judgement.map_err(|error| CliError::Demo { reason: error.to_string() })?;
        Ok(Self { value: Bytes::from_static(line.as_bytes()), set, judgement })
    }

    /// Whether the passage of this id answers the query.
    pub(super) fn answers(&self, id: &str) -> bool {
        self.judgement.answers.iter().any(|answer| answer == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_has_a_few_candidates_and_an_answer_among_them() {
        let limits = crate::config::load(crate::config::Sources::default()).unwrap();
        let samples = Sample::all(&limits.reranking().unwrap().limits).unwrap();
        assert!((6..=8).contains(&samples.len()));
        for Sample { set, judgement, .. } in samples {
            assert!((4..=8).contains(&set.candidates.len()), "{}", set.request_id);
            assert!(!judgement.answers.is_empty(), "{}", set.request_id);
            for answer in judgement.answers {
                let is_there = set.candidates.iter().any(|candidate| candidate.id == answer);
                assert!(is_there, "{answer} of {}", set.request_id);
            }
        }
    }
}
