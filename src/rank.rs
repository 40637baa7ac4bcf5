//! Logits → order, scores, cut-offs. Pure.

use std::cmp::Ordering;

/// What is left out of an answer, where the candidate set does not say so itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cuts {
    /// At most this many results.
    pub top_n: Option<usize>,
    /// Scored results below this score (after the sigmoid, 0 to 1) are left out.
    pub min_score: Option<f64>,
}

/// What a cross-encoder says of a pair: a finite number, larger for more relevant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logit(f32);

// === impl Cuts ===

impl Cuts {
    /// The cuts for one set: its own where it has some, these otherwise.
    pub fn or_own(self, top_n: Option<usize>, min_score: Option<f64>) -> Self {
        Self { top_n: top_n.or(self.top_n), min_score: min_score.or(self.min_score) }
    }
}

// === impl Logit ===

impl Logit {
    /// `None` for NaN and the infinities.
    pub fn new(raw: f32) -> Option<Self> {
        raw.is_finite().then_some(Self(raw))
    }

    /// The number as the model gave it.
    pub fn get(self) -> f32 {
        self.0
    }

    /// The sigmoid, in float64, 0 to 1. Exact at both ends: no logit overflows.
    pub fn score(self) -> f64 {
        let logit = f64::from(self.0);
        let power = (-logit.abs()).exp();
        if logit < 0.0 { power / (1.0 + power) } else { 1.0 / (1.0 + power) }
    }

    /// The larger first; 0.0 and -0.0 are equal.
    fn descending(self, other: Self) -> Ordering {
        other.0.partial_cmp(&self.0).unwrap_or(Ordering::Equal)
    }
}

/// The indices of `logits` in the order of an answer: those with a logit, the largest first and
/// ties by index; then those without, by index.
///
/// Index is first-stage order. Logits are compared, not scores: the sigmoid rounds different
/// logits to the same score.
pub fn order(logits: &[Option<Logit>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| match (logits[a], logits[b]) {
        (Some(a), Some(b)) => a.descending(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    });
    order
}

/// Shortens an [`order`]: first `min_score`, which leaves those without a logit where they are,
/// since nothing is known against them; then `top_n`, which counts every result.
pub fn cut(order: &mut Vec<usize>, logits: &[Option<Logit>], cuts: &Cuts) {
    if let Some(min_score) = cuts.min_score {
        order.retain(|&index| logits[index].is_none_or(|logit| logit.score() >= min_score));
    }
    if let Some(top_n) = cuts.top_n {
        order.truncate(top_n);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn logits(raw: &[f32]) -> Vec<Option<Logit>> {
        raw.iter().map(|&raw| Logit::new(raw)).collect()
    }

    #[test]
    fn a_number_that_is_not_finite_is_no_logit() {
        for raw in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(Logit::new(raw), None);
        }
    }

    #[test]
    fn scores_stay_between_0_and_1_for_the_largest_logits() {
        assert_eq!(Logit(f32::MAX).score(), 1.0);
        assert_eq!(Logit(f32::MIN).score(), 0.0);
        assert_eq!(Logit(-0.0).score(), 0.5);
        assert!(Logit(-700.0).score() > 0.0);
    }

    #[test]
    fn known_scores_come_out() {
        for (logit, score) in [(8.607_138, 0.999_817_237_024_362_1), (0.7, 0.668_187_769_525_142_7)]
        {
            assert!((Logit(logit).score() - score).abs() < 1e-15);
        }
        assert!((Logit(-11.5).score() / 1.012_999_098_087_392_1e-5 - 1.0).abs() < 1e-15);
    }

    #[test]
    fn logits_with_the_same_score_are_still_told_apart() {
        let logits = logits(&[90.0, 100.0]);
        assert_eq!(logits[0].map(Logit::score), logits[1].map(Logit::score));
        assert_eq!(order(&logits), [1, 0]);
    }

    #[test]
    fn ties_and_both_zeros_keep_first_stage_order() {
        assert_eq!(order(&logits(&[1.0, -0.0, 0.0, -0.0, 2.0, 1.0])), [4, 0, 5, 1, 2, 3]);
    }

    #[test]
    fn what_has_no_logit_follows_in_first_stage_order() {
        let raw = [f32::NAN, -5.0, f32::INFINITY, 3.0, f32::NAN];
        assert_eq!(order(&logits(&raw)), [3, 1, 0, 2, 4]);
    }

    #[test]
    fn min_score_cuts_only_what_is_scored_and_top_n_counts_all() {
        let logits = logits(&[-2.0, f32::NAN, 3.0, 0.0]);
        let kept = |cuts| {
            let mut order = order(&logits);
            cut(&mut order, &logits, &cuts);
            order
        };
        assert_eq!(kept(Cuts::default()), [2, 3, 0, 1]);
        assert_eq!(kept(Cuts { min_score: Some(0.5), ..Cuts::default() }), [2, 3, 1]);
        assert_eq!(kept(Cuts { top_n: Some(2), min_score: Some(0.6) }), [2, 1]);
        assert_eq!(kept(Cuts { top_n: Some(9), min_score: Some(1.0) }), [1]);
    }

    #[test]
    fn a_set_that_names_its_own_cuts_gets_them() {
        let cuts = Cuts { top_n: Some(8), min_score: Some(0.1) };
        assert_eq!(cuts.or_own(None, None), cuts);
        assert_eq!(cuts.or_own(Some(3), None), Cuts { top_n: Some(3), ..cuts });
        assert_eq!(cuts.or_own(None, Some(0.0)), Cuts { min_score: Some(0.0), ..cuts });
    }

    proptest! {
        #[test]
        fn an_order_names_every_index_once(raw in prop::collection::vec(any::<f32>(), 0..200)) {
            let mut order = order(&logits(&raw));
            order.sort_unstable();
            prop_assert!(order.into_iter().eq(0..raw.len()));
        }

        #[test]
        fn neighbours_never_stand_the_wrong_way_round(
            raw in prop::collection::vec(prop_oneof![any::<f32>(), Just(1.5), Just(f32::NAN)], 0..200)
        ) {
            let logits = logits(&raw);
            for pair in order(&logits).windows(2) {
                let right = match (logits[pair[0]], logits[pair[1]]) {
                    (Some(a), Some(b)) if a.get() == b.get() => pair[0] < pair[1],
                    (Some(a), Some(b)) => a.get() > b.get() && a.score() >= b.score(),
                    (None, None) => pair[0] < pair[1],
                    (Some(_), None) => true,
                    (None, Some(_)) => false,
                };
                prop_assert!(right);
            }
        }

        #[test]
        fn a_cut_keeps_order_and_its_promises(
            raw in prop::collection::vec(any::<f32>(), 0..60),
            top_n in prop::option::of(1usize..80),
            min_score in prop::option::of(0.0..=1.0f64),
        ) {
            let logits = logits(&raw);
            let whole = order(&logits);
            let mut kept = whole.clone();
            cut(&mut kept, &logits, &Cuts { top_n, min_score });
            let high = |index: &&usize| {
                logits[**index].is_none_or(|logit| min_score.is_none_or(|min| logit.score() >= min))
            };
            let expected = whole.iter().filter(high).take(top_n.unwrap_or(usize::MAX));
            prop_assert!(kept.iter().eq(expected));
        }
    }
}
