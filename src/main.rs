//! Arguments → subcommand → exit code.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use crossrank::cli::{Cli, CliError};
use mimalloc::MiMalloc;

// Sets come and go as many small texts, and batches as a few large blocks: the system's allocator gives the large
// ones back each time and pays for every page again.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // clap itself ends with 2 on bad usage, and with 0 on --help.
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = error.downcast_ref::<CliError>();
            if cause.is_some_and(CliError::is_broken_pipe) {
                return ExitCode::SUCCESS;
            }
            // Nobody is left to tell if standard error is gone too.
            let _told = writeln!(std::io::stderr(), "crossrank: {error:#}");
            ExitCode::from(cause.map_or(1, CliError::exit_code))
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let outcome = runtime.block_on(cli.run());
    // A start that was interrupted may still be loading a model; do not wait for it.
    runtime.shutdown_background();
    Ok(outcome?)
}
