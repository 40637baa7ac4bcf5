use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::sets::Sets;
use crate::cli::{CliError, scoring};
use crate::engine::{Engine, SetScores};

/// All sets, scored several times.
pub(super) struct Throughput {
    /// How long each pass took, shortest first. Never empty.
    pub(super) seconds: Vec<f64>,
    /// Of the last pass, in the order of the sets.
    pub(super) scores: Vec<SetScores>,
}

/// Scores all sets once to warm up, then `repeat` times by the clock.
pub(super) async fn measure(
    engine: &Arc<Engine>,
    sets: &Sets,
    repeat: u16,
    bar: &ProgressBar,
) -> Result<Throughput, CliError> {
    bar.set_length(sets.pairs() as u64);
    bar.set_message("warm-up");
    let (_warm_up, mut scores) = pass(engine, sets, bar).await?;
    let mut seconds = Vec::with_capacity(usize::from(repeat));
    for round in 1..=repeat {
        bar.set_message(format!("pass {round} of {repeat}"));
        let (took, last) = pass(engine, sets, bar).await?;
        seconds.push(took.as_secs_f64());
        scores = last;
    }
    seconds.sort_unstable_by(f64::total_cmp);
    Ok(Throughput { seconds, scores })
}

// === impl Throughput ===

impl Throughput {
    /// The middle one, or the mean of the two in the middle.
    pub(super) fn median(&self) -> f64 {
        let middle = self.seconds.len() / 2;
        match self.seconds.len().is_multiple_of(2) {
            true => f64::midpoint(self.seconds[middle - 1], self.seconds[middle]),
            false => self.seconds[middle],
        }
    }

    /// Tokens of every pair.
    pub(super) fn lengths(&self) -> impl Iterator<Item = usize> {
        self.scores.iter().flat_map(|set| &set.pairs).map(|pair| pair.tokens)
    }
}

/// All sets from text to scores.
async fn pass(
    engine: &Arc<Engine>,
    sets: &Sets,
    bar: &ProgressBar,
) -> Result<(Duration, Vec<SetScores>), CliError> {
    bar.reset();
    let since = Instant::now();
    let requests = sets.sets.iter().map(|set| set.request());
    let scores = scoring::score_all(engine, requests, bar).await?;
    Ok((since.elapsed(), scores))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_in_the_middle() {
        let of = |seconds: &[f64]| Throughput { seconds: seconds.to_vec(), scores: Vec::new() };
        assert_eq!(of(&[1.0, 2.0, 9.0]).median(), 2.0);
        assert_eq!(of(&[1.0, 2.0, 4.0, 9.0]).median(), 3.0);
        assert_eq!(of(&[7.0]).median(), 7.0);
    }
}
