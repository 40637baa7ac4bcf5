use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::sync::oneshot;

use super::context::{Context, DeliveryReport};
use super::error::{Meaning, StartError};
use super::headers;
use super::producing::{Client, NewProducer, ProduceThread, Shared};
use super::reach::Reach;
use super::settings::Settings;
use super::watch::Watch;
use crate::stream::{Position, PublishError, Record, RecordSink};
use crate::telemetry::Counts;

/// An idempotent producer. A publish returns when every in-sync replica has the record.
///
/// Its thread owns the producer, and replaces one that is stuck; what was in flight in the old one is then
/// to be published again. Dropping the sink ends the thread, and what is in flight then is given up:
/// [`RecordSink::flush`] first.
pub struct KafkaSink {
    shared: Arc<Shared>,
    delivery_timeout: Duration,
}

// === impl KafkaSink ===

impl KafkaSink {
    /// Reaches for the brokers. Blocks, for `startup_timeout` at most.
    pub fn start(settings: &Settings) -> Result<Self, StartError> {
        Self::start_counting(settings, &Arc::default())
    }

    /// As [`Self::start`]; counts what happens to its client.
    pub fn start_counting(settings: &Settings, counts: &Arc<Counts>) -> Result<Self, StartError> {
        let new = NewProducer::create(settings)?;
        let until = Instant::now() + settings.startup_timeout;
        Reach::new(settings, &new.events, until).producer(&new.producer)?;
        counts.board.producer_reached.anew();
        let shared = Arc::new(Shared::new(&new));
        let watch = Watch::over_producer(&Arc::new(settings.clone()), counts);
        let produce = ProduceThread::new(new, Arc::clone(&shared), watch);
        const NAME: &str = "kafka-produce";
        thread::Builder::new()
            .name(NAME.to_owned())
            .spawn(move || produce.run())
            .map_err(|source| StartError::Thread { name: NAME, source })?;
        Ok(Self { shared, delivery_timeout: settings.delivery_timeout })
    }

    /// Publishes one record, and returns once every in-sync replica has it.
    ///
    /// # Errors
    /// As for [`RecordSink::publish`].
    pub async fn send(&self, topic: &str, record: Record) -> Result<(), PublishError> {
        let (report, reported) = oneshot::channel();
        let mut report = Box::new(report);
        let until = tokio::time::Instant::now() + self.delivery_timeout;
        let client = loop {
            // Anew each time: it may have been replaced.
            let (None, Some((client, producer))) = (self.shared.given_up.get(), self.shared.hold())
            else {
                return Err(self.ended(topic));
            };
            // Listens before it asks, so that no room that is made in between is missed.
            let room = client.deliveries.reported.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            let sent = Self::enqueue(&producer, topic, &record, report);
            drop(producer);
            let code = match sent {
                Ok(()) => break client.clone(),
                Err((code, back)) => {
                    report = back;
                    code
                }
            };
            if code != RDKafkaErrorCode::QueueFull
                || tokio::time::timeout_at(until, room).await.is_err()
            {
                return Err(error(&client.producer, topic, code));
            }
        };
        drop(record);
        let reported = tokio::select! {
            biased;
            reported = reported => reported,
            // It was replaced, and does not even say what became of its records.
            () = client.deliveries.silence() => Ok(Err(RDKafkaErrorCode::PurgeInflight)),
        };
        match reported {
            Ok(Ok(())) => Ok(()),
            Ok(Err(code)) => Err(error(&client.producer, topic, code)),
            Err(_ended) => Err(error(&client.producer, topic, RDKafkaErrorCode::PurgeQueue)),
        }
    }

    /// Gives the record to the client, which copies it; the report goes back if it has no room.
    fn enqueue(
        producer: &BaseProducer<Context>,
        topic: &str,
        record: &Record,
        report: Box<DeliveryReport>,
    ) -> Result<(), (RDKafkaErrorCode, Box<DeliveryReport>)> {
        let deliveries = &producer.context().deliveries;
        let message = to_message(topic, record, report);
        // Before it is sent: its report may come before this thread goes on.
        deliveries.in_flight.fetch_add(1, Ordering::AcqRel);
        producer.send(message).map_err(|(error, message)| {
            deliveries.in_flight.fetch_sub(1, Ordering::AcqRel);
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::InvalidRecord);
            (code, message.delivery_opaque)
        })
    }

    /// The error for a client that is gone for good.
    fn ended(&self, topic: &str) -> PublishError {
        let known = self.shared.given_up.get().cloned();
        let reason = known.unwrap_or_else(|| "the producer's thread has ended".to_owned());
        PublishError::Fatal { topic: topic.to_owned(), reason, source: None }
    }
}

/// What the client is given of a record, and where it reports.
pub(super) fn to_message<'a>(
    topic: &'a str,
    record: &'a Record,
    report: Box<DeliveryReport>,
) -> BaseRecord<'a, [u8], [u8], Box<DeliveryReport>> {
    BaseRecord {
        topic,
        partition: None,
        payload: record.value.as_deref(),
        key: record.key.as_deref(),
        timestamp: record.timestamp_ms,
        headers: headers::write(&record.headers),
        delivery_opaque: report,
    }
}

fn error(
    producer: &Weak<BaseProducer<Context>>,
    topic: &str,
    code: RDKafkaErrorCode,
) -> PublishError {
    let (topic, reason) = (topic.to_owned(), code.to_string());
    match Meaning::of(code) {
        Meaning::RecordRefused => PublishError::Refused { topic, reason },
        Meaning::TopicUnauthorized | Meaning::GroupUnauthorized => {
            let reason = format!("not authorised; grant Write on the topic ({reason})");
            PublishError::Fatal { topic, reason, source: None }
        }
        Meaning::Fatal => {
            let known = producer.upgrade().and_then(|producer| producer.client().fatal_error());
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
            let Client { deliveries, .. } = self.shared.client();
            let reported = deliveries.reported.notified();
            tokio::pin!(reported);
            reported.as_mut().enable();
            let in_flight = deliveries.count();
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
        self.shared.stop.store(true, Ordering::Release);
    }
}

impl fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_flight = self.shared.client().deliveries.count();
        f.debug_struct("KafkaSink").field("in_flight", &in_flight).finish()
    }
}
