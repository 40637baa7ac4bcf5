//! Every key, and what its value may be on its own.

/// Where librdkafka's own properties stand.
pub(super) const CLIENT: &str = "kafka.client";

/// One key of the configuration.
pub(super) struct Key {
    /// Dotted: `kafka.group`.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Text that is not empty.
    Text,
    /// Any text, line ends and spaces included.
    Verbatim,
    /// Text that is not empty, or a whole number.
    Label,
    /// Text that is never printed.
    Secret,
    /// `true` or `false`.
    Toggle,
    /// A whole number, ends included.
    Whole(u64, u64),
    /// A number from 0 to 1.
    Fraction,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// One day: any longer wait is a mistake of unit.
const DAY_MS: u64 = 86_400_000;
/// What brokers allow at most, by default: group.max.session.timeout.ms.
const SESSION_MS: u64 = 1_800_000;
/// librdkafka's own limit of message.max.bytes.
const RECORD_BYTES: u64 = 1_000_000_000;
/// Counts beyond this are a mistake, and stay clear of overflow in sums.
const COUNT: u64 = 1_000_000_000;
const BYTES: u64 = 1 << 40;

/// All keys but those under [`CLIENT`], in the order in which they are printed.
pub(super) const KEYS: &[Key] = &[
    key("kafka.brokers", Kind::Text),
    key("kafka.group", Kind::Text),
    key("kafka.input_topic", Kind::Text),
    key("kafka.group_protocol", Kind::Choice(&["classic", "consumer"])),
    key("kafka.instance_id", Kind::Text),
    key("kafka.session_timeout_ms", Kind::Whole(1_000, SESSION_MS)),
    key("kafka.drain_timeout_ms", Kind::Whole(1, SESSION_MS)),
    key("kafka.rebalance_timeout_ms", Kind::Whole(1_000, DAY_MS)),
    key("kafka.commit_interval_ms", Kind::Whole(10, 3_600_000)),
    key("kafka.uncommitted_max", Kind::Whole(1, 1_000_000)),
    key("kafka.keep_completed", Kind::Toggle),
    key("kafka.delivery", Kind::Choice(&["at-least-once", "exactly-once"])),
    key("kafka.transaction_interval_ms", Kind::Whole(1, 3_600_000)),
    key("kafka.transaction_records", Kind::Whole(1, 1_000_000)),
    key("kafka.transaction_timeout_ms", Kind::Whole(1_000, DAY_MS)),
    key("kafka.delivery_timeout_ms", Kind::Whole(1_000, DAY_MS)),
    key("kafka.watchdog_timeout_ms", Kind::Whole(5_000, DAY_MS)),
    key("kafka.prefetch_bytes", Kind::Whole(65_536, BYTES)),
    key("kafka.record_bytes_max", Kind::Whole(1_000, RECORD_BYTES)),
    key("kafka.startup_timeout_ms", Kind::Whole(100, DAY_MS)),
    key("kafka.security.tls", Kind::Toggle),
    key("kafka.security.ca_file", Kind::Text),
    key("kafka.security.certificate_file", Kind::Text),
    key("kafka.security.key_file", Kind::Text),
    key(
        "kafka.security.sasl.mechanism",
        Kind::Choice(&["plain", "scram-sha-256", "scram-sha-512", "oauthbearer"]),
    ),
    key("kafka.security.sasl.username", Kind::Text),
    key("kafka.security.sasl.password", Kind::Secret),
    key("kafka.security.sasl.password_file", Kind::Text),
    key("kafka.security.sasl.token_file", Kind::Text),
    key("model.id", Kind::Text),
    key("model.revision", Kind::Text),
    key("model.path", Kind::Text),
    key("model.label", Kind::Label),
    key("model.sha256", Kind::Text),
    key("model.self_test", Kind::Toggle),
    key("model.self_test_tolerance", Kind::Fraction),
    key("model.expected", Kind::Text),
    key("model.backend", Kind::Choice(&["flex", "ndarray", "wgpu"])),
    key("model.precision", Kind::Choice(&["f32", "f16", "bf16", "int8"])),
    key("model.tokens_max", Kind::Whole(8, 1_000_000)),
    key("model.query_tokens_max", Kind::Whole(1, 1_000_000)),
    key(
        "model.long_passages",
        Kind::Choice(&["truncate", "best-window", "first-window", "mean-of-two-windows"]),
    ),
    key("model.window_overlap_tokens", Kind::Whole(0, 1_000_000)),
    key("model.windows_max", Kind::Whole(1, 10_000)),
    key(
        "engine.kernels",
        Kind::Choice(&["auto", "off", "avx512-vnni", "avx512", "avx2", "neon", "portable"]),
    ),
    key("engine.replicas", Kind::Whole(1, 4_096)),
    key("engine.pin_threads", Kind::Toggle),
    key("engine.tokenizers", Kind::Whole(1, 4_096)),
    key("engine.batch_tokens_max", Kind::Whole(1, COUNT)),
    key("engine.queue_tokens_max", Kind::Whole(1, COUNT)),
    key("engine.cache_pairs_max", Kind::Whole(0, COUNT)),
    key("limits.record_bytes_max", Kind::Whole(1, RECORD_BYTES)),
    key("limits.query_chars_max", Kind::Whole(1, COUNT)),
    key("limits.candidates_max", Kind::Whole(1, COUNT)),
    key("limits.candidates_refused_above", Kind::Whole(1, COUNT)),
    key("limits.passage_chars_max", Kind::Whole(1, COUNT)),
    key("rank.top_n", Kind::Whole(1, COUNT)),
    key("rank.min_score", Kind::Fraction),
    key("context.enabled", Kind::Toggle),
    key("context.tokens_max", Kind::Whole(1, COUNT)),
    key("context.template", Kind::Text),
    key("context.separator", Kind::Verbatim),
    key("context.truncate", Kind::Toggle),
    key("context.drop_duplicates", Kind::Toggle),
    key("context.duplicate_similarity", Kind::Fraction),
    key("context.order", Kind::Choice(&["best-first", "best-at-edges"])),
    key("context.long_passages", Kind::Choice(&["window", "whole"])),
    key("context.tokenizer", Kind::Text),
    key("output.results", Kind::Choice(&["full", "ids"])),
    key("worker.output_topic", Kind::Text),
    key("worker.dead_letter_topic", Kind::Text),
    key("worker.sets_max", Kind::Whole(1, 1_000_000)),
    key("worker.bytes_max", Kind::Whole(1, BYTES)),
    key("worker.late", Kind::Choice(&["passthrough", "partial", "fail", "late"])),
    key("worker.deadline_reserve_ms", Kind::Whole(0, 3_600_000)),
    key("worker.shutdown_timeout_ms", Kind::Whole(0, DAY_MS)),
    key("worker.retry_wait_min_ms", Kind::Whole(1, DAY_MS)),
    key("worker.retry_wait_max_ms", Kind::Whole(1, DAY_MS)),
    key("worker.ordering", Kind::Choice(&["unordered", "key", "partition"])),
    key("worker.breaker_run_max", Kind::Whole(0, COUNT)),
    key("worker.breaker_share_max", Kind::Fraction),
    key("worker.breaker_window", Kind::Whole(1, 1_000_000)),
    key("admin.enabled", Kind::Toggle),
    key("admin.address", Kind::Text),
    key("admin.token", Kind::Secret),
    key("admin.token_file", Kind::Text),
    key("admin.texts", Kind::Toggle),
    key("log.filter", Kind::Text),
    key("log.format", Kind::Choice(&["auto", "text", "json"])),
    key("telemetry.otlp", Kind::Toggle),
    key("telemetry.parent", Kind::Choice(&["parent", "link"])),
    key("telemetry.texts", Kind::Toggle),
];

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind }
}

