use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;

/// Properties that `kafka.client` may not set, each with the reason or the key to use instead.
/// A name that ends with `*` stands for all that begin with what is before it.
pub const GUARDED: &[(&str, &str)] = &[
    ("acks", "an answer counts once every in-sync replica has it"),
    ("allow.auto.create.topics", "a missing topic is an error, not a reason to create one"),
    ("api.version.fallback.ms", "what a broker can do is asked of it, never guessed"),
    ("api.version.request", "what a broker can do is asked of it, never guessed"),
    ("auto.commit.enable", "an offset is committed only once its answer is acknowledged"),
    ("auto.commit.interval.ms", "use kafka.commit_interval_ms"),
    (
        "auto.offset.reset",
        "a record written before the group's first commit must not be skipped; to begin elsewhere, \
         set the group's offsets with kafka-consumer-groups --reset-offsets",
    ),
    ("bootstrap.servers", "use kafka.brokers"),
    ("broker.version.fallback", "what a broker can do is asked of it, never guessed"),
    ("delivery.report.only.error", "a record counts as published once its success is reported"),
    ("delivery.timeout.ms", "use kafka.delivery_timeout_ms"),
    ("enable.auto.commit", "an offset is committed only once its answer is acknowledged"),
    ("enable.auto.offset.store", "an offset is committed only once its answer is acknowledged"),
    ("enable.gapless.guarantee", "a record that cannot be written is retried by the worker"),
    ("enable.idempotence", "a record that is sent again is stored once"),
    ("enable.partition.eof", "the end of a partition is no event"),
    ("enable.sasl.oauthbearer.unsecure.jwt", "use kafka.security.sasl.token_file"),
    ("enabled_events", "the worker chooses which events it serves"),
    ("fetch.message.max.bytes", "use kafka.prefetch_bytes"),
    ("group.id", "use kafka.group"),
    ("group.instance.id", "use kafka.instance_id"),
    ("group.protocol", "use kafka.group_protocol"),
    ("group.protocol.type", "the group is one of consumers"),
    ("group.remote.assignor", "the brokers' own choice spreads partitions as the worker expects"),
    ("heartbeat.interval.ms", "it follows from kafka.session_timeout_ms"),
    ("internal.termination.signal", "signals are for shutting down"),
    ("isolation.level", "records of aborted transactions are not read"),
    ("log.queue", "the worker serves the log itself"),
    ("log_level", "use log.filter, such as info,crossrank::kafka::client=debug"),
    ("max.in.flight", "a record that is sent again keeps its place"),
    ("max.in.flight.requests.per.connection", "a record that is sent again keeps its place"),
    ("max.partition.fetch.bytes", "use kafka.prefetch_bytes"),
    (
        "max.poll.interval.ms",
        "use kafka.rebalance_timeout_ms: polling never waits for work, so it only bounds how long \
         a rebalance may take",
    ),
    ("message.max.bytes", "use kafka.record_bytes_max"),
    ("message.send.max.retries", "kafka.delivery_timeout_ms ends the retries of a record"),
    ("message.timeout.ms", "use kafka.delivery_timeout_ms"),
    ("metadata.broker.list", "use kafka.brokers"),
    ("offset.store.*", "offsets are committed to the brokers"),
    ("partition.assignment.strategy", "draining on a rebalance relies on cooperative-sticky"),
    ("plugin.library.paths", "other code could change records and their acknowledgements"),
    (
        "queue.buffering.max.kbytes",
        "it follows from kafka.record_bytes_max: a record larger than the queue would wait forever",
    ),
    ("queued.max.messages.kbytes", "use kafka.prefetch_bytes"),
    ("queuing.strategy", "records of one key keep their order"),
    ("request.required.acks", "an answer counts once every in-sync replica has it"),
    ("retries", "kafka.delivery_timeout_ms ends the retries of a record"),
    ("sasl.mechanism", "use kafka.security.sasl.mechanism"),
    ("sasl.mechanisms", "use kafka.security.sasl.mechanism"),
    ("sasl.oauthbearer.config", "use kafka.security.sasl.token_file"),
    ("sasl.oauthbearer.method", "use kafka.security.sasl.token_file"),
    ("sasl.password", "use kafka.security.sasl.password"),
    ("sasl.username", "use kafka.security.sasl.username"),
    ("security.protocol", "it follows from kafka.security.tls and kafka.security.sasl.mechanism"),
    ("session.timeout.ms", "use kafka.session_timeout_ms"),
    ("ssl.ca.location", "use kafka.security.ca_file"),
    ("ssl.certificate.location", "use kafka.security.certificate_file"),
    ("ssl.key.location", "use kafka.security.key_file"),
    (
        "statistics.interval.ms",
        "the watchdog reads them once a second; to see them, set log.filter to \
         info,crossrank::kafka::statistics=debug",
    ),
    ("test.mock.*", "brokers that exist in memory only keep nothing"),
    ("transaction.timeout.ms", "use kafka.transaction_timeout_ms"),
    ("transactional.id", "it follows from kafka.group and kafka.instance_id"),
];

/// Why `kafka.client` may not set `property`, if it may not.
pub fn guarded(property: &str) -> Option<&'static str> {
    let stands_for = |name: &str| match name.strip_suffix('*') {
        Some(prefix) => property.starts_with(prefix),
        None => name == property,
    };
    GUARDED.iter().find(|(name, _)| stands_for(name)).map(|(_, reason)| *reason)
}

/// Why librdkafka refuses this property or its value, if it does. Reaches for no network.
pub fn refused(property: &str, value: &str) -> Option<String> {
    match ClientConfig::new().set(property, value).create_native_config() {
        Ok(_) => None,
        Err(KafkaError::ClientConfig(_, reason, _, _)) => Some(reason),
        Err(other) => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guarded_property_exists() {
        let families = ["offset.store.method", "test.mock.num.brokers"];
        let single = GUARDED.iter().map(|(name, _)| *name).filter(|name| !name.ends_with('*'));
        for property in single.chain(families) {
            let reason = refused(property, "").unwrap_or_default();
            assert!(!reason.contains("No such configuration property"), "{property}: {reason}");
            assert!(guarded(property).is_some(), "{property}");
        }
    }

    #[test]
    fn a_guarded_family_takes_in_its_members_only() {
        assert_eq!(guarded("test.mock.broker.rtt"), guarded("test.mock.num.brokers"));
        assert!(guarded("test.mock.broker.rtt").is_some());
        assert_eq!(guarded("test.mocking"), None);
        assert_eq!(guarded("retry.backoff.ms"), None);
    }

    #[test]
    fn what_would_hide_a_delivery_is_guarded() {
        assert!(guarded("delivery.report.only.error").is_some());
        assert!(guarded("enabled_events").is_some());
        assert!(guarded("queue.buffering.max.kbytes").is_some());
    }

    #[test]
    fn a_misspelt_property_and_an_impossible_value_are_refused() {
        assert!(refused("linger.msec", "5").unwrap().contains("No such configuration property"));
        assert!(refused("linger.ms", "soon").is_some());
        assert_eq!(refused("linger.ms", "5"), None);
    }
}
