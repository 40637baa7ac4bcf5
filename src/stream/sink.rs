use std::error::Error;
use std::future::Future;
use std::time::Duration;

use super::{Position, Record};

/// Why a record was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// May succeed when tried again: broker away, leader moving, queue full, timed out.
    #[error("topic {topic} did not take the record for now: {reason}")]
    Retryable {
        /// The topic written to.
        topic: String,
        /// What the client said.
        reason: String,
    },
    /// Will never succeed for this record: too large, or refused by the broker as invalid.
    #[error("topic {topic} refuses this record: {reason}")]
    Refused {
        /// The topic written to.
        topic: String,
        /// What the client said.
        reason: String,
    },
    /// No record can be published any more: not authorised, or the client has failed for good.
    #[error("cannot publish to topic {topic}: {reason}")]
    Fatal {
        /// The topic written to.
        topic: String,
        /// What the client said.
        reason: String,
        /// The client's error, where there is one.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// Not published, and never to be: the input that it answers goes back unread, and whoever reads
    /// it next publishes an answer. Only of sinks that publish and commit in one.
    #[error("topic {topic} is not written to: the input of this record is read again")]
    InputReturned {
        /// The topic written to.
        topic: String,
    },
}

// === impl PublishError ===

impl PublishError {
    /// A stable name of its kind, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Retryable { .. } => "retryable",
            Self::Refused { .. } => "refused",
            Self::Fatal { .. } => "fatal",
            Self::InputReturned { .. } => "input_returned",
        }
    }
}

/// Publishes what answers the records of a source. Shared by all sets in flight.
pub trait RecordSink: Send + Sync + 'static {
    /// Publishes `record` to `topic` and returns once the brokers have acknowledged it. It answers the
    /// record at `answers`: a sink that publishes and commits in one transaction puts both into the
    /// same, and outputs in the order of their inputs.
    fn publish(
        &self,
        topic: &str,
        record: Record,
        answers: &Position,
    ) -> impl Future<Output = Result<(), PublishError>> + Send;

    /// Waits until nothing is in flight, at most `wait_max`.
    fn flush(&self, wait_max: Duration) -> impl Future<Output = Result<(), PublishError>> + Send;
}
