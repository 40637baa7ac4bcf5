//! Rows times packed weights.

use super::isa::Isa;
use super::math;
use super::quantize::{QuantizeRows, Step};
use super::scratch::QuantizedRoom;
use super::simd::{Kernel, PANEL, ROWS_MAX, Simd};
use super::tile::{ByteTile, FloatTile, Sums, heights};
use super::weights::{Int8Panels, PackedLinear, Panels};
use crate::config::Activation;

/// `[rows, inputs]`, `stride` numbers apart.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) stride: usize,
}

// === impl Rows ===

impl Rows<'_> {
    /// There is a row, and each has `width` numbers.
    #[track_caller]
    pub(super) fn check(&self, width: usize) {
        let Self { values, rows, stride } = *self;
        assert!(rows > 0 && stride >= width && values.len() >= (rows - 1) * stride + width);
    }
}

/// Computes `activation(input W + b)` into `output`, `[rows, weights.width()]`.
pub(super) fn linear(
    isa: Isa,
    input: Rows<'_>,
    weights: &PackedLinear,
    activation: Option<Activation>,
    room: &mut QuantizedRoom,
    output: &mut [f32],
) {
    let Rows { values, rows, stride } = input;
    input.check(weights.inputs());
    assert!(output.len() >= rows * weights.width());
    match &weights.panels {
        Panels::Float(panels) => {
            isa.run(FloatLinear { input, weights, panels, activation, output })
        }
        Panels::Int8(panels) => {
            let depth = weights.inputs().next_multiple_of(4);
            let bytes = room.bytes.bytes(rows * depth);
            let steps = Step::slice(room.steps.floats(2 * rows));
            let smoothing = &panels.smoothing;
            isa.run(QuantizeRows { rows: values, stride, smoothing, bytes, steps });
            isa.run(Int8Linear { bytes, steps, depth, weights, panels, activation, output });
        }
    }
}

struct FloatLinear<'a> {
    input: Rows<'a>,
    weights: &'a PackedLinear,
    panels: &'a [f32],
    activation: Option<Activation>,
    output: &'a mut [f32],
}

struct Int8Linear<'a> {
    bytes: &'a [u8],
    steps: &'a [Step],
    depth: usize,
    weights: &'a PackedLinear,
    panels: &'a Int8Panels,
    activation: Option<Activation>,
    output: &'a mut [f32],
}

// === impl FloatLinear ===

impl Kernel for FloatLinear<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Rows { values, rows, stride } = self.input;
        let (depth, width) = (self.weights.inputs(), self.weights.width());
        let mut sums = Sums([0.0; ROWS_MAX * PANEL]);
        // Panel by panel, all rows: a panel is fetched once and used while it is near.
        for (index, panel) in self.panels.chunks_exact(depth * PANEL).enumerate() {
            let column = index * PANEL;
            let mut row = 0;
            for height in heights(rows, S::TILE_ROWS) {
                let tile = FloatTile {
                    rows: height,
                    depth,
                    a: values[row * stride..].as_ptr(),
                    a_stride: stride,
                    panel: panel.as_ptr(),
                    start: self.weights.bias[column..][..PANEL].as_ptr(),
                    sums: sums.0.as_mut_ptr(),
                    sums_stride: PANEL,
                };
                // SAFETY: `Rows::check` has counted the rows; panel and bias are slices of what is read; sums
                // have room for ROWS_MAX rows.
                unsafe { tile.compute(simd) };
                for (place, sums) in sums.0.chunks_exact(PANEL).take(height).enumerate() {
                    let to = &mut self.output[(row + place) * width + column..][..PANEL];
                    for at in (0..PANEL).step_by(S::LANES) {
                        // SAFETY: both are PANEL long.
                        unsafe {
                            let sum = simd.load(sums.as_ptr().add(at));
                            let value = finish(simd, sum, self.activation, false);
                            simd.store(to.as_mut_ptr().add(at), value);
                        }
                    }
                }
                row += height;
            }
        }
    }
}

// === impl Int8Linear ===

impl Kernel for Int8Linear<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (depth, width, rows) = (self.depth, self.weights.width(), self.steps.len());
        let Self { bytes, steps, weights, panels, activation, output, .. } = self;
        assert!(bytes.len() >= rows * depth && depth.is_multiple_of(4));
        let outputs = Outputs { weights, panels, activation };
        let mut sums = Sums([0.0; ROWS_MAX * PANEL]);
        for (index, panel) in panels.weights.chunks_exact(depth * PANEL).enumerate() {
            let column = index * PANEL;
            let mut row = 0;
            for height in heights(rows, S::DOT_ROWS) {
                let tile = ByteTile {
                    rows: height,
                    quads: depth / 4,
                    a: bytes[row * depth..].as_ptr(),
                    a_stride: depth,
                    panel: panel.as_ptr(),
                    sums: &mut sums,
                };
                // SAFETY: the bytes were counted above; a panel is a slice of what is read.
                unsafe { tile.compute(simd) };
                for (place, sums) in sums.0.chunks_exact(PANEL).take(height).enumerate() {
                    let to = &mut output[(row + place) * width + column..][..PANEL];
                    outputs.dequantize(simd, steps[row + place], column, sums, to);
                }
                row += height;
            }
        }
    }
}

/// How the sums of an int8 product are read.
struct Outputs<'a> {
    weights: &'a PackedLinear,
    panels: &'a Int8Panels,
    activation: Option<Activation>,
}

impl Outputs<'_> {
    /// `sums` are int32: `sum of byte * weight`. With `value = step * (byte - zero)` the product is
    /// `step * weight_step * (sum - zero * sum of weights)`.
    #[inline(always)]
    fn dequantize<S: Simd>(&self, simd: S, row: Step, column: usize, sums: &[f32], to: &mut [f32]) {
        let step = simd.splat(row.step);
        let zero = simd.splat(-row.step * row.zero);
        let (steps, weight_sums) = (&self.panels.steps[column..], &self.panels.sums[column..]);
        let bias = &self.weights.bias[column..];
        assert!(sums.len() == PANEL && to.len() == PANEL);
        assert!(steps.len() >= PANEL && weight_sums.len() >= PANEL && bias.len() >= PANEL);
        for at in (0..PANEL).step_by(S::LANES) {
            // SAFETY: all are PANEL long at least.
            unsafe {
                let sum = simd.to_float(simd.load_i(sums.as_ptr().add(at).cast()));
                let steps = simd.mul(simd.load(steps.as_ptr().add(at)), step);
                let bias = simd.load(bias.as_ptr().add(at));
                let weight_sums = simd.load(weight_sums.as_ptr().add(at));
                let value = simd.fma(sum, steps, simd.fma(weight_sums, zero, bias));
                simd.store(to.as_mut_ptr().add(at), finish(simd, value, self.activation, true));
            }
        }
    }
}

/// What an int8 layer makes is quantised again, so that a coarse function is exact enough.
#[inline(always)]
fn finish<S: Simd>(simd: S, value: S::F, activation: Option<Activation>, coarse: bool) -> S::F {
    match activation {
        None => value,
        Some(Activation::GeluErf) if coarse => math::gelu_coarse(simd, value),
        Some(activation) => activate(simd, value, activation),
    }
}

/// As exact as float32 is.
#[inline(always)]
pub(super) fn activate<S: Simd>(simd: S, value: S::F, activation: Activation) -> S::F {
    match activation {
        Activation::GeluErf => math::gelu(simd, value),
        Activation::GeluTanh => math::gelu_tanh(simd, value),
        // In this order, so that what is not a number stays so.
        Activation::Relu => simd.max(simd.splat(0.0), value),
    }
}
