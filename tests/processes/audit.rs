use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

use crate::stage::Stage;

/// What came out, set by set.
pub(crate) struct Audit {
    answers: BTreeMap<usize, Vec<(String, String)>>,
}

// === impl Audit ===

impl Audit {
    /// Reads the whole output topic.
    pub(crate) fn of(stage: &Stage) -> Self {
        let answers = stage.outputs().into_iter().map(|output| {
            let mut answer: Value = serde_json::from_slice(&output.value).unwrap();
            let id = answer["request_id"].as_str().unwrap().parse().unwrap();
            // All that may differ between two answers to the same set: when, and what was known by then.
            answer["timing_ms"].take();
            ["tokens", "cache_hits"].iter().for_each(|part| drop(answer["usage"][part].take()));
            (id, output.source, answer.to_string())
        });
        Self::new(answers)
    }

    /// From (set, `crossrank-source`, answer).
    pub(crate) fn new(all: impl IntoIterator<Item = (usize, String, String)>) -> Self {
        let mut answers: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for (id, source, answer) in all {
            answers.entry(id).or_default().push((source, answer));
        }
        Self { answers }
    }

    /// Sets without an answer.
    pub(crate) fn lost(&self, sets: Range<usize>) -> Vec<usize> {
        sets.filter(|id| !self.answers.contains_key(id)).collect()
    }

    /// Answers beyond the first of their set.
    pub(crate) fn repeated(&self) -> usize {
        self.answers.values().map(|answers| answers.len() - 1).sum()
    }

    /// Answers that differ from the first of their set, in content or in identity.
    pub(crate) fn unexplained(&self) -> usize {
        let differ = |answers: &Vec<_>| answers.iter().filter(|a| **a != answers[0]).count();
        self.answers.values().map(differ).sum()
    }
}
