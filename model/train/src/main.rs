//! Trains crossrank's cross-encoders in burn: on pairs of one's own, or the model that is bundled.

mod bundled;
mod cases;
pub mod contrast;
mod fit;
mod index;
mod list;
mod measure;
mod pairs;
mod pool;
mod tune;

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use fit::Outcome;
use mimalloc::MiMalloc;

// A step allocates the same large tensors again and again: the system's allocator gives them back each time, and pays a
// fifth of the step for fresh pages.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Trains rerankers: fine-tuning on pairs of your own, and the recipe of the bundled model.
#[derive(Debug, Parser)]
#[command(name = "crossrank-train", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fine-tune a model, or an encoder, on judged pairs
    Tune(Box<tune::Tune>),
    /// Make the bundled model
    Bundled(Box<bundled::Recipe>),
    /// Count how often BM25, a bi-encoder and models prefer the answer of contrast cases
    Contrast(cases::Compare),
    /// Print cases as they are generated for the bundled model
    Cases(cases::Generate),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Tune(tune) => tune.run().and_then(|outcome| tell(&outcome)),
        Command::Bundled(recipe) => recipe.make().and_then(|outcome| tell(&outcome)),
        Command::Contrast(compare) => compare.run(),
        Command::Cases(generate) => generate.run(),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    // Where standard error is closed there is nobody to tell.
    drop(writeln!(io::stderr(), "error: {error:#}"));
    ExitCode::FAILURE
}

fn tell(outcome: &Outcome) -> anyhow::Result<()> {
    let Outcome { before, measure, step, .. } = outcome;
    writeln!(io::stdout(), "held out: {before:.4} before, {measure:.4} after {step} steps")?;
    Ok(())
}

/// Copies the files of a model directory into another, which is made.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from)?.filter_map(Result::ok) {
        fs::copy(entry.path(), to.join(entry.file_name()))
            .with_context(|| format!("cannot write into {}", to.display()))?;
    }
    Ok(())
}
