use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crossrank::engine::{Engine, Model, Scorer};
use crossrank::telemetry::{Providers, SpanSettings, Telemetry};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tokio::runtime::Runtime;

use crate::engine::{Shared, settings};
use crate::support::NoOp;
use crate::topics::Topics;
use crate::worker::run_observed;
use crate::{Arguments, Run, median, say};

/// Far more often than by default, so that short runs have their share of it.
const METRICS_EVERY: Duration = Duration::from_secs(5);
/// Where nobody listens.
const REFUSED: &str = "http://127.0.0.1:9";

/// Where spans and metrics go, and which share of the sets has spans.
struct Way<'a> {
    name: &'static str,
    to: Option<(&'a str, f64)>,
}

/// The worker without telemetry and with it, on the same sets, in turn. `collector` takes OTLP over gRPC.
pub(crate) fn compare(
    brokers: &str,
    collector: &str,
    scored: Option<(&Path, &[Vec<u8>])>,
    arguments: &Arguments,
) {
    // Accepts, since the system does, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = format!("http://{}", silent.local_addr().expect("an address"));
    let ways = [
        Way { name: "none", to: None },
        Way { name: "1 % of sets", to: Some((collector, 0.01)) },
        Way { name: "all sets", to: Some((collector, 1.0)) },
        Way { name: "collector gone", to: Some((REFUSED, 1.0)) },
        Way { name: "collector silent", to: Some((&silent, 1.0)) },
    ];
    let rows = match scored {
        Some((model, sets)) => {
            let settings = settings(model, &arguments.with);
            let engine = Engine::start(&Model::at(model), &settings).expect("an engine");
            let engine = Shared(Arc::new(engine));
            let topics = Topics::holding(brokers, "observed", sets);
            measured(&ways, &topics, || engine.clone(), arguments)
        }
        None => {
            let topics = Topics::filled(brokers, 50, arguments.sets);
            measured(&ways, &topics, NoOp::new, arguments)
        }
    };
    say(&format!("telemetry, medians of {} rounds:\n{rows}", arguments.rounds));
}

fn measured<S: Scorer>(
    ways: &[Way<'_>],
    topics: &Topics,
    scorer: impl Fn() -> S,
    arguments: &Arguments,
) -> String {
    let mut runs: Vec<Vec<Run>> = ways.iter().map(|_| Vec::new()).collect();
    // The first round warms up.
    for round in 0..=arguments.rounds {
        for (way, runs) in ways.iter().zip(&mut runs) {
            let run = way.run(topics, scorer(), arguments);
            if round > 0 {
                runs.push(run);
            }
        }
    }
    let medians: Vec<f64> = runs.into_iter().map(|runs| median(runs).sets_per_s).collect();
    let row = |(way, sets_per_s): (&Way<'_>, &f64)| {
        format!("{:<18}{sets_per_s:>8.1} sets/s, ratio {:.3}", way.name, sets_per_s / medians[0])
    };
    ways.iter().zip(&medians).map(row).collect::<Vec<_>>().join("\n")
}

// === impl Way ===

impl Way<'_> {
    fn run<S: Scorer>(&self, topics: &Topics, scorer: S, arguments: &Arguments) -> Run {
        // That of the exporters, as beside a worker.
        let runtime = Runtime::new().expect("a runtime");
        let telemetry = self.to.map(|(endpoint, share)| {
            let _inside = runtime.enter();
            telemetry(endpoint, share)
        });
        let run = run_observed(topics, scorer, true, &arguments.with, telemetry.as_ref());
        // Not waited for where nobody answers, as the worker does not.
        if let Some(telemetry) = telemetry {
            std::thread::spawn(move || {
                telemetry.shut_down();
                drop(runtime);
            });
        }
        run
    }
}

fn telemetry(endpoint: &str, share: f64) -> Telemetry {
    let spans = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
    let tracers = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share))))
        .with_batch_exporter(spans.expect("an exporter"))
        .build();
    let metrics = MetricExporter::builder().with_tonic().with_endpoint(endpoint).build();
    let reader = PeriodicReader::builder(metrics.expect("an exporter"));
    let meters = SdkMeterProvider::builder()
        .with_reader(reader.with_interval(METRICS_EVERY).build())
        .build();
    let providers = Providers { meters: Some(meters), tracers: Some(tracers), loggers: None };
    Telemetry::new(providers, SpanSettings::default())
}
