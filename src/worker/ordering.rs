//! Lanes: what is published one after another, in the order in which it was claimed.
//!
//! A ticket is taken at the claim, and each one waits for the one before it in its lane. Claims come in
//! offset order within a partition, and are admitted in that order, so a record that waits holds no
//! room that one before it waits for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::stream::{Claimed, Epoch, Partition};

/// In which order outputs and dead letters are published. Scoring is concurrent in any case.
///
/// Within a lane publishing is strictly serial: the next record is sent when the last one is
/// acknowledged, so that trying again can never swap two. A lane is thus no faster than one record
/// for each round trip to the brokers, and a record that cannot be published for now holds up those
/// behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputOrder {
    /// As they are done.
    #[default]
    Unordered,
    /// Those of one key within one input partition in the order of their inputs. A record without a
    /// key is published when it is done.
    Key,
    /// Those of one input partition in the order of their inputs.
    Partition,
}

/// The lanes that have records in flight. One that has none takes no memory.
#[derive(Debug)]
pub(super) struct Lanes {
    order: OutputOrder,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    tickets: u64,
    lasts: HashMap<LaneId, Last>,
    /// Assignments in which some record has no outcome: nothing claimed later may be published, or
    /// it would come before that record, which is read again. At most one a partition.
    holes: HashMap<Partition, Epoch>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct LaneId {
    partition: Partition,
    epoch: Epoch,
    key: Option<Bytes>,
}

/// The last ticket of a lane, for the next one to wait for.
#[derive(Debug)]
struct Last {
    number: u64,
    settled: oneshot::Receiver<()>,
}

/// A record's place in its lane. Dropped before it is settled, it leaves a hole, past which nothing
/// of the lane is published.
#[derive(Debug)]
pub(super) struct Ticket {
    /// Told when the record before this one is settled; `None` where there is none.
    before: Option<oneshot::Receiver<()>>,
    /// `None` for a record that waits for nothing.
    place: Option<Place>,
    behind_hole: bool,
}

#[derive(Debug)]
struct Place {
    shared: Arc<Shared>,
    lane: LaneId,
    number: u64,
    /// Taken when the record is settled.
    settled: Option<oneshot::Sender<()>>,
}

/// A record before this one, in the same lane, has neither an output nor a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BehindHole;

// === impl Lanes ===

impl Lanes {
    pub(super) fn new(order: OutputOrder) -> Self {
        Self { order, shared: Arc::default() }
    }

    /// The next place in the lane of `claimed`. To be taken in the order of the claims.
    pub(super) fn ticket(&self, claimed: &Claimed) -> Ticket {
        let key = match self.order {
            OutputOrder::Unordered => return Ticket::free(),
            OutputOrder::Partition => None,
            OutputOrder::Key => match &claimed.record.key {
                None => return Ticket::free(),
                key => key.clone(),
            },
        };
        let position = claimed.ack.position();
        let (partition, epoch) = (position.partition.clone(), position.epoch);
        let mut state = self.shared.lock();
        state.tickets += 1;
        let number = state.tickets;
        let behind_hole = match state.holes.get(&partition) {
            Some(&held) if held == epoch => true,
            // That assignment is over, and what was owed is read again.
            Some(_) => {
                state.holes.remove(&partition);
                false
            }
            None => false,
        };
        let lane = LaneId { partition, epoch, key };
        let (sender, settled) = oneshot::channel();
        let before = state.lasts.insert(lane.clone(), Last { number, settled });
        drop(state);
        let shared = Arc::clone(&self.shared);
        Ticket {
            before: before.map(|last| last.settled),
            place: Some(Place { shared, lane, number, settled: Some(sender) }),
            behind_hole,
        }
    }
}

// === impl Shared ===

impl Shared {
    /// The state. A panic elsewhere leaves it usable: every change is a single step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Ticket ===

impl Ticket {
    /// A ticket that waits for nothing.
    fn free() -> Self {
        Self { before: None, place: None, behind_hole: false }
    }

    /// Waits until everything before it in its lane is settled. Ready at once from then on.
    pub(super) async fn turn(&mut self) -> Result<(), BehindHole> {
        if let Some(before) = &mut self.before {
            self.behind_hole |= before.await.is_err();
            self.before = None;
        }
        self.begin()
    }

    /// Whether it is worth to begin: not where a record before it is known to have no outcome.
    pub(super) fn begin(&self) -> Result<(), BehindHole> {
        if self.behind_hole { Err(BehindHole) } else { Ok(()) }
    }

    /// The record has an acknowledged output or dead letter: the next of its lane may go.
    pub(super) fn settled(mut self) {
        if let Some(settled) = self.place.as_mut().and_then(|place| place.settled.take()) {
            // Nobody may be waiting.
            let _told = settled.send(());
        }
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        // First the hole, then the lane: who finds no lane must find the hole.
        if self.settled.is_some() {
            state.holes.insert(self.lane.partition.clone(), self.lane.epoch);
        }
        if state.lasts.get(&self.lane).is_some_and(|last| last.number == self.number) {
            state.lasts.remove(&self.lane);
        }
    }
}

#[cfg(test)]
#[path = "ordering_tests.rs"]
mod tests;
