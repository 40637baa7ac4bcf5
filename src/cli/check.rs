use std::io::{self, Write};
use std::sync::Arc;

use clap::Args;

use super::{CliError, ConfigArguments, ModelArguments, start};
use crate::engine::Scorer;
use crate::kafka::{self, ClusterReport};
use crate::telemetry::{self, Counts};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Check configuration and model only, without reaching for a broker.
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    config: ConfigArguments,
    #[command(flatten)]
    model: ModelArguments,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let raw = arguments.config.load(&arguments.model)?;
    let config = raw.worker()?;
    telemetry::init(&config.reranking.telemetry).map_err(CliError::Telemetry)?;
    print(&raw.effective())?;
    for warning in &config.warnings {
        print(&format!("# warning: {warning}\n"))?;
    }
    print("# configuration: good\n")?;

    let reranker = start::reranker(config.reranking, Arc::new(Counts::default())).await?;
    let model = reranker.scorer().model();
    print(&format!(
        "# model: {} at {}, {} on {}: loaded and warm\n",
        model.id, model.revision, model.precision, model.backend
    ))?;
    if arguments.offline {
        return Ok(());
    }
    let topics = [
        config.kafka.input_topic.clone(),
        config.worker.output_topic,
        config.worker.dead_letter_topic,
    ];
    let settings = config.kafka;
    let probe = tokio::task::spawn_blocking(move || {
        kafka::probe(&settings, &topics.each_ref().map(String::as_str))
    });
    let report = probe.await.map_err(|error| CliError::Panicked { reason: error.to_string() })?;
    print(&describe(&report.map_err(CliError::Kafka)?))
}

fn describe(report: &ClusterReport) -> String {
    let (brokers, principal) = (report.brokers.join(", "), &report.principal);
    let topics = report.topics.iter();
    let topics = topics.map(|t| format!("# topic {}: {} partitions\n", t.name, t.partitions));
    format!("# brokers: {brokers}, as {principal}\n{}", topics.collect::<String>())
}

fn print(text: &str) -> Result<(), CliError> {
    io::stdout().write_all(text.as_bytes()).map_err(CliError::Write)
}
