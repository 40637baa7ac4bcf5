use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Settings;
use super::failure::{Disposition, Failure, Unanswered};
use crate::stream::{AckHandle, Header, PublishError, Record, RecordSink};
use crate::telemetry::names::{TRACEPARENT, TRACESTATE};
use crate::telemetry::{Counts, SetSpan};

/// How often an outage that goes on is told.
const REMIND_INTERVAL: Duration = Duration::from_secs(30);

/// Publishes records to one topic, and tries again for as long as trying can help.
#[derive(Debug)]
pub(super) struct Publisher<K> {
    sink: Arc<K>,
    topic: Arc<str>,
    /// Whether records carry the identity of our span, rather than keep what they came with.
    carries: bool,
    wait_min: Duration,
    wait_max: Duration,
    outage: Outage,
    counts: Arc<Counts>,
}

/// Tells once that publishing is held up, now and then that it still is, and once that it is over,
/// however many records are waiting.
#[derive(Debug, Default)]
struct Outage(Mutex<Option<Told>>);

#[derive(Clone, Copy, Debug)]
struct Told {
    since: Instant,
    last: Instant,
}

// === impl Publisher ===

impl<K: RecordSink> Publisher<K> {
    pub(super) fn new(
        sink: Arc<K>,
        (topic, carries): (&str, bool),
        settings: &Settings,
        counts: Arc<Counts>,
    ) -> Self {
        Self {
            sink,
            topic: topic.into(),
            carries,
            wait_min: settings.retry_wait_min,
            wait_max: settings.retry_wait_max,
            outage: Outage::default(),
            counts,
        }
    }

    /// Returns once `record` is acknowledged, or cannot be. An error is never retryable. Where
    /// `ack` says that the partition is going away, another worker will answer, and a publish that
    /// has failed is not tried again.
    pub(super) async fn publish(
        &self,
        mut record: Record,
        ack: &AckHandle,
        span: &SetSpan,
    ) -> Result<(), Unanswered> {
        let bytes = record.value.as_ref().map_or(0, Bytes::len);
        let sending = span.send(&self.topic, bytes, self.carries);
        if let Some(headers) = sending.headers().filter(|_| self.carries) {
            record.headers.retain(|h| h.name != TRACEPARENT && h.name != TRACESTATE);
            record
                .headers
                .extend(headers.into_iter().map(|(name, value)| Header::text(name, value)));
        }
        let sent = self.try_long(record, ack).await;
        match &sent {
            Ok(attempts) => sending.end(*attempts, None),
            Err(Unanswered { failure, attempts }) => sending.end(*attempts, Some(failure.code())),
        }
        sent.map(|_attempts| ())
    }

    /// Returns how often it was tried.
    async fn try_long(&self, record: Record, ack: &AckHandle) -> Result<u32, Unanswered> {
        let mut wait = self.wait_min;
        let mut attempts = 0_u32;
        loop {
            attempts = attempts.saturating_add(1);
            let sent = self.sink.publish(&self.topic, record.clone(), ack.position()).await;
            self.count(sent.as_ref().err().map(PublishError::kind));
            let Err(error) = sent else {
                self.outage.over(&self.topic);
                return Ok(attempts);
            };
            let failure = Failure::Publish(error);
            if failure.disposition() != Disposition::Retry {
                return Err(Unanswered { failure, attempts });
            }
            if ack.is_revoked() {
                return Err(Unanswered { failure: Failure::Revoked, attempts });
            }
            self.counts.publish_retries.add(1);
            self.outage.noticed(&self.topic, &failure);
            // Half of the wait is jitter, so that the sets in flight do not all come back at once.
            tokio::time::sleep(wait.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
            wait = (wait * 2).min(self.wait_max);
        }
    }

    fn count(&self, error: Option<&'static str>) {
        if let Some(distributions) = self.counts.distributions() {
            distributions.sent(&self.topic, error);
        }
    }
}

// === impl Outage ===

impl Outage {
    fn noticed(&self, topic: &str, failure: &Failure) {
        let error = std::error::Error::source(failure).map(ToString::to_string).unwrap_or_default();
        let now = Instant::now();
        let mut told = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match told.as_mut() {
            None => {
                tracing::warn!(topic, error, "publishing is held up; trying again");
                *told = Some(Told { since: now, last: now });
            }
            Some(told) if now - told.last >= REMIND_INTERVAL => {
                let seconds = (now - told.since).as_secs();
                tracing::warn!(topic, error, seconds, "publishing is still held up; trying again");
                told.last = now;
            }
            Some(_) => {}
        }
    }

    fn over(&self, topic: &str) {
        let mut told = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(told) = told.take() {
            tracing::info!(topic, seconds = told.since.elapsed().as_secs(), "publishing again");
        }
    }
}
