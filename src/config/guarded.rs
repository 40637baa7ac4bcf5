//! The librdkafka properties that `kafka.client` may not set.

/// Properties that carry a guarantee, and what would break.
const GUARANTEES: &[(&str, &str)] = &[
    ("acks", "a record counts as published once every in-sync replica has it"),
    ("request.required.acks", "a record counts as published once every in-sync replica has it"),
    ("auto.commit.enable", "offsets are committed only for settled records"),
    ("auto.commit.interval.ms", "offsets are committed only for settled records"),
    ("auto.offset.reset", "a partition without a committed offset is read from its start"),
    ("enable.auto.commit", "offsets are committed only for settled records"),
    ("enable.auto.offset.store", "offsets are committed only for settled records"),
    ("enable.gapless.guarantee", "a failed record is retried, it does not end the producer"),
    ("enable.idempotence", "a retried record is stored once"),
    ("enable.partition.eof", "the end of a partition is not a record"),
    ("group.protocol", "draining on a rebalance relies on the classic protocol"),
    ("isolation.level", "records of aborted transactions are not read"),
    ("max.in.flight", "retries keep the order of records"),
    ("max.in.flight.requests.per.connection", "retries keep the order of records"),
    ("message.send.max.retries", "a record is retried until its delivery timeout"),
    ("partition.assignment.strategy", "draining on a rebalance relies on cooperative-sticky"),
    ("retries", "a record is retried until its delivery timeout"),
    ("transactional.id", "the worker does not use transactions"),
];

/// Properties that a key of ours sets.
const OWNED: &[(&str, &str)] = &[
    ("bootstrap.servers", "kafka.brokers"),
    ("metadata.broker.list", "kafka.brokers"),
    ("group.id", "kafka.group"),
    ("session.timeout.ms", "kafka.session_timeout_ms"),
    ("delivery.timeout.ms", "kafka.delivery_timeout_ms"),
    ("message.timeout.ms", "kafka.delivery_timeout_ms"),
    ("message.max.bytes", "kafka.record_bytes_max"),
    ("queued.max.messages.kbytes", "kafka.prefetch_bytes"),
    ("security.protocol", "kafka.security.tls and kafka.security.sasl.mechanism"),
    ("ssl.ca.location", "kafka.security.ca_file"),
    ("ssl.certificate.location", "kafka.security.certificate_file"),
    ("ssl.key.location", "kafka.security.key_file"),
    ("sasl.mechanism", "kafka.security.sasl.mechanism"),
    ("sasl.mechanisms", "kafka.security.sasl.mechanism"),
    ("sasl.username", "kafka.security.sasl.username"),
    ("sasl.password", "kafka.security.sasl.password"),
    ("sasl.oauthbearer.config", "kafka.security.sasl.token_file"),
    ("sasl.oauthbearer.method", "kafka.security.sasl.token_file"),
    ("enable.sasl.oauthbearer.unsecure.jwt", "kafka.security.sasl.token_file"),
];

/// Why a property may not be set.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// It carries this guarantee.
    Guarantee(&'static str),
    /// This key sets it.
    Owned(&'static str),
}

/// Why `property` may not be set, if so.
pub(super) fn guard(property: &str) -> Option<Guard> {
    let entry = |list: &[(&str, &'static str)]| {
        list.iter().find(|(name, _)| *name == property).map(|(_, reason)| *reason)
    };
    entry(GUARANTEES).map(Guard::Guarantee).or_else(|| entry(OWNED).map(Guard::Owned))
}

/// Whether the value of `property` must not be printed.
pub(super) fn is_secret(property: &str) -> bool {
    ["password", "passphrase", "secret", "key.pem", "sasl.oauthbearer.config"]
        .iter()
        .any(|part| property.contains(part))
}
