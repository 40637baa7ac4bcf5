//! What the poll thread tells the board, for people, probes and gauges.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::poll::{Lane, PollThread};
use super::statistics::{Heard, Known, Member};
use crate::stream::Partition;
use crate::telemetry::board::{PartitionNow, PartitionState};

/// As often as statistics come.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is known beside the tracker, and when it was told.
#[derive(Debug, Default)]
pub(super) struct Showing {
    told: Option<Instant>,
    known: HashMap<Partition, Known>,
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
        board.consumer_alone.note(self.watch.is_alone());
        let tracker = &self.tracker;
        self.showing.known.retain(|partition, _| tracker.epoch(partition).is_some());
        let partitions = self.lanes.iter().map(|lane| self.partition(lane)).collect();
        if self.watch.board().show_partitions(partitions) {
            self.showing.told = Some(now);
        }
    }

    fn partition(&self, lane: &Lane) -> PartitionNow {
        let (partition, tracker) = (&lane.partition, &self.tracker);
        let known = self.showing.known.get(partition).copied().unwrap_or_default();
        let uncommitted = tracker.uncommitted_of(partition);
        PartitionNow {
            topic: partition.topic.clone(),
            index: partition.index,
            next: tracker.next_of(partition),
            committed: tracker.committed_of(partition).or(known.committed),
            end: known.end,
            in_flight: tracker.unsettled_of(partition),
            uncommitted,
            state: if lane.revoked.load(Ordering::Acquire) {
                PartitionState::Draining
            } else if uncommitted >= self.uncommitted_max {
                PartitionState::Paused
            } else {
                PartitionState::Assigned
            },
        }
    }
}
