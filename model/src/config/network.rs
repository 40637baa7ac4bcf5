use std::path::PathBuf;

use super::{Activation, Labels};
use crate::arch::Names;

/// What a network is, whatever its architecture.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ModelConfig {
    /// What its tensors are called.
    pub(crate) names: Names,
    pub(crate) vocab_size: usize,
    /// Numbers of an embedding. Where they are not `hidden_size`, a linear layer stands behind it.
    pub(crate) embedding_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) intermediate_size: usize,
    /// Tokens of the longest pair.
    pub(crate) positions: usize,
    /// Rows of the position table before that of the first token.
    pub(crate) positions_before: usize,
    /// Rows of the type table; without one, 0.
    pub(crate) types: usize,
    pub(crate) layer_norm_eps: f64,
    pub(crate) activation: Activation,
    /// Whether the feed-forward half has a gate.
    pub(crate) gated: bool,
    pub(crate) norm_place: NormPlace,
    pub(crate) biases: Biases,
    pub(crate) distances: Distances,
    pub(crate) pooling: Pooling,
    /// What turns a pooled state into a logit for each label, one stage after the other.
    pub(crate) head: Vec<Stage>,
    pub(crate) labels: Labels,
    /// The weights that matter for speed are int8 already.
    pub(crate) quantized: bool,
    /// What the head is made of beside `config.json` and the weights, in sentence-transformers' layout.
    pub(crate) module_files: Vec<PathBuf>,
}

/// Where a layer normalises: behind each half and its residual, or in front of each half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NormPlace {
    After,
    /// And behind the last layer. The embeddings are normalised already, so that the first layer does not normalise
    /// what goes into its attention.
    Before,
}

/// Which parts of a layer add something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Biases {
    pub(crate) attention: bool,
    pub(crate) feed_forward: bool,
    pub(crate) norm: bool,
}

/// What attention knows of how far away a token is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Distances {
    /// Nothing: positions are a part of the embeddings.
    Unseen,
    /// A number for each head and bucket of distances, the same in all layers.
    Buckets(usize),
    /// Rows of a table, one for each bucket of distances, are projected as the tokens are, by each layer.
    Disentangled {
        /// Buckets to either side.
        span: usize,
        /// Distances up to this far have buckets of growing width, those beyond share the last.
        distance_max: usize,
        /// Whether the table is normalised.
        normalized: bool,
    },
    /// Queries and keys are turned. Layers are global, or see a window of tokens.
    Rotary {
        global_theta: f64,
        local_theta: f64,
        /// Tokens to either side.
        window: usize,
        /// `[layers]`.
        local: Vec<bool>,
    },
}

/// Which of a pair's states the head reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// The first token's.
    First,
    /// The mean of all.
    Mean,
}

/// Between the stages of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadActivation {
    Tanh,
    Of(Activation),
}

/// One stage of a head: `norm(activation(x W + b))`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stage {
    /// Where its weights are, if not with all others.
    pub(crate) folder: Option<PathBuf>,
    /// Of its linear layer.
    pub(crate) name: String,
    pub(crate) outputs: usize,
    pub(crate) bias: bool,
    pub(crate) activation: Option<HeadActivation>,
    pub(crate) norm: Option<StageNorm>,
}

/// A stage's layer normalisation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StageNorm {
    /// Where its weights are, if not with all others.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) name: String,
    pub(crate) bias: bool,
    pub(crate) epsilon: f64,
}

// === impl Biases ===

impl Biases {
    pub(crate) const ALL: Self = Self { attention: true, feed_forward: true, norm: true };
}

// === impl Stage ===

impl Stage {
    /// A hidden layer.
    pub(crate) fn dense(name: &str, outputs: usize, activation: HeadActivation) -> Self {
        let (name, activation) = (name.to_owned(), Some(activation));
        Self { folder: None, name, outputs, bias: true, activation, norm: None }
    }

    /// The last stage, as wide as there are labels.
    pub(crate) fn logit(name: &str) -> Self {
        let name = name.to_owned();
        Self { folder: None, name, outputs: 1, bias: true, activation: None, norm: None }
    }
}
