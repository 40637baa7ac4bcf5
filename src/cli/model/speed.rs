//! How fast a model is here, from a run of about half a second.

use std::time::Instant;

use crate::cli::CliError;
use crate::engine::{
    Backend, Engine, Kernels, LongPassages, Model, PackerLimits, Precision, ScoreRequest, Scorer,
    Settings,
};

/// Tokens of a pair: a query and a passage of some sentences.
const PAIR_TOKENS: usize = 128;
/// How long the run that counts should take.
const RUN_S: f64 = 0.5;
/// One batch of a replica.
const BATCH_PAIRS: usize = 4;
/// Bounds a run of the smallest models.
const PAIRS_MAX: usize = 20_000;

const QUERY: &str = "how is steel made from iron ore";
/// Longer than [`PAIR_TOKENS`] when repeated, in any vocabulary.
const SENTENCE: &str = "In a blast furnace iron ore is reduced with coke, and the pig iron that runs out is \
    blown with oxygen until little of its carbon is left. ";

/// What running a model gives.
pub(super) struct Speed {
    pub(super) precision: Precision,
    pub(super) tokens_per_s: f64,
    /// How long its pairs were.
    pub(super) pair_tokens: usize,
    pub(super) replicas: usize,
    /// Of all replicas.
    pub(super) activation_bytes: u64,
}

/// Runs `model`, which takes pairs of `tokens_max` tokens, on the CPU as a worker would.
pub(super) async fn measure(
    model: Model,
    precision: Precision,
    tokens_max: usize,
) -> Result<Speed, CliError> {
    let pair_tokens = tokens_max.min(PAIR_TOKENS);
    let settings = settings(precision, pair_tokens);
    let starting = tokio::task::spawn_blocking(move || Engine::start(&model, &settings));
    let engine =
        starting.await.map_err(|error| CliError::Panicked { reason: error.to_string() })?;
    let engine = engine.map_err(CliError::Engine)?;
    let replicas = engine.replicas();
    let (least, most) = (BATCH_PAIRS * replicas, PAIRS_MAX.max(BATCH_PAIRS * replicas));
    let (mut from, mut pairs) = (0, least);
    let tokens_per_s = loop {
        let (tokens, took_s) = run(&engine, from, pairs).await?;
        if took_s >= RUN_S / 2.0 || pairs == most {
            break tokens as f64 / took_s.max(1e-9);
        }
        // As many as fill the time at the pace of the last ones, which began slower.
        from += pairs;
        pairs = ((pairs as f64 * RUN_S / took_s.max(1e-9)) as usize).clamp(least, most);
    };
    Ok(Speed {
        precision,
        tokens_per_s,
        pair_tokens,
        replicas,
        activation_bytes: engine.activation_bytes(),
    })
}

/// Scores so many pairs, numbered from `from`, and says how many tokens they had and how long it took.
async fn run(engine: &Engine, from: usize, pairs: usize) -> Result<(usize, f64), CliError> {
    // No two alike: those would be scored once.
    let passage = |number: usize| format!("{number} {}", SENTENCE.repeat(8));
    let passages = (from..from + pairs).map(passage).collect();
    let started = Instant::now();
    let scores = engine.score(ScoreRequest::new(QUERY, passages)).await;
    let took_s = started.elapsed().as_secs_f64();
    let scores = scores.map_err(CliError::Scoring)?;
    Ok((scores.pairs.iter().map(|pair| pair.tokens).sum(), took_s))
}

fn settings(precision: Precision, tokens_max: usize) -> Settings {
    Settings {
        backend: Backend::Flex,
        precision,
        kernels: Kernels::Auto,
        tokens_max: Some(tokens_max),
        query_tokens_max: tokens_max / 4,
        long_passages: LongPassages::Truncate,
        replicas: None,
        pin_threads: false,
        tokenizers: None,
        packer: PackerLimits { batch_tokens_max: None, queue_tokens_max: PAIRS_MAX * PAIR_TOKENS },
        cache_pairs_max: 0,
    }
}
