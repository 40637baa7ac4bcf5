use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use super::key::Keyed;

/// How many batches' worth of tokens are looked over for pairs of like length. More finds closer
/// lengths; less keeps pairs in the order of their deadlines.
const WINDOW_BATCHES: usize = 8;
/// No share is smaller: the weights are read once a batch, which below this costs as much as it gains.
const SHARE_TOKENS_MIN: usize = 64;

/// Which pair goes first: the one that is due earliest, then the one that came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Urgency {
    /// When its logit is wanted, since some beginning.
    pub(super) due: Duration,
    /// No two pairs have the same.
    pub(super) seq: u64,
}

/// Cuts batches from the pairs of all waiting sets. Pure: knows neither threads nor time.
///
/// Every batch starts from the most urgent pair and is filled with the pairs nearest to it in
/// length, out of a window of the most urgent ones. Near lengths are what attention wants, the
/// window is what keeps a pair from being overtaken by all that came after it.
///
/// A batch takes the share of one replica in what waits, up to the limit: one set on an idle engine
/// keeps every replica busy, and as the shares shrink with what is left, all end at the same time,
/// within a pair, even where one of them is slower. A backlog makes full batches.
#[derive(Debug)]
pub(super) struct BatchPacker {
    tokens_max: usize,
    replicas: usize,
    /// Every pair that waits.
    waiting: BTreeMap<Urgency, Keyed>,
    /// Those in the window, by length, then urgency.
    window: BTreeSet<(usize, Urgency)>,
    /// The window holds what is as urgent as this or more.
    window_end: Option<Urgency>,
    window_tokens: usize,
    tokens: usize,
}

// === impl BatchPacker ===

impl BatchPacker {
    /// Cuts batches of at most `tokens_max` tokens for `replicas` that share the work; a single
    /// longer pair is a batch of its own.
    pub(super) fn new(tokens_max: usize, replicas: usize) -> Self {
        Self {
            tokens_max,
            replicas,
            waiting: BTreeMap::new(),
            window: BTreeSet::new(),
            window_end: None,
            window_tokens: 0,
            tokens: 0,
        }
    }

    /// Tokens that wait.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Tokens out of which a batch is filled.
    pub(super) fn window_tokens(&self) -> usize {
        self.window_tokens
    }

    /// The pair that the next batch starts from.
    pub(super) fn first(&self) -> Option<&Keyed> {
        self.waiting.first_key_value().map(|(_, keyed)| keyed)
    }

    /// Adds a pair. O(log n), as is everything below for each pair that it moves.
    pub(super) fn push(&mut self, urgency: Urgency, keyed: Keyed) {
        let length = keyed.pair.ids.len();
        self.tokens += length;
        self.waiting.insert(urgency, keyed);
        if self.window_end.is_some_and(|end| urgency < end) {
            self.admit(length, urgency);
        }
        self.settle();
    }

    /// Takes out a pair.
    pub(super) fn remove(&mut self, urgency: Urgency) -> Option<Keyed> {
        let taken = self.take(urgency);
        self.settle();
        taken
    }

    /// Moves a pair to another place in the order.
    pub(super) fn reorder(&mut self, from: Urgency, to: Urgency) {
        if let Some(keyed) = self.take(from) {
            self.push(to, keyed);
        }
    }

    /// Moves the next batch into `batch`, or nothing if nothing waits.
    pub(super) fn cut(&mut self, batch: &mut Vec<Keyed>) {
        let share = self.share();
        let Some((&anchor, keyed)) = self.waiting.first_key_value() else { return };
        let length = keyed.pair.ids.len();
        batch.extend(self.take(anchor));
        let mut room = share.saturating_sub(length);
        while let Some((next, urgency)) = self.nearest(length, room) {
            room -= next;
            batch.extend(self.take(urgency));
        }
        self.settle();
    }

    /// Moves the next batch into `batch`, by urgency alone and of at most `room` tokens: the pairs that
    /// are due together with the first one, up to the first that does not fit. For sets that would not
    /// get all of their scores in time if pairs of like length went with them.
    pub(super) fn cut_in_order(&mut self, batch: &mut Vec<Keyed>, room: usize) {
        let mut room = self.share().min(room);
        let due = self.waiting.first_key_value().map(|(urgency, _)| urgency.due);
        while let Some((&urgency, keyed)) = self.waiting.first_key_value() {
            let length = keyed.pair.ids.len();
            // A pair that is longer than a share is a batch of its own.
            if Some(urgency.due) != due || (length > room && !batch.is_empty()) {
                break;
            }
            room = room.saturating_sub(length);
            batch.extend(self.take(urgency));
        }
        self.settle();
    }

    fn share(&self) -> usize {
        let share = self.tokens.div_ceil(self.replicas);
        share.max(SHARE_TOKENS_MIN).min(self.tokens_max)
    }

    /// The pair in the window whose length is nearest to `length` and at most `room`; the longer,
    /// then the more urgent, of two.
    fn nearest(&self, length: usize, room: usize) -> Option<(usize, Urgency)> {
        let first = |length| (length, Urgency { due: Duration::ZERO, seq: 0 });
        let first_at = |length| self.window.range(first(length)..).next().copied();
        let above = first_at(length).filter(|above| above.0 <= room);
        let below = self.window.range(..first(length.min(room + 1))).next_back();
        let below = below.and_then(|below| first_at(below.0));
        match (above, below) {
            (Some(a), Some(b)) => Some(if a.0 - length <= length - b.0 { a } else { b }),
            (a, b) => a.or(b),
        }
    }

    fn take(&mut self, urgency: Urgency) -> Option<Keyed> {
        let keyed = self.waiting.remove(&urgency)?;
        let length = keyed.pair.ids.len();
        self.tokens -= length;
        if self.window.remove(&(length, urgency)) {
            self.window_tokens -= length;
        }
        Some(keyed)
    }

    fn admit(&mut self, length: usize, urgency: Urgency) {
        self.window.insert((length, urgency));
        self.window_tokens += length;
    }

    /// Moves the end of the window to where it holds just enough.
    fn settle(&mut self) {
        let enough = self.tokens_max * WINDOW_BATCHES;
        while self.window_tokens < enough {
            let behind = self.window_end.map_or(Bound::Unbounded, Bound::Excluded);
            let next = self.waiting.range((behind, Bound::Unbounded)).next();
            let Some((&urgency, keyed)) = next else { break };
            self.window_end = Some(urgency);
            self.admit(keyed.pair.ids.len(), urgency);
        }
        while let Some(end) = self.window_end {
            let mut last = self.waiting.range(..=end).rev();
            let Some((&urgency, keyed)) = last.next() else { break };
            let length = keyed.pair.ids.len();
            if self.window_tokens - length < enough {
                break;
            }
            self.window_end = last.next().map(|(&before, _)| before);
            self.window.remove(&(length, urgency));
            self.window_tokens -= length;
        }
    }
}

#[cfg(test)]
#[path = "packer_tests.rs"]
mod tests;
