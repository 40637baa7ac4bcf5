use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use super::Stage;
use super::instruments::{self, Metric};
use super::names::{KAFKA, key, span};

/// What cannot be told by a sum. Recorded where it happens, and only where somebody collects it.
#[derive(Debug)]
pub struct Distributions {
    stages: Histogram<f64>,
    processed: Histogram<f64>,
    sent: Counter<u64>,
    batch_pairs: Histogram<u64>,
    batch_tokens: Histogram<u64>,
    batch_fill: Histogram<f64>,
    batch_duration: Histogram<f64>,
    score: Histogram<f64>,
    displacement: Histogram<f64>,
    /// One for each stage, made once.
    stage_keys: [[KeyValue; 1]; Stage::ALL.len()],
}

// === impl Distributions ===

impl Distributions {
    pub(super) fn new(meter: &Meter) -> Self {
        let seconds = |metric: &Metric| float(meter, metric);
        Self {
            stages: seconds(&instruments::STAGE_DURATION),
            processed: seconds(&instruments::PROCESS_DURATION),
            sent: meter
                .u64_counter(instruments::SENT.name)
                .with_unit(instruments::SENT.unit)
                .with_description(instruments::SENT.description)
                .build(),
            batch_pairs: whole(meter, &instruments::BATCH_PAIRS),
            batch_tokens: whole(meter, &instruments::BATCH_TOKENS),
            batch_fill: float(meter, &instruments::BATCH_FILL),
            batch_duration: seconds(&instruments::BATCH_DURATION),
            score: float(meter, &instruments::SCORE),
            displacement: float(meter, &instruments::DISPLACEMENT),
            stage_keys: Stage::ALL.map(|stage| [KeyValue::new(key::STAGE, stage.as_str())]),
        }
    }

    /// Through [`Counts::took`](super::Counts::took), which tells the page too.
    pub(super) fn stage(&self, stage: Stage, took: Duration) {
        self.stages.record(took.as_secs_f64(), &self.stage_keys[stage as usize]);
    }

    /// A record of `topic` was settled after so long; with what kept it from an answer.
    pub fn processed(
        &self,
        topic: &Arc<str>,
        group: &Arc<str>,
        error: Option<&'static str>,
        took: Duration,
    ) {
        let mut keys = vec![
            KeyValue::new(key::SYSTEM, KAFKA),
            KeyValue::new(key::OPERATION_NAME, span::PROCESS),
            KeyValue::new(key::DESTINATION, Arc::clone(topic)),
            KeyValue::new(key::GROUP, Arc::clone(group)),
        ];
        keys.extend(error.map(|error| KeyValue::new(key::ERROR_TYPE, error)));
        self.processed.record(took.as_secs_f64(), &keys);
    }

    /// A record was published to `topic`, or why not.
    pub fn sent(&self, topic: &Arc<str>, error: Option<&'static str>) {
        let mut keys = vec![
            KeyValue::new(key::SYSTEM, KAFKA),
            KeyValue::new(key::OPERATION_NAME, span::SEND),
            KeyValue::new(key::DESTINATION, Arc::clone(topic)),
        ];
        keys.extend(error.map(|error| KeyValue::new(key::ERROR_TYPE, error)));
        self.sent.add(1, &keys);
    }

    /// A replica scored a batch of at most `tokens_max`.
    pub fn batch(&self, pairs: usize, tokens: usize, tokens_max: usize, took: Duration) {
        self.batch_pairs.record(pairs as u64, &[]);
        self.batch_tokens.record(tokens as u64, &[]);
        self.batch_fill.record(tokens as f64 / tokens_max.max(1) as f64, &[]);
        self.batch_duration.record(took.as_secs_f64(), &[]);
    }

    /// The scores of an answer's results, and how far its first ones were moved.
    pub fn ranked(&self, scores: impl Iterator<Item = f64>, displacement: Option<f64>) {
        scores.for_each(|score| self.score.record(score, &[]));
        if let Some(displacement) = displacement {
            self.displacement.record(displacement, &[]);
        }
    }
}

fn float(meter: &Meter, metric: &Metric) -> Histogram<f64> {
    let histogram = meter.f64_histogram(metric.name).with_unit(metric.unit);
    let histogram = histogram.with_description(metric.description);
    histogram.with_boundaries(metric.buckets.to_vec()).build()
}

fn whole(meter: &Meter, metric: &Metric) -> Histogram<u64> {
    let histogram = meter.u64_histogram(metric.name).with_unit(metric.unit);
    let histogram = histogram.with_description(metric.description);
    histogram.with_boundaries(metric.buckets.to_vec()).build()
}
