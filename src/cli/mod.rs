//! Arguments → subcommand; one file each.

mod arguments;
mod bench;
mod check;
mod demo;
mod error;
mod eval;
mod file;
mod input;
mod lines;
mod model;
mod models;
mod output;
mod probe;
mod progress;
mod replay;
mod rerank;
mod run;
mod score;
mod scoring;
mod sets;
mod signals;
mod start;

use clap::{Parser, Subcommand};

pub use error::CliError;
#[doc(hidden)]
pub use replay::put_back;

use arguments::{ConfigArguments, ModelArguments, ScorerArguments};

/// Reranks candidate sets with a cross-encoder: as a Kafka worker, or from files.
#[derive(Debug, Parser)]
#[command(name = "crossrank", version, arg_required_else_help = true, propagate_version = true)]
#[command(after_help = "New here? `crossrank demo` shows everything in one process, without a \
                        broker and without a model of your own.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the worker: candidate sets from a Kafka topic, reranked contexts to another.
    Run(run::Arguments),
    /// Show everything in one process: broker, worker, sample sets, before and after.
    Demo(demo::Arguments),
    /// Rerank candidate sets from files or standard input, without Kafka.
    Rerank(rerank::Arguments),
    /// Measure what reranking does for you: first stage beside reranked, against judgements.
    Eval(Box<eval::Arguments>),
    /// Score pairs of a query and a passage: pairs in, scores out.
    Score(score::Arguments),
    /// Check configuration, model, broker and topics, and print what is in effect.
    Check(check::Arguments),
    /// Ask a running worker whether it is ready.
    Probe(probe::Arguments),
    /// Put dead letters back onto the topic they came from.
    Replay(replay::Arguments),
    /// Fetch, list, inspect and change models.
    Model(model::Arguments),
    /// Measure a model on this hardware: pairs per second, and how long a set takes.
    Bench(bench::Arguments),
}

// === impl Cli ===

impl Cli {
    /// Runs the subcommand. Data goes to standard output, everything else to standard error.
    pub async fn run(self) -> Result<(), CliError> {
        match self.command {
            Command::Run(arguments) => run::run(arguments).await,
            Command::Demo(arguments) => demo::run(arguments).await,
            Command::Rerank(arguments) => rerank::run(arguments).await,
            Command::Eval(arguments) => eval::run(*arguments).await,
            Command::Score(arguments) => score::run(arguments).await,
            Command::Check(arguments) => check::run(arguments).await,
            Command::Probe(arguments) => probe::run(arguments).await,
            Command::Replay(arguments) => replay::run(arguments).await,
            Command::Model(arguments) => model::run(arguments).await,
            Command::Bench(arguments) => bench::run(arguments).await,
        }
    }
}
