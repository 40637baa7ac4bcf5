use crate::engine::{PairError, PairScore, SetScores, Windows};
use crate::rank::{self, Cuts, Logit};
use crate::wire::{Candidate, CandidateSet, Ranked, Reason, Usage};

/// What is known of a candidate's score.
pub(super) enum Outcome {
    Scored { logit: Logit, truncated: bool, windows: Option<Windows> },
    Unscored(Reason),
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn of(pair: Option<&PairScore>) -> Self {
        // A scorer that returns too few pairs leaves the last candidates without a logit.
        let Some(pair) = pair else { return Self::Unscored(Reason::LogitNotFinite) };
        match pair.logit {
            Ok(raw) => match Logit::new(raw) {
                Some(logit) => {
                    let windows = pair.windows.clone();
                    Self::Scored { logit, truncated: pair.truncated, windows }
                }
                None => Self::Unscored(Reason::LogitNotFinite),
            },
            Err(PairError::NotFinite) => Self::Unscored(Reason::LogitNotFinite),
            Err(PairError::Tokenization) => Self::Unscored(Reason::NotTokenised),
            Err(PairError::Late) => Self::Unscored(Reason::Deadline),
        }
    }

    pub(super) fn logit(&self) -> Option<Logit> {
        match self {
            Self::Scored { logit, .. } => Some(*logit),
            Self::Unscored(_) => None,
        }
    }

    pub(super) fn reason(&self) -> Option<Reason> {
        match self {
            Self::Scored { .. } => None,
            Self::Unscored(reason) => Some(*reason),
        }
    }
}

/// The candidates in their final order, cut, with their ranks.
pub(super) fn ranked(candidates: Vec<Candidate>, outcomes: &[Outcome], cuts: &Cuts) -> Vec<Ranked> {
    let logits: Vec<Option<Logit>> = outcomes.iter().map(Outcome::logit).collect();
    let mut order = rank::order(&logits);
    rank::cut(&mut order, &logits, cuts);
    let mut candidates: Vec<_> = candidates.into_iter().map(Some).collect();
    let results = order.into_iter().enumerate().filter_map(|(place, index)| {
        let candidate = candidates[index].take()?;
        let mut result = match &outcomes[index] {
            Outcome::Scored { logit, truncated, windows } => {
                let window = windows.as_ref().map(|windows| windows.best.clone());
                Ranked::scored(candidate, logit.get(), logit.score(), *truncated, window)
            }
            Outcome::Unscored(reason) => Ranked::unscored(candidate, *reason),
        };
        (result.rank, result.first) = (place + 1, index + 1);
        Some(result)
    });
    results.collect()
}

/// What the set cost.
pub(super) fn usage(set: &CandidateSet, outcomes: &[Outcome], scores: &SetScores) -> Usage {
    let truncated = set.candidates.iter().zip(outcomes).filter(|(candidate, outcome)| {
        candidate.cut || matches!(outcome, Outcome::Scored { truncated: true, .. })
    });
    let windows = |outcome: &Outcome| match outcome {
        Outcome::Scored { windows, .. } => windows.as_ref().map_or(1, |windows| windows.count),
        Outcome::Unscored(_) => 0,
    };
    Usage {
        candidates: set.candidates.len(),
        pairs: outcomes.iter().filter(|outcome| outcome.logit().is_some()).count(),
        windows: outcomes.iter().map(windows).sum(),
        tokens: scores.pairs.iter().map(|pair| pair.tokens_read).sum(),
        cache_hits: scores.pairs.iter().filter(|p| p.cached && p.logit.is_ok()).count(),
        truncated: truncated.count(),
        query_truncated: scores.query_truncated,
    }
}
