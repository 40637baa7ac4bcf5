//! Thousands of histories, each drawn from its seed: members that come, go, and die, publishes that
//! fail, records that are no sets. Every record is accounted for in every one of them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crossrank::engine::EngineError;
use crossrank::stream::{LocalBroker, PublishFailure, Record, SourceError};
use crossrank::worker::{OutputOrder, Settings, WorkerError};
use serde_json::{Value, json};

use crate::hasty::Hasty;
use crate::stage::*;

const SEEDS: u64 = 10_000;
const PARTITIONS: usize = 3;
const RECORDS: usize = 24;
const FAULTS: usize = 6;
const SETS_MAX: usize = 5;

/// How a worker delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    AtLeastOnce,
    ExactlyOnce,
    /// Commits before it publishes.
    Hasty,
}

fn scorer(seed: u64) -> TestScorer {
    TestScorer::new(move |request| async move {
        let id: u64 = request.query.parse().unwrap();
        let mut random = fastrand::Rng::with_seed(seed ^ (id << 20));
        if !(request.wanted)() {
            return Err(EngineError::Unwanted);
        }
        tokio::time::sleep(Duration::from_millis(random.u64(..100))).await;
        Ok(scores(&request))
    })
}

fn broker_of(random: &mut fastrand::Rng) -> LocalBroker {
    let drain = Duration::from_millis(random.u64(..200));
    let broker = broker(PARTITIONS).drain_timeout(drain);
    for id in 0..RECORDS {
        let sent = if random.u8(..8) == 0 { record(&json!(id)) } else { set(id) };
        let key = (random.bool()).then(|| random.u8(..4).to_string().into());
        broker.produce(INPUT, random.i32(0..PARTITIONS as i32), Record { key, ..sent });
    }
    broker
}

/// Place of the input, and what became of it, without what may differ between two answers.
fn ends(broker: &LocalBroker) -> BTreeMap<String, Vec<(String, Vec<u8>)>> {
    let mut ends: BTreeMap<String, Vec<(String, Vec<u8>)>> = BTreeMap::new();
    for topic in [OUTPUT, DEAD] {
        for stored in broker.records(topic) {
            let text = |name: &str| {
                let value = stored.record.header(name);
                value.map(|value| String::from_utf8(value.to_vec()).unwrap())
            };
            let source = text("crossrank-source").unwrap_or_else(|| {
                let part = |name| text(name).unwrap();
                let (p, o) = (part("__dlq.errors.partition"), part("__dlq.errors.offset"));
                format!("{INPUT}/{p}/{o}")
            });
            let content = match topic {
                OUTPUT => {
                    let mut value = json_of(&stored);
                    value["timing_ms"] = Value::Null;
                    value.to_string().into_bytes()
                }
                _ => stored.record.value.map(Vec::from).unwrap_or_default(),
            };
            ends.entry(source).or_default().push((topic.to_owned(), content));
        }
    }
    ends
}

/// No commit is past a record without an end.
fn assert_no_commit_is_ahead(broker: &LocalBroker, seed: u64) {
    let ends = ends(broker);
    for partition in 0..PARTITIONS as i32 {
        for offset in 0..broker.committed(GROUP, INPUT, partition).unwrap_or(0) {
            let place = format!("{INPUT}/{partition}/{offset}");
            assert!(ends.contains_key(&place), "seed {seed}: committed past {place}");
        }
    }
}

/// What is answered is committed and the other way round, at every moment.
fn assert_commits_are_the_answers(broker: &LocalBroker, seed: u64) {
    assert_no_commit_is_ahead(broker, seed);
    for (place, ends) in ends(broker) {
        assert_eq!(ends.len(), 1, "seed {seed}: {place} came more than once");
        let (partition, offset) = place.rsplit_once('/').unwrap();
        let partition = partition.rsplit_once('/').unwrap().1.parse().unwrap();
        let committed = broker.committed(GROUP, INPUT, partition).unwrap_or(0);
        assert!(offset.parse::<i64>().unwrap() < committed, "seed {seed}: {place} came too soon");
    }
}

/// Outputs of one input partition that went to one partition are in the order of their inputs.
fn assert_inputs_keep_their_order(broker: &LocalBroker, seed: u64) {
    let mut last: BTreeMap<(i32, String), i64> = BTreeMap::new();
    for stored in broker.records(OUTPUT) {
        let source = stored.record.header("crossrank-source").unwrap();
        let source = String::from_utf8(source.to_vec()).unwrap();
        let (partition, offset) = source.rsplit_once('/').unwrap();
        let offset: i64 = offset.parse().unwrap();
        let before = last.insert((stored.partition, partition.to_owned()), offset);
        assert!(before.is_none_or(|before| before < offset), "seed {seed}: {source} came late");
    }
}

// === impl Delivery ===

