//! Files, environment and flags → one checked configuration.
//!
//! ```text
//! default.toml < file < CROSSRANK__SECTION__KEY < flags    layers.rs: each value checked by its key
//!        └────── merged by the config crate ──────┘        load.rs
//!                         raw::Values                      raw.rs: typed, unknown keys denied
//!                  Reranking, or Config                    validate/: relations between keys
//! ```
//!
//! Problems are collected over all of these steps and reported together. A key whose value is not
//! even of its type takes no part in the checks that follow, so that one mistake is reported once.

mod effective;
mod given;
mod keys;
mod layers;
mod load;
mod problem;
mod raw;
mod secret;
mod validate;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use load::{Raw, Sources, environment, load};
pub use problem::{Errors, Problem};

/// All that turns a candidate set into an answer, with or without Kafka.
#[derive(Clone, Debug)]
pub struct Reranking {
    /// The model, and what proves it.
    pub model: crate::hub::Choice,
    /// How it is run.
    pub engine: crate::engine::Settings,
    /// What a candidate set may be at most.
    pub limits: crate::wire::Limits,
    /// What is left out of an answer.
    pub cuts: crate::rank::Cuts,
    /// The prompt-ready text; `None` where it is switched off.
    pub context: Option<crate::context::Settings>,
    /// A tokenizer.json that counts the context's tokens; the model's own where absent.
    pub context_tokenizer: Option<PathBuf>,
    /// What becomes of sets that cannot be scored before they expire.
    pub deadlines: crate::worker::Deadlines,
    /// How much of each candidate an answer repeats.
    pub results: crate::wire::Results,
    /// What is logged.
    pub telemetry: crate::telemetry::Settings,
}

/// All that moves records, without a model.
#[derive(Clone, Debug)]
pub struct Streaming {
    /// The cluster and the input topic.
    pub kafka: crate::kafka::Settings,
    /// The other topics.
    pub worker: crate::worker::Settings,
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
    /// Where probes and people ask it; `None` where that is switched off.
    pub admin: Option<crate::admin::Settings>,
    /// What is allowed but probably not meant. To be logged at start-up.
    pub warnings: Vec<String>,
}
