//! What came out of a run, for people.

use std::fmt;
use std::time::Duration;

use super::auditor::Findings;
use super::faults::Kind;
use super::ledger::Ledger;
use super::worker::SESSION_TIMEOUT;

/// A fault that is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Struck {
    pub(crate) kind: Kind,
    pub(crate) recovery: Duration,
    /// Until the next one could begin.
    pub(crate) lasted: Duration,
}

/// What came out of a run.
pub(crate) struct Report {
    pub(crate) title: String,
    pub(crate) took: Duration,
    pub(crate) findings: Findings,
    pub(crate) produced: usize,
    pub(crate) samples: usize,
    /// Bytes that the largest worker had at most, in the first and in the last third.
    pub(crate) memory: (u64, u64),
    pub(crate) struck: Vec<Struck>,
    /// By the workers' watchdogs.
    pub(crate) clients_replaced: usize,
    /// What workers did that nobody had asked for.
    pub(crate) mishaps: Vec<String>,
    pub(crate) ledger: Ledger,
}

// === impl Report ===

impl Report {
    /// Whether every promise was kept, and no worker did what it should not.
    pub(crate) fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.mishaps.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { findings, .. } = self;
        writeln!(f, "{}\n", self.title)?;
        writeln!(f, "fault                   count   p50 s   p99 s   limit s   repeats")?;
        for kind in Kind::ALL {
            let of_kind = |struck: &Struck| struck.kind == kind;
            let mut times: Vec<f64> = self
                .struck
                .iter()
                .filter(|struck| of_kind(struck))
                .map(|struck| struck.recovery.as_secs_f64())
                .collect();
            if times.is_empty() {
                continue;
            }
            times.sort_by(f64::total_cmp);
            let by_window = self.struck.iter().zip(findings.repeats_by_window.iter().skip(1));
            let repeats: u64 =
                by_window.filter(|(struck, _)| of_kind(struck)).map(|(_, repeats)| repeats).sum();
            let (count, p50, p99) = (times.len(), quantile(&times, 0.5), quantile(&times, 0.99));
            let limit = recovery_max(kind).map(|limit| {
                let over = if p99 > limit.as_secs_f64() { "over " } else { "" };
                format!("{over}{}", limit.as_secs())
            });
            let limit = limit.unwrap_or_default();
            writeln!(
                f,
                "{kind:<22}  {count:>5}  {p50:>6.2}  {p99:>6.2}  {limit:>8}  {repeats:>8}"
            )?;
        }
        let (first, last) = self.memory;
        let (seconds, per_second) =
            (self.took.as_secs(), self.produced as f64 / self.took.as_secs_f64());
        writeln!(
            f,
            "\n{} records in {seconds} s ({per_second:.0}/s): {} outputs, {} dead letters, {} of them repeats\n\
             {} samples of committed positions, {} failed; memory of a worker at most {} MiB, then {} MiB; {} clients replaced",
            self.produced,
            findings.outputs,
            findings.letters,
            findings.repeats,
            self.samples,
            self.ledger.not_sampled,
            first >> 20,
            last >> 20,
            self.clients_replaced,
        )?;
        for mishap in &self.mishaps {
            writeln!(f, "\n{mishap}")?;
        }
        for note in &self.ledger.notes {
            writeln!(f, "note: {note}")?;
        }
        match findings.is_empty() {
            true => writeln!(f, "every record is accounted for"),
            false => write!(f, "\nBROKEN PROMISES\n{findings}"),
        }
    }
}

/// What we want of it, on a machine with nothing else to do.
fn recovery_max(kind: Kind) -> Option<Duration> {
    match kind {
        Kind::WorkerDies => Some(SESSION_TIMEOUT + Duration::from_secs(2)),
        Kind::BrokerDies | Kind::CoordinatorMoves => Some(Duration::from_secs(10)),
        Kind::WorkerStops
        | Kind::WorkerFreezes
        | Kind::Scaling
        | Kind::SlowScorer
        | Kind::ConnectionsCut
        | Kind::Latency
        | Kind::HalfOpen
        | Kind::NoBrokers
        | Kind::DeadLettersRefused => None,
    }
}

/// Of sorted values: the smallest that is not below this share of them.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted[place.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.5), 2.0);
        let hundred: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(quantile(&hundred, 0.99), 198.0);
    }
}
