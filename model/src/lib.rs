//! Cross-encoders for reranking, written in burn, on padding-free batches.
//!
//! [`PairTokenizer`] lays a query and a passage out as token ids, a [`PackedBatch`] holds pairs end to
//! end, and a [`CrossEncoder`] on a [`Device`] turns them into logits. Everything is read from a
//! Hugging Face directory and checked when it is loaded, so that after that a text always gets a score.

mod arch;
mod attending;
mod bundled;
mod calibration;
mod config;
mod device;
mod directory;
mod encoder;
mod files;
#[cfg(feature = "wgpu")]
mod gpu;
mod head;
mod kernels;
mod layers;
mod layout;
mod network;
mod packed;
mod precision;
mod quantization;
mod stored;
mod tokenizer;
#[cfg(feature = "train")]
pub mod training;
mod weights;

pub use bundled::bundled;
pub use config::{ConfigError, deciding_files, labels};
pub use device::{Backend, Device, DeviceError, Kernels};
pub use encoder::{CrossEncoder, LoadError, ScoreError};
pub use files::{FileError, ModelFile, shown};
pub use kernels::cpu::InstructionSet;
pub use packed::PackedBatch;
pub use precision::{Precision, PrecisionError, Support};
pub use quantization::{QuantizeError, quantize};
pub use tokenizer::{
    Pair, PairTokenizer, Query, TextTokenizer, TokenLimits, TokenizerError, Window, WindowLimits,
};
pub use weights::WeightsError;
