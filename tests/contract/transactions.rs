//! Outputs that are committed with their inputs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossrank::kafka::{KafkaSource, Settings, TransactionSink, start_exactly_once};
use crossrank::stream::{Claimed, Position, PublishError, Record, RecordSink, RecordSource};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tokio::task::JoinHandle;

use crate::cluster::Harness;
use crate::suite::{DRAIN, Harness as _, RECORD_BYTES_MAX, claim};
use crate::until;

const REQUEST_MAX: Duration = Duration::from_secs(10);

type Published = JoinHandle<Result<(), PublishError>>;

/// Publishes an output that names its input, and settles the input when that is done.
fn answer(sink: &Arc<TransactionSink>, topic: &str, claimed: Claimed) -> Published {
    let (sink, topic) = (Arc::clone(sink), topic.to_owned());
    tokio::spawn(async move {
        let position = claimed.ack.position().clone();
        let record = Record { value: Some(position.to_string().into()), ..Record::default() };
        let published = sink.publish(&topic, record, &position).await;
        match &published {
            Ok(()) => claimed.ack.published(),
            Err(_) => claimed.ack.returned(),
        }
        published
    })
}

/// What a reader of committed records sees, in order.
fn visible(h: &Harness<'_>, topic: &str) -> Vec<String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", h.brokers()).set("group.id", "reads what is committed");
    config.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut values = Vec::new();
    loop {
        match consumer.poll(REQUEST_MAX).expect("the end of the topic") {
            Ok(message) => {
                values.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
            }
            Err(KafkaError::PartitionEOF(_)) => return values,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn start(settings: &Settings) -> (KafkaSource, Arc<TransactionSink>) {
    let settings = settings.clone();
    let started = tokio::task::spawn_blocking(move || start_exactly_once(&settings));
    let (source, sink) = started.await.unwrap().unwrap();
    (source, Arc::new(sink))
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

pub(crate) async fn make_outputs_and_commits_visible_together(h: &Harness<'_>) {
    let (inputs, outputs, letters) = (h.topic(3).await, h.topic(1).await, h.topic(1).await);
    for partition in 0..3 {
        h.produce(&inputs, partition, &numbered(100)).await;
    }
    let (mut source, sink) = start(&h.settings("together", &inputs)).await;
    let mut all = Vec::new();
    for _ in 0..300 {
        all.push(claim(&mut source).await);
    }
    fastrand::Rng::with_seed(7).shuffle(&mut all);
    let topic = |position: &Position| match position.offset % 10 {
        0 => letters.clone(),
        _ => outputs.clone(),
    };
    let published: Vec<_> =
        all.into_iter().map(|c| answer(&sink, &topic(c.ack.position()), c)).collect();
    for published in published {
        published.await.unwrap().unwrap();
    }
    for partition in 0..3 {
        assert_eq!(h.committed("together", &inputs, partition).await, Some(100));
    }
    let (seen, dead) = (visible(h, &outputs), visible(h, &letters));
    assert_eq!((seen.len(), dead.len()), (270, 30));
    let mut next: BTreeMap<&str, i64> = BTreeMap::new();
    for value in &seen {
        let (partition, offset) = value.rsplit_once('/').unwrap();
        let offset: i64 = offset.parse().unwrap();
        let last = next.insert(partition, offset).unwrap_or(-1);
        assert!(last < offset, "{value} came after {last}");
    }
    source.close(DRAIN).await.unwrap();
    sink.flush(Duration::ZERO).await.unwrap();
}

pub(crate) async fn hold_what_stands_above_a_hole(h: &Harness<'_>) {
    let (inputs, outputs) = (h.topic(2).await, h.topic(1).await);
    h.produce(&inputs, 0, &numbered(3)).await;
    let (mut source, sink) = start(&h.settings("hole", &inputs)).await;
    let first = claim(&mut source).await;
    let above = [claim(&mut source).await, claim(&mut source).await];
    let above = above.map(|claimed| answer(&sink, &outputs, claimed));
    // Transactions come and go beside it.
    for round in 0..3 {
        h.produce(&inputs, 1, &numbered(1)).await;
        let beside = claim(&mut source).await;
        answer(&sink, &outputs, beside).await.unwrap().unwrap();
        assert_eq!(visible(h, &outputs).len(), round + 1);
    }
    assert!(above.iter().all(|published| !published.is_finished()));
    assert_ne!(h.committed("hole", &inputs, 0).await, Some(1));
    answer(&sink, &outputs, first).await.unwrap().unwrap();
    for published in above {
        published.await.unwrap().unwrap();
    }
    assert_eq!(visible(h, &outputs).len(), 6);
    assert_eq!(h.committed("hole", &inputs, 0).await, Some(3));
    // A record that goes back takes what stands above it along.
    h.produce(&inputs, 0, &numbered(2)).await;
    let (back, above) = (claim(&mut source).await, claim(&mut source).await);
    let above = answer(&sink, &outputs, above);
    back.ack.returned();
    let refused = above.await.unwrap();
    assert!(matches!(refused, Err(PublishError::InputReturned { .. })), "{refused:?}");
    source.close(DRAIN).await.unwrap();
    assert_eq!(visible(h, &outputs).len(), 6);
    assert_eq!(h.committed("hole", &inputs, 0).await, Some(3));
}

pub(crate) async fn go_on_without_what_is_refused(h: &Harness<'_>) {
    let (inputs, outputs, letters) = (h.topic(1).await, h.topic(1).await, h.topic(1).await);
    h.produce(&inputs, 0, &numbered(5)).await;
    let (mut source, sink) = start(&h.settings("refused", &inputs)).await;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(claim(&mut source).await);
    }
    let large = all.remove(2);
    let others: Vec<_> = all.into_iter().map(|c| answer(&sink, &outputs, c)).collect();
    let value = Some(vec![b'x'; RECORD_BYTES_MAX + 1].into());
    let record = Record { value, ..Record::default() };
    match sink.publish(&outputs, record.clone(), large.ack.position()).await {
        Err(PublishError::Refused { topic, .. }) => assert_eq!(topic, outputs),
        other => panic!("expected a refusal, got {other:?}"),
    }
    // Each refusal by the brokers costs a transaction: they are not asked again so soon.
    match sink.publish(&outputs, record, large.ack.position()).await {
        Err(PublishError::Refused { reason, .. }) => {
            assert!(reason.contains("has just refused"), "{reason}")
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
    answer(&sink, &letters, large).await.unwrap().unwrap();
    for published in others {
        published.await.unwrap().unwrap();
    }
    assert_eq!(visible(h, &outputs).len(), 4);
    assert_eq!(visible(h, &letters), [format!("{inputs}/0/2")]);
    assert_eq!(h.committed("refused", &inputs, 0).await, Some(5));
    source.close(DRAIN).await.unwrap();
}

/// As after a transaction that the coordinator gave up, or a process that was thought dead.
pub(crate) async fn outlive_a_producer_that_is_fenced(h: &Harness<'_>) {
    let (inputs, outputs) = (h.topic(1).await, h.topic(1).await);
    let settings = h.settings("fenced", &inputs);
    let settings = Settings { instance_id: Some("worker-0".to_owned()), ..settings };
    let (mut source, sink) = start(&settings).await;
    let id = format!("{}-worker-0", settings.group);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", h.brokers()).set("transactional.id", &id);
    for round in 1..=3 {
        h.produce(&inputs, 0, &numbered(10)).await;
        let other: BaseProducer = config.create().unwrap();
        other.init_transactions(REQUEST_MAX).unwrap();
        let mut published = Vec::new();
        for _ in 0..10 {
            published.push(answer(&sink, &outputs, claim(&mut source).await));
        }
        for published in published {
            published.await.unwrap().unwrap();
        }
        let seen = visible(h, &outputs);
        let expected: Vec<_> = (0..round * 10).map(|at| format!("{inputs}/0/{at}")).collect();
        assert_eq!(seen, expected);
        assert_eq!(h.committed("fenced", &inputs, 0).await, Some(round * 10));
    }
    source.close(DRAIN).await.unwrap();
}

/// What a member could not commit in time is answered by the next one, once.
pub(crate) async fn move_on_with_their_partition(h: &Harness<'_>) {
    let (inputs, outputs) = (h.topic(2).await, h.topic(1).await);
    for partition in 0..2 {
        h.produce(&inputs, partition, &numbered(20)).await;
    }
    let settings = h.settings("moved", &inputs);
    let settings = Settings { drain_timeout: Duration::from_millis(300), ..settings };
    let (mut first, first_sink) = start(&settings).await;
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(claim(&mut first).await);
    }
    let (mut second, second_sink) = start(&settings).await;
    until("a revocation", async || held.iter().any(|claimed| claimed.ack.is_revoked())).await;
    // What comes from here on is for the second member; the first one claims too, or its source would
    // keep what is handed out.
    let mut again = Vec::new();
    for _ in 0..20 {
        again.push(claim(&mut second).await);
    }
    let late: Vec<_> = held.into_iter().map(|c| answer(&first_sink, &outputs, c)).collect();
    let anew: Vec<_> = again.into_iter().map(|c| answer(&second_sink, &outputs, c)).collect();
    let mut returned = 0;
    for published in late {
        match published.await.unwrap() {
            Ok(()) => {}
            Err(PublishError::InputReturned { .. }) => returned += 1,
            Err(error) => panic!("{error}"),
        }
    }
    for published in anew {
        published.await.unwrap().unwrap();
    }
    assert_eq!(returned, 20);
    let mut seen = visible(h, &outputs);
    seen.sort();
    let mut expected: Vec<_> = (0..2)
        .flat_map(|p| (0..20).map(move |o| (p, o)))
        .map(|(p, o)| format!("{inputs}/{p}/{o}"))
        .collect();
    expected.sort();
    assert_eq!(seen, expected);
    first.close(DRAIN).await.unwrap();
    second.close(DRAIN).await.unwrap();
}
