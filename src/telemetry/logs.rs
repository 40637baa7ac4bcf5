use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::ProgressBar;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt, FilterFn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, filter};

use super::json::JsonLines;
use super::sdk_lines::{Rarely, is_exported};
use super::settings::{LogFormat, Settings};
use super::{Notices, OtlpError};

/// Why logs, or what else is told, could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be parsed.
    #[error("log filter {filter:?} is not valid")]
    Filter {
        /// The filter.
        filter: String,
        /// Which part is wrong.
        source: filter::ParseError,
    },
    /// A word that tracing would take for a target, and log everything of.
    #[error(
        "log filter {filter:?} holds {word:?}, which is no level; write {word}=trace for a target"
    )]
    Level {
        /// The filter.
        filter: String,
        /// The word.
        word: String,
    },
    /// Something has set up logs in this process already.
    #[error("logs are set up already")]
    Installed(#[source] TryInitError),
    /// What goes to a collector cannot be set up.
    #[error("telemetry cannot be sent")]
    Otlp(#[source] OtlpError),
    /// Metrics cannot be scraped. A defect.
    #[error("the metrics cannot be read by Prometheus")]
    Prometheus(#[source] OTelSdkError),
}

/// The log lines of this process.
#[derive(Debug)]
pub struct Logs(Stderr);

/// Writes whole lines to stderr, around a progress bar if there is one.
#[derive(Clone, Debug, Default)]
struct Stderr {
    bar: Arc<Mutex<Option<ProgressBar>>>,
}

/// Sends log lines to stderr from here on, those of libraries included.
///
/// # Errors
/// Where the filter is not valid, or logs are set up already.
pub fn init(settings: &Settings) -> Result<Logs, Error> {
    init_with(settings, None, Notices::default())
}

/// The same, and to `loggers`; warnings and errors to `notices`.
pub(super) fn init_with(
    settings: &Settings,
    loggers: Option<&SdkLoggerProvider>,
    notices: Notices,
) -> Result<Logs, Error> {
    let filter = parsed(&settings.filter)?.and(Rarely::default());
    let stderr = Stderr::default();
    let lines = lines(settings.format, io::stderr().is_terminal(), stderr.clone());
    // What the filter leaves out of the log is not worth a notice either.
    let worth = parsed(&settings.filter)?.and(Rarely::default()).and(LevelFilter::WARN);
    let noticed = notices.with_filter(worth);
    let exported = loggers.map(|loggers| exported(loggers, &settings.filter)).transpose()?;
    let subscriber = Registry::default().with(lines.with_filter(filter));
    let subscriber = subscriber.with(noticed).with(exported);
    subscriber.try_init().map_err(Error::Installed)?;
    Ok(Logs(stderr))
}

/// Whether [`init`] would take this filter.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_filter(filter: &str) -> Result<(), Error> {
    parsed(filter).map(drop)
}

// === impl Logs ===

impl Logs {
    /// From here on the bar is taken down while a line is written, so that they do not mix.
    pub fn keep_clear_of(&self, bar: ProgressBar) {
        *self.0.bar.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
    }
}

// === impl Stderr ===

impl MakeWriter<'_> for Stderr {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        match bar.as_ref() {
            Some(bar) => bar.suspend(|| io::stderr().write_all(line))?,
            None => io::stderr().write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn parsed(filter: &str) -> Result<EnvFilter, Error> {
    let in_span = |part: &str| part.contains(['[', ']', '{', '}', '=']);
    for word in filter.split(',').filter(|part| !in_span(part)) {
        if word.parse::<LevelFilter>().is_err() {
            return Err(Error::Level { filter: filter.to_owned(), word: word.to_owned() });
        }
    }
    // Without regular expressions: a filter is not a place for surprises.
    EnvFilter::builder()
        .with_regex(false)
        .parse(filter)
        .map_err(|source| Error::Filter { filter: filter.to_owned(), source })
}

/// The lines that `filter` lets through, to a collector, with the identity of the span around them.
fn exported<S>(
    loggers: &SdkLoggerProvider,
    filter: &str,
) -> Result<impl Layer<S> + Send + Sync + use<S>, Error>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    // With a hint, so that the levels of `filter` stay those of the process: without one every line of any level
    // would be looked at.
    let carried = FilterFn::new(is_exported).with_max_level_hint(LevelFilter::TRACE);
    let filter = parsed(filter)?.and(carried);
    Ok(OpenTelemetryTracingBridge::new(loggers).with_filter(filter))
}

