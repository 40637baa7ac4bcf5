//! Text pairs → logits: tokenisation, packing, replicas. Knows neither Kafka nor the wire format.
//!
//! ```text
//! score() ─▶ [tokenizers] ─▶ [dispatcher] ─▶ [replicas]
//!                              ▲    owns the waiting pairs and the open sets
//!                              └──────── logits ◀──┘
//! ```
//!
//! Each box is a thread or several, each arrow a bounded channel. The dispatcher takes no further
//! set while more than `queue_tokens_max` tokens wait, which in turn stops the tokenizers and
//! leaves callers of [`Scorer::score`] waiting: that is the engine's whole backpressure. Sets are
//! begun in the order of the calls, but for what one batch window mixes.

mod dispatcher;
mod error;
mod packer;
mod replica;
mod running;
mod scorer;
mod settings;
mod tokenizers;

pub use error::{EngineError, StartError};
pub use running::Engine;
pub use scorer::{ModelIdentity, PairError, PairScore, ScoreRequest, Scorer, SetScores};
pub use settings::{Backend, InstructionSet, Kernels, PackerLimits, Precision, Settings};
