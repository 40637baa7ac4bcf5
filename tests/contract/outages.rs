//! A broker that goes away and comes back, under work.

use std::time::{Duration, Instant};

use crossrank::kafka::{KafkaSink, KafkaSource};
use crossrank::stream::{Claimed, PublishError, Record, RecordSource, SourceError};

use crate::cluster::settings;
use crate::kafka::{self, Kafka, Options};

const WAIT_MAX: Duration = Duration::from_secs(90);

fn numbered(number: usize) -> Record {
    Record { value: Some(number.to_string().into()), ..Record::default() }
}

async fn claim(source: &mut KafkaSource) -> Claimed {
    tokio::time::timeout(WAIT_MAX, source.claim()).await.expect("in time").expect("a record")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_loses_nothing_and_ends_by_itself() {
    crate::show_logs();
    let Some(mut kafka) = Kafka::own(Options { nodes: 1, ..Options::default() }) else {
        return;
    };
    kafka::create_topic(&kafka.brokers(), "sets", 1, 1).await;
    let mut settings = settings(&kafka.brokers(), "outage", "sets");
    settings.delivery_timeout = Duration::from_secs(2);
    let sink = KafkaSink::start(&settings).unwrap();
    for number in 0..10 {
        sink.send("sets", numbered(number)).await.unwrap();
    }
    let mut source = KafkaSource::start(&settings).unwrap();
    let held = [claim(&mut source).await, claim(&mut source).await];

    kafka.kill(1);
    match sink.send("sets", numbered(10)).await {
        Err(PublishError::Retryable { .. }) => {}
        other => panic!("expected to be told to try again, got {other:?}"),
    }
    for claimed in held {
        claimed.ack.published();
    }
    kafka.restart(1);
    kafka.wait_for(1);
    let until = Instant::now() + WAIT_MAX;
    while let Err(error) = sink.send("sets", numbered(10)).await {
        assert!(matches!(error, PublishError::Retryable { .. }), "{error:?}");
        assert!(Instant::now() < until, "{error:?}");
    }
    // Records that were read ahead, or are read again after the member was put out: all of them.
    let mut seen = std::collections::BTreeSet::from([0, 1]);
    while seen.len() < 11 {
        let claimed = claim(&mut source).await;
        let value = String::from_utf8(claimed.record.value.unwrap().to_vec()).unwrap();
        seen.insert(value.parse::<usize>().unwrap());
        claimed.ack.published();
    }
    source.close(Duration::from_secs(10)).await.unwrap();

    a_close_without_a_broker_ends(&mut kafka, &settings).await;
    a_topic_that_is_deleted_ends_the_source(&kafka, &settings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_three_goes_on_when_one_is_killed() {
    crate::show_logs();
    let Some(mut kafka) = Kafka::own(Options { nodes: 3, ..Options::default() }) else {
        return;
    };
    kafka::create_topic(&kafka.brokers(), "sets", 6, 3).await;
    let mut settings = settings(&kafka.brokers(), "three", "sets");
    settings.session_timeout = Duration::from_secs(10);
    let sink = KafkaSink::start(&settings).unwrap();
    let mut source = KafkaSource::start(&settings).unwrap();
    for number in 0..60 {
        sink.send("sets", numbered(number)).await.unwrap();
    }
    claim(&mut source).await.ack.published();
    kafka.kill(2);
    for number in 60..120 {
        sink.send("sets", numbered(number)).await.unwrap();
    }
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 119 {
        let claimed = claim(&mut source).await;
        seen.insert(claimed.record.value);
        claimed.ack.published();
    }
    source.close(Duration::from_secs(10)).await.unwrap();
}

/// `settings` is that of a group whose commits are all at the end.
async fn a_close_without_a_broker_ends(kafka: &mut Kafka, settings: &crossrank::kafka::Settings) {
    let sink = KafkaSink::start(settings).unwrap();
    sink.send("sets", numbered(11)).await.unwrap();
    let mut source = KafkaSource::start(settings).unwrap();
    let last = claim(&mut source).await;
    assert_eq!(
        last.record.value.as_deref(),
        Some(b"11".as_slice()),
        "everything else was committed"
    );
    kafka.kill(1);
    last.ack.published();
    let (started, limit) = (Instant::now(), Duration::from_secs(6));
    source.close(limit).await.unwrap();
    // All that it was given, at most; the allowance is for a busy machine.
    assert!(started.elapsed() < limit + Duration::from_secs(5), "{:?}", started.elapsed());
    kafka.restart(1);
    kafka.wait_for(1);
}

async fn a_topic_that_is_deleted_ends_the_source(
    kafka: &Kafka,
    settings: &crossrank::kafka::Settings,
) {
    kafka::create_topic(&kafka.brokers(), "short-lived", 1, 1).await;
    let mut settings = settings.clone();
    settings.input_topic = "short-lived".to_owned();
    // By default librdkafka hopes for 30 s that the topic comes back.
    let patience = ("topic.metadata.propagation.max.ms".to_owned(), "1000".to_owned());
    settings.client.extend([patience]);
    // Also how long a topic may be missing later on.
    settings.startup_timeout = Duration::from_secs(5);
    let mut source = KafkaSource::start(&settings).unwrap();
    let sink = KafkaSink::start(&settings).unwrap();
    sink.send("short-lived", numbered(0)).await.unwrap();
    claim(&mut source).await.ack.published();
    kafka::delete_topic(&kafka.brokers(), "short-lived").await;
    match tokio::time::timeout(WAIT_MAX, source.claim()).await.unwrap() {
        Err(SourceError::Fatal { reason, .. }) => {
            assert!(reason.contains("short-lived"), "{reason}")
        }
        other => panic!("expected a fatal error, got {other:?}"),
    }
}
