//! The series that a worker has in Prometheus, and their labels.

use std::collections::BTreeMap;

use crossrank::telemetry::{self, MetricKind};

/// Labels that Prometheus puts on every series of a target.
const OF_TARGETS: &[&str] = &["instance", "job"];
/// Series of Prometheus itself.
const OF_PROMETHEUS: &[(&str, &[&str])] = &[("up", &[]), ("ALERTS", &["alertname", "alertstate"])];

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
    for metric in telemetry::metrics() {
        let (name, labels) = (metric.prometheus_name(), metric.attributes);
        match metric.kind {
            MetricKind::Counter | MetricKind::Gauge => add(name, labels, &[]),
            MetricKind::Histogram => {
                add(format!("{name}_bucket"), labels, &["le"]);
                add(format!("{name}_sum"), labels, &[]);
                add(format!("{name}_count"), labels, &[]);
            }
        }
    }
    all
}

fn underscored(name: &str) -> String {
    name.replace('.', "_")
}
