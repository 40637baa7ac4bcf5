//! Every instrument, once: name, unit, description, attributes, buckets.

use super::names::key;

/// What an instrument measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A sum that only grows.
    Counter,
    /// A value of the moment.
    Gauge,
    /// A distribution.
    Histogram,
}

/// An instrument.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// As OpenTelemetry names it.
    pub name: &'static str,
    /// What it measures.
    pub kind: MetricKind,
    /// In UCUM; words in braces are for people.
    pub unit: &'static str,
    /// What the number says.
    pub description: &'static str,
    /// The keys that it may carry. None has values without a bound.
    pub attributes: &'static [&'static str],
    /// Upper bounds of a histogram's buckets.
    pub buckets: &'static [f64],
}

/// Those of the messaging conventions, in seconds.
const SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// The same, and below: some stages take microseconds.
const STAGE_SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5,
    0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
const PAIRS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
const TOKENS: &[f64] =
    &[64.0, 128.0, 256.0, 384.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0, 32768.0];
const TENTHS: &[f64] = &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
const RANKS: &[f64] = &[0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 35.0, 60.0, 100.0];

const PARTITION: &[&str] = &[key::DESTINATION, key::PARTITION];

macro_rules! metrics {
    ($($id:ident: $kind:ident $name:literal, $unit:literal, $attributes:expr, $buckets:expr, $description:literal;)+) => {
        $(pub(super) const $id: Metric = Metric {
            name: $name,
            kind: MetricKind::$kind,
            unit: $unit,
            description: $description,
            attributes: $attributes,
            buckets: $buckets,
        };)+

        /// Every instrument, in the order of the documentation.
        pub(super) const METRICS: &[Metric] = &[$($id),+];
    };
}

metrics! {
    CONSUMED: Counter "messaging.client.consumed.messages", "{message}",
        &[key::SYSTEM, key::OPERATION_NAME, key::DESTINATION, key::PARTITION, key::GROUP], &[],
        "Records claimed from the input topic, bad ones included";
    SENT: Counter "messaging.client.sent.messages", "{message}",
        &[key::SYSTEM, key::OPERATION_NAME, key::DESTINATION, key::ERROR_TYPE], &[],
        "Attempts to publish an answer or a dead letter; with error.type where one failed";
    PROCESS_DURATION: Histogram "messaging.process.duration", "s",
        &[key::SYSTEM, key::OPERATION_NAME, key::DESTINATION, key::GROUP, key::ERROR_TYPE], SECONDS,
        "From the claim of a record to the acknowledgement of its answer or dead letter";
    LAG: Gauge "crossrank.consumer.lag", "{record}", PARTITION, &[],
        "Records of an assigned partition from its committed offset to its end";
    UNCOMMITTED: Gauge "crossrank.consumer.uncommitted", "{record}", PARTITION, &[],
        "Records of an assigned partition that are claimed and not committed: what a crash repeats at most";
    COMMIT_AGE: Gauge "crossrank.consumer.commit.age", "s", PARTITION, &[],
        "Since the oldest record of an assigned partition was claimed that is not committed; 0 where there is none";
    PARTITION_TOKENS: Counter "crossrank.consumer.tokens", "{token}", PARTITION, &[],
        "Tokens that the model read for the answers to a partition";
    PARTITION_IO: Counter "crossrank.consumer.io", "By", PARTITION, &[],
        "Bytes of the records claimed from a partition: keys, values and headers";
    SETS_IN_FLIGHT: Gauge "crossrank.sets.in_flight", "{set}", &[], &[],
        "Sets between claim and acknowledgement; worker.sets_max is the limit";
    SETS_MEMORY: Gauge "crossrank.sets.memory", "By", &[], &[],
        "Memory that those sets cost, estimated; worker.bytes_max is the limit";
    QUEUE_TOKENS: Gauge "crossrank.queue.tokens", "{token}", &[], &[],
        "Tokens that wait for a replica; engine.queue_tokens_max is the limit";
    STAGE_DURATION: Histogram "crossrank.stage.duration", "s", &[key::STAGE], STAGE_SECONDS,
        "Time of a set in a stage; queue begins with the receipt and so has tokenise in it";
    BATCH_PAIRS: Histogram "crossrank.batch.pairs", "{pair}", &[], PAIRS,
        "Pairs of a batch";
    BATCH_TOKENS: Histogram "crossrank.batch.tokens", "{token}", &[], TOKENS,
        "Tokens of a batch";
    BATCH_FILL: Histogram "crossrank.batch.fill", "1", &[], TENTHS,
        "Tokens of a batch by the limit engine.batch_tokens_max";
    BATCH_DURATION: Histogram "crossrank.batch.duration", "s", &[], STAGE_SECONDS,
        "Time of a batch in a replica";
    PAIRS_SCORED: Counter "crossrank.pairs.scored", "{pair}", &[], &[],
        "Pairs with a logit, those from the score cache included";
    TOKENS_SCORED: Counter "crossrank.tokens.scored", "{token}", &[], &[],
        "Tokens that the model read, special tokens included; pairs from the score cache add none";
    CACHE_HITS: Counter "crossrank.cache.hits", "{pair}", &[], &[],
        "Pairs whose logit was known already, or shared with an identical pair";
    TRUNCATIONS: Counter "crossrank.truncations", "{text}", &[key::TEXT], &[],
        "Texts of which only the first part was read";
    UNSCORED: Counter "crossrank.candidates.unscored", "{candidate}", &[key::REASON], &[],
        "Candidates without a score";
    ANSWERED: Counter "crossrank.sets.answered", "{set}", &[key::STATUS], &[],
        "Answers acknowledged by the brokers";
    DEAD_LETTERS: Counter "crossrank.dead_letters", "{record}", &[key::CODE], &[],
        "Dead letters acknowledged by the brokers";
    DEADLINES: Counter "crossrank.deadline.outcomes", "{set}", &[key::OUTCOME], &[],
        "Sets that were late or expired, by what became of them";
    RETRIES: Counter "crossrank.publish.retries", "{attempt}", &[], &[],
        "Publishes tried again after a refusal";
    TRANSACTIONS: Counter "crossrank.transactions", "{transaction}", &[key::OUTCOME], &[],
        "Transactions of exactly-once delivery";
    REBALANCES: Counter "crossrank.rebalances", "{rebalance}", &[key::REBALANCE], &[],
        "Rebalances that brought or took partitions";
    REBUILDS: Counter "crossrank.client.rebuilds", "{client}", &[], &[],
        "Kafka clients that were stuck and replaced";
    MODEL_LOAD: Gauge "crossrank.model.load.duration", "s", &[], &[],
        "How long the model took to load";
    MODEL_WARM_UP: Gauge "crossrank.model.warm_up.duration", "s", &[], &[],
        "How long the replicas took to score their first batch";
    SCORE: Histogram "crossrank.score", "1", &[], TENTHS,
        "Scores of the results of answers, 0 to 1";
    DISPLACEMENT: Histogram "crossrank.rank.displacement", "{rank}", &[], RANKS,
        "Of the first ten results of an answer, how far from its first-stage rank each is, on average";
    WORKER_INFO: Gauge "crossrank.worker.info", "{worker}",
        &[
            key::MODEL_ID,
            key::MODEL_REVISION,
            key::PRECISION,
            key::BACKEND,
            key::KERNELS,
            key::GROUP,
        ],
        &[],
        "1, with what this worker runs";
}

