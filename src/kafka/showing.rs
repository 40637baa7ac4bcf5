//! What the poll thread tells the board, for people, probes and gauges.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::ages::Ages;
use super::ends::Ends;
use super::poll::{Lane, PollThread};
use super::statistics::{Heard, Known, Member};
use crate::stream::{OffsetTracker, Partition};
use crate::telemetry::board::{PartitionNow, PartitionState};

/// How partitions go that the group has given to others already.
pub(super) const LOST: &str = "lost";

/// As often as statistics come.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is known beside the tracker, and when it was told.
#[derive(Debug, Default)]
pub(super) struct Showing {
    told: Option<Instant>,
    known: HashMap<Partition, Known>,
    pub(super) ends: Ends,
    ages: Ages,
    /// The group has had this member settled, and the coordinator has not gone away since.
    joined: bool,
}

// === impl Showing ===

impl Showing {
    /// Takes what the statistics say.
    pub(super) fn heard(&mut self, heard: Option<&Heard>) {
        let Some(heard) = heard else { return };
        self.known.extend(heard.known.iter().cloned());
        match heard.member {
            Some(Member::Settled) => self.joined = true,
            // A rebalance is part of being a member.
            Some(Member::Joining) | None => {}
            Some(Member::Apart) => self.joined = false,
        }
    }

    fn partition(
        &mut self,
        lane: &Lane,
        tracker: &OffsetTracker,
        uncommitted_max: usize,
        now: Instant,
    ) -> PartitionNow {
        let partition = &lane.partition;
        let known = self.known.get(partition).copied().unwrap_or_default();
        let uncommitted = tracker.uncommitted_of(partition);
        PartitionNow {
            topic: partition.topic.clone(),
            index: partition.index,
            next: tracker.next_of(partition),
            // Before the first record, the tracker does not know where reading begins.
            committed: tracker.committed_of(partition).or(known.committed).or(known.next),
            end: self.ends.of(partition, known.end, now),
            in_flight: tracker.unsettled_of(partition),
            uncommitted,
            commit_age: self.ages.look(tracker, partition, now),
            state: if lane.revoked.load(Ordering::Acquire) {
                PartitionState::Draining
            } else if uncommitted >= uncommitted_max {
                PartitionState::Paused
            } else {
                PartitionState::Assigned
            },
        }
    }
}

// === impl PollThread ===

impl PollThread {
    /// Tells that it goes round, and every second where it stands.
    pub(super) fn show(&mut self) {
        let board = self.watch.board();
        board.poll.beat();
        let now = Instant::now();
        if self.showing.told.is_some_and(|told| now - told < INTERVAL) {
            return;
        }
        board.joined.note(self.showing.joined);
        board.consumer_alone.note(self.watch.lacks_broker());
        let (tracker, Showing { known, ends, ages, .. }) = (&self.tracker, &mut self.showing);
        let is_ours = |partition: &Partition| tracker.epoch(partition).is_some();
        known.retain(|partition, _| is_ours(partition));
        ages.retain(is_ours);
        ends.retain(is_ours);
        ends.ask(&self.consumer, now);
        let uncommitted_max = self.uncommitted_max;
        let shown = |lane| self.showing.partition(lane, tracker, uncommitted_max, now);
        let partitions = self.lanes.iter().map(shown).collect();
        if self.watch.board().show_partitions(partitions) {
            self.showing.told = Some(now);
        }
    }

    /// Partitions were taken away: `how` they were.
    pub(super) fn tell_gone(&mut self, partitions: &[Partition], how: &'static str) {
        if !partitions.is_empty() {
            self.watch.counts().rebalances.add(how, 1);
        }
        // The group has gone on without this member, until it is settled again.
        if how == LOST {
            self.showing.joined = false;
        }
    }
}
