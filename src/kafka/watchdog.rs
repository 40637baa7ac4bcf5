//! Tells a client that is stuck from a cluster that is away. Pure: times come from outside.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::statistics::{Astray, Heard};
use crate::stream::Partition;

/// Clients that came up with no broker, one after another, before nothing more is tried.
const REBUILDS_MAX: u32 = 3;
/// Statistics come every second; without any for so long, the client's own thread is stuck.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Whoever looks does so ten times a second. A longer gap means that this process or this thread stood
/// still, so that nothing of what it last heard is to be believed.
const GAP_MAX: Duration = Duration::from_secs(1);
/// What failed is tried again within this time, by the back-off of the worker; so long after the last
/// record nothing is waited for.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// So often the patience with a partition that is astray is doubled.
const STRAYS_MAX: u32 = 3;

/// When what takes too long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Without a broker for so long, and with a cluster that can be reached for most of it, a client is
    /// stuck.
    pub(super) alone: Duration,
    /// With brokers, and with work that does not get anywhere for so long, it may be stuck.
    pub(super) stalled: Duration,
    /// Whether the client needs a broker at all times. A producer with nothing to send needs none, and
    /// keeps no connection alive.
    pub(super) always: bool,
}

/// What the client does at the moment of a look.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Requests that wait for an answer: records in flight, a commit.
    pub(super) owed: usize,
    /// Answers so far.
    pub(super) answered: usize,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Fine,
    /// Look whether a fresh client reaches this, and report it to [`Watchdog::probed`].
    Probe(Goal),
    /// Replace the client, and report it to [`Watchdog::rebuilt`].
    Rebuild(Sign),
    /// Replacing it does not help.
    GiveUp(Sign),
}

/// What a fresh client is to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Any broker.
    Cluster,
    /// The broker that leads [`Watchdog::astray`].
    Leader,
}

/// What a stuck client looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It has no broker.
    Alone(Duration),
    /// It has brokers, and does not read a partition from the one that leads it.
    Astray(Duration),
    /// It has brokers, and what it owes gets no answer.
    Stalled(Duration),
}

/// Watches one client, and its successors.
#[derive(Debug)]
pub(super) struct Watchdog {
    limits: Limits,
    looked: Instant,
    /// When statistics came last, and how many brokers they told of.
    heard: Instant,
    brokers: Option<usize>,
    alone_since: Option<Instant>,
    /// Since when partitions are astray, and where they stand.
    astray: HashMap<Partition, (Instant, i64)>,
    wanting: Option<Wanting>,
    /// Since when there are brokers and something is owed, without an answer.
    stalled_since: Option<Instant>,
    answered: usize,
    probe: Probe,
    /// Since when every fresh client reached what.
    reachable_since: Option<(Goal, Instant)>,
    /// Since a broker was seen last.
    rebuilds: u32,
    /// Since the last answer.
    stalls: u32,
    /// Not long before one another, and when the last one was.
    strays: u32,
    strayed: Instant,
}

/// Something is to be sent, or was a moment ago.
#[derive(Clone, Copy, Debug)]
struct Wanting {
    since: Instant,
    last: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Probe {
    NotBefore(Instant),
    Running,
}

// === impl Watchdog ===

impl Watchdog {
    pub(super) fn new(now: Instant, limits: Limits) -> Self {
        Self {
            limits,
            looked: now,
            heard: now,
            brokers: None,
            alone_since: None,
            astray: HashMap::new(),
            wanting: None,
            stalled_since: None,
            answered: 0,
            probe: Probe::NotBefore(now),
            reachable_since: None,
            rebuilds: 0,
            stalls: 0,
            strays: 0,
            strayed: now,
        }
    }

    /// What the statistics tell; `None` where they cannot be read.
    pub(super) fn heard(&mut self, now: Instant, heard: Option<Heard>) {
        self.heard = now;
        let Some(Heard { brokers, astray, .. }) = heard else {
            (self.brokers, self.alone_since) = (None, None);
            return self.astray.clear();
        };
        self.brokers = Some(brokers);
        let before = std::mem::take(&mut self.astray);
        for Astray { partition, next } in astray {
            // One that gets on is read, whatever it looks like.
            let same = before.get(&partition).filter(|(_, at)| *at == next);
            let since = same.map_or(now, |(since, _)| *since);
            self.astray.insert(partition, (since, next));
        }
    }

    /// The partition that has been astray for longest.
    pub(super) fn astray(&self) -> Option<&Partition> {
        self.astray.iter().min_by_key(|(_, (since, _))| *since).map(|(partition, _)| partition)
    }

    /// Whether the client has no broker.
    pub(super) fn is_alone(&self) -> bool {
        self.alone_since.is_some()
    }

    /// Whether the client has no broker, and needs one.
    pub(super) fn lacks_broker(&self) -> bool {
        self.is_alone() && (self.limits.always || self.wanting.is_some())
    }

    /// To be asked several times a second.
    pub(super) fn look(&mut self, now: Instant, seen: Seen) -> Verdict {
        if now - self.looked > GAP_MAX {
            self.start_over(now);
        }
        self.looked = now;
        self.note(now, seen);
        let Some(sign) = self.sign(now, seen) else {
            self.reachable_since = None;
            return Verdict::Fine;
        };
        if self.is_sure(now, sign) {
            return match sign {
                Sign::Alone(_) if self.rebuilds >= REBUILDS_MAX => Verdict::GiveUp(sign),
                Sign::Alone(_) | Sign::Astray(_) | Sign::Stalled(_) => Verdict::Rebuild(sign),
            };
        }
        match self.probe {
            Probe::NotBefore(at) if now >= at => {
                self.probe = Probe::Running;
                Verdict::Probe(sign.goal())
            }
            Probe::NotBefore(_) | Probe::Running => Verdict::Fine,
        }
    }

