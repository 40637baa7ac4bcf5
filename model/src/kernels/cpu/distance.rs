//! What tells a token how far away another one is, where the embeddings do not.

use std::ops::Range;

use super::simd::{Kernel, Simd};

/// What attention knows of the distance between two tokens.
#[derive(Debug, PartialEq)]
pub(crate) enum Distance {
    /// Nothing: positions are a part of the embeddings.
    Unseen,
    /// Queries and keys are turned, further with each token.
    Rotary(Rotary),
    /// Scores get something added.
    Bias(DistanceBias),
    /// Queries meet the keys of distances, and keys their queries.
    Disentangled(Disentangled),
}

/// Rotary embeddings (Su et al., RoFormer, 2021): number `i` of a head and number `i + half` are turned together.
#[derive(Debug, PartialEq)]
pub(crate) struct Rotary {
    /// Half the numbers of a head.
    pub(crate) half: usize,
    /// `[positions, half]` each.
    pub(crate) cos: Vec<f32>,
    pub(crate) sin: Vec<f32>,
}

/// A number for each head and distance.
#[derive(Debug, PartialEq)]
pub(crate) struct DistanceBias {
    /// Tokens of the longest pair.
    pub(crate) positions: usize,
    /// `[heads, 2 * positions - 1]`; a key at the query's own place is in the middle, later ones are behind it.
    pub(crate) values: Vec<f32>,
}

/// Content that meets position (He et al., DeBERTa, 2021): to the score of a query and a key, that of the query and the
/// key of their distance is added, and that of the key and the query of their distance.
#[derive(Debug, PartialEq)]
pub(crate) struct Disentangled {
    /// Tokens of the longest pair.
    pub(crate) positions: usize,
    /// The row of each distance, `[2 * positions - 1]`: falling, from that of the first key and the last query on.
    pub(crate) rows: Vec<u32>,
    /// `[rows, hidden]`.
    pub(crate) keys: Vec<f32>,
    /// `[rows, hidden]`.
    pub(crate) queries: Vec<f32>,
}

/// Turns the queries and keys of one pair.
pub(super) struct Turn<'a> {
    pub(super) rotary: &'a Rotary,
    /// Token after token, `stride` apart.
    pub(super) rows: &'a mut [f32],
    pub(super) stride: usize,
    /// What of a row is turned: its first heads.
    pub(super) heads: usize,
}

// === impl Distance ===

impl Distance {
    pub(super) fn rotary(&self) -> Option<&Rotary> {
        match self {
            Self::Rotary(rotary) => Some(rotary),
            Self::Unseen | Self::Bias(_) | Self::Disentangled(_) => None,
        }
    }

    pub(super) fn bias(&self) -> Option<&DistanceBias> {
        match self {
            Self::Bias(bias) => Some(bias),
            Self::Unseen | Self::Rotary(_) | Self::Disentangled(_) => None,
        }
    }

    pub(super) fn disentangled(&self) -> Option<&Disentangled> {
        match self {
            Self::Disentangled(disentangled) => Some(disentangled),
            Self::Unseen | Self::Rotary(_) | Self::Bias(_) => None,
        }
    }
}

// === impl Rotary ===

impl Rotary {
    /// For heads of `2 * half` numbers: `theta` is how much slower the last number turns than the first, nearly.
    pub(crate) fn new(theta: f64, half: usize, positions: usize) -> Self {
        // The frequencies in float32, as those that the weights were trained with.
        let frequency = |i: usize| 1.0 / (theta as f32).powf(2.0 * i as f32 / (2 * half) as f32);
        let frequencies: Vec<f32> = (0..half).map(frequency).collect();
        let angles = (0..positions)
            .flat_map(|position| frequencies.iter().map(move |f| position as f32 * f));
        let (cos, sin) = angles.map(|angle| (angle.cos(), angle.sin())).unzip();
        Self { half, cos, sin }
    }
}

// === impl DistanceBias ===

impl DistanceBias {
    /// Adds to the scores of `query` for the keys from `first` on.
    #[inline(always)]
    pub(super) fn add(&self, head: usize, query: usize, first: usize, scores: &mut [f32]) {
        let width = 2 * self.positions - 1;
        let start = head * width + self.positions - 1 + first - query;
        let own = &self.values[start..start + scores.len()];
        for (score, bias) in scores.iter_mut().zip(own) {
            *score += bias;
        }
    }
}

// === impl Disentangled ===

impl Disentangled {
    /// The rows of `query` and its keys, from the first key on, `[tokens]`.
    #[inline(always)]
    pub(super) fn of(&self, query: usize, tokens: usize) -> &[u32] {
        &self.rows[self.positions - 1 - query..][..tokens]
    }

    /// The rows that a pair of `tokens` has distances for.
    pub(super) fn seen(&self, tokens: usize) -> Range<usize> {
        let [last, first] = [self.positions + tokens - 2, self.positions - tokens]
            .map(|distance| self.rows[distance] as usize);
        last..first + 1
    }
}

// === impl Turn ===

impl Kernel for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Rotary { half, cos, sin } = self.rotary;
        let angles = cos.chunks_exact(*half).zip(sin.chunks_exact(*half));
        for (row, (cos, sin)) in self.rows.chunks_mut(self.stride).zip(angles) {
            for head in row[..self.heads * 2 * half].chunks_exact_mut(2 * half) {
                let (first, second) = head.split_at_mut(*half);
                for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
                    (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                }
            }
        }
    }
}
