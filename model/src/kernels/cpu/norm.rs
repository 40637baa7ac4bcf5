//! Layer normalisation, after a sum.

use super::simd::{Kernel, Simd};
use super::weights::Int8Table;

/// What a layer normalisation multiplies with and adds, `[hidden]` each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NormSlices<'a> {
    pub(crate) gamma: &'a [f32],
    pub(crate) beta: &'a [f32],
    pub(crate) epsilon: f32,
}

/// Word embeddings, `[vocabulary, hidden]`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Words<'a> {
    Float(&'a [f32]),
    Int8(&'a Int8Table),
}

/// `x` becomes the normalised `x + added`.
pub(super) struct AddNorm<'a> {
    /// `[rows, hidden]`.
    pub(super) x: &'a mut [f32],
    /// `[rows, hidden]`, `stride` apart.
    pub(super) added: &'a [f32],
    pub(super) stride: usize,
    pub(super) norm: NormSlices<'a>,
}

/// `x` becomes `x + added`.
pub(super) struct Add<'a> {
    /// `[rows, hidden]`.
    pub(super) x: &'a mut [f32],
    pub(super) hidden: usize,
    /// `[rows, hidden]`, `stride` apart.
    pub(super) added: &'a [f32],
    pub(super) stride: usize,
}

/// Each row of `x` is normalised.
pub(super) struct NormRows<'a> {
    /// `[rows, hidden]`.
    pub(super) x: &'a mut [f32],
    pub(super) norm: NormSlices<'a>,
}

/// Each row of `x` becomes the normalised sum of a row of each table.
pub(super) struct EmbedNorm<'a> {
    /// `[tokens, hidden]`.
    pub(super) x: &'a mut [f32],
    /// And, for each token, the row.
    pub(super) words: (Words<'a>, &'a [u32]),
    /// `[rows, hidden]` and, for each token, the row.
    pub(super) others: &'a [(&'a [f32], &'a [u32])],
    pub(super) norm: NormSlices<'a>,
}

// === impl AddNorm ===

impl Kernel for AddNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let hidden = self.norm.gamma.len();
        let rows = self.x.len() / hidden;
        assert!(rows > 0 && self.x.len() == rows * hidden && self.stride >= hidden);
        assert!(self.added.len() >= (rows - 1) * self.stride + hidden);
        for (x, added) in self.x.chunks_exact_mut(hidden).zip(self.added.chunks(self.stride)) {
            add(simd, x, added);
            normalize(simd, x, self.norm);
        }
    }
}

// === impl Add ===

impl Kernel for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let rows = self.x.len() / self.hidden;
        assert!(rows > 0 && self.x.len() == rows * self.hidden && self.stride >= self.hidden);
        assert!(self.added.len() >= (rows - 1) * self.stride + self.hidden);
        for (x, added) in self.x.chunks_exact_mut(self.hidden).zip(self.added.chunks(self.stride)) {
            add(simd, x, added);
        }
    }
}

// === impl NormRows ===

impl Kernel for NormRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for x in self.x.chunks_exact_mut(self.norm.gamma.len()) {
            normalize(simd, x, self.norm);
        }
    }
}

// === impl EmbedNorm ===

impl Kernel for EmbedNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let hidden = self.norm.gamma.len();
        let (words, word) = self.words;
        for (token, x) in self.x.chunks_exact_mut(hidden).enumerate() {
            look_up(words, word[token] as usize, x);
            for (table, rows) in self.others {
                add(simd, x, &table[rows[token] as usize * hidden..][..hidden]);
            }
            normalize(simd, x, self.norm);
        }
    }
}

/// `x` becomes a row of the table, whose width it has.
#[inline(always)]
fn look_up(words: Words<'_>, row: usize, x: &mut [f32]) {
    let place = row * x.len()..(row + 1) * x.len();
    match words {
        Words::Float(rows) => x.copy_from_slice(&rows[place]),
        Words::Int8(Int8Table { rows, steps }) => {
            let step = steps[row];
            for (x, &unit) in x.iter_mut().zip(&rows[place]) {
                *x = f32::from(unit) * step;
            }
        }
    }
}

/// `x += added`; `added` may be longer.
#[inline(always)]
fn add<S: Simd>(simd: S, x: &mut [f32], added: &[f32]) {
    let added = &added[..x.len()];
    let whole = x.len() / S::LANES * S::LANES;
    for at in (0..whole).step_by(S::LANES) {
        // SAFETY: `at + LANES <= whole <= len` of both.
        unsafe {
            let sum = simd.add(simd.load(x.as_ptr().add(at)), simd.load(added.as_ptr().add(at)));
            simd.store(x.as_mut_ptr().add(at), sum);
        }
    }
    for at in whole..x.len() {
        x[at] += added[at];
    }
}

/// Mean 0 and variance 1, times gamma, plus beta. The variance is that of the differences from the mean: the
/// difference of squares would lose all its digits where the mean is large.
#[inline(always)]
fn normalize<S: Simd>(simd: S, x: &mut [f32], norm: NormSlices<'_>) {
    let (gamma, beta) = (&norm.gamma[..x.len()], &norm.beta[..x.len()]);
    let whole = x.len() / S::LANES * S::LANES;
    let count = x.len() as f32;
    let mut sum = simd.splat(0.0);
    for at in (0..whole).step_by(S::LANES) {
        // SAFETY: `at + LANES <= whole <= len`.
        sum = simd.add(sum, unsafe { simd.load(x.as_ptr().add(at)) });
    }
    let mean = x[whole..].iter().fold(simd.sum(sum), |sum, x| sum + x) / count;
    let means = simd.splat(mean);
    let mut squares = simd.splat(0.0);
    for at in (0..whole).step_by(S::LANES) {
        // SAFETY: as above.
        let difference = simd.sub(unsafe { simd.load(x.as_ptr().add(at)) }, means);
        squares = simd.fma(difference, difference, squares);
    }
    let squares = x[whole..].iter().fold(simd.sum(squares), |sum, x| sum + (x - mean) * (x - mean));
    let factor = 1.0 / (squares / count + norm.epsilon).sqrt();
    let factors = simd.splat(factor);
    for at in (0..whole).step_by(S::LANES) {
        // SAFETY: as above, for all three.
        unsafe {
            let difference = simd.sub(simd.load(x.as_ptr().add(at)), means);
            let scaled = simd.mul(difference, factors);
            let (gamma, beta) = (gamma.as_ptr().add(at), beta.as_ptr().add(at));
            let value = simd.fma(scaled, simd.load(gamma), simd.load(beta));
            simd.store(x.as_mut_ptr().add(at), value);
        }
    }
    for at in whole..x.len() {
        x[at] = (x[at] - mean) * factor * gamma[at] + beta[at];
    }
}
