//! What a worker tells others while it works: who scrapes, who probes, and a collector.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crossrank::telemetry::{Metric, metrics};
use serde_json::Value;

use crate::audit::Audit;
use crate::collector::{Collector, Heard, attribute};
use crate::stage::Stage;
use crate::worker::Worker;

const SETS: usize = 500;
const NONE: [usize; 0] = [];
/// The only one.
const BROKER: usize = 1;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PRODUCER: &str = "b7ad6b7169203331";

/// The value of a series without labels, or of one that has `labels` first.
fn series(text: &str, name: &str, labels: &str) -> Vec<f64> {
    let line = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let (found, of) = series.split_once('{').unwrap_or((series, ""));
        (found == name && of.contains(labels)).then(|| value.parse().unwrap())
    };
    text.lines().filter_map(line).collect()
}

fn sum(text: &str, name: &str, labels: &str) -> f64 {
    series(text, name, labels).iter().sum()
}

#[test]
fn a_scraper_reads_what_was_done_and_a_probe_that_the_worker_is_ready() {
    let Some(stage) = Stage::set("scraped", 3) else { return };
    let worker = Worker::start(&stage);
    stage.produce(0..SETS);
    stage.produce_one("bad", Some(b"{}"));
    stage.wait_for_answers(SETS);
    stage.wait_until_committed();
    let admin = worker.admin();
    let get = |path: &str| {
        let mut response = ureq::get(format!("{admin}{path}")).call().unwrap();
        response.body_mut().read_to_string().unwrap()
    };
    // Clients and partitions are told of once a second.
    let again = || std::thread::park_timeout(Duration::from_millis(100));
    let mut probes = (0..100).map(|_| {
        again();
        ureq::get(format!("{admin}/readyz")).call()
    });
    let mut ready = probes.find_map(Result::ok).expect("a worker that is ready once it works");
    assert_eq!(ready.body_mut().read_to_string().unwrap().matches("[+]").count(), 4);
    let settled = |text: &str| {
        let lags = series(text, "crossrank_consumer_lag", "");
        lags.len() == 3 && lags.iter().all(|lag| *lag == 0.0)
    };
    let mut scrapes = (0..100).map(|_| {
        again();
        get("/metrics")
    });
    let text = scrapes.find(|text| settled(text)).expect("no lag, once all is committed");

    let records = SETS as f64 + 1.0;
    assert_eq!(sum(&text, "messaging_client_consumed_messages_total", &stage.group), records);
    assert_eq!(sum(&text, "messaging_client_sent_messages_total", &stage.output), SETS as f64);
    assert_eq!(sum(&text, "crossrank_sets_answered_total", "reranked"), SETS as f64);
    assert_eq!(sum(&text, "crossrank_dead_letters_total", "missing_field"), 1.0);
    assert_eq!(sum(&text, "messaging_process_duration_seconds_count", ""), records);
    assert_eq!(series(&text, "crossrank_rebalances_total", "lost"), [0.0]);
    assert_eq!(sum(&text, "crossrank_consumer_uncommitted", ""), 0.0);
    assert_eq!(sum(&text, "crossrank_consumer_commit_age_seconds", ""), 0.0);
    for stage in ["decode", "tokenise", "queue", "score", "assemble", "publish"] {
        let count = sum(&text, "crossrank_stage_duration_seconds_count", &format!("\"{stage}\""));
        assert!((SETS as f64..=records).contains(&count), "{stage}: {count}");
    }
    assert_eq!(sum(&text, "crossrank_worker_info", "crossrank_kernels"), 1.0);
    // All that the table foretells is there, once it has happened.
    let told = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let told: BTreeSet<&str> = told.collect();
    let foretold = metrics().iter().map(Metric::prometheus_name);
    let silent: Vec<String> = foretold.filter(|name| !told.contains(name.as_str())).collect();
    assert!(silent.is_empty(), "{silent:?}");
    assert_eq!(worker.terminate().code, Some(0));
}

#[test]
fn probes_and_page_say_that_the_broker_is_away_for_as_long_as_it_is() {
    let Some(mut stage) = Stage::set("away", 2) else { return };
    let worker = Worker::start(&stage);
    let admin = worker.admin();
    let body_of = |path: &str, status: u16| {
        let request = || {
            let request = ureq::get(format!("{admin}{path}"));
            request.config().http_status_as_error(false).build().call().unwrap()
        };
        let mut answers = (0..600).map(|_| {
            std::thread::park_timeout(Duration::from_millis(100));
            request()
        });
        let answer = answers.find(|answer| answer.status().as_u16() == status);
        answer.expect("that status in a minute").body_mut().read_to_string().unwrap()
    };
    stage.produce(0..SETS);
    stage.wait_for_answers(SETS);
    body_of("/readyz", 200);
    stage.kafka.kill(BROKER);
    let ready = body_of("/readyz", 503);
    assert!(ready.contains("[-] group: no broker for"), "{ready}");
    assert!(!body_of("/livez", 200).contains("[-]"), "no restart brings a broker back");
    assert!(body_of("/", 200).contains("no broker for"), "the page says otherwise");
    stage.kafka.restart(BROKER);
    body_of("/readyz", 200);
    stage.produce(SETS..2 * SETS);
    stage.wait_for_answers(2 * SETS);
    assert_eq!(worker.terminate().code, Some(0));
}

