//! How well a model puts lists into order.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::Context as _;
use crossrank_model::{
    Backend, CrossEncoder, Device, PackedBatch, PairTokenizer, Precision, TokenLimits,
};

use crate::list::List;

/// Pairs that are scored at a time.
const BATCH_PAIRS: usize = 32;

/// Scores pairs with the kernels, on all cores.
pub(crate) struct Ranker {
    encoder: CrossEncoder,
    tokenizer: PairTokenizer,
    threads: usize,
}

/// Texts cut to what is trained with.
pub(crate) const fn limits(tokens_max: usize) -> TokenLimits {
    TokenLimits { tokens_max, query_tokens_max: if tokens_max < 128 { tokens_max / 2 } else { 64 } }
}

// === impl Ranker ===

impl Ranker {
    /// The model of a directory, in float32.
    pub(crate) fn load(dir: &Path, tokens_max: usize, threads: usize) -> anyhow::Result<Self> {
        Self::load_in(dir, tokens_max, threads, Precision::F32)
    }

    fn load_in(
        dir: &Path,
        tokens_max: usize,
        threads: usize,
        precision: Precision,
    ) -> anyhow::Result<Self> {
        let device = Device::open(Backend::Flex)?;
        let encoder = CrossEncoder::load(dir, &device, precision)?;
        let tokenizer = PairTokenizer::load(dir, limits(tokens_max.min(encoder.tokens_max())))?;
        Ok(Self { encoder, tokenizer, threads: threads.max(1) })
    }

    /// As [`Ranker::load`], on all cores, also of int8 weights.
    pub(crate) fn load_any(dir: &Path, tokens_max: usize) -> anyhow::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let floats = Self::load_in(dir, tokens_max, threads, Precision::F32);
        floats.or_else(|_| Self::load_in(dir, tokens_max, threads, Precision::Int8))
    }

    /// The logits of a list's passages.
    pub(crate) fn logits(&self, query: &str, passages: &[&str]) -> anyhow::Result<Vec<f32>> {
        let query = self.tokenizer.query(query)?;
        let mut logits = Vec::with_capacity(passages.len());
        for passages in passages.chunks(BATCH_PAIRS) {
            let mut batch = PackedBatch::with_capacity(0);
            for passage in passages {
                let pair = self.tokenizer.pair(&query, passage)?;
                batch.push(&pair.ids, &pair.types);
            }
            logits.extend(self.encoder.score(&batch)?);
        }
        Ok(logits)
    }

    /// The mean nDCG@10 of judged lists.
    pub(crate) fn ndcg(&self, lists: &[List]) -> anyhow::Result<f64> {
        let values = self.each(lists, |list| {
            let passages: Vec<&str> = list.candidates.iter().map(|own| own.text.as_str()).collect();
            let logits = self.logits(&list.query, &passages)?;
            Ok(ndcg_10(list, &logits))
        })?;
        Ok(values.iter().sum::<f64>() / values.len().max(1) as f64)
    }

    /// The share of lists of which the first passage gets the largest logit.
    pub(crate) fn first_is_best(&self, lists: &[List]) -> anyhow::Result<f64> {
        let right = self.each(lists, |list| {
            let passages: Vec<&str> = list.candidates.iter().map(|own| own.text.as_str()).collect();
            let logits = self.logits(&list.query, &passages)?;
            Ok(logits[1..].iter().all(|other| *other < logits[0]))
        })?;
        let count = right.iter().filter(|right| **right).count();
        Ok(count as f64 / right.len().max(1) as f64)
    }

    /// Works on lists on all threads; what comes out is in their order.
    pub(crate) fn each<T: Send, U: Sync>(
        &self,
        items: &[U],
        work: impl Fn(&U) -> anyhow::Result<T> + Sync,
    ) -> anyhow::Result<Vec<T>> {
        each(self.threads, items, work)
    }
}

/// Works on items on so many threads; what comes out is in their order.
pub(crate) fn each<T: Send, U: Sync>(
    threads: usize,
    items: &[U],
    work: impl Fn(&U) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let threads = NonZeroUsize::new(threads).map_or(1, NonZeroUsize::get);
    // In turns, since neighbours may be of one kind and size.
    let parts = std::thread::scope(|scope| {
        let work = &work;
        let run = |own: usize| {
            let mine = items.iter().skip(own).step_by(threads);
            scope.spawn(move || mine.map(work).collect::<anyhow::Result<Vec<T>>>())
        };
        let running: Vec<_> = (0..threads).map(run).collect();
        let joined = running.into_iter().map(|thread| {
            thread.join().map_err(|_| anyhow::anyhow!("a thread panicked")).flatten()
        });
        joined.collect::<anyhow::Result<Vec<_>>>()
    });
    let mut parts: Vec<_> =
        parts.context("a list was not worked on")?.into_iter().map(Vec::into_iter).collect();
    Ok((0..items.len()).filter_map(|place| parts[place % threads].next()).collect())
}

/// nDCG@10 (Järvelin and Kekäläinen, 2002) of the order that the logits give: gains are labels, those of passages that
/// nobody judged 0.
pub(crate) fn ndcg_10(list: &List, logits: &[f32]) -> f64 {
    let label = |place: usize| f64::from(list.candidates[place].label.unwrap_or(0.0).max(0.0));
    let discounted = |order: &[usize]| {
        let gains = order.iter().take(10).zip(2..);
        gains.map(|(&place, rank)| label(place) / f64::from(rank).log2()).sum::<f64>()
    };
    let mut order: Vec<usize> = (0..list.candidates.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    let found = discounted(&order);
    order.sort_by(|&a, &b| label(b).total_cmp(&label(a)));
    let best = discounted(&order);
    if best > 0.0 { found / best } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::Candidate;

    #[test]
    fn ndcg_is_1_for_the_best_order_and_discounts_by_rank() {
        let candidate =
            |label| Candidate { text: String::new(), label: Some(label), teacher: None };
        let list = List {
            query: String::new(),
            candidates: [0.0, 1.0, 0.0].map(candidate).into(),
            weight: 1.0,
        };
        assert_eq!(ndcg_10(&list, &[0.0, 2.0, 1.0]), 1.0);
        assert!((ndcg_10(&list, &[3.0, 2.0, 1.0]) - 1.0 / 3.0_f64.log2()).abs() < 1e-12);
    }

    #[test]
    fn what_threads_worked_on_comes_back_in_order() {
        let items: Vec<usize> = (0..11).collect();
        for threads in [1, 2, 3, 16] {
            assert_eq!(each(threads, &items, |item| Ok(item * 2)).unwrap()[10], 20, "{threads}");
        }
    }
}
