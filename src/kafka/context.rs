use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender};
use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{NoCustomPartitioner, ProducerContext};
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::{Notify, oneshot, watch};
use tracing::{debug, error, info, trace, warn};

use super::oauth;
use super::settings::{Sasl, Settings};
use super::statistics::{self, Heard};
use super::watchdog::Seen;

/// Events between two looks at them. Only errors can be so many; the rest comes one a poll.
const EVENTS_MAX: usize = 256;

/// What librdkafka reports to the thread that polls it.
#[derive(Debug)]
pub(super) enum Event {
    /// Partitions come.
    Assigned(TopicPartitionList),
    /// Partitions go; they must be unassigned once their work is settled.
    Revoked(TopicPartitionList),
    /// A commit was answered.
    Committed(KafkaResult<()>, TopicPartitionList),
    /// Something went wrong; the client goes on by itself.
    Failed(RDKafkaErrorCode, String),
    /// What the statistics say, if they can be read.
    Statistics(Option<Heard>),
}

/// Receives the callbacks of one client. They run inside a poll, on the thread that polls, and
/// only take notes: the owner of the client decides.
pub(super) struct Context {
    role: &'static str,
    token_file: Option<String>,
    follows_replicas: bool,
    /// Callbacks so far. A poll makes one call at most.
    served: AtomicUsize,
    events: Sender<Event>,
    /// Nobody reads events any more: the consumer closes, and partitions are let go at once.
    pub(super) leaving: Arc<AtomicBool>,
    pub(super) deliveries: Arc<Deliveries>,
}

/// What a producer owes.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    pub(super) in_flight: AtomicUsize,
    /// How many were acknowledged so far.
    pub(super) delivered: AtomicUsize,
    /// Rung at every delivery report.
    pub(super) reported: Notify,
    /// Set when the client was replaced and does not report any more.
    pub(super) silent: watch::Sender<bool>,
}

/// Where a record's fate is reported.
pub(super) type DeliveryReport = oneshot::Sender<Result<(), RDKafkaErrorCode>>;

// === impl Context ===

impl Context {
    /// A context for a client with this role in logs, and what it hears.
    pub(super) fn new(role: &'static str, settings: &Settings) -> (Self, Receiver<Event>) {
        let (events, heard) = crossbeam_channel::bounded(EVENTS_MAX);
        let token_file = match &settings.security.sasl {
            Some(Sasl::OauthBearer { token_file }) => Some(token_file.clone()),
            Some(Sasl::Plain(_) | Sasl::ScramSha256(_) | Sasl::ScramSha512(_)) | None => None,
        };
        let (leaving, deliveries) = (Arc::default(), Arc::default());
        // Whoever says where they are may be sent to a replica nearby (KIP-392).
        let follows_replicas = settings.client.contains_key("client.rack");
        let served = AtomicUsize::new(0);
        (Self { role, token_file, follows_replicas, served, events, leaving, deliveries }, heard)
    }

    /// How often a callback was called so far, so that whoever polls knows whether there may be more.
    pub(super) fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    fn note(&self, event: Event) -> bool {
        self.events.try_send(event).is_ok()
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    // One level lower than librdkafka: it repeats itself, and the polling threads report what lasts.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.count();
        let role = self.role;
        // Pass-through properties go to both clients; each complains about those of the other.
        if facility == "CONFWARN" && message.contains("property and will be ignored by") {
            return debug!(target: "crossrank::kafka::client", role, facility, "{message}");
        }
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                error!(target: "crossrank::kafka::client", role, facility, "{message}");
            }
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                info!(target: "crossrank::kafka::client", role, facility, "{message}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                debug!(target: "crossrank::kafka::client", role, facility, "{message}");
            }
            RDKafkaLogLevel::Debug => {
                trace!(target: "crossrank::kafka::client", role, facility, "{message}");
            }
        }
    }

    /// For the watchdog; and for people, who turn this target up.
    fn stats_raw(&self, json: &[u8]) {
        self.count();
        let text = || String::from_utf8_lossy(json);
        debug!(target: "crossrank::kafka::statistics", role = self.role, "{}", text());
        let heard = statistics::read(json, self.follows_replicas);
        if heard.is_none() {
            debug!(role = self.role, "statistics that cannot be read");
        }
        // A full queue is one that nobody looks at.
        let _noted = self.note(Event::Statistics(heard));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.count();
        if let Some(code) = error.rdkafka_error_code() {
            // A full queue holds 256 errors that nobody has looked at; one more says nothing new.
            let _noted = self.note(Event::Failed(code, reason.to_owned()));
        }
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let file = self.token_file.as_deref().ok_or("no token file is configured")?;
        Ok(oauth::read(file)?)
    }
}

impl ConsumerContext for Context {
    /// Takes a note instead of (un)assigning: revoked partitions first finish their work.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        self.count();
        let revoked = kind != RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let event = if revoked { Event::Revoked } else { Event::Assigned };
        if self.leaving.load(Ordering::Acquire) || !self.note(event(list.clone())) {
            // Without an answer librdkafka would wait for ever. An assignment is answered with
            // nothing: the partitions are not read, and the group moves them on when we leave.
            let_go(consumer, revoked.then_some(list));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        self.count();
        if !self.note(Event::Committed(result, offsets.clone())) {
            debug!("an outcome of a commit was not looked at; it is committed again");
        }
    }
}

impl ProducerContext<NoCustomPartitioner> for Context {
    type DeliveryOpaque = Box<DeliveryReport>;

    fn delivery(&self, result: &DeliveryResult<'_>, report: Self::DeliveryOpaque) {
        let fate = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)),
        };
        if fate.is_ok() {
            self.deliveries.delivered.fetch_add(1, Ordering::AcqRel);
        }
        // Whoever published may have given up waiting.
        let _received = report.send(fate);
        self.deliveries.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.deliveries.reported.notify_waiters();
    }
}

// === impl Deliveries ===

impl Deliveries {
    pub(super) fn count(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// What is waited for, and what came.
    pub(super) fn seen(&self) -> Seen {
        Seen { owed: self.count(), answered: self.delivered.load(Ordering::Acquire) }
    }

    /// Returns when the client will report nothing any more.
    pub(super) async fn silence(&self) {
        let mut silent = self.silent.subscribe();
        // The sender is part of `self`, so it is there.
        drop(silent.wait_for(|silent| *silent).await);
    }
}

/// Takes `list` off the assignment, or everything.
pub(super) fn unassign(
    consumer: &BaseConsumer<Context>,
    list: Option<&TopicPartitionList>,
) -> KafkaResult<()> {
    match (consumer.rebalance_protocol(), list) {
        (RebalanceProtocol::Cooperative, Some(list)) => consumer.incremental_unassign(list),
        (RebalanceProtocol::Cooperative, None) => {
            consumer.incremental_assign(&TopicPartitionList::new())
        }
        (RebalanceProtocol::Eager | RebalanceProtocol::None, _) => consumer.unassign(),
    }
}

/// Answers a revocation of `list`, or an assignment, while leaving the group.
pub(super) fn let_go(consumer: &BaseConsumer<Context>, list: Option<&TopicPartitionList>) {
    // What was never taken cannot be let go, but the revocation must be answered all the same.
    let nothing = TopicPartitionList::new();
    let answered =
        unassign(consumer, list).or_else(|_refused| unassign(consumer, list.and(Some(&nothing))));
    if let Err(error) = answered {
        warn!(%error, "could not let partitions go while leaving the group");
    }
}

/// Adds `list` to the assignment, or makes it the assignment.
pub(super) fn assign(
    consumer: &BaseConsumer<Context>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(list),
    }
}
