use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tokio::task::JoinSet;

use super::sets::Sets;
use crate::cli::CliError;
use crate::engine::{Engine, Scorer, SetScores};

/// Sets in flight: those of a worker with the default of `worker.sets_max`.
const SETS_IN_FLIGHT: usize = 256;

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

/// All sets from text to scores, as a backlog that is always there.
async fn pass(
    engine: &Arc<Engine>,
    sets: &Sets,
    bar: &ProgressBar,
) -> Result<(Duration, Vec<SetScores>), CliError> {
    bar.reset();
    let mut scores: Vec<Option<SetScores>> = vec![None; sets.sets.len()];
    let mut in_flight = JoinSet::new();
    let mut waiting = sets.sets.iter().enumerate();
    let since = Instant::now();
    loop {
        while in_flight.len() < SETS_IN_FLIGHT
            && let Some((index, set)) = waiting.next()
        {
            let (engine, set) = (Arc::clone(engine), Arc::clone(set));
            in_flight.spawn(async move { (index, engine.score(set.request()).await) });
        }
        let Some(scored) = in_flight.join_next().await else { break };
        let (index, set) = scored.map_err(super::panicked)?;
        let set = set.map_err(CliError::Scoring)?;
        bar.inc(set.pairs.len() as u64);
        scores[index] = Some(set);
    }
    let took = since.elapsed();
    Ok((took, scores.into_iter().flatten().collect()))
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
