use std::fmt;

use super::{Interval, interval};

/// Queries below which there is no verdict. Where five queries all change for the better, a sign test still leaves 1
/// in 16 to chance; with six it is 1 in 32, and the bootstrap knows no more than what was drawn.
pub const QUERIES_MIN: usize = 6;

/// Differences below this are rounding.
const EQUAL: f64 = 1e-9;

/// What a measure says of two systems over the same queries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Mean of the differences: after less before.
    pub difference: f64,
    /// Its 95 % interval; `None` for fewer than two queries.
    pub interval: Option<Interval>,
    /// Queries that are better after.
    pub better: usize,
    /// Queries that are the same.
    pub equal: usize,
    /// Queries that are worse after.
    pub worse: usize,
}

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The whole interval is above 0.
    Helps,
    /// The whole interval is below 0.
    Hurts,
    /// 0 is in the interval: there may be a difference, but these queries do not show it.
    NoDifferenceShown,
    /// Fewer than [`QUERIES_MIN`] queries.
    TooFewQueries,
}

// === impl Comparison ===

impl Comparison {
    /// Compares the values of the same queries, in the same order.
    pub fn new(before: &[f64], after: &[f64]) -> Self {
        let differences: Vec<f64> = before.iter().zip(after).map(|(b, a)| a - b).collect();
        let count = |wanted: fn(f64) -> bool| differences.iter().filter(|&&d| wanted(d)).count();
        let (better, worse) = (count(|d| d > EQUAL), count(|d| d < -EQUAL));
        Self {
            difference: mean(&differences),
            interval: interval(&differences),
            better,
            equal: differences.len() - better - worse,
            worse,
        }
    }

    /// What it comes to.
    pub fn verdict(&self) -> Verdict {
        match self.interval {
            Some(_) | None if self.better + self.equal + self.worse < QUERIES_MIN => {
                Verdict::TooFewQueries
            }
            Some(Interval { low, .. }) if low > EQUAL => Verdict::Helps,
            Some(Interval { high, .. }) if high < -EQUAL => Verdict::Hurts,
            Some(_) | None => Verdict::NoDifferenceShown,
        }
    }
}

// === impl Verdict ===

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Helps => "helps",
            Self::Hurts => "hurts",
            Self::NoDifferenceShown => "no difference shown",
            Self::TooFewQueries => "too few queries to tell",
        })
    }
}

/// The mean; 0 of nothing.
pub(super) fn mean(values: &[f64]) -> f64 {
    match values.len() {
        0 => 0.0,
        count => values.iter().sum::<f64>() / count as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(differences: &[f64]) -> Comparison {
        let before = vec![0.5; differences.len()];
        let after: Vec<f64> = differences.iter().map(|difference| 0.5 + difference).collect();
        Comparison::new(&before, &after)
    }

    #[test]
    fn a_difference_that_most_queries_share_is_shown() {
        let gains = [0.1, 0.2, 0.1, 0.0, 0.3, 0.1, 0.2, -0.1];
        let comparison = compare(&gains);
        assert!((comparison.difference - 0.1125).abs() < 1e-12);
        assert_eq!((comparison.better, comparison.equal, comparison.worse), (6, 1, 1));
        assert_eq!(comparison.verdict(), Verdict::Helps);
        assert_eq!(compare(&gains.map(|gain| -gain)).verdict(), Verdict::Hurts);
    }

    #[test]
    fn a_difference_that_queries_contradict_is_not() {
        let comparison = compare(&[0.4, -0.3, 0.2, -0.4, 0.1, 0.1, -0.1, 0.2]);
        assert!(comparison.difference > 0.0);
        assert_eq!(comparison.verdict(), Verdict::NoDifferenceShown);
        assert_eq!(compare(&[0.0; 20]).verdict(), Verdict::NoDifferenceShown);
    }

    #[test]
    fn few_queries_show_nothing_even_where_they_agree() {
        assert_eq!(compare(&[0.3; 5]).verdict(), Verdict::TooFewQueries);
        assert_eq!(compare(&[0.3; 6]).verdict(), Verdict::Helps);
        for differences in [&[][..], &[0.3]] {
            let comparison = compare(differences);
            assert_eq!(comparison.interval, None);
            assert_eq!(comparison.verdict(), Verdict::TooFewQueries);
        }
    }

    #[test]
    fn rounding_is_no_difference() {
        let comparison = compare(&[1e-12; 10]);
        assert_eq!((comparison.equal, comparison.verdict()), (10, Verdict::NoDifferenceShown));
    }
}
