use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::TryRecvError;
use rdkafka::consumer::Consumer;
use tokio::sync::oneshot;
use tracing::{debug, error, info};

use super::commit::Commits;
use super::context::Event;
use super::poll::{PollThread, TICK};
use crate::stream::SourceError;

/// How long leaving the group may take: a few round trips.
pub(super) const LEAVE_MAX: Duration = Duration::from_secs(3);

/// A request to finish.
pub(super) struct Close {
    pub(super) deadlines: Deadlines,
    pub(super) done: oneshot::Sender<Result<(), SourceError>>,
}

/// When each part of a close has to be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deadlines {
    pub(super) drain: Instant,
    pub(super) commit: Instant,
    pub(super) leave: Instant,
}

/// What is left to do before the group is left.
pub(super) struct Closing {
    deadlines: Deadlines,
    commit_until: Option<Instant>,
    request: Option<Close>,
}

// === impl Deadlines ===

impl Deadlines {
    /// All within `total`. The work gets what commit and leaving do not need, and half at least.
    pub(super) fn within(now: Instant, total: Duration) -> Self {
        let reserve = (Commits::WAIT_MAX + LEAVE_MAX).min(total / 2);
        let leave = now + total;
        Self { drain: leave - reserve, commit: leave - LEAVE_MAX.min(reserve / 2), leave }
    }
}

// === impl PollThread ===

impl PollThread {
    /// Starts and pursues a close; true when there is nothing left to wait for.
    pub(super) fn advance_closing(&mut self) -> Result<bool, SourceError> {
        let now = Instant::now();
        if self.closing.is_none() {
            let closing = match self.wires.requests.try_recv() {
                Ok(request) => Closing {
                    deadlines: request.deadlines,
                    commit_until: None,
                    request: Some(request),
                },
                // The source was dropped: nobody will settle for sure, so nothing is waited for.
                Err(TryRecvError::Disconnected) => {
                    let commit = now + Commits::WAIT_MAX;
                    let deadlines = Deadlines { drain: now, commit, leave: commit + LEAVE_MAX };
                    Closing { deadlines, commit_until: None, request: None }
                }
                Err(TryRecvError::Empty) => return Ok(false),
            };
            self.closing = Some(closing);
            self.take_back(|_| true);
            self.take_outcomes()?;
        }
        let unsettled = self.tracker.unsettled();
        let Some(closing) = &mut self.closing else { return Ok(false) };
        if unsettled > 0 && now < closing.deadlines.drain {
            return Ok(false);
        }
        let latest = closing.deadlines.commit.min(now + Commits::WAIT_MAX);
        let until = *closing.commit_until.get_or_insert(latest);
        self.revoke_all();
        let was_pending = self.commits.is_pending();
        if self.commit_rest() {
            return Ok(true);
        }
        // Even if there is no time to wait for its answer, what is settled is sent, also what was
        // settled after an earlier commit that is not answered yet. The coordinator takes them in order.
        let is_over = now >= until;
        if is_over && was_pending && self.transactions.is_none() {
            self.commits.start(&self.consumer, &self.tracker);
        }
        Ok(is_over)
    }

    fn revoke_all(&self) {
        for lane in &self.lanes {
            lane.revoked.store(true, Ordering::Release);
        }
    }

    /// Commits what can be committed; true when nothing is left to commit or to be answered.
    pub(super) fn commit_rest(&mut self) -> bool {
        if self.consumer.assignment_lost() {
            return true;
        }
        if let Some(transactions) = &mut self.transactions {
            return transactions.rest(&self.consumer, &mut self.tracker);
        }
        if !self.commits.is_pending() {
            self.commits.start(&self.consumer, &self.tracker);
        }
        !self.commits.is_pending()
    }

    pub(super) fn leave(mut self) {
        let unsettled = self.tracker.unsettled();
        let result = match unsettled {
            0 => Ok(()),
            unsettled => Err(SourceError::DrainDeadline { unsettled }),
        };
        let request = self.closing.as_mut().and_then(|closing| closing.request.take());
        info!(unsettled, "leaving the group");
        if let Some(request) = request {
            // Whoever closed may have given up waiting.
            let _told = request.done.send(result);
        }
    }

    /// The consumer cannot go on: gives back what is not started, says so to the next claim, and
    /// commits what is settled.
    pub(super) fn fail(mut self, error: SourceError) {
        error!(%error, "the source stops");
        self.revoke_all();
        self.take_back(|_| true);
        // Everything else was taken back, so there is room.
        let _told = self.wires.claims.try_send(Err(error));
        self.wires.claims.close();
        let until = Instant::now() + Commits::WAIT_MAX;
        loop {
            while let Ok(settled) = self.wires.outcomes.try_recv() {
                self.settle(&settled);
            }
            if self.commit_rest() || Instant::now() >= until {
                return;
            }
            if let Some(Err(error)) = self.consumer.poll(TICK) {
                debug!(%error, "while committing for the last time");
            }
            while let Ok(event) = self.events.try_recv() {
                match event {
                    Event::Committed(result, list) => {
                        let refused = self.commits.answered(result, &list, &mut self.tracker);
                        if refused.is_some() {
                            return;
                        }
                    }
                    // Answered while leaving.
                    Event::Assigned(list) => self.rebalances.assigned(list),
                    Event::Revoked(list) => self.rebalances.revoked(list),
                    Event::Statistics(heard) => self.watch.heard(heard),
                    Event::Failed(code, reason) => {
                        debug!(%code, reason, "while committing for the last time");
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds from the start of a close until each part is over.
    fn seconds(total: u64) -> [f64; 3] {
        let now = Instant::now();
        let Deadlines { drain, commit, leave } = Deadlines::within(now, Duration::from_secs(total));
        [drain, commit, leave].map(|deadline| (deadline - now).as_secs_f64())
    }

    #[test]
    fn a_close_keeps_time_for_the_commit_and_for_leaving() {
        assert_eq!(seconds(25), [17.0, 22.0, 25.0]);
        assert_eq!(seconds(16), [8.0, 13.0, 16.0]);
    }

    #[test]
    fn a_short_close_leaves_half_to_the_work() {
        assert_eq!(seconds(4), [2.0, 3.0, 4.0]);
        assert_eq!(seconds(0), [0.0, 0.0, 0.0]);
    }
}
