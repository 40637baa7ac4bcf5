//! Cross-encoders for reranking, written in burn, on padding-free batches.

mod device;

pub use device::{Backend, Precision};
