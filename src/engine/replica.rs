use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crossrank_model::{CrossEncoder, PackedBatch};

use super::key::Keyed;

/// What a replica answers to the dispatcher.
pub(super) enum Event {
    /// The logits of one batch, `[pairs]`, in the order of its members, and how long it took.
    Scored { members: Vec<Keyed>, logits: Vec<f32>, took: Duration },
    /// The replica is gone, and its batch with it.
    Lost { reason: String },
}

/// A model of its own, but for the weights, and the memory that it computes batches in.
pub(super) struct Replica {
    model: CrossEncoder,
    batch: PackedBatch,
}

// === impl Replica ===

impl Replica {
    /// A replica for batches of up to `tokens`; a larger one makes it grow.
    pub(super) fn new(model: CrossEncoder, tokens: usize) -> Self {
        Self { model, batch: PackedBatch::with_capacity(tokens) }
    }

    /// A replica thread, whole: ends when the dispatcher is gone, or after the first failure.
    pub(super) fn run(
        mut self,
        batches: crossbeam_channel::Receiver<Vec<Keyed>>,
        events: crossbeam_channel::Sender<Event>,
    ) {
        while let Ok(members) = batches.recv() {
            let pairs = members.iter().map(|k| (&k.pair.ids[..], &k.pair.types[..]));
            let begun = Instant::now();
            let event = match self.score(pairs) {
                Ok(logits) => Event::Scored { members, logits, took: begun.elapsed() },
                Err(reason) => Event::Lost { reason },
            };
            let lost = matches!(event, Event::Lost { .. });
            if events.send(event).is_err() || lost {
                return;
            }
        }
    }

    /// Scores one batch of ids and types. A panic below (a driver that went away, say) is an error
    /// like any other, so that the sets in flight are answered and the worker stops in order.
    pub(super) fn score<'a>(
        &mut self,
        pairs: impl Iterator<Item = (&'a [u32], &'a [u8])>,
    ) -> Result<Vec<f32>, String> {
        let Self { model, batch } = self;
        let scored = catch_unwind(AssertUnwindSafe(|| {
            batch.clear();
            pairs.for_each(|(ids, types)| batch.push(ids, types));
            model.score(batch)
        }));
        let pairs = batch.pairs();
        match scored {
            Ok(Ok(logits)) if logits.len() == pairs => Ok(logits),
            Ok(Ok(logits)) => Err(format!("{} logits for {pairs} pairs", logits.len())),
            Ok(Err(error)) => Err(crate::error_text(&error)),
            Err(panic) => Err(panic_text(panic.as_ref())),
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("the replica panicked").to_owned()
}
