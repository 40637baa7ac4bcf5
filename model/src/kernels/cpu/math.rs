//! Functions of one number, a vector at a time.

use super::simd::Simd;

/// e to the power of `x`, for `x` up to 88; what is below -87 becomes e to the power of -87, which is as good as
/// nothing. Within 3 units of the last place.
///
/// Range reduction by Cody and Waite, then a Taylor polynomial: the remainder is at most half the logarithm of 2.
#[inline(always)]
pub(super) fn exp<S: Simd>(simd: S, x: S::F) -> S::F {
    // In this order, so that what is not a number stays so.
    let x = simd.max(simd.splat(-87.0), x);
    let n = simd.round(simd.mul(x, simd.splat(std::f32::consts::LOG2_E)));
    // The logarithm of 2 in two parts, the first with so few digits that its products are exact.
    let r = simd.fma(n, simd.splat(-0.693_359_4), x);
    let r = simd.fma(n, simd.splat(2.121_944_4e-4), r);
    let polynomial = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let mut value = simd.splat(polynomial[0]);
    for coefficient in &polynomial[1..] {
        value = simd.fma(value, r, simd.splat(*coefficient));
    }
    simd.mul(value, simd.pow2(n))
}

/// `x` times the share of the normal distribution below it, within 2e-7 of the larger of 1 and `x`.
///
/// The error function is that of Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
#[inline(always)]
pub(super) fn gelu<S: Simd>(simd: S, x: S::F) -> S::F {
    let zero = simd.splat(0.0);
    let size = simd.max(x, simd.sub(zero, x));
    // z = |x| / sqrt(2), t = 1 / (1 + 0.3275911 z)
    let scale = simd.splat(0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2);
    let one = simd.splat(1.0);
    let t = simd.div(one, simd.fma(size, scale, one));
    let mut tail = simd.splat(1.061_405_4);
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        tail = simd.fma(tail, t, simd.splat(coefficient));
    }
    let half_square = simd.mul(simd.mul(size, size), simd.splat(-0.5));
    // Half of 1 - erf(z): the share of the distribution beyond |x|.
    let beyond = simd.mul(simd.mul(simd.mul(tail, t), simd.splat(0.5)), exp(simd, half_square));
    simd.sub(simd.max(x, zero), simd.mul(size, beyond))
}

/// [`gelu`] within 3e-4 up to 3.5 and one part in 3200 beyond: far less than the step of a number in 8 bits.
///
/// The share of the normal distribution below `x`, less a half, divided by `x`, as a polynomial in `x` squared,
/// fitted between -3.5 and 3.5 for the least largest error of the product.
#[inline(always)]
pub(super) fn gelu_coarse<S: Simd>(simd: S, x: S::F) -> S::F {
    let bounded = simd.max(simd.min(x, simd.splat(3.5)), simd.splat(-3.5));
    let square = simd.mul(bounded, bounded);
    let mut slope = simd.splat(COARSE[0]);
    for coefficient in &COARSE[1..] {
        slope = simd.fma(slope, square, simd.splat(*coefficient));
    }
    simd.mul(x, simd.fma(slope, bounded, simd.splat(0.5)))
}

const COARSE: [f32; 6] =
    [-6.954_148e-7, 3.406_597_5e-5, -7.098_086_6e-4, 8.380_271_5e-3, -6.389_934_6e-2, 0.397_499_56];

/// The approximation of [`gelu`] by a hyperbolic tangent: `x / (1 + exp(-2 sqrt(2 / pi) (x + 0.044715 x^3)))`
/// (Hendrycks and Gimpel, Gaussian Error Linear Units, 2016).
#[inline(always)]
pub(super) fn gelu_tanh<S: Simd>(simd: S, x: S::F) -> S::F {
    let square = simd.mul(x, x);
    let inner = simd.fma(square, simd.splat(0.044_715), simd.splat(1.0));
    let factor = -2.0 * (2.0 / std::f32::consts::PI).sqrt();
    let exponent = simd.mul(simd.mul(x, simd.splat(factor)), inner);
    let exponent = simd.min(exponent, simd.splat(88.0));
    simd.div(x, simd.add(simd.splat(1.0), exp(simd, exponent)))
}
