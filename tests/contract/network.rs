//! What the client makes of a bad network.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::kafka::proxy::{Fault, Way};
use crate::kafka::{self, Kafka, Options};

/// What one record may take, all of the client's retries included.
const DELIVERY_MAX: Duration = Duration::from_secs(6);
/// How long a client may need to find its brokers again.
const RECOVERY_MAX: Duration = Duration::from_secs(30);

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

async fn stage() -> Option<Kafka> {
    let kafka = Kafka::own(Options { nodes: 1, proxied: true, ..Options::default() })?;
    kafka::create_topic(&kafka.brokers(), "sets", 1, 1).await;
    Some(kafka)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_over_whatever_a_network_does_to_its_connections() {
    let Some(kafka) = stage().await else { return };
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
