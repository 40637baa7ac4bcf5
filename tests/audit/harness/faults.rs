//! What goes wrong, and in which order: drawn from a seed.

use std::fmt;
use std::time::Duration;

use super::worker::{REBALANCE_TIMEOUT, SESSION_TIMEOUT};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A worker dies (SIGKILL), and a new one takes its place.
    WorkerDies,
    /// A worker is asked to stop (SIGTERM), and a new one takes its place.
    WorkerStops,
    /// A worker stands still (SIGSTOP) for longer than its session lasts, and goes on (SIGCONT).
    WorkerFreezes,
    /// All workers but one stop, and others come later.
    Scaling,
    /// A worker's scorer stands still for longer than a rebalance may take, and another worker joins.
    SlowScorer,
    /// A broker dies (SIGKILL), and comes back.
    BrokerDies,
    /// The broker that coordinates the group stops, and comes back.
    CoordinatorMoves,
    /// All connections of the workers end; new ones are refused for a while.
    ConnectionsCut,
    /// Every frame between workers and brokers is late.
    Latency,
    /// Frames between the workers and one broker, or all, vanish. Connections stay open.
    HalfOpen,
    /// Brokers say that there is no broker.
    NoBrokers,
    /// The dead letter topic takes nothing for a while.
    DeadLettersRefused,
}

/// A fault and what is random about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// Into the flow since the last one.
    pub(crate) after: Duration,
    /// How long it lasts, where that is not given by its kind.
    pub(crate) lasts: Duration,
    /// Whom it strikes.
    pub(crate) choice: u32,
}

// === impl Kind ===

impl Kind {
    pub(crate) const ALL: [Self; 12] = [
        Self::WorkerDies,
        Self::WorkerStops,
        Self::WorkerFreezes,
        Self::Scaling,
        Self::SlowScorer,
        Self::BrokerDies,
        Self::CoordinatorMoves,
        Self::ConnectionsCut,
        Self::Latency,
        Self::HalfOpen,
        Self::NoBrokers,
        Self::DeadLettersRefused,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WorkerDies => "worker-dies",
            Self::WorkerStops => "worker-stops",
            Self::WorkerFreezes => "worker-freezes",
            Self::Scaling => "scaling",
            Self::SlowScorer => "slow-scorer",
            Self::BrokerDies => "broker-dies",
            Self::CoordinatorMoves => "coordinator-moves",
            Self::ConnectionsCut => "connections-cut",
            Self::Latency => "latency",
            Self::HalfOpen => "half-open",
            Self::NoBrokers => "no-brokers",
            Self::DeadLettersRefused => "dead-letters-refused",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it needs a worker that takes orders.
    pub(crate) fn needs_test_worker(self) -> bool {
        self == Self::SlowScorer
    }

    /// How often a partition may change hands without a commit of what was in flight.
    pub(crate) fn losses(self) -> u32 {
        match self {
            // First from the one that is cut off, then from the one that took over, when it is back.
            Self::WorkerFreezes | Self::SlowScorer | Self::HalfOpen | Self::NoBrokers => 2,
            Self::WorkerDies
            | Self::WorkerStops
            | Self::Scaling
            | Self::BrokerDies
            | Self::CoordinatorMoves
            | Self::ConnectionsCut
            | Self::Latency
            | Self::DeadLettersRefused => 1,
        }
    }

    /// How often it is drawn, beyond once.
    fn weight(self) -> usize {
        match self {
            Self::WorkerDies => 4,
            Self::BrokerDies => 2,
            Self::WorkerStops
            | Self::WorkerFreezes
            | Self::Scaling
            | Self::SlowScorer
            | Self::CoordinatorMoves
            | Self::ConnectionsCut
            | Self::Latency
            | Self::HalfOpen
            | Self::NoBrokers
            | Self::DeadLettersRefused => 1,
        }
    }

    fn lasts(self, random: &mut fastrand::Rng) -> Duration {
        let between = |random: &mut fastrand::Rng, from: u64, to: u64| {
            Duration::from_millis(random.u64(from..to))
        };
        match self {
            Self::WorkerDies | Self::WorkerStops => Duration::ZERO,
            Self::WorkerFreezes => SESSION_TIMEOUT + between(random, 500, 3_000),
            Self::SlowScorer => REBALANCE_TIMEOUT,
            Self::ConnectionsCut => between(random, 0, 2_000),
            Self::Scaling | Self::BrokerDies | Self::CoordinatorMoves => {
                between(random, 500, 3_000)
            }
            Self::Latency | Self::HalfOpen | Self::NoBrokers | Self::DeadLettersRefused => {
                between(random, 1_000, 5_000)
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// So many faults: each kind once, where there is room, and then by their weights.
pub(crate) fn schedule(kinds: &[Kind], faults: usize, seed: u64) -> Vec<Fault> {
    let mut random = fastrand::Rng::with_seed(seed);
    let weighted: Vec<Kind> =
        kinds.iter().flat_map(|&kind| std::iter::repeat_n(kind, kind.weight())).collect();
    let mut drawn = kinds.to_vec();
    random.shuffle(&mut drawn);
    while drawn.len() < faults {
        drawn.push(weighted[random.usize(..weighted.len())]);
    }
    drawn.truncate(faults);
    random.shuffle(&mut drawn);
    let fault = |kind: Kind| Fault {
        kind,
        after: Duration::from_millis(random.u64(200..1_700)),
        lasts: kind.lasts(&mut random),
        choice: random.u32(..),
    };
    drawn.into_iter().map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_names_one_schedule_with_every_kind() {
        let names = |seed| {
            let drawn = schedule(&Kind::ALL, 20, seed);
            drawn.into_iter().map(|fault| fault.kind).collect::<Vec<_>>()
        };
        for seed in 0..100 {
            assert_eq!(names(seed), names(seed));
            assert_ne!(names(seed), names(seed + 1));
            assert!(Kind::ALL.iter().all(|kind| names(seed).contains(kind)));
        }
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
    }
}
