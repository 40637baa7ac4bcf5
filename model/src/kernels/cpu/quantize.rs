//! Activations in 8 bits, each row with a step and a zero of its own.

use super::simd::{Kernel, Simd};

/// How to read a quantised row: `value = step * (byte - zero)`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub(super) struct Step {
    pub(super) step: f32,
    /// A whole number from 0 to 255.
    pub(super) zero: f32,
}

/// Quantises rows of float32, each times `smoothing`.
pub(super) struct QuantizeRows<'a> {
    /// `[rows, inputs]`, `stride` apart.
    pub(super) rows: &'a [f32],
    pub(super) stride: usize,
    /// `[inputs]`.
    pub(super) smoothing: &'a [f32],
    /// `[rows, inputs filled up to a multiple of 4]`. What fills up is not set: it meets weights of 0.
    pub(super) bytes: &'a mut [u8],
    /// `[rows]`.
    pub(super) steps: &'a mut [Step],
}

// === impl QuantizeRows ===

impl Kernel for QuantizeRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let inputs = self.smoothing.len();
        let depth = inputs.next_multiple_of(4);
        let rows = self.rows.chunks(self.stride).zip(self.bytes.chunks_exact_mut(depth));
        for ((row, bytes), step) in rows.zip(self.steps) {
            *step = quantize(simd, &row[..inputs], self.smoothing, &mut bytes[..inputs]);
        }
    }
}

/// All slices are as long as one another.
#[inline(always)]
fn quantize<S: Simd>(simd: S, row: &[f32], smoothing: &[f32], bytes: &mut [u8]) -> Step {
    assert!(row.len() == smoothing.len() && row.len() == bytes.len());
    let whole = row.len() / S::LANES * S::LANES;
    let scaled = |at: usize| {
        // SAFETY: `at + LANES <= whole <= len` of all three, here and below.
        unsafe { simd.mul(simd.load(row.as_ptr().add(at)), simd.load(smoothing.as_ptr().add(at))) }
    };
    // Zero is among the numbers that a step and a zero can say exactly.
    let (mut low, mut high) = (simd.splat(0.0), simd.splat(0.0));
    // No byte says infinity or not-a-number. The step does: 0 unless one of them is in the row.
    let mut poison = simd.splat(0.0);
    for at in (0..whole).step_by(S::LANES) {
        let x = scaled(at);
        low = simd.min(x, low);
        high = simd.max(x, high);
        poison = simd.fma(x, simd.splat(0.0), poison);
    }
    let mut low = -simd.largest(simd.sub(simd.splat(0.0), low));
    let mut high = simd.largest(high);
    let mut poison = simd.sum(poison);
    for at in whole..row.len() {
        low = low.min(row[at] * smoothing[at]);
        high = high.max(row[at] * smoothing[at]);
        poison += row[at] * smoothing[at] * 0.0;
    }
    // A row of zeros: any step will do.
    let step = ((high - low) / 255.0).max(f32::MIN_POSITIVE) + poison;
    let zero = (-low / step).round_ties_even();
    let per_step = 1.0 / step;
    let (factor, offset) = (simd.splat(per_step), simd.splat(zero));
    for at in (0..whole).step_by(S::LANES) {
        let x = simd.fma(scaled(at), factor, offset);
        // SAFETY: as above.
        unsafe { simd.store_bytes(bytes.as_mut_ptr().add(at), x) };
    }
    for at in whole..row.len() {
        bytes[at] = (row[at] * smoothing[at] * per_step + zero).round_ties_even() as u8;
    }
    Step { step, zero }
}

// === impl Step ===

impl Step {
    /// Room for numbers, as room for half as many steps.
    pub(super) fn slice(numbers: &mut [f32]) -> &mut [Self] {
        let steps = numbers.len() / 2;
        // SAFETY: a step is two numbers, and aligned as they are.
        unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), steps) }
    }
}
