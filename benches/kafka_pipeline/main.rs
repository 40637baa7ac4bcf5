//! The worker on a real Kafka, with scores that cost nothing, beside a bare rdkafka loop that
//! consumes the same topic and produces records of the same size: what share of what the cluster
//! and the client give on this machine does the worker keep?
//!
//! ```text
//! cargo bench --bench kafka_pipeline -- [--sets 20000] [--rounds 3] [--size 50]
//! ```
//!
//! With a model, the worker scores in earnest, and stands beside its own engine without Kafka:
//!
//! ```text
//! cargo bench --bench kafka_pipeline -- --model DIR --input SETS.jsonl [--with model.precision=int8]
//! ```
//!
//! With a collector, the worker runs without telemetry and with all of it, to a collector that answers, to none, and
//! to one that never does; with a model, too, or without:
//!
//! ```text
//! cargo bench --bench kafka_pipeline -- --collector http://localhost:4317
//! ```
//!
//! A broker is started as the tests do, or taken from `CROSSRANK_TEST_BROKERS`.

#![allow(dead_code, reason = "each bench uses its part of the support")]

mod bare;
mod cpu;
mod engine;
#[path = "../../tests/support/kafka.rs"]
mod kafka;
#[path = "../support/mod.rs"]
mod support;
mod telemetry;
mod topics;
mod worker;

use std::io::Write;
use std::path::PathBuf;

use clap::Parser;

use topics::Topics;

#[derive(Parser)]
struct Arguments {
    /// Sets in the input topic.
    #[arg(long, default_value_t = 20_000)]
    sets: usize,
    /// How often each of them runs, in turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Candidates of a set; 50 and 10 where left out.
    #[arg(long)]
    size: Vec<usize>,
    /// Configuration of the worker, such as worker.sets_max=1024.
    #[arg(long, value_name = "KEY=VALUE")]
    with: Vec<String>,
    /// A model that scores.
    #[arg(long, value_name = "DIR", requires = "input")]
    model: Option<PathBuf>,
    /// Candidate sets as JSON lines, for the model to score.
    #[arg(long, value_name = "FILE", requires = "model")]
    input: Option<PathBuf>,
    /// Where a collector takes OTLP over gRPC.
    #[arg(long, value_name = "URL")]
    collector: Option<String>,
    /// What `cargo bench` says.
    #[arg(long, hide = true)]
    bench: bool,
    /// Only whether it was built.
    #[arg(long, hide = true)]
    test: bool,
}

/// Sets per second of one run.
struct Run {
    sets_per_s: f64,
    bytes_per_s: f64,
    /// CPU seconds of this process, the broker's not counted; 0 where the system does not say.
    cpu_seconds: f64,
}

fn main() {
    let arguments = Arguments::parse();
    if !support::is_measured() {
        return;
    }
    let Some(kafka) = kafka::Kafka::start() else { return };
    let scored = arguments.model.as_ref().zip(arguments.input.as_ref()).map(|(model, input)| {
        let lines = std::fs::read_to_string(input).expect("a file of candidate sets");
        let sets: Vec<Vec<u8>> = lines.lines().map(|line| line.as_bytes().to_vec()).collect();
        (model.as_path(), sets)
    });
    let scored = scored.as_ref().map(|(model, sets)| (*model, sets.as_slice()));
    if let Some(collector) = &arguments.collector {
        return telemetry::compare(&kafka.brokers(), collector, scored, &arguments);
    }
    if let Some((model, sets)) = scored {
        return engine::compare(&kafka.brokers(), model, sets, &arguments);
    }
    let sizes = if arguments.size.is_empty() { vec![50, 10] } else { arguments.size.clone() };
    for size in sizes {
        compare(&kafka.brokers(), size, &arguments);
    }
}

/// The worker and a bare loop on one topic, in turn.
fn compare(brokers: &str, size: usize, arguments: &Arguments) {
    let Arguments { sets, rounds, .. } = *arguments;
    let topics = Topics::filled(brokers, size, sets);
    for context in [true, false] {
        let sample = worker::output_bytes(context, &topics.sample);
        let mut runs: [Vec<Run>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            runs[0].push(bare::run(&topics, sample));
            runs[1].push(worker::run(&topics, context, &arguments.with));
        }
        let [bare, worker] = runs.map(median);
        let row = |name, run: &Run| {
            let Run { sets_per_s, bytes_per_s, cpu_seconds } = run;
            let (megabytes, cpu) = (bytes_per_s / 1e6, cpu_seconds / sets as f64 * 1e6);
            format!(
                "{name:<10}{sets_per_s:>8.0} sets/s {megabytes:>6.1} MB/s out {cpu:>6.0} µs CPU a set"
            )
        };
        say(&format!(
            "sets of {size} ({} bytes in, {sample} out), context.enabled={context}, \
             medians of {rounds} rounds of {sets}:\n{}\n{}\nratio     {:>8.2}",
            topics.sample.len(),
            row("bare loop", &bare),
            row("worker", &worker),
            worker.sets_per_s / bare.sets_per_s,
        ));
    }
}

fn median(mut runs: Vec<Run>) -> Run {
    runs.sort_unstable_by(|a, b| a.sets_per_s.total_cmp(&b.sets_per_s));
    runs.swap_remove(runs.len() / 2)
}

fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}\n").expect("standard output");
}
