//! The spans of sets, and the context that they travel in.

use std::time::Duration;

use crossrank::stream::{Header, LocalBroker, PublishFailure, Record, StoredRecord};
use crossrank::telemetry::{Parent, Providers, SpanSettings, Telemetry};
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use serde_json::json;

use crate::stage::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PRODUCER: &str = "00f067aa0ba902b7";

fn traced(spans: SpanSettings) -> (Telemetry, InMemorySpanExporter) {
    let exporter = InMemorySpanExporter::default();
    let tracers = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let providers = Providers { tracers: Some(tracers), ..Providers::default() };
    (Telemetry::new(providers, spans), exporter)
}

fn sent_with(parent: &str) -> Record {
    let headers =
        vec![Header::text("traceparent", parent), Header::text("tracestate", "vendor=x,other=y")];
    Record { headers, ..set(0) }
}

fn sampled() -> Record {
    sent_with(&format!("00-{TRACE}-{PRODUCER}-01"))
}

/// Works one record off, and returns the spans in the order of their ends.
async fn spans_of(input: Record, spans: SpanSettings) -> (Vec<SpanData>, LocalBroker) {
    let broker = broker(1);
    broker.produce(INPUT, 0, input);
    let (telemetry, exporter) = traced(spans);
    let worker =
        Running::telling(&broker, TestScorer::taking(Duration::ZERO), settings(), &telemetry);
    eventually(&broker, |broker| committed(broker, 1) == 1).await;
    worker.stop().await.unwrap();
    (exporter.get_finished_spans().unwrap(), broker)
}

fn named<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    let found: Vec<&SpanData> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name} in {spans:#?}");
    found[0]
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| attribute.value.to_string())
}

/// Trace, span and flags of what the record carries.
fn carried(output: &StoredRecord) -> (String, String, String) {
    let parents = output.record.headers.iter().filter(|header| header.name == "traceparent");
    assert_eq!(parents.count(), 1);
    let parent = String::from_utf8(output.record.header("traceparent").unwrap().to_vec()).unwrap();
    let parts: Vec<String> = parent.split('-').map(str::to_owned).collect();
    let [_, trace, span, flags] = parts.try_into().unwrap();
    (trace, span, flags)
}

