use std::sync::atomic::Ordering;
use std::time::Instant;

use crossbeam_channel::TryRecvError;
use rdkafka::consumer::Consumer;
use tokio::sync::oneshot;
use tracing::{debug, error, info};

use super::commit::Commits;
use super::context::Event;
use super::poll::{PollThread, TICK};
use crate::stream::SourceError;

/// A request to finish.
pub(super) struct Close {
    pub(super) drain_until: Instant,
    pub(super) done: oneshot::Sender<Result<(), SourceError>>,
}

/// What is left to do before the group is left.
pub(super) struct Closing {
    drain_until: Instant,
    commit_until: Option<Instant>,
    request: Option<Close>,
}

// === impl PollThread ===

impl PollThread {
    /// Starts and pursues a close; true when there is nothing left to wait for.
    pub(super) fn advance_closing(&mut self) -> Result<bool, SourceError> {
        let now = Instant::now();
        if self.closing.is_none() {
            let closing = match self.wires.requests.try_recv() {
                Ok(request) => Closing {
                    drain_until: request.drain_until,
                    commit_until: None,
                    request: Some(request),
                },
                // The source was dropped: nobody will settle for sure, so nothing is waited for.
                Err(TryRecvError::Disconnected) => {
                    Closing { drain_until: now, commit_until: None, request: None }
                }
                Err(TryRecvError::Empty) => return Ok(false),
            };
            self.closing = Some(closing);
            self.take_back(|_| true);
            self.take_outcomes()?;
        }
        let unsettled = self.tracker.unsettled();
        let Some(closing) = &mut self.closing else { return Ok(false) };
        if unsettled > 0 && now < closing.drain_until {
            return Ok(false);
        }
        let until = *closing.commit_until.get_or_insert(now + Commits::WAIT_MAX);
        self.revoke_all();
        Ok(now >= until || self.commit_rest())
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
                self.tracker.settle(&settled);
            }
            if self.commit_rest() || Instant::now() >= until {
                return;
            }
            if let Some(Err(error)) = self.consumer.poll(TICK) {
                debug!(%error, "while committing for the last time");
            }
            while let Ok(event) = self.events.try_recv() {
                if let Event::Committed(result, list) = event
                    && self.commits.answered(result, &list, &mut self.tracker).is_some()
                {
                    return;
                }
            }
        }
    }
}
