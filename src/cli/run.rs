use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::signals::Shutdown;
use super::{CliError, ConfigArguments, ModelArguments, start};
use crate::admin::{Admin, Metrics, Sources};
use crate::config::{Config, Raw};
use crate::engine::Engine;
use crate::error_text;
use crate::kafka::{self, Delivery, KafkaSink, KafkaSource, TransactionSink};
use crate::telemetry::board::Board;
use crate::telemetry::{self, Counts, Logs, Notices, Prometheus, Telemetry, Tracer};
use crate::worker::{Worker, WorkerError};

/// How often a worker says what it did.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// What the last of the telemetry may take, once the worker is done.
const TELEMETRY_FLUSH_MAX: Duration = Duration::from_secs(5);

const EXAMPLE: &str = r#"The smallest configuration file:
  [kafka]
  brokers = "localhost:9092"
The model is then cross-encoder/ms-marco-MiniLM-L6-v2, from the Hugging Face hub or its cache;
model.id names another one there, or "bundled", the small one that ships inside; model.path names a
directory. Candidate sets come from the topic crossrank.candidates.v1; answers go to crossrank.context.v1, and
records that cannot be answered to crossrank.dead-letters.v1. `crossrank check` tells what is in effect."#;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
    #[command(flatten)]
    model: ModelArguments,
}

/// A worker of either kind of delivery.
enum AnyWorker {
    AtLeastOnce(Worker<KafkaSource, KafkaSink, Engine>),
    ExactlyOnce(Worker<KafkaSource, TransactionSink, Engine>),
}

/// What it reads and writes.
enum Connected {
    AtLeastOnce(KafkaSource, KafkaSink),
    ExactlyOnce(KafkaSource, TransactionSink),
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let raw = arguments.config.load(&arguments.model)?;
    let config = raw.worker()?;
    let (settings, notices) = (&config.reranking.telemetry, Notices::default());
    let (logs, telemetry) = telemetry::start(settings, config.admin.is_some(), notices.clone())
        .map_err(CliError::Telemetry)?;
    let outcome = observed(config, &raw, &notices, (&logs, &telemetry)).await;
    if let Err(error) = &outcome {
        // Also to those who read lines in a collector, or notices on the page.
        tracing::error!(error = error_text(error), "the worker ends");
    }
    // After the last commit: what is told must never hold up what is done.
    let told = tokio::task::spawn_blocking(move || telemetry.shut_down());
    if tokio::time::timeout(TELEMETRY_FLUSH_MAX, told).await.is_err() {
        tracing::warn!("the last of the telemetry could not be delivered in time");
    }
    outcome
}

/// Answers probes and people while it works.
async fn observed(
    config: Config,
    raw: &Raw,
    notices: &Notices,
    (logs, telemetry): (&Logs, &Telemetry),
) -> Result<(), CliError> {
    // Before the model is loaded: a worker that starts is alive, and says what it waits for.
    let (counts, _admin) = match &config.admin {
        None => (Arc::default(), None),
        Some(settings) => {
            let (counts, keeper) = Board::kept(settings.texts, notices);
            let metrics = telemetry.prometheus().cloned().map(metrics);
            let sources = Sources { config: raw.effective(), metrics };
            let admin = Admin::start(settings, keeper, sources).map_err(CliError::Admin)?;
            (counts, Some(admin))
        }
    };
    telemetry.collect(&counts);
    work(config, counts, logs, telemetry.tracer()).await
}

async fn work(
    config: Config,
    counts: Arc<Counts>,
    logs: &Logs,
    tracer: Tracer,
) -> Result<(), CliError> {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let mut shutdown = Shutdown::listen().map_err(CliError::Signals)?;
    // Load, verify and warm the model before joining the group: a member that cannot score yet
    // would hold partitions for nothing.
    let worker = tokio::select! {
        started = connect(config, Arc::clone(&counts), logs) => started?.with_tracer(tracer),
        () = shutdown.asked() => {
            tracing::info!("stopped before the start was complete");
            return Ok(());
        }
    };
    let reporting = tokio::spawn(report(Arc::clone(&counts)));
    let outcome = worker.run(async move { shutdown.asked().await }).await;
    reporting.abort();
    counts.snapshot().log();
    tracing::info!("stopped");
    Ok(outcome?)
}

/// Logs every minute what was done in it, if anything was.
async fn report(counts: Arc<Counts>) {
    let mut told = counts.snapshot();
    let mut minutes = tokio::time::interval(REPORT_INTERVAL);
    loop {
        minutes.tick().await;
        let now = counts.snapshot();
        if now != told {
            now.since(&told).log();
            told = now;
        }
    }
}

async fn connect(config: Config, counts: Arc<Counts>, logs: &Logs) -> Result<AnyWorker, CliError> {
    let group = config.kafka.group.clone();
    let (reranker, _) = start::reranker(config.reranking, Arc::clone(&counts), logs).await?;
    let reranker = Arc::new(reranker);
    // Reaching the cluster blocks until it answers or the time is up.
    let settings = config.kafka;
    let topics = [
        settings.input_topic.clone(),
        config.worker.output_topic.clone(),
        config.worker.dead_letter_topic.clone(),
    ];
    let connected = tokio::task::spawn_blocking(move || {
        kafka::probe(&settings, &topics.each_ref().map(String::as_str))?;
        match settings.delivery {
            Delivery::AtLeastOnce => {
                // The sink first: who joins the group holds partitions, and must be able to publish.
                let sink = KafkaSink::start_counting(&settings, &counts)?;
                Ok(Connected::AtLeastOnce(KafkaSource::start_counting(&settings, &counts)?, sink))
            }
            Delivery::ExactlyOnce => {
                let (source, sink) = kafka::start_exactly_once_counting(&settings, &counts)?;
                Ok(Connected::ExactlyOnce(source, sink))
            }
        }
    });
    let connected = connected.await;
    let connected = connected.map_err(|error| CliError::Panicked { reason: error.to_string() })?;
    Ok(match connected.map_err(CliError::Kafka)? {
        Connected::AtLeastOnce(source, sink) => {
            AnyWorker::AtLeastOnce(Worker::new(source, sink, reranker, &group, config.worker))
        }
        Connected::ExactlyOnce(source, sink) => {
            AnyWorker::ExactlyOnce(Worker::new(source, sink, reranker, &group, config.worker))
        }
    })
}

/// What the admin port serves to who scrapes.
fn metrics(prometheus: Prometheus) -> Metrics {
    Box::new(move || prometheus.text().map_err(|error| error_text(&error)))
}

// === impl AnyWorker ===

impl AnyWorker {
    fn with_tracer(self, tracer: Tracer) -> Self {
        match self {
            Self::AtLeastOnce(worker) => Self::AtLeastOnce(worker.with_tracer(tracer)),
            Self::ExactlyOnce(worker) => Self::ExactlyOnce(worker.with_tracer(tracer)),
        }
    }

    async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), WorkerError> {
        match self {
            Self::AtLeastOnce(worker) => worker.run(shutdown).await,
            Self::ExactlyOnce(worker) => worker.run(shutdown).await,
        }
    }
}
