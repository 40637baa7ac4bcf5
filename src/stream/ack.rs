use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Position;

/// How a claimed record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its output or its dead letter is acknowledged: the offset may be committed.
    Published,
    /// It was not started, since its partition is being taken away: somebody else will read it.
    Returned,
    /// The handle was dropped: the record has no output, and nothing above it may be committed.
    Abandoned,
}

/// What the source learns about a record it handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which record.
    pub position: Position,
    /// How it ended.
    pub outcome: Outcome,
}

/// Travels with a claimed record; only delivery redeems it.
///
/// Dropping it counts as [`Outcome::Abandoned`], so that an early return can never commit.
pub struct AckHandle {
    position: Position,
    /// Set by the source as soon as the partition is being revoked or is lost.
    revoked: Arc<AtomicBool>,
    /// Where the outcome goes; `None` once redeemed.
    settle: Option<Arc<dyn Fn(Settled) + Send + Sync>>,
}

// === impl AckHandle ===

impl AckHandle {
    /// A handle for the record at `position`. `settle` is called exactly once and must not block.
    pub fn new(
        position: Position,
        revoked: Arc<AtomicBool>,
        settle: Arc<dyn Fn(Settled) + Send + Sync>,
    ) -> Self {
        Self { position, revoked, settle: Some(settle) }
    }

    /// The place of the record.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Whether the record's partition is being taken away. Work not yet started is then wasted.
    pub fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire)
    }

    /// What [`Self::is_revoked`] looks at, for those who outlive the handle's borrow.
    pub fn revoked(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.revoked)
    }

    /// The output or the dead letter of this record has been acknowledged.
    pub fn published(mut self) {
        self.settle(Outcome::Published);
    }

    /// The record was not started and goes back unread.
    pub fn returned(mut self) {
        self.settle(Outcome::Returned);
    }

    fn settle(&mut self, outcome: Outcome) {
        if let Some(settle) = self.settle.take() {
            settle(Settled { position: self.position.clone(), outcome });
        }
    }
}

impl Drop for AckHandle {
    fn drop(&mut self) {
        self.settle(Outcome::Abandoned);
    }
}

impl fmt::Debug for AckHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AckHandle({})", self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::stream::{Epoch, Partition};

    /// A handle, its flag, and what its source hears.
    fn handle() -> (AckHandle, Arc<AtomicBool>, Arc<Mutex<Vec<Outcome>>>) {
        let partition = Partition { topic: "sets".into(), index: 3 };
        let position = Position { partition, offset: 7, epoch: Epoch(1) };
        let (revoked, heard) = (Arc::default(), Arc::<Mutex<Vec<Outcome>>>::default());
        let (flag, told) = (Arc::clone(&revoked), Arc::clone(&heard));
        let settle = Arc::new(move |settled: Settled| {
            assert_eq!(settled.position.to_string(), "sets/3/7");
            told.lock().unwrap().push(settled.outcome);
        });
        (AckHandle::new(position, flag, settle), revoked, heard)
    }

    #[test]
    fn an_outcome_is_told_once() {
        let (ack, _, heard) = handle();
        ack.published();
        assert_eq!(*heard.lock().unwrap(), [Outcome::Published]);
        let (ack, _, heard) = handle();
        ack.returned();
        assert_eq!(*heard.lock().unwrap(), [Outcome::Returned]);
    }

    #[test]
    fn a_handle_that_is_dropped_says_so() {
        let (ack, _, heard) = handle();
        drop(ack);
        assert_eq!(*heard.lock().unwrap(), [Outcome::Abandoned]);
    }

    #[test]
    fn a_revocation_shows() {
        let (ack, revoked, _) = handle();
        assert!(!ack.is_revoked());
        revoked.store(true, Ordering::Release);
        assert!(ack.is_revoked());
        ack.returned();
    }
}
