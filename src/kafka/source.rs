use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::sync::oneshot;
use tokio::time::timeout_at;
use tracing::warn;

use super::client;
use super::closing::{Close, Deadlines, LEAVE_MAX};
use super::context::Context;
use super::error::{StartError, creation_error};
use super::poll::{Member, PollThread, Wires};
use super::reach::probe;
use super::settings::Settings;
use super::transactions::Transactions;
use super::watch::Watch;
use crate::stream::{Claimed, RecordSource, SourceError};
use crate::telemetry::Counts;

/// What the thread may take to answer beyond its deadline. It looks every 0.1 s, unless librdkafka
/// holds it up.
const ANSWER_GRACE: Duration = Duration::from_secs(1);

/// A member of the configured group, reading the input topic.
///
/// One thread owns the consumer and never waits for work. Dropping the source without
/// [`RecordSource::close`] commits what is settled and leaves the group, in that thread.
#[derive(Debug)]
pub struct KafkaSource {
    claims: async_channel::Receiver<Result<Claimed, SourceError>>,
    bell: Bell,
    commands: Sender<Close>,
    /// Nothing is ever sent: it resolves when the thread has left the group and ended.
    ended: oneshot::Receiver<()>,
}

/// Wakes the poll thread. Ringing twice before it looks is ringing once.
#[derive(Clone, Debug)]
pub(super) struct Bell(Sender<()>);

// === impl KafkaSource ===

impl KafkaSource {
    /// Checks brokers, credentials, topic and group, and joins the group.
    ///
    /// Blocks, for `startup_timeout` at most. Partitions are assigned after it has returned.
    pub fn start(settings: &Settings) -> Result<Self, StartError> {
        Self::start_counting(settings, &Arc::default())
    }

    /// As [`Self::start`]; counts what happens to its client.
    pub fn start_counting(settings: &Settings, counts: &Arc<Counts>) -> Result<Self, StartError> {
        Self::start_with(settings, None, Bell::new(), counts)
    }

    /// With `transactions`, those commit what is settled.
    pub(super) fn start_with(
        settings: &Settings,
        transactions: Option<Transactions>,
        (bell, rings): (Bell, Receiver<()>),
        counts: &Arc<Counts>,
    ) -> Result<Self, StartError> {
        let report = probe(settings, &[&settings.input_topic])?;
        let partitions = report.topics.iter().map(|topic| topic.partitions).sum();
        let member = Member::create(settings, partitions, bell.clone())?;
        member.consumer.subscribe(&[&settings.input_topic]).map_err(creation_error)?;
        let (ending, ended) = oneshot::channel();
        let (wires, claims, commands) = Wires::new(bell.clone());
        let watch = Watch::over_consumer(&Arc::new(settings.clone()), counts);
        let poll = PollThread::new(member, wires, watch, partitions, ending, transactions);
        const NAME: &str = "kafka-poll";
        thread::Builder::new()
            .name(NAME.to_owned())
            .spawn(move || poll.run(&rings))
            .map_err(|source| StartError::Thread { name: NAME, source })?;
        Ok(Self { claims, bell, commands, ended })
    }

    /// What the poll thread ended with, if nobody has been told.
    fn untold(&self) -> Result<(), SourceError> {
        match self.claims.try_recv() {
            Ok(Err(error)) => Err(error),
            Ok(Ok(claimed)) => {
                claimed.ack.returned();
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }
}

impl RecordSource for KafkaSource {
    async fn claim(&mut self) -> Result<Claimed, SourceError> {
        loop {
            let claimed = self.claims.recv().await;
            self.bell.ring();
            match claimed {
                // Taken away between hand-over and here.
                Ok(Ok(claimed)) if claimed.ack.is_revoked() => claimed.ack.returned(),
                Ok(claimed) => return claimed,
                Err(_closed) => {
                    let reason = "its thread has ended".to_owned();
                    return Err(SourceError::Fatal { reason, source: None });
                }
            }
        }
    }

    async fn close(mut self, drain_max: Duration) -> Result<(), SourceError> {
        let (done, settled) = oneshot::channel();
        let deadlines = Deadlines::within(Instant::now(), drain_max);
        let request = Close { deadlines, done };
        // If the thread has ended, so it says below.
        let _asked = self.commands.try_send(request);
        self.bell.ring();
        let answer = async {
            tokio::select! {
                biased;
                Ok(result) = settled => Some(result),
                _ = &mut self.ended => None,
            }
        };
        // The thread keeps to the deadlines by itself; this is for one that librdkafka holds up.
        let limit = deadlines.leave + ANSWER_GRACE;
        let result = match timeout_at(limit.into(), answer).await {
            Ok(Some(result)) => result,
            Ok(None) => return self.untold(),
            Err(_elapsed) => {
                let reason =
                    format!("its thread has not answered for {:?}", drain_max + ANSWER_GRACE);
                return Err(SourceError::Fatal { reason, source: None });
            }
        };
        let limit = deadlines.leave.min(Instant::now() + LEAVE_MAX);
        if timeout_at(limit.into(), &mut self.ended).await.is_err() {
            warn!("time is up while leaving the group; it may notice by the session timeout only");
        }
        result
    }
}

// === impl Member ===

impl Member {
    /// A new consumer. Reaches for nothing yet.
    pub(super) fn create(
        settings: &Settings,
        partitions: usize,
        bell: Bell,
    ) -> Result<Self, StartError> {
        let (context, events) = Context::new("consumer", settings);
        let leaving = Arc::clone(&context.leaving);
        let config = client::watched(client::consumer(settings, partitions));
        let mut consumer: BaseConsumer<Context> =
            config.create_with_context(context).map_err(creation_error)?;
        consumer.set_nonempty_callback(move || bell.ring());
        Ok(Self { consumer, events, leaving })
    }
}

// === impl Bell ===

impl Bell {
    pub(super) fn new() -> (Self, Receiver<()>) {
        let (bell, rings) = crossbeam_channel::bounded(1);
        (Self(bell), rings)
    }

    pub(super) fn ring(&self) {
        // Full: it rings already. Disconnected: nobody is left to wake.
        let _rung = self.0.try_send(());
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        // The thread sees that nobody can close it any more.
        self.bell.ring();
    }
}
