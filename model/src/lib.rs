//! Cross-encoders for reranking, written in burn, on padding-free batches.

mod device;
mod packed;

pub use device::{Backend, Precision};
pub use packed::PackedBatch;
