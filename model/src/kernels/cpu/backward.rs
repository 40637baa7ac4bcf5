//! Derivatives, for training.

use super::math::exp;
use super::norm::NormSlices;
use super::simd::{Kernel, Simd};

/// Sums side by side, so that they are taken a vector at a time.
const LANES: usize = 32;

/// `x` becomes [`super::math::gelu`] of it.
pub(super) struct Gelu<'a> {
    pub(super) x: &'a mut [f32],
}

/// `gradient`, of what GELU gives, becomes that of its input `x`.
pub(super) struct GeluBackward<'a> {
    pub(super) x: &'a [f32],
    pub(super) gradient: &'a mut [f32],
}

/// `gradient`, of what a softmax of each row gives, becomes that of its input; `shares` is what it gives.
pub(super) struct SoftmaxBackward<'a> {
    /// `[rows, width]`.
    pub(super) shares: &'a [f32],
    /// `[rows, width]`.
    pub(super) gradient: &'a mut [f32],
    pub(super) width: usize,
}

/// `gradient`, of what a normalisation gives, becomes that of its input `x`; what it says of gamma and beta is added to
/// theirs.
pub(super) struct NormBackward<'a> {
    /// `[rows, hidden]`.
    pub(super) x: &'a [f32],
    pub(super) norm: NormSlices<'a>,
    /// `[rows, hidden]`.
    pub(super) gradient: &'a mut [f32],
    /// `[hidden]`.
    pub(super) gamma: &'a mut [f32],
    /// `[hidden]`.
    pub(super) beta: &'a mut [f32],
}

// === impl Gelu ===

impl Kernel for Gelu<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let whole = self.x.len() / S::LANES * S::LANES;
        for at in (0..whole).step_by(S::LANES) {
            // SAFETY: `at + LANES <= whole <= len`.
            unsafe {
                let x = simd.load(self.x.as_ptr().add(at));
                simd.store(self.x.as_mut_ptr().add(at), super::math::gelu(simd, x));
            }
        }
        let rest = &mut self.x[whole..];
        let mut last = [0.0; LANES];
        last[..rest.len()].copy_from_slice(rest);
        for at in (0..rest.len()).step_by(S::LANES) {
            // SAFETY: LANES of a vector divide those of `last`, and `at` is a multiple of them below its length.
            unsafe {
                let x = simd.load(last.as_ptr().add(at));
                simd.store(last.as_mut_ptr().add(at), super::math::gelu(simd, x));
            }
        }
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

// === impl GeluBackward ===

impl Kernel for GeluBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        assert_eq!(self.x.len(), self.gradient.len());
        let whole = self.x.len() / S::LANES * S::LANES;
        for at in (0..whole).step_by(S::LANES) {
            // SAFETY: `at + LANES <= whole <= len` of both.
            unsafe {
                let slope = gelu_slope(simd, simd.load(self.x.as_ptr().add(at)));
                let gradient = simd.load(self.gradient.as_ptr().add(at));
                simd.store(self.gradient.as_mut_ptr().add(at), simd.mul(slope, gradient));
            }
        }
        let (x, rest) = (&self.x[whole..], &mut self.gradient[whole..]);
        let mut last = [0.0; LANES];
        last[..x.len()].copy_from_slice(x);
        for at in (0..x.len()).step_by(S::LANES) {
            // SAFETY: LANES of a vector divide those of `last`, and `at` is a multiple of them below its length.
            unsafe {
                let slope = gelu_slope(simd, simd.load(last.as_ptr().add(at)));
                simd.store(last.as_mut_ptr().add(at), slope);
            }
        }
        rest.iter_mut().zip(last).for_each(|(gradient, slope)| *gradient *= slope);
    }
}

/// The derivative of [`super::math::gelu`]: the share of the normal distribution below `x`, and `x` times its density.
#[inline(always)]
fn gelu_slope<S: Simd>(simd: S, x: S::F) -> S::F {
    let (zero, one, half) = (simd.splat(0.0), simd.splat(1.0), simd.splat(0.5));
    let size = simd.max(x, simd.sub(zero, x));
    // As in `gelu`.
    let scale = simd.splat(0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2);
    let t = simd.div(one, simd.fma(size, scale, one));
    let mut tail = simd.splat(1.061_405_4);
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        tail = simd.fma(tail, t, simd.splat(coefficient));
    }
    let bell = exp(simd, simd.mul(simd.mul(size, size), simd.splat(-0.5)));
    let beyond = simd.mul(simd.mul(simd.mul(tail, t), half), bell);
    let sign = simd.div(x, simd.max(size, simd.splat(f32::MIN_POSITIVE)));
    let below = simd.fma(sign, simd.sub(half, beyond), half);
    let density = simd.mul(bell, simd.splat(0.398_942_3));
    simd.fma(x, density, below)
}

// === impl SoftmaxBackward ===

impl Kernel for SoftmaxBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let rows = self.gradient.chunks_exact_mut(self.width);
        for (gradient, shares) in rows.zip(self.shares.chunks_exact(self.width)) {
            let mean = sum_of_products(gradient, shares);
            for (gradient, share) in gradient.iter_mut().zip(shares) {
                *gradient = share * (*gradient - mean);
            }
        }
    }
}

// === impl NormBackward ===

impl Kernel for NormBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let NormSlices { gamma, epsilon, .. } = self.norm;
        let (hidden, count) = (gamma.len(), gamma.len() as f32);
        let mut normed = vec![0.0; hidden];
        for (gradient, x) in self.gradient.chunks_exact_mut(hidden).zip(self.x.chunks_exact(hidden))
        {
            let mean = sum(x) / count;
            normed.iter_mut().zip(x).for_each(|(normed, x)| *normed = x - mean);
            let factor = 1.0 / (sum_of_products(&normed, &normed) / count + epsilon).sqrt();
            for (at, normed) in normed.iter_mut().enumerate() {
                *normed *= factor;
                self.gamma[at] += gradient[at] * *normed;
                self.beta[at] += gradient[at];
                gradient[at] *= gamma[at];
            }
            // What a row's mean and spread have taken is not passed on.
            let shift = sum(gradient) / count;
            let stretch = sum_of_products(gradient, &normed) / count;
            for (gradient, normed) in gradient.iter_mut().zip(&normed) {
                *gradient = factor * (*gradient - shift - normed * stretch);
            }
        }
    }
}

#[inline(always)]
fn sum(values: &[f32]) -> f32 {
    let (whole, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for values in whole {
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
    sums.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

#[inline(always)]
fn sum_of_products(a: &[f32], b: &[f32]) -> f32 {
    let ((whole_a, rest_a), (whole_b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in whole_a.iter().zip(whole_b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f32>()
}
