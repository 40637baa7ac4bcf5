use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::print;
use crate::cli::{CliError, ConfigArguments, ScorerArguments, models};
use crate::config;
use crate::engine::{Engine, Model};
use crate::hub::{BUNDLED, HubError, ModelId, Snapshot};
use crate::telemetry;

const EXAMPLE: &str = "\
Examples:
  crossrank model pull cross-encoder/ms-marco-MiniLM-L6-v2
  crossrank model pull owner/model --revision COMMIT --dir ./model    # to be carried to another machine
HF_HOME or HF_HUB_CACHE is where the cache is, HF_TOKEN lets gated models in, HF_ENDPOINT names a mirror.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(in crate::cli) struct Arguments {
    /// The model's name on the hub: owner/model.
    #[arg(value_name = "ID")]
    id: String,
    /// Branch, tag or commit; main where left out.
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// Also copy its files into this directory, which must not exist. It needs no cache, and is used with
    /// model.path or --model.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Of a model with several labels, the one to test: its name in config.json's id2label, or else its index.
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// A file of scores that the model must give; tools/expected_scores.py writes one.
    #[arg(long, value_name = "FILE")]
    expected: Option<PathBuf>,
    /// What computes in the test: flex (CPU), ndarray (CPU, slower), wgpu (Vulkan, Metal, DX12).
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// Number format of weights and activations in the test: f32, int8, f16 or bf16.
    #[arg(long, value_name = "NAME")]
    precision: Option<String>,
    #[command(flatten)]
    config: ConfigArguments,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    if arguments.id == BUNDLED {
        return Err(CliError::Hub(HubError::NothingToFetch));
    }
    ModelId::new(&arguments.id).map_err(HubError::from).map_err(CliError::Hub)?;
    let settings = arguments.settings()?;
    let logs = telemetry::init(&settings.telemetry).map_err(CliError::Telemetry)?;
    let model = models::obtain(settings.model.clone(), &settings.engine, &logs).await?;
    let directory = model.directory.display();
    let revision = model.name.as_ref().map_or("", |name| name.revision.as_str());
    print(&format!("model      {} at {revision}\ndirectory  {directory}\n", arguments.id))?;
    if let Some(copy) = arguments.dir {
        copied(&model, &copy).await?;
        print(&format!("copy       {}\n", copy.display()))?;
    }
    let (started, engine) = (model.clone(), settings.engine.clone());
    let engine = tokio::task::spawn_blocking(move || Engine::start(&started, &engine));
    let engine = engine.await.map_err(|error| CliError::Panicked { reason: error.to_string() })?;
    let engine = Arc::new(engine.map_err(CliError::Engine)?);
    let precision = settings.engine.precision;
    let proof = models::prove(engine.as_ref(), &model, &settings.model, precision).await?;
    let proof = match proof {
        Some(proof) => format!("passed: {proof}"),
        None => "none: no scores of this model are published; --expected FILE has some".to_owned(),
    };
    print(&format!("self-test  {proof}\n"))
}

// === impl Arguments ===

impl Arguments {
    fn settings(&self) -> Result<config::Reranking, config::Errors> {
        let scorer = ScorerArguments {
            revision: self.revision.clone(),
            label: self.label.clone(),
            expected: self.expected.clone(),
            backend: self.backend.clone(),
            precision: self.precision.clone(),
            ..ScorerArguments::default()
        };
        let mut sources = self.config.sources(&scorer.into());
        // Never a directory, even where one has this name.
        sources.flags.push(("model.id".to_owned(), self.id.clone(), "ID"));
        config::load(sources)?.reranking()
    }
}

async fn copied(model: &Model, to: &std::path::Path) -> Result<(), CliError> {
    let (from, to) = (model.directory.clone(), to.to_owned());
    let copying = tokio::task::spawn_blocking(move || {
        // What the hub's cache holds is always a snapshot.
        Snapshot::of(&from).map_or(Ok(()), |snapshot| snapshot.copy_to(&to))
    });
    let copied = copying.await.map_err(|error| CliError::Panicked { reason: error.to_string() })?;
    copied.map_err(CliError::Hub)
}
