//! What a worker tells of what it did, as metrics; and that nobody who listens holds it up.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use crossrank::engine::PairError;
use crossrank::stream::PublishFailure;
use crossrank::telemetry::{
    Metric, MetricKind, Prometheus, Providers, Telemetry, label_values, metrics,
};
use crossrank::wire::Reason;
use opentelemetry::KeyValue;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter,
};

use crate::stage::*;

/// An exporter that waits until the test lets it go on.
struct Stuck(Mutex<Receiver<()>>);

// === impl Stuck ===

impl SpanExporter for Stuck {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        let _let_go = self.0.lock().unwrap().recv();
        Ok(())
    }
}

impl fmt::Debug for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stuck")
    }
}

fn metered() -> (Telemetry, SdkMeterProvider, InMemoryMetricExporter, Prometheus) {
    let exporter = InMemoryMetricExporter::default();
    let (prometheus, reader) = Prometheus::new().unwrap();
    let builder = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone());
    let meters = builder.with_reader(reader).build();
    let providers = Providers { meters: Some(meters.clone()), ..Providers::default() };
    (Telemetry::new(providers, Default::default()), meters, exporter, prometheus)
}

/// A worker's day: answers of every kind, a bad record, a publish that has to be tried again.
async fn work(telemetry: &Telemetry) {
    let broker = broker(2);
    produce_sets(&broker, 2, 6);
    broker.produce(INPUT, 0, record(&serde_json::json!({"query": "no candidates"})));
    broker.fail_next_publish(OUTPUT, PublishFailure::Retryable, 1);
    let scorer = TestScorer::new(|request| async move {
        let mut scores = scores(&request);
        if request.query == "3" {
            scores.pairs[0].logit = Err(PairError::Tokenization);
        }
        scores.queue = Duration::from_millis(3);
        scores.score = Duration::from_millis(40);
        Ok(scores)
    });
    let worker = Running::telling(&broker, scorer, settings(), telemetry);
    all_answered(&broker, 6).await;
    eventually(&broker, |broker| committed(broker, 2) == 7).await;
    worker.stop().await.unwrap();
}

/// Name, unit, description, kind and attributes of each point.
fn points(collected: &ResourceMetrics) -> Vec<(String, String, String, MetricKind, Vec<KeyValue>)> {
    let mut points = Vec::new();
    for metric in collected.scope_metrics().flat_map(|scope| scope.metrics()) {
        let (kind, attributes) = match metric.data() {
            AggregatedMetrics::F64(data) => attributes(data),
            AggregatedMetrics::U64(data) => attributes(data),
            AggregatedMetrics::I64(data) => attributes(data),
        };
        for keys in attributes {
            let word = str::to_owned;
            points.push((
                word(metric.name()),
                word(metric.unit()),
                word(metric.description()),
                kind,
                keys,
            ));
        }
    }
    points
}

fn attributes<T: Copy>(data: &MetricData<T>) -> (MetricKind, Vec<Vec<KeyValue>>) {
    match data {
        MetricData::Gauge(gauge) => {
            let points = gauge.data_points().map(|point| point.attributes().cloned().collect());
            (MetricKind::Gauge, points.collect())
        }
        MetricData::Sum(sum) => {
            assert!(sum.is_monotonic());
            let points = sum.data_points().map(|point| point.attributes().cloned().collect());
            (MetricKind::Counter, points.collect())
        }
        MetricData::Histogram(histogram) => {
            let points = histogram.data_points();
            let points = points.map(|point| point.attributes().cloned().collect());
            (MetricKind::Histogram, points.collect())
        }
        MetricData::ExponentialHistogram(_) => unreachable!("every histogram has its buckets"),
    }
}

