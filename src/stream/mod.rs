//! Kafka's words without Kafka.
//!
//! A [`RecordSource`] hands out [`Claimed`] records, each with its [`AckHandle`]; a [`RecordSink`]
//! publishes records and returns once they are acknowledged. The source owns an [`OffsetTracker`]
//! and commits, per partition, the lowest offset below which everything is settled.
//!
//! An *offset to commit* is always the next one to read, as in Kafka.

mod ack;
mod completed;
mod local;
mod position;
mod record;
mod sink;
mod source;
mod staging;
mod tracker;

pub use ack::{AckHandle, Outcome, Settled};
pub use completed::Completed;
pub use local::{
    LocalBroker, LocalSink, LocalSource, LocalTransactions, PublishFailure, StoredRecord, Target,
};
pub use position::{Epoch, Partition, Position};
pub use record::{Header, Record};
pub use sink::{PublishError, RecordSink};
pub use source::{Claimed, RecordSource, SourceError};
pub(crate) use staging::{Batch, Output, Staging};
pub use tracker::{OffsetTracker, Settlement};
