use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::cli::input::Inputs;
use crate::cli::rerank::BadLine;
use crate::cli::{CliError, sets};
use crate::engine::{ScoreRequest, SetScores};
use crate::evaluation::{Qrels, Ranked, Run, is_field};
use crate::rank::{self, Logit};
use crate::wire::{Candidate, CandidateSet, Limits};

/// The field of a candidate that holds its grade.
const LABEL: &str = "relevance";

/// What is read beside the sets themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Grades that stand on the candidates.
    pub(super) labels: bool,
    /// Names that a TREC run file can hold.
    pub(super) fields: bool,
}

/// All sets, in memory.
#[derive(Debug, Default)]
pub(super) struct Sets {
    /// By request id.
    pub(super) sets: BTreeMap<String, Set>,
    /// The order that the candidates came in.
    pub(super) first_stage: Run,
    /// The grades that stand on the candidates, where they are wanted.
    pub(super) labels: Qrels,
}

/// A query and its candidates, in first-stage order.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) query: String,
    pub(super) candidates: Vec<Candidate>,
    /// How many of them are scored at most.
    scored_max: usize,
}

// === impl Sets ===

impl Sets {
    /// Reads all sets. Blocks.
    ///
    /// # Errors
    /// The first line that is not a candidate set, repeats a request id, or has not what is wanted.
    pub(super) fn read(inputs: Inputs, limits: &Limits, wanted: Wanted) -> Result<Self, CliError> {
        let mut read = Self::default();
        let mut places: BTreeMap<String, String> = BTreeMap::new();
        sets::read(inputs, limits, |set, place| {
            let added = match places.get(&set.request_id) {
                Some(first) => Err(BadLine::SameRequest { first: first.clone() }),
                None => {
                    places.insert(set.request_id.clone(), place.clone());
                    read.add(set, limits, wanted)
                }
            };
            added.map_err(|source| CliError::BadLine { place, source })?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(read)
    }

    fn add(&mut self, set: CandidateSet, limits: &Limits, wanted: Wanted) -> Result<(), BadLine> {
        let CandidateSet { request_id, query, candidates, .. } = set;
        let ids = || candidates.iter().map(|candidate| &candidate.id);
        if wanted.fields
            && let Some(name) = std::iter::once(&request_id).chain(ids()).find(|n| !is_field(n))
        {
            return Err(BadLine::NoField { name: name.clone() });
        }
        if wanted.labels {
            for Candidate { id, extra, .. } in &candidates {
                let Some(label) = extra.get(LABEL).filter(|label| *label != "null") else {
                    continue;
                };
                let grade = label.parse().map_err(|_| BadLine::Relevance { id: id.clone() })?;
                self.labels.add(&request_id, id, grade)?;
            }
        }
        self.first_stage.insert_order(request_id.clone(), ids().cloned());
        let scored_max = limits.candidates_max;
        self.sets.insert(request_id, Set { query, candidates, scored_max });
        Ok(())
    }

    /// Pairs that are scored.
    pub(super) fn pairs(&self) -> usize {
        self.sets.values().map(|set| set.scored().count()).sum()
    }

    /// What is to be scored, in the order of the request ids.
    pub(super) fn requests(&self) -> impl Iterator<Item = ScoreRequest> {
        self.sets.values().map(|set| {
            let passages = set.scored().map(|index| set.candidates[index].text.clone());
            ScoreRequest::new(set.query.clone(), passages.collect())
        })
    }

    /// The order that these scores make: that of an answer of `rerank`. They are those of the
    /// [`requests`](Self::requests).
    pub(super) fn reranked(&self, scores: &[SetScores]) -> Run {
        let mut run = Run::default();
        for ((request_id, set), scores) in self.sets.iter().zip(scores) {
            run.insert(request_id.clone(), set.ranked(scores));
        }
        run
    }

    /// Scored passages of which only a part was read.
    pub(super) fn truncated(&self, scores: &[SetScores]) -> usize {
        let of_set = |(set, scores): (&Set, &SetScores)| {
            let pairs = set.scored().zip(&scores.pairs);
            pairs.filter(|(index, pair)| set.candidates[*index].cut || pair.truncated).count()
        };
        self.sets.values().zip(scores).map(of_set).sum()
    }
}

// === impl Set ===

impl Set {
    /// The candidates that are scored: those that a worker would score.
    fn scored(&self) -> impl Iterator<Item = usize> {
        let scored = self.candidates.iter().enumerate().take(self.scored_max);
        scored.filter(|(_, candidate)| !candidate.text.trim().is_empty()).map(|(index, _)| index)
    }

    fn ranked(&self, scores: &SetScores) -> Vec<Ranked> {
        let mut logits: Vec<Option<Logit>> = vec![None; self.candidates.len()];
        for (index, pair) in self.scored().zip(&scores.pairs) {
            logits[index] = pair.logit.ok().and_then(Logit::new);
        }
        let ranked = |index: usize| Ranked {
            document: self.candidates[index].id.clone(),
            // What has no score stands behind what has one; the run finds it one that is lower.
            score: logits[index].map_or(f32::INFINITY, Logit::get),
        };
        rank::order(&logits).into_iter().map(ranked).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::PairScore;
    use crate::wire;

    const LIMITS: Limits = Limits {
        record_bytes_max: 10_000,
        query_chars_max: 100,
        candidates_max: 3,
        candidates_refused_above: 10,
        passage_chars_max: 100,
    };

    fn add(sets: &mut Sets, line: &str, wanted: Wanted) -> Result<(), BadLine> {
        sets.add(wire::decode(Some(line.as_bytes()), &LIMITS).unwrap(), &LIMITS, wanted)
    }

    const NOTHING: Wanted = Wanted { labels: false, fields: false };

    #[test]
    fn the_order_is_that_of_an_answer() {
        let mut sets = Sets::default();
        let candidates = r#"[{"id":"a","text":"1"},{"id":"b","text":" "},{"id":"c","text":"3"},{"id":"d","text":"4"}]"#;
        let line = format!(r#"{{"request_id":"r","query":"q","candidates":{candidates}}}"#);
        add(&mut sets, &line, NOTHING).unwrap();
        let request = sets.requests().next().unwrap();
        assert_eq!((sets.pairs(), request.passages), (2, vec!["1".to_owned(), "3".to_owned()]));
        let pairs = vec![PairScore::new(Ok(-1.0), 5), PairScore::new(Ok(2.0), 5)];
        let (queue, score) = (Duration::ZERO, Duration::ZERO);
        let scores = SetScores { query_truncated: false, pairs, queue, score };
        let run = sets.reranked(&[scores]);
        let order: Vec<_> =
            run.ranking("r").iter().map(|r| (r.document.as_str(), r.score)).collect();
        let below = (-1f32).next_down();
        // Blank, and beyond limits.candidates_max.
        assert_eq!(order, [("c", 2.0), ("a", -1.0), ("b", below), ("d", below.next_down())]);
        let first: Vec<_> = sets.first_stage.ranking("r").iter().map(|r| &r.document).collect();
        assert_eq!(first, ["a", "b", "c", "d"]);
    }

    #[test]
    fn grades_are_whole_numbers_on_the_candidates() {
        let labelled = |label: &str| {
            let mut sets = Sets::default();
            let line = format!(
                r#"{{"request_id":"r","query":"q","candidates":[{{"id":"a","text":"1","relevance":{label}}},{{"id":"b","text":"2"}}]}}"#
            );
            add(&mut sets, &line, Wanted { labels: true, fields: false }).map(|()| sets.labels)
        };
        let labels = labelled("-2").unwrap();
        assert_eq!((labels.grade("r", "a"), labels.grade("r", "b")), (Some(-2), None));
        assert!(!labelled("null").unwrap().has("r"));
        for label in ["1.5", "\"2\"", "true"] {
            let error = labelled(label).unwrap_err().to_string();
            assert!(error.contains("candidate \"a\": relevance must be"), "{error}");
        }
    }

    #[test]
    fn a_name_that_no_run_file_can_hold_is_refused_only_where_one_is_written() {
        let line = r#"{"request_id":"r","query":"q","candidates":[{"id":"a b","text":"1"}]}"#;
        add(&mut Sets::default(), line, NOTHING).unwrap();
        let wanted = Wanted { labels: false, fields: true };
        let error = add(&mut Sets::default(), line, wanted).unwrap_err().to_string();
        assert!(error.contains("\"a b\" has white space"), "{error}");
    }
}
