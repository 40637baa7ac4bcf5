use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use tracing::{debug, error, info, warn};

use super::client;
use super::context::Context;
use super::error::StartError;
use super::settings::Settings;
use super::statistics::Heard;
use super::watchdog::{Goal, Limits, Seen, Sign, Verdict, Watchdog};
use crate::stream::Partition;
use crate::telemetry::{Board, Counts};

/// How long a fresh client may take to reach the cluster.
const PROBE_MAX: Duration = Duration::from_secs(5);
/// One request of it.
const REQUEST_MAX: Duration = Duration::from_secs(1);
/// What it is called, after the name of the other clients.
const PROBE_SUFFIX: &str = "-watchdog";
const PAUSE: Duration = Duration::from_millis(50);

/// What the owner of the client has to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Make a new one, and report it to [`Watch::rebuilt`].
    Rebuild(Sign),
    /// End, with this reason.
    GiveUp(String),
}

/// A watchdog with what it needs: fresh clients in threads of their own, a log, a count.
///
/// For any client that is polled several times a second and is created through [`client::watched`]. Its
/// owner passes on what the statistics say, looks, and does what it is told.
pub(super) struct Watch {
    role: &'static str,
    settings: Arc<Settings>,
    counts: Arc<Counts>,
    watchdog: Watchdog,
    /// What the fresh client that is under way looks for, and its answer.
    probe: Option<(Goal, Receiver<bool>)>,
}

// === impl Watch ===

impl Watch {
    /// Over a member of a group, which always needs a broker.
    pub(super) fn over_consumer(settings: &Arc<Settings>, counts: &Arc<Counts>) -> Self {
        Self::new("consumer", true, settings, counts)
    }

    /// Over a producer, which needs a broker when it has something to send.
    pub(super) fn over_producer(settings: &Arc<Settings>, counts: &Arc<Counts>) -> Self {
        Self::new("producer", false, settings, counts)
    }

    fn new(
        role: &'static str,
        always: bool,
        settings: &Arc<Settings>,
        counts: &Arc<Counts>,
    ) -> Self {
        let (alone, stalled) = (settings.watchdog_timeout, settings.delivery_timeout * 2);
        let watchdog = Watchdog::new(Instant::now(), Limits { alone, stalled, always });
        let (settings, counts) = (Arc::clone(settings), Arc::clone(counts));
        Self { role, settings, counts, watchdog, probe: None }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(super) fn board(&self) -> &Board {
        &self.counts.board
    }

    /// Takes what the statistics of the client say.
    pub(super) fn heard(&mut self, heard: Option<Heard>) {
        self.watchdog.heard(Instant::now(), heard);
    }

    /// Whether the client has no broker.
    pub(super) fn is_alone(&self) -> bool {
        self.watchdog.is_alone()
    }

    /// Whether the client has no broker, and needs one.
    pub(super) fn lacks_broker(&self) -> bool {
        self.watchdog.lacks_broker()
    }

    /// To be called several times a second. Does not block.
    pub(super) fn look(&mut self, seen: Seen) -> Option<Order> {
        self.take_answer();
        match self.watchdog.look(Instant::now(), seen) {
            Verdict::Fine => None,
            Verdict::Probe(goal) => {
                self.probe(goal);
                None
            }
            Verdict::Rebuild(sign) => {
                let (client, owed) = (self.role, seen.owed);
                let astray = self.watchdog.astray().map(tracing::field::display);
                warn!(client, %sign, owed, astray, "a Kafka client is stuck while the cluster can be reached; it is replaced");
                Some(Order::Rebuild(sign))
            }
            Verdict::GiveUp(sign) => Some(Order::GiveUp(format!(
                "{sign}, and new clients had none either, though others reach the cluster; look at the \
                 network between this host and each broker as the cluster advertises it, and start \
                 again"
            ))),
        }
    }

    /// The client was replaced, or could not be: a file that it needs may be missing for a moment.
    pub(super) fn rebuilt(&mut self, sign: Sign, made: Result<(), StartError>) {
        let client = self.role;
        match made {
            Ok(()) => {
                self.counts.client_rebuilds.add(1);
                info!(client, "a new Kafka client is in place");
            }
            Err(error) => warn!(client, %error, "cannot replace a Kafka client; tried again"),
        }
        self.watchdog.rebuilt(Instant::now(), sign);
    }

    fn take_answer(&mut self) {
        let Some((goal, probe)) = &self.probe else { return };
        let (goal, answer) = (*goal, probe.try_recv());
        let reached = match answer {
            Err(TryRecvError::Empty) => return,
            Ok(reached) => reached,
            Err(TryRecvError::Disconnected) => false,
        };
        debug!(client = self.role, ?goal, reached, "a fresh client looked for the cluster");
        self.probe = None;
        self.watchdog.probed(Instant::now(), goal, reached);
    }

    fn probe(&mut self, goal: Goal) {
        let (answer, answered) = crossbeam_channel::bounded(1);
        let settings = Arc::clone(&self.settings);
        let partition = match goal {
            Goal::Cluster => None,
            Goal::Leader => self.watchdog.astray().cloned(),
        };
        // The thread ends by itself. Whoever asked may be gone by then.
        let probe = move || {
            let _taken = answer.send(reaches(&settings, partition.as_ref()));
        };
        let spawned = thread::Builder::new().name("kafka-watchdog".to_owned()).spawn(probe);
        if let Err(error) = spawned {
            // Its end of the channel is gone, so it counts as not reached.
            error!(%error, "cannot start a thread to look for the cluster");
        }
        self.probe = Some((goal, answered));
    }
}

/// Whether a fresh client gets an answer that names a broker, or one from the broker that leads a partition.
fn reaches(settings: &Settings, partition: Option<&Partition>) -> bool {
    let (context, _unheard) = Context::new("watchdog", settings);
    let consumer: KafkaResult<BaseConsumer<Context>> = fresh(settings).create_with_context(context);
    let consumer = match consumer {
        Ok(consumer) => consumer,
        Err(error) => {
            warn!(%error, "cannot create a client to look for the cluster");
            return false;
        }
    };
    let until = Instant::now() + PROBE_MAX;
    loop {
        // Serves a request for a token, and paces those that are answered at once.
        drop(consumer.poll(PAUSE));
        let is_seen = match partition {
            Some(Partition { topic, index }) => {
                consumer.fetch_watermarks(topic, *index, REQUEST_MAX).is_ok()
            }
            None => consumer
                .fetch_metadata(Some(&settings.input_topic), REQUEST_MAX)
                .is_ok_and(|metadata| !metadata.brokers().is_empty()),
        };
        if is_seen {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
    }
}

fn fresh(settings: &Settings) -> ClientConfig {
    let mut config = client::common(settings);
    // So that brokers and their logs can tell it from the others.
    let id = config.get("client.id").unwrap_or_default();
    let id = format!("{id}{PROBE_SUFFIX}");
    config.set("client.id", id);
    // In an outage it would only repeat what the others say.
    config.set_log_level(RDKafkaLogLevel::Emerg);
    config
}
