use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::CliError;

const EXAMPLE: &str = "\
Example:
  crossrank model quantize --model ms-marco-MiniLM-L-6-v2 --out ms-marco-MiniLM-L-6-v2-int8
  crossrank rerank --model ms-marco-MiniLM-L-6-v2-int8 --precision int8 sets.jsonl";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// A Hugging Face directory with float weights.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The directory to make; it must not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn run(arguments: Arguments) -> Result<(), CliError> {
    let Arguments { model, out } = arguments;
    crossrank_model::quantize(&model, &out).map_err(CliError::Quantize)?;
    let (before, after) = (megabytes(&model), megabytes(&out));
    let told = format!(
        "{}: {after:.1} MB of weights, made from {before:.1} MB; use it with --precision int8\n",
        out.display()
    );
    io::stdout().write_all(told.as_bytes()).map_err(CliError::Write)
}

/// Size of a model's weights; 0 where it cannot be had.
fn megabytes(model: &Path) -> f64 {
    let file = std::fs::metadata(model.join("model.safetensors"));
    file.map_or(0.0, |file| file.len() as f64 / 1e6)
}
