use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::sets::{Set, Sets};
use crate::cli::CliError;
use crate::engine::{Engine, Scorer};

/// Pairs of a set.
const SIZES: [usize; 3] = [10, 50, 100];
/// How long one size is measured.
const TIME_MAX: Duration = Duration::from_secs(5);
/// However slow the model, so often.
const RUNS_MIN: usize = 3;
/// However fast: one run in a hundred is beyond p99, and of these some are needed.
const RUNS_MAX: usize = 500;

/// How long sets of one size take on an engine that has nothing else to do.
#[derive(Clone, Debug)]
pub(super) struct Latency {
    /// Pairs of a set.
    pub(super) size: usize,
    /// How long each run took, shortest first. Empty where the input has too few pairs.
    pub(super) runs: Vec<Duration>,
}

/// Scores sets of each size one at a time.
pub(super) async fn measure(
    engine: &Engine,
    sets: &Sets,
    bar: &ProgressBar,
) -> Result<Vec<Latency>, CliError> {
    let mut measured = Vec::with_capacity(SIZES.len());
    for size in SIZES {
        bar.reset();
        bar.set_length(TIME_MAX.as_millis() as u64);
        bar.set_message(format!("sets of {size}"));
        let runs = runs(engine, &sets.of_size(size), bar).await?;
        measured.push(Latency { size, runs });
    }
    Ok(measured)
}

async fn runs(engine: &Engine, sets: &[Set], bar: &ProgressBar) -> Result<Vec<Duration>, CliError> {
    let begun = Instant::now();
    let mut runs = Vec::new();
    for set in sets.iter().cycle() {
        let over = begun.elapsed() >= TIME_MAX && runs.len() >= RUNS_MIN;
        if over || runs.len() == RUNS_MAX {
            break;
        }
        let request = set.request();
        let since = Instant::now();
        engine.score(request).await.map_err(CliError::Scoring)?;
        runs.push(since.elapsed());
        bar.set_position(begun.elapsed().as_millis() as u64);
    }
    runs.sort_unstable();
    Ok(runs)
}

// === impl Latency ===

impl Latency {
    /// The shortest time that `percent` of the runs kept to; `None` without runs.
    pub(super) fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.runs.len() * percent).div_ceil(100);
        self.runs.get(rank.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(runs: u64) -> Latency {
        Latency { size: 10, runs: (1..=runs).map(Duration::from_millis).collect() }
    }

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let ms = |latency: &Latency, percent| latency.percentile(percent).unwrap().as_millis();
        assert_eq!((ms(&of(500), 50), ms(&of(500), 99)), (250, 495));
        assert_eq!((ms(&of(3), 50), ms(&of(3), 99)), (2, 3));
        assert_eq!(ms(&of(1), 50), 1);
        assert_eq!(of(0).percentile(50), None);
    }
}
