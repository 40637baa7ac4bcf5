use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, never, select_biased};

use super::key::Keyed;
use super::replica::Event;
use super::schedule::{Schedule, Sizes, tokens};
use super::tokenizers::Part;
use crate::telemetry::{BatchRun, Counts, Pulse};

/// The dispatcher's ends of the channels.
pub(super) struct Channels {
    /// Sets from the tokenizers.
    pub(super) parts: Receiver<Part>,
    /// Answers of the replicas.
    pub(super) events: Receiver<Event>,
    /// Batches for the replicas; its capacity is what may be ahead of them.
    pub(super) batches: Sender<Vec<Keyed>>,
}

/// Stands between the tokenizers and the replicas; one thread, which owns the [`Schedule`].
pub(super) struct Dispatcher {
    channels: Channels,
    schedule: Schedule,
    counts: Arc<Counts>,
    /// Tokens of a batch at most.
    batch_tokens_max: usize,
    /// The tokenizers are gone: finish what is open, then end.
    closing: bool,
    pulse: Arc<Pulse>,
}

/// What the dispatcher waits for.
enum Turn {
    Part(Part),
    Scored {
        members: Vec<Keyed>,
        logits: Vec<f32>,
        took: Duration,
    },
    Lost(String),
    Closed,
    /// It is time to look at the clock.
    Time,
}

// === impl Dispatcher ===

impl Dispatcher {
    pub(super) fn new(
        channels: Channels,
        sizes: Sizes,
        counts: Arc<Counts>,
        pulse: Arc<Pulse>,
    ) -> Self {
        let batch_tokens_max = sizes.batch_tokens_max;
        let schedule = Schedule::new(sizes, Instant::now());
        Self { channels, schedule, counts, batch_tokens_max, closing: false, pulse }
    }

    /// The dispatcher thread, whole. Returns once the engine is dropped and nothing is open, or
    /// a replica is lost; every set that is open then is answered with the reason.
    pub(super) fn run(mut self) {
        while !(self.closing && self.schedule.is_empty()) {
            self.pulse.beat();
            self.pulse.owed(self.schedule.is_ahead());
            let turn = self.turn();
            let now = Instant::now();
            match turn {
                Turn::Part(part) => self.schedule.arrived(part, now),
                Turn::Scored { members, logits, took } => {
                    self.pulse.answered();
                    self.count(&members, took);
                    self.schedule.scored(members, &logits, took, now);
                }
                Turn::Lost(reason) => return self.schedule.fail(&reason),
                Turn::Closed => self.closing = true,
                Turn::Time => {}
            }
            self.schedule.tick(now);
            self.hand_out(now);
            self.counts.queue_tokens.set(self.schedule.queued_tokens());
        }
    }

    fn count(&self, members: &[Keyed], took: Duration) {
        let pairs = members.len();
        if let Some(distributions) = self.counts.distributions() {
            distributions.batch(pairs, tokens(members), self.batch_tokens_max, took);
        }
        // Before the logits are handed on, so that it ends before the spans of its sets do.
        let spans = self.schedule.spans_of(members);
        if !spans.is_empty() {
            let model = self.counts.board.model().map_or("", |model| model.id.as_str());
            BatchRun { model, pairs, tokens: tokens(members), took }.record(&spans);
        }
    }

    /// Waits for one thing to happen.
    fn turn(&self) -> Turn {
        let nothing = never();
        let closed = self.schedule.is_full() || self.closing;
        let parts = if closed { &nothing } else { &self.channels.parts };
        select_biased! {
            recv(self.channels.events) -> event => match event {
                Ok(Event::Scored { members, logits, took }) => Turn::Scored { members, logits, took },
                Ok(Event::Lost { reason }) => Turn::Lost(reason),
                Err(_) => Turn::Lost("every replica is gone".to_owned()),
            },
            recv(parts) -> part => part.map_or(Turn::Closed, Turn::Part),
            default(self.schedule.wait(Instant::now())) => Turn::Time,
        }
    }

    /// Keeps the replicas supplied, without ever blocking: no more is handed out than fits.
    fn hand_out(&mut self, now: Instant) {
        while let Some(batch) = self.schedule.next_batch(now) {
            if self.channels.batches.send(batch).is_err() {
                return; // The next turn learns from the replicas why.
            }
        }
    }
}

#[cfg(test)]
#[path = "dispatcher_tests.rs"]
mod tests;
