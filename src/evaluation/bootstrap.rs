/// How often queries are drawn anew.
pub const RESAMPLES: usize = 10_000;

/// Fixed, so that the same figures give the same interval.
const SEED: u64 = 20_261_127;

/// Where a mean lies, with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The 95 % interval of the mean of `values`, one for each query, by the bootstrap over queries: as many queries are
/// drawn with replacement, [`RESAMPLES`] times, and of the means the 2.5th and the 97.5th percentile taken (Efron and
/// Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13; for measures of retrieval: Sakai 2006, "Evaluating
/// Evaluation Metrics based on the Bootstrap"). Of differences between two systems it is the paired bootstrap.
///
/// `None` for fewer than two values, which say nothing about the next query.
pub fn interval(values: &[f64]) -> Option<Interval> {
    if values.len() < 2 {
        return None;
    }
    let mut draws = fastrand::Rng::with_seed(SEED);
    let mut mean = || {
        let sum: f64 = (0..values.len()).map(|_| values[draws.usize(..values.len())]).sum();
        sum / values.len() as f64
    };
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| mean()).collect();
    means.sort_unstable_by(f64::total_cmp);
    let tail = RESAMPLES / 40;
    Some(Interval { low: means[tail - 1], high: means[RESAMPLES - tail - 1] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_many_values_is_that_of_the_central_limit() {
        // 400 values with mean 0.5 and deviation 0.5: 1.96 × 0.5 / 20 to each side.
        let values: Vec<f64> = (0..400).map(|n| f64::from(n % 2)).collect();
        let Interval { low, high } = interval(&values).unwrap();
        assert!((low - 0.451).abs() < 0.004 && (high - 0.549).abs() < 0.004, "{low} to {high}");
    }

    #[test]
    fn values_that_do_not_differ_leave_no_doubt() {
        assert_eq!(interval(&[0.25; 8]), Some(Interval { low: 0.25, high: 0.25 }));
    }

    #[test]
    fn one_value_has_no_interval() {
        assert_eq!(interval(&[]), None);
        assert_eq!(interval(&[0.7]), None);
    }

    #[test]
    fn the_same_values_have_the_same_interval() {
        let values = [0.1, 0.4, 0.2, 0.9, 0.3];
        assert_eq!(interval(&values), interval(&values));
    }
}
