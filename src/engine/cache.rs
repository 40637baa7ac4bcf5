use lru::LruCache;

use super::key::PairKey;

/// The logits of the pairs that were scored or asked for last. An entry takes about 100 bytes.
pub(super) struct ScoreCache {
    /// Without a limit of its own, which would claim the memory of a full cache at the start.
    logits: LruCache<PairKey, f32>,
    pairs_max: usize,
}

// === impl ScoreCache ===

impl ScoreCache {
    /// Holds at most `pairs_max` logits; none where it is 0.
    pub(super) fn new(pairs_max: usize) -> Self {
        Self { logits: LruCache::unbounded(), pairs_max }
    }

    pub(super) fn get(&mut self, key: PairKey) -> Option<f32> {
        self.logits.get(&key).copied()
    }

    /// Remembers a finite logit, in place of the one that nobody asked for the longest. One that is not
    /// finite is not worth keeping: scored again, it may be a number.
    pub(super) fn insert(&mut self, key: PairKey, logit: f32) {
        if self.pairs_max == 0 || !logit.is_finite() {
            return;
        }
        self.logits.put(key, logit);
        if self.logits.len() > self.pairs_max {
            self.logits.pop_lru();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::key::Keyed;

    fn keys(count: u64) -> Vec<PairKey> {
        (0..count).map(|number| Keyed::numbered(number, 1).key).collect()
    }

    #[test]
    fn a_full_cache_forgets_what_nobody_asked_for() {
        let keys = keys(4);
        let mut cache = ScoreCache::new(3);
        (0..3).for_each(|i| cache.insert(keys[i], i as f32));
        assert_eq!(cache.get(keys[0]), Some(0.0));
        cache.insert(keys[3], 3.0);
        let known: Vec<_> = keys.iter().map(|&key| cache.get(key)).collect();
        assert_eq!(known, [Some(0.0), None, Some(2.0), Some(3.0)]);
        assert_eq!(cache.logits.len(), 3);
    }

    #[test]
    fn a_logit_that_is_not_finite_is_not_kept() {
        let keys = keys(2);
        let mut cache = ScoreCache::new(3);
        cache.insert(keys[0], f32::NAN);
        cache.insert(keys[1], f32::INFINITY);
        assert_eq!((cache.get(keys[0]), cache.get(keys[1])), (None, None));
    }

    #[test]
    fn a_cache_of_no_pairs_is_off() {
        let mut cache = ScoreCache::new(0);
        cache.insert(keys(1)[0], 1.0);
        assert_eq!(cache.logits.len(), 0);
    }
}
