use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;

/// Properties that `kafka.client` may not set, each with the reason or the key to use instead.
pub const GUARDED: &[(&str, &str)] = &[
    ("bootstrap.servers", "use kafka.brokers"),
    ("metadata.broker.list", "use kafka.brokers"),
    ("group.id", "use kafka.group"),
    ("session.timeout.ms", "use kafka.session_timeout"),
    ("heartbeat.interval.ms", "follows from kafka.session_timeout"),
    ("delivery.timeout.ms", "use kafka.delivery_timeout"),
    ("message.timeout.ms", "use kafka.delivery_timeout"),
    ("message.max.bytes", "use kafka.record_bytes_max"),
    ("queued.max.messages.kbytes", "use kafka.prefetch_bytes"),
    ("fetch.message.max.bytes", "use kafka.prefetch_bytes"),
    ("max.partition.fetch.bytes", "use kafka.prefetch_bytes"),
    ("security.protocol", "follows from kafka.security.tls and kafka.security.sasl"),
    ("ssl.ca.location", "use kafka.security.ca_file"),
    ("ssl.certificate.location", "use kafka.security.certificate_file"),
    ("ssl.key.location", "use kafka.security.key_file"),
    ("sasl.mechanism", "use kafka.security.sasl"),
    ("sasl.mechanisms", "use kafka.security.sasl"),
    ("sasl.username", "use kafka.security.sasl"),
    ("sasl.password", "use kafka.security.sasl"),
    ("sasl.oauthbearer.config", "use kafka.security.sasl with a token file"),
    ("sasl.oauthbearer.method", "use kafka.security.sasl with a token file"),
    ("enable.sasl.oauthbearer.unsecure.jwt", "use kafka.security.sasl with a token file"),
    ("enable.auto.commit", "an offset is committed only when its answer is acknowledged"),
    ("auto.commit.enable", "an offset is committed only when its answer is acknowledged"),
    ("enable.auto.offset.store", "an offset is committed only when its answer is acknowledged"),
    ("auto.commit.interval.ms", "use kafka.commit_interval"),
    (
        "auto.offset.reset",
        "a record written before the group's first commit must not be skipped; \
      to begin elsewhere, set the group's offsets with kafka-consumer-groups --reset-offsets",
    ),
    ("enable.idempotence", "without it a retry could write an answer twice"),
    ("acks", "an answer counts when every in-sync replica has it"),
    ("request.required.acks", "an answer counts when every in-sync replica has it"),
    ("retries", "kafka.delivery_timeout ends the retries of a record"),
    ("message.send.max.retries", "kafka.delivery_timeout ends the retries of a record"),
    ("transactional.id", "the producer is idempotent, not transactional"),
    (
        "partition.assignment.strategy",
        "cooperative-sticky, so that a rebalance stops only what moves",
    ),
    ("group.protocol", "classic: a slow member of the newer protocol fails in this librdkafka"),
    ("allow.auto.create.topics", "a missing topic is an error, not a reason to create one"),
    ("enable.partition.eof", "the end of a partition is no event"),
    ("log.queue", "logs are served by the polling threads"),
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
