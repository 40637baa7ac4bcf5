//! The worker process: this program again, told so by an environment variable. It is made of the
//! library's own source, sink and worker, around a scorer that costs nothing.

use std::os::unix::process::parent_id;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossrank::engine::{EngineError, ModelIdentity, PairScore, ScoreRequest, Scorer, SetScores};
use crossrank::kafka::{self, GroupProtocol, KafkaSink, KafkaSource, Security, Settings as Kafka};
use crossrank::rank::Cuts;
use crossrank::stream::{RecordSink, RecordSource};
use crossrank::telemetry::{self, Counts, LogFormat};
use crossrank::wire::{Limits, Results};
use crossrank::worker::{
    AnswerSettings, BreakerSettings, Deadlines, OutputOrder, Reranker, Settings, Worker,
};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::hasty::Hasty;
use super::inputs;

/// Holds the [`Role`], as JSON.
const ROLE: &str = "CROSSRANK_AUDIT_WORKER";
/// Records of one partition that a worker may have claimed beyond its commit.
pub(crate) const UNCOMMITTED_MAX: u32 = 200;
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(8);
/// The brokers wait for the transaction of a worker that has died for so long. As by default two thirds of a session, so
/// that it has ended when another worker gets the partitions, which cannot be read before.
pub(crate) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than a session, as librdkafka demands.
pub(crate) const REBALANCE_TIMEOUT: Duration = Duration::from_secs(9);
/// How long the scorer stands still when it is told to.
pub(crate) const STALL: Duration = Duration::from_secs(11);
/// What is not answered for so long is asked anew.
pub(crate) const REQUEST_MAX: Duration = Duration::from_secs(3);
/// A client that has lost all brokers for so long is replaced.
pub(crate) const WATCHDOG_TIMEOUT: Duration = Duration::from_secs(12);
/// Bytes of records that are sent together.
pub(crate) const BATCH_BYTES: usize = inputs::DEAD_LETTER_BYTES_MAX / 2;

/// How records are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Delivery {
    AtLeastOnce,
    ExactlyOnce,
}

/// What a worker process is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Role {
    pub(crate) brokers: String,
    pub(crate) group: String,
    pub(crate) input: String,
    pub(crate) outputs: String,
    pub(crate) letters: String,
    pub(crate) delivery: Delivery,
    /// Commits before it publishes: what the audit must notice.
    pub(crate) is_hasty: bool,
}

/// Scores after a few milliseconds, by a hash of the texts.
struct HashScorer {
    model: ModelIdentity,
    since: Instant,
    /// In milliseconds from `since`: no set is scored before.
    stalled_until: Arc<AtomicU64>,
}

// === impl Role ===

impl Role {
    /// Tells `command`, which is this program, that it is a worker.
    pub(crate) fn give_to(&self, command: &mut Command) {
        command.env(ROLE, serde_json::to_string(self).expect("a role is JSON"));
    }

    /// Of this process, if it is a worker.
    pub(crate) fn of_this_process() -> Option<Self> {
        let role = std::env::var(ROLE).ok()?;
        Some(serde_json::from_str(&role).expect("the role of a worker"))
    }

