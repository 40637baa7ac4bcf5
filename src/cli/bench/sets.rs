use std::ops::ControlFlow;
use std::sync::Arc;

use crate::cli::CliError;
use crate::cli::input::Inputs;
use crate::cli::sets;
use crate::engine::ScoreRequest;
use crate::wire::{CandidateSet, Limits};

/// What is scored: the pairs that a worker would score, in the order of the input.
#[derive(Debug)]
pub(super) struct Sets {
    pub(super) sets: Vec<Arc<Set>>,
}

/// A query and its passages, each with its id.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) request_id: String,
    pub(super) query: String,
    pub(super) ids: Vec<String>,
    pub(super) passages: Vec<String>,
}

// === impl Sets ===

impl Sets {
    /// Reads sets until there are `pairs_max` pairs. The first line that is not a candidate set is
    /// an error. Candidates that a worker would not score are left out.
    pub(super) fn read(
        inputs: Inputs,
        limits: &Limits,
        pairs_max: Option<usize>,
    ) -> Result<Self, CliError> {
        let mut sets = Vec::new();
        let mut left = pairs_max.unwrap_or(usize::MAX);
        sets::read(inputs, limits, |set, _place| {
            let set = Set::of(set, limits.candidates_max.min(left));
            left -= set.passages.len();
            if !set.passages.is_empty() {
                sets.push(Arc::new(set));
            }
            Ok(if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(Self { sets })
    }

    /// How many pairs there are.
    pub(super) fn pairs(&self) -> usize {
        self.sets.iter().map(|set| set.passages.len()).sum()
    }

    /// For each set, its query with the `size` passages that begin with its own first one: its own,
    /// and those of the sets behind it where it has too few. Nothing where the whole input has too few.
    pub(super) fn of_size(&self, size: usize) -> Vec<Set> {
        let passages: Vec<&String> = self.sets.iter().flat_map(|set| &set.passages).collect();
        if passages.len() < size {
            return Vec::new();
        }
        let mut first = 0;
        let of_size = self.sets.iter().map(|set| {
            let taken = passages.iter().cycle().skip(first).take(size);
            first += set.passages.len();
            Set {
                request_id: set.request_id.clone(),
                query: set.query.clone(),
                ids: Vec::new(),
                passages: taken.map(|&passage| passage.clone()).collect(),
            }
        });
        of_size.collect()
    }
}

// === impl Set ===

impl Set {
    fn of(set: CandidateSet, passages_max: usize) -> Self {
        let scored = set.candidates.into_iter().filter(|c| !c.text.trim().is_empty());
        let (ids, passages) = scored.take(passages_max).map(|c| (c.id, c.text)).unzip();
        Self { request_id: set.request_id, query: set.query, ids, passages }
    }

    pub(super) fn request(&self) -> ScoreRequest {
        ScoreRequest::new(self.query.clone(), self.passages.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(sizes: &[usize]) -> Sets {
        let mut passages = (0..).map(|n: usize| n.to_string());
        let set = |&size: &usize| {
            let passages: Vec<String> = passages.by_ref().take(size).collect();
            let (request_id, query) = (String::new(), format!("q{}", passages[0]));
            Arc::new(Set { request_id, query, ids: passages.clone(), passages })
        };
        Sets { sets: sizes.iter().map(set).collect() }
    }

    fn of_size(sizes: &[usize], size: usize) -> Vec<(String, String)> {
        let cut = sets(sizes).of_size(size).into_iter();
        cut.map(|set| (set.query, set.passages.join(" "))).collect()
    }

    fn expected(sets: &[(&str, &str)]) -> Vec<(String, String)> {
        sets.iter().map(|(query, passages)| ((*query).to_owned(), (*passages).to_owned())).collect()
    }

    #[test]
    fn a_set_that_is_long_enough_is_cut_to_its_first_passages() {
        assert_eq!(of_size(&[3, 4], 2), expected(&[("q0", "0 1"), ("q3", "3 4")]));
    }

    #[test]
    fn a_set_that_is_too_short_goes_on_with_the_passages_behind_it() {
        let of_four = [("q0", "0 1 2 3"), ("q2", "2 3 4 0"), ("q3", "3 4 0 1")];
        assert_eq!(of_size(&[2, 1, 2], 4), expected(&of_four));
    }

    #[test]
    fn an_input_that_is_too_short_makes_no_set() {
        assert_eq!(of_size(&[2, 1], 4), []);
    }
}
