use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;

/// Properties that `kafka.client` may not set, each with the reason or the key to use instead.
pub const GUARDED: &[(&str, &str)] = &[
    ("acks", "an answer counts once every in-sync replica has it"),
    ("allow.auto.create.topics", "a missing topic is an error, not a reason to create one"),
    ("auto.commit.enable", "an offset is committed only once its answer is acknowledged"),
    ("auto.commit.interval.ms", "use kafka.commit_interval_ms"),
    (
        "auto.offset.reset",
        "a record written before the group's first commit must not be skipped; to begin elsewhere, \
         set the group's offsets with kafka-consumer-groups --reset-offsets",
    ),
    ("bootstrap.servers", "use kafka.brokers"),
    ("delivery.timeout.ms", "use kafka.delivery_timeout_ms"),
    ("enable.auto.commit", "an offset is committed only once its answer is acknowledged"),
    ("enable.auto.offset.store", "an offset is committed only once its answer is acknowledged"),
    ("enable.gapless.guarantee", "a record that cannot be written is retried by the worker"),
    ("enable.idempotence", "a record that is sent again is stored once"),
    ("enable.partition.eof", "the end of a partition is no event"),
    ("enable.sasl.oauthbearer.unsecure.jwt", "use kafka.security.sasl.token_file"),
    ("fetch.message.max.bytes", "use kafka.prefetch_bytes"),
    ("group.id", "use kafka.group"),
    ("group.protocol", "draining on a rebalance relies on the classic protocol"),
    ("heartbeat.interval.ms", "it follows from kafka.session_timeout_ms"),
    ("isolation.level", "records of aborted transactions are not read"),
    ("log.queue", "the worker serves the log itself"),
    ("max.in.flight", "a record that is sent again keeps its place"),
    ("max.in.flight.requests.per.connection", "a record that is sent again keeps its place"),
    ("max.partition.fetch.bytes", "use kafka.prefetch_bytes"),
    ("message.max.bytes", "use kafka.record_bytes_max"),
    ("message.send.max.retries", "kafka.delivery_timeout_ms ends the retries of a record"),
    ("message.timeout.ms", "use kafka.delivery_timeout_ms"),
    ("metadata.broker.list", "use kafka.brokers"),
    ("partition.assignment.strategy", "draining on a rebalance relies on cooperative-sticky"),
    ("queued.max.messages.kbytes", "use kafka.prefetch_bytes"),
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
    ("transactional.id", "the producer is idempotent, not transactional"),
];

/// Why `kafka.client` may not set `property`, if it may not.
pub fn guarded(property: &str) -> Option<&'static str> {
    GUARDED.iter().find(|(name, _)| *name == property).map(|(_, reason)| *reason)
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
        for (property, _) in GUARDED {
            let reason = refused(property, "").unwrap_or_default();
            assert!(!reason.contains("No such configuration property"), "{property}: {reason}");
        }
    }

    #[test]
    fn a_misspelt_property_and_an_impossible_value_are_refused() {
        assert!(refused("linger.msec", "5").unwrap().contains("No such configuration property"));
        assert!(refused("linger.ms", "soon").is_some());
        assert_eq!(refused("linger.ms", "5"), None);
    }
}
