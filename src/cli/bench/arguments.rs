use std::path::PathBuf;

use clap::Args;

use crate::cli::{CliError, ConfigArguments, ScorerArguments};
use crate::config::{self, Reranking};

/// What pairs per second are quoted at.
const TOKENS_MAX: usize = 256;

const EXAMPLE: &str = "The sets are scored once to warm up and then --repeat times, all of them in flight \
    like a worker's backlog, from text to scores. Then sets of 10, 50 and 100 pairs are scored one at \
    a time. Scores are never taken from a cache. The figures hold for a machine that does nothing \
    else meanwhile.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(in crate::cli) struct Arguments {
    /// Candidate sets, one JSON object a line, also gzipped; `-` is standard input.
    #[arg(long, value_name = "SETS")]
    pub(super) input: PathBuf,
    /// Timed passes over the sets, of which the median counts.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) repeat: u16,
    /// Pairs to score at most; the first ones are taken.
    #[arg(long, value_name = "PAIRS", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub(super) limit: Option<usize>,
    /// Print one line of JSON instead of a table.
    #[arg(long)]
    pub(super) json: bool,
    /// Write request id, candidate id and logit of every pair, tab-separated.
    #[arg(long, value_name = "FILE")]
    pub(super) scores: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArguments,
    #[command(flatten)]
    model: ModelFlags,
}

/// Which model, and how it is run; wins over the configuration.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
struct ModelFlags {
    /// A model's name on the Hugging Face hub, or a directory with config.json, tokenizer.json and
    /// model.safetensors; a directory that exists wins. `bundled` is the small one that ships inside.
    #[arg(long, value_name = "ID|DIR|bundled")]
    model: Option<String>,
    /// Branch, tag or commit of a model of the hub.
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// Of a model with several labels, the one to score: its name in config.json's id2label, or else its index.
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// A file of scores that the model must give before it is measured; tools/expected_scores.py
    /// writes one.
    #[arg(long, value_name = "FILE")]
    expected: Option<PathBuf>,
    /// What computes: flex (CPU), ndarray (CPU, slower), wgpu (Vulkan, Metal, DX12).
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// Number format of weights and activations: f32, int8 (faster on a CPU), f16 or bf16 (on a GPU that
    /// has it).
    #[arg(long, value_name = "NAME")]
    precision: Option<String>,
    /// Tokens of a query and a passage together; longer passages are cut. 256 where neither this
    /// nor the configuration says otherwise.
    #[arg(long, value_name = "TOKENS")]
    max_length: Option<usize>,
    /// Threads that score. One per core on a CPU, one on a GPU, where neither this nor the
    /// configuration says otherwise.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

// === impl Arguments ===

impl Arguments {
    /// The settings of all layers, with the default of a bench for what none of them says.
    pub(super) fn settings(&self) -> Result<Reranking, CliError> {
        let settings = self.load(self.model.max_length)?;
        match settings.engine.tokens_max {
            Some(_) => Ok(settings),
            None => self.load(Some(TOKENS_MAX)),
        }
    }

    fn load(&self, max_length: Option<usize>) -> Result<Reranking, CliError> {
        let flags = &self.model;
        let scorer = ScorerArguments {
            model: flags.model.clone(),
            named_by: None,
            revision: flags.revision.clone(),
            label: flags.label.clone(),
            expected: flags.expected.clone(),
            backend: flags.backend.clone(),
            precision: flags.precision.clone(),
            max_length,
            long_passages: None,
        };
        let mut sources = self.config.sources_or_bundled(&scorer.into());
        let threads =
            flags.threads.map(|n| ("engine.replicas".to_owned(), n.to_string(), "--threads"));
        sources.flags.extend(threads);
        Ok(config::load(sources)?.reranking()?)
    }
}
