//! Logs and counts.

mod settings;

pub use settings::{LogFormat, Settings};
