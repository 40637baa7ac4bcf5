use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a refusal is remembered: a topic whose limit was raised is tried again soon, and one refusal a minute
/// costs nothing that shows.
const REMEMBER: Duration = Duration::from_secs(60);

/// The sizes that topics have refused of late.
///
/// A broker that refuses one record of a transaction ends all of it, and librdkafka then takes up to half a second
/// for a new epoch of its producer. So a topic is not asked again and again: a record that is no smaller than one
/// which was too large is refused without it. Brokers count bytes as they are sent, compressed together with others;
/// here they are counted as they are written.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals {
    topics: Arc<Mutex<HashMap<String, Refusal>>>,
}

#[derive(Clone, Copy, Debug)]
struct Refusal {
    bytes: usize,
    at: Instant,
}

// === impl Refusals ===

impl Refusals {
    /// The topic said that a record of so many bytes is too large.
    pub(super) fn note(&self, topic: &str, bytes: usize, now: Instant) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        topics.retain(|_, refusal| refusal.is_fresh(now));
        let smallest = topics.get(topic).map_or(bytes, |refusal| refusal.bytes.min(bytes));
        topics.insert(topic.to_owned(), Refusal { bytes: smallest, at: now });
    }

    /// The size that the topic has lately refused, where a record of `bytes` is no smaller.
    pub(super) fn refused(&self, topic: &str, bytes: usize, now: Instant) -> Option<usize> {
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let refusal = topics.get(topic).filter(|refusal| refusal.is_fresh(now))?;
        (bytes >= refusal.bytes).then_some(refusal.bytes)
    }
}

// === impl Refusal ===

impl Refusal {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < REMEMBER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_smaller_than_what_a_topic_refused_is_refused_for_a_while() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        assert_eq!(refusals.refused("letters", usize::MAX, now), None);
        refusals.note("letters", 900, now);
        refusals.note("letters", 1_000, now);
        assert_eq!(refusals.refused("letters", 899, now), None);
        assert_eq!(refusals.refused("letters", 900, now), Some(900));
        assert_eq!(refusals.refused("outputs", 900, now), None);
        assert_eq!(refusals.refused("letters", 900, now + REMEMBER), None);
    }

    /// Its limit may have been raised: the size of then says nothing.
    #[test]
    fn a_refusal_that_is_forgotten_does_not_lower_a_later_one() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        refusals.note("letters", 900, now);
        let later = now + REMEMBER;
        refusals.note("letters", 5_000, later);
        assert_eq!(refusals.refused("letters", 4_999, later), None);
        assert_eq!(refusals.refused("letters", 5_000, later), Some(5_000));
    }
}
