use std::collections::{BTreeMap, VecDeque};

use crossrank_model::Pair;

/// How many batches' worth of tokens are looked over for pairs of like length. More finds closer
/// lengths; less keeps sets in their order of arrival.
const WINDOW_BATCHES: usize = 8;

/// A tokenised pair, and whose it is.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The set it belongs to.
    pub(super) set: u64,
    /// Its place in that set.
    pub(super) index: usize,
    /// The pair itself.
    pub(super) pair: Pair,
}

/// Cuts batches from the pairs of all waiting sets. Pure: knows neither threads nor time.
///
/// Every batch starts from the pair that has waited longest and is filled with the pairs nearest
/// to it in length, out of a window of the oldest sets. Near lengths are what attention wants, the
/// window is what keeps a set from being overtaken by all that came after it.
#[derive(Debug)]
pub(super) struct BatchPacker {
    tokens_max: usize,
    /// Sets behind the window, oldest first.
    behind: VecDeque<Vec<Waiting>>,
    /// Pairs in the window by length, then age.
    by_length: BTreeMap<(usize, u64), Waiting>,
    /// Length of each pair in the window, by age.
    by_age: BTreeMap<u64, usize>,
    window_tokens: usize,
    tokens: usize,
    next_age: u64,
}

// === impl BatchPacker ===

impl BatchPacker {
    /// Cuts batches of at most `tokens_max` tokens; a single longer pair is a batch of its own.
    pub(super) fn new(tokens_max: usize) -> Self {
        Self {
            tokens_max,
            behind: VecDeque::new(),
            by_length: BTreeMap::new(),
            by_age: BTreeMap::new(),
            window_tokens: 0,
            tokens: 0,
            next_age: 0,
        }
    }

    /// Adds the pairs of one set.
    pub(super) fn push(&mut self, pairs: Vec<Waiting>) {
        self.tokens += pairs.iter().map(|w| w.pair.ids.len()).sum::<usize>();
        self.behind.push_back(pairs);
        self.fill_window();
    }

    /// Tokens that wait.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Takes the next batch, or `None` if nothing waits.
    pub(super) fn cut(&mut self) -> Option<Vec<Waiting>> {
        let (&age, &length) = self.by_age.first_key_value()?;
        let anchor = (length, age);
        let mut batch = vec![self.take(anchor)];
        let mut room = self.tokens_max.saturating_sub(length);
        while let Some(next) = self.nearest(length, room) {
            room -= next.0;
            batch.push(self.take(next));
        }
        self.fill_window();
        Some(batch)
    }

    /// Drops every pair of `set`.
    pub(super) fn remove(&mut self, set: u64) {
        let keys: Vec<_> =
            self.by_length.iter().filter(|(_, w)| w.set == set).map(|(&key, _)| key).collect();
        for key in keys {
            self.take(key);
        }
        self.behind.retain(|pairs| {
            let goes = pairs.first().is_some_and(|w| w.set == set);
            if goes {
                self.tokens -= pairs.iter().map(|w| w.pair.ids.len()).sum::<usize>();
            }
            !goes
        });
        self.fill_window();
    }

    /// The pair in the window whose length is nearest to `length` and at most `room`; the longer,
    /// then the older, of two.
    fn nearest(&self, length: usize, room: usize) -> Option<(usize, u64)> {
        let first_at = |length| self.by_length.range((length, 0)..).next().map(|(&key, _)| key);
        let above = first_at(length).filter(|key| key.0 <= room);
        let below = self.by_length.range(..(length.min(room + 1), 0)).next_back();
        let below = below.and_then(|(key, _)| first_at(key.0));
        match (above, below) {
            (Some(a), Some(b)) => Some(if a.0 - length <= length - b.0 { a } else { b }),
            (a, b) => a.or(b),
        }
    }

