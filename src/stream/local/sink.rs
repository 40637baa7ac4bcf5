use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use crate::stream::{Position, PublishError, Record, RecordSink};

/// Writes to a [`super::LocalBroker`]. A record is readable as soon as its publish returns.
#[derive(Clone, Debug)]
pub struct LocalSink {
    shared: Arc<Shared>,
    record_bytes_max: usize,
}

/// What an injected failure looks like to the publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishFailure {
    /// [`PublishError::Retryable`].
    Retryable,
    /// [`PublishError::Refused`].
    Refused,
    /// [`PublishError::Fatal`].
    Fatal,
}

// === impl LocalSink ===

impl LocalSink {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, record_bytes_max: usize::MAX }
    }

    /// Refuses records that are longer, as a producer does.
    pub fn record_bytes_max(mut self, bytes: usize) -> Self {
        self.record_bytes_max = bytes;
        self
    }
}

impl RecordSink for LocalSink {
    async fn publish(
        &self,
        topic: &str,
        record: Record,
        _answers: &Position,
    ) -> Result<(), PublishError> {
        // Lets others run, as a round trip to a broker does.
        tokio::task::yield_now().await;
        let mut state = self.shared.lock();
        let failures = state.failures.get_mut(topic);
        if let Some(failure) = failures.filter(|f| !f.is_empty()).map(|f| f.remove(0)) {
            return Err(failure.into_error(topic));
        }
        if record.bytes() > self.record_bytes_max {
            let reason = format!("{} bytes, limit {}", record.bytes(), self.record_bytes_max);
            return Err(PublishError::Refused { topic: topic.to_owned(), reason });
        }
        let Some(stored) = state.topics.get_mut(topic) else {
            let reason = "the topic does not exist".to_owned();
            return Err(PublishError::Retryable { topic: topic.to_owned(), reason });
        };
        stored.append(record);
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn flush(&self, _wait_max: Duration) -> Result<(), PublishError> {
        // A publish is complete when it returns: nothing is ever in flight between calls.
        Ok(())
    }
}

// === impl PublishFailure ===

impl PublishFailure {
    pub(super) fn into_error(self, topic: &str) -> PublishError {
        let (topic, reason) = (topic.to_owned(), "injected".to_owned());
        match self {
            Self::Retryable => PublishError::Retryable { topic, reason },
            Self::Refused => PublishError::Refused { topic, reason },
            Self::Fatal => PublishError::Fatal { topic, reason, source: None },
        }
    }
}
