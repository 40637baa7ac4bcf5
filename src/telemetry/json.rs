use std::fmt;

use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// What the bridge from the `log` crate has for a target of its own.
const BRIDGED: &str = "log";

/// One JSON object a line, fields on top. What comes through the bridge from the `log` crate is
/// printed without the fields that the bridge adds: the target once more, and paths of the machine
/// that built a dependency.
pub(super) struct JsonLines(Format<Json>);

// === impl JsonLines ===

impl JsonLines {
    pub(super) fn new(format: Format<Json>) -> Self {
        Self(format.flatten_event(true).with_span_list(false))
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if event.metadata().target() != BRIDGED {
            return self.0.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let mut fields: Map<String, Value> =
            serde_json::from_str(&line).map_err(|_not_json| fmt::Error)?;
        fields.retain(|name, _| !name.starts_with("log."));
        writeln!(writer, "{}", Value::Object(fields))
    }
}
