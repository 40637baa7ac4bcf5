use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::stream::{
    Batch, OffsetTracker, Outcome, Output, Partition, Position, Settled, Settlement, Staging,
};

/// One consumer group on one topic: who owns which partition, and what is committed.
#[derive(Debug)]
pub(super) struct Group {
    topic: Arc<str>,
    /// By number; a partition without an owner is being handed over or nobody is there.
    owners: Vec<Option<Lane>>,
    committed: HashMap<i32, i64>,
    members: BTreeMap<u64, Member>,
}

/// What a member holds besides its partitions.
#[derive(Debug, Default)]
struct Member {
    tracker: OffsetTracker,
    /// `topic/partition/offset` of a record that was dropped without an outcome.
    abandoned: Option<String>,
    /// Finishes what it has, and takes nothing new.
    leaving: bool,
    /// Where to look first at the next claim, so that partitions take turns.
    turn: usize,
    /// Of a member whose commits are transactions.
    transactions: Option<Transactions>,
}

/// What a member publishes and commits in one.
#[derive(Debug, Default)]
struct Transactions {
    staging: Staging,
    /// The transaction under way, and when it is to end.
    running: Option<(Batch, Instant)>,
    /// Not before this is the next one begun.
    due: Option<Instant>,
}

/// A partition in the hands of a member.
#[derive(Debug)]
struct Lane {
    member: u64,
    next: i64,
    revoked: Arc<AtomicBool>,
    /// When it goes away even if work is in flight; `None` while it is not being revoked.
    drain_until: Option<Instant>,
}

// === impl Group ===

impl Group {
    pub(super) fn new(topic: Arc<str>, partitions: usize) -> Self {
        let owners = (0..partitions).map(|_| None).collect();
        Self { topic, owners, committed: HashMap::new(), members: BTreeMap::new() }
    }

    pub(super) fn committed(&self, partition: i32) -> Option<i64> {
        self.committed.get(&partition).copied()
    }

    pub(super) fn join(&mut self, member: u64, transactional: bool, drain_timeout: Duration) {
        let transactions = transactional.then(Transactions::default);
        self.members.insert(member, Member { transactions, ..Member::default() });
        self.rebalance(drain_timeout);
    }

    /// The member is gone: its partitions are free at once, and nothing more is committed for it.
    pub(super) fn leave(&mut self, member: u64, drain_timeout: Duration) {
        for lane in self.owners.iter_mut() {
            if let Some(lane) = lane.take_if(|lane| lane.member == member) {
                lane.revoked.store(true, Ordering::Release);
            }
        }
        self.members.remove(&member);
        self.rebalance(drain_timeout);
    }

    /// The member takes nothing new from now on.
    pub(super) fn stop(&mut self, member: u64) {
        if let Some(member) = self.members.get_mut(&member) {
            member.leaving = true;
        }
    }

    /// The next record for `member`: its partition, its offset, and the flag of its assignment.
    pub(super) fn claim(
        &mut self,
        member: u64,
        log_ends: &[i64],
    ) -> Option<(crate::stream::Position, Arc<AtomicBool>)> {
        let state = self.members.get_mut(&member)?;
        if state.leaving {
            return None;
        }
        let count = self.owners.len();
        for step in 0..count {
            let index = (state.turn + step) % count;
            let Some(lane) = self.owners[index].as_mut().filter(|lane| lane.member == member)
            else {
                continue;
            };
            if lane.drain_until.is_some() || lane.next >= log_ends[index] {
                continue;
            }
            let partition = Partition { topic: Arc::clone(&self.topic), index: index as i32 };
            if state.tracker.uncommitted_of(&partition) >= OffsetTracker::UNCOMMITTED_MAX {
                continue;
            }
            let position = state.tracker.claim(&partition, lane.next)?;
            lane.next += 1;
            state.turn = index + 1;
            return Some((position, Arc::clone(&lane.revoked)));
        }
        None
    }

    /// Takes an outcome, and commits at once what it made committable.
    pub(super) fn settle(&mut self, member: u64, settled: &Settled, drain_timeout: Duration) {
        let Some(state) = self.members.get_mut(&member) else {
            return;
        };
        let settlement = state.tracker.settle(settled);
        if let Some(transactions) =
            state.transactions.as_mut().filter(|_| settlement != Settlement::Stale)
        {
            match settled.outcome {
                Outcome::Published => transactions.staging.settled(&settled.position),
                Outcome::Returned | Outcome::Abandoned => {
                    transactions.staging.held(&settled.position)
                }
            }
        }
        match settlement {
            Settlement::Stale => return,
            Settlement::Held if settled.outcome == Outcome::Abandoned => {
                state.abandoned.get_or_insert(settled.position.to_string());
            }
            Settlement::Counted | Settlement::Held => {}
        }
        let offsets = match &mut state.transactions {
            None => state.tracker.all_committable(),
            // What has outputs is committed with them; what has none, by itself.
            Some(Transactions { staging, running: None, .. }) if staging.waiting() == 0 => {
                let batch = staging.take(&state.tracker).unwrap_or_default();
                batch.offsets.into_iter().map(|to| (to.partition, to.offset)).collect()
            }
            Some(_) => Vec::new(),
        };
        for (partition, offset) in offsets {
            state.tracker.committed(&partition, offset);
            self.committed.insert(partition.index, offset);
        }
        self.hand_over(drain_timeout);
    }

    /// Takes an output in; one of a member that is gone is dropped.
    pub(super) fn stage(&mut self, member: u64, output: Output) {
        let Some(Member { tracker, transactions: Some(transactions), .. }) =
            self.members.get_mut(&member)
        else {
            return;
        };
        transactions.staging.stage(output, tracker);
    }

