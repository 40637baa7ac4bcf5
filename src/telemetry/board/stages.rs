use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets for each doubling of a duration: a quantile is off by an eighth at most.
const SPLITS: usize = 4;
/// From 1 µs to more than two minutes, which is where the last one begins.
const BUCKETS: usize = 28 * SPLITS;

/// What a record goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// From bytes to a checked candidate set.
    Decode,
    /// From text to tokens.
    Tokenise,
    /// Until its first pair is handed to a replica.
    Queue,
    /// From then to its last logit.
    Score,
    /// Rank, context and encoding.
    Assemble,
    /// Until the brokers acknowledge it: waiting for the answers that go before it, and tries in vain, included.
    Publish,
}

/// Durations of every stage, and of a record's whole way. Adding to it never waits.
#[derive(Debug, Default)]
pub(super) struct Stages {
    each: [Durations; Stage::ALL.len()],
    whole: Durations,
}

/// How often which duration was seen since start-up.
#[derive(Debug)]
pub(super) struct Durations([AtomicU64; BUCKETS]);

/// How often which duration was seen in some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Distribution([u32; BUCKETS]);

/// The [`Durations`] at a moment, to tell what comes after it.
#[derive(Clone, Debug)]
pub(super) struct Mark([u64; BUCKETS]);

// === impl Stage ===

impl Stage {
    /// All of them, in the order in which a record goes through them.
    pub const ALL: [Self; 6] =
        [Self::Decode, Self::Tokenise, Self::Queue, Self::Score, Self::Assemble, Self::Publish];

    /// Its name on metrics and on the page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Tokenise => "tokenise",
            Self::Queue => "queue",
            Self::Score => "score",
            Self::Assemble => "assemble",
            Self::Publish => "publish",
        }
    }
}

// === impl Stages ===

impl Stages {
    pub(super) fn took(&self, stage: Stage, time: Duration) {
        self.each[stage as usize].add(time);
    }

    pub(super) fn took_whole(&self, time: Duration) {
        self.whole.add(time);
    }

    /// All series: the stages, then the whole.
    pub(super) fn series(&self) -> impl Iterator<Item = &Durations> {
        self.each.iter().chain(std::iter::once(&self.whole))
    }
}

// === impl Durations ===

impl Durations {
    fn add(&self, time: Duration) {
        self.0[bucket(time)].fetch_add(1, Ordering::Relaxed);
    }

    /// What was added since `mark`, which moves to now.
    pub(super) fn since(&self, mark: &mut Mark) -> Distribution {
        let mut added = Distribution::default();
        for ((seen, before), added) in self.0.iter().zip(&mut mark.0).zip(&mut added.0) {
            let now = seen.load(Ordering::Relaxed);
            *added = u32::try_from(now.saturating_sub(*before)).unwrap_or(u32::MAX);
            *before = now;
        }
        added
    }
}

impl Default for Durations {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }
}

impl Default for Mark {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

// === impl Distribution ===

impl Distribution {
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(&other.0) {
            *sum = sum.saturating_add(*more);
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|&count| u64::from(count)).sum()
    }

    /// The duration, in milliseconds, that this share did not exceed; `None` where there is nothing.
    pub(super) fn quantile_ms(&self, share: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let wanted = share * count as f64;
        let mut below = 0.0;
        for (index, &here) in self.0.iter().enumerate().filter(|(_, here)| **here > 0) {
            let here = f64::from(here);
            if below + here >= wanted {
                // As if they were spread evenly over the bucket.
                let part = ((wanted - below) / here).clamp(0.0, 1.0);
                let (from, to) = (lower_us(index), lower_us(index + 1));
                return Some((from + (to - from) * part) / 1000.0);
            }
            below += here;
        }
        None
    }
}

impl Default for Distribution {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

fn bucket(time: Duration) -> usize {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
    let doubling = micros.ilog2() as usize;
    // The two bits below the highest one.
    let split = match doubling {
        0 => 0,
        1 => (micros as usize & 1) * 2,
        _ => (micros >> (doubling - 2)) as usize & 3,
    };
    (doubling * SPLITS + split).min(BUCKETS - 1)
}

/// Where the bucket begins, in microseconds.
fn lower_us(bucket: usize) -> f64 {
    let (doubling, split) = (bucket / SPLITS, bucket % SPLITS);
    (1_u64 << doubling) as f64 * (1.0 + split as f64 / SPLITS as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: f64) -> Duration {
        Duration::from_secs_f64(millis / 1000.0)
    }

    #[test]
    fn a_quantile_is_off_by_an_eighth_at_most() {
        for exact in [0.003, 0.4, 1.0, 17.0, 250.0, 4_200.0, 90_000.0] {
            let durations = Durations::default();
            durations.add(ms(exact));
            let told = durations.since(&mut Mark::default()).quantile_ms(0.5).unwrap();
            assert!((told / exact - 1.0).abs() <= 0.126, "{exact} is told as {told}");
        }
    }

    #[test]
    fn quantiles_tell_the_middle_from_the_tail() {
        let durations = Durations::default();
        (0..98).for_each(|_| durations.add(ms(10.0)));
        (0..2).for_each(|_| durations.add(ms(900.0)));
        let seen = durations.since(&mut Mark::default());
        assert!(seen.quantile_ms(0.5).unwrap() < 13.0);
        assert!(seen.quantile_ms(0.99).unwrap() > 700.0);
    }

    #[test]
    fn a_mark_leaves_out_what_was_before_it() {
        let durations = Durations::default();
        let mut mark = Mark::default();
        durations.add(ms(1.0));
        assert_eq!(durations.since(&mut mark).count(), 1);
        assert_eq!(durations.since(&mut mark), Distribution::default());
        assert_eq!(durations.since(&mut mark).quantile_ms(0.5), None);
    }

    #[test]
    fn no_duration_is_out_of_bounds() {
        for time in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            assert!(bucket(time) < BUCKETS);
        }
        let borders: Vec<f64> = (0..BUCKETS).map(lower_us).collect();
        assert!(borders.is_sorted());
    }
}
