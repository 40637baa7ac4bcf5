use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Numbers that only grow, one for each of a few words. The words are those of the code, so there is no
/// end of them only where the code has none.
#[derive(Debug, Default)]
pub struct CountBy(Mutex<BTreeMap<&'static str, u64>>);

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Level(AtomicU64);

// === impl CountBy ===

impl CountBy {
    /// Adds `more` to the number of `word`.
    pub fn add(&self, word: &'static str, more: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(word).or_default() += more;
    }

    /// The words so far and their numbers, in alphabetical order.
    pub fn get(&self) -> Vec<(&'static str, u64)> {
        let numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.iter().map(|(word, number)| (*word, *number)).collect()
    }
}

// === impl Level ===

impl Level {
    /// The number is `now` this.
    pub fn set(&self, now: usize) {
        self.0.store(now as u64, Ordering::Relaxed);
    }

    /// The number as it is now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn rise(&self, by: usize) {
        self.0.fetch_add(by as u64, Ordering::Relaxed);
    }

    pub(super) fn fall(&self, by: usize) {
        self.0.fetch_sub(by as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_its_own_number() {
        let counts = CountBy::default();
        counts.add("deadline", 2);
        counts.add("deadline", 3);
        counts.add("empty_text", 1);
        assert_eq!(counts.get(), [("deadline", 5), ("empty_text", 1)]);
    }
}
