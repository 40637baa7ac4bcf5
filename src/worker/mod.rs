//! A record's way from claim to commit.
//!
//! ```text
//! claim → decode → score → rank → context → publish → acknowledge
//!            └─────────┴──── dead letter ──────┘
//! ```
//!
//! Each claimed record is a task of its own; [`Settings::sets_max`] and [`Settings::bytes_max`]
//! bound how many there are. A record's [`AckHandle`](crate::stream::AckHandle) travels with it and
//! is redeemed only when the broker has acknowledged its output or its dead letter.

mod admission;
mod answer;
mod breaker;
mod deadline;
mod error;
mod failure;
mod ordering;
mod outcome;
mod publisher;
mod settings;
mod shown;
mod task;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

pub use answer::{AnswerError, AnswerSettings, Answered, Reranker};
pub use breaker::{BreakerSettings, Tripped};
pub use deadline::{Deadlines, LatePolicy};
pub use error::WorkerError;
pub use failure::Failure;
pub use ordering::OutputOrder;
pub use settings::Settings;

use admission::Admission;
use task::Task;

use crate::engine::Scorer;
use crate::stream::{Partition, RecordSink, RecordSource, SourceError};
use crate::telemetry::board::Phase;
use crate::telemetry::{Counts, Tracer};

/// Takes candidate sets from a source, answers them, and publishes the answers to a sink.
pub struct Worker<S, K, E> {
    source: S,
    sink: Arc<K>,
    task: Arc<Task<K, E>>,
    settings: Settings,
    counts: Arc<Counts>,
}

/// What happened while the worker waited for something.
enum Turn<T> {
    Ready(T),
    Shutdown,
    Failed(WorkerError),
}

// === impl Worker ===

impl<S: RecordSource, K: RecordSink, E: Scorer> Worker<S, K, E> {
    /// A worker that answers with `reranker`. `group` is named in dead letters.
    pub fn new(
        source: S,
        sink: K,
        reranker: Arc<Reranker<E>>,
        group: &str,
        settings: Settings,
    ) -> Self {
        let counts = Arc::clone(reranker.counts());
        let (sink, group) = (Arc::new(sink), Arc::from(group));
        counts.reads_for(&group);
        let task = Arc::new(Task::new(&sink, reranker, group, &settings));
        Self { source, sink, task, settings, counts }
    }

    /// Traces each set from its claim to its acknowledgement.
    #[must_use]
    pub fn with_tracer(mut self, tracer: Tracer) -> Self {
        if let Some(task) = Arc::get_mut(&mut self.task) {
            task.trace(tracer);
        }
        self
    }

    /// Works until `shutdown` is ready, then finishes what is begun, gives back what is not,
    /// commits and flushes, all within `shutdown_timeout`.
    ///
    /// # Errors
    /// The first failure that makes going on impossible or unsafe, or a shutdown that ran out of
    /// time. What was not acknowledged is not committed, and will be read again.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), WorkerError> {
        let mut running = JoinSet::new();
        self.counts.board.enter(Phase::Working);
        let worked = self.work(&mut running, pin!(shutdown)).await;
        let deadline = Instant::now() + self.settings.shutdown_timeout;
        self.task.stop();
        self.counts.board.enter(Phase::Stopping);
        tracing::info!(in_flight = running.len(), "stopping: no further set is taken");
        let closed = self.source.close(self.settings.shutdown_timeout).await;
        let drained = drain(&mut running, deadline).await;
        let left = deadline.saturating_duration_since(Instant::now());
        let flushed = self.sink.flush(left).await;
        // A task that fails gives its record up, which the source may tell sooner than the task
        // tells why.
        if matches!(worked, Err(WorkerError::Source(SourceError::Abandoned { .. }))) {
            return drained.and(worked);
        }
        worked?;
        drained?;
        closed.map_err(WorkerError::Source)?;
        flushed.map_err(WorkerError::Flush)
    }

    /// Claims and starts work until shutdown or failure.
    async fn work(
        &mut self,
        running: &mut JoinSet<Result<(), WorkerError>>,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), WorkerError> {
        let admission = Admission::new(self.settings.sets_max, self.settings.bytes_max);
        loop {
            let set = match turn(running, shutdown.as_mut(), admission.set()).await {
                Turn::Ready(set) => set,
                Turn::Shutdown => return Ok(()),
                Turn::Failed(error) => return Err(error),
            };
            let claimed = match turn(running, shutdown.as_mut(), self.source.claim()).await {
                Turn::Ready(claimed) => claimed.map_err(WorkerError::Source)?,
                Turn::Shutdown => return Ok(()),
                Turn::Failed(error) => return Err(error),
            };
            self.counts.sets_claimed.add(1);
            let Partition { topic, index } = &claimed.ack.position().partition;
            self.counts.partitions.claimed(topic, *index, claimed.record.bytes());
            // Before anything is waited for, so that places are taken in the order of the claims.
            let place = self.task.place(&claimed);
            let cost = admission::cost(&claimed.record);
            let in_flight = self.counts.take_in(cost);
            let bytes = admission.bytes(cost);
            let bytes = match turn(running, shutdown.as_mut(), bytes).await {
                Turn::Ready(bytes) => bytes,
                Turn::Shutdown => {
                    claimed.ack.returned();
                    return Ok(());
                }
                Turn::Failed(error) => return Err(error),
            };
            let task = Arc::clone(&self.task);
            running.spawn(async move {
                let _room = (set, bytes, in_flight);
                task.run(claimed, place).await
            });
        }
    }
}

/// Waits for `work`, and meanwhile for the end of a task and for shutdown.
async fn turn<T>(
    running: &mut JoinSet<Result<(), WorkerError>>,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
    work: impl Future<Output = T>,
) -> Turn<T> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            Some(ended) = running.join_next() => {
                if let Err(error) = outcome(ended) {
                    return Turn::Failed(error);
                }
            }
            () = shutdown.as_mut() => return Turn::Shutdown,
            ready = work.as_mut() => return Turn::Ready(ready),
        }
    }
}

/// Waits for what is still running, and gives up on it at `deadline`.
async fn drain(
    running: &mut JoinSet<Result<(), WorkerError>>,
    deadline: Instant,
) -> Result<(), WorkerError> {
    let mut first = Ok(());
    while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, running.join_next()).await {
        first = first.and(outcome(ended));
    }
    running.shutdown().await;
    first
}

fn outcome(ended: Result<Result<(), WorkerError>, JoinError>) -> Result<(), WorkerError> {
    ended.map_err(WorkerError::Panicked)?
}
