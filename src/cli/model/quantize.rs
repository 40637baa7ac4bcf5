use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::{CliError, progress};
use crate::hub::{self, BUNDLED, Hub, HubError, ModelId, Revision, Settings};

const EXAMPLE: &str = "\
Example:
  crossrank model quantize --model ms-marco-MiniLM-L-6-v2 --out ms-marco-MiniLM-L-6-v2-int8
  crossrank rerank --model ms-marco-MiniLM-L-6-v2-int8 --precision int8 sets.jsonl";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// A model with float weights: its name on the Hugging Face hub, or a directory; a directory that exists
    /// wins.
    #[arg(long, value_name = "ID|DIR")]
    model: String,
    /// Branch, tag or commit of a model of the hub; main where left out.
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// The directory to make; it must not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Blocks for as long as it takes.
pub(super) fn run(arguments: &Arguments) -> Result<(), CliError> {
    let Arguments { model, revision, out } = arguments;
    let model = obtained(model, revision.as_deref()).map_err(CliError::Hub)?;
    crossrank_model::quantize(&model, out).map_err(CliError::Quantize)?;
    let (before, after) = (megabytes(&model), megabytes(out));
    let told = format!(
        "{}: {after:.1} MB of weights, made from {before:.1} MB; use it with --precision int8\n",
        out.display()
    );
    io::stdout().write_all(told.as_bytes()).map_err(CliError::Write)
}

fn obtained(model: &str, revision: Option<&str>) -> Result<PathBuf, HubError> {
    if model == BUNDLED {
        return hub::bundled().map(|model| model.directory);
    }
    let directory = PathBuf::from(model);
    // What could not be a name is told of as a directory.
    let Ok(id) = ModelId::new(model) else { return Ok(directory) };
    if directory.is_dir() {
        return Ok(directory);
    }
    let revision = revision.map(Revision::new).transpose()?;
    let hub = Hub::new(Settings::from_environment()?);
    let progress = progress::download();
    let snapshot = hub.obtain(&id, revision.as_ref(), &progress);
    progress.bar().finish_and_clear();
    Ok(snapshot?.directory)
}

/// Size of a model's weights; 0 where it cannot be had.
fn megabytes(model: &Path) -> f64 {
    let file = std::fs::metadata(model.join("model.safetensors"));
    file.map_or(0.0, |file| file.len() as f64 / 1e6)
}
