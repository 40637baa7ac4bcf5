use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossrank::engine::{EngineError, ModelIdentity, ScoreRequest, Scorer, SetScores};
use crossrank::kafka::{Delivery, KafkaSink, KafkaSource, start_exactly_once_counting};
use crossrank::stream::{Position, PublishError, Record, RecordSink, RecordSource};
use crossrank::telemetry::{Telemetry, Tracer};
use crossrank::wire;
use crossrank::worker::{Reranker, Worker};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::support::{self, NoOp};
use crate::topics::Topics;
use crate::{Run, cpu};

/// Notes when the first set was to be scored.
struct Timed<S> {
    scorer: S,
    since: Arc<OnceLock<Instant>>,
}

impl<S: Scorer> Scorer for Timed<S> {
    fn model(&self) -> &ModelIdentity {
        self.scorer.model()
    }

    async fn score(&self, request: ScoreRequest) -> Result<SetScores, EngineError> {
        self.since.get_or_init(Instant::now);
        self.scorer.score(request).await
    }
}

/// Counts what was delivered, and tells when that is all.
struct Counted<K> {
    sink: K,
    done: Arc<Done>,
}

struct Done {
    left: AtomicUsize,
    bytes: AtomicU64,
    at: OnceLock<Instant>,
    rung: Notify,
}

impl<K: RecordSink> RecordSink for Counted<K> {
    async fn publish(
        &self,
        topic: &str,
        record: Record,
        answers: &Position,
    ) -> Result<(), PublishError> {
        let bytes = record.value.as_ref().map_or(0, |value| value.len() as u64);
        self.sink.publish(topic, record, answers).await?;
        self.done.bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.done.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.at.get_or_init(Instant::now);
            self.done.rung.notify_one();
        }
        Ok(())
    }

    async fn flush(&self, wait_max: Duration) -> Result<(), PublishError> {
        self.sink.flush(wait_max).await
    }
}

/// Bytes of the answer to `set`.
pub(crate) fn output_bytes(context: bool, set: &[u8]) -> usize {
    let context = context.to_string();
    let config = support::config(&[("kafka.brokers", "unused:1"), ("context.enabled", &context)]);
    let reranker = support::reranker(&config, NoOp::new());
    let set = wire::decode(Some(set), reranker.limits()).expect("a candidate set");
    let answer = reranker.answer(set, Box::new(|| true), jiff::Timestamp::now());
    Runtime::new().expect("a runtime").block_on(answer).expect("an answer").value.len()
}

/// Answers every record of the input with the worker, without scoring in earnest.
pub(crate) fn run(topics: &Topics, context: bool, with: &[String]) -> Run {
    run_with(topics, NoOp::new(), context, with)
}

/// Answers every record of the input with the worker and the scores of `scorer`.
pub(crate) fn run_with<S: Scorer>(
    topics: &Topics,
    scorer: S,
    context: bool,
    with: &[String],
) -> Run {
    run_observed(topics, scorer, context, with, None)
}

/// The same, and tells `telemetry` of it.
pub(crate) fn run_observed<S: Scorer>(
    topics: &Topics,
    scorer: S,
    context: bool,
    with: &[String],
    telemetry: Option<&Telemetry>,
) -> Run {
    topics.with_output(|output| {
        let answers = answer_all(topics, output, scorer, (context, with), telemetry);
        Runtime::new().expect("a runtime").block_on(answers)
    })
}

async fn answer_all<S: Scorer>(
    topics: &Topics,
    output: &str,
    scorer: S,
    (context, with): (bool, &[String]),
    telemetry: Option<&Telemetry>,
) -> Run {
    let context = context.to_string();
    let mut settings = vec![
        ("kafka.brokers", topics.brokers.as_str()),
        ("kafka.input_topic", &topics.input),
        ("kafka.group", output),
        ("worker.output_topic", output),
        // Nothing is buried.
        ("worker.dead_letter_topic", "none"),
        ("context.enabled", &context),
    ];
    settings.extend(with.iter().map(|with| with.split_once('=').expect("KEY=VALUE")));
    let config = support::config(&settings);
    let since = Arc::default();
    let scorer = Timed { scorer, since: Arc::clone(&since) };
    let reranker = support::reranker(&config, scorer);
    let counts = Arc::clone(reranker.counts());
    if let Some(telemetry) = telemetry {
        telemetry.collect(&counts);
    }
    let tracer = telemetry.map(Telemetry::tracer).unwrap_or_default();
    let done = Arc::new(Done {
        left: AtomicUsize::new(topics.sets),
        bytes: AtomicU64::new(0),
        at: OnceLock::new(),
        rung: Notify::new(),
    });
    let (kafka, settings) = (config.kafka, config.worker);
    let cpu = match kafka.delivery {
        Delivery::AtLeastOnce => {
            let start = move || {
                let sink = KafkaSink::start_counting(&kafka, &counts).expect("a producer");
                (KafkaSource::start_counting(&kafka, &counts).expect("a consumer"), sink)
            };
            let started = tokio::task::spawn_blocking(start).await.expect("a start");
            work(started, (reranker, tracer), output, settings, &done).await
        }
        Delivery::ExactlyOnce => {
            let start = move || start_exactly_once_counting(&kafka, &counts).expect("transactions");
            let started = tokio::task::spawn_blocking(start).await.expect("a start");
            work(started, (reranker, tracer), output, settings, &done).await
        }
    };
    let (first, last) = (since.get().expect("a first set"), done.at.get().expect("a last set"));
    let seconds = (*last - *first).as_secs_f64();
    Run {
        sets_per_s: topics.sets as f64 / seconds,
        bytes_per_s: done.bytes.load(Ordering::Relaxed) as f64 / seconds,
        cpu_seconds: cpu,
    }
}

/// Works until all is delivered; the CPU seconds that it took.
async fn work<S: RecordSource, K: RecordSink, E: Scorer>(
    (source, sink): (S, K),
    (reranker, tracer): (Arc<Reranker<E>>, Tracer),
    group: &str,
    settings: crossrank::worker::Settings,
    done: &Arc<Done>,
) -> f64 {
    let sink = Counted { sink, done: Arc::clone(done) };
    let cpu = cpu::seconds();
    let worker = Worker::new(source, sink, reranker, group, settings).with_tracer(tracer);
    worker.run(done.rung.notified()).await.expect("a worker that stops in order");
    cpu::seconds() - cpu
}
