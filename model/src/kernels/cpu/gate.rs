//! The gate of a feed-forward half.

use super::linear::activate;
use super::simd::{Kernel, Simd};
use crate::config::Activation;

/// The first `width` numbers of each row become `activation(first) * second`.
///
/// Shazeer, GLU Variants Improve Transformer, 2020.
pub(super) struct Gate<'a> {
    /// `[rows, 2 * width]`, `stride` apart.
    pub(super) rows: &'a mut [f32],
    pub(super) stride: usize,
    pub(super) width: usize,
    pub(super) activation: Activation,
}

// === impl Gate ===

impl Kernel for Gate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { rows, stride, width, activation } = self;
        let whole = width / S::LANES * S::LANES;
        for row in rows.chunks_exact_mut(stride) {
            let (first, second) = row[..2 * width].split_at_mut(width);
            for at in (0..whole).step_by(S::LANES) {
                // SAFETY: `at + LANES <= whole <= width`, the length of both.
                unsafe {
                    let value = activate(simd, simd.load(first.as_ptr().add(at)), activation);
                    let gated = simd.mul(value, simd.load(second.as_ptr().add(at)));
                    simd.store(first.as_mut_ptr().add(at), gated);
                }
            }
            for at in whole..width {
                let mut lanes = [0.0; 64];
                // SAFETY: a vector has at most 64 numbers.
                unsafe {
                    let value = activate(simd, simd.splat(first[at]), activation);
                    simd.store(lanes.as_mut_ptr(), value);
                }
                first[at] = lanes[0] * second[at];
            }
        }
    }
}