/// The key of this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Whether keys stand below this name.
pub(super) fn is_section(name: &str) -> bool {
    name == CLIENT || KEYS.iter().any(|key| below(key.name, name).is_some())
}

/// What stands below `section` in `name`: `group` for `kafka.group` and `kafka`.
pub(super) fn below<'a>(name: &'a str, section: &str) -> Option<&'a str> {
    name.strip_prefix(section)?.strip_prefix('.')
}

/// The environment variable that sets this key.
pub(super) fn variable(name: &str) -> String {
    format!("{}{}", super::layers::PREFIX, name.replace('.', "__").to_uppercase())
}

/// The key that was probably meant by `unknown`: the nearest in spelling, or the one of the same
/// name in another section.
pub(super) fn nearest(unknown: &str) -> Option<&'static str> {
    let leaf = unknown.rsplit('.').next();
    let by_leaf = KEYS.iter().find(|key| key.name.rsplit('.').next() == leaf);
    let by_spelling = KEYS
        .iter()
        .map(|key| (strsim::osa_distance(key.name, unknown), key))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, key)| key);
    by_spelling.or(by_leaf).map(|key| key.name)
}

/// The section that was probably meant by `unknown`.
pub(super) fn nearest_section(unknown: &str) -> Option<&'static str> {
    KEYS.iter()
        .filter_map(|key| key.name.rsplit_once('.').map(|(section, _)| section))
        .map(|section| (strsim::osa_distance(section, unknown), section))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 2)
        .map(|(_, section)| section)
}

/// The keys of a section, or the sections where it is empty, as text.
pub(super) fn listed(section: &str) -> String {
    let mut names: Vec<&str> = KEYS
        .iter()
        .filter_map(|key| match section {
            "" => key.name.split('.').next(),
            section => below(key.name, section),
        })
        .collect();
    names.dedup();
    names.join(", ")
}