#[test]
fn a_collector_hears_one_trace_from_the_producer_through_the_model_to_the_answer() {
    let Some(stage) = Stage::set("traced", 1) else { return };
    for protocol in ["grpc", "http/protobuf"] {
        let Some(collector) = Collector::start() else { return };
        let endpoint = if protocol == "grpc" { collector.grpc() } else { collector.http() };
        let settings = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ];
        let worker = Worker::start_with(&stage, &settings);
        let answered = stage.answers();
        // Another one for each protocol, since scores are remembered.
        let set = crate::stage::set(protocol.len());
        let traceparent = format!("00-{TRACE}-{PRODUCER}-01");
        stage.produce_with(&set, &[("traceparent", &traceparent)]);
        stage.wait_for_answers(answered + 1);
        assert_eq!(worker.terminate().code, Some(0));
        let heard = collector.heard();
        let last = stage.headers_of_outputs("traceparent").pop().unwrap();
        holds_one_trace(&heard, &last, &stage);
        holds_metrics(&heard);
        let told = |log: &&Value| log["body"]["stringValue"] == "model loaded";
        assert_eq!(heard.logs().into_iter().filter(told).count(), 1, "{protocol}");
    }
}

fn holds_one_trace(heard: &Heard, answer: &str, stage: &Stage) {
    let spans: Vec<&Value> =
        heard.spans().into_iter().filter(|span| span["traceId"] == TRACE).collect();
    let named = |name: &str| {
        let found = spans.iter().find(|span| span["name"] == *name);
        *found.unwrap_or_else(|| panic!("no span {name:?} in {spans:#?}"))
    };
    let (process, send) =
        (named(&format!("process {}", stage.input)), named(&format!("send {}", stage.output)));
    // Kinds by their numbers: internal, producer, consumer.
    assert_eq!((&process["parentSpanId"], &process["kind"]), (&PRODUCER.into(), &5.into()));
    assert_eq!((&send["parentSpanId"], &send["kind"]), (&process["spanId"], &4.into()));
    assert_eq!(answer, format!("00-{TRACE}-{}-01", send["spanId"].as_str().unwrap()));
    let batch = spans.iter().find(|span| span["name"].as_str().unwrap().starts_with("rerank "));
    let batch = *batch.expect("the span of a batch");
    for span in [named("tokenise"), named("queue"), named("rank"), batch] {
        assert_eq!((&span["parentSpanId"], &span["kind"]), (&process["spanId"], &1.into()));
    }
    assert_eq!(batch["links"][0]["spanId"], process["spanId"]);
    let attributes = &process["attributes"];
    for (key, value) in [
        ("messaging.system", "kafka"),
        ("messaging.destination.name", &*stage.input),
        ("messaging.consumer.group.name", &*stage.group),
        ("gen_ai.operation.name", "rerank"),
        ("gen_ai.rerank.candidate.count", "4"),
        ("crossrank.status", "reranked"),
    ] {
        assert_eq!(attribute(attributes, key), value, "{key}");
    }
    let all = serde_json::to_string(&spans).unwrap();
    assert!(!all.contains("says thing") && !all.contains("what is thing"), "texts in {all}");
}

fn holds_metrics(heard: &Heard) {
    let told = heard.metrics();
    for metric in &told {
        let foretold = metrics().iter().find(|known| metric["name"] == known.name);
        let foretold = foretold.unwrap_or_else(|| panic!("{} is not in the table", metric["name"]));
        assert_eq!(metric["unit"], foretold.unit, "{}", foretold.name);
    }
    assert!(told.len() > 25, "{} metrics", told.len());
}

#[test]
fn a_collector_that_is_killed_takes_no_record_with_it() {
    let Some(stage) = Stage::set("unheard", 4) else { return };
    let Some(mut collector) = Collector::start() else { return };
    let endpoint = collector.grpc();
    let worker = Worker::start_with(&stage, &at_once(&endpoint));
    stage.produce(0..SETS);
    stage.wait_for_answers(SETS / 5);
    collector.wait_for("resourceSpans");
    collector.kill();
    stage.produce(SETS..SETS * 4);
    stage.wait_for_answers(SETS * 4);
    stage.wait_until_committed();
    let stopped = worker.terminate();
    assert_eq!(stopped.code, Some(0), "{}", stopped.log);
    let audit = Audit::of(&stage);
    assert_eq!(audit.lost(0..SETS * 4), NONE);
    assert_eq!(audit.repeated(), 0);
    // Of each kind one, however often it was tried.
    let warned = stopped.log.lines().filter(|line| line.contains("opentelemetry")).count();
    assert!((1..12).contains(&warned), "{}", stopped.log);
}

#[test]
fn a_collector_that_never_answers_takes_no_record_and_a_few_seconds_at_the_end() {
    let Some(stage) = Stage::set("unanswered", 4) else { return };
    // The system accepts what connects, and nobody reads.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let worker = Worker::start_with(&stage, &at_once(&endpoint));
    stage.produce(0..SETS);
    stage.wait_for_answers(SETS);
    stage.wait_until_committed();
    let asked = Instant::now();
    let stopped = worker.terminate();
    assert_eq!(stopped.code, Some(0), "{}", stopped.log);
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    assert_eq!(Audit::of(&stage).lost(0..SETS), NONE);
}

/// Settings of a worker that tells a collector all that it does, as soon as it can.
fn at_once(endpoint: &str) -> [(&str, &str); 5] {
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
    ]
}
