//! A start that cannot work fails, in time, and says what to do.

use std::time::{Duration, Instant};

use crossrank::kafka::{
    Credentials, InProcessCluster, KafkaSink, KafkaSource, Sasl, Secret, Settings, StartError,
    probe,
};
use crossrank::stream::{PublishError, Record, RecordSource, SourceError};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::cluster::settings;
use crate::kafka::{self, Kafka, Options};

/// The errors of a probe, a source and a sink with the same settings.
fn failures(settings: &Settings) -> [StartError; 3] {
    let started = Instant::now();
    let failures = [
        probe(settings, &[&settings.input_topic]).unwrap_err(),
        KafkaSource::start(settings).unwrap_err(),
        KafkaSink::start(settings).unwrap_err(),
    ];
    let limit = 3 * (settings.startup_timeout + Duration::from_secs(3));
    assert!(started.elapsed() < limit, "took {:?}: {failures:?}", started.elapsed());
    failures
}

fn hurried(brokers: &str, topic: &str) -> Settings {
    let mut settings = settings(brokers, "start", topic);
    settings.startup_timeout = Duration::from_secs(2);
    settings
}

fn with(
    sasl: fn(Credentials) -> Sasl,
    (user, password): (&str, &str),
    base: &Settings,
) -> Settings {
    let mut settings = base.clone();
    let password = Secret(password.to_owned());
    settings.security.sasl = Some(sasl(Credentials { username: user.to_owned(), password }));
    settings
}

#[test]
fn no_broker_is_said_in_time() {
    for failure in failures(&hurried("127.0.0.1:1", "sets")) {
        match &failure {
            StartError::NoBroker { brokers, detail, .. } => {
                assert_eq!(brokers, "127.0.0.1:1");
                assert!(detail.contains("refused"), "{failure}");
            }
            other => panic!("expected no broker, got {other:?}"),
        }
    }
}

#[test]
fn a_name_without_an_address_is_said() {
    for failure in failures(&hurried("broker.invalid:9092", "sets")) {
        assert!(matches!(failure, StartError::Dns { .. }), "{failure:?}");
    }
}

#[test]
fn every_missing_topic_is_named() {
    let cluster = InProcessCluster::start(&[("sets", 3)]).unwrap();
    let mut settings = hurried(&cluster.brokers(), "sets");
    // What is tested here is the answer: a busy machine may take its time for it.
    settings.startup_timeout = Duration::from_secs(20);
    let report = probe(&settings, &["sets"]).unwrap();
    assert_eq!((report.topics[0].partitions, report.brokers.len()), (3, 1));
    match probe(&settings, &["contexts", "sets", "dead"]).unwrap_err() {
        StartError::TopicMissing { topics } => assert_eq!(topics, ["contexts", "dead"]),
        other => panic!("expected missing topics, got {other:?}"),
    }
    let missing = hurried(&cluster.brokers(), "elsewhere");
    let failure = KafkaSource::start(&missing).unwrap_err();
    assert!(matches!(failure, StartError::TopicMissing { .. }), "{failure:?}");
}

#[test]
fn a_property_that_librdkafka_refuses_is_named() {
    let mut settings = hurried("127.0.0.1:1", "sets");
    settings.client.insert("linger.mss".to_owned(), "5".to_owned());
    for failure in failures(&settings) {
        assert!(failure.to_string().contains("kafka.client.linger.mss"), "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_may_not_be_used_is_named_at_start_and_later() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("sets", 1, 1).unwrap();
    let settings = hurried(&cluster.bootstrap_servers(), "sets");
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::OffsetFetch, &[denied; 10]);
    match probe(&settings, &["sets"]).unwrap_err() {
        StartError::GroupUnauthorized { group, principal } => {
            assert_eq!((group.as_str(), principal.as_str()), ("start", "User:ANONYMOUS"));
        }
        other => panic!("expected a denied group, got {other:?}"),
    }
    cluster.clear_request_errors(RDKafkaApiKey::OffsetFetch);
    cluster.request_errors(RDKafkaApiKey::JoinGroup, &[denied; 10]);
    let mut source = KafkaSource::start(&settings).unwrap();
    match tokio::time::timeout(Duration::from_secs(30), source.claim()).await.unwrap() {
        Err(SourceError::Fatal { reason, .. }) => {
            assert!(reason.contains("Group authorization failed"), "{reason}");
        }
        other => panic!("expected a fatal error, got {other:?}"),
    }
    source.close(Duration::ZERO).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secured_kafka_lets_in_whom_it_knows() {
    crate::show_logs();
    let Some(kafka) = Kafka::own(Options { nodes: 1, secured: true, ..Options::default() }) else {
        return;
    };
    kafka::create_topic(&kafka.brokers(), "sets", 1, 1).await;
    let sasl = hurried(&kafka.sasl_brokers(), "sets");
    for mechanism in [Sasl::Plain, Sasl::ScramSha256] {
        carries_a_record(&with(mechanism, kafka::ADMIN, &sasl)).await;
        let wrong = with(mechanism, (kafka::ADMIN.0, "wrong-secret"), &sasl);
        for failure in failures(&wrong) {
            assert!(matches!(failure, StartError::Credentials { .. }), "{failure:?}");
            let text = format!("{failure} {failure:?} {wrong:?}");
            assert!(text.contains("User:alice") && !text.contains("wrong-secret"), "{text}");
        }
        a_stranger_may_do_nothing(&with(mechanism, kafka::STRANGER, &sasl)).await;
    }
    // Not a word of SASL to a listener that wants it.
    for failure in failures(&sasl) {
        assert!(matches!(failure, StartError::NoBroker { .. }), "{failure:?}");
    }
    let mut tls = hurried(&kafka.tls_brokers(), "sets");
    for failure in failures(&tls) {
        assert!(matches!(failure, StartError::NoBroker { .. }), "{failure:?}");
    }
    tls.security.tls = true;
    for failure in failures(&tls) {
        assert!(matches!(failure, StartError::Tls { .. }), "{failure:?}");
    }
    // Trusted now; without SASL everybody is anonymous there, and anonymous may do everything.
    tls.security.ca_file = Some(kafka.certificate());
    carries_a_record(&tls).await;
}

async fn carries_a_record(settings: &Settings) {
    let mut settings = settings.clone();
    settings.startup_timeout = Duration::from_secs(20);
    probe(&settings, &["sets"]).unwrap();
    let sink = KafkaSink::start(&settings).unwrap();
    let record = Record { value: Some("a set".into()), ..Record::default() };
    sink.send("sets", record).await.unwrap();
    let mut source = KafkaSource::start(&settings).unwrap();
    let claimed = tokio::time::timeout(Duration::from_secs(30), source.claim()).await.unwrap();
    claimed.unwrap().ack.published();
    source.close(Duration::from_secs(5)).await.unwrap();
}

async fn a_stranger_may_do_nothing(settings: &Settings) {
    match probe(settings, &["sets"]).unwrap_err() {
        StartError::TopicUnauthorized { topic, principal } => {
            assert_eq!((topic.as_str(), principal.as_str()), ("sets", "User:mallory"));
        }
        other => panic!("expected a denied topic, got {other:?}"),
    }
    let sink = KafkaSink::start(settings).unwrap();
    match sink.send("sets", Record::default()).await {
        Err(PublishError::Fatal { reason, .. }) => assert!(reason.contains("Write"), "{reason}"),
        other => panic!("expected a fatal error, got {other:?}"),
    }
}
