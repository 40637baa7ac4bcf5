//! Every kernel, on every instruction set that this processor has, against plain sums in float64.
//!
//! Buffers that a kernel writes stand between canaries, and what it reads between numbers that are not numbers: whatever
//! it reads beyond its share would show.

mod attention;
#[cfg(feature = "train")]
mod backward;
mod block;
mod int8;
mod linear;
mod math;
mod norm;
mod quantize;

use super::isa::{InstructionSet, Isa};
use super::weights::{Int8Rows, PackedLinear};

/// Which no kernel comes to.
const CANARY: f32 = -12_345.678;
/// Canaries on either side: more than the widest vector.
const MARGIN: usize = 64;

/// Every instruction set that this processor has.
fn sets() -> Vec<Isa> {
    let sets: Vec<Isa> = InstructionSet::available().filter_map(Isa::of).collect();
    assert!(!sets.is_empty(), "every processor can do without instructions in particular");
    sets
}

/// Numbers by chance, the same for the same seed (Steele, Lea and Flood, SplitMix, 2014).
struct Chance(u64);

// === impl Chance ===

impl Chance {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.bits() >> 11) as usize % end
    }

    /// Between -1 and 1.
    fn number(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Between `-size` and `size`.
    fn numbers(&mut self, count: usize, size: f32) -> Vec<f32> {
        (0..count).map(|_| self.number() * size).collect()
    }
}

/// A buffer between margins.
struct Guarded {
    values: Vec<f32>,
    margin: f32,
}

// === impl Guarded ===

impl Guarded {
    /// For reading: what is beside `values` is not a number.
    fn input(values: &[f32]) -> Self {
        Self::new(values, f32::NAN)
    }

    /// For writing: what is beside and in it is a canary.
    fn output(len: usize) -> Self {
        Self::new(&vec![CANARY; len], CANARY)
    }

    fn new(values: &[f32], margin: f32) -> Self {
        let beside = vec![margin; MARGIN];
        Self { values: [&beside, values, &beside].concat(), margin }
    }

    fn get(&self) -> &[f32] {
        &self.values[MARGIN..self.values.len() - MARGIN]
    }

    fn get_mut(&mut self) -> &mut [f32] {
        let end = self.values.len() - MARGIN;
        &mut self.values[MARGIN..end]
    }

    /// What was written, once nothing was written beside it.
    #[track_caller]
    fn written(self) -> Vec<f32> {
        let end = self.values.len() - MARGIN;
        let mut beside = self.values[..MARGIN].iter().chain(&self.values[end..]);
        assert!(beside.all(|value| value.to_bits() == self.margin.to_bits()), "written beside");
        self.get().to_vec()
    }
}

/// A linear layer in numbers that a test can compute with.
struct Layer {
    inputs: usize,
    outputs: usize,
    /// `[outputs, inputs]`.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

// === impl Layer ===

impl Layer {
    fn new(chance: &mut Chance, [inputs, outputs]: [usize; 2], size: f32) -> Self {
        let weights = chance.numbers(inputs * outputs, size);
        Self { inputs, outputs, weights, bias: chance.numbers(outputs, size) }
    }

    fn packed(&self) -> PackedLinear {
        PackedLinear::float(&self.weights, &self.bias, [self.inputs, self.outputs])
    }

    fn packed_int8(&self) -> PackedLinear {
        let rows = Int8Rows::quantize(&self.weights, vec![1.0; self.inputs]);
        PackedLinear::int8(&rows, &self.bias)
    }

    /// `x W + b`.
    fn apply(&self, x: &[f64]) -> Vec<f64> {
        let mut y = Vec::new();
        for row in x.chunks_exact(self.inputs) {
            for (weights, bias) in self.weights.chunks_exact(self.inputs).zip(&self.bias) {
                let products = row.iter().zip(weights).map(|(x, w)| x * f64::from(*w));
                y.push(f64::from(*bias) + products.sum::<f64>());
            }
        }
        y
    }

    /// For each row of `x` the largest, over all outputs, of the sum of its products' magnitudes and the bias': what
    /// rounding errors are measured by.
    fn magnitudes(&self, x: &[f32]) -> Vec<f64> {
        let magnitude = |row: &[f32]| {
            let each = self.weights.chunks_exact(self.inputs).zip(&self.bias).map(|(w, bias)| {
                let products =
                    row.iter().zip(w).map(|(x, w)| (f64::from(*x) * f64::from(*w)).abs());
                f64::from(bias.abs()) + products.sum::<f64>()
            });
            each.fold(0.0, f64::max)
        };
        x.chunks_exact(self.inputs).map(magnitude).collect()
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// Each row of `actual` is within `tolerance` times the row's size of `expected`, or within `least`.
#[track_caller]
fn assert_rows_near(what: &str, actual: &[f32], expected: &[f64], sizes: &[f64], tolerance: f64) {
    // What a sum of numbers too small for float32's full precision may lose.
    let least = 2e-42;
    assert_eq!(actual.len(), expected.len(), "{what}");
    let width = expected.len() / sizes.len();
    for (at, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let allowed = tolerance * sizes[at / width] + least;
        let off = (f64::from(actual) - expected).abs();
        let place = (at / width, at % width);
        assert!(off <= allowed, "{what}: {actual:e}, not {expected:e}, at {place:?}: {off:e} off");
    }
}

/// Bit for bit.
#[track_caller]
fn assert_same(what: &str, actual: &[f32], expected: &[f32]) {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(actual), bits(expected), "{what}");
}
