use std::sync::Arc;

use clap::Args;

use super::signals::Shutdown;
use super::{CliError, ConfigArguments, ModelArguments, start};
use crate::engine::Engine;
use crate::kafka::{self, KafkaSink, KafkaSource};
use crate::telemetry::{self, Counts};
use crate::worker::Worker;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
    #[command(flatten)]
    model: ModelArguments,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let config = arguments.config.load(&arguments.model)?.worker()?;
    telemetry::init(&config.reranking.telemetry).map_err(CliError::Telemetry)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let mut shutdown = Shutdown::listen().map_err(CliError::Signals)?;
    let counts = Arc::new(Counts::default());
    // Load, verify and warm the model before joining the group: a member that cannot score yet
    // would hold partitions for nothing.
    let worker = tokio::select! {
        started = connect(config, Arc::clone(&counts)) => started?,
        () = shutdown.asked() => {
            tracing::info!("stopped before the start was complete");
            return Ok(());
        }
    };
    let outcome = worker.run(async move { shutdown.asked().await }).await;
    counts.snapshot().log();
    tracing::info!("stopped");
    Ok(outcome?)
}

async fn connect(
    config: crate::config::Config,
    counts: Arc<Counts>,
) -> Result<Worker<KafkaSource, KafkaSink, Engine>, CliError> {
    let group = config.kafka.group.clone();
    let reranker = Arc::new(start::reranker(config.reranking, counts).await?);
    // Reaching the cluster blocks until it answers or the time is up.
    let settings = config.kafka;
    let topics = [
        settings.input_topic.clone(),
        config.worker.output_topic.clone(),
        config.worker.dead_letter_topic.clone(),
    ];
    let connected = tokio::task::spawn_blocking(move || {
        kafka::probe(&settings, &topics.each_ref().map(String::as_str))?;
        Ok((KafkaSource::start(&settings)?, KafkaSink::start(&settings)?))
    });
    let connected = connected.await;
    let connected = connected.map_err(|error| CliError::Panicked { reason: error.to_string() })?;
    let (source, sink) = connected.map_err(CliError::Kafka)?;
    Ok(Worker::new(source, sink, reranker, &group, config.worker))
}
