use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, TryRecvError};
use rdkafka::Message;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info, warn};

use super::commit::Commits;
use super::context::{Context, Event};
use super::error::Meaning;
use super::headers;
use super::outage::Outage;
use super::rebalance::Rebalances;
use super::settings::Settings;
use super::source::{Bell, CLAIMS_MAX};
use crate::stream::{
    AckHandle, Claimed, OffsetTracker, Outcome, Partition, Record, Settled, Settlement, SourceError,
};

/// The longest sleep. Every wake-up has a bell; this is for one that librdkafka swallows.
const TICK: Duration = Duration::from_millis(100);
/// Handles without an outcome at most. A worker holds far fewer; beyond it nothing is handed out.
const UNSETTLED_MAX: usize = 65_536;

/// Everything that the thread owns which polls the consumer. It never waits for work.
pub(super) struct PollThread {
    pub(super) tracker: OffsetTracker,
    pub(super) lanes: Vec<Lane>,
    pub(super) rebalances: Rebalances,
    pub(super) commits: Commits,
    events: Receiver<Event>,
    wires: Option<Wires>,
    closing: Option<Closing>,
    outage: Outage,
    missing_since: Option<Instant>,
    /// How long the topic may be missing: as long as start-up would wait for the cluster.
    missing_max: Duration,
    /// Where to look first, so that partitions take turns.
    turn: usize,
    /// Handles that have not reported an outcome.
    outstanding: usize,
    leaving: Arc<AtomicBool>,
    topic: Arc<str>,
    // The lanes hold it too; the last to go leaves the group.
    pub(super) consumer: Arc<BaseConsumer<Context>>,
    // Last: it says that the group has been left.
    _ending: oneshot::Sender<()>,
}

/// A partition of ours.
pub(super) struct Lane {
    pub(super) partition: Partition,
    pub(super) revoked: Arc<AtomicBool>,
    pub(super) queue: PartitionQueue<Context>,
}

/// The channels to the source and back.
struct Wires {
    claims: async_channel::Sender<Result<Claimed, SourceError>>,
    /// The other end of `claims`: what was not taken can be taken back.
    unclaimed: async_channel::Receiver<Result<Claimed, SourceError>>,
    outcomes: mpsc::Receiver<Settled>,
    settle: Arc<dyn Fn(Settled) + Send + Sync>,
    requests: Receiver<Close>,
    bell: Bell,
}

/// A request to finish.
pub(super) struct Close {
    pub(super) drain_until: Instant,
    pub(super) done: oneshot::Sender<Result<(), SourceError>>,
}

struct Closing {
    drain_until: Instant,
    commit_until: Option<Instant>,
    request: Option<Close>,
}

// === impl PollThread ===

impl PollThread {
    pub(super) fn new(
        settings: &Settings,
        consumer: Arc<BaseConsumer<Context>>,
        leaving: Arc<AtomicBool>,
        events: Receiver<Event>,
        ending: oneshot::Sender<()>,
    ) -> Self {
        Self {
            tracker: OffsetTracker::default(),
            lanes: Vec::new(),
            rebalances: Rebalances::new(settings.drain_timeout),
            commits: Commits::new(settings.commit_interval),
            events,
            wires: None,
            closing: None,
            outage: Outage::default(),
            missing_since: None,
            missing_max: settings.startup_timeout,
            turn: 0,
            outstanding: 0,
            leaving,
            topic: settings.input_topic.as_str().into(),
            consumer,
            _ending: ending,
        }
    }

    pub(super) fn connect(
        mut self,
        claims: async_channel::Sender<Result<Claimed, SourceError>>,
        unclaimed: async_channel::Receiver<Result<Claimed, SourceError>>,
        requests: Receiver<Close>,
        bell: Bell,
    ) -> Self {
        let (sender, outcomes) = mpsc::channel(UNSETTLED_MAX);
        let ring = bell.clone();
        let settle = Arc::new(move |settled: Settled| {
            // There is room for every handle that is out; once the thread has ended, nobody cares.
            let _taken = sender.try_send(settled);
            ring.ring();
        });
        self.wires = Some(Wires { claims, unclaimed, outcomes, settle, requests, bell });
        self
    }

    /// Runs until the source is closed or dropped, or the consumer fails.
    pub(super) fn run(mut self, rings: &Receiver<()>) {
        loop {
            // Timed out or rung: there may be something to do either way.
            let _woken = rings.recv_timeout(TICK);
            match self.step() {
                Ok(false) => {}
                Ok(true) => return self.leave(),
                Err(error) => return self.fail(error),
            }
        }
    }

