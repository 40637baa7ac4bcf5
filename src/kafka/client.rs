use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

use super::settings::{GroupProtocol, Sasl, Settings};

/// Between two heartbeats at most, however long the session: how late a member hears of a rebalance, and
/// with that what the death of another one costs beyond its session.
const HEARTBEAT_MAX: Duration = Duration::from_millis(500);
/// Per partition: half is what may wait, half is the response that overshoots.
const PARTITION_BYTES_MIN: usize = 64 << 10;
const PARTITION_BYTES_MAX: usize = 64 << 20;
/// Of records that are sent together: enough for throughput, and little enough for most topics.
const BATCH_BYTES: usize = 256 << 10;
/// Far below any time after which a client counts as stuck.
const STATISTICS_EVERY: Duration = Duration::from_secs(1);
/// Limits of librdkafka for `message.max.bytes`.
const MESSAGE_BYTES: (usize, usize) = (1_000, 1_000_000_000);

/// Properties of a consumer that reads a topic of `partitions` partitions.
pub(super) fn consumer(settings: &Settings, partitions: usize) -> ClientConfig {
    let mut config = common(settings);
    let session = settings.session_timeout;
    let heartbeat = HEARTBEAT_MAX.min(session / 3);
    let per_partition = settings.prefetch_bytes / partitions.max(1);
    let half = per_partition.clamp(PARTITION_BYTES_MIN, PARTITION_BYTES_MAX) / 2;
    config
        .set("group.id", &settings.group)
        // A member that does not poll for so long is put out. The poll thread never blocks, so this
        // only bounds how long a rebalance may take.
        .set("max.poll.interval.ms", millis(settings.rebalance_timeout))
        // The tracker decides what is committed, and when.
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // The default is the end of the log, which skips what came before the first commit.
        .set("auto.offset.reset", "earliest")
        .set("allow.auto.create.topics", "false")
        // A split queue has a limit of its own: these are per partition.
        .set("queued.max.messages.kbytes", (half >> 10).to_string())
        .set("fetch.message.max.bytes", half.to_string())
        // Bounds the overhead that librdkafka does not count, at small records.
        .set_if_absent("queued.min.messages", "1000")
        // The default of a second would starve a worker whose queue was full for a moment.
        .set_if_absent("fetch.queue.backoff.ms", "20");
    match settings.group_protocol {
        GroupProtocol::Classic => {
            config
                .set("group.protocol", "classic")
                .set("session.timeout.ms", millis(session))
                .set("heartbeat.interval.ms", millis(heartbeat))
                // Only the partitions that move are stopped.
                .set("partition.assignment.strategy", "cooperative-sticky");
        }
        // The brokers decide on all of these, and librdkafka refuses them.
        GroupProtocol::Consumer => {
            config.set("group.protocol", "consumer");
        }
    }
    if let Some(instance) = &settings.instance_id {
        config.set("group.instance.id", instance);
    }
    config
}

/// Properties of a producer.
pub(super) fn producer(settings: &Settings) -> ClientConfig {
    let mut config = common(settings);
    let bytes = settings.record_bytes_max.clamp(MESSAGE_BYTES.0, MESSAGE_BYTES.1);
    config
        // A retry inside the client writes no second copy.
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("delivery.timeout.ms", millis(settings.delivery_timeout))
        .set("message.max.bytes", bytes.to_string())
        // The partitioner of the Java client: equal keys meet across producers.
        .set_if_absent("partitioner", "murmur2_random")
        // The default of 1 MB is above what many a topic takes (`max.message.bytes`), which then
        // refuses a whole batch of good records. A record that is larger still goes, by itself.
        .set_if_absent("batch.size", BATCH_BYTES.to_string())
        // The default is a gigabyte. Twice the largest record is the least that makes sense.
        .set("queue.buffering.max.kbytes", (65_536.max(bytes >> 9)).to_string());
    // Of two names for one property, the one that is set last would win.
    if config.get("compression.type").is_none() {
        config.set_if_absent("compression.codec", "lz4");
    }
    config
}

