use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::latency::Latency;
use super::sets::Sets;
use super::throughput::Throughput;
use crate::engine::{Engine, Scorer};

/// The backend that needs no mention.
const USUAL_BACKEND: &str = "flex";
/// Candidates of the sets that capacity is planned in.
const PLANNED_SET: f64 = 50.0;

/// What was measured, and on what.
pub(super) struct Measured<'a> {
    pub(super) engine: &'a Arc<Engine>,
    pub(super) tokens_max: Option<usize>,
    pub(super) start_seconds: f64,
    pub(super) sets: &'a Sets,
    pub(super) throughput: &'a Throughput,
    pub(super) latency: Vec<Latency>,
    /// Operations per second of one core.
    pub(super) core_peak: Option<f64>,
}

/// The figures. Serialised, it is the line of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    engine: String,
    pairs: usize,
    tokens: usize,
    /// Median of the passes.
    seconds: f64,
    pairs_per_s: f64,
    tokens_per_s: f64,
    seconds_min: f64,
    seconds_max: f64,
    repeat: usize,
    /// Thousand million operations per second.
    gop_per_s: f64,
    /// Of what this machine's threads could do at most; 0 to 1.
    peak_share: Option<f64>,
    latency_ms: BTreeMap<usize, Option<Percentiles>>,
    sets_of_50_per_s: f64,
    model: String,
    revision: String,
    backend: String,
    precision: String,
    device: String,
    threads: usize,
    max_length: Option<usize>,
    sets: usize,
    start_seconds: f64,
}

#[derive(Debug, Serialize)]
struct Percentiles {
    p50: f64,
    p99: f64,
    runs: usize,
}

// === impl Report ===

impl Report {
    pub(super) fn new(measured: Measured<'_>) -> Self {
        let Measured { engine, throughput, sets, .. } = measured;
        let (model, threads) = (engine.model(), engine.replicas());
        let (pairs, seconds) = (sets.pairs(), throughput.median());
        let tokens: usize = throughput.lengths().sum();
        let ops_per_s = engine.operations(throughput.lengths()) / seconds;
        let pairs_per_s = pairs as f64 / seconds;
        let bound = |seconds: Option<&f64>| rounded(seconds.copied().unwrap_or(f64::NAN), 6);
        let latency = measured.latency.iter();
        Self {
            engine: name(&model.precision, &model.backend),
            pairs,
            tokens,
            seconds: rounded(seconds, 6),
            pairs_per_s: rounded(pairs_per_s, 1),
            tokens_per_s: (tokens as f64 / seconds).round(),
            seconds_min: bound(throughput.seconds.first()),
            seconds_max: bound(throughput.seconds.last()),
            repeat: throughput.seconds.len(),
            gop_per_s: rounded(ops_per_s / 1e9, 2),
            peak_share: measured
                .core_peak
                .map(|core| rounded(ops_per_s / (core * threads as f64), 3)),
            latency_ms: latency.map(|latency| (latency.size, Percentiles::of(latency))).collect(),
            sets_of_50_per_s: rounded(pairs_per_s / PLANNED_SET, 1),
            model: model.id.clone(),
            revision: model.revision.clone(),
            backend: model.backend.clone(),
            precision: model.precision.clone(),
            device: engine.device().name(),
            threads,
            max_length: measured.tokens_max,
            sets: sets.sets.len(),
            start_seconds: rounded(measured.start_seconds, 3),
        }
    }

    /// One line of JSON.
    pub(super) fn json(&self) -> String {
        // Names are strings, and a number that is not finite is null.
        serde_json::to_string(self).map(|line| line + "\n").unwrap_or_default()
    }

    /// A table for people.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _infallible = self.write_table(&mut text);
        text
    }

    fn write_table(&self, out: &mut String) -> fmt::Result {
        let Self { pairs, tokens, threads, precision, backend, device, .. } = self;
        writeln!(out, "model       {} at {}", self.model, self.revision)?;
        writeln!(out, "engine      {precision}, {backend} on {device}, {threads} threads")?;
        writeln!(out, "start       {:.2} s, loaded and warm", self.start_seconds)?;
        let limit = self.max_length.map_or(String::new(), |max| format!(", {max} at most"));
        let mean = *tokens as f64 / *pairs as f64;
        writeln!(out, "input       {pairs} pairs of {} sets", self.sets)?;
        writeln!(out, "tokens      {tokens}, {mean:.1} a pair{limit}\n")?;

        let passes = if self.repeat == 1 { "pass" } else { "passes" };
        writeln!(out, "seconds     {:.3}, median of {} {passes}", self.seconds, self.repeat)?;
        writeln!(out, "            {:.3} to {:.3}", self.seconds_min, self.seconds_max)?;
        writeln!(out, "pairs/s     {:.1}", self.pairs_per_s)?;
        writeln!(out, "tokens/s    {:.0}", self.tokens_per_s)?;
        let share = self.peak_share.map_or(String::new(), |share| {
            format!(", {:.0} % of the measured peak of {threads} threads", share * 100.0)
        });
        writeln!(out, "GOP/s       {:.2}{share}\n", self.gop_per_s)?;

        writeln!(out, "one set at a time, milliseconds")?;
        writeln!(out, "     pairs         p50         p99        runs")?;
        for (size, latency) in &self.latency_ms {
            match latency {
                Some(Percentiles { p50, p99, runs }) => {
                    writeln!(out, "{size:>10}  {p50:>10.2}  {p99:>10.2}  {runs:>10}")?;
                }
                None => writeln!(out, "{size:>10}  {:>10}  {:>10}  {:>10}", "-", "-", 0)?,
            }
        }
        writeln!(out, "\nsets of 50 per second per worker: {:.1}", self.sets_of_50_per_s)
    }
}

// === impl Percentiles ===

impl Percentiles {
    fn of(latency: &Latency) -> Option<Self> {
        let ms = |duration: Duration| rounded(duration.as_secs_f64() * 1e3, 3);
        let (p50, p99) = (latency.percentile(50)?, latency.percentile(99)?);
        Some(Self { p50: ms(p50), p99: ms(p99), runs: latency.runs.len() })
    }
}

/// What this engine is called beside others.
fn name(precision: &str, backend: &str) -> String {
    match backend {
        USUAL_BACKEND => format!("crossrank-{precision}"),
        _ => format!("crossrank-{precision}-{backend}"),
    }
}

fn rounded(number: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (number * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_backend_is_not_named() {
        assert_eq!(name("int8", "flex"), "crossrank-int8");
        assert_eq!(name("f32", "ndarray"), "crossrank-f32-ndarray");
    }
}
