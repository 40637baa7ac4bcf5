//! Clients that librdkafka leaves without a broker for good, and those that only have to wait.
//!
//! What makes it forget its brokers is a race (see `network.rs`), so it is provoked until it happens:
//! a handful of forged answers each. It is told by the count of clients that were replaced.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossrank::kafka::{KafkaSink, KafkaSource, Settings};
use crossrank::stream::{PublishError, Record, RecordSink, RecordSource};
use crossrank::telemetry::Counts;

use crate::cluster::settings;
use crate::kafka::proxy::Fault;
use crate::kafka::{self, Kafka, Options};
use crate::until;

/// As many as keep a client busy with an answer while its brokers go.
const PARTITIONS: i32 = 500;
const WATCHDOG: Duration = Duration::from_secs(3);
/// What a client that is not stuck may take to get over a forged answer, and a new one to begin.
const RECOVERY_MAX: Duration = Duration::from_secs(15);
/// It takes a handful of such answers at most.
const TOLD_MAX: usize = 40;

fn watched(kafka: &Kafka, group: &str, topic: &str) -> Settings {
    let mut settings = settings(&kafka.proxied_brokers(), group, topic);
    settings.watchdog_timeout = WATCHDOG;
    settings.delivery_timeout = Duration::from_secs(6);
    let client =
        [("topic.metadata.refresh.interval.ms", "500"), ("reconnect.backoff.max.ms", "500")];
    settings.client.extend(client.map(|(name, value)| (name.to_owned(), value.to_owned())));
    settings
}

fn numbered(number: usize) -> Record {
    Record { value: Some(number.to_string().into()), ..Record::default() }
}

fn number(record: &Record) -> usize {
    String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap().parse().unwrap()
}

async fn stage(topics: &[&str]) -> Option<Kafka> {
    crate::show_logs();
    let kafka = Kafka::own(Options { nodes: 1, proxied: true, ..Options::default() })?;
    for topic in topics {
        kafka::create_topic(&kafka.brokers(), topic, PARTITIONS, 1).await;
    }
    Some(kafka)
}

/// Has the next metadata answer name no broker.
async fn tell_of_no_broker(kafka: &Kafka) {
    let forged = kafka.proxy().forged();
    kafka.proxy().set(Fault::NoBrokers);
    until("it asks for metadata", async || kafka.proxy().forged() > forged).await;
    kafka.proxy().set(Fault::Honest);
}

/// Publishes, again where it may, as the worker does.
async fn publish(sink: &KafkaSink, topic: &str, record: Record) {
    loop {
        match sink.publish(topic, record.clone()).await {
            Ok(()) => return,
            Err(PublishError::Retryable { .. }) => {
                tokio::time::sleep(Duration::from_millis(50)).await
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_is_stuck_is_replaced_and_nothing_is_lost() {
    let Some(kafka) = stage(&["sets"]).await else { return };
    let counts = Arc::new(Counts::default());
    let sink = KafkaSink::start_counting(&watched(&kafka, "stuck", "sets"), &counts).unwrap();
    publish(&sink, "sets", numbered(0)).await;
    let mut sent = 1;
    for told in 1.. {
        assert!(told <= TOLD_MAX, "it always gets over it: is the watchdog needed?");
        tell_of_no_broker(&kafka).await;
        let since = Instant::now();
        let batch = (sent..sent + 20).map(|number| publish(&sink, "sets", numbered(number)));
        for publishing in batch {
            let left = (WATCHDOG + RECOVERY_MAX).saturating_sub(since.elapsed());
            tokio::time::timeout(left, publishing).await.expect("it goes on by itself");
        }
        sent += 20;
        println!("told {told}: {:?} {:?}", since.elapsed(), counts.client_rebuilds.get());
        if counts.client_rebuilds.get() > 0 {
            break;
        }
    }
    sink.flush(Duration::from_secs(10)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_stuck_is_replaced_and_nothing_is_lost() {
    let Some(kafka) = stage(&["sets"]).await else { return };
    let counts = Arc::new(Counts::default());
    let direct = settings(&kafka.brokers(), "direct", "sets");
    let direct = KafkaSink::start(&direct).unwrap();
    let settings = watched(&kafka, "stuck", "sets");
    let mut source = KafkaSource::start_counting(&settings, &counts).unwrap();
    let mut seen = BTreeSet::new();
    let mut sent = 0;
    for told in 0.. {
        assert!(told <= TOLD_MAX, "it always gets over it: is the watchdog needed?");
        if told > 0 {
            tell_of_no_broker(&kafka).await;
        }
        let since = Instant::now();
        for _ in 0..20 {
            publish(&direct, "sets", numbered(sent)).await;
            sent += 1;
        }
        while seen.len() < sent {
            let left = (WATCHDOG + RECOVERY_MAX).saturating_sub(since.elapsed());
            let claimed = tokio::time::timeout(left, source.claim()).await;
            let claimed = claimed.expect("it goes on by itself").unwrap();
            seen.insert(number(&claimed.record));
            claimed.ack.published();
        }
        println!("told {told}: {:?} {:?}", since.elapsed(), counts.client_rebuilds.get());
        if counts.client_rebuilds.get() > 0 {
            break;
        }
    }
    assert_eq!(seen, (0..sent).collect());
    source.close(Duration::from_secs(10)).await.unwrap();
}
