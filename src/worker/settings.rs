use std::time::Duration;

use super::{BreakerSettings, OutputOrder};

/// What a worker holds at once, and how long it waits. Already checked by `config`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where contexts go.
    pub output_topic: String,
    /// Where records go that cannot be answered.
    pub dead_letter_topic: String,
    /// Sets in flight.
    pub sets_max: usize,
    /// Bytes of input records in flight. A single larger record is taken alone.
    pub bytes_max: usize,
    /// In which order outputs and dead letters are published.
    pub ordering: OutputOrder,
    /// When bad records are too many to go on.
    pub breaker: BreakerSettings,
    /// How long a shutdown waits for what is in flight.
    pub shutdown_timeout: Duration,
    /// First wait before a publish is tried again; doubles up to `retry_wait_max`, with jitter.
    pub retry_wait_min: Duration,
    /// Longest wait before a publish is tried again.
    pub retry_wait_max: Duration,
}
