use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rdkafka::Message;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info, warn};

use super::closing::{Close, Closing};
use super::commit::Commits;
use super::context::{Context, Event};
use super::error::Meaning;
use super::hand_out::{CLAIMS_MAX, UNSETTLED_MAX};
use super::outage::Outage;
use super::rebalance::Rebalances;
use super::showing::Showing;
use super::source::Bell;
use super::transactions::Transactions;
use super::watch::Watch;
use crate::stream::{Claimed, OffsetTracker, Outcome, Partition, Settled, Settlement, SourceError};

/// The longest sleep. Every wake-up has a bell; this is for one that librdkafka swallows.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// Events of the client that are served in a row; then other things have their turn.
pub(super) const SERVED_MAX: usize = 1000;

/// Everything that the thread owns which polls the consumer. It never waits for work.
pub(super) struct PollThread {
    pub(super) tracker: OffsetTracker,
    pub(super) lanes: Vec<Lane>,
    pub(super) rebalances: Rebalances,
    pub(super) commits: Commits,
    /// Where they are there, they commit instead.
    pub(super) transactions: Option<Transactions>,
    pub(super) events: Receiver<Event>,
    pub(super) wires: Wires,
    pub(super) closing: Option<Closing>,
    pub(super) outage: Outage,
    pub(super) watch: Watch,
    pub(super) showing: Showing,
    /// Consumers that were replaced.
    pub(super) left: Vec<Arc<BaseConsumer<Context>>>,
    missing_since: Option<Instant>,
    /// How long the topic may be missing: as long as start-up would wait for the cluster.
    missing_max: Duration,
    /// Where to look first, so that partitions take turns.
    pub(super) turn: usize,
    /// Handles that have not reported an outcome.
    pub(super) outstanding: usize,
    pub(super) uncommitted_max: usize,
    pub(super) leaving: Arc<AtomicBool>,
    topic: Arc<str>,
    /// Of the topic, when it was last looked at.
    pub(super) partitions: usize,
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
pub(super) struct Wires {
    pub(super) claims: async_channel::Sender<Result<Claimed, SourceError>>,
    /// The other end of `claims`: what was not taken can be taken back.
    pub(super) unclaimed: async_channel::Receiver<Result<Claimed, SourceError>>,
    pub(super) outcomes: mpsc::Receiver<Settled>,
    pub(super) settle: Arc<dyn Fn(Settled) + Send + Sync>,
    pub(super) requests: Receiver<Close>,
    pub(super) bell: Bell,
}

/// A consumer, and what belongs to it.
pub(super) struct Member {
    pub(super) consumer: BaseConsumer<Context>,
    pub(super) events: Receiver<Event>,
    pub(super) leaving: Arc<AtomicBool>,
}

// === impl Wires ===

impl Wires {
    /// The thread's ends, and those of the source: claims and requests.
    pub(super) fn new(
        bell: Bell,
    ) -> (Self, async_channel::Receiver<Result<Claimed, SourceError>>, Sender<Close>) {
        let (claims, unclaimed) = async_channel::bounded(CLAIMS_MAX);
        let (commands, requests) = crossbeam_channel::bounded(1);
        let (sender, outcomes) = mpsc::channel(UNSETTLED_MAX);
        let ring = bell.clone();
        let settle = Arc::new(move |settled: Settled| {
            // There is room for every handle that is out; once the thread has ended, nobody cares.
            let _taken = sender.try_send(settled);
            ring.ring();
        });
        let source = unclaimed.clone();
        (Self { claims, unclaimed, outcomes, settle, requests, bell }, source, commands)
    }
}

// === impl PollThread ===

impl PollThread {
    pub(super) fn new(
        member: Member,
        wires: Wires,
        watch: Watch,
        partitions: usize,
        ending: oneshot::Sender<()>,
        transactions: Option<Transactions>,
    ) -> Self {
        let settings = watch.settings();
        let Member { consumer, events, leaving } = member;
        Self {
            tracker: OffsetTracker::default(),
            lanes: Vec::new(),
            rebalances: Rebalances::new(settings.drain_timeout),
            commits: Commits::new(settings.commit_interval, settings.keep_completed),
            transactions,
            events,
            wires,
            closing: None,
            outage: Outage::default(),
            left: Vec::new(),
            missing_since: None,
            missing_max: settings.startup_timeout,
            turn: 0,
            outstanding: 0,
            uncommitted_max: settings.uncommitted_max,
            leaving,
            topic: settings.input_topic.as_str().into(),
            partitions,
            watch,
            showing: Showing::default(),
            consumer: Arc::new(consumer),
            _ending: ending,
        }
    }

