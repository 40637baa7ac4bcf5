use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Lets so many through in a second, evenly. What was not used is not saved up.
#[derive(Debug)]
pub(super) struct Pace {
    apart: Duration,
    next: Instant,
}

// === impl Pace ===

impl Pace {
    /// Without a rate nothing waits.
    pub(super) fn new(rate: Option<NonZeroU32>) -> Self {
        let apart = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.get());
        Self { apart, next: Instant::now() }
    }

    /// Ready when the next one may go. Cancel-safe: it takes its turn only when ready.
    pub(super) async fn turn(&mut self) {
        let now = Instant::now();
        if self.apart.is_zero() {
            return;
        }
        // A clock that ticks in milliseconds makes up for what it missed, but not for a pause.
        let start = self.next.max(now.checked_sub(Duration::from_millis(50)).unwrap_or(now));
        if start > now {
            sleep_until(start).await;
        }
        self.next = start + self.apart;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn seconds(rate: u32, turns: usize) -> f64 {
        let mut pace = Pace::new(NonZeroU32::new(rate));
        let started = Instant::now();
        for _ in 0..turns {
            pace.turn().await;
        }
        started.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept_and_none_is_no_wait() {
        for rate in [1, 7, 300, 5_000] {
            let took = seconds(rate, 4 * rate as usize + 1).await;
            assert!((3.9..4.2).contains(&took), "{rate}: {took}");
        }
        assert_eq!(seconds(0, 1_000).await, 0.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_not_made_up_for() {
        let mut pace = Pace::new(NonZeroU32::new(10));
        tokio::time::advance(Duration::from_secs(60)).await;
        let started = Instant::now();
        for _ in 0..11 {
            pace.turn().await;
        }
        assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
    }
}
