//! Text pairs → logits: tokenisation, packing, replicas. Knows neither Kafka nor the wire format.
//!
//! ```text
//! score() ─▶ [tokenizers] ─▶ [dispatcher] ─▶ [replicas]
//!                              ▲    owns the waiting pairs, the open sets and the score cache
//!                              └──────── logits ◀──┘
//! ```
//!
//! Each box is a thread or several, each arrow a bounded channel. The dispatcher takes no further
//! set while more than `queue_tokens_max` tokens wait, which in turn stops the tokenizers and
//! leaves callers of [`Scorer::score`] waiting: that is the engine's whole backpressure. Sets are
//! begun in the order of their deadlines, then of the calls, but for what one batch window mixes.
//! A set whose deadline binds is answered by then, and what cannot be scored by then is not begun:
//! the time goes to the sets that can still make it.
//! No pair is scored twice: one that is waiting, being scored, or in the score cache gets that logit.

mod cache;
mod cores;
mod dispatcher;
mod error;
mod forecast;
mod key;
mod memory;
mod open_set;
mod packer;
mod queue;
mod replica;
mod running;
mod schedule;
mod scorer;
mod settings;
mod tokenizers;
mod windows;

pub use crossrank_model::{ModelFile, deciding_files, shown};
pub use error::{EngineError, StartError};
pub use memory::Memory;
pub use running::Engine;
pub use scorer::{
    Deadline, Late, ModelIdentity, PairError, PairScore, ScoreRequest, Scorer, SetScores, Windows,
};
pub use settings::{
    Backend, InstructionSet, Kernels, LongPassages, Model, ModelName, PackerLimits, Precision,
    Settings, Support, WindowScore,
};
