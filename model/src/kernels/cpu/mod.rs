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
//! | [`norm`], [`math`] | layer normalisation; exponential and GELU |
//! | [`block`] | the two halves of an encoder layer, put together from these |
//! | [`scratch`] | memory that a thread keeps |
//!
//! Two rules hold throughout. A row's result does not depend, to the last bit, on the rows beside it: whatever
//! the shape of a tile, the same numbers are added in the same order. And int8 products are exact on every
//! instruction set.

mod attention;
mod block;
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
pub(crate) use block::{FeedForward, FirstAttention, Input, Observer, SelfAttention};
pub use isa::InstructionSet;
pub(crate) use isa::Isa;
pub(crate) use linear::Rows;
pub(crate) use norm::NormSlices;
pub(crate) use peak::operations_per_second;
pub(crate) use weights::{Int8Rows, PackedLinear};

/// Each row of `x`, `[tokens, hidden]`, becomes the normalised sum of a row of each table: `[rows, hidden]` and, for
/// each token, the row.
pub(crate) fn embed(isa: Isa, tables: [(&[f32], &[u32]); 3], norm: NormSlices<'_>, x: &mut [f32]) {
    isa.run(norm::EmbedNorm { x, tables, norm });
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