#[tokio::test(start_paused = true)]
async fn a_set_is_one_trace_from_its_producer_to_its_answer() {
    let (spans, broker) = spans_of(sampled(), SpanSettings::default()).await;
    let process = named(&spans, "process candidates");
    assert_eq!(process.span_kind, SpanKind::Consumer);
    assert_eq!(process.parent_span_id, SpanId::from_hex(PRODUCER).unwrap());
    assert!(process.parent_span_is_remote);
    for (key, value) in [
        ("messaging.system", "kafka"),
        ("messaging.operation.name", "process"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", INPUT),
        ("messaging.destination.partition.id", "0"),
        ("messaging.consumer.group.name", GROUP),
        ("messaging.kafka.offset", "0"),
        ("gen_ai.operation.name", "rerank"),
        ("gen_ai.request.model", "test"),
        ("gen_ai.rerank.candidate.count", "2"),
        ("gen_ai.usage.input_tokens", "8"),
        ("crossrank.status", "reranked"),
    ] {
        assert_eq!(attribute(process, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(process.status, Status::Unset);
    for (name, kind) in [
        ("queue", SpanKind::Internal),
        ("rank", SpanKind::Internal),
        ("send contexts", SpanKind::Producer),
    ] {
        let span = named(&spans, name);
        assert_eq!(span.parent_span_id, process.span_context.span_id(), "{name}");
        assert_eq!(span.span_kind, kind, "{name}");
        assert!(span.start_time >= process.start_time - Duration::from_millis(1), "{name}");
        assert!(span.end_time <= process.end_time, "{name}");
    }
    let trace = TraceId::from_hex(TRACE).unwrap();
    assert!(spans.iter().all(|span| span.span_context.trace_id() == trace));
    // The answer carries on from the span that sent it.
    let output = &broker.records(OUTPUT)[0];
    let send = named(&spans, "send contexts").span_context.span_id().to_string();
    assert_eq!(carried(output), (TRACE.to_owned(), send, "01".to_owned()));
    let state = output.record.header("tracestate").unwrap();
    assert_eq!(state.as_ref(), b"vendor=x,other=y");
}

#[tokio::test(start_paused = true)]
async fn a_set_can_be_a_trace_of_its_own_with_a_link_to_its_producer() {
    let link = SpanSettings { parent: Parent::Link, texts: false };
    let (spans, broker) = spans_of(sampled(), link).await;
    let process = named(&spans, "process candidates");
    assert_eq!(process.parent_span_id, SpanId::INVALID);
    assert_ne!(process.span_context.trace_id().to_string(), TRACE);
    let linked = &process.links[0].span_context;
    assert_eq!(
        (linked.trace_id().to_string(), linked.span_id().to_string()),
        (TRACE.to_owned(), PRODUCER.to_owned())
    );
    let own = process.span_context.trace_id();
    assert!(spans.iter().all(|span| span.span_context.trace_id() == own));
    let output = &broker.records(OUTPUT)[0];
    assert_eq!(carried(output).0, own.to_string());
    assert_eq!(output.record.header("tracestate"), None, "that was the other trace's");
}

#[tokio::test(start_paused = true)]
async fn a_set_that_its_producer_did_not_sample_has_no_spans_and_says_so_further_on() {
    let input = sent_with(&format!("00-{TRACE}-{PRODUCER}-00"));
    let (spans, broker) = spans_of(input, SpanSettings::default()).await;
    assert!(spans.is_empty(), "{spans:#?}");
    let (trace, span, flags) = carried(&broker.records(OUTPUT)[0]);
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "00"));
    assert_ne!(span, PRODUCER, "what reads the answer is not below the producer");
}

#[tokio::test(start_paused = true)]
async fn a_parent_that_is_not_well_formed_counts_as_none() {
    for parent in ["", "00-1-2-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"] {
        let (spans, broker) = spans_of(sent_with(parent), SpanSettings::default()).await;
        let process = named(&spans, "process candidates");
        assert_eq!(process.parent_span_id, SpanId::INVALID);
        let trace = process.span_context.trace_id().to_string();
        assert_eq!(carried(&broker.records(OUTPUT)[0]).0, trace);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_fails_its_span_and_keeps_the_context_of_its_input() {
    let input = Record { value: Some("no JSON".into()), ..sampled() };
    let (spans, broker) = spans_of(input, SpanSettings::default()).await;
    let process = named(&spans, "process candidates");
    assert!(matches!(process.status, Status::Error { .. }), "{:?}", process.status);
    assert_eq!(attribute(process, "error.type").as_deref(), Some("invalid_json"));
    // No context of ours goes with it, which makes it a client's by the conventions.
    assert_eq!(named(&spans, "send dead-letters").span_kind, SpanKind::Client);
    let (_, span, _) = carried(&broker.records(DEAD)[0]);
    assert_eq!(span, PRODUCER);
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_was_tried_again_says_how_often() {
    let broker = broker(1);
    broker.produce(INPUT, 0, sampled());
    broker.fail_next_publish(OUTPUT, PublishFailure::Retryable, 2);
    let (telemetry, exporter) = traced(SpanSettings::default());
    let worker =
        Running::telling(&broker, TestScorer::taking(Duration::ZERO), settings(), &telemetry);
    eventually(&broker, |broker| committed(broker, 1) == 1).await;
    worker.stop().await.unwrap();
    let spans = exporter.get_finished_spans().unwrap();
    let send = named(&spans, "send contexts");
    assert_eq!(attribute(send, "crossrank.attempts").as_deref(), Some("3"));
    assert_eq!(send.status, Status::Unset);
}

#[tokio::test(start_paused = true)]
async fn texts_are_in_no_span_unless_they_are_asked_for() {
    let input = || {
        let set = json!({
            "request_id": "r", "query": "a secret question",
            "candidates": [{"id": "a", "text": "a hidden answer"}, {"id": "b", "text": "b"}],
        });
        record(&set)
    };
    let (spans, _) = spans_of(input(), SpanSettings::default()).await;
    let shown = format!("{spans:?}");
    assert!(!shown.contains("secret") && !shown.contains("hidden"), "{shown}");
    let (spans, _) = spans_of(input(), SpanSettings { texts: true, ..Default::default() }).await;
    let process = named(&spans, "process candidates");
    assert_eq!(attribute(process, "crossrank.query").as_deref(), Some("a secret question"));
    let passages = attribute(process, "crossrank.passages").unwrap();
    assert!(passages.contains("a hidden answer"), "{passages}");
}
