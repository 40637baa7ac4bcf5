use std::error::Error;
use std::future::Future;
use std::time::Duration;

use super::{AckHandle, Record};

/// A record handed out for work, with the handle that answers for it.
#[derive(Debug)]
pub struct Claimed {
    /// The record as read.
    pub record: Record,
    /// Redeemed when the record's output is acknowledged.
    pub ack: AckHandle,
}

/// Why a source can no longer hand out or commit records. Nothing here is retryable: a source
/// retries by itself what can be retried.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The client or its group membership is beyond repair.
    #[error("the consumer failed: {reason}; the group reads again from the last commit")]
    Fatal {
        /// What the client said.
        reason: String,
        /// The client's error, where there is one.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// A claimed record was dropped without an outcome. Committing past it would lose it.
    #[error("record {position} was abandoned: it has neither an output nor a dead letter")]
    Abandoned {
        /// `topic/partition/offset`.
        position: String,
    },
    /// The source did not finish within the time that `close` was given.
    #[error(
        "{unsettled} records were still in flight when the drain deadline passed; they will be read again"
    )]
    DrainDeadline {
        /// Records claimed but not settled.
        unsettled: usize,
    },
}

/// Hands out records, and commits what has been settled.
///
/// The caller stops claiming when it has enough in flight, and a source keeps its group membership
/// meanwhile. Settled records are committed in the background, per partition and never past one that
/// is unsettled. A partition is handed out no further while it has too many records that are not
/// committed: [`OffsetTracker::UNCOMMITTED_MAX`](super::OffsetTracker::UNCOMMITTED_MAX), where a source
/// has no limit of its own.
pub trait RecordSource: Send {
    /// The next record. Waits while there is none. Cancel-safe: a record is never lost when the
    /// future is dropped. An error is final; nothing is claimed after it.
    fn claim(&mut self) -> impl Future<Output = Result<Claimed, SourceError>> + Send;

    /// Waits until every claimed record is settled, commits, and leaves the group, all within
    /// `drain_max`: a source may keep up to half of it back for the commit and for leaving. Records
    /// that were read ahead but never claimed go back unread.
    fn close(self, drain_max: Duration) -> impl Future<Output = Result<(), SourceError>> + Send;
}
