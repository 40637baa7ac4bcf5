//! What people are shown of a set that was answered.

use crate::telemetry::board::{Placed, SetShown, Texts};
use crate::wire::{Candidate, CandidateSet, Ranked, RerankedContext, Status};

/// Candidates of either order: what a reader looks at, and a prompt holds.
const PLACES: usize = 10;
/// Characters of a passage.
const PASSAGE_CHARS: usize = 200;

/// A set before its candidates move to its answer.
pub(super) struct Before {
    texts: Texts,
    shown: Box<SetShown>,
}

// === impl Before ===

impl Before {
    pub(super) fn of(set: &CandidateSet, texts: Texts) -> Self {
        let placed = |(place, candidate): (usize, &Candidate)| Placed {
            id: candidate.id.clone(),
            first: place + 1,
            // Of several lists, each has a score of its own.
            score: match &candidate.retrieval[..] {
                [only] => only.score,
                _ => None,
            },
            text: beginning(texts, Some(&candidate.text)),
        };
        let shown = SetShown {
            candidates: set.candidates.len(),
            before: set.candidates.iter().take(PLACES).enumerate().map(placed).collect(),
            query: beginning(texts, Some(&set.query)),
            ..SetShown::default()
        };
        Self { texts, shown: Box::new(shown) }
    }

    /// All but where it came from and how long it took.
    pub(super) fn answered(
        self,
        answer: &RerankedContext,
        displacement: Option<f64>,
    ) -> Box<SetShown> {
        let Self { texts, mut shown } = self;
        let placed = |result: &Ranked| Placed {
            id: result.id.clone(),
            first: result.first,
            score: result.score,
            text: beginning(texts, result.text.as_deref()),
        };
        shown.after = answer.results.iter().take(PLACES).map(placed).collect();
        shown.request_id.clone_from(&answer.request_id);
        shown.status = answer.status.as_str();
        shown.displacement = displacement;
        shown
    }
}

/// How far the model moved the top: of the first ten results, the mean of how many ranks each is from
/// where the first stage had it; `None` where nothing was scored.
pub(super) fn displacement(answer: &RerankedContext) -> Option<f64> {
    match answer.status {
        Status::Reranked | Status::Partial => {
            moved(answer.results.iter().map(|result| (result.first, result.rank)))
        }
        Status::Passthrough => None,
    }
}

/// Of ranks in the first stage and here.
fn moved(ranks: impl Iterator<Item = (usize, usize)>) -> Option<f64> {
    let moved: Vec<usize> = ranks.take(PLACES).map(|(first, rank)| first.abs_diff(rank)).collect();
    (!moved.is_empty()).then(|| moved.iter().sum::<usize>() as f64 / moved.len() as f64)
}

fn beginning(texts: Texts, text: Option<&str>) -> Option<String> {
    match texts {
        Texts::Shown => text.map(|text| text.chars().take(PASSAGE_CHARS).collect()),
        Texts::Hidden => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displacement_is_how_far_the_first_ten_results_were_moved_on_average() {
        let moved = |first: &[usize]| moved(first.iter().copied().zip(1..));
        assert_eq!(moved(&[]), None);
        assert_eq!(moved(&[1, 2, 3]), Some(0.0));
        assert_eq!(moved(&[2, 1]), Some(1.0));
        assert_eq!(moved(&[5, 1, 2, 3, 4]), Some(8.0 / 5.0));
        let ten_and_more: Vec<usize> = (1..=10).chain([20, 19]).collect();
        assert_eq!(moved(&ten_and_more), Some(0.0), "what follows does not count");
    }
}
