use std::sync::Arc;

use indicatif::ProgressBar;
use tokio::task::JoinSet;

use super::CliError;
use crate::engine::{Engine, ScoreRequest, Scorer, SetScores};

/// Sets in flight: those of a worker with the default of `worker.sets_max`.
const SETS_IN_FLIGHT: usize = 256;

/// Scores all requests, as a backlog that is always there; the scores come in the order of the requests. The bar goes
/// on by the pairs that are scored.
pub(super) async fn score_all(
    engine: &Arc<Engine>,
    requests: impl IntoIterator<Item = ScoreRequest>,
    bar: &ProgressBar,
) -> Result<Vec<SetScores>, CliError> {
    let mut scores: Vec<Option<SetScores>> = Vec::new();
    let mut in_flight = JoinSet::new();
    let mut waiting = requests.into_iter();
    loop {
        while in_flight.len() < SETS_IN_FLIGHT
            && let Some(request) = waiting.next()
        {
            let (engine, index) = (Arc::clone(engine), scores.len());
            scores.push(None);
            in_flight.spawn(async move { (index, engine.score(request).await) });
        }
        let Some(scored) = in_flight.join_next().await else { break };
        let (index, set) =
            scored.map_err(|error| CliError::Panicked { reason: error.to_string() })?;
        let set = set.map_err(CliError::Scoring)?;
        bar.inc(set.pairs.len() as u64);
        scores[index] = Some(set);
    }
    Ok(scores.into_iter().flatten().collect())
}
