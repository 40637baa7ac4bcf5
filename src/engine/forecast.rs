//! How fast the replicas are, and from it what can be scored in a given time. Pure: is told the time.

use std::time::{Duration, Instant};

/// Batches after which one counts half: fast enough to follow a machine that is shared, slow enough
/// to level out single batches.
const HALF_LIFE_BATCHES: f64 = 8.0;
/// A batch that takes this many times longer or shorter than expected counts as if it took no more or
/// less: one that was held up, by a pause of the machine say, tells little of the next.
const SURPRISE_MAX: f64 = 4.0;
/// How long a speed is believed without a new batch. What is known then may be wrong, and a speed
/// that is too low would never be corrected: sets would be given up, and nothing measured.
const FRESH: Duration = Duration::from_secs(2);

/// The speed of all replicas together, as lately observed; unknown, and then taken to be enough for
/// anything, until the first batch is back.
///
/// Batches that are handed out are taken to be not begun. A batch handed out to busy replicas waits
/// longer than half of them have left to do, which makes up for it: with every replica busy and as
/// many batches ready, that is exact.
#[derive(Clone, Debug)]
pub(super) struct Forecast {
    replicas: f64,
    /// Both decay with every batch, so that their quotient is a weighted mean.
    seconds: f64,
    tokens: f64,
    observed: Option<Instant>,
}

// === impl Forecast ===

impl Forecast {
    pub(super) fn new(replicas: usize) -> Self {
        Self { replicas: replicas as f64, seconds: 0.0, tokens: 0.0, observed: None }
    }

    /// A replica has scored a batch of `tokens` in `took`.
    pub(super) fn observe(&mut self, tokens: usize, took: Duration, now: Instant) {
        let tokens = tokens as f64;
        let mut seconds = took.as_secs_f64().max(1e-9);
        if self.observed.is_some() {
            let expected = tokens * self.seconds / self.tokens;
            seconds = seconds.clamp(expected / SURPRISE_MAX, expected * SURPRISE_MAX);
        }
        let decay = (-1.0 / HALF_LIFE_BATCHES).exp2();
        self.seconds = self.seconds * decay + seconds;
        self.tokens = self.tokens * decay + tokens;
        self.observed = Some(now);
    }

    /// Forgets a speed that was not observed for long. To be called while no batch is being scored.
    pub(super) fn lapse(&mut self, now: Instant) {
        if self.observed.is_some_and(|at| now.saturating_duration_since(at) > FRESH) {
            *self = Self::new(self.replicas as usize);
        }
    }

    /// Tokens that all replicas can have scored within `left`, once they are done with `ahead`.
    pub(super) fn tokens_within(&self, left: Duration, ahead: usize) -> usize {
        match self.tokens_per_second() {
            Some(speed) => ((left.as_secs_f64() * speed) as usize).saturating_sub(ahead),
            None => usize::MAX,
        }
    }

    /// Tokens of the largest batch that is scored within `left` if it is handed out now, behind
    /// `ahead`: it runs on one replica.
    pub(super) fn batch_within(&self, left: Duration, ahead: usize) -> usize {
        match self.tokens_per_second() {
            Some(speed) => {
                let alone = (left.as_secs_f64() * speed / self.replicas) as usize;
                alone.min(self.tokens_within(left, ahead))
            }
            None => usize::MAX,
        }
    }

