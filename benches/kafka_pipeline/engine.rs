use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crossrank::engine::{
    Engine, EngineError, Model, ModelIdentity, ScoreRequest, Scorer, SetScores,
};
use crossrank::{engine, wire};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::topics::Topics;
use crate::{Arguments, Run, say, support, worker};

/// Sets in flight: as many as the worker's default.
const SETS_IN_FLIGHT: usize = 256;

/// One engine for both.
#[derive(Clone)]
pub(crate) struct Shared(pub(crate) Arc<Engine>);

impl Scorer for Shared {
    fn model(&self) -> &ModelIdentity {
        self.0.model()
    }

    async fn score(&self, request: ScoreRequest) -> Result<SetScores, EngineError> {
        self.0.score(request).await
    }
}

/// The worker on Kafka and its engine alone, on the same sets, in turn.
pub(crate) fn compare(brokers: &str, model: &Path, sets: &[Vec<u8>], arguments: &Arguments) {
    let settings = settings(model, &arguments.with);
    let engine = Engine::start(&Model::at(model), &settings).expect("an engine");
    let engine = Shared(Arc::new(engine));
    let topics = Topics::holding(brokers, "scored", sets);
    let pairs: usize = sets.iter().map(|set| decoded(set).candidates.len()).sum();
    let runtime = Runtime::new().expect("a runtime");
    let (mut alone, mut working, mut transacting) = (Vec::new(), Vec::new(), Vec::new());
    let exactly_once: Vec<String> = std::iter::once("kafka.delivery=exactly-once".to_owned())
        .chain(arguments.with.iter().cloned())
        .collect();
    // The first round warms up.
    for round in 0..=arguments.rounds {
        let seconds = runtime.block_on(score_all(&engine, sets));
        let run = worker::run_with(&topics, engine.clone(), true, &arguments.with);
        let once = worker::run_with(&topics, engine.clone(), true, &exactly_once);
        if round > 0 {
            let pairs_per_s = |run: Run| run.sets_per_s / sets.len() as f64 * pairs as f64;
            alone.push(pairs as f64 / seconds);
            working.push(pairs_per_s(run));
            transacting.push(pairs_per_s(once));
        }
    }
    let (alone, working, transacting) = (median(alone), median(working), median(transacting));
    say(&format!(
        "{pairs} pairs of {} sets, medians of {} rounds:\n\
         engine alone  {alone:>8.1} pairs/s\n\
         worker        {working:>8.1} pairs/s, ratio {:.2}\n\
         exactly once  {transacting:>8.1} pairs/s, ratio to the worker {:.2}",
        sets.len(),
        arguments.rounds,
        working / alone,
        transacting / working,
    ));
}

/// Those of a worker, but that it remembers no scores: every round scores the same pairs.
pub(crate) fn settings(model: &Path, with: &[String]) -> engine::Settings {
    let model = model.display().to_string();
    let mut flags = vec![
        ("kafka.brokers", "unused:1"),
        ("model.path", model.as_str()),
        ("model.tokens_max", "256"),
        ("engine.cache_pairs_max", "0"),
    ];
    flags.extend(with.iter().map(|with| with.split_once('=').expect("KEY=VALUE")));
    support::config(&flags).reranking.engine
}

/// Seconds for all sets.
async fn score_all(engine: &Shared, sets: &[Vec<u8>]) -> f64 {
    let requests: Vec<ScoreRequest> = sets.iter().map(|set| request(set)).collect();
    let started = Instant::now();
    let mut in_flight: JoinSet<Result<SetScores, EngineError>> = JoinSet::new();
    for request in requests {
        if in_flight.len() == SETS_IN_FLIGHT {
            in_flight.join_next().await.expect("a set").expect("no panic").expect("scores");
        }
        let engine = engine.clone();
        in_flight.spawn(async move { engine.score(request).await });
    }
    while let Some(scores) = in_flight.join_next().await {
        scores.expect("no panic").expect("scores");
    }
    started.elapsed().as_secs_f64()
}

fn request(set: &[u8]) -> ScoreRequest {
    let set = decoded(set);
    ScoreRequest::new(set.query, set.candidates.into_iter().map(|c| c.text).collect())
}

fn decoded(set: &[u8]) -> wire::CandidateSet {
    let config = support::config(&[("kafka.brokers", "unused:1")]);
    wire::decode(Some(set), &config.reranking.limits).expect("a candidate set")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
