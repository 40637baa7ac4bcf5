use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Times are numbers of milliseconds since then, so that they are written and read without a lock.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Since when something holds, if it does. Writing it is one store.
#[derive(Debug, Default)]
pub struct Since(AtomicU64);

/// Whether a thread goes round, and whether what it waits for comes. Written by the thread, read by
/// probes.
#[derive(Debug, Default)]
pub struct Pulse {
    beat: Since,
    owed: Since,
}

// === impl Since ===

impl Since {
    /// Notes whether it holds; the time counts from the first of several notes that it does.
    pub fn note(&self, holds: bool) {
        match (holds, self.0.load(Ordering::Relaxed)) {
            (true, 0) => self.anew(),
            (true, _) | (false, 0) => {}
            (false, _) => self.0.store(0, Ordering::Relaxed),
        }
    }

    /// It holds, and its time counts from now.
    pub fn anew(&self) {
        self.0.store(now_ms(), Ordering::Relaxed);
    }

    /// For how long it has held; `None` where it does not.
    pub fn held(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            since => Some(Duration::from_millis(now_ms().saturating_sub(since))),
        }
    }
}

// === impl Pulse ===

impl Pulse {
    /// The thread is about to go round once more.
    pub fn beat(&self) {
        self.beat.anew();
    }

    /// Whether the thread waits for an answer. The time counts from the first note, or the last answer.
    pub fn owed(&self, owed: bool) {
        self.owed.note(owed);
    }

    /// An answer came; what is still owed is owed from now on.
    pub fn answered(&self) {
        self.owed.note(false);
    }

    /// How long ago the thread last went round; `None` where it has not begun.
    pub fn silent(&self) -> Option<Duration> {
        self.beat.held()
    }

    /// How long an answer has been owed; `None` where none is.
    pub fn waiting(&self) -> Option<Duration> {
        self.owed.held()
    }
}

/// Never 0, which stands for nothing.
fn now_ms() -> u64 {
    u64::try_from(EPOCH.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_from_the_first_note_until_it_does_not_hold() {
        let since = Since::default();
        assert_eq!(since.held(), None);
        since.note(true);
        let first = since.0.load(Ordering::Relaxed);
        since.0.store(first.saturating_sub(1).max(1), Ordering::Relaxed);
        let earlier = since.0.load(Ordering::Relaxed);
        since.note(true);
        assert_eq!(since.0.load(Ordering::Relaxed), earlier);
        assert!(since.held().is_some());
        since.note(false);
        assert_eq!(since.held(), None);
    }

    #[test]
    fn an_answer_ends_the_wait_and_a_thread_that_never_began_is_not_silent() {
        let pulse = Pulse::default();
        assert_eq!((pulse.silent(), pulse.waiting()), (None, None));
        pulse.beat();
        pulse.owed(true);
        assert!(pulse.silent().is_some() && pulse.waiting().is_some());
        pulse.answered();
        assert_eq!(pulse.waiting(), None);
    }
}