    /// One look at everything; true when closing is complete.
    fn step(&mut self) -> Result<bool, SourceError> {
        self.take_outcomes()?;
        self.poll_consumer()?;
        self.advance_rebalance()?;
        self.commit_if_due();
        self.hand_out()?;
        Ok(self.advance_closing())
    }

    pub(super) fn take_outcomes(&mut self) -> Result<(), SourceError> {
        while let Some(settled) = self.wires.as_mut().and_then(|w| w.outcomes.try_recv().ok()) {
            self.outstanding -= 1;
            match self.tracker.settle(&settled) {
                Settlement::Held if settled.outcome == Outcome::Abandoned => {
                    let position = settled.position.to_string();
                    return Err(SourceError::Abandoned { position });
                }
                Settlement::Counted | Settlement::Held => {}
                Settlement::Stale => debug!(position = %settled.position, "outcome came too late"),
            }
        }
        Ok(())
    }

    fn poll_consumer(&mut self) -> Result<(), SourceError> {
        // A poll serves one event; each one that was noted may be followed by another.
        loop {
            match self.consumer.poll(Duration::ZERO) {
                None => {}
                Some(Ok(message)) => {
                    let partition = message.partition();
                    let reason = format!("partition {partition} was read past its own queue");
                    return Err(SourceError::Fatal { reason, source: None });
                }
                Some(Err(error)) => fatal(&self.consumer, error)?,
            }
            let Ok(first) = self.events.try_recv() else {
                break;
            };
            self.take_event(first)?;
        }
        self.watch_cluster()
    }

    fn take_event(&mut self, event: Event) -> Result<(), SourceError> {
        match event {
            Event::Assigned(list) => self.rebalances.assigned(list),
            Event::Revoked(list) => self.rebalances.revoked(list),
            Event::Committed(result, list) => {
                let refused = self.commits.answered(result, &list, &mut self.tracker);
                if let Some(code) = refused {
                    self.take_failure(code, "commit refused")?;
                }
            }
            Event::Failed(code, reason) => self.take_failure(code, &reason)?,
        }
        Ok(())
    }

    fn take_failure(&mut self, code: RDKafkaErrorCode, reason: &str) -> Result<(), SourceError> {
        match Meaning::of(code) {
            Meaning::Unreachable | Meaning::Dns | Meaning::Tls | Meaning::Credentials => {
                self.outage.failed("consumer", code, reason);
            }
            Meaning::TopicMissing => {
                self.missing_since.get_or_insert_with(Instant::now);
                warn!(topic = %self.topic, %code, reason, "input topic is missing");
            }
            Meaning::TopicUnauthorized | Meaning::GroupUnauthorized | Meaning::Fatal => {
                let reason = format!("{reason} ({code})");
                return Err(SourceError::Fatal { reason, source: None });
            }
            Meaning::Transient | Meaning::RecordRefused => {
                info!(%code, reason, "consumer reports an error; it goes on by itself");
            }
        }
        Ok(())
    }

    /// While something is wrong with the cluster, looks whether it still is.
    fn watch_cluster(&mut self) -> Result<(), SourceError> {
        if !self.outage.wants_look(self.missing_since.is_some()) {
            return Ok(());
        }
        let seen = self.consumer.fetch_metadata(Some(&self.topic), TICK);
        let missing = seen.as_ref().is_ok_and(|m| m.topics().iter().all(|t| t.error().is_some()));
        if seen.is_ok() {
            self.outage.over("consumer");
        }
        match self.missing_since {
            Some(since) if missing && since.elapsed() >= self.missing_max => {
                let reason = format!("topic {} no longer exists", self.topic);
                return Err(SourceError::Fatal { reason, source: None });
            }
            Some(_) if seen.is_ok() && !missing => self.missing_since = None,
            Some(_) | None => {}
        }
        Ok(())
    }

