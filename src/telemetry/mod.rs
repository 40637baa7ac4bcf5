//! Logs, counts, what a worker knows about itself, and what of it leaves the process.
//!
//! Logs go to stderr, data to stdout. What is logged is decided by the configuration alone
//! (`log.filter`, so also `CROSSRANK__LOG__FILTER`); `RUST_LOG` is not read, so that a variable
//! set for another program changes nothing here.
//!
//! A worker counts into [`Counts`], always. [`start`] adds where that goes: metrics to who collects or
//! scrapes them, log lines to a collector. `docs/telemetry.md` says what there is.

pub mod board;
mod counts;
mod distributions;
mod environment;
mod http;
mod instruments;
mod json;
mod labelled;
mod logs;
pub mod names;
mod observed;
mod otlp;
mod partitions;
mod prometheus;
mod propagation;
mod providers;
mod sdk_lines;
mod settings;
mod spans;

pub use board::{Board, Notices, Pulse, Stage};
pub use counts::{Count, Counts, InFlight, Snapshot};
pub use distributions::Distributions;
pub use instruments::{Metric, MetricKind, metrics};
pub use labelled::{CountBy, Level};
pub use logs::{Error, Logs, check_filter, init};
pub use names::label_values;
pub use otlp::OtlpError;
pub use partitions::{PartitionRead, PartitionTotals, Partitions};
pub use prometheus::{Prometheus, ScrapeError};
pub use providers::{Providers, Telemetry, start};
pub use settings::{LogFormat, Settings};
pub use spans::{
    Asked, BatchRun, Parent, Received, Reranked, SendSpan, SetSpan, SpanSettings, Tracer,
};
