//! The series that a worker has in Prometheus, and their labels.

use std::collections::BTreeMap;

use Kind::{Counter, Gauge, Histogram};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Labels that Prometheus puts on every series of a target.
const OF_TARGETS: &[&str] = &["instance", "job"];
/// Series of Prometheus itself.
const OF_PROMETHEUS: &[(&str, &[&str])] = &[("up", &[]), ("ALERTS", &["alertname", "alertstate"])];

const PARTITION: &[&str] = &["messaging.destination.name", "messaging.destination.partition.id"];

/// Name, kind, unit and attributes of each instrument, as docs/telemetry.md lists them.
const INSTRUMENTS: &[(&str, Kind, &str, &[&str])] = &[
    (
        "messaging.client.consumed.messages",
        Counter,
        "{message}",
        &[
            "messaging.system",
            "messaging.operation.name",
            "messaging.destination.name",
            "messaging.destination.partition.id",
            "messaging.consumer.group.name",
        ],
    ),
    (
        "messaging.client.sent.messages",
        Counter,
        "{message}",
        &[
            "messaging.system",
            "messaging.operation.name",
            "messaging.destination.name",
            "error.type",
        ],
    ),
    (
        "messaging.process.duration",
        Histogram,
        "s",
        &[
            "messaging.system",
            "messaging.operation.name",
            "messaging.destination.name",
            "messaging.consumer.group.name",
            "error.type",
        ],
    ),
    ("crossrank.consumer.lag", Gauge, "{record}", PARTITION),
    ("crossrank.consumer.uncommitted", Gauge, "{record}", PARTITION),
    ("crossrank.consumer.commit.age", Gauge, "s", PARTITION),
    ("crossrank.consumer.tokens", Counter, "{token}", PARTITION),
    ("crossrank.consumer.io", Counter, "By", PARTITION),
    ("crossrank.sets.in_flight", Gauge, "{set}", &[]),
    ("crossrank.sets.memory", Gauge, "By", &[]),
    ("crossrank.queue.tokens", Gauge, "{token}", &[]),
    ("crossrank.stage.duration", Histogram, "s", &["crossrank.stage"]),
    ("crossrank.batch.pairs", Histogram, "{pair}", &[]),
    ("crossrank.batch.tokens", Histogram, "{token}", &[]),
    ("crossrank.batch.fill", Histogram, "1", &[]),
    ("crossrank.batch.duration", Histogram, "s", &[]),
    ("crossrank.pairs.scored", Counter, "{pair}", &[]),
    ("crossrank.tokens.scored", Counter, "{token}", &[]),
    ("crossrank.cache.hits", Counter, "{pair}", &[]),
    ("crossrank.truncations", Counter, "{text}", &["crossrank.text"]),
    ("crossrank.candidates.unscored", Counter, "{candidate}", &["crossrank.reason"]),
    ("crossrank.sets.answered", Counter, "{set}", &["crossrank.status"]),
    ("crossrank.dead_letters", Counter, "{record}", &["crossrank.code"]),
    ("crossrank.deadline.outcomes", Counter, "{set}", &["crossrank.outcome"]),
    ("crossrank.publish.retries", Counter, "{attempt}", &[]),
    ("crossrank.transactions", Counter, "{transaction}", &["crossrank.outcome"]),
    ("crossrank.rebalances", Counter, "{rebalance}", &["crossrank.rebalance"]),
    ("crossrank.client.rebuilds", Counter, "{client}", &[]),
    ("crossrank.model.load.duration", Gauge, "s", &[]),
    ("crossrank.model.warm_up.duration", Gauge, "s", &[]),
    ("crossrank.score", Histogram, "1", &[]),
    ("crossrank.rank.displacement", Histogram, "{rank}", &[]),
    (
        "crossrank.worker.info",
        Gauge,
        "{worker}",
        &[
            "crossrank.model.id",
            "crossrank.model.revision",
            "crossrank.precision",
            "crossrank.backend",
            "crossrank.kernels",
        ],
    ),
];

/// Every series by its name in Prometheus, with the labels that it can have.
pub(crate) fn series() -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    let mut add = |name: String, labels: &[&str], more: &[&str]| {
        let labels = [labels, more, OF_TARGETS].concat();
        all.insert(name, labels.into_iter().map(underscored).collect());
    };
    for (name, labels) in OF_PROMETHEUS {
        add((*name).to_owned(), labels, &["severity"]);
    }
    for (name, kind, unit, attributes) in INSTRUMENTS {
        let unit = match *unit {
            "s" => "_seconds",
            "By" => "_bytes",
            "1" => "_ratio",
            _words => "",
        };
        let name = underscored(name) + unit;
        match kind {
            Counter => add(name + "_total", attributes, &[]),
            Gauge => add(name, attributes, &[]),
            Histogram => {
                add(format!("{name}_bucket"), attributes, &["le"]);
                add(format!("{name}_sum"), attributes, &[]);
                add(format!("{name}_count"), attributes, &[]);
            }
        }
    }
    all
}

fn underscored(name: &str) -> String {
    name.replace('.', "_")
}
