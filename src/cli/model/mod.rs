//! `crossrank model`: models of the hub, and what is done to model directories.

mod inspect;
mod list;
mod pull;
mod quantize;
mod speed;

use std::io::{self, Write};

use clap::{Args, Subcommand};

use super::CliError;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch a model of the Hugging Face hub into the cache that all its tools share, and test it.
    Pull(pull::Arguments),
    /// List the models of the cache, and the one that ships inside.
    List,
    /// Say what a model is, what it takes, and whether and how fast it can be run here.
    Inspect(inspect::Arguments),
    /// Write a model with int8 weights: what precision int8 makes of float weights at every start, once and for
    /// all. The directory is smaller, and loads without the float weights.
    Quantize(quantize::Arguments),
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    match arguments.command {
        Command::Pull(arguments) => pull::run(arguments).await,
        Command::List => list::run(),
        Command::Inspect(arguments) => inspect::run(arguments).await,
        Command::Quantize(arguments) => {
            let quantizing = tokio::task::spawn_blocking(move || quantize::run(&arguments));
            let quantized = quantizing.await;
            quantized.map_err(|error| CliError::Panicked { reason: error.to_string() })?
        }
    }
}

fn print(text: &str) -> Result<(), CliError> {
    io::stdout().write_all(text.as_bytes()).map_err(CliError::Write)
}

/// 1000 bytes are a kilobyte, as the hub counts.
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
