//! Files, environment and flags → one checked configuration.

use std::path::PathBuf;

/// All that turns a candidate set into an answer, with or without Kafka.
#[derive(Clone, Debug)]
pub struct Reranking {
    /// The model, and how it is run.
    pub engine: crate::engine::Settings,
    /// What a candidate set may be at most.
    pub limits: crate::wire::Limits,
    /// What is left out of an answer.
    pub cuts: crate::rank::Cuts,
    /// The prompt-ready text; `None` where it is switched off.
    pub context: Option<crate::context::Settings>,
    /// A tokenizer.json that counts the context's tokens; the model's own where absent.
    pub context_tokenizer: Option<PathBuf>,
    /// How much of each candidate an answer repeats.
    pub results: crate::wire::Results,
    /// What is logged.
    pub telemetry: crate::telemetry::Settings,
}

/// All that a worker needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it does with a candidate set.
    pub reranking: Reranking,
    /// Where sets come from.
    pub kafka: crate::kafka::Settings,
    /// How much it holds, and how it waits.
    pub worker: crate::worker::Settings,
}
