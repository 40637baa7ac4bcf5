//! Every name that telemetry gives to the outside, once: metrics are named in [`instruments`](super::instruments).
//!
//! Messaging names are those of the OpenTelemetry conventions, 1.44. Those for reranking are the
//! conventions' where they have one (`gen_ai.*`), and ours (`crossrank.*`) otherwise.

use super::Stage;

/// What spans are called, before what they are about.
pub mod span {
    /// A set, from its receipt to its acknowledgement; then the topic.
    pub const PROCESS: &str = "process";
    /// An output or a dead letter; then the topic.
    pub const SEND: &str = "send";
    /// A batch through the model; then the model.
    pub const RERANK: &str = "rerank";
    /// The tokenisation of a set.
    pub const TOKENISE: &str = "tokenise";
    /// From the receipt of a set until its first pair goes to a replica.
    pub const QUEUE: &str = "queue";
    /// Logits to an answer: order, cut-offs, context.
    pub const RANK: &str = "rank";
}

/// The keys of attributes.
pub mod key {
    pub use super::{crossrank::*, gen_ai::*, messaging::*};
}

mod messaging {
    /// `kafka`.
    pub const SYSTEM: &str = "messaging.system";
    /// What is done.
    pub const OPERATION_NAME: &str = "messaging.operation.name";
    /// What is done, in the words of the conventions.
    pub const OPERATION_TYPE: &str = "messaging.operation.type";
    /// A topic.
    pub const DESTINATION: &str = "messaging.destination.name";
    /// A partition, as text.
    pub const PARTITION: &str = "messaging.destination.partition.id";
    /// The group.
    pub const GROUP: &str = "messaging.consumer.group.name";
    /// An offset.
    pub const OFFSET: &str = "messaging.kafka.offset";
    /// Bytes of a record's value.
    pub const BODY_SIZE: &str = "messaging.message.body.size";
    /// Whether it has no value.
    pub const TOMBSTONE: &str = "messaging.kafka.message.tombstone";
    /// Of what kind a failure is.
    pub const ERROR_TYPE: &str = "error.type";
}

mod gen_ai {
    /// `rerank`.
    pub const OPERATION: &str = "gen_ai.operation.name";
    /// The model.
    pub const MODEL: &str = "gen_ai.request.model";
    /// Tokens that the model read.
    pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
    /// Candidates of a set.
    pub const CANDIDATES: &str = "gen_ai.rerank.candidate.count";
    /// Results asked for.
    pub const TOP_N: &str = "gen_ai.rerank.top_n";
}

mod crossrank {
    /// A stage of a set's way.
    pub const STAGE: &str = "crossrank.stage";
    /// `query` or `passage`.
    pub const TEXT: &str = "crossrank.text";
    /// Why a candidate has no score.
    pub const REASON: &str = "crossrank.reason";
    /// How much of a set was scored.
    pub const STATUS: &str = "crossrank.status";
    /// Why a record has no answer.
    pub const CODE: &str = "crossrank.code";
    /// How something ended.
    pub const OUTCOME: &str = "crossrank.outcome";
    /// Of what kind a rebalance is.
    pub const REBALANCE: &str = "crossrank.rebalance";
    /// The model's name.
    pub const MODEL_ID: &str = "crossrank.model.id";
    /// Its exact content.
    pub const MODEL_REVISION: &str = "crossrank.model.revision";
    /// Its number format.
    pub const PRECISION: &str = "crossrank.precision";
    /// What computes.
    pub const BACKEND: &str = "crossrank.backend";
    /// With which instructions.
    pub const KERNELS: &str = "crossrank.kernels";
    /// Pairs that were scored.
    pub const PAIRS: &str = "crossrank.pairs";
    /// Of those, without the model.
    pub const CACHE_HITS: &str = "crossrank.cache.hits";
    /// How often a publish was tried.
    pub const ATTEMPTS: &str = "crossrank.attempts";
    /// The query. Only with `telemetry.texts`.
    pub const QUERY: &str = "crossrank.query";
    /// The first passages of the answer. Only with `telemetry.texts`.
    pub const PASSAGES: &str = "crossrank.passages";
}

/// The values that attributes of metrics have, where there are a few words of them.
pub(crate) mod value {
    pub(crate) const TEXTS: &[&str] = &["query", "passage"];
    /// Those of `wire::Reason`.
    pub(crate) const REASONS: &[&str] = &[
        "deadline",
        "empty_text",
        "expired",
        "logit_not_finite",
        "not_tokenised",
        "over_candidate_limit",
    ];
    /// Those of `wire::Status`.
    pub(crate) const STATUSES: &[&str] = &["reranked", "partial", "passthrough"];
    /// Those of `wire::DecodeError`, and what else makes a dead letter.
    pub(crate) const CODES: &[&str] = &[
        "candidates_and_lists",
        "deadline_missed",
        "duplicate_field",
        "duplicate_id",
        "empty_query",
        "invalid_deadline",
        "invalid_json",
        "invalid_utf8",
        "invalid_value",
        "missing_field",
        "nested_too_deep",
        "null_value",
        "output_refused",
        "query_too_long",
        "record_too_large",
        "template_failed",
        "too_many_candidates",
        "too_many_fields",
        "too_many_lists",
        "wrong_type",
    ];
    /// Those of late sets, and those of transactions.
    pub(crate) const OUTCOMES: &[&str] =
        &["passthrough", "partial", "failed", "scored", "committed", "aborted"];
    pub(crate) const REBALANCES: &[&str] = &["assigned", "revoked", "lost"];
}

/// The values that a label of the metrics may have, by its name in Prometheus (`crossrank_reason`); `None` where
/// there is no list of them.
pub fn label_values(label: &str) -> Option<Vec<&'static str>> {
    let is = |key: &str| key.replace('.', "_") == label;
    if is(key::STAGE) {
        return Some(Stage::ALL.map(Stage::as_str).to_vec());
    }
    let lists = [
        (key::TEXT, value::TEXTS),
        (key::REASON, value::REASONS),
        (key::STATUS, value::STATUSES),
        (key::CODE, value::CODES),
        (key::OUTCOME, value::OUTCOMES),
        (key::REBALANCE, value::REBALANCES),
    ];
    lists.into_iter().find(|(key, _)| is(key)).map(|(_, values)| values.to_vec())
}

/// The value of [`key::SYSTEM`].
pub const KAFKA: &str = "kafka";
/// What instruments and spans are scoped by.
pub const SCOPE: &str = "crossrank";
/// The header that carries a span's identity (W3C Trace Context).
pub const TRACEPARENT: &str = "traceparent";
/// The header that carries what other systems add to it.
pub const TRACESTATE: &str = "tracestate";
