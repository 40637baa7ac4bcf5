use std::sync::{Arc, OnceLock};
use std::thread;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;

use super::distributions::Distributions;
use super::environment::Signal;
use super::names::SCOPE;
use super::settings::Settings;
use super::{Counts, Error, Logs, Notices, Prometheus, SpanSettings, Tracer, logs, observed, otlp};

/// Links of a span. The specification's default is 128, and a batch on a GPU may hold pairs of more sets.
const LINKS_MAX: u32 = 1024;
const LINKS_MAX_VARIABLE: &str = "OTEL_SPAN_LINK_COUNT_LIMIT";

/// Where signals go. None of them has to go anywhere.
#[derive(Debug, Default)]
pub struct Providers {
    /// Metrics.
    pub meters: Option<SdkMeterProvider>,
    /// Spans.
    pub tracers: Option<SdkTracerProvider>,
    /// Log lines, beside standard error.
    pub loggers: Option<SdkLoggerProvider>,
}

/// What a worker tells the outside, beside its lines on standard error.
#[derive(Debug)]
pub struct Telemetry {
    providers: Providers,
    spans: SpanSettings,
    prometheus: Option<Prometheus>,
    /// What is collected, for as long as there is somebody who does: the last time is after the work.
    counts: OnceLock<Arc<Counts>>,
}

/// Sends log lines to standard error, and traces, metrics and logs where settings and environment say. With
/// `scraped`, metrics can be read as [`Telemetry::prometheus`] too. Warnings and errors of the log go to
/// `notices` as well.
///
/// To be called inside a tokio runtime, on which gRPC then runs.
///
/// # Errors
/// Where logs cannot be set up, or a variable of the environment makes no sense. A collector that is not
/// there is none.
pub fn start(
    settings: &Settings,
    scraped: bool,
    notices: Notices,
) -> Result<(Logs, Telemetry), Error> {
    let resource = otlp::resource();
    let otlp = settings.otlp;
    // First, so that what is said about the others is heard.
    let transport = otlp::transport(Signal::Logs, otlp).map_err(Error::Otlp)?;
    let exporter = transport.map(otlp::logs).transpose().map_err(Error::Otlp)?;
    let loggers = exporter.map(|exporter| {
        let builder = SdkLoggerProvider::builder().with_resource(resource.clone());
        builder.with_batch_exporter(exporter).build()
    });
    let lines = logs::init_with(settings, loggers.as_ref(), notices)?;
    let transport = otlp::transport(Signal::Traces, otlp).map_err(Error::Otlp)?;
    let exporter = transport.map(otlp::spans).transpose().map_err(Error::Otlp)?;
    let tracers = exporter.map(|exporter| {
        let builder = SdkTracerProvider::builder().with_resource(resource.clone());
        let mut builder = builder.with_batch_exporter(exporter);
        if std::env::var_os(LINKS_MAX_VARIABLE).is_none() {
            builder = builder.with_max_links_per_span(LINKS_MAX);
        }
        builder.build()
    });
    let transport = otlp::transport(Signal::Metrics, otlp).map_err(Error::Otlp)?;
    let exporter = transport.map(otlp::metrics).transpose().map_err(Error::Otlp)?;
    let pushes = exporter.is_some();
    let (mut meters, mut prometheus) = (None, None);
    if scraped || pushes {
        let mut builder = SdkMeterProvider::builder().with_resource(resource);
        if let Some(exporter) = exporter {
            builder = builder.with_periodic_exporter(exporter);
        }
        if scraped {
            let (registry, reader) = Prometheus::new().map_err(Error::Prometheus)?;
            builder = builder.with_reader(reader);
            prometheus = Some(registry);
        }
        meters = Some(builder.build());
    }
    let (traces, logs) = (tracers.is_some(), loggers.is_some());
    if traces || pushes || logs {
        tracing::info!(traces, metrics = pushes, logs, "telemetry goes to a collector");
    }
    let providers = Providers { meters, tracers, loggers };
    Ok((lines, Telemetry::with(providers, settings.spans, prometheus)))
}

// === impl Telemetry ===

impl Telemetry {
    /// Telemetry that goes to these.
    pub fn new(providers: Providers, spans: SpanSettings) -> Self {
        Self::with(providers, spans, None)
    }

    fn with(providers: Providers, spans: SpanSettings, prometheus: Option<Prometheus>) -> Self {
        Self { providers, spans, prometheus, counts: OnceLock::new() }
    }

    /// Begins the spans of sets, where there is anywhere to send them.
    pub fn tracer(&self) -> Tracer {
        Tracer::new(self.providers.tracers.as_ref(), self.spans)
    }

    /// Collects what is counted, and lets distributions be recorded. Once, for one worker; without
    /// anywhere to go, nothing is.
    pub fn collect(&self, counts: &Arc<Counts>) {
        let Some(meters) = &self.providers.meters else { return };
        let meter = meters.meter(SCOPE);
        let is_first = self.counts.set(Arc::clone(counts)).is_ok();
        if is_first && counts.distributions.set(Distributions::new(&meter)).is_ok() {
            observed::register(&meter, counts);
        }
    }

    /// The metrics for who scrapes, where that was asked for.
    pub fn prometheus(&self) -> Option<&Prometheus> {
        self.prometheus.as_ref()
    }

    /// Sends what is left, and ends. Blocks, for some seconds at most; not for a thread of a runtime.
    pub fn shut_down(self) {
        let Self { providers: Providers { meters, tracers, loggers }, .. } = self;
        // At the same time, so that a collector that is gone is waited for once. What it says about
        // itself has been logged by the SDK, and there is nothing to be done about it here.
        thread::scope(|scope| {
            scope.spawn(|| tracers.map(|tracers| tracers.shutdown()));
            scope.spawn(|| meters.map(|meters| meters.shutdown()));
            scope.spawn(|| loggers.map(|loggers| loggers.shutdown()));
        });
    }
}