#[tokio::test(start_paused = true)]
async fn every_metric_is_what_the_table_says_and_carries_no_other_attribute() {
    let (telemetry, meters, exporter, _) = metered();
    work(&telemetry).await;
    meters.force_flush().unwrap();
    let collected = exporter.get_finished_metrics().unwrap();
    let points = points(collected.last().unwrap());
    for (name, unit, description, kind, attributes) in &points {
        let metric = metrics().iter().find(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| panic!("{name} is not in the table"));
        assert_eq!((metric.unit, metric.description), (unit.as_str(), description.as_str()));
        assert_eq!(metric.kind, *kind, "{name}");
        for attribute in attributes {
            let key = attribute.key.as_str();
            assert!(metric.attributes.contains(&key), "{name} carries {key}");
        }
    }
    // What a broker in memory and a scorer without a model have nothing to say about.
    let silent = ["lag", "uncommitted", "commit.age", "model.", "worker.info", "batch."];
    let told: BTreeSet<&str> = points.iter().map(|point| point.0.as_str()).collect();
    for Metric { name, .. } in metrics() {
        let is_silent = silent.iter().any(|part| name.contains(part));
        assert_eq!(told.contains(name), !is_silent, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_attribute_holds_a_value_of_a_record() {
    let (telemetry, meters, exporter, _) = metered();
    work(&telemetry).await;
    meters.force_flush().unwrap();
    let collected = exporter.get_finished_metrics().unwrap();
    let words = ["crossrank_reason", "crossrank_code", "crossrank_rebalance"]
        .into_iter()
        .flat_map(|label| label_values(label).unwrap());
    let known: BTreeSet<&str> = [
        "kafka",
        "poll",
        "process",
        "send",
        INPUT,
        OUTPUT,
        DEAD,
        GROUP,
        "0",
        "1",
        "retryable",
        "decode",
        "queue",
        "score",
        "assemble",
        "publish",
        "reranked",
        "partial",
        "passthrough",
        "failed",
        "scored",
        "committed",
        "aborted",
        "query",
        "passage",
    ]
    .into_iter()
    .chain(words)
    .collect();
    for (name, .., attributes) in points(collected.last().unwrap()) {
        for attribute in attributes {
            let value = attribute.value.as_str();
            assert!(known.contains(&*value), "{name}: {}={value}", attribute.key);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn prometheus_reads_the_same_under_names_that_the_table_foretells() {
    let (telemetry, _meters, _, prometheus) = metered();
    work(&telemetry).await;
    let text = prometheus.text().unwrap();
    let foretold: BTreeSet<String> = metrics().iter().map(Metric::prometheus_name).collect();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names: BTreeSet<&str> = types.filter_map(|line| line.split(' ').next()).collect();
    for name in names.iter().filter(|name| **name != "target_info") {
        assert!(foretold.contains(*name), "{name}\n{text}");
    }
    for line in [
        r#"crossrank_sets_answered_total{crossrank_status="reranked"} 5"#,
        r#"crossrank_sets_answered_total{crossrank_status="partial"} 1"#,
        r#"crossrank_dead_letters_total{crossrank_code="missing_field"} 1"#,
        r#"crossrank_candidates_unscored_total{crossrank_reason="not_tokenised"} 1"#,
        "crossrank_publish_retries_total 1",
        "crossrank_sets_in_flight 0",
        "crossrank_rank_displacement_count 6",
        r#"crossrank_stage_duration_seconds_count{crossrank_stage="score"} 6"#,
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_collected_where_nobody_listens() {
    let telemetry = Telemetry::new(Providers::default(), Default::default());
    let broker = broker(1);
    produce_sets(&broker, 1, 1);
    let worker =
        Running::telling(&broker, TestScorer::taking(Duration::ZERO), settings(), &telemetry);
    all_answered(&broker, 1).await;
    assert!(worker.counts.distributions().is_none());
    assert_eq!(worker.counts.snapshot().sets_claimed, 1, "counted all the same");
    worker.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_never_answers_holds_nothing_up() {
    let (let_go, stuck) = sync_channel::<()>(0);
    // Room for few, so that most spans find none.
    let config = BatchConfigBuilder::default().with_max_queue_size(8).with_max_export_batch_size(4);
    let processor = BatchSpanProcessor::builder(Stuck(Mutex::new(stuck)));
    let processor = processor.with_batch_config(config.build()).build();
    let tracers = SdkTracerProvider::builder().with_span_processor(processor).build();
    let providers = Providers { tracers: Some(tracers), ..Providers::default() };
    let telemetry = Telemetry::new(providers, Default::default());
    let broker = broker(2);
    produce_sets(&broker, 2, 200);
    let worker =
        Running::telling(&broker, TestScorer::taking(Duration::ZERO), settings(), &telemetry);
    all_answered(&broker, 200).await;
    worker.stop().await.unwrap();
    assert_eq!(committed(&broker, 2), 200);
    // From here on it fails at once, so that it can be shut down.
    drop(let_go);
    telemetry.shut_down();
}

#[test]
fn reasons_on_metrics_are_those_of_answers() {
    let mut reasons = Reason::ALL.map(Reason::as_str);
    reasons.sort_unstable();
    assert_eq!(label_values("crossrank_reason").unwrap(), reasons);
}
