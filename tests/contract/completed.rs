//! What is settled above the commit is not worked on twice, where the source keeps it.

use std::time::Duration;

use crossrank::kafka::{KafkaSource, Settings};
use crossrank::stream::{RecordSource, SourceError};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::cluster::Harness;
use crate::suite::{self, Harness as _, claim};
use crate::until;

pub(crate) async fn is_not_read_again(h: &Harness<'_>) {
    let topic = h.topic(1).await;
    let values: Vec<String> = (0..10).map(|number| format!("record {number}")).collect();
    h.produce(&topic, 0, &values).await;
    let settings = Settings { keep_completed: true, ..h.settings("completed", &topic) };
    let mut source = KafkaSource::start(&settings).unwrap();
    let mut held = Vec::new();
    for offset in 0..10 {
        let claimed = claim(&mut source).await;
        if matches!(offset, 3 | 7) { held.push(claimed) } else { claimed.ack.published() }
    }
    until("the commit", async || h.committed("completed", &topic, 0).await == Some(3)).await;
    match source.close(Duration::ZERO).await {
        Err(SourceError::DrainDeadline { unsettled: 2 }) => {}
        other => panic!("{}: expected the drain deadline, got {other:?}", h.name()),
    }
    drop(held);
    let mut source = KafkaSource::start(&settings).unwrap();
    for offset in [3, 7] {
        let again = claim(&mut source).await;
        assert_eq!(again.ack.position().offset, offset, "{}", h.name());
        again.ack.published();
    }
    until("everything", async || h.committed("completed", &topic, 0).await == Some(10)).await;
    source.close(suite::DRAIN).await.unwrap();
}

/// Any program may have committed for the group before.
pub(crate) async fn in_the_words_of_others_is_ignored(h: &Harness<'_>) {
    let topic = h.topic(1).await;
    h.produce(&topic, 0, &["one".to_owned(), "two".to_owned()]).await;
    let settings = Settings { keep_completed: true, ..h.settings("foreign", &topic) };
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &settings.brokers).set("group.id", &settings.group);
    let other: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(1)).unwrap();
    list.find_partition(&topic, 0).unwrap().set_metadata("crossrank1:????");
    other.commit(&list, CommitMode::Sync).unwrap();
    let mut source = KafkaSource::start(&settings).unwrap();
    let second = claim(&mut source).await;
    assert_eq!(second.ack.position().offset, 1, "{}", h.name());
    second.ack.published();
    source.close(suite::DRAIN).await.unwrap();
}

/// A worker that dies has done no more beyond its commit than it was allowed to.
pub(crate) async fn is_bounded(h: &Harness<'_>) {
    let topic = h.topic(1).await;
    let values: Vec<String> = (0..50).map(|number| format!("record {number}")).collect();
    h.produce(&topic, 0, &values).await;
    let settings = Settings { uncommitted_max: 10, ..h.settings("bounded", &topic) };
    // A commit that is not due for long comes when the partition needs it.
    let settings = Settings { commit_interval: Duration::from_secs(300), ..settings };
    let mut source = KafkaSource::start(&settings).unwrap();
    for offset in 0..50 {
        let claimed = claim(&mut source).await;
        let committed = h.committed("bounded", &topic, 0).await.unwrap_or(0);
        assert!(offset - committed < 10, "{}: {offset} beyond {committed}", h.name());
        claimed.ack.published();
    }
    source.close(suite::DRAIN).await.unwrap();
    assert_eq!(h.committed("bounded", &topic, 0).await, Some(50));
}
