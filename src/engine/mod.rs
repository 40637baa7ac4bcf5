//! Text pairs → logits: tokenisation, packing, replicas. Knows neither Kafka nor the wire format.

mod settings;

pub use settings::{Backend, PackerLimits, Precision, Settings};
