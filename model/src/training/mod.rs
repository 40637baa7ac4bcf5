//! What training needs of a model: a network that differentiates, the start of one, and its way back into a directory.
//!
//! The network is the one that scores, over the same operations ([`crate::CrossEncoder`]): on a device with automatic
//! differentiation, each of them has a derivative. Data, losses and the loop are `crossrank-train`'s.

mod embedder;
mod start;
mod trainee;

pub use embedder::Embedder;
pub use start::{Start, StartError, start};
pub use trainee::{
    Gradients, LearningRates, Optimizer, OptimizerError, SaveError, Trainee, TraineeError,
};
