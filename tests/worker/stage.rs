//! What every test here stands on.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crossrank::engine::{EngineError, ModelIdentity, PairScore, ScoreRequest, Scorer, SetScores};
use crossrank::rank::Cuts;
use crossrank::stream::{LocalBroker, Record, RecordSink, RecordSource, StoredRecord};
use crossrank::telemetry::{Counts, Telemetry, Tracer};
use crossrank::wire::{Limits, Results};
use crossrank::worker::{
    AnswerSettings, BreakerSettings, Deadlines, OutputOrder, Reranker, Settings, Worker,
    WorkerError,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const INPUT: &str = "candidates";
pub(crate) const OUTPUT: &str = "contexts";
pub(crate) const DEAD: &str = "dead-letters";
pub(crate) const GROUP: &str = "workers";

type Scored = Pin<Box<dyn Future<Output = Result<SetScores, EngineError>> + Send>>;

/// Scores as the test says.
pub(crate) struct TestScorer {
    model: ModelIdentity,
    behaviour: Box<dyn Fn(ScoreRequest) -> Scored + Send + Sync>,
}

/// A worker that runs, and how to stop it.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    worker: JoinHandle<Result<(), WorkerError>>,
    pub(crate) counts: Arc<Counts>,
}

// === impl TestScorer ===

impl TestScorer {
    pub(crate) fn new<F, S>(behaviour: F) -> Self
    where
        F: Fn(ScoreRequest) -> S + Send + Sync + 'static,
        S: Future<Output = Result<SetScores, EngineError>> + Send + 'static,
    {
        let word = |text: &str| text.to_owned();
        let model = ModelIdentity {
            id: word("test"),
            revision: word("1"),
            precision: word("f32"),
            backend: word("none"),
            label: None,
        };
        Self { model, behaviour: Box::new(move |request| Box::pin(behaviour(request))) }
    }

    /// Every set takes `time`, and is not scored if it is unwanted when its turn comes.
    pub(crate) fn taking(time: Duration) -> Self {
        Self::new(move |request| async move {
            if !(request.wanted)() {
                return Err(EngineError::Unwanted);
            }
            tokio::time::sleep(time).await;
            Ok(scores(&request))
        })
    }
}

impl Scorer for TestScorer {
    fn model(&self) -> &ModelIdentity {
        &self.model
    }

    async fn score(&self, request: ScoreRequest) -> Result<SetScores, EngineError> {
        (self.behaviour)(request).await
    }
}

// === impl Running ===

impl Running {
    pub(crate) fn start(broker: &LocalBroker, scorer: TestScorer, settings: Settings) -> Self {
        Self::answering(broker, reranker(scorer), settings)
    }

    pub(crate) fn answering(
        broker: &LocalBroker,
        reranker: Reranker<TestScorer>,
        settings: Settings,
    ) -> Self {
        Self::reading(broker, broker.source(GROUP, INPUT), reranker, settings)
    }

    pub(crate) fn reading<S: RecordSource + 'static>(
        broker: &LocalBroker,
        source: S,
        reranker: Reranker<TestScorer>,
        settings: Settings,
    ) -> Self {
        Self::working(source, broker.sink().record_bytes_max(200_000), reranker, settings)
    }

    pub(crate) fn working<S: RecordSource + 'static, K: RecordSink>(
        source: S,
        sink: K,
        reranker: Reranker<TestScorer>,
        settings: Settings,
    ) -> Self {
        Self::traced((source, sink), reranker, settings, Tracer::default())
    }

    /// As [`Self::start`]; `telemetry` is told of it.
    pub(crate) fn telling(
        broker: &LocalBroker,
        scorer: TestScorer,
        settings: Settings,
        telemetry: &Telemetry,
    ) -> Self {
        let reranker = reranker(scorer);
        telemetry.collect(reranker.counts());
        let ends = (broker.source(GROUP, INPUT), broker.sink().record_bytes_max(200_000));
        Self::traced(ends, reranker, settings, telemetry.tracer())
    }

    fn traced<S: RecordSource + 'static, K: RecordSink>(
        (source, sink): (S, K),
        reranker: Reranker<TestScorer>,
        settings: Settings,
        tracer: Tracer,
    ) -> Self {
        let counts = Arc::clone(reranker.counts());
        let reranker = Arc::new(reranker);
        let worker = Worker::new(source, sink, reranker, GROUP, settings).with_tracer(tracer);
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = tokio::spawn(worker.run(async move {
            // A test that drops the sender wants the worker stopped too.
            let _dropped = stopped.await;
        }));
        Self { stop, worker, counts }
    }

    /// Asks the worker to stop, and waits until it has.
    pub(crate) async fn stop(self) -> Result<(), WorkerError> {
        let _already_ended = self.stop.send(());
        self.worker.await.unwrap()
    }

    /// Waits until the worker stops by itself.
    pub(crate) async fn ended(self) -> WorkerError {
        let _keep_it_running = self.stop;
        let ended = tokio::time::timeout(Duration::from_secs(3600), self.worker).await;
        ended.expect("the worker goes on").unwrap().unwrap_err()
    }

    /// Ends the worker as SIGKILL does: nothing more is settled, published or committed.
    pub(crate) async fn kill(self) {
        self.worker.abort();
        assert!(self.worker.await.unwrap_err().is_cancelled());
    }
}

