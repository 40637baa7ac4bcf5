//! Sums and levels, read from the counts when somebody collects them.
//!
//! A callback that panics ends the thread that collects, for good: nothing here can.

use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use super::board::PartitionNow;
use super::instruments::{self as m, Metric, MetricKind};
use super::names::{KAFKA, key, value};
use super::{Counts, PartitionRead, PartitionTotals, Snapshot};

/// One reading, and what it is of.
type Reading<T> = (T, Vec<KeyValue>);

pub(super) fn register(meter: &Meter, counts: &Arc<Counts>) {
    // There from the start, so that the first of each is seen to be one more.
    value::REASONS.iter().for_each(|reason| counts.unscored.add(reason, 0));
    value::CODES.iter().for_each(|code| counts.dead_letter_codes.add(code, 0));
    value::REBALANCES.iter().for_each(|how| counts.rebalances.add(how, 0));
    let observe = Observe { meter, counts: Arc::downgrade(counts) };
    observe.sum(&m::PAIRS_SCORED, |sums| vec![plain(sums.pairs_scored)]);
    observe.sum(&m::TOKENS_SCORED, |sums| vec![plain(sums.tokens_scored)]);
    observe.sum(&m::CACHE_HITS, |sums| vec![plain(sums.cache_hits)]);
    observe.sum(&m::RETRIES, |sums| vec![plain(sums.publish_retries)]);
    observe.sum(&m::REBUILDS, |sums| vec![plain(sums.client_rebuilds)]);
    observe.sum(&m::TRUNCATIONS, |sums| {
        by(key::TEXT, [("query", sums.queries_truncated), ("passage", sums.passages_truncated)])
    });
    observe.sum(&m::ANSWERED, |sums| {
        let statuses = [
            ("reranked", sums.sets_reranked),
            ("partial", sums.sets_partial),
            ("passthrough", sums.sets_passthrough),
        ];
        by(key::STATUS, statuses)
    });
    observe.sum(&m::DEADLINES, |sums| {
        let outcomes = [
            ("passthrough", sums.sets_late_passthrough),
            ("partial", sums.sets_late_partial),
            ("failed", sums.sets_late_failed),
            ("scored", sums.sets_late_scored),
        ];
        by(key::OUTCOME, outcomes)
    });
    observe.sum(&m::TRANSACTIONS, |sums| {
        let (committed, aborted) = (sums.transactions_committed, sums.transactions_aborted);
        by(key::OUTCOME, [("committed", committed), ("aborted", aborted)])
    });
    observe.whole(&m::UNSCORED, |counts| by(key::REASON, counts.unscored.get()));
    observe.whole(&m::DEAD_LETTERS, |counts| by(key::CODE, counts.dead_letter_codes.get()));
    observe.whole(&m::REBALANCES, |counts| by(key::REBALANCE, counts.rebalances.get()));
    observe.whole(&m::SETS_IN_FLIGHT, |counts| vec![plain(counts.sets_in_flight.get())]);
    observe.whole(&m::SETS_MEMORY, |counts| vec![plain(counts.sets_memory.get())]);
    observe.whole(&m::QUEUE_TOKENS, |counts| vec![plain(counts.queue_tokens.get())]);
    partitions(&observe);
    worker(&observe);
}

fn partitions(observe: &Observe<'_>) {
    observe.whole(&m::CONSUMED, |counts| {
        let group = counts.group();
        let consumed = |PartitionRead { topic, index, totals }: PartitionRead| {
            let mut keys =
                vec![KeyValue::new(key::SYSTEM, KAFKA), KeyValue::new(key::OPERATION_NAME, "poll")];
            keys.extend(named(&topic, index));
            keys.extend(group.map(|group| KeyValue::new(key::GROUP, Arc::clone(group))));
            (totals.records, keys)
        };
        counts.partitions.get().into_iter().map(consumed).collect()
    });
    observe.whole(&m::PARTITION_TOKENS, |counts| each_read(counts, |totals| totals.tokens));
    observe.whole(&m::PARTITION_IO, |counts| each_read(counts, |totals| totals.bytes));
    observe.whole(&m::LAG, |counts| each_held(counts, PartitionNow::lag));
    observe.whole(&m::UNCOMMITTED, |counts| {
        each_held(counts, |partition| Some(partition.uncommitted as u64))
    });
    observe.seconds(&m::COMMIT_AGE, |counts| {
        each_held(counts, |partition| Some(partition.commit_age))
    });
}