    fn take(&mut self, key: (usize, u64)) -> Waiting {
        let waiting = self.by_length.remove(&key).expect("both maps hold the same pairs");
        self.by_age.remove(&key.1);
        self.window_tokens -= key.0;
        self.tokens -= key.0;
        waiting
    }

    fn fill_window(&mut self) {
        while self.window_tokens < self.tokens_max * WINDOW_BATCHES {
            let Some(pairs) = self.behind.pop_front() else { return };
            for waiting in pairs {
                let length = waiting.pair.ids.len();
                self.window_tokens += length;
                self.by_age.insert(self.next_age, length);
                self.by_length.insert((length, self.next_age), waiting);
                self.next_age += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn set(id: u64, lengths: &[usize]) -> Vec<Waiting> {
        let pair = |&n: &usize| Pair { ids: vec![1; n], types: vec![0; n], truncated: false };
        let pairs = lengths.iter().map(pair).enumerate();
        pairs.map(|(index, pair)| Waiting { set: id, index, pair }).collect()
    }

    fn tokens(batch: &[Waiting]) -> usize {
        batch.iter().map(|w| w.pair.ids.len()).sum()
    }

    #[test]
    fn a_batch_holds_pairs_of_like_length() {
        let mut packer = BatchPacker::new(40);
        packer.push(set(0, &[10, 30, 11, 29, 9]));
        let lengths: Vec<_> = packer.cut().unwrap().iter().map(|w| w.pair.ids.len()).collect();
        assert_eq!(lengths, [10, 11, 9]);
    }

    #[test]
    fn a_pair_that_does_not_fit_does_not_end_the_batch() {
        let mut packer = BatchPacker::new(40);
        packer.push(set(0, &[20, 21, 5, 15]));
        let lengths: Vec<_> = packer.cut().unwrap().iter().map(|w| w.pair.ids.len()).collect();
        assert_eq!(lengths, [20, 15, 5]);
    }

    #[test]
    fn a_pair_longer_than_a_batch_is_a_batch_of_its_own() {
        let mut packer = BatchPacker::new(16);
        packer.push(set(0, &[100, 5]));
        assert_eq!(packer.cut().unwrap().len(), 1);
        assert_eq!(packer.cut().unwrap().len(), 1);
        assert!(packer.cut().is_none());
    }

    #[test]
    fn an_old_set_is_not_overtaken_by_a_backlog_of_better_fitting_ones() {
        let mut packer = BatchPacker::new(64);
        packer.push(set(0, &[64; 10]));
        (1..100).for_each(|id| packer.push(set(id, &[8; 8])));
        let order: Vec<_> = std::iter::from_fn(|| packer.cut()).map(|b| b[0].set).collect();
        assert_eq!(order[..10], [0; 10]);
    }

    #[test]
    fn a_removed_set_leaves_nothing_behind() {
        let mut packer = BatchPacker::new(8);
        packer.push(set(0, &[8; 20]));
        packer.push(set(1, &[8; 20]));
        packer.remove(0);
        packer.remove(1);
        assert_eq!(packer.tokens(), 0);
        assert!(packer.cut().is_none());
    }

    proptest! {
        #[test]
        fn every_pair_leaves_exactly_once_within_the_limit(
            sets in prop::collection::vec(prop::collection::vec(1usize..80, 1..20), 0..30),
            tokens_max in 1usize..128,
        ) {
            let mut packer = BatchPacker::new(tokens_max);
            let mut expected = HashSet::new();
            for (id, lengths) in sets.iter().enumerate() {
                expected.extend((0..lengths.len()).map(|index| (id as u64, index)));
                packer.push(set(id as u64, lengths));
            }
            let mut seen = HashSet::new();
            while let Some(batch) = packer.cut() {
                prop_assert!(tokens(&batch) <= tokens_max || batch.len() == 1);
                for w in &batch {
                    prop_assert!(seen.insert((w.set, w.index)));
                }
            }
            prop_assert_eq!(seen, expected);
            prop_assert_eq!(packer.tokens(), 0);
        }
    }
}