    /// Moves records from the partition queues to the claim channel while it has room.
    fn hand_out(&mut self) -> Result<(), SourceError> {
        if self.closing.is_some() || self.lanes.is_empty() {
            return Ok(());
        }
        let mut empty = 0;
        while empty < self.lanes.len() && self.has_room() {
            self.turn = (self.turn + 1) % self.lanes.len();
            if self.hand_out_from(self.turn)? { empty = 0 } else { empty += 1 }
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        let queued = self.wires.as_ref().map_or(CLAIMS_MAX, |wires| wires.claims.len());
        queued < CLAIMS_MAX && self.outstanding < UNSETTLED_MAX
    }

    /// Hands out one record of one partition, if it has one.
    fn hand_out_from(&mut self, lane: usize) -> Result<bool, SourceError> {
        let lane = &self.lanes[lane];
        if lane.revoked.load(Ordering::Acquire) {
            return Ok(false);
        }
        let message = match lane.queue.poll(Duration::ZERO) {
            None => return Ok(false),
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                fatal(&self.consumer, error)?;
                return Ok(false);
            }
        };
        let Some(position) = self.tracker.claim(&lane.partition, message.offset()) else {
            return Ok(false);
        };
        let record = to_record(&message);
        drop(message);
        if let Some(wires) = &self.wires {
            let ack =
                AckHandle::new(position, Arc::clone(&lane.revoked), Arc::clone(&wires.settle));
            self.outstanding += 1;
            // Room was there, and nobody else sends. A closed channel drops the handle, which
            // counts as abandoned: the record is read again.
            let _sent = wires.claims.try_send(Ok(Claimed { record, ack }));
            self.outage.over("consumer");
        }
        Ok(true)
    }

    /// Takes back what was handed out but not claimed, where `which` says so.
    pub(super) fn take_back(&self, which: impl Fn(&Claimed) -> bool) {
        let Some(wires) = &self.wires else {
            return;
        };
        let mut kept = Vec::new();
        while let Ok(item) = wires.unclaimed.try_recv() {
            match item {
                Ok(claimed) if which(&claimed) => claimed.ack.returned(),
                other => kept.push(other),
            }
        }
        for item in kept {
            // They came out of it, so there is room for them.
            let _sent = wires.claims.try_send(item);
        }
    }

    pub(super) fn bell(&self) -> Option<Bell> {
        self.wires.as_ref().map(|wires| wires.bell.clone())
    }

    fn commit_if_due(&mut self) {
        if self.commits.is_due() && !self.consumer.assignment_lost() {
            self.commits.start(&self.consumer, &self.tracker);
        }
    }

    /// Starts and pursues a close; true when there is nothing left to wait for.
    fn advance_closing(&mut self) -> bool {
        let now = Instant::now();
        if self.closing.is_none() {
            let Some(wires) = &self.wires else { return true };
            let closing = match wires.requests.try_recv() {
                Ok(request) => Closing {
                    drain_until: request.drain_until,
                    commit_until: None,
                    request: Some(request),
                },
                // The source was dropped: nobody will settle for sure, so nothing is waited for.
                Err(TryRecvError::Disconnected) => {
                    Closing { drain_until: now, commit_until: None, request: None }
                }
                Err(TryRecvError::Empty) => return false,
            };
            self.closing = Some(closing);
            self.take_back(|_| true);
            if let Err(error) = self.take_outcomes() {
                warn!(%error, "while closing");
            }
        }
        let unsettled = self.tracker.unsettled();
        let Some(closing) = &mut self.closing else { return false };
        if unsettled > 0 && now < closing.drain_until {
            return false;
        }
        let until = *closing.commit_until.get_or_insert(now + Commits::WAIT_MAX);
        self.revoke_all();
        now >= until || self.commit_rest()
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

    fn leave(mut self) {
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
    fn fail(mut self, error: SourceError) {
        tracing::error!(%error, "the source stops");
        self.revoke_all();
        self.take_back(|_| true);
        if let Some(wires) = &self.wires {
            // Everything else was taken back, so there is room.
            let _told = wires.claims.try_send(Err(error));
            wires.claims.close();
        }
        let until = Instant::now() + Commits::WAIT_MAX;
        loop {
            while let Some(settled) = self.wires.as_mut().and_then(|w| w.outcomes.try_recv().ok()) {
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

impl Drop for PollThread {
    fn drop(&mut self) {
        self.leaving.store(true, Ordering::Release);
        // A lane holds the consumer, and its queue must go before the partition does.
        self.lanes.clear();
    }
}

/// Only an error that the client itself calls fatal; the others have been noted by the context.
fn fatal(consumer: &BaseConsumer<Context>, error: KafkaError) -> Result<(), SourceError> {
    match error {
        KafkaError::MessageConsumptionFatal(code) => {
            let known = consumer.client().fatal_error();
            let reason = known.map_or_else(|| code.to_string(), |(_, reason)| reason);
            Err(SourceError::Fatal { reason, source: Some(Box::new(error)) })
        }
        _noted => Ok(()),
    }
}

fn to_record(message: &BorrowedMessage<'_>) -> Record {
    Record {
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers: headers::read(message),
        timestamp_ms: message.timestamp().to_millis(),
    }
}
