//! Attention over a packed batch: the only place where pairs are padded, and only where a backend
//! profits from it.

use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData, module};

use crate::packed::PackedBatch;

/// Pairs of one padded length, computed together.
///
/// The padded length follows from a pair's own length alone, so that a pair meets the same arithmetic
/// whatever else is in its batch.
struct Bucket {
    /// Index of the pair in the batch.
    pairs: Vec<usize>,
    /// Padded length.
    tokens: usize,
    /// First row of the bucket in the order of [`Plan::rows`].
    start: usize,
    /// Rows of the bucket, without padding.
    rows: usize,
    padding: Option<Padding>,
}

/// How a bucket's rows are spread to `[pairs * tokens]` and back.
struct Padding {
    /// The row for each place; at padding some row of the same bucket, which the mask hides.
    spread: Tensor<1, Int>,
    /// The place of each row.
    gather: Tensor<1, Int>,
    /// True at padding, `[pairs, 1, 1, tokens]`.
    hidden: Tensor<4, Bool>,
}

/// The order in which a batch's tokens are computed: grouped by bucket, so that each bucket is a range.
pub(crate) struct Plan {
    buckets: Vec<Bucket>,
    /// For each place in the computed order, the token of the batch.
    rows: Vec<usize>,
    /// For each pair of the batch, the place of its first token in the computed order.
    firsts: Vec<usize>,
}

// === impl Plan ===

impl Plan {
    /// Groups pairs by length, rounded up to a multiple of `step`.
    pub(crate) fn new(batch: &PackedBatch, step: usize, device: &Device) -> Self {
        let lengths: Vec<usize> = batch.lengths().collect();
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&pair| lengths[pair].next_multiple_of(step));
        let mut plan = Self {
            buckets: Vec::new(),
            rows: Vec::with_capacity(batch.tokens()),
            firsts: vec![0; lengths.len()],
        };
        for pairs in order.chunk_by(|&a, &b| {
            lengths[a].next_multiple_of(step) == lengths[b].next_multiple_of(step)
        }) {
            let start = plan.rows.len();
            for &pair in pairs {
                let first = batch.offsets()[pair] as usize;
                plan.firsts[pair] = plan.rows.len();
                plan.rows.extend(first..first + lengths[pair]);
            }
            let own: Vec<usize> = pairs.iter().map(|&pair| lengths[pair]).collect();
            let tokens = own[0].next_multiple_of(step);
            plan.buckets.push(Bucket {
                pairs: pairs.to_vec(),
                tokens,
                start,
                rows: plan.rows.len() - start,
                padding: Padding::new(&own, tokens, device),
            });
        }
        plan
    }

    /// For each place in the computed order, the token of the batch, `[tokens]`.
    pub(crate) fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// For each pair of the batch, the place of its first token in the computed order, `[pairs]`.
    pub(crate) fn firsts(&self) -> &[usize] {
        &self.firsts
    }

    /// Each token attends to the tokens of its own pair.
    ///
    /// `qkv` is `[tokens, 3 * hidden]` in computed order; so is the result, `[tokens, hidden]`.
    pub(crate) fn attend(&self, qkv: Tensor<2>, heads: usize) -> Tensor<2> {
        let mut contexts: Vec<Tensor<2>> = self
            .buckets
            .iter()
            .map(|bucket| {
                let rows = bucket.start..bucket.start + bucket.rows;
                bucket.attend(qkv.clone().slice_dim(0, rows), heads)
            })
            .collect();
        match contexts.len() {
            1 => contexts.remove(0),
            _ => Tensor::cat(contexts, 0),
        }
    }
}

// === impl Bucket ===

