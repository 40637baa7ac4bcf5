//! The merged layers, typed: one field a key. What has no default is an `Option`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use crate::kafka::Secret;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Values {
    pub(super) kafka: Kafka,
    pub(super) model: Model,
    pub(super) engine: Engine,
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) rank: Rank,
    pub(super) context: Context,
    pub(super) output: Output,
    pub(super) worker: Worker,
    pub(super) admin: Admin,
    pub(super) log: Log,
    pub(super) telemetry: Telemetry,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kafka {
    pub(super) brokers: Option<String>,
    pub(super) group: String,
    pub(super) input_topic: String,
    pub(super) group_protocol: GroupProtocol,
    pub(super) instance_id: Option<String>,
    pub(super) session_timeout_ms: u64,
    pub(super) drain_timeout_ms: u64,
    pub(super) rebalance_timeout_ms: u64,
    pub(super) commit_interval_ms: u64,
    pub(super) uncommitted_max: usize,
    pub(super) keep_completed: bool,
    pub(super) delivery: Delivery,
    pub(super) transaction_interval_ms: u64,
    pub(super) transaction_records: usize,
    pub(super) transaction_timeout_ms: u64,
    pub(super) delivery_timeout_ms: u64,
    pub(super) watchdog_timeout_ms: u64,
    pub(super) prefetch_bytes: usize,
    pub(super) record_bytes_max: usize,
    pub(super) startup_timeout_ms: u64,
    pub(super) security: Security,
    #[serde(default)]
    pub(super) client: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum GroupProtocol {
    Classic,
    Consumer,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Delivery {
    AtLeastOnce,
    ExactlyOnce,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Security {
    pub(super) tls: bool,
    pub(super) ca_file: Option<String>,
    pub(super) certificate_file: Option<String>,
    pub(super) key_file: Option<String>,
    #[serde(default)]
    pub(super) sasl: Sasl,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sasl {
    pub(super) mechanism: Option<Mechanism>,
    pub(super) username: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) password: Option<Secret>,
    pub(super) password_file: Option<String>,
    pub(super) token_file: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
pub(super) enum Mechanism {
    #[serde(rename = "plain")]
    Plain,
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
    #[serde(rename = "oauthbearer")]
    OauthBearer,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    pub(super) id: Option<String>,
    pub(super) revision: Option<String>,
    pub(super) path: Option<PathBuf>,
    pub(super) label: Option<String>,
    pub(super) sha256: Option<String>,
    pub(super) self_test: bool,
    pub(super) self_test_tolerance: Option<f32>,
    pub(super) expected: Option<PathBuf>,
    pub(super) backend: Backend,
    pub(super) precision: Precision,
    pub(super) tokens_max: Option<usize>,
    pub(super) query_tokens_max: usize,
    pub(super) long_passages: LongPassages,
    pub(super) window_overlap_tokens: usize,
    pub(super) windows_max: usize,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LongPassages {
    Truncate,
    BestWindow,
    FirstWindow,
    MeanOfTwoWindows,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Backend {
    Flex,
    NdArray,
    Wgpu,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Precision {
    F32,
    F16,
    Bf16,
    Int8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Engine {
    pub(super) kernels: Kernels,
    pub(super) replicas: Option<usize>,
    pub(super) pin_threads: bool,
    pub(super) tokenizers: Option<usize>,
    pub(super) batch_tokens_max: Option<usize>,
    pub(super) queue_tokens_max: usize,
    pub(super) cache_pairs_max: usize,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kernels {
    Auto,
    Off,
    Avx512Vnni,
    Avx512,
    Avx2,
    Neon,
    Portable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) record_bytes_max: usize,
    pub(super) query_chars_max: usize,
    pub(super) candidates_max: usize,
    pub(super) candidates_refused_above: usize,
    pub(super) passage_chars_max: usize,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rank {
    pub(super) top_n: Option<usize>,
    pub(super) min_score: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Context {
    pub(super) enabled: bool,
    pub(super) tokens_max: usize,
    pub(super) template: String,
    pub(super) separator: String,
    pub(super) truncate: bool,
    pub(super) drop_duplicates: bool,
    pub(super) duplicate_similarity: f64,
    pub(super) order: Order,
    pub(super) long_passages: ContextPassages,
    pub(super) tokenizer: Option<PathBuf>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ContextPassages {
    Window,
    Whole,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Order {
    BestFirst,
    BestAtEdges,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Output {
    pub(super) results: Results,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Results {
    Full,
    Ids,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Worker {
    pub(super) output_topic: String,
    pub(super) dead_letter_topic: String,
    pub(super) sets_max: usize,
    pub(super) bytes_max: usize,
    pub(super) late: LatePolicy,
    pub(super) deadline_reserve_ms: u64,
    pub(super) shutdown_timeout_ms: u64,
    pub(super) retry_wait_min_ms: u64,
    pub(super) retry_wait_max_ms: u64,
    pub(super) ordering: Ordering,
    pub(super) breaker_run_max: usize,
    pub(super) breaker_share_max: f64,
    pub(super) breaker_window: usize,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ordering {
    Unordered,
    Key,
    Partition,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LatePolicy {
    Passthrough,
    Partial,
    Fail,
    Late,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    pub(super) enabled: bool,
    pub(super) address: String,
    #[serde(default, deserialize_with = "secret")]
    pub(super) token: Option<Secret>,
    pub(super) token_file: Option<String>,
    pub(super) texts: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    pub(super) filter: String,
    pub(super) format: LogFormat,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LogFormat {
    Auto,
    Text,
    Json,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Telemetry {
    pub(super) otlp: bool,
    pub(super) parent: Parent,
    pub(super) texts: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Parent {
    Parent,
    Link,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Secret))
}
