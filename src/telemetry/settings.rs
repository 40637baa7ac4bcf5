use super::SpanSettings;

/// What is told, and how. Already checked by `config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A tracing filter: `info`, or `info,crossrank::kafka=debug`.
    pub filter: String,
    /// How a line looks.
    pub format: LogFormat,
    /// Whether a worker's traces, metrics and logs go to a collector, wherever the environment says that
    /// it is. An endpoint in the environment turns them on too.
    pub otlp: bool,
    /// How sets are traced.
    pub spans: SpanSettings,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}
