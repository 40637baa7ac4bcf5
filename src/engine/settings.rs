use std::path::PathBuf;

pub use crossrank_model::{Backend, InstructionSet, Kernels, Precision};

/// Which model to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// A Hugging Face directory: config.json, tokenizer.json, model.safetensors.
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

/// How batches are cut, and how much waits for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackerLimits {
    /// Tokens of one batch; a single longer pair is a batch of its own. `None`: 512 on a CPU,
    /// where activations then stay in the cache, 16384 on a GPU.
    pub batch_tokens_max: Option<usize>,
    /// Tokens waiting to be scored, above which no further set is taken in.
    pub queue_tokens_max: usize,
}

// === impl Model ===

impl Model {
    /// The model in this directory, which is called after it.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), name: None, label: None }
    }
}
