use std::sync::Arc;

use burn::backend::tensor::{BoolTensor, FloatTensor, IntTensor};
use burn::backend::{Backend, ExtensionType};

use super::cpu::{self, Int8Table, Isa, PackedLinear};

/// A linear layer's weights.
#[derive(Clone, ExtensionType)]
pub(crate) enum LinearWeights<B: Backend> {
    /// Numbers as they are.
    Float {
        /// `[inputs, outputs]`.
        weight: FloatTensor<B>,
        /// `[1, outputs]`.
        bias: FloatTensor<B>,
    },
    /// int8, kept as float32: the weights times their steps. Inputs are rounded to 8 bits too.
    Int8 {
        /// `[inputs, outputs]`, for smoothed inputs.
        weight: FloatTensor<B>,
        /// `[1, outputs]`.
        bias: FloatTensor<B>,
        /// What inputs are multiplied with before they are rounded, `[1, inputs]`.
        smoothing: FloatTensor<B>,
    },
    /// Laid out for kernels, in whichever precision.
    Packed(Isa, Arc<PackedLinear>),
}

/// What a layer normalisation multiplies with and adds.
#[derive(Clone, ExtensionType)]
pub(crate) struct NormWeights<B: Backend> {
    /// `[hidden]`.
    pub(crate) gamma: FloatTensor<B>,
    /// `[hidden]`.
    pub(crate) beta: FloatTensor<B>,
    pub(crate) epsilon: f64,
    /// Where kernels compute.
    pub(crate) isa: Option<Isa>,
}

/// Where a half of a layer, `f`, normalises.
#[derive(Clone, ExtensionType)]
pub(crate) enum Normalize<B: Backend> {
    /// `norm(f(x) + x)`.
    After(#[extension_type] NormWeights<B>),
    /// `f(norm(x)) + x`.
    Before(#[extension_type] NormWeights<B>),
    /// `f(x) + x`.
    Nowhere,
}

/// How the tokens of a pair attend to one another.
#[derive(Clone, ExtensionType)]
pub(crate) struct Attention<B: Backend> {
    pub(crate) heads: usize,
    /// How many tokens to either side a token sees; all, where there is none.
    pub(crate) window: Option<usize>,
    /// What it knows of how far away they are.
    #[extension_type]
    pub(crate) distance: Distance<B>,
}

/// As [`cpu::Distance`].
#[derive(Clone, ExtensionType)]
pub(crate) enum Distance<B: Backend> {
    Unseen,
    Rotary {
        /// `[positions, width / 2]`.
        cos: FloatTensor<B>,
        /// `[positions, width / 2]`.
        sin: FloatTensor<B>,
    },
    /// `[heads, 2 * positions - 1]`.
    Bias(FloatTensor<B>),
    Disentangled {
        /// `[rows, hidden]`.
        keys: FloatTensor<B>,
        /// `[rows, hidden]`.
        queries: FloatTensor<B>,
        /// The row of each distance, `[2 * positions - 1]`.
        rows: IntTensor<B>,
    },
    /// For kernels.
    Packed(Arc<cpu::Distance>),
}

/// What an embedding is the sum of, `[rows, embedding]` each.
#[derive(Clone, ExtensionType)]
pub(crate) struct EmbeddingTables<B: Backend> {
    #[extension_type]
    pub(crate) words: Words<B>,
    #[extension_type]
    pub(crate) types: Table<B>,
    #[extension_type]
    pub(crate) positions: Table<B>,
}

/// The table that every architecture has.
#[derive(Clone, ExtensionType)]
pub(crate) enum Words<B: Backend> {
    Rows(FloatTensor<B>),
    /// For kernels.
    Packed(Arc<Int8Table>),
}

/// A table that not every architecture has.
#[derive(Clone, ExtensionType)]
pub(crate) enum Table<B: Backend> {
    Absent,
    Rows(FloatTensor<B>),
}

/// Which row of each embedding table each token takes.
#[derive(Clone, ExtensionType)]
pub(crate) enum TokenRows<B: Backend> {
    /// On the device, `[tokens]` each.
    Plain { words: IntTensor<B>, types: IntTensor<B>, positions: IntTensor<B> },
    /// For kernels.
    Packed { isa: Isa, words: Arc<[u32]>, types: Arc<[u32]>, positions: Arc<[u32]> },
}

/// Where the pairs of a batch stand.
#[derive(Clone, ExtensionType)]
pub(crate) enum PairLayout<B: Backend> {
    /// Pairs of one length side by side, without padding.
    Even {
        buckets: Arc<[Bucket]>,
        /// Row of each pair's first token, `[pairs]`.
        firsts: IntTensor<B>,
    },
    /// Pairs of similar length side by side; they are padded for attention.
    Padded {
        buckets: Arc<[Bucket]>,
        /// Row of each pair's first token, `[pairs]`.
        firsts: IntTensor<B>,
        /// The row for each padded place; at padding some row of the same pair, which the mask hides.
        spread: IntTensor<B>,
        /// The padded place of each row, `[tokens]`.
        gather: IntTensor<B>,
        /// True at padding, `[places]`.
        hidden: BoolTensor<B>,
    },
    /// For kernels: where each pair starts, and where the last one ends, `[pairs + 1]`.
    Packed(Isa, Arc<[u32]>),
}

/// Pairs of one padded length, side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) pairs: usize,
    /// Padded length.
    pub(crate) tokens: usize,
}
