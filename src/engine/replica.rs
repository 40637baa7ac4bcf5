use std::panic::{AssertUnwindSafe, catch_unwind};

use crossrank_model::{CrossEncoder, PackedBatch};

use super::packer::Waiting;

/// What a replica answers to the dispatcher.
pub(super) enum Event {
    /// The logits of one batch, `[pairs]`, in the order of its members.
    Scored { members: Vec<Waiting>, logits: Vec<f32> },
    /// The replica is gone, and its batch with it.
    Lost { reason: String },
}

/// A replica thread, whole: ends when the dispatcher is gone, or after the first failure.
pub(super) fn run(
    model: CrossEncoder,
    batches: crossbeam_channel::Receiver<Vec<Waiting>>,
    events: crossbeam_channel::Sender<Event>,
) {
    while let Ok(members) = batches.recv() {
        let event = match score(&model, || pack(&members)) {
            Ok(logits) => Event::Scored { members, logits },
            Err(reason) => Event::Lost { reason },
        };
        let lost = matches!(event, Event::Lost { .. });
        if events.send(event).is_err() || lost {
            return;
        }
    }
}

/// Scores one batch. A panic below (a driver that went away, say) is an error like any other, so
/// that the sets in flight are answered and the worker stops in order.
pub(super) fn score(
    model: &CrossEncoder,
    batch: impl FnOnce() -> PackedBatch,
) -> Result<Vec<f32>, String> {
    let scored = catch_unwind(AssertUnwindSafe(|| {
        let batch = batch();
        model.score(&batch).map(|logits| (logits, batch.pairs()))
    }));
    match scored {
        Ok(Ok((logits, pairs))) if logits.len() == pairs => Ok(logits),
        Ok(Ok((logits, pairs))) => Err(format!("{} logits for {pairs} pairs", logits.len())),
        Ok(Err(error)) => Err(crate::error_text(&error)),
        Err(panic) => Err(panic_text(panic.as_ref())),
    }
}

fn pack(members: &[Waiting]) -> PackedBatch {
    let tokens = members.iter().map(|w| w.pair.ids.len()).sum();
    let mut batch = PackedBatch::with_capacity(tokens);
    for w in members {
        batch.push(&w.pair.ids, &w.pair.types);
    }
    batch
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("the replica panicked").to_owned()
}