impl Delivery {
    fn start(self, broker: &LocalBroker, seed: u64, ordering: OutputOrder) -> Running {
        let settings = Settings { sets_max: SETS_MAX, ordering, ..settings() };
        let reranker = reranker(scorer(seed));
        match self {
            Self::AtLeastOnce => Running::answering(broker, reranker, settings),
            Self::ExactlyOnce => {
                let (source, sink) = broker.exactly_once(GROUP, INPUT);
                let settings = Settings { ordering: OutputOrder::Unordered, ..settings };
                Running::working(source, sink.record_bytes_max(200_000), reranker, settings)
            }
            Self::Hasty => {
                let source = Hasty(broker.source(GROUP, INPUT));
                Running::reading(broker, source, reranker, settings)
            }
        }
    }
}

/// A worker that delivers one way, held to what another way promises.
async fn history(seed: u64, delivery: Delivery, promised: Delivery) {
    let check: fn(&LocalBroker, u64) = match promised {
        Delivery::ExactlyOnce => assert_commits_are_the_answers,
        Delivery::AtLeastOnce | Delivery::Hasty => assert_no_commit_is_ahead,
    };
    let mut random = fastrand::Rng::with_seed(seed);
    let broker = broker_of(&mut random);
    let ordering =
        random.choice([OutputOrder::Unordered, OutputOrder::Key, OutputOrder::Partition]);
    let ordering = ordering.unwrap();
    let start = || delivery.start(&broker, seed, ordering);
    let mut members = vec![start()];
    for _ in 0..FAULTS {
        tokio::time::sleep(Duration::from_millis(random.u64(..120))).await;
        let topic = if random.bool() { OUTPUT } else { DEAD };
        match random.u8(..6) {
            0 => broker.fail_next_publish(topic, PublishFailure::Retryable, random.usize(1..6)),
            1 if topic == OUTPUT => broker.fail_next_publish(topic, PublishFailure::Refused, 1),
            2 if members.len() < 4 => members.push(start()),
            3 | 4 if !members.is_empty() => {
                members.swap_remove(random.usize(..members.len())).kill().await;
            }
            _ if !members.is_empty() => {
                match members.swap_remove(random.usize(..members.len())).stop().await {
                    // So many publishes may fail that a shutdown runs out of time.
                    Ok(()) | Err(WorkerError::Source(SourceError::DrainDeadline { .. })) => {}
                    Err(error) => panic!("seed {seed}: {error:?}"),
                }
            }
            _ => {}
        }
        check(&broker, seed);
    }
    members.push(start());
    eventually(&broker, |broker| committed(broker, PARTITIONS) == RECORDS as i64).await;
    for member in members {
        member.stop().await.unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
    }
    check(&broker, seed);
    if promised == Delivery::ExactlyOnce {
        assert_inputs_keep_their_order(&broker, seed);
    }
    let ends = ends(&broker);
    assert_eq!(ends.len(), RECORDS, "seed {seed}: lost or made up");
    for (place, ends) in &ends {
        let outputs = ends.iter().filter(|(topic, _)| topic == OUTPUT);
        let contents: Vec<_> = outputs.map(|(_, content)| content).collect();
        assert!(contents.windows(2).all(|two| two[0] == two[1]), "seed {seed}: {place} differs");
        // A rebalance that runs out of time, a stop and a crash may each repeat it once.
        assert!(ends.len() <= 2 * FAULTS + 1, "seed {seed}: {place} came {} times", ends.len());
    }
}

fn paused() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap()
}

fn all_histories(delivery: Delivery) {
    let seeds = std::env::var("CROSSRANK_SEED").map(|seed| {
        let seed = seed.parse().unwrap();
        seed..seed + 1
    });
    for seed in seeds.unwrap_or(0..SEEDS) {
        paused().block_on(history(seed, delivery, delivery));
    }
}

/// In how many of fifty histories it shows that a worker does not keep the promise.
fn noticed(delivery: Delivery, promised: Delivery) -> usize {
    let is_noticed = |seed: &u64| {
        let history = AssertUnwindSafe(|| paused().block_on(history(*seed, delivery, promised)));
        catch_unwind(history).is_err()
    };
    (0..50).filter(is_noticed).count()
}

#[test]
fn every_record_is_accounted_for_in_ten_thousand_histories() {
    all_histories(Delivery::AtLeastOnce);
}

#[test]
fn every_record_is_answered_exactly_once_in_ten_thousand_histories() {
    all_histories(Delivery::ExactlyOnce);
}

/// A check that cannot fail proves nothing.
#[test]
fn a_commit_before_the_publish_is_noticed() {
    assert!(noticed(Delivery::Hasty, Delivery::AtLeastOnce) > 25);
}

#[test]
fn a_worker_without_transactions_is_noticed_not_to_answer_exactly_once() {
    assert!(noticed(Delivery::AtLeastOnce, Delivery::ExactlyOnce) > 25);
}