    /// Whether a fresh client reached its goal. Where it did not, it is the cluster that is away, and
    /// the client has all the time that it needs from then on.
    pub(super) fn probed(&mut self, now: Instant, goal: Goal, reached: bool) {
        if reached {
            let before = self.reachable_since.filter(|(reached, _)| *reached == goal);
            self.reachable_since = before.or(Some((goal, now)));
            self.probe = Probe::NotBefore(now + self.limits.alone / 3);
        } else {
            self.reachable_since = None;
            self.probe = Probe::NotBefore(now + self.limits.alone);
        }
    }

    /// There is a new client, or it was tried in vain to make one.
    pub(super) fn rebuilt(&mut self, now: Instant, sign: Sign) {
        match sign {
            Sign::Alone(_) => self.rebuilds += 1,
            Sign::Stalled(_) => self.stalls += 1,
            Sign::Astray(_) => (self.strays, self.strayed) = (self.strays + 1, now),
        }
        self.brokers = None;
        self.start_over(now);
    }

    /// From here on the client has all its time again.
    fn start_over(&mut self, now: Instant) {
        self.heard = now;
        self.alone_since = None;
        self.astray.clear();
        self.stalled_since = self.stalled_since.map(|_| now);
        self.wanting = self.wanting.map(|_| Wanting { since: now, last: now });
        self.reachable_since = None;
        if let Probe::NotBefore(_) = self.probe {
            self.probe = Probe::NotBefore(now);
        }
    }

    fn note(&mut self, now: Instant, seen: Seen) {
        // A new client counts from zero, which is no answer.
        let progress = seen.answered > self.answered;
        self.answered = seen.answered;
        if progress {
            self.stalls = 0;
        }
        // Between two tries of a record nothing is in flight.
        let lately = |wanting: &Wanting| !progress && now - wanting.last < IDLE_MAX;
        self.wanting = self.wanting.filter(lately);
        if seen.owed > 0 {
            self.wanting.get_or_insert(Wanting { since: now, last: now }).last = now;
        }
        match self.brokers {
            Some(0) => {
                self.alone_since.get_or_insert(now);
            }
            _ if now - self.heard >= SILENCE_MAX => {
                self.alone_since.get_or_insert(self.heard);
            }
            Some(_) => {
                self.alone_since = None;
                self.rebuilds = 0;
            }
            // Not heard of yet, or not to be read.
            None => {}
        }
        if progress || self.alone_since.is_some() || self.wanting.is_none() {
            self.stalled_since = None;
        }
        if self.alone_since.is_none() && self.wanting.is_some() {
            self.stalled_since.get_or_insert(now);
        }
    }

    /// What there is to see, if it has lasted for long enough to look closer.
    fn sign(&self, now: Instant, seen: Seen) -> Option<Sign> {
        let wanted_since = match (self.limits.always, self.wanting) {
            (true, _) => Some(self.alone_since),
            (false, Some(wanting)) => Some(self.alone_since.map(|since| since.max(wanting.since))),
            (false, None) => None,
        };
        if let Some(since) = wanted_since.flatten() {
            let alone = now - since;
            return (alone >= self.limits.alone / 3).then_some(Sign::Alone(alone));
        }
        let astray_since = self.astray.values().map(|(since, _)| *since).min();
        if let Some(astray) = astray_since.map(|since| now - since)
            && astray >= self.limits.alone / 3
        {
            return Some(Sign::Astray(astray));
        }
        // It may as well be the topic that takes nothing; then a new client is no better.
        let patience = self.limits.stalled * (1 << self.stalls.min(6));
        let stalled = now - self.stalled_since?;
        (seen.owed > 0 && stalled >= patience).then_some(Sign::Stalled(stalled))
    }

    /// A cluster that has just come back is reached by a fresh client first: the old one may still wait
    /// for its next try.
    fn is_sure(&self, now: Instant, sign: Sign) -> bool {
        let reached = self.reachable_since.filter(|(goal, _)| *goal == sign.goal());
        let Some(reachable) = reached.map(|(_, since)| now - since) else { return false };
        // Which was not even looked for in the first third.
        let patience = self.limits.alone * 2 / 3;
        match sign {
            Sign::Alone(_) => reachable >= patience,
            // Should it only look astray, a new client looks no better.
            Sign::Astray(_) => reachable >= patience * (1 << self.strays(now)),
            Sign::Stalled(_) => true,
        }
    }

    /// Clients of late that were replaced for being astray, as far as they matter.
    fn strays(&self, now: Instant) -> u32 {
        let lately = now - self.strayed < self.limits.alone * (1 << STRAYS_MAX);
        if lately { self.strays.min(STRAYS_MAX) } else { 0 }
    }
}

// === impl Sign ===

impl Sign {
    /// What has to be within reach, for the client to be the culprit.
    fn goal(self) -> Goal {
        match self {
            Self::Astray(_) => Goal::Leader,
            Self::Alone(_) | Self::Stalled(_) => Goal::Cluster,
        }
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alone(time) => write!(f, "no broker for {time:.1?}"),
            Self::Astray(time) => write!(f, "a partition that is not read for {time:.1?}"),
            Self::Stalled(time) => write!(f, "brokers, but no answer for {time:.1?}"),
        }
    }
}

#[cfg(test)]
mod tests;