pub(crate) fn reranker(scorer: TestScorer) -> Reranker<TestScorer> {
    reranker_counting(scorer, Arc::default())
}

pub(crate) fn reranker_counting(scorer: TestScorer, counts: Arc<Counts>) -> Reranker<TestScorer> {
    let answers = AnswerSettings {
        limits: limits(),
        cuts: Cuts::default(),
        deadlines: Deadlines::default(),
        results: Results::Full,
        context: None,
    };
    Reranker::new(scorer, answers, counts)
}

pub(crate) fn limits() -> Limits {
    Limits {
        record_bytes_max: 50_000,
        query_chars_max: 500,
        candidates_max: 20,
        candidates_refused_above: 30,
        passage_chars_max: 1000,
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        output_topic: OUTPUT.to_owned(),
        dead_letter_topic: DEAD.to_owned(),
        sets_max: 16,
        bytes_max: 1 << 20,
        shutdown_timeout: Duration::from_secs(20),
        retry_wait_min: Duration::from_millis(100),
        retry_wait_max: Duration::from_secs(10),
        ordering: OutputOrder::Unordered,
        breaker: BreakerSettings { run_max: None, share_max: None, window: 100 },
    }
}

pub(crate) fn broker(partitions: usize) -> LocalBroker {
    LocalBroker::new().topic(INPUT, partitions).topic(OUTPUT, partitions).topic(DEAD, partitions)
}

/// The logit of a passage is its length.
pub(crate) fn scores(request: &ScoreRequest) -> SetScores {
    let pair = |passage: &String| PairScore::new(Ok(passage.len() as f32), 4);
    SetScores {
        query_truncated: false,
        pairs: request.passages.iter().map(pair).collect(),
        queue: Duration::ZERO,
        score: Duration::ZERO,
    }
}

/// A candidate set of two, whose second candidate is the better one.
pub(crate) fn set(id: usize) -> Record {
    record(&json!({
        "request_id": id.to_string(),
        "query": id.to_string(),
        "candidates": [{"id": "a", "text": "short"}, {"id": "b", "text": "a longer one"}],
    }))
}

pub(crate) fn record(value: &Value) -> Record {
    Record { value: Some(value.to_string().into()), ..Record::default() }
}

pub(crate) fn produce_sets(broker: &LocalBroker, partitions: usize, count: usize) {
    for id in 0..count {
        broker.produce(INPUT, (id % partitions) as i32, set(id));
    }
}

pub(crate) fn json_of(record: &StoredRecord) -> Value {
    serde_json::from_slice(record.record.value.as_ref().unwrap()).unwrap()
}

/// How often each set was answered.
pub(crate) fn answers(broker: &LocalBroker) -> BTreeMap<usize, usize> {
    let mut answers = BTreeMap::new();
    for record in broker.records(OUTPUT) {
        let id = json_of(&record)["request_id"].as_str().unwrap().parse().unwrap();
        *answers.entry(id).or_default() += 1;
    }
    answers
}

/// Waits until `condition` holds; an hour of paused time without it is a failure.
pub(crate) async fn eventually(broker: &LocalBroker, condition: impl Fn(&LocalBroker) -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(3600), broker.until(condition)).await;
    assert!(waited.is_ok(), "waited in vain: {} answers", answers(broker).len());
}

/// Waits until every set of `0..count` has an answer.
pub(crate) async fn all_answered(broker: &LocalBroker, count: usize) {
    eventually(broker, |broker| answers(broker).len() == count).await;
}

/// Sum of the committed offsets of all partitions.
pub(crate) fn committed(broker: &LocalBroker, partitions: usize) -> i64 {
    (0..partitions as i32).filter_map(|p| broker.committed(GROUP, INPUT, p)).sum()
}
