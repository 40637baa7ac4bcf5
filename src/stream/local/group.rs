use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::stream::{OffsetTracker, Partition, Settled, Settlement};

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

    pub(super) fn join(&mut self, member: u64, drain_timeout: Duration) {
        self.members.insert(member, Member::default());
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
        match state.tracker.settle(settled) {
            Settlement::Stale => return,
            Settlement::Held if settled.outcome == crate::stream::Outcome::Abandoned => {
                state.abandoned.get_or_insert(settled.position.to_string());
            }
            Settlement::Counted | Settlement::Held => {}
        }
        for (partition, offset) in state.tracker.all_committable() {
            state.tracker.committed(&partition, offset);
            self.committed.insert(partition.index, offset);
        }
        self.hand_over(drain_timeout);
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
