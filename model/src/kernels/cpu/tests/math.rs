use super::{Chance, sets};
use crate::config::Activation;
use crate::kernels::cpu::isa::Isa;
use crate::kernels::cpu::math;
use crate::kernels::cpu::simd::{Kernel, Simd};

#[derive(Clone, Copy)]
enum Function {
    Exp,
    Gelu,
    GeluCoarse,
    GeluTanh,
}

struct Apply<'a>(Function, &'a mut [f32]);

// === impl Apply ===

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(function, values) = self;
        for vector in values.chunks_exact_mut(S::LANES) {
            // SAFETY: a chunk holds as many numbers as a vector.
            let x = unsafe { simd.load(vector.as_ptr()) };
            let y = match function {
                Function::Exp => math::exp(simd, x),
                Function::Gelu => math::gelu(simd, x),
                Function::GeluCoarse => math::gelu_coarse(simd, x),
                Function::GeluTanh => math::gelu_tanh(simd, x),
            };
            // SAFETY: as above.
            unsafe { simd.store(vector.as_mut_ptr(), y) };
        }
    }
}

/// The function of each of `x`, and `x` itself.
fn apply(isa: Isa, function: Function, x: &[f32]) -> Vec<(f32, f32)> {
    let mut y = x.to_vec();
    y.resize(x.len().next_multiple_of(16), 0.0);
    isa.run(Apply(function, &mut y));
    x.iter().copied().zip(y).collect()
}

/// Evenly from `start` to `end`, both included.
fn range(start: f32, end: f32, count: usize) -> Vec<f32> {
    let step = (f64::from(end) - f64::from(start)) / (count - 1) as f64;
    (0..count).map(|i| (f64::from(start) + i as f64 * step) as f32).collect()
}

/// Of every magnitude that float32 has, both signs, and 0.
fn magnitudes() -> Vec<f32> {
    let mut chance = Chance(3);
    let mut values = vec![0.0, -0.0, f32::MIN_POSITIVE, 1e-45, f32::MAX, f32::MIN];
    for exponent in 0..255 {
        let mantissa = (chance.bits() as u32) >> 9;
        let value = f32::from_bits(exponent << 23 | mantissa);
        values.extend([value, -value]);
    }
    values
}

/// The share of the normal distribution below `x`: a power series near 0, a continued fraction far from it.
fn below(x: f64) -> f64 {
    let size = x.abs();
    let density = (-0.5 * size * size).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let beyond = if size < 4.0 {
        let (mut term, mut sum, mut n) = (size, size, 1.0);
        while term > 1e-18 {
            n += 2.0;
            term *= size * size / n;
            sum += term;
        }
        0.5 - density * sum
    } else {
        let fraction = (1..=60).rev().fold(size, |fraction, k| size + f64::from(k) / fraction);
        density / fraction
    };
    if x > 0.0 { 1.0 - beyond } else { beyond }
}

/// An activation of `x`.
pub(super) fn reference(activation: Option<Activation>, x: f64) -> f64 {
    match activation {
        None => x,
        Some(Activation::GeluErf) => gelu(x),
        Some(Activation::GeluTanh) => gelu_tanh(x),
        Some(Activation::Relu) => x.max(0.0),
    }
}

fn gelu(x: f64) -> f64 {
    x * below(x)
}

fn gelu_tanh(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
    // As a logistic function, which does not cancel where x is far below 0.
    x / (1.0 + (-2.0 * inner).exp())
}

#[test]
fn the_reference_of_gelu_is_right() {
    // Abramowitz and Stegun, Handbook of Mathematical Functions, table 26.1.
    for (x, share) in [(0.5, 0.691_462_461_274), (1.0, 0.841_344_746_069), (2.0, 0.977_249_868_052)]
    {
        assert!((below(x) - share).abs() < 1e-12 && (below(-x) - (1.0 - share)).abs() < 1e-12);
    }
    let (near, far) = (below(-3.999_999_999), below(-4.000_000_001));
    assert!((near / far - 1.0).abs() < 1e-8, "{near} beside {far}");
}

