use super::{Failure, Tripped};
use crate::stream::{PublishError, SourceError};

/// Why a worker stopped before it was told to. Whatever was not acknowledged will be read again.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Records can no longer be read or committed.
    #[error("cannot go on reading candidate sets")]
    Source(#[source] SourceError),
    /// A record cannot be answered, and trying again or setting it aside would not help.
    #[error("cannot go on: record {position} has no output")]
    Record {
        /// `topic/partition/offset`.
        position: String,
        /// What stands in the way.
        #[source]
        failure: Failure,
    },
    /// Outputs that were sent could not be confirmed while stopping.
    #[error("outputs were still unconfirmed at the end")]
    Flush(#[source] PublishError),
    /// A record has no output, and its dead letter is refused too. Going on would lose it.
    #[error(
        "record {position} has no output and its dead letter was refused; make the dead letter \
         topic take records of that size, then start again"
    )]
    DeadLetterRefused {
        /// `topic/partition/offset`.
        position: String,
        /// Why the dead letter was refused.
        #[source]
        failure: Failure,
    },
    /// So many records are bad that something is wrong with where they come from. Each of them is in
    /// the dead letter topic.
    #[error(
        "{tripped}; correct what sends them or, if they are meant to be set aside, raise \
         worker.breaker_run_max or worker.breaker_share_max; then start again, and put the dead \
         letters back with `crossrank replay`"
    )]
    TooManyBad {
        /// What was seen.
        tripped: Tripped,
    },
    /// A task of the worker panicked: a defect in crossrank.
    #[error("a task panicked; this is a defect in crossrank")]
    Panicked(#[source] tokio::task::JoinError),
}
