//! Everything in one process: librdkafka's mock broker, the worker, sample sets.

mod answer;
mod sample;
mod show;
mod table;

use std::io::{self, Write};
use std::sync::Arc;

use clap::Args;
use tokio::sync::oneshot;

use super::signals::Shutdown;
use super::{CliError, ModelArguments, arguments, start};
use crate::config::{self, Config, Sources};
use crate::kafka::{InProcessCluster, KafkaSink, KafkaSource};
use crate::telemetry::{self, Counts, Logs};
use crate::worker::Worker;

/// Sets that are timed at most; the mock broker forgets what is over 5 MiB a partition.
const SETS_MAX: u16 = 1000;
const PARTITIONS: i32 = 4;
/// What goes wrong only; see default.toml for the GPU libraries.
const LOG_FILTER: &str = "warn,wgpu_hal=off,wgpu_core=error,naga=error";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Candidate sets for the throughput at the end; 0 leaves it out.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(..=i64::from(SETS_MAX)))]
    sets: u16,
    #[command(flatten)]
    model: ModelArguments,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let cluster = InProcessCluster::start(&[]).map_err(CliError::Kafka)?;
    let config = configure(&arguments.model, &cluster)?;
    let logs = telemetry::init(&config.reranking.telemetry).map_err(CliError::Telemetry)?;
    let mut shutdown = Shutdown::listen().map_err(CliError::Signals)?;
    let outcome = tokio::select! {
        shown = demonstrate(config, usize::from(arguments.sets), &logs) => shown,
        () = shutdown.asked() => Ok(()),
    };
    // Clients let go of it in threads of their own, and would warn that it is gone: it ends with the process.
    std::mem::forget(cluster);
    outcome
}

async fn demonstrate(config: Config, sets: usize, logs: &Logs) -> Result<(), CliError> {
    let counts = Arc::new(Counts::default());
    let (reranker, _) = start::reranker(config.reranking.clone(), counts, logs).await?;
    let reranker = Arc::new(reranker);
    let counts = Arc::clone(reranker.counts());
    let source = KafkaSource::start(&config.kafka).map_err(CliError::Kafka)?;
    let sink = KafkaSink::start(&config.kafka).map_err(CliError::Kafka)?;
    let group = config.kafka.group.clone();
    let worker = Worker::new(source, sink, reranker, &group, config.worker.clone());
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = tokio::spawn(worker.run(async move {
        // Dropped or sent, both mean stop.
        let _either = stopped.await;
    }));
    let mut show = show::Show::start(&config)?;
    show.before_and_after().await?;
    if sets > 0 {
        show.throughput(sets).await?;
    }
    let _already_ended = stop.send(());
    worker.await.map_err(|error| CliError::Panicked { reason: error.to_string() })??;
    let counts = counts.snapshot();
    print(&format!(
        "\nThe worker claimed {} sets and published {} answers.\n",
        counts.sets_claimed, counts.sets_published
    ))
}

/// The configuration of the demonstration: defaults and flags only, so that it is the same
/// everywhere.
fn configure(model: &ModelArguments, cluster: &InProcessCluster) -> Result<Config, CliError> {
    print(
        "crossrank demo: a worker and a broker in one process.\n\
         The broker is librdkafka's own mock: it keeps nothing, and ends with it.\n",
    )?;
    let default_model = arguments::bundled();
    if model.scorer.model.is_none() && default_model.is_some() {
        print("The model is the small one that ships inside; --model ID or DIR takes another.\n")?;
    }
    let mut flags = model.flags();
    flags.push(("kafka.brokers".to_owned(), cluster.brokers(), "demo"));
    // The mock answers a fetch that finds nothing only when this time is over, even if a record comes
    // meanwhile; a real broker answers at once.
    flags.push(("kafka.client.fetch.wait.max.ms".to_owned(), "10".to_owned(), "demo"));
    flags.push(("log.filter".to_owned(), LOG_FILTER.to_owned(), "demo"));
    let sources = Sources { default_model, flags, ..Sources::default() };
    let config = config::load(sources)?.worker()?;
    let topics =
        [&config.kafka.input_topic, &config.worker.output_topic, &config.worker.dead_letter_topic];
    for topic in topics {
        cluster.create_topic(topic, PARTITIONS).map_err(CliError::Kafka)?;
    }
    Ok(config)
}

fn print(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(CliError::Write)
}
