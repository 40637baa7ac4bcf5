//! How a batch's tokens stand in memory while they are computed.

use std::sync::Arc;

use burn::backend::Dispatch;
use burn::tensor::{Bool, Device as BurnDevice, Int, Tensor, TensorData};

use crate::device::Device;
use crate::kernels::cpu::Isa;
use crate::kernels::{Bucket, PairLayout, TokenRows};
use crate::packed::PackedBatch;

/// A batch, in the order in which it is computed.
pub(crate) struct Layout {
    /// Which row of each embedding table each token takes.
    pub(crate) tokens: TokenRows<Dispatch>,
    /// Where each pair stands.
    pub(crate) pairs: PairLayout<Dispatch>,
    /// For each computed pair, its place in the batch.
    order: Vec<usize>,
}

// === impl Layout ===

impl Layout {
    /// Lays `batch` out for `device`.
    pub(crate) fn new(batch: &PackedBatch, device: &Device) -> Self {
        match device.kernels() {
            Some(isa) => Self::packed(batch, isa),
            None => Self::in_buckets(batch, device.attention_step(), device.burn()),
        }
    }

    /// As it is: the kernels take pairs of any length, one after the other.
    fn packed(batch: &PackedBatch, isa: Isa) -> Self {
        let positions: Vec<u32> = batch.lengths().flat_map(|length| 0..length as u32).collect();
        let types: Vec<u32> = batch.types().iter().map(|&kind| u32::from(kind)).collect();
        Self {
            tokens: TokenRows::Packed {
                isa,
                words: batch.ids().into(),
                types: types.into(),
                positions: positions.into(),
            },
            pairs: PairLayout::Packed(isa, batch.offsets().into()),
            order: (0..batch.pairs()).collect(),
        }
    }

    /// Grouped by length, rounded up to a multiple of `step`, so that each group is one computation.
    ///
    /// The padded length follows from a pair's own length alone, so that a pair meets the same arithmetic
    /// whatever else is in its batch.
    pub(crate) fn in_buckets(batch: &PackedBatch, step: usize, device: &BurnDevice) -> Self {
        let lengths: Vec<usize> = batch.lengths().collect();
        let padded = |pair: usize| lengths[pair].next_multiple_of(step);
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&pair| padded(pair));
        let bucket = |pairs: &[usize]| Bucket { pairs: pairs.len(), tokens: padded(pairs[0]) };
        let buckets: Arc<[Bucket]> =
            order.chunk_by(|&a, &b| padded(a) == padded(b)).map(bucket).collect();

        let (mut rows, mut positions, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
        for &pair in &order {
            firsts.push(rows.len());
            let first = batch.offsets()[pair] as usize;
            rows.extend(first..first + lengths[pair]);
            positions.extend(0..lengths[pair]);
        }
        let words: Vec<usize> = rows.iter().map(|&row| batch.ids()[row] as usize).collect();
        let types: Vec<usize> = rows.iter().map(|&row| usize::from(batch.types()[row])).collect();
        let firsts = indices(&firsts, device);
        let pairs = if order.iter().all(|&pair| lengths[pair] == padded(pair)) {
            PairLayout::Even { buckets, firsts }
        } else {
            let real = order.iter().map(|&pair| (lengths[pair], padded(pair)));
            let (spread, gather, hidden) = padding(real);
            PairLayout::Padded {
                buckets,
                firsts,
                spread: indices(&spread, device),
                gather: indices(&gather, device),
                hidden: mask(hidden, device),
            }
        };
        let tokens = TokenRows::Plain {
            words: indices(&words, device),
            types: indices(&types, device),
            positions: indices(&positions, device),
        };
        Self { tokens, pairs, order }
    }

    /// For each pair of the batch, its place among the computed ones.
    #[cfg(feature = "train")]
    pub(crate) fn places(&self) -> Vec<usize> {
        let mut places = vec![0; self.order.len()];
        for (place, &pair) in self.order.iter().enumerate() {
            places[pair] = place;
        }
        places
    }

    /// Puts what was computed for each pair into the order of the batch.
    pub(crate) fn in_batch_order(&self, computed: &[f32]) -> Vec<f32> {
        let mut values = vec![0.0; computed.len()];
        for (&pair, &value) in self.order.iter().zip(computed) {
            values[pair] = value;
        }
        values
    }
}

/// For pairs of `(length, padded length)`, one after the other: the row of each place, the place of each row, and
/// whether a place is padding. At padding the row is one of the pair itself: whatever is behind the mask, it is
/// finite or the pair's own.
fn padding(pairs: impl Iterator<Item = (usize, usize)>) -> (Vec<usize>, Vec<usize>, Vec<bool>) {
    let (mut spread, mut gather, mut hidden) = (Vec::new(), Vec::new(), Vec::new());
    let mut row = 0;
    for (length, padded) in pairs {
        gather.extend((0..length).map(|token| spread.len() + token));
        for token in 0..padded {
            spread.push(row + token.min(length - 1));
            hidden.push(token >= length);
        }
        row += length;
    }
    (spread, gather, hidden)
}

fn indices(values: &[usize], device: &BurnDevice) -> burn::backend::tensor::IntTensor<Dispatch> {
    // Every index is below 2^31: a row of a table or a token of a batch.
    let values: Vec<i32> = values.iter().map(|&value| value as i32).collect();
    let count = values.len();
    Tensor::<1, Int>::from_data(TensorData::new(values, [count]), device).into_dispatch()
}

fn mask(values: Vec<bool>, device: &BurnDevice) -> burn::backend::tensor::BoolTensor<Dispatch> {
    let count = values.len();
    Tensor::<1, Bool>::from_data(TensorData::new(values, [count]), device).into_dispatch()
}