impl Bucket {
    /// `qkv` is `[rows, 3 * hidden]`, the result `[rows, hidden]`.
    fn attend(&self, qkv: Tensor<2>, heads: usize) -> Tensor<2> {
        let (pairs, tokens) = (self.pairs.len(), self.tokens);
        let hidden = qkv.dims()[1] / 3;
        let qkv = match &self.padding {
            Some(padding) => qkv.select(0, padding.spread.clone()),
            None => qkv,
        };
        // [pairs * tokens, 3 * hidden] → three times [pairs, heads, tokens, hidden / heads]
        let [query, key, value] = [0, 1, 2].map(|part| {
            qkv.clone()
                .slice_dim(1, part * hidden..(part + 1) * hidden)
                .reshape([pairs, tokens, heads, hidden / heads])
                .swap_dims(1, 2)
        });
        let mask = self
            .padding
            .as_ref()
            .map(|padding| padding.hidden.clone().expand([pairs, heads, tokens, tokens]));
        let options = AttentionModuleOptions { scale: None, softcap: None, is_causal: false };
        let context = module::attention(query, key, value, mask, None, options)
            .swap_dims(1, 2)
            .reshape([pairs * tokens, hidden]);
        match &self.padding {
            Some(padding) => context.select(0, padding.gather.clone()),
            None => context,
        }
    }
}

// === impl Padding ===

impl Padding {
    /// For pairs of the given lengths, padded to `tokens`; `None` where all are that long already.
    fn new(lengths: &[usize], tokens: usize, device: &Device) -> Option<Self> {
        if lengths.iter().all(|&length| length == tokens) {
            return None;
        }
        let (mut spread, mut gather, mut hidden) = (Vec::new(), Vec::new(), Vec::new());
        let mut row = 0;
        for (pair, &length) in lengths.iter().enumerate() {
            for token in 0..tokens {
                // A row of the pair itself: whatever is behind the mask, it is finite or the pair's own.
                spread.push(row + token.min(length - 1));
                hidden.push(token >= length);
            }
            gather.extend((0..length).map(|token| pair * tokens + token));
            row += length;
        }
        let mask = TensorData::new(hidden, [lengths.len(), 1, 1, tokens]);
        Some(Self {
            spread: indices(&spread, device),
            gather: indices(&gather, device),
            hidden: Tensor::from_data(mask, device),
        })
    }
}

/// Row numbers as a tensor, `[rows]`.
pub(crate) fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows
        .iter()
        .map(|&row| i32::try_from(row).expect("a batch is far below 2 Gi rows"))
        .collect();
    let count = rows.len();
    Tensor::from_data(TensorData::new(rows, [count]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lengths: &[usize]) -> PackedBatch {
        let mut batch = PackedBatch::with_capacity(lengths.iter().sum());
        for &length in lengths {
            batch.push(&vec![1; length], &vec![0; length]);
        }
        batch
    }

    fn shapes(plan: &Plan) -> Vec<(Vec<usize>, usize, bool)> {
        let shape = |b: &Bucket| (b.pairs.clone(), b.tokens, b.padding.is_some());
        plan.buckets.iter().map(shape).collect()
    }

    #[cfg(feature = "flex")]
    #[test]
    fn pairs_of_equal_length_share_a_bucket_without_padding() {
        let plan = Plan::new(&batch(&[3, 1, 3, 2]), 1, &Device::flex());
        assert_eq!(
            shapes(&plan),
            [(vec![1], 1, false), (vec![3], 2, false), (vec![0, 2], 3, false)]
        );
        assert_eq!(plan.rows(), [3, 7, 8, 0, 1, 2, 4, 5, 6]);
        assert_eq!(plan.firsts(), [3, 0, 6, 1]);
    }

    #[cfg(feature = "flex")]
    #[test]
    fn the_padded_length_follows_from_the_pairs_own_length() {
        let plan = Plan::new(&batch(&[3, 4, 5, 9, 1]), 4, &Device::flex());
        assert_eq!(
            shapes(&plan),
            [(vec![0, 1, 4], 4, true), (vec![2], 8, true), (vec![3], 12, true)]
        );
        let padding = plan.buckets[0].padding.as_ref().unwrap();
        let list = |t: &Tensor<1, Int>| t.to_data().try_to_vec_as::<i32>().unwrap();
        assert_eq!(list(&padding.spread), [0, 1, 2, 2, 3, 4, 5, 6, 7, 7, 7, 7]);
        assert_eq!(list(&padding.gather), [0, 1, 2, 4, 5, 6, 7, 8]);
    }
}
