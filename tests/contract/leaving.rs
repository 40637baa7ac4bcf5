//! A member that leaves in a bad moment.

use std::time::Duration;

use crossrank::kafka::KafkaSource;
use crossrank::stream::{RecordSource, SourceError};
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::cluster::{self, settings};
use crate::suite::{self, Harness};
use crate::until;

/// On a real broker only: the mock lets every rebalance take a whole session timeout.
pub(crate) async fn in_the_middle_of_a_revocation(h: &cluster::Harness<'_>) {
    let topic = h.topic(2).await;
    for partition in 0..2 {
        h.produce(&topic, partition, &["a set".to_owned()]).await;
    }
    let mut settings = settings(h.brokers(), &format!("leaving {topic}"), &topic);
    // Nobody is put out for being silent: the second gets all if the first says that it leaves.
    settings.session_timeout = Duration::from_secs(300);
    settings.drain_timeout = Duration::from_secs(200);
    let mut first = KafkaSource::start(&settings).unwrap();
    let held = [suite::claim(&mut first).await, suite::claim(&mut first).await];
    let mut second = KafkaSource::start(&settings).unwrap();
    until("one of two partitions is revoked", async || {
        held.iter().any(|claimed| claimed.ack.is_revoked())
    })
    .await;
    match first.close(Duration::from_secs(2)).await {
        Err(SourceError::DrainDeadline { unsettled: 2 }) => {}
        other => panic!("expected the drain deadline, got {other:?}"),
    }
    for _ in 0..2 {
        suite::claim(&mut second).await.ack.published();
    }
    second.close(suite::DRAIN).await.unwrap();
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_loses_everything_while_it_fails_comes_to_an_end() {
    crate::show_logs();
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("sets", 1, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    for _ in 0..2 {
        let record = FutureRecord::<(), _>::to("sets").payload("a set");
        producer.send(record, Duration::from_secs(10)).await.unwrap();
    }
    let mut settings = settings(&brokers, "leaving", "sets");
    settings.commit_interval = Duration::from_secs(60);
    let mut source = KafkaSource::start(&settings).unwrap();
    suite::claim(&mut source).await.ack.published();
    let abandoned = suite::claim(&mut source).await;
    // The last commit is tried for a while, in which the group puts the member out: a revocation of
    // everything that librdkafka had, so that there is nothing else that it could ask for.
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE;
    cluster.request_errors(RDKafkaApiKey::OffsetCommit, &[refused; 100]);
    let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;
    cluster.request_errors(RDKafkaApiKey::Heartbeat, &[unknown]);
    drop(abandoned);
    match source.claim().await {
        Err(SourceError::Abandoned { .. }) => {}
        other => panic!("expected an abandoned record, got {other:?}"),
    }
    // Its thread has ended: otherwise this would be told.
    source.close(suite::DRAIN).await.unwrap();
}
