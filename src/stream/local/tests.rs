use super::*;
use crate::stream::{
    Epoch, Partition, Position, PublishError, RecordSink, RecordSource, SourceError,
};

fn record(value: &str) -> Record {
    Record { value: Some(value.to_owned().into()), ..Record::default() }
}

/// The place of a record that answers nothing.
fn nowhere() -> Position {
    let partition = Partition { topic: "none".into(), index: 0 };
    Position { partition, offset: 0, epoch: Epoch::default() }
}

#[tokio::test(start_paused = true)]
async fn equal_keys_meet_in_one_partition() {
    let broker = LocalBroker::new().topic("in", 8);
    let places: Vec<_> = (0..20).map(|_| broker.produce("in", "key", record("v")).0).collect();
    assert!(places.iter().all(|place| *place == places[0]));
    assert_eq!(broker.records("in").len(), 20);
}

#[tokio::test(start_paused = true)]
async fn partitions_take_turns() {
    let broker = LocalBroker::new().topic("in", 3);
    for partition in 0..3 {
        for _ in 0..2 {
            broker.produce("in", partition, record("v"));
        }
    }
    let mut source = broker.source("group", "in");
    let mut order = Vec::new();
    for _ in 0..6 {
        let claimed = source.claim().await.unwrap();
        order.push(claimed.ack.position().partition.index);
        claimed.ack.published();
    }
    assert_eq!(order, [0, 1, 2, 0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_waits_for_a_record_that_comes_later() {
    let broker = LocalBroker::new().topic("in", 1);
    let mut source = broker.source("group", "in");
    let (claimed, _) = tokio::join!(source.claim(), async { broker.produce("in", 0, record("v")) });
    claimed.unwrap().ack.published();
    assert_eq!(broker.committed("group", "in", 0), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_partition_moves_when_its_work_is_done() {
    let broker = LocalBroker::new().topic("in", 2);
    for partition in 0..2 {
        broker.produce("in", partition, record("v"));
    }
    let mut first = broker.source("group", "in");
    let held = [first.claim().await.unwrap(), first.claim().await.unwrap()];
    let mut second = broker.source("group", "in");
    let [kept, moved] = held;
    assert!(!kept.ack.is_revoked() && moved.ack.is_revoked());
    let place = moved.ack.position().partition.index;
    broker.produce("in", place, record("next"));
    moved.ack.published();
    let next = second.claim().await.unwrap();
    assert_eq!(next.ack.position().offset, 1);
    next.ack.published();
    kept.ack.published();
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_does_not_wait_longer_than_its_limit() {
    let limit = Duration::from_secs(7);
    let broker = LocalBroker::new().topic("in", 2).drain_timeout(limit);
    for partition in 0..2 {
        broker.produce("in", partition, record("v"));
    }
    let mut first = broker.source("group", "in");
    let _held = [first.claim().await.unwrap(), first.claim().await.unwrap()];
    let mut second = broker.source("group", "in");
    let started = tokio::time::Instant::now();
    let again = second.claim().await.unwrap();
    assert_eq!(started.elapsed(), limit);
    again.ack.published();
}

#[tokio::test(start_paused = true)]
async fn a_member_that_crashes_leaves_its_work_to_the_others() {
    let broker = LocalBroker::new().topic("in", 1);
    for _ in 0..2 {
        broker.produce("in", 0, record("v"));
    }
    let mut first = broker.source("group", "in");
    first.claim().await.unwrap().ack.published();
    let held = first.claim().await.unwrap();
    drop(first);
    assert!(held.ack.is_revoked());
    held.ack.published();
    assert_eq!(broker.committed("group", "in", 0), Some(1));
    let mut second = broker.source("group", "in");
    let again = second.claim().await.unwrap();
    assert_eq!(again.ack.position().offset, 1);
    again.ack.returned();
}

#[tokio::test(start_paused = true)]
async fn groups_do_not_know_of_each_other() {
    let broker = LocalBroker::new().topic("in", 1);
    broker.produce("in", 0, record("v"));
    let mut one = broker.source("one", "in");
    one.claim().await.unwrap().ack.published();
    let mut other = broker.source("other", "in");
    let again = other.claim().await.unwrap();
    assert_eq!(broker.committed("one", "in", 0), Some(1));
    assert_eq!(broker.committed("other", "in", 0), None);
    again.ack.returned();
}

#[tokio::test(start_paused = true)]
async fn injected_failures_come_in_order_and_end() {
    let broker = LocalBroker::new().topic("out", 1);
    broker.fail_next_publish("out", PublishFailure::Retryable, 2);
    broker.fail_next_publish("out", PublishFailure::Refused, 1);
    broker.fail_next_publish("out", PublishFailure::Fatal, 1);
    let sink = broker.sink();
    let mut outcomes = Vec::new();
    for _ in 0..5 {
        outcomes.push(sink.publish("out", record("v"), &nowhere()).await);
    }
    assert!(matches!(
        outcomes[..],
        [
            Err(PublishError::Retryable { .. }),
            Err(PublishError::Retryable { .. }),
            Err(PublishError::Refused { .. }),
            Err(PublishError::Fatal { .. }),
            Ok(())
        ]
    ));
    assert_eq!(broker.records("out").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_handle_ends_the_source() {
    let broker = LocalBroker::new().topic("in", 1);
    broker.produce("in", 0, record("v"));
    let mut source = broker.source("group", "in");
    drop(source.claim().await.unwrap());
    assert!(matches!(source.claim().await, Err(SourceError::Abandoned { .. })));
    assert!(matches!(source.close(Duration::ZERO).await, Err(SourceError::Abandoned { .. })));
    assert_eq!(broker.committed("group", "in", 0), None);
}

#[tokio::test(start_paused = true)]
async fn a_close_gives_up_at_its_limit() {
    let broker = LocalBroker::new().topic("in", 1);
    broker.produce("in", 0, record("v"));
    let mut source = broker.source("group", "in");
    let held = source.claim().await.unwrap();
    let started = tokio::time::Instant::now();
    let closed = source.close(Duration::from_secs(3)).await;
    assert!(matches!(closed, Err(SourceError::DrainDeadline { unsettled: 1 })));
    assert_eq!(started.elapsed(), Duration::from_secs(3));
    assert!(held.ack.is_revoked());
    held.ack.returned();
}

#[tokio::test(start_paused = true)]
async fn a_condition_is_looked_at_again_after_every_change() {
    let broker = LocalBroker::new().topic("out", 1);
    let sink = broker.sink();
    let nowhere = nowhere();
    let (published, ()) = tokio::join!(
        sink.publish("out", record("v"), &nowhere),
        broker.until(|broker| broker.records("out").len() == 1)
    );
    published.unwrap();
}
