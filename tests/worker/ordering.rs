use std::collections::BTreeMap;
use std::time::Duration;

use crossrank::engine::EngineError;
use crossrank::stream::{LocalBroker, PublishFailure, Record};
use crossrank::worker::{OutputOrder, Settings};
use serde_json::json;

use crate::stage::*;

const PARTITIONS: usize = 3;
const RECORDS: usize = 80;

/// Scores after a random time, so that sets end in any order.
fn scorer(seed: u64) -> TestScorer {
    TestScorer::new(move |request| async move {
        let id: u64 = request.query.parse().unwrap();
        let mut random = fastrand::Rng::with_seed(seed ^ (id << 20));
        tokio::time::sleep(Duration::from_millis(random.u64(..200))).await;
        if !(request.wanted)() {
            return Err(EngineError::Unwanted);
        }
        Ok(scores(&request))
    })
}

/// One partition for outputs and one for dead letters, so that their order can be seen.
fn broker_of(seed: u64) -> LocalBroker {
    let broker = LocalBroker::new().topic(INPUT, PARTITIONS).topic(OUTPUT, 1).topic(DEAD, 1);
    let mut random = fastrand::Rng::with_seed(seed);
    for id in 0..RECORDS {
        let sent = if random.u8(..8) == 0 { record(&json!("not a set")) } else { set(id) };
        let key = ["a", "b", "c", ""][random.usize(..4)];
        let key = (!key.is_empty()).then(|| key.into());
        broker.produce(INPUT, random.i32(0..PARTITIONS as i32), Record { key, ..sent });
    }
    for _ in 0..random.usize(..40) {
        let failure = match random.u8(..6) {
            0 => PublishFailure::Refused,
            _ => PublishFailure::Retryable,
        };
        broker.fail_next_publish(OUTPUT, failure, 1);
        broker.fail_next_publish(DEAD, PublishFailure::Retryable, random.usize(..2));
    }
    broker
}

/// Places in each lane, in the order in which they were first published. What is read again after a
/// rebalance may be published again.
fn published(broker: &LocalBroker, topic: &str, order: OutputOrder) -> Vec<Vec<i64>> {
    let text = |record: &Record, name: &str| {
        record.header(name).map(|value| String::from_utf8(value.to_vec()).unwrap())
    };
    let mut lanes: BTreeMap<_, Vec<i64>> = BTreeMap::new();
    for record in broker.records(topic).into_iter().map(|stored| stored.record) {
        let source = text(&record, "crossrank-source").unwrap_or_else(|| {
            let part = |name| text(&record, name).unwrap();
            format!("{INPUT}/{}/{}", part("__dlq.errors.partition"), part("__dlq.errors.offset"))
        });
        let parts: Vec<&str> = source.split('/').collect();
        let key = match order {
            OutputOrder::Key if record.key.is_none() => continue,
            OutputOrder::Key => record.key,
            OutputOrder::Unordered | OutputOrder::Partition => None,
        };
        let lane = lanes.entry((parts[1].to_owned(), key)).or_default();
        let offset = parts[2].parse().unwrap();
        if !lane.contains(&offset) {
            lane.push(offset);
        }
    }
    lanes.into_values().collect()
}

fn in_order(broker: &LocalBroker, order: OutputOrder) -> bool {
    [OUTPUT, DEAD].iter().all(|topic| published(broker, topic, order).iter().all(|l| l.is_sorted()))
}

async fn work_off(broker: &LocalBroker, seed: u64, order: OutputOrder) {
    let settings = Settings { ordering: order, ..settings() };
    let worker = Running::start(broker, scorer(seed), settings);
    eventually(broker, |broker| committed(broker, PARTITIONS) == RECORDS as i64).await;
    worker.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_order_of_each_lane_holds_whatever_ends_first_fails_or_is_tried_again() {
    for seed in 0..150 {
        for order in [OutputOrder::Key, OutputOrder::Partition] {
            let broker = broker_of(seed);
            work_off(&broker, seed, order).await;
            assert!(in_order(&broker, order), "seed {seed}, {order:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_order_holds_while_workers_come_and_go() {
    for seed in 0..60 {
        for order in [OutputOrder::Key, OutputOrder::Partition] {
            let broker = broker_of(seed).drain_timeout(Duration::from_secs(600));
            let settings = || Settings { ordering: order, ..settings() };
            let first = Running::start(&broker, scorer(seed), settings());
            eventually(&broker, |broker| committed(broker, PARTITIONS) >= 10).await;
            let second = Running::start(&broker, scorer(seed + 1), settings());
            eventually(&broker, |broker| committed(broker, PARTITIONS) >= 30).await;
            first.stop().await.unwrap();
            eventually(&broker, |broker| committed(broker, PARTITIONS) == RECORDS as i64).await;
            second.stop().await.unwrap();
            assert!(in_order(&broker, order), "seed {seed}, {order:?}");
            let records = broker.records(OUTPUT).len() + broker.records(DEAD).len();
            if order == OutputOrder::Partition {
                assert_eq!(records, RECORDS, "seed {seed}: nothing is published beyond a hole");
            }
        }
    }
}

/// Otherwise the tests above would prove nothing.
#[tokio::test(start_paused = true)]
async fn without_an_order_what_ends_first_comes_first() {
    let broker = broker_of(1);
    work_off(&broker, 1, OutputOrder::Unordered).await;
    assert!(!in_order(&broker, OutputOrder::Partition) && !in_order(&broker, OutputOrder::Key));
}

#[tokio::test(start_paused = true)]
async fn sets_of_one_lane_are_scored_at_the_same_time() {
    let broker = broker(1);
    produce_sets(&broker, 1, 160);
    let settings = Settings { ordering: OutputOrder::Partition, ..settings() };
    let started = tokio::time::Instant::now();
    let worker = Running::start(&broker, TestScorer::taking(Duration::from_secs(1)), settings);
    all_answered(&broker, 160).await;
    assert!(started.elapsed() < Duration::from_secs(12), "{:?}", started.elapsed());
    worker.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lane_holds_up_no_other_and_its_limits_no_lane() {
    // Room for one set's bytes at a time: what waits for its turn must not keep the room of the first.
    let broker = broker_of(7);
    let settings =
        Settings { ordering: OutputOrder::Partition, bytes_max: 1, sets_max: 2, ..settings() };
    let worker = Running::start(&broker, scorer(7), settings);
    eventually(&broker, |broker| committed(broker, PARTITIONS) == RECORDS as i64).await;
    worker.stop().await.unwrap();
}
