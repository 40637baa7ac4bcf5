use std::path::PathBuf;

use crossrank_model::WindowLimits;
pub use crossrank_model::{Backend, InstructionSet, Kernels, Precision, Support};

/// Which model to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// A Hugging Face directory: config.json, tokenizer.json, model.safetensors. That of the bundled model is none
    /// of any disk; [`super::ModelFile`] reads either.
    pub directory: PathBuf,
    /// What answers call it. `None`: by the directory's name and a hash of its files.
    pub name: Option<ModelName>,
    /// Of a model with several labels, the one that is ranked by: its name, or else its index.
    pub label: Option<String>,
}

/// What a model is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelName {
    /// Its name on the hub.
    pub id: String,
    /// The commit.
    pub revision: String,
}

/// Where to run a model, and how much work to hold. Already checked by `config`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What computes.
    pub backend: Backend,
    /// Number format of weights and activations.
    pub precision: Precision,
    /// Which instructions compute, on a backend that has kernels.
    pub kernels: Kernels,
    /// Tokens of a pair, special tokens included; the model's own limit where absent.
    pub tokens_max: Option<usize>,
    /// Tokens of a query; what is over is cut, and reported.
    pub query_tokens_max: usize,
    /// What becomes of passages that do not fit.
    pub long_passages: LongPassages,
    /// Threads that score. `None`: one for each physical core that the process may use on a CPU, one
    /// on a GPU.
    pub replicas: Option<usize>,
    /// Whether each replica stays on one CPU. Of use where the CPUs are the worker's alone.
    pub pin_threads: bool,
    /// Threads that tokenise. `None`: as many as replicas, at most four.
    pub tokenizers: Option<usize>,
    /// How batches are cut.
    pub packer: PackerLimits,
    /// Logits that are remembered, for pairs that come again; 0: none.
    pub cache_pairs_max: usize,
}

/// What becomes of a passage that is longer than the model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongPassages {
    /// It is cut, and reported.
    Truncate,
    /// It is scored in windows that overlap, and gets one logit of theirs.
    Windows {
        /// Tokens that a window shares with the one before it.
        overlap_tokens: usize,
        /// Windows of one passage; what is behind them is cut, and reported.
        windows_max: usize,
        /// Which logit it gets.
        score: WindowScore,
    },
}

/// Which logit a passage gets that is scored in windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowScore {
    /// The largest (MaxP: Dai and Callan 2019, "Deeper Text Understanding for IR").
    Best,
    /// That of the first window, the only one that is scored (FirstP).
    First,
    /// The mean of the two largest, for which one window that is right by chance is not enough.
    MeanOfTopTwo,
}

/// How batches are cut, and how much waits for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackerLimits {
    /// Tokens of one batch; a single longer pair is a batch of its own. `None`: 512 on a CPU,
    /// where activations then stay in the cache, 16384 on a GPU.
    pub batch_tokens_max: Option<usize>,
    /// Tokens waiting to be scored, above which no further set is taken in.
    pub queue_tokens_max: usize,
}

// === impl LongPassages ===

impl LongPassages {
    /// How the tokenizer cuts; `None` where there is one window, which nobody names.
    pub(super) fn windows(self) -> Option<WindowLimits> {
        match self {
            Self::Truncate => None,
            Self::Windows { overlap_tokens: overlap, windows_max, score } => {
                let windows_max = if score == WindowScore::First { 1 } else { windows_max };
                Some(WindowLimits { overlap, windows_max })
            }
        }
    }

    /// Which logit counts. A passage in one window has no choice.
    pub(super) fn score(self) -> WindowScore {
        match self {
            Self::Truncate => WindowScore::First,
            Self::Windows { score, .. } => score,
        }
    }
}

// === impl Model ===

impl Model {
    /// The model in this directory, which is called after it.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), name: None, label: None }
    }

    /// The model that ships inside; `None` where the build left it out.
    pub fn bundled() -> Option<Self> {
        crossrank_model::bundled().map(Self::at)
    }
}