/// Properties of a producer of this transactional id.
pub(super) fn transactional(settings: &Settings, id: &str) -> ClientConfig {
    let mut config = producer(settings);
    // A record cannot wait for longer than its transaction.
    let delivery = settings.delivery_timeout.min(settings.transaction_timeout);
    config
        .set("transactional.id", id)
        .set("transaction.timeout.ms", millis(settings.transaction_timeout))
        .set("delivery.timeout.ms", millis(delivery));
    config
}

/// With the statistics that the watchdog lives on: they are made in the client's own thread, so that they
/// end when it is stuck. Making and reading them takes a few microseconds for each partition.
pub(super) fn watched(mut config: ClientConfig) -> ClientConfig {
    config.set("statistics.interval.ms", millis(STATISTICS_EVERY));
    config
}

/// Properties of every client.
pub(super) fn common(settings: &Settings) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (property, value) in &settings.client {
        config.set(property, value);
    }
    let level = match settings.client.contains_key("debug") {
        true => RDKafkaLogLevel::Debug,
        false => RDKafkaLogLevel::Info,
    };
    config
        .set_log_level(level)
        .set("bootstrap.servers", &settings.brokers)
        .set_if_absent("client.id", "crossrank")
        // An idle connection behind a NAT or a load balancer would otherwise die unnoticed.
        .set_if_absent("socket.keepalive.enable", "true")
        // The default of 10 s makes every outage that much longer.
        .set_if_absent("reconnect.backoff.max.ms", "2000")
        // No usage data to the brokers unless asked for.
        .set_if_absent("enable.metrics.push", "false");
    secure(&mut config, settings);
    config
}

