//! The whole worker on the in-process broker, with scores that cost nothing: sets per second.

#![allow(dead_code, reason = "each bench uses its part of the support")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use crossrank::stream::{LocalBroker, Record};
use crossrank::wire;
use crossrank::worker::Worker;
use jiff::Timestamp;
use tokio::runtime::Runtime;

use support::{NoOp, Sets};

/// Sets of one run.
const SETS: usize = 200;
const SIZES: [usize; 3] = [10, 50, 200];
const PARTITIONS: usize = 4;
const GROUP: &str = "bench";

fn main() {
    let mut criterion = Criterion::default()
        .configure_from_args()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5));
    answer(&mut criterion);
    worker(&mut criterion);
    criterion.final_summary();
}

/// From the bytes of a record to those of its answer, on one thread.
fn answer(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for context in ["true", "false"] {
        let config =
            support::config(&[("kafka.brokers", "unused:1"), ("context.enabled", context)]);
        let reranker = support::reranker(&config, NoOp::new());
        let mut group = criterion.benchmark_group(format!("answer, context.enabled={context}"));
        for size in SIZES {
            let mut sets = Sets::new();
            let values: Vec<_> = (0..SETS).map(|id| sets.set(id, size)).collect();
            let mut values = values.iter().cycle();
            group.bench_function(BenchmarkId::new("sets of", size), |bencher| {
                bencher.iter(|| {
                    let value = values.next().map(Vec::as_slice);
                    let set = wire::decode(value, reranker.limits()).expect("a candidate set");
                    let answer = reranker.answer(set, Box::new(|| true), Timestamp::now());
                    runtime.block_on(answer).expect("an answer").value.len()
                });
            });
        }
    }
}

fn worker(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    for context in ["true", "false"] {
        let mut group = criterion.benchmark_group(format!("worker, context.enabled={context}"));
        group.throughput(Throughput::Elements(SETS as u64));
        group.sample_size(10);
        for size in SIZES {
            let mut sets = Sets::new();
            let values: Vec<_> = (0..SETS).map(|id| sets.set(id, size)).collect();
            let id = BenchmarkId::new("sets of", size);
            group.bench_function(id, |bencher| {
                let setup = || broker(&values);
                let run = |broker| runtime.block_on(answer_all(broker, context));
                bencher.iter_batched(setup, run, BatchSize::PerIteration);
            });
        }
    }
}

fn broker(values: &[Vec<u8>]) -> LocalBroker {
    let config = support::config(&[("kafka.brokers", "unused:1")]);
    let (input, worker) = (config.kafka.input_topic, config.worker);
    let broker = LocalBroker::new()
        .topic(&input, PARTITIONS)
        .topic(&worker.output_topic, PARTITIONS)
        .topic(&worker.dead_letter_topic, PARTITIONS);
    for (id, value) in values.iter().enumerate() {
        let record = Record { value: Some(value.clone().into()), ..Record::default() };
        broker.produce(&input, (id % PARTITIONS) as i32, record);
    }
    broker
}

/// Runs a worker until every set is answered and committed.
async fn answer_all(broker: LocalBroker, context: &str) {
    let config = support::config(&[("kafka.brokers", "unused:1"), ("context.enabled", context)]);
    let input = config.kafka.input_topic.clone();
    let reranker = support::reranker(&config, NoOp::new());
    let counts = Arc::clone(reranker.counts());
    let (source, sink) = (broker.source(GROUP, &input), broker.sink());
    let worker = Worker::new(source, sink, reranker, GROUP, config.worker);
    let all = |broker: &LocalBroker| {
        let committed = |p| broker.committed(GROUP, &input, p).unwrap_or_default();
        (0..PARTITIONS as i32).map(committed).sum::<i64>() == SETS as i64
    };
    worker.run(broker.until(all)).await.expect("a worker that stops in order");
    assert_eq!(counts.snapshot().sets_published, SETS as u64);
}
