use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use tracing::warn;

use super::commit::Commits;
use super::leaving::leave_unheard;
use super::poll::{Member, PollThread, SERVED_MAX};
use super::rebalance::Rebalances;
use super::showing::{LOST, Showing};
use super::watch::Order;
use crate::stream::{Partition, SourceError};

// === impl PollThread ===

impl PollThread {
    /// Replaces a consumer that is stuck.
    pub(super) fn watch_client(&mut self) -> Result<(), SourceError> {
        // Nobody destroys a client that was left, and its statistics and log go on: unread they would pile up.
        for left in &self.left {
            for _ in 0..SERVED_MAX {
                let served = left.context().served();
                drop(left.poll(Duration::ZERO));
                if left.context().served() == served {
                    break;
                }
            }
        }
        // One that closes is on its way out, whatever it is.
        if self.closing.is_some() {
            return Ok(());
        }
        match self.watch.look(self.commits.seen()) {
            None => Ok(()),
            Some(Order::GiveUp(reason)) => Err(SourceError::Fatal { reason, source: None }),
            Some(Order::Rebuild(sign)) => {
                let bell = self.wires.bell.clone();
                let member = Member::create(self.watch.settings(), self.partitions, bell);
                let made = match member {
                    Ok(member) => {
                        self.replace_with(member)?;
                        Ok(())
                    }
                    Err(error) => Err(error),
                };
                self.watch.rebuilt(sign, made);
                Ok(())
            }
        }
    }

    /// What the old member had is lost, as when the group takes it away unasked: what was in flight is
    /// read again, by whoever the group gives it to, and outcomes that come late carry an old epoch. The
    /// new member comes with its own callbacks, bell and events.
    fn replace_with(&mut self, member: Member) -> Result<(), SourceError> {
        for lane in &self.lanes {
            lane.revoked.store(true, Ordering::Release);
        }
        self.take_back(|_| true);
        self.take_outcomes()?;
        let unsettled = self.tracker.unsettled();
        let lost: Vec<Partition> = self.tracker.assigned().cloned().collect();
        for partition in &lost {
            self.tracker.revoke(partition);
            if let Some(transactions) = &mut self.transactions {
                transactions.revoke(partition);
            }
        }
        self.tell_gone(&lost, LOST);
        // A lane holds the old consumer.
        self.lanes.clear();
        self.leaving.store(true, Ordering::Release);
        let unanswered = self.unanswered();
        leave_unheard(&self.consumer, &unanswered);
        if !lost.is_empty() {
            let partitions = lost.len();
            warn!(partitions, unsettled, "partitions lost; what was in flight is read again");
        }
        let Member { consumer, events, leaving } = member;
        self.left.push(mem::replace(&mut self.consumer, Arc::new(consumer)));
        (self.events, self.leaving) = (events, leaving);
        let settings = self.watch.settings();
        self.rebalances = Rebalances::new(settings.drain_timeout);
        self.commits = Commits::new(settings.commit_interval, settings.keep_completed);
        self.showing = Showing::default();
        // After the old one has left, so that a static member does not meet itself.
        self.consumer.subscribe(&[&settings.input_topic]).map_err(|error| SourceError::Fatal {
            reason: "could not subscribe anew".to_owned(),
            source: Some(Box::new(error)),
        })
    }
}
