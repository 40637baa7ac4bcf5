use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::sync::oneshot;
use tracing::info;

use super::client;
use super::context::{Context, Deliveries, DeliveryReport, Event};
use super::error::{Meaning, StartError, creation_error};
use super::headers;
use super::outage::Outage;
use super::reach::Reach;
use super::settings::Settings;
use crate::stream::{Position, PublishError, Record, RecordSink};

/// How long the polling thread sleeps at most before it looks whether it should end.
const POLL_MAX: Duration = Duration::from_millis(100);

/// An idempotent producer. A publish returns when every in-sync replica has the record.
///
/// Its thread owns the producer; dropping the sink ends the thread, and what is in flight then is
/// given up: [`RecordSink::flush`] first.
pub struct KafkaSink {
    producer: Weak<BaseProducer<Context>>,
    deliveries: Arc<Deliveries>,
    delivery_timeout: Duration,
    stop: Arc<AtomicBool>,
}

// === impl KafkaSink ===

impl KafkaSink {
    /// Reaches for the brokers. Blocks, for `startup_timeout` at most.
    pub fn start(settings: &Settings) -> Result<Self, StartError> {
        let (context, events) = Context::new("producer", settings);
        let deliveries = Arc::clone(&context.deliveries);
        let producer: BaseProducer<Context> =
            client::producer(settings).create_with_context(context).map_err(creation_error)?;
        let until = Instant::now() + settings.startup_timeout;
        let mut reach = Reach::new(settings, &events, until);
        loop {
            producer.poll(Duration::ZERO);
            reach.listen()?;
            // Known from the first answer of any broker.
            if producer.client().fetch_cluster_id(reach.request_max() / 4).is_some() {
                break;
            }
            if reach.is_over() {
                return Err(reach.give_up("the cluster", RDKafkaErrorCode::OperationTimedOut));
            }
        }
        let producer = Arc::new(producer);
        let stop = Arc::new(AtomicBool::new(false));
        let sink = Self {
            producer: Arc::downgrade(&producer),
            deliveries,
            delivery_timeout: settings.delivery_timeout,
            stop: Arc::clone(&stop),
        };
        const NAME: &str = "kafka-produce";
        thread::Builder::new()
            .name(NAME.to_owned())
            .spawn(move || poll(&producer, &events, &stop))
            .map_err(|source| StartError::Thread { name: NAME, source })?;
        Ok(sink)
    }

    /// Publishes one record, and returns once every in-sync replica has it.
    ///
    /// # Errors
    /// As for [`RecordSink::publish`].
    pub async fn send(&self, topic: &str, record: Record) -> Result<(), PublishError> {
        let (report, reported) = oneshot::channel();
        let mut report = Box::new(report);
        let until = tokio::time::Instant::now() + self.delivery_timeout;
        loop {
            // Listens before it asks, so that no room that is made in between is missed.
            let room = self.deliveries.reported.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            let error = match self.enqueue(topic, &record, report) {
                Ok(()) => break,
                Err((error, back)) => {
                    report = back;
                    error
                }
            };
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::InvalidRecord);
            if code != RDKafkaErrorCode::QueueFull
                || tokio::time::timeout_at(until, room).await.is_err()
            {
                return Err(self.error(topic, code));
            }
        }
        drop(record);
        match reported.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(code)) => Err(self.error(topic, code)),
            Err(_ended) => Err(self.error(topic, RDKafkaErrorCode::PurgeQueue)),
        }
    }

    /// Gives the record to the client, which copies it; the report goes back if it has no room.
    fn enqueue(
        &self,
        topic: &str,
        record: &Record,
        report: Box<DeliveryReport>,
    ) -> Result<(), (KafkaError, Box<DeliveryReport>)> {
        let Some(producer) = self.producer.upgrade() else {
            return Err((KafkaError::Canceled, report));
        };
        let message = BaseRecord::<[u8], [u8], _> {
            topic,
            partition: None,
            payload: record.value.as_deref(),
            key: record.key.as_deref(),
            timestamp: record.timestamp_ms,
            headers: headers::write(&record.headers),
            delivery_opaque: report,
        };
        // Before it is sent: its report may come before this thread goes on.
        self.deliveries.in_flight.fetch_add(1, Ordering::AcqRel);
        producer.send(message).map_err(|(error, message)| {
            self.deliveries.in_flight.fetch_sub(1, Ordering::AcqRel);
            (error, message.delivery_opaque)
        })
    }

    fn error(&self, topic: &str, code: RDKafkaErrorCode) -> PublishError {
        let (topic, reason) = (topic.to_owned(), code.to_string());
        match Meaning::of(code) {
            Meaning::RecordRefused => PublishError::Refused { topic, reason },
            Meaning::TopicUnauthorized | Meaning::GroupUnauthorized => {
                let reason = format!("not authorised; grant Write on the topic ({reason})");
                PublishError::Fatal { topic, reason, source: None }
            }
            Meaning::Fatal => {
                let producer = self.producer.upgrade();
                let known = producer.and_then(|producer| producer.client().fatal_error());
                let reason = known.map_or(reason, |(_, reason)| reason);
                PublishError::Fatal { topic, reason, source: Some(Box::new(code)) }
            }
            Meaning::Transient
            | Meaning::Unreachable
            | Meaning::Dns
            | Meaning::Tls
            | Meaning::Credentials
            | Meaning::TopicMissing => PublishError::Retryable { topic, reason },
        }
    }
}

impl RecordSink for KafkaSink {
    /// Commits are not this sink's business: which record is answered makes no difference.
    async fn publish(
        &self,
        topic: &str,
        record: Record,
        _answers: &Position,
    ) -> Result<(), PublishError> {
        self.send(topic, record).await
    }

    async fn flush(&self, wait_max: Duration) -> Result<(), PublishError> {
        let until = tokio::time::Instant::now() + wait_max;
        loop {
            let reported = self.deliveries.reported.notified();
            tokio::pin!(reported);
            reported.as_mut().enable();
            let in_flight = self.deliveries.count();
            if in_flight == 0 {
                return Ok(());
            }
            if tokio::time::timeout_at(until, reported).await.is_err() {
                let reason = format!("{in_flight} records are still in flight after {wait_max:?}");
                return Err(PublishError::Retryable { topic: "(any)".to_owned(), reason });
            }
        }
    }
}

impl Drop for KafkaSink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSink").field("in_flight", &self.deliveries.count()).finish()
    }
}

/// Serves the producer until the sink is gone. Dropping the producer, which may take half a second,
/// happens here too.
fn poll(producer: &Arc<BaseProducer<Context>>, events: &Receiver<Event>, stop: &AtomicBool) {
    let deliveries = Arc::clone(&producer.context().deliveries);
    let mut outage = Outage::default();
    let mut delivered = 0;
    while !stop.load(Ordering::Acquire) {
        producer.poll(POLL_MAX);
        for event in events.try_iter() {
            let Event::Failed(code, reason) = event else {
                continue;
            };
            match Meaning::of(code) {
                Meaning::Unreachable | Meaning::Dns | Meaning::Tls | Meaning::Credentials => {
                    outage.failed("producer", code, &reason);
                }
                Meaning::Transient
                | Meaning::TopicMissing
                | Meaning::TopicUnauthorized
                | Meaning::GroupUnauthorized
                | Meaning::RecordRefused
                | Meaning::Fatal => info!(%code, reason, "producer reports an error"),
            }
        }
        let now = deliveries.delivered.load(Ordering::Acquire);
        if now != delivered {
            outage.over("producer");
        }
        delivered = now;
    }
}
