use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::engine::{Deadline, Late};

/// What becomes of a set that cannot be scored before it expires, and one that had expired when it was
/// read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LatePolicy {
    /// It is answered in time, in first-stage order, and nothing of it is scored.
    Passthrough,
    /// It is answered in time: the first candidates in first-stage order are scored, as many as there
    /// is time for, and the others stand behind them.
    #[default]
    Partial,
    /// It has no answer and becomes a dead letter, as soon as that is known.
    Fail,
    /// It is scored all the same.
    Late,
}

/// How sets are treated that expire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadlines {
    /// What becomes of a set that is late.
    pub late: LatePolicy,
    /// What is left, of the time until a set expires, for all that comes after its scores.
    pub reserve: Duration,
}

/// When a set expires, by clocks that agree on now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry {
    at: Timestamp,
    now: Timestamp,
    received: Instant,
}

// === impl Expiry ===

impl Expiry {
    /// Of a set that was received `now`. What happens to the wall clock later is of no account.
    pub(super) fn new(at: Timestamp, now: Timestamp, received: Instant) -> Self {
        Self { at, now, received }
    }

    /// Whether it had expired when it was received.
    pub(super) fn had_passed(&self) -> bool {
        self.at <= self.now
    }

    /// Whether it has expired by now.
    pub(super) fn has_passed(&self) -> bool {
        self.had_passed() || self.left().is_some_and(|left| self.received.elapsed() >= left)
    }

    /// When its scores are wanted; `None` beyond what a clock can tell.
    pub(super) fn deadline(&self, deadlines: &Deadlines) -> Option<Deadline> {
        let left = self.left()?.saturating_sub(deadlines.reserve);
        let at = self.received.into_std().checked_add(left)?;
        let late = match deadlines.late {
            LatePolicy::Passthrough | LatePolicy::Fail => Late::Drop,
            LatePolicy::Partial => Late::Trim,
            LatePolicy::Late => Late::Score,
        };
        Some(Deadline { at, late })
    }

    /// From its receipt; nothing where it had expired, `None` where a duration is too short for it.
    fn left(&self) -> Option<Duration> {
        match self.had_passed() {
            true => Some(Duration::ZERO),
            false => Duration::try_from(self.at.duration_since(self.now)).ok(),
        }
    }
}
