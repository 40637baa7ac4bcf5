//! What an encoder computes, as operations that a backend may compute in its own way.
//!
//! [`EncoderOps`] extends burn's backends: each operation has a body in plain burn operations
//! ([`plain`]), which ndarray and GPUs run, and a kernel on slices for flex ([`cpu`], reached through [`flex`]). A
//! model is written once, over the operations; which body runs follows from how its weights were made.

#![cfg_attr(
    feature = "ndarray",
    expect(
        deprecated,
        reason = "ndarray is kept as an oracle beside flex, and for those who ask for it"
    )
)]

pub(crate) mod cpu;
#[cfg(feature = "flex")]
mod flex;
mod inputs;
mod plain;

#[cfg(feature = "train")]
mod training;

#[cfg(feature = "wgpu")]
use burn::backend::Cube;
#[cfg(feature = "ndarray")]
use burn::backend::NdArray;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata as _, backend_extension};

use crate::config::Activation;
pub(crate) use inputs::{
    Attention, Bucket, Distance, EmbeddingTables, LinearWeights, NormWeights, Normalize,
    PairLayout, Table, TokenRows, Words,
};

/// The operations of an encoder.
///
/// Inputs in the packed forms are only for backends with kernels. A model makes them where
/// [`crate::Device`] says that it has kernels.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "wgpu"),
    Autodiff: cfg(feature = "train")
)]
pub(crate) trait EncoderOps: Backend {
    /// The sum of a word's, a type's and a position's row, normalised: `[tokens, embedding]`.
    fn embed(
        #[extension_type] tables: EmbeddingTables<Self>,
        #[extension_type] rows: TokenRows<Self>,
        #[extension_type] norm: NormWeights<Self>,
    ) -> FloatTensor<Self> {
        plain::embed::<Self>(tables, rows, norm)
    }

    /// `x`, `[rows, inputs]` → `activation(x W + b)`, `[rows, outputs]`.
    fn linear(
        x: FloatTensor<Self>,
        #[extension_type] weights: LinearWeights<Self>,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        plain::linear::<Self>(x, weights, activation)
    }

    /// Each row of `x`, `[rows, hidden]`, normalised.
    fn normalize(
        x: FloatTensor<Self>,
        #[extension_type] norm: NormWeights<Self>,
    ) -> FloatTensor<Self> {
        plain::normalize::<Self>(x, norm)
    }

    /// Each token attends to those of its own pair: `output(attention(x)) + x`, normalised, `[tokens, hidden]`.
    /// `qkv` gives query, key and value side by side.
    fn self_attention(
        x: FloatTensor<Self>,
        #[extension_type] qkv: LinearWeights<Self>,
        #[extension_type] output: LinearWeights<Self>,
        #[extension_type] norm: Normalize<Self>,
        #[extension_type] layout: PairLayout<Self>,
        #[extension_type] attention: Attention<Self>,
    ) -> FloatTensor<Self> {
        plain::self_attention::<Self>(x, qkv, output, norm, layout, attention)
    }

    /// As [`EncoderOps::self_attention`], for the first token of each pair alone: `[pairs, hidden]`.
    /// `key_value` gives key and value side by side.
    fn first_attention(
        x: FloatTensor<Self>,
        #[extension_type] query: LinearWeights<Self>,
        #[extension_type] key_value: LinearWeights<Self>,
        #[extension_type] output: LinearWeights<Self>,
        #[extension_type] norm: Normalize<Self>,
        #[extension_type] layout: PairLayout<Self>,
        #[extension_type] attention: Attention<Self>,
    ) -> FloatTensor<Self> {
        plain::first_attention::<Self>(x, [query, key_value, output], norm, layout, attention)
    }

    /// Row by row: `down(activation(up(x))) + x`, normalised, `[rows, hidden]`. Where it is gated, the second half of
    /// what `up` gives is multiplied with the activation of the first.
    fn feed_forward(
        x: FloatTensor<Self>,
        #[extension_type] up: LinearWeights<Self>,
        activation: Activation,
        gated: bool,
        #[extension_type] down: LinearWeights<Self>,
        #[extension_type] norm: Normalize<Self>,
    ) -> FloatTensor<Self> {
        plain::feed_forward::<Self>(x, [up, down], activation, gated, norm)
    }

    /// GELU with the error function, of each number.
    fn curve(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::gelu(x)
    }

    /// A softmax over the last dimension.
    fn shares(scores: FloatTensor<Self>) -> FloatTensor<Self> {
        let last = scores.shape().num_dims() - 1;
        Self::softmax(scores, last)
    }

    /// The mean of the rows of each pair: `[tokens, hidden]` → `[pairs, hidden]`.
    fn mean(x: FloatTensor<Self>, #[extension_type] layout: PairLayout<Self>) -> FloatTensor<Self> {
        plain::mean::<Self>(x, layout)
    }
}

#[cfg(feature = "ndarray")]
impl EncoderOps for NdArray {}

#[cfg(feature = "wgpu")]
impl EncoderOps for Cube {}