    /// Runs until the source is closed or dropped, or the consumer fails.
    pub(super) fn run(mut self, rings: &Receiver<()>) {
        loop {
            // Timed out or rung: there may be something to do either way.
            let transaction = self.transactions.as_ref().and_then(Transactions::wait_max);
            let _woken = rings.recv_timeout(transaction.unwrap_or(TICK).min(TICK));
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
        self.watch_client()?;
        self.advance_rebalance()?;
        self.commit_if_due()?;
        self.hand_out()?;
        self.show();
        self.advance_closing()
    }

    pub(super) fn take_outcomes(&mut self) -> Result<(), SourceError> {
        while let Ok(settled) = self.wires.outcomes.try_recv() {
            self.outstanding -= 1;
            match self.settle(&settled) {
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

    /// Takes an outcome to whom it concerns.
    pub(super) fn settle(&mut self, settled: &Settled) -> Settlement {
        let settlement = self.tracker.settle(settled);
        if let Some(transactions) = &mut self.transactions
            && settlement != Settlement::Stale
        {
            transactions.settled(settled);
        }
        settlement
    }

    fn poll_consumer(&mut self) -> Result<(), SourceError> {
        // A poll serves one event, and a client that is asked to log its doings has many.
        for _ in 0..SERVED_MAX {
            let served = self.consumer.context().served();
            match self.consumer.poll(Duration::ZERO) {
                None => {}
                Some(Ok(message)) => {
                    let partition = message.partition();
                    let reason = format!("partition {partition} was read past its own queue");
                    return Err(SourceError::Fatal { reason, source: None });
                }
                Some(Err(error)) => fatal(&self.consumer, error)?,
            }
            while let Ok(event) = self.events.try_recv() {
                self.take_event(event)?;
            }
            if self.consumer.context().served() == served {
                break;
            }
        }
        self.watch_cluster()
    }

    fn take_event(&mut self, event: Event) -> Result<(), SourceError> {
        match event {
            Event::Assigned(list) => self.rebalances.assigned(list),
            Event::Revoked(list) => self.rebalances.revoked(list),
            Event::Committed(result, list) => {
                if result.is_ok() {
                    self.outage.over("consumer");
                }
                let refused = self.commits.answered(result, &list, &mut self.tracker);
                if let Some(code) = refused {
                    self.take_failure(code, "commit refused")?;
                }
            }
            Event::Failed(code, reason) => self.take_failure(code, &reason)?,
            Event::Statistics(heard) => {
                self.showing.heard(heard.as_ref());
                self.watch.heard(heard);
            }
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
        // Asking also makes a client connect that let go of its brokers because it had no use for them.
        if !self.outage.wants_look(self.missing_since.is_some() || self.watch.is_alone()) {
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

    fn commit_if_due(&mut self) -> Result<(), SourceError> {
        if let Some(transactions) = &mut self.transactions {
            return transactions.advance(&self.consumer, &mut self.tracker);
        }
        // Before the interval is over, where its partition could not go on otherwise.
        let crowded = |lane: &Lane| {
            self.tracker.uncommitted_of(&lane.partition) > self.uncommitted_max / 2
                && self.tracker.committable(&lane.partition).is_some()
        };
        let due =
            self.commits.is_due() || (!self.commits.is_pending() && self.lanes.iter().any(crowded));
        if due && !self.consumer.assignment_lost() {
            self.commits.start(&self.consumer, &self.tracker);
        }
        Ok(())
    }
}

/// Only an error that the client itself calls fatal; the others have been noted by the context.
pub(super) fn fatal(
    consumer: &BaseConsumer<Context>,
    error: KafkaError,
) -> Result<(), SourceError> {
    match error {
        KafkaError::MessageConsumptionFatal(code) => {
            let known = consumer.client().fatal_error();
            let reason = known.map_or_else(|| code.to_string(), |(_, reason)| reason);
            Err(SourceError::Fatal { reason, source: Some(Box::new(error)) })
        }
        _noted => Ok(()),
    }
}
