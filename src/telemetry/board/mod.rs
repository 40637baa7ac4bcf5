//! What a worker knows about itself, for the people and probes that ask its admin port.
//!
//! Worker, engine and poll thread write; nobody among them ever waits for who reads:
//!
//! | what | how |
//! |---|---|
//! | durations, pulses, states | atomics: one store or addition |
//! | partitions | a lock that is only tried, and held to copy a pointer |
//! | sets, notices | a bounded channel that is only tried; what is full drops the newest and counts it |
//!
//! What is read out of it over time belongs to the [`Keeper`], in the thread of the admin port. Where
//! nobody keeps, nothing is put together. All of it is bounded: fifty sets, fifty notices, ten minutes.

mod happened;
mod health;
mod keeper;
mod notices;
mod partitions;
mod pulse;
mod stages;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;

pub use happened::{Notice, NoticeKind, Notices, Placed, SetShown};
pub use health::Check;
pub use keeper::Keeper;
pub use partitions::{PartitionNow, PartitionState};
pub use pulse::{Pulse, Since};
pub use stages::Stage;

use super::Counts;
use happened::Outbox;
use partitions::Partitions;
use stages::Stages;

/// What worker, engine and poll thread tell of themselves. See the [module](self).
#[derive(Debug, Default)]
pub struct Board {
    /// The thread that polls the consumer.
    pub poll: Pulse,
    /// The thread that serves the producer.
    pub publisher: Pulse,
    /// The group has this worker as a member, with partitions or without.
    pub joined: Since,
    /// The consumer has no broker.
    pub consumer_alone: Since,
    /// The producer has reached the brokers once.
    pub producer_reached: Since,
    /// The producer has no broker.
    pub producer_alone: Since,
    engine: OnceLock<Arc<Pulse>>,
    model: OnceLock<ModelShown>,
    phase: AtomicU8,
    partitions: Partitions,
    stages: Stages,
    outbox: Option<Arc<Outbox>>,
}

/// Where a worker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The model is loaded, the cluster reached, the group joined.
    Starting,
    /// Sets are taken and answered.
    Working,
    /// No further set is taken.
    Stopping,
}

/// The model that a worker runs, and how long it took to get there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ModelShown {
    /// Its name.
    pub id: String,
    /// Names its exact content.
    pub revision: String,
    /// The label that its scores are about, where it has several.
    pub label: Option<String>,
    /// Number format of its weights.
    pub precision: String,
    /// What computes.
    pub backend: String,
    /// The device, and the kernels on it.
    pub device: String,
    /// The kernels alone; `none` where the backend has none.
    pub kernels: String,
    /// Threads that score.
    pub replicas: usize,
    /// From the files to a model.
    #[serde(skip)]
    pub load: Duration,
    /// Until every replica had scored a batch.
    #[serde(skip)]
    pub warm_up: Duration,
}

// === impl Board ===

impl Board {
    /// A board that somebody looks at, and counts that hold it. `texts` is whether texts of records
    /// may be shown; `notices` brings the log's.
    pub fn kept(texts: bool, notices: &Notices) -> (Arc<Counts>, Keeper) {
        let (outbox, happened) = Outbox::new(texts);
        let outbox = Arc::new(outbox);
        // Where it is set, an earlier board of this process has it, and keeps it.
        let _kept = notices.0.set(Arc::clone(&outbox));
        let board = Self { outbox: Some(Arc::clone(&outbox)), ..Self::default() };
        let counts = Arc::new(Counts::shown_on(board));
        (Arc::clone(&counts), Keeper::new(counts, outbox, happened))
    }

    /// The model is loaded and warm, and `engine` tells whether it makes progress.
    pub fn model_is_warm(&self, model: ModelShown, engine: Arc<Pulse>) {
        // Once for each process; another one would be a worker of its own.
        let _first = (self.model.set(model), self.engine.set(engine));
    }

    /// The model, once it is warm.
    pub fn model(&self) -> Option<&ModelShown> {
        self.model.get()
    }

    /// The worker stands at `phase` from here on.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// Where the worker stands.
    pub fn phase(&self) -> Phase {
        [Phase::Starting, Phase::Working, Phase::Stopping]
            .into_iter()
            .find(|phase| *phase as u8 == self.phase.load(Ordering::Acquire))
            .unwrap_or(Phase::Starting)
    }

    /// A stage of a record is over.
    pub fn took(&self, stage: Stage, time: Duration) {
        self.stages.took(stage, time);
    }

    /// A record is answered, this long after it was claimed.
    pub fn answered_after(&self, time: Duration) {
        self.stages.took_whole(time);
    }

    /// What the partitions are like; false where that has to be said again, since somebody read.
    pub fn show_partitions(&self, partitions: Vec<PartitionNow>) -> bool {
        self.partitions.write(partitions)
    }

    /// What the partitions are like, as of the last second.
    pub fn partitions(&self) -> Arc<[PartitionNow]> {
        self.partitions.read()
    }

    /// Whether the next set is to be shown, and with its texts. Who is told so shows one.
    pub fn wants_set(&self) -> Option<Texts> {
        let outbox = self.outbox.as_ref().filter(|outbox| outbox.takes_set())?;
        Some(if outbox.texts { Texts::Shown } else { Texts::Hidden })
    }

    /// A set was answered.
    pub fn show_set(&self, set: Box<SetShown>) {
        if let Some(outbox) = &self.outbox {
            outbox.set(set);
        }
    }

    /// A record became a dead letter.
    pub fn show_dead_letter(&self, position: impl ToString, code: &str, message: &str) {
        if let Some(outbox) = &self.outbox {
            outbox.notice(|| Notice {
                kind: NoticeKind::DeadLetter,
                code: code.to_owned(),
                message: message.to_owned(),
                position: Some(position.to_string()),
            });
        }
    }
}

/// Whether texts of records may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    /// They may.
    Shown,
    /// Ids and scores only.
    Hidden,
}