    fn tokens_per_second(&self) -> Option<f64> {
        self.observed.map(|_| self.replicas * self.tokens / self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Ten tokens a millisecond and replica.
    fn steady(replicas: usize, now: Instant) -> Forecast {
        let mut forecast = Forecast::new(replicas);
        (0..50).for_each(|_| forecast.observe(500, 50 * MS, now));
        forecast
    }

    #[test]
    fn anything_fits_until_the_speed_is_known() {
        let forecast = Forecast::new(2);
        assert_eq!(forecast.tokens_within(MS, 1 << 30), usize::MAX);
        assert_eq!(forecast.batch_within(MS, 1 << 30), usize::MAX);
    }

    #[test]
    fn what_fits_is_what_all_replicas_do_less_what_is_ahead() {
        let forecast = steady(4, Instant::now());
        let about = |tokens: usize, expected: usize| tokens.abs_diff(expected) <= 1;
        assert!(about(forecast.tokens_within(100 * MS, 0), 4_000));
        assert!(about(forecast.tokens_within(100 * MS, 1_500), 2_500));
        assert_eq!(forecast.tokens_within(100 * MS, 9_000), 0);
        assert!(about(forecast.batch_within(100 * MS, 0), 1_000), "a batch runs on one replica");
        assert!(about(forecast.batch_within(100 * MS, 3_500), 500));
    }

    #[test]
    fn one_batch_that_was_held_up_does_not_change_the_picture() {
        let now = Instant::now();
        let mut forecast = steady(1, now);
        forecast.observe(500, Duration::from_secs(3600), now);
        assert!(forecast.tokens_within(100 * MS, 0) > 750);
    }

    #[test]
    fn a_machine_that_has_become_slower_is_found_out() {
        let now = Instant::now();
        let mut forecast = steady(1, now);
        (0..64).for_each(|_| forecast.observe(500, 500 * MS, now));
        assert!((99..=105).contains(&forecast.tokens_within(100 * MS, 0)));
    }

    #[test]
    fn a_speed_is_forgotten_when_nothing_was_scored_for_long() {
        let now = Instant::now();
        let mut forecast = steady(1, now);
        forecast.lapse(now + FRESH);
        assert_ne!(forecast.tokens_within(MS, 0), usize::MAX);
        forecast.lapse(now + FRESH + MS);
        assert_eq!(forecast.tokens_within(MS, 0), usize::MAX);
        forecast.observe(500, 5_000 * MS, now + 2 * FRESH);
        assert_eq!(forecast.tokens_within(100 * MS, 0), 10, "nothing of the past is left");
    }

    proptest! {
        #[test]
        fn more_time_never_fits_less_and_more_ahead_never_fits_more(
            batches in prop::collection::vec((1_usize..20_000, 0_u64..2_000_000), 0..40),
            replicas in 1_usize..64,
            (left, more) in (0_u64..10_000_000, 0_u64..10_000_000),
            (ahead, further) in (0_usize..1_000_000, 0_usize..1_000_000),
        ) {
            let now = Instant::now();
            let mut forecast = Forecast::new(replicas);
            for (tokens, micros) in batches {
                forecast.observe(tokens, Duration::from_micros(micros), now);
            }
            let (left, more) = (Duration::from_micros(left), Duration::from_micros(left + more));
            let all = |left, ahead| forecast.tokens_within(left, ahead);
            let batch = |left, ahead| forecast.batch_within(left, ahead);
            prop_assert!(all(more, ahead) >= all(left, ahead));
            prop_assert!(batch(more, ahead) >= batch(left, ahead));
            prop_assert!(all(left, ahead + further) <= all(left, ahead));
            prop_assert!(batch(left, ahead + further) <= batch(left, ahead));
            prop_assert!(batch(left, ahead) <= all(left, ahead));
        }

        #[test]
        fn an_estimate_lies_between_the_slowest_and_the_fastest_batch(
            batches in prop::collection::vec(50_u64..200, 1..60),
        ) {
            let now = Instant::now();
            let mut forecast = Forecast::new(1);
            // From 2.5 to 10 tokens a millisecond: nothing that would count as a surprise.
            for &ms in &batches {
                forecast.observe(500, Duration::from_millis(ms), now);
            }
            let slowest = *batches.iter().max().unwrap() as usize;
            let fastest = *batches.iter().min().unwrap() as usize;
            let second = forecast.tokens_within(Duration::from_secs(1), 0);
            prop_assert!(second >= 500_000 / slowest - 1 && second <= 500_000 / fastest + 1);
        }
    }
}
