//! Stops a worker whose input is broken, instead of moving all of it to the dead letter topic.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// When bad records are too many. A bad record is one that became a dead letter through its own fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerSettings {
    /// Bad records one after another; `None` never trips.
    pub run_max: Option<usize>,
    /// More than this share of the last `window` records, 0 to 1; `None` never trips.
    pub share_max: Option<f64>,
    /// How many records the share is taken of. There is no share before there are so many.
    pub window: usize,
}

/// What became of a record, to the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was answered.
    Good,
    /// It became a dead letter through its own fault, for this cause.
    Bad(&'static str),
    /// It says nothing about the input: given back, or failed by circumstances.
    Neither,
}

/// What a breaker saw when it tripped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tripped {
    /// Bad records.
    pub bad: usize,
    /// Of so many records.
    pub of: usize,
    /// Why they are bad, the most frequent cause first: the dead letters' `crossrank.dlq.code`.
    pub codes: Vec<(&'static str, usize)>,
}

/// Judges records in the order in which they were claimed, whatever the order in which they end: bad
/// ones end sooner than those that are scored, and would look like a run.
///
/// A record that takes very long does not hold up the judgement: after `late_max` others it is
/// passed over.
#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    late_max: usize,
    /// The number of the oldest record that is not judged.
    first: u64,
    /// From `first` on; `None` while it is in flight.
    ended: VecDeque<Option<Verdict>>,
    run: Codes,
    recent: VecDeque<Option<&'static str>>,
    recent_bad: Codes,
    tripped: bool,
}

/// Bad records by cause.
#[derive(Debug, Default)]
struct Codes {
    counts: BTreeMap<&'static str, usize>,
    total: usize,
}

// === impl Breaker ===

impl Breaker {
    /// At most `in_flight_max` records are between claim and end at any time.
    pub(super) fn new(settings: BreakerSettings, in_flight_max: usize) -> Self {
        Self {
            settings,
            late_max: in_flight_max.saturating_mul(4),
            first: 0,
            ended: VecDeque::new(),
            run: Codes::default(),
            recent: VecDeque::new(),
            recent_bad: Codes::default(),
            tripped: false,
        }
    }

    /// A record was claimed. Returns its number, for [`Self::ended`].
    pub(super) fn claimed(&mut self) -> u64 {
        self.ended.push_back(None);
        self.first + self.ended.len() as u64 - 1
    }

    /// A record has ended. Says so once, when there are too many bad ones.
    pub(super) fn ended(&mut self, number: u64, verdict: Verdict) -> Option<Tripped> {
        // It was passed over, if it is not there any more.
        let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(ended) = place.and_then(|place| self.ended.get_mut(place)) {
            *ended = Some(verdict);
        }
        while self.ended.len() > self.late_max || matches!(self.ended.front(), Some(Some(_))) {
            let verdict = self.ended.pop_front().flatten();
            self.first += 1;
            let tripped = self.judge(verdict.unwrap_or(Verdict::Neither));
            if let (Some(tripped), false) = (tripped, self.tripped) {
                self.tripped = true;
                return Some(tripped);
            }
        }
        None
    }

    fn judge(&mut self, verdict: Verdict) -> Option<Tripped> {
        let code = match verdict {
            Verdict::Good => None,
            Verdict::Bad(code) => Some(code),
            Verdict::Neither => return None,
        };
        match code {
            Some(code) => self.run.add(code),
            None => self.run = Codes::default(),
        }
        self.recent.push_back(code);
        code.into_iter().for_each(|code| self.recent_bad.add(code));
        if self.recent.len() > self.settings.window
            && let Some(code) = self.recent.pop_front().flatten()
        {
            self.recent_bad.remove(code);
        }
        let too_long = self.settings.run_max.is_some_and(|max| self.run.total >= max);
        if too_long && code.is_some() {
            return Some(self.run.tripped(self.run.total));
        }
        let window = self.settings.window;
        let too_many = self
            .settings
            .share_max
            .is_some_and(|max| self.recent_bad.total as f64 > max * window as f64);
        let full = self.recent.len() == window;
        (too_many && full).then(|| self.recent_bad.tripped(window))
    }
}

// === impl Codes ===

impl Codes {
    fn add(&mut self, code: &'static str) {
        *self.counts.entry(code).or_default() += 1;
        self.total += 1;
    }

    fn remove(&mut self, code: &'static str) {
        if let Some(count) = self.counts.get_mut(code) {
            *count -= 1;
            self.total -= 1;
            if *count == 0 {
                self.counts.remove(code);
            }
        }
    }

    fn tripped(&self, of: usize) -> Tripped {
        let mut codes: Vec<_> = self.counts.iter().map(|(&code, &count)| (code, count)).collect();
        codes.sort_by_key(|&(code, count)| (std::cmp::Reverse(count), code));
        Tripped { bad: self.total, of, codes }
    }
}

// === impl Tripped ===

impl fmt::Display for Tripped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bad, of, codes } = self;
        match bad == of {
            true => write!(f, "{bad} records one after another are bad (")?,
            false => write!(f, "{bad} of the last {of} records are bad (")?,
        }
        for (index, (code, count)) in codes.iter().enumerate() {
            write!(f, "{}{count} {code}", if index == 0 { "" } else { ", " })?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
