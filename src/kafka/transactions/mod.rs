//! Outputs, dead letters and offsets in one transaction (`delivery = "exactly-once"`).
//!
//! The poll thread decides what goes into a transaction, since it knows what is claimed and owned; a
//! thread of its own carries it out, since every call of librdkafka's transactions blocks.

mod broken;
mod endings;
mod membership;
mod producer;
mod refusals;
mod sink;
mod thread;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use tokio::sync::mpsc;
use tracing::debug;

use self::refusals::Refusals;
pub use self::sink::TransactionSink;
use self::thread::TransactionThread;
use super::context::Context;
use super::error::StartError;
use super::hand_out::UNSETTLED_MAX;
use super::settings::Settings;
use super::source::{Bell, KafkaSource};
use crate::stream::{
    Batch, OffsetTracker, Outcome, Output, Partition, Settled, SourceError, Staging,
};
use crate::telemetry::Counts;

/// After an aborted transaction, before the next one. Doubled each time.
const RETRY_WAIT_MIN: Duration = Duration::from_millis(100);
/// A broker that is back is found again soon.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);

/// A source and a sink that publish and commit together.
///
/// What is published for a record is visible, to readers of committed records, exactly when the
/// record's offset is committed; and of each input partition in the order of the inputs, whatever the
/// order in which they were answered.
///
/// Blocks, for `startup_timeout` at most for each of the two. The sink can be used with this source only.
///
/// # Errors
/// As for [`KafkaSource::start`], and where transactions may not be used.
pub fn start_exactly_once(
    settings: &Settings,
) -> Result<(KafkaSource, TransactionSink), StartError> {
    start_exactly_once_counting(settings, &Arc::default())
}

/// As [`start_exactly_once`]; counts what happens to its transactions and clients.
pub fn start_exactly_once_counting(
    settings: &Settings,
    counts: &Arc<Counts>,
) -> Result<(KafkaSource, TransactionSink), StartError> {
    // What is settled above a commit is in no transaction yet, and has no output.
    let settings = &Settings { keep_completed: false, ..settings.clone() };
    let (bell, rings) = Bell::new();
    let (jobs, taken) = crossbeam_channel::bounded(1);
    let (ends, ended) = crossbeam_channel::bounded(1);
    // One publish at a time of each record that is out.
    let (staged, arriving) = mpsc::channel(UNSETTLED_MAX);
    // First: who joins the group holds partitions, and must be able to publish.
    let refusals = Refusals::default();
    TransactionThread::start(settings, taken, ends, bell.clone(), refusals.clone(), counts)?;
    let transactions = Transactions {
        staging: Staging::default(),
        arriving,
        jobs,
        ended,
        interval: settings.transaction_interval,
        records_max: settings.transaction_records,
        is_running: false,
        due: Instant::now(),
        retry_wait: RETRY_WAIT_MIN,
    };
    let source =
        KafkaSource::start_with(settings, Some(transactions), (bell.clone(), rings), counts)?;
    Ok((source, TransactionSink::new(staged, bell, refusals)))
}

/// The poll thread's part.
pub(super) struct Transactions {
    staging: Staging,
    arriving: mpsc::Receiver<Output>,
    jobs: Sender<Job>,
    ended: Receiver<Ended>,
    interval: Duration,
    records_max: usize,
    is_running: bool,
    /// When the next transaction may begin.
    due: Instant,
    retry_wait: Duration,
}

/// A transaction to carry out.
struct Job {
    batch: Batch,
    group: Arc<ConsumerGroupMetadata>,
}

/// How it ended. What can never be published has been told so already.
#[derive(Default)]
struct Ended {
    committed: Batch,
    /// To be published with the next one.
    again: Vec<Output>,
    /// Why there can be no further transaction.
    failed: Option<String>,
}

// === impl Transactions ===

impl Transactions {
    /// How long the poll thread may sleep.
    pub(super) fn wait_max(&self) -> Option<Duration> {
        // Where it is past, the outputs that wait have been looked at; a bell rings for the next one.
        let left = self.due.checked_duration_since(Instant::now())?;
        (!self.is_running && self.staging.waiting() > 0).then_some(left)
    }

    /// How a claimed record ended, to its worker.
    pub(super) fn settled(&mut self, settled: &Settled) {
        match settled.outcome {
            Outcome::Published => self.staging.settled(&settled.position),
            Outcome::Returned | Outcome::Abandoned => self.staging.held(&settled.position),
        }
    }

    pub(super) fn revoke(&mut self, partition: &Partition) {
        self.staging.revoke(partition);
    }

    /// Takes in what was staged and what has ended, and begins a transaction if it is time.
    pub(super) fn advance(
        &mut self,
        consumer: &BaseConsumer<Context>,
        tracker: &mut OffsetTracker,
    ) -> Result<(), SourceError> {
        self.take_in(tracker)?;
        let is_full =
            self.staging.waiting() >= self.records_max && self.retry_wait == RETRY_WAIT_MIN;
        if is_full || Instant::now() >= self.due {
            self.begin(consumer, tracker)?;
        }
        Ok(())
    }

    /// Commits what can be committed, without waiting for its time; true when nothing is left.
    pub(super) fn rest(
        &mut self,
        consumer: &BaseConsumer<Context>,
        tracker: &mut OffsetTracker,
    ) -> bool {
        if self.take_in(tracker).is_err() {
            return true;
        }
        let waits_to_retry = self.retry_wait > RETRY_WAIT_MIN && Instant::now() < self.due;
        if !waits_to_retry && self.begin(consumer, tracker).is_err() {
            return true;
        }
        !self.is_running && !waits_to_retry
    }

    fn take_in(&mut self, tracker: &mut OffsetTracker) -> Result<(), SourceError> {
        while let Ok(output) = self.arriving.try_recv() {
            self.staging.stage(output, tracker);
        }
        let Ended { committed, again, failed } = match self.ended.try_recv() {
            Ok(ended) => ended,
            Err(TryRecvError::Empty) => return Ok(()),
            Err(TryRecvError::Disconnected) => return Err(ended()),
        };
        self.is_running = false;
        if again.is_empty() {
            self.retry_wait = RETRY_WAIT_MIN;
        } else {
            self.due = Instant::now() + self.retry_wait;
            self.retry_wait = (self.retry_wait * 2).min(RETRY_WAIT_MAX);
        }
        let committed = self.staging.committed(committed, tracker);
        committed.into_iter().for_each(Output::published);
        self.staging.put_back(again, tracker);
        failed.map_or(Ok(()), |reason| Err(SourceError::Fatal { reason, source: None }))
    }

    fn begin(
        &mut self,
        consumer: &BaseConsumer<Context>,
        tracker: &OffsetTracker,
    ) -> Result<(), SourceError> {
        if self.is_running || consumer.assignment_lost() {
            return Ok(());
        }
        let Some(batch) = self.staging.take(tracker) else { return Ok(()) };
        let Some(group) = membership::of(consumer) else {
            debug!("the consumer is no member now; the transaction waits");
            self.staging.put_back(batch.outputs, tracker);
            return Ok(());
        };
        self.due = Instant::now() + self.interval;
        self.is_running = true;
        // There is room: one at a time.
        self.jobs.try_send(Job { batch, group: Arc::new(group) }).map_err(|_| ended())
    }
}

fn ended() -> SourceError {
    let reason = "the thread of its transactions has ended".to_owned();
    SourceError::Fatal { reason, source: None }
}