fn lines<S, W>(format: LogFormat, terminal: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    match (format, terminal) {
        (LogFormat::Json, _) | (LogFormat::Auto, false) => {
            layer.json().map_event_format(JsonLines::new).boxed()
        }
        // On a terminal colours are left to the library, which honours NO_COLOR.
        (LogFormat::Text | LogFormat::Auto, true) => layer.boxed(),
        (LogFormat::Text, false) => layer.with_ansi(false).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::Context;
    use opentelemetry::trace::{
        SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState,
    };
    use opentelemetry_sdk::logs::InMemoryLogExporter;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, terminal: bool, filter: &str, log: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let lines = lines(format, terminal, move || writer.clone());
        let subscriber = Registry::default().with(lines.with_filter(parsed(filter).unwrap()));
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn off_a_terminal_a_line_is_one_json_object_with_the_fields_on_top() {
        let text = logged(LogFormat::Auto, false, "info", || tracing::warn!(partition = 3, "lost"));
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!((&line["message"], &line["partition"]), (&"lost".into(), &3.into()));
        assert_eq!(line["level"], "WARN");
        assert!(line["timestamp"].is_string() && line["target"].is_string(), "{line}");
    }

    #[test]
    fn paths_of_the_building_machine_are_left_out() {
        for format in [LogFormat::Json, LogFormat::Text] {
            // As the bridge from the `log` crate writes it.
            let text = logged(format, false, "info", || {
                tracing::event!(
                    target: "log",
                    tracing::Level::WARN,
                    log.target = "wgpu_core",
                    log.module_path = "wgpu_core::instance",
                    log.file = "/registry/wgpu-core/src/instance.rs",
                    log.line = 610,
                    "no adapter"
                );
            });
            assert!(text.contains("no adapter") && text.contains("WARN"), "{text}");
            assert!(!text.contains("instance") && !text.contains("log."), "{text}");
            assert_eq!(text.lines().count(), 1, "{text}");
        }
    }

    #[test]
    fn text_off_a_terminal_has_no_colours() {
        let text = logged(LogFormat::Text, false, "info", || tracing::warn!(partition = 3, "lost"));
        assert!(text.contains("lost partition=3"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn exported_lines_carry_their_span_and_are_those_of_the_filter_but_for_the_sdks() {
        let exporter = InMemoryLogExporter::default();
        let loggers = SdkLoggerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let layer = exported::<Registry>(&loggers, "info").unwrap();
        assert_eq!(layer.max_level_hint(), Some(LevelFilter::INFO), "no other line is looked at");
        let span = SpanContext::new(
            TraceId::from(7_u128),
            SpanId::from(9_u64),
            TraceFlags::SAMPLED,
            true,
            TraceState::NONE,
        );
        tracing::subscriber::with_default(Registry::default().with(layer), || {
            let _inside = Context::new().with_remote_span_context(span.clone()).attach();
            tracing::warn!("held up");
            tracing::debug!("below the filter");
            tracing::warn!(target: "opentelemetry_sdk", "the collector is away");
        });
        let told = exporter.get_emitted_logs().unwrap();
        let [line] = told.as_slice() else { panic!("{told:?}") };
        let of = line.record.trace_context().unwrap();
        assert_eq!((of.trace_id, of.span_id), (span.trace_id(), span.span_id()));
    }

    #[test]
    fn filter_tells_targets_apart() {
        let text = logged(LogFormat::Text, false, "warn,crossrank::kafka=debug", || {
            tracing::debug!(target: "crossrank::kafka", "seen");
            tracing::debug!(target: "crossrank::worker", "unseen");
        });
        assert!(text.contains(" seen") && !text.contains("unseen"), "{text}");
    }

    #[test]
    fn filter_with_a_misspelt_level_is_refused() {
        assert!(check_filter("info,crossrank::kafka=debug,librdkafka=off").is_ok());
        assert!(matches!(check_filter("infoo"), Err(Error::Level { word, .. }) if word == "infoo"));
        assert!(matches!(check_filter("info,x=loud"), Err(Error::Filter { .. })));
    }
}