    /// Works until SIGTERM.
    pub(crate) fn play(&self) {
        let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned());
        let logs = telemetry::Settings {
            filter,
            format: LogFormat::Text,
            otlp: false,
            spans: Default::default(),
        };
        telemetry::init(&logs).expect("logs");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(self.work());
        tracing::info!("stopped");
    }

    async fn work(&self) {
        let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM");
        let scorer = HashScorer::new();
        scorer.stall_when_told();
        tokio::spawn(end_with_parent());
        let (settings, counts) = (self.kafka(), Arc::new(Counts::default()));
        let counted = Arc::clone(&counts);
        match self.delivery {
            Delivery::AtLeastOnce => {
                let start = move || {
                    let sink = KafkaSink::start_counting(&settings, &counted).expect("a producer");
                    let source = KafkaSource::start_counting(&settings, &counted);
                    (source.expect("a consumer"), sink)
                };
                let (source, sink) = tokio::task::spawn_blocking(start).await.expect("a start");
                if self.is_hasty {
                    self.run(Hasty(source), sink, (scorer, counts), &mut terminate).await;
                } else {
                    self.run(source, sink, (scorer, counts), &mut terminate).await;
                }
            }
            Delivery::ExactlyOnce => {
                let start = move || {
                    let started = kafka::start_exactly_once_counting(&settings, &counted);
                    started.expect("transactions")
                };
                let (source, sink) = tokio::task::spawn_blocking(start).await.expect("a start");
                self.run(source, sink, (scorer, counts), &mut terminate).await;
            }
        }
    }

    async fn run<S: RecordSource, K: RecordSink>(
        &self,
        source: S,
        sink: K,
        (scorer, counts): (HashScorer, Arc<Counts>),
        terminate: &mut tokio::signal::unix::Signal,
    ) {
        let reranker = Arc::new(Reranker::new(scorer, answers(), Arc::clone(&counts)));
        let worker = Worker::new(source, sink, reranker, &self.group, self.settings());
        let shutdown = async {
            terminate.recv().await;
            tracing::info!("asked to stop");
        };
        let ended = worker.run(shutdown).await;
        counts.snapshot().log();
        if let Err(error) = ended {
            panic!("{}", crossrank::error_text(&error));
        }
    }

    fn kafka(&self) -> Kafka {
        let client = [
            ("socket.timeout.ms", REQUEST_MAX.as_millis().to_string()),
            ("reconnect.backoff.max.ms", "1000".to_owned()),
            // Soon enough to be told that there is no broker.
            ("topic.metadata.refresh.interval.ms", "2000".to_owned()),
            // Below what the dead letter topic takes: a batch that is larger is refused as a whole.
            ("batch.size", BATCH_BYTES.to_string()),
        ];
        Kafka {
            brokers: self.brokers.clone(),
            group: self.group.clone(),
            input_topic: self.input.clone(),
            security: Security::default(),
            group_protocol: GroupProtocol::Classic,
            instance_id: None,
            session_timeout: SESSION_TIMEOUT,
            drain_timeout: Duration::from_secs(2),
            rebalance_timeout: REBALANCE_TIMEOUT,
            commit_interval: Duration::from_millis(200),
            uncommitted_max: UNCOMMITTED_MAX as usize,
            keep_completed: self.delivery == Delivery::AtLeastOnce,
            delivery: match self.delivery {
                Delivery::AtLeastOnce => kafka::Delivery::AtLeastOnce,
                Delivery::ExactlyOnce => kafka::Delivery::ExactlyOnce,
            },
            transaction_interval: Duration::from_millis(100),
            transaction_records: 100,
            transaction_timeout: TRANSACTION_TIMEOUT,
            delivery_timeout: Duration::from_secs(20),
            watchdog_timeout: WATCHDOG_TIMEOUT,
            prefetch_bytes: 4 << 20,
            record_bytes_max: 1 << 20,
            startup_timeout: Duration::from_secs(60),
            client: client.map(|(property, value)| (property.to_owned(), value)).into(),
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            output_topic: self.outputs.clone(),
            dead_letter_topic: self.letters.clone(),
            sets_max: 256,
            bytes_max: 4 << 20,
            ordering: match self.delivery {
                Delivery::AtLeastOnce => OutputOrder::Key,
                // Transactions keep the order of partitions by themselves.
                Delivery::ExactlyOnce => OutputOrder::Unordered,
            },
            breaker: BreakerSettings { run_max: None, share_max: None, window: 100 },
            shutdown_timeout: Duration::from_secs(15),
            retry_wait_min: Duration::from_millis(100),
            retry_wait_max: Duration::from_secs(2),
        }
    }
}

// === impl HashScorer ===

impl HashScorer {
    fn new() -> Self {
        let word = |text: &str| text.to_owned();
        let model = ModelIdentity {
            id: word("hash"),
            revision: word("1"),
            precision: word("f32"),
            backend: word("none"),
            label: None,
        };
        Self { model, since: Instant::now(), stalled_until: Arc::default() }
    }

    /// Each SIGUSR1 is a stall.
    fn stall_when_told(&self) {
        let mut told = signal(SignalKind::user_defined1()).expect("SIGUSR1");
        let (since, stalled_until) = (self.since, Arc::clone(&self.stalled_until));
        tokio::spawn(async move {
            while told.recv().await.is_some() {
                let until = (since.elapsed() + STALL).as_millis();
                stalled_until.store(u64::try_from(until).expect("a short life"), Ordering::Release);
                tracing::info!("the scorer stands still");
            }
        });
    }
}

impl Scorer for HashScorer {
    fn model(&self) -> &ModelIdentity {
        &self.model
    }

    async fn score(&self, request: ScoreRequest) -> Result<SetScores, EngineError> {
        let until = Duration::from_millis(self.stalled_until.load(Ordering::Acquire));
        tokio::time::sleep_until(self.since + until).await;
        if !(request.wanted)() {
            return Err(EngineError::Unwanted);
        }
        let took = Duration::from_millis(10 + inputs::hash(&request.query) % 150);
        tokio::time::sleep(took).await;
        let pair = |passage: &String| PairScore::new(Ok(inputs::logit(&request.query, passage)), 8);
        Ok(SetScores {
            query_truncated: false,
            pairs: request.passages.iter().map(pair).collect(),
            queue: Duration::ZERO,
            score: took,
        })
    }
}

/// Leaves no worker behind where the run is killed.
async fn end_with_parent() {
    let parent = parent_id();
    while parent_id() == parent {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tracing::error!("the run is gone");
    std::process::abort();
}

fn answers() -> AnswerSettings {
    AnswerSettings {
        limits: Limits {
            record_bytes_max: inputs::RECORD_BYTES_MAX,
            query_chars_max: 500,
            candidates_max: 20,
            candidates_refused_above: 30,
            passage_chars_max: 1_000,
        },
        cuts: Cuts::default(),
        deadlines: Deadlines::default(),
        results: Results::Ids,
        context: None,
    }
}
