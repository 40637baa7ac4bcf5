//! `crossrank model`: what is done to model directories.

mod quantize;

use clap::{Args, Subcommand};

use super::CliError;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a model with int8 weights: what precision int8 makes of float weights at every start, once and for
    /// all. The directory is smaller, and loads without the float weights.
    Quantize(quantize::Arguments),
}

pub(super) fn run(arguments: Arguments) -> Result<(), CliError> {
    match arguments.command {
        Command::Quantize(arguments) => quantize::run(arguments),
    }
}
