use std::io::{self, Write};
use std::sync::Arc;

use clap::Args;

use super::{CliError, ConfigArguments, ModelArguments, start};
use crate::admin;
use crate::config::{self, Config};
use crate::engine::Scorer;
use crate::kafka::{self, ClusterReport};
use crate::telemetry::{self, Counts, Logs};
use crate::worker;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Check configuration and model only, without reaching for a broker. kafka.brokers may then be
    /// absent.
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    config: ConfigArguments,
    #[command(flatten)]
    model: ModelArguments,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let raw = arguments.config.load(&arguments.model)?;
    if arguments.offline && !raw.names_brokers() {
        let reranking = raw.reranking()?;
        let logs = telemetry::init(&reranking.telemetry).map_err(CliError::Telemetry)?;
        print(&raw.effective())?;
        print("# configuration: good for use without Kafka; kafka.brokers is not set\n")?;
        return print(&engine(reranking, &logs).await?);
    }
    let Config { reranking, kafka, worker, admin, warnings } = raw.worker()?;
    let logs = telemetry::init(&reranking.telemetry).map_err(CliError::Telemetry)?;
    print(&raw.effective())?;
    for warning in &warnings {
        print(&format!("# warning: {warning}\n"))?;
    }
    print("# configuration: good\n")?;
    print(&described(admin.as_ref()))?;
    if arguments.offline {
        return print(&engine(reranking, &logs).await?);
    }
    // Both, whatever the other says: who sets up a worker wants to know everything at once.
    let (engine, cluster) = tokio::join!(engine(reranking, &logs), cluster(kafka, worker));
    for good in [&engine, &cluster].into_iter().flatten() {
        print(good)?;
    }
    match (engine, cluster) {
        (Ok(_), Ok(_)) => Ok(()),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
        (Err(engine), Err(cluster)) => {
            let (engine, cluster) = (Box::new(engine), Box::new(cluster));
            Err(CliError::EngineAndCluster { engine, cluster })
        }
    }
}

/// Loads, warms and proves the model, and says what it is.
async fn engine(settings: config::Reranking, logs: &Logs) -> Result<String, CliError> {
    let tested = settings.model.self_test.enabled;
    let (reranker, proof) = start::reranker(settings, Arc::new(Counts::default()), logs).await?;
    let proof = match proof {
        Some(proof) => format!("passed: {proof}"),
        None if tested => {
            "none: no scores of this model are published; --expected FILE has some".to_owned()
        }
        None => "off, by model.self_test".to_owned(),
    };
    let model = reranker.scorer().model();
    let label = model.label.as_ref().map(|label| format!(", label {label:?}"));
    Ok(format!(
        "# model: {} at {}{}, {} on {}: loaded and warm\n# self-test {proof}\n",
        model.id,
        model.revision,
        label.unwrap_or_default(),
        model.precision,
        model.backend
    ))
}

/// Reaches for brokers and topics, and says what is there.
async fn cluster(settings: kafka::Settings, worker: worker::Settings) -> Result<String, CliError> {
    let topics = [settings.input_topic.clone(), worker.output_topic, worker.dead_letter_topic];
    let probe = tokio::task::spawn_blocking(move || {
        kafka::probe(&settings, &topics.each_ref().map(String::as_str))
    });
    let report = probe.await.map_err(|error| CliError::Panicked { reason: error.to_string() })?;
    Ok(describe(&report.map_err(CliError::Kafka)?))
}

fn described(admin: Option<&admin::Settings>) -> String {
    let Some(admin) = admin else { return "# admin port: off, by admin.enabled\n".to_owned() };
    let who = match admin.token {
        Some(_) => "for who has the token; /livez and /readyz for everybody",
        None => "for this machine, without a token",
    };
    format!("# admin port: http://{}/, {who}\n", admin.address)
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