#[test]
fn exp_is_within_three_units_of_the_last_place() {
    let mut x = range(-87.0, 88.0, 2_000_001);
    x.extend(magnitudes().into_iter().filter(|x| (-87.0..=88.0).contains(x)));
    for isa in sets() {
        for (x, y) in apply(isa, Function::Exp, &x) {
            let expected = f64::from(x).exp();
            let unit = f64::from((expected as f32).next_up()) - f64::from(expected as f32);
            let off = (f64::from(y) - expected).abs() / unit;
            assert!(off <= 3.0, "{isa:?}: exp({x}) is {y}, {off} units off");
        }
    }
}

#[test]
fn exp_of_what_is_far_below_zero_is_as_good_as_nothing() {
    for isa in sets() {
        for (x, y) in apply(isa, Function::Exp, &[-87.5, -100.0, -1e30, f32::NEG_INFINITY]) {
            assert!((0.0..2e-38).contains(&y), "{isa:?}: exp({x}) is {y}");
        }
    }
}

#[test]
fn what_is_not_a_number_stays_so() {
    use Function::{Exp, Gelu, GeluCoarse, GeluTanh};
    for isa in sets() {
        for (index, function) in [Exp, Gelu, GeluCoarse, GeluTanh].into_iter().enumerate() {
            let y = apply(isa, function, &[f32::NAN])[0].1;
            assert!(y.is_nan(), "{isa:?}: function {index} makes {y} of it");
        }
    }
}

#[test]
fn gelu_is_within_2e_7_of_the_larger_of_1_and_x() {
    let mut x = range(-20.0, 20.0, 1_000_001);
    x.extend(magnitudes());
    for isa in sets() {
        for (x, y) in apply(isa, Function::Gelu, &x) {
            let (off, size) = ((f64::from(y) - gelu(x.into())).abs(), f64::from(x.abs()).max(1.0));
            assert!(off <= 2e-7 * size, "{isa:?}: gelu({x}) is {y}, {off:e} off");
        }
    }
}

#[test]
fn gelu_keeps_the_digits_of_tiny_numbers() {
    for isa in sets() {
        for x in [1e-3_f32, -1e-3, 1e-10, -1e-20, 1e-30, -1e-37] {
            let y = apply(isa, Function::Gelu, &[x])[0].1;
            let off = (f64::from(y) / gelu(x.into()) - 1.0).abs();
            assert!(off <= 1e-6, "{isa:?}: gelu({x:e}) is {y:e}, one part in {:e} off", 1.0 / off);
        }
    }
}

#[test]
fn gelu_coarse_is_within_what_it_says() {
    let mut x = range(-40.0, 40.0, 1_000_001);
    x.extend(magnitudes());
    for isa in sets() {
        for (x, y) in apply(isa, Function::GeluCoarse, &x) {
            let off = (f64::from(y) - gelu(x.into())).abs();
            let size = f64::from(x.abs());
            let allowed = if size <= 3.5 { 3e-4 } else { size / 3200.0 };
            assert!(off <= allowed, "{isa:?}: gelu_coarse({x}) is {y}, {off:e} off");
        }
    }
}

#[test]
fn gelu_tanh_is_within_4e_7_of_the_larger_of_1_and_x() {
    let mut x = range(-20.0, 20.0, 1_000_001);
    x.extend(magnitudes());
    for isa in sets() {
        for (x, y) in apply(isa, Function::GeluTanh, &x) {
            let expected = gelu_tanh(x.into());
            let (off, size) = ((f64::from(y) - expected).abs(), f64::from(x.abs()).max(1.0));
            assert!(off <= 4e-7 * size, "{isa:?}: gelu_tanh({x}) is {y}, {off:e} off");
        }
    }
}
