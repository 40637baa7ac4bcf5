//! Logs, counts, and what a worker knows about itself.
//!
//! Logs go to stderr, data to stdout. What is logged is decided by the configuration alone
//! (`log.filter`, so also `CROSSRANK__LOG__FILTER`); `RUST_LOG` is not read, so that a variable
//! set for another program changes nothing here.

pub mod board;
mod counts;
mod json;
mod logs;
mod settings;

pub use board::{Board, Notices, Pulse, Stage};
pub use counts::{Count, Counts, Snapshot};
pub use logs::{Error, Logs, check_filter, init, init_with};
pub use settings::{LogFormat, Settings};
