/// What is logged, and how. Already checked by `config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A tracing filter: `info`, or `info,crossrank::kafka=debug`.
    pub filter: String,
    /// How a line looks.
    pub format: LogFormat,
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
