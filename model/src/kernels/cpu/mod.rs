//! The kernels: encoder operations on slices, for the processor at hand.
//!
//! | file | what it holds |
//! |---|---|
//! | [`simd`] | what a kernel needs of a processor, and each processor's way to do it |
//! | [`isa`] | which instruction sets there are, and which this processor has |
//! | [`tile`] | the innermost loops of a matrix product |
//! | [`weights`] | weights laid out for the tiles, float32 or int8 |
//! | [`quantize`] | activations in 8 bits |
//! | [`linear`] | rows times weights |
//! | [`attention`] | attention of one pair |
//! | [`distance`], [`disentangled`] | rotary embeddings, distance biases, scores of content and position |
//! | [`norm`], [`math`] | layer normalisation; exponential and GELU |
//! | `backward` | derivatives, for training |
//! | [`gate`] | the gate of a feed-forward half |
//! | [`block`] | the two halves of an encoder layer, put together from these |
//! | [`scratch`] | memory that a thread keeps |
//!
//! Two rules hold throughout. A row's result does not depend, to the last bit, on the rows beside it: whatever
//! the shape of a tile, the same numbers are added in the same order. And int8 products are exact on every
//! instruction set.

mod attention;
#[cfg(feature = "train")]
mod backward;
mod block;
mod disentangled;
mod distance;
mod gate;
mod isa;
mod linear;
mod math;
mod norm;
mod peak;
mod quantize;
mod scratch;
mod simd;
mod tile;
mod weights;

#[cfg(test)]
mod tests;

use crate::config::Activation;
pub(crate) use block::{
    Attention, FeedForward, FirstAttention, Input, Normalize, Observer, SelfAttention,
};
pub(crate) use distance::{Disentangled, Distance, DistanceBias, Rotary};
pub use isa::InstructionSet;
pub(crate) use isa::Isa;
pub(crate) use linear::Rows;
pub(crate) use norm::{NormSlices, Words};
pub(crate) use peak::operations_per_second;
pub(crate) use weights::{Int8Rows, Int8Table, PackedLinear};

/// Each row of `x`, `[tokens, hidden]`, becomes the normalised sum of a row of each table: `[rows, hidden]` and, for
/// each token, the row.
pub(crate) fn embed(
    isa: Isa,
    words: (Words<'_>, &[u32]),
    others: &[(&[f32], &[u32])],
    norm: NormSlices<'_>,
    x: &mut [f32],
) {
    isa.run(norm::EmbedNorm { x, words, others, norm });
}

/// Each row of `x`, `[rows, hidden]`, is normalised.
pub(crate) fn normalize(isa: Isa, norm: NormSlices<'_>, x: &mut [f32]) {
    isa.run(norm::NormRows { x, norm });
}

/// The mean of the rows of each pair, `[pairs, hidden]`; `x` is `[tokens, hidden]`.
pub(crate) fn mean(x: &[f32], offsets: &[u32], hidden: usize) -> Vec<f32> {
    let mut means = vec![0.0; offsets.len().saturating_sub(1) * hidden];
    for (mean, pair) in means.chunks_exact_mut(hidden).zip(offsets.windows(2)) {
        for row in x[pair[0] as usize * hidden..pair[1] as usize * hidden].chunks_exact(hidden) {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        let count = (pair[1] - pair[0]) as f32;
        mean.iter_mut().for_each(|sum| *sum /= count);
    }
    means
}

/// Each number of `x` becomes its GELU.
#[cfg(feature = "train")]
pub(crate) fn gelu(isa: Isa, x: &mut [f32]) {
    isa.run(backward::Gelu { x });
}

/// `gradient`, of what GELU gives, becomes that of its input `x`.
#[cfg(feature = "train")]
pub(crate) fn gelu_backward(isa: Isa, x: &[f32], gradient: &mut [f32]) {
    isa.run(backward::GeluBackward { x, gradient });
}

/// `gradient`, `[rows, width]`, of what a softmax of each row gives, `shares`, becomes that of its input.
#[cfg(feature = "train")]
pub(crate) fn softmax_backward(isa: Isa, shares: &[f32], gradient: &mut [f32], width: usize) {
    isa.run(backward::SoftmaxBackward { shares, gradient, width });
}

/// `gradient`, `[rows, hidden]`, of what a normalisation gives, becomes that of its input `x`; gamma's and beta's,
/// `[hidden]` each, come back.
#[cfg(feature = "train")]
pub(crate) fn normalize_backward(
    isa: Isa,
    x: &[f32],
    norm: NormSlices<'_>,
    gradient: &mut [f32],
) -> [Vec<f32>; 2] {
    let (mut gamma, mut beta) = (vec![0.0; norm.gamma.len()], vec![0.0; norm.gamma.len()]);
    let (of_gamma, of_beta) = (&mut gamma[..], &mut beta[..]);
    isa.run(backward::NormBackward { x, norm, gradient, gamma: of_gamma, beta: of_beta });
    [gamma, beta]
}

/// `x`, `[rows, inputs]` → `y = activation(x W + b)`, `[rows, outputs]`.
pub(crate) fn linear(
    isa: Isa,
    x: &[f32],
    weights: &PackedLinear,
    activation: Option<Activation>,
    y: &mut [f32],
) {
    let rows = x.len() / weights.inputs();
    assert!(x.len() == rows * weights.inputs() && y.len() == rows * weights.outputs());
    if rows == 0 {
        return;
    }
    let input = Rows { values: x, rows, stride: weights.inputs() };
    scratch::with(|scratch| {
        let padded = scratch.added.floats(rows * weights.width());
        linear::linear(isa, input, weights, activation, &mut scratch.linear, padded);
        let (width, outputs) = (weights.width(), weights.outputs());
        for (y, padded) in y.chunks_exact_mut(outputs).zip(padded.chunks_exact(width)) {
            y.copy_from_slice(&padded[..outputs]);
        }
    });
}
