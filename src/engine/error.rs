use std::io;

use crossrank_model::{DeviceError, LoadError, TokenizerError};

/// Why an engine did not start. Each cause names the file or device, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The backend is not compiled in, or has no device.
    #[error("the backend cannot be used")]
    Device(#[source] DeviceError),
    /// The model directory does not hold a model that can be run.
    #[error("the model cannot be loaded")]
    Model(#[source] LoadError),
    /// More was asked for than the model takes.
    #[error(
        "model.tokens_max (--max-length) is {asked}, but this model takes {available} tokens at most; lower it, or leave it out"
    )]
    TokensMax {
        /// What was asked for.
        asked: usize,
        /// What config.json and tokenizer_config.json allow.
        available: usize,
    },
    /// The model's tokenizer cannot be used.
    #[error("the tokenizer cannot be loaded")]
    Tokenizer(#[source] TokenizerError),
    /// A replica failed on a batch of its own before any set was taken.
    #[error("the model failed its warm-up: {reason}")]
    WarmUp {
        /// What the replica said.
        reason: String,
    },
    /// The system gives no further thread.
    #[error("cannot start an engine thread; lower engine.replicas or engine.tokenizers")]
    Thread(#[source] io::Error),
}

/// Why a set has no scores.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Nobody wanted the set any more when its turn came. Nothing was scored.
    #[error("the set was no longer wanted when its turn came")]
    Unwanted,
    /// The engine has stopped for good: a replica died, or its device is gone.
    #[error("the engine stopped: {reason}; restart the worker")]
    Lost {
        /// What the replica said.
        reason: String,
    },
}