/// Every instrument: the one table that documentation, dashboards and alerts are held against.
pub fn metrics() -> &'static [Metric] {
    METRICS
}

// === impl Metric ===

impl Metric {
    /// The name in Prometheus text; a histogram's series add `_bucket`, `_sum` and `_count` to it.
    pub fn prometheus_name(&self) -> String {
        let unit = match self.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            "1" => "_ratio",
            _words => "",
        };
        let total = if self.kind == MetricKind::Counter { "_total" } else { "" };
        format!("{}{unit}{total}", self.name.replace('.', "_"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instrument_is_named_described_and_measured_in_something() {
        let mut names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len(), "a name is taken twice");
        for metric in METRICS {
            let Metric { name, unit, description, .. } = metric;
            let plain = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
            assert!(name.chars().all(plain), "{name}");
            assert!(name.starts_with("crossrank.") || name.starts_with("messaging."), "{name}");
            let braced = unit.starts_with('{') && unit.ends_with('}');
            assert!(braced || ["s", "By", "1"].contains(unit), "{name}: {unit}");
            assert!(description.len() > 10 && !description.ends_with('.'), "{name}: {description}");
            let ascending = metric.buckets.is_sorted_by(|a, b| a < b);
            assert_eq!(!metric.buckets.is_empty(), metric.kind == MetricKind::Histogram, "{name}");
            assert!(ascending, "{name}");
        }
    }

    #[test]
    fn the_documentation_has_a_row_for_every_instrument() {
        let page = include_str!("../../docs/telemetry.md");
        for Metric { name, unit, attributes, .. } in METRICS {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{name}`: ")));
            let row = row.unwrap_or_else(|| panic!("{name} is not in docs/telemetry.md"));
            assert!(row.contains(&format!("| `{unit}` |")), "{row}");
            let told = attributes.iter().all(|key| row.contains(&format!("`{key}`")));
            assert!(told, "{row} lacks one of {attributes:?}");
        }
    }

    #[test]
    fn prometheus_names_end_with_the_unit_and_sums_with_total() {
        assert_eq!(PARTITION_IO.prometheus_name(), "crossrank_consumer_io_bytes_total");
        assert_eq!(SENT.prometheus_name(), "messaging_client_sent_messages_total");
        assert_eq!(STAGE_DURATION.prometheus_name(), "crossrank_stage_duration_seconds");
        assert_eq!(WORKER_INFO.prometheus_name(), "crossrank_worker_info");
    }
}