    /// The member's transaction, and when it is to end.
    pub(super) fn running(&self, member: u64) -> Option<(&Batch, Instant)> {
        let transactions = self.members.get(&member)?.transactions.as_ref()?;
        transactions.running.as_ref().map(|(batch, until)| (batch, *until))
    }

    /// Begins a transaction that ends at `until`, if there is something to commit. When to look again.
    pub(super) fn begin(&mut self, member: u64, next: Instant, until: Instant) -> Option<Instant> {
        let Member { tracker, transactions, .. } = self.members.get_mut(&member)?;
        let transactions = transactions.as_mut()?;
        if let Some(due) = transactions.due.filter(|&due| Instant::now() < due) {
            return Some(due);
        }
        let batch = transactions.staging.take(tracker)?;
        transactions.due = Some(next);
        transactions.running = Some((batch, until));
        Some(until)
    }

    /// Ends the member's transaction: commits, and gives what is published with it. Where a partition
    /// of it went to somebody else, everything waits for the next one.
    pub(super) fn end(&mut self, member: u64, drain_timeout: Duration) -> Vec<Output> {
        let Some(Member { tracker, transactions: Some(transactions), .. }) =
            self.members.get_mut(&member)
        else {
            return Vec::new();
        };
        let Some((batch, _)) = transactions.running.take() else { return Vec::new() };
        let is_ours = |to: &Position| tracker.epoch(&to.partition) == Some(to.epoch);
        if !batch.offsets.iter().all(is_ours) {
            transactions.staging.put_back(batch.outputs, tracker);
            return Vec::new();
        }
        for to in &batch.offsets {
            self.committed.insert(to.partition.index, to.offset);
        }
        let outputs = transactions.staging.committed(batch, tracker);
        self.hand_over(drain_timeout);
        outputs
    }

    /// Aborts the member's transaction. `fate` says what becomes of the output at `place`; the others
    /// wait for the next one.
    pub(super) fn abort(
        &mut self,
        member: u64,
        place: usize,
        fate: impl Fn(Output) -> Option<Output>,
    ) {
        let Some(Member { tracker, transactions: Some(transactions), .. }) =
            self.members.get_mut(&member)
        else {
            return;
        };
        let Some((batch, _)) = transactions.running.take() else { return };
        let outputs = batch.outputs.into_iter().enumerate();
        let again = outputs.filter_map(
            |(at, output)| {
                if at == place { fate(output) } else { Some(output) }
            },
        );
        let again = again.collect();
        transactions.staging.put_back(again, tracker);
    }

    pub(super) fn unsettled(&self, member: u64) -> usize {
        self.members.get(&member).map_or(0, |member| member.tracker.unsettled())
    }

    /// The record that `member` abandoned, if it did.
    pub(super) fn abandoned(&self, member: u64) -> Option<String> {
        self.members.get(&member)?.abandoned.clone()
    }

    /// When the next partition goes away even with work in flight.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.owners.iter().flatten().filter_map(|lane| lane.drain_until).min()
    }

    /// Moves on every revocation whose work is done or whose time is up; says whether one moved.
    pub(super) fn hand_over(&mut self, drain_timeout: Duration) -> bool {
        let now = Instant::now();
        let mut moved = false;
        for index in 0..self.owners.len() {
            let Some(Lane { member, drain_until: Some(until), .. }) = &self.owners[index] else {
                continue;
            };
            let (member, until) = (*member, *until);
            let partition = Partition { topic: Arc::clone(&self.topic), index: index as i32 };
            let Some(state) = self.members.get_mut(&member) else {
                continue;
            };
            if state.tracker.unsettled_of(&partition) == 0 || now >= until {
                state.tracker.revoke(&partition);
                if let Some(transactions) = &mut state.transactions {
                    transactions.staging.revoke(&partition);
                }
                self.owners[index] = None;
                moved = true;
            }
        }
        if moved {
            self.rebalance(drain_timeout);
        }
        moved
    }

    /// Spreads the partitions evenly, moving as few as possible. One that moves is first drained.
    fn rebalance(&mut self, drain_timeout: Duration) {
        let members: Vec<u64> =
            self.members.iter().filter(|(_, m)| !m.leaving).map(|(&id, _)| id).collect();
        if members.is_empty() {
            return;
        }
        let (share, extra) = (self.owners.len() / members.len(), self.owners.len() % members.len());
        let room = |place: usize| share + usize::from(place < extra);
        let mut free: Vec<(u64, usize)> =
            members.iter().enumerate().map(|(place, &id)| (id, room(place))).collect();
        for lane in self.owners.iter_mut().flatten().filter(|lane| lane.drain_until.is_none()) {
            match free.iter_mut().find(|(id, room)| *id == lane.member && *room > 0) {
                Some((_, room)) => *room -= 1,
                None => {
                    lane.revoked.store(true, Ordering::Release);
                    lane.drain_until = Some(Instant::now() + drain_timeout);
                }
            }
        }
        self.assign_free(&mut free);
        if self.owners.iter().flatten().any(|lane| lane.drain_until.is_some()) {
            self.hand_over(drain_timeout);
        }
    }

    fn assign_free(&mut self, free: &mut [(u64, usize)]) {
        for index in 0..self.owners.len() {
            if self.owners[index].is_some() {
                continue;
            }
            let Some((member, room)) = free.iter_mut().find(|(_, room)| *room > 0) else {
                continue;
            };
            *room -= 1;
            let partition = Partition { topic: Arc::clone(&self.topic), index: index as i32 };
            if let Some(state) = self.members.get_mut(member) {
                state.tracker.assign(partition);
                self.owners[index] = Some(Lane {
                    member: *member,
                    next: self.committed.get(&(index as i32)).copied().unwrap_or(0),
                    revoked: Arc::default(),
                    drain_until: None,
                });
            }
        }
    }
}
