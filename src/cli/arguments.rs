use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::{self, Sources};
use crate::engine::Model;
use crate::hub::{BUNDLED, ModelId};

/// Where settings come from, for every subcommand that has some.
#[derive(Debug, Default, Args)]
pub(super) struct ConfigArguments {
    /// Configuration file (TOML). Environment variables CROSSRANK__SECTION__KEY and flags win
    /// over it.
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// Which model, how it is run, and how many results an answer has; wins over the configuration.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Model")]
pub(super) struct ModelArguments {
    #[command(flatten)]
    pub(super) scorer: ScorerArguments,
    /// Results of a set, unless the set itself says how many.
    #[arg(long, value_name = "N")]
    pub(super) top_n: Option<usize>,
}

/// Which model, and how it is run, where every candidate gets its score; wins over the configuration.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Model")]
pub(super) struct ScorerArguments {
    /// A model's name on the Hugging Face hub, or a directory with config.json, tokenizer.json and
    /// model.safetensors; a directory that exists wins. `bundled` is the small one that ships inside.
    #[arg(long, value_name = "ID|DIR|bundled")]
    pub(super) model: Option<String>,
    /// The flag that names the model, for messages, where it is not --model.
    #[arg(skip)]
    pub(super) named_by: Option<&'static str>,
    /// Branch, tag or commit of a model of the hub.
    #[arg(long, value_name = "REVISION")]
    pub(super) revision: Option<String>,
    /// Of a model with several labels, the one to rank by: its name in config.json's id2label, or else its index.
    /// The score of a passage is then the label's softmax.
    #[arg(long, value_name = "LABEL")]
    pub(super) label: Option<String>,
    /// A file of scores that the model must give before anything is served; tools/expected_scores.py
    /// writes one.
    #[arg(long, value_name = "FILE")]
    pub(super) expected: Option<PathBuf>,
    /// What computes: flex (CPU), ndarray (CPU, slower), wgpu (Vulkan, Metal, DX12).
    #[arg(long, value_name = "NAME")]
    pub(super) backend: Option<String>,
    /// Number format of weights and activations: f32, int8 (faster on a CPU), f16 or bf16 (on a GPU that
    /// has it).
    #[arg(long, value_name = "NAME")]
    pub(super) precision: Option<String>,
    /// Tokens of a query and a passage together. The model's own limit where left out.
    #[arg(long, value_name = "TOKENS")]
    pub(super) max_length: Option<usize>,
    /// What becomes of longer passages: truncate, best-window (all of it is read, in windows, and the
    /// best one counts), first-window, mean-of-two-windows.
    #[arg(long, value_name = "HOW")]
    pub(super) long_passages: Option<String>,
}

// === impl ConfigArguments ===

impl ConfigArguments {
    /// The layers of the configuration: this file, the environment, and the flags of `model`.
    pub(super) fn sources(&self, model: &ModelArguments) -> Sources {
        Sources {
            default_model: None,
            file: self.config.clone(),
            environment: config::environment(),
            flags: model.flags(),
        }
    }

    /// As [`Self::sources`], for what a person tries first: where nobody names a model, it is the bundled one, which
    /// needs no network.
    pub(super) fn sources_or_bundled(&self, model: &ModelArguments) -> Sources {
        Sources { default_model: bundled(), ..self.sources(model) }
    }

    /// As [`Self::load`], where nobody names a model with the bundled one.
    pub(super) fn load_or_bundled(
        &self,
        model: &ModelArguments,
    ) -> Result<config::Raw, config::Errors> {
        config::load(self.sources_or_bundled(model))
    }

    /// Loads the layers without checking relations yet.
    pub(super) fn load(&self, model: &ModelArguments) -> Result<config::Raw, config::Errors> {
        config::load(self.sources(model))
    }
}

// === impl ModelArguments ===

impl ModelArguments {
    pub(super) fn flags(&self) -> Vec<(String, String, &'static str)> {
        let mut flags = self.scorer.flags();
        let top_n = self.top_n.map(|n| ("rank.top_n".to_owned(), n.to_string(), "--top-n"));
        flags.extend(top_n);
        flags
    }
}

impl From<ScorerArguments> for ModelArguments {
    fn from(scorer: ScorerArguments) -> Self {
        Self { scorer, top_n: None }
    }
}

// === impl ScorerArguments ===

impl ScorerArguments {
    fn flags(&self) -> Vec<(String, String, &'static str)> {
        let expected = self.expected.as_ref().map(|path| path.display().to_string());
        let max_length = self.max_length.map(|n| n.to_string());
        [
            (self.model_key(), self.model.clone(), self.named_by.unwrap_or("--model")),
            ("model.revision", self.revision.clone(), "--revision"),
            ("model.label", self.label.clone(), "--label"),
            ("model.expected", expected, "--expected"),
            ("model.backend", self.backend.clone(), "--backend"),
            ("model.precision", self.precision.clone(), "--precision"),
            ("model.tokens_max", max_length, "--max-length"),
            ("model.long_passages", self.long_passages.clone(), "--long-passages"),
        ]
        .into_iter()
        .filter_map(|(key, value, flag)| Some((key.to_owned(), value?, flag)))
        .collect()
    }

    /// Which key `--model` sets: what is no directory but could be a name is one.
    fn model_key(&self) -> &'static str {
        match &self.model {
            Some(text) if text == BUNDLED => "model.id",
            Some(text) if !Path::new(text).is_dir() && ModelId::new(text).is_ok() => "model.id",
            _ => "model.path",
        }
    }
}

/// The bundled model's name, where there is one.
pub(super) fn bundled() -> Option<&'static str> {
    Model::bundled().map(|_| BUNDLED)
}
