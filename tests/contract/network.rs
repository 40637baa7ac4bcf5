//! What the client makes of a bad network: the faults that it gets over, and the one that it does not.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

use crate::kafka::proxy::{Fault, Way};
use crate::kafka::{self, Kafka, Options};

/// What one record may take, all of the client's retries included.
const DELIVERY_MAX: Duration = Duration::from_secs(6);
/// How long a client may need to find its brokers again.
const RECOVERY_MAX: Duration = Duration::from_secs(30);
/// As many as keep the client busy with an answer while its brokers go.
const PARTITIONS: i32 = 500;
/// It takes a handful of such answers at most.
const TOLD_MAX: usize = 40;

fn producer(kafka: &Kafka) -> FutureProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.proxied_brokers());
    config.set("delivery.timeout.ms", DELIVERY_MAX.as_millis().to_string());
    // So that what is not answered is noticed within the time of a record.
    config.set("socket.timeout.ms", "2000").set("reconnect.backoff.max.ms", "500");
    config.set("topic.metadata.refresh.interval.ms", "500");
    config.create().unwrap()
}

async fn delivers(producer: &FutureProducer) -> bool {
    let record = FutureRecord::<(), _>::to("sets").payload("a record");
    producer.send(record, Duration::ZERO).await.is_ok()
}

async fn recovers(producer: &FutureProducer) -> bool {
    let until = Instant::now() + RECOVERY_MAX;
    while Instant::now() < until {
        if delivers(producer).await {
            return true;
        }
    }
    false
}

async fn stage(partitions: i32) -> Option<Kafka> {
    let kafka = Kafka::own(Options { nodes: 1, proxied: true, ..Options::default() })?;
    kafka::create_topic(&kafka.brokers(), "sets", partitions, 1).await;
    Some(kafka)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_over_whatever_a_network_does_to_its_connections() {
    let Some(kafka) = stage(1).await else { return };
    let (producer, proxy) = (producer(&kafka), kafka.proxy());
    assert!(delivers(&producer).await);

    proxy.set(Fault::Delay(Duration::from_millis(200)));
    let sent = Instant::now();
    assert!(delivers(&producer).await);
    assert!(sent.elapsed() >= Duration::from_millis(400), "there and back: {:?}", sent.elapsed());

    for fault in
        [Fault::Stall(Way::Both), Fault::Swallow(Way::Requests), Fault::Swallow(Way::Answers)]
    {
        proxy.set(fault);
        assert!(!delivers(&producer).await, "{fault:?}");
        proxy.set(Fault::Honest);
        assert!(recovers(&producer).await, "{fault:?}");
    }
    proxy.set(Fault::Refuse);
    assert!(delivers(&producer).await, "what is open stays open");
    proxy.cut();
    assert!(!delivers(&producer).await);
    proxy.set(Fault::Honest);
    assert!(recovers(&producer).await);
    proxy.cut();
    assert!(recovers(&producer).await);
}

/// librdkafka 2.12.1 takes a metadata answer that has topics but no broker at its word, and lets go of
/// every broker, of those that it was configured with too. The last one to go starts a search for
/// new ones. Where that happens before the client is done with the answer, which takes the longer the
/// more partitions there are, it ends the search again, and never begins another: it is wedged.
/// Only a new client helps, so a worker has to watch for it.
///
/// Where this fails because the client always recovers, librdkafka has learnt better.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a race that takes a minute or more to provoke: it shows what a watchdog must see"]
async fn a_client_that_is_told_of_no_broker_is_wedged_for_good() {
    let Some(kafka) = stage(PARTITIONS).await else { return };
    let (producer, proxy) = (producer(&kafka), kafka.proxy());
    assert!(delivers(&producer).await);
    let mut told = 0;
    loop {
        told += 1;
        assert!(told <= TOLD_MAX, "the client has got over it: is the watchdog needed?");
        let forged = proxy.forged();
        proxy.set(Fault::NoBrokers);
        let until = Instant::now() + RECOVERY_MAX;
        while proxy.forged() == forged {
            assert!(Instant::now() < until, "it asks for no metadata");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        proxy.set(Fault::Honest);
        if !recovers(&producer).await {
            break;
        }
    }
    let forged = proxy.forged();
    let seen = producer.client().fetch_metadata(None, DELIVERY_MAX);
    assert!(seen.is_err(), "it reaches nobody");
    assert_eq!(forged, proxy.forged());
    assert!(delivers(&self::producer(&kafka)).await, "a new client has no such trouble");
}
