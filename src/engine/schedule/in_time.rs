//! What is done so that every set whose deadline binds is answered by then, and none takes time that
//! another could still use.
//!
//! A set's turn comes when its first waiting pair is the most urgent of all. Only then, with every
//! batch that goes out, is it asked what there is time for: the forecast is as good as it can be, and
//! what went ahead has gone.

use std::time::{Duration, Instant};

use super::Schedule;
use crate::engine::key::PairKey;
use crate::engine::queue::Owner;
use crate::engine::{Deadline, Late};

/// A set that is scored whole or not at all is given up before its turn, or once it is begun, only
/// where replicas this many times as fast would not do either.
const CERTAIN: f64 = 1.25;

// === impl Schedule ===

impl Schedule {
    /// Answers the sets whose deadlines have come with the logits that there are.
    pub(super) fn answer_overdue(&mut self, now: Instant) {
        while let Some(&(at, set)) = self.deadlines.first()
            && at <= now
        {
            self.answer_now(set, now);
        }
    }

    /// Makes sure that there is time for the most urgent pair: takes out those for which there is none.
    /// Says how many tokens the next batch may have, and that it is to be cut in order, where the sets
    /// that want the pair have no time to lose.
    pub(super) fn room_in_order(&mut self, now: Instant) -> Option<usize> {
        if self.deadlines.is_empty() {
            return None;
        }
        if self.ahead == 0 {
            self.forecast.lapse(now);
        }
        loop {
            let (key, tokens) = self.queue.first()?;
            let bound: Vec<(Owner, Deadline)> = self.bound(key).collect();
            let late = bound.iter().find(|(owner, deadline)| {
                tokens > self.forecast.batch_within(left(deadline, now), self.ahead_tokens)
                    || self.does_not_fit(owner.set, deadline, now)
            });
            let Some(&(Owner { set, .. }, deadline)) = late else {
                let tight = bound.iter().filter(|(owner, d)| self.is_tight(owner.set, d, now));
                let room = |(_, d): &(Owner, Deadline)| {
                    self.forecast.batch_within(left(d, now), self.ahead_tokens)
                };
                return tight.map(room).min();
            };
            match deadline.late {
                Late::Trim => self.trim(set, now),
                Late::Drop | Late::Score => self.answer_now(set, now),
            }
        }
    }

    /// The places that want this pair by a deadline.
    fn bound(&self, key: PairKey) -> impl Iterator<Item = (Owner, Deadline)> {
        let owners = self.queue.owners(key).iter();
        owners.filter_map(|&owner| Some((owner, self.open.get(&owner.set)?.deadline()?)))
    }

    /// Whether this set is scored whole or not at all, and will not be whole.
    fn does_not_fit(&self, set: u64, deadline: &Deadline, now: Instant) -> bool {
        let Some(open) = self.open.get(&set).filter(|_| deadline.late == Late::Drop) else {
            return false;
        };
        let margin = if open.has_begun() { CERTAIN } else { 1.0 };
        let within =
            self.forecast.tokens_within(left(deadline, now).mul_f64(margin), self.ahead_tokens);
        // What is in a batch counts twice in the first, cheap look.
        open.unanswered_tokens() > within && self.waiting_tokens(set) > within
    }

    /// Whether pairs of other sets in its batches would cost this set its time.
    fn is_tight(&self, set: u64, deadline: &Deadline, now: Instant) -> bool {
        let own = self.open.get(&set).map_or(0, |open| open.unanswered_tokens());
        let within = self.forecast.tokens_within(left(deadline, now), self.ahead_tokens);
        within == usize::MAX || own + self.queue.window_tokens() > within
    }

    /// Answers a set that is scored whole or not at all, if it could not be scored by its deadline even
    /// if it were the only one.
    pub(super) fn give_up_if_hopeless(&mut self, set: u64, now: Instant) {
        let Some(open) = self.open.get(&set) else { return };
        let Some(deadline) = open.deadline().filter(|deadline| deadline.late == Late::Drop) else {
            return;
        };
        if self.ahead == 0 {
            self.forecast.lapse(now);
        }
        let within = self.forecast.tokens_within(left(&deadline, now).mul_f64(CERTAIN), 0);
        if open.unanswered_tokens() > within && self.waiting_tokens(set) > within {
            self.answer_now(set, now);
        }
    }

    /// Tokens of the pairs of a set that are in no batch yet.
    fn waiting_tokens(&self, set: u64) -> usize {
        let queued = self.open.get(&set).into_iter().flat_map(|open| open.queued());
        queued.filter_map(|&(_, key)| self.queue.waiting_tokens(key)).sum()
    }

    /// Gives up the pairs of a set that are in no batch yet.
    fn trim(&mut self, set: u64, now: Instant) {
        let Some(open) = self.open.get_mut(&set) else { return };
        let queued = open.queued().to_vec();
        for (index, key) in queued {
            let owner = Owner { set, index };
            let waits = self.queue.waiting_tokens(key).is_some();
            if waits && self.queue.owners(key).contains(&owner) {
                self.queue.detach_one(key, owner);
                open.dequeue(index);
            }
        }
        self.answer_if_complete(set, now);
    }

    /// Answers a set with the logits that there are.
    fn answer_now(&mut self, set: u64, now: Instant) {
        if let Some(open) = self.close(set) {
            open.answer(now);
        }
    }
}

fn left(deadline: &Deadline, now: Instant) -> Duration {
    deadline.at.saturating_duration_since(now)
}