fn secure(config: &mut ClientConfig, settings: &Settings) {
    let security = &settings.security;
    let protocol = match (security.tls, security.sasl.is_some()) {
        (false, false) => "plaintext",
        (true, false) => "ssl",
        (false, true) => "sasl_plaintext",
        (true, true) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    let files = [
        ("ssl.ca.location", &security.ca_file),
        ("ssl.certificate.location", &security.certificate_file),
        ("ssl.key.location", &security.key_file),
    ];
    for (property, file) in files {
        if let Some(file) = file {
            config.set(property, file);
        }
    }
    let (mechanism, credentials) = match &security.sasl {
        None => return,
        Some(Sasl::Plain(credentials)) => ("PLAIN", Some(credentials)),
        Some(Sasl::ScramSha256(credentials)) => ("SCRAM-SHA-256", Some(credentials)),
        Some(Sasl::ScramSha512(credentials)) => ("SCRAM-SHA-512", Some(credentials)),
        Some(Sasl::OauthBearer { .. }) => ("OAUTHBEARER", None),
    };
    config.set("sasl.mechanism", mechanism);
    if let Some(credentials) = credentials {
        config.set("sasl.username", &credentials.username);
        config.set("sasl.password", &credentials.password.0);
    }
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// What a user may set otherwise.
trait SetIfAbsent {
    fn set_if_absent(&mut self, property: &str, value: impl Into<String>) -> &mut Self;
}

// === impl ClientConfig ===

impl SetIfAbsent for ClientConfig {
    fn set_if_absent(&mut self, property: &str, value: impl Into<String>) -> &mut Self {
        if self.get(property).is_none() {
            self.set(property, value);
        }
        self
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kafka::guarded::GUARDED;
    use crate::kafka::settings::{Credentials, Delivery, Secret, Security};

    pub(in crate::kafka) fn settings() -> Settings {
        Settings {
            brokers: "localhost:9092".into(),
            group: "rerankers".into(),
            input_topic: "sets".into(),
            security: Security::default(),
            group_protocol: GroupProtocol::Classic,
            instance_id: None,
            session_timeout: Duration::from_secs(45),
            drain_timeout: Duration::from_secs(20),
            rebalance_timeout: Duration::from_secs(300),
            uncommitted_max: 10_000,
            keep_completed: true,
            delivery: Delivery::ExactlyOnce,
            transaction_interval: Duration::from_millis(100),
            transaction_records: 100,
            transaction_timeout: Duration::from_secs(30),
            commit_interval: Duration::from_secs(1),
            delivery_timeout: Duration::from_secs(30),
            watchdog_timeout: Duration::from_secs(15),
            prefetch_bytes: 64 << 20,
            record_bytes_max: 1 << 20,
            startup_timeout: Duration::from_secs(30),
            client: Default::default(),
        }
    }

    #[test]
    fn librdkafka_takes_every_property() {
        let mut named = settings();
        named.instance_id = Some("worker-0".into());
        let brokers_decide = Settings { group_protocol: GroupProtocol::Consumer, ..named.clone() };
        for settings in [settings(), named, brokers_decide] {
            for config in [consumer(&settings, 12), producer(&settings)].map(watched) {
                // What does not go together is refused at creation only.
                let _client: rdkafka::consumer::BaseConsumer = config.create().unwrap();
            }
        }
    }

    #[test]
    fn what_carries_a_guarantee_wins_over_a_pass_through() {
        let mut settings = settings();
        for (property, _) in GUARDED {
            settings.client.insert((*property).into(), "theirs".into());
        }
        for config in [consumer(&settings, 1), producer(&settings)] {
            for property in ["bootstrap.servers", "security.protocol"] {
                assert_ne!(config.get(property), Some("theirs"), "{property}");
            }
        }
        assert_eq!(producer(&settings).get("acks"), Some("all"));
        assert_eq!(consumer(&settings, 1).get("enable.auto.commit"), Some("false"));
        assert_eq!(consumer(&settings, 1).get("max.poll.interval.ms"), Some("300000"));
        assert_eq!(watched(producer(&settings)).get("statistics.interval.ms"), Some("1000"));
    }

    #[test]
    fn what_carries_none_can_be_set() {
        let mut settings = settings();
        assert_eq!(producer(&settings).get("batch.size"), Some("262144"));
        for (property, value) in [("compression.codec", "zstd"), ("batch.size", "1000")] {
            settings.client.insert(property.into(), value.into());
            assert_eq!(producer(&settings).get(property), Some(value));
        }
    }

    #[test]
    fn a_default_gives_way_to_the_other_name_of_its_property() {
        let mut settings = settings();
        settings.client.insert("compression.type".into(), "zstd".into());
        let native = producer(&settings).create_native_config().unwrap();
        assert_eq!(native.get("compression.codec").unwrap(), "zstd");
    }

    #[test]
    fn the_brokers_protocol_leaves_sessions_to_the_brokers() {
        let settings = Settings { group_protocol: GroupProtocol::Consumer, ..settings() };
        let config = consumer(&settings, 1);
        assert_eq!(config.get("group.protocol"), Some("consumer"));
        for property in ["session.timeout.ms", "heartbeat.interval.ms"] {
            assert_eq!(config.get(property), None, "{property}");
        }
    }

    #[test]
    fn read_ahead_is_shared_out_over_the_partitions() {
        let kbytes = |partitions| {
            let config = consumer(&settings(), partitions);
            config.get("queued.max.messages.kbytes").unwrap().parse::<usize>().unwrap()
        };
        assert_eq!(kbytes(1), 32 << 10);
        assert_eq!(kbytes(16), 2 << 10);
        assert_eq!(kbytes(1_000_000), 32);
    }

    #[test]
    fn credentials_and_tls_choose_the_protocol() {
        let mut settings = settings();
        let password = Secret("hush".into());
        let credentials = Credentials { username: "alice".into(), password };
        settings.security.sasl = Some(Sasl::ScramSha512(credentials));
        let config = producer(&settings);
        assert_eq!(config.get("security.protocol"), Some("sasl_plaintext"));
        assert_eq!(config.get("sasl.mechanism"), Some("SCRAM-SHA-512"));
        assert!(!format!("{settings:?} {config:?}").contains("hush"));
        settings.security.tls = true;
        assert_eq!(producer(&settings).get("security.protocol"), Some("sasl_ssl"));
    }
}