fn worker(observe: &Observe<'_>) {
    observe.seconds(&m::MODEL_LOAD, |counts| {
        counts.board.model().map(|model| plain(model.load)).into_iter().collect()
    });
    observe.seconds(&m::MODEL_WARM_UP, |counts| {
        counts.board.model().map(|model| plain(model.warm_up)).into_iter().collect()
    });
    observe.whole(&m::WORKER_INFO, |counts| {
        let Some(model) = counts.board.model() else { return Vec::new() };
        let keys = [
            (key::MODEL_ID, &model.id),
            (key::MODEL_REVISION, &model.revision),
            (key::PRECISION, &model.precision),
            (key::BACKEND, &model.backend),
            (key::KERNELS, &model.kernels),
        ];
        let mut keys = keys.map(|(key, value)| KeyValue::new(key, value.clone())).to_vec();
        keys.extend(counts.group().map(|group| KeyValue::new(key::GROUP, Arc::clone(group))));
        vec![(1, keys)]
    });
}

/// Registers callbacks that go quiet when the counts are gone.
struct Observe<'a> {
    meter: &'a Meter,
    counts: Weak<Counts>,
}

// === impl Observe ===

impl Observe<'_> {
    fn sum(
        &self,
        metric: &Metric,
        read: impl Fn(&Snapshot) -> Vec<Reading<u64>> + Send + Sync + 'static,
    ) {
        self.whole(metric, move |counts| read(&counts.snapshot()));
    }

    fn whole(
        &self,
        metric: &Metric,
        read: impl Fn(&Counts) -> Vec<Reading<u64>> + Send + Sync + 'static,
    ) {
        let counts = Weak::clone(&self.counts);
        let readings = move || counts.upgrade().map(|counts| read(&counts)).unwrap_or_default();
        if metric.kind == MetricKind::Counter {
            let counter = self.meter.u64_observable_counter(metric.name).with_unit(metric.unit);
            let counter = counter.with_description(metric.description).with_callback(move |to| {
                readings().into_iter().for_each(|(value, keys)| to.observe(value, &keys));
            });
            let _registered = counter.build();
        } else {
            let gauge = self.meter.u64_observable_gauge(metric.name).with_unit(metric.unit);
            let gauge = gauge.with_description(metric.description).with_callback(move |to| {
                readings().into_iter().for_each(|(value, keys)| to.observe(value, &keys));
            });
            let _registered = gauge.build();
        }
    }

    fn seconds(
        &self,
        metric: &Metric,
        read: impl Fn(&Counts) -> Vec<Reading<Duration>> + Send + Sync + 'static,
    ) {
        let counts = Weak::clone(&self.counts);
        let gauge = self.meter.f64_observable_gauge(metric.name).with_unit(metric.unit);
        let gauge = gauge.with_description(metric.description).with_callback(move |to| {
            let readings = counts.upgrade().map(|counts| read(&counts)).unwrap_or_default();
            for (value, keys) in readings {
                to.observe(value.as_secs_f64(), &keys);
            }
        });
        let _registered = gauge.build();
    }
}

fn plain<T>(value: T) -> Reading<T> {
    (value, Vec::new())
}

fn by(
    key: &'static str,
    numbers: impl IntoIterator<Item = (&'static str, u64)>,
) -> Vec<Reading<u64>> {
    let numbers = numbers.into_iter();
    numbers.map(|(word, number)| (number, vec![KeyValue::new(key, word)])).collect()
}

/// Of every partition that was read since start-up.
fn each_read(counts: &Counts, read: impl Fn(PartitionTotals) -> u64) -> Vec<Reading<u64>> {
    let reading = |PartitionRead { topic, index, totals }: PartitionRead| {
        (read(totals), named(&topic, index).to_vec())
    };
    counts.partitions.get().into_iter().map(reading).collect()
}

/// Of every partition that is assigned.
fn each_held<T>(counts: &Counts, read: impl Fn(&PartitionNow) -> Option<T>) -> Vec<Reading<T>> {
    let reading = |partition: &PartitionNow| {
        Some((read(partition)?, named(&partition.topic, partition.index).to_vec()))
    };
    counts.board.partitions().iter().filter_map(reading).collect()
}

fn named(topic: &Arc<str>, index: i32) -> [KeyValue; 2] {
    [
        KeyValue::new(key::DESTINATION, Arc::clone(topic)),
        KeyValue::new(key::PARTITION, index.to_string()),
    ]
}
