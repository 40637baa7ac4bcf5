//! What is told of batches.

use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};

use super::*;
use crate::telemetry::{Providers, Received, Telemetry};

#[test]
fn a_batch_stands_below_the_first_of_its_sets_that_is_sampled_and_is_linked_to_all_of_those() {
    let exporter = InMemorySpanExporter::default();
    let tracers = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let providers = Providers { tracers: Some(tracers), ..Providers::default() };
    let telemetry = Telemetry::new(providers, Default::default());
    let (topic, group) = (Arc::from("sets"), Arc::from("workers"));
    let received = Received {
        topic: &topic,
        partition: 0,
        offset: 0,
        group: &group,
        bytes: Some(1),
        waited: Duration::ZERO,
    };
    let span = || telemetry.tracer().receive(&received, |_| None);

    let stage = Stage::start(SIZES);
    // While this one is being scored, the others wait for one batch.
    let busy = stage.send(stage.set(&[16]));
    let spans = [SetSpan::default(), span(), span()];
    let mut replies = Vec::new();
    for span in &spans {
        let mut set = stage.set(&[4]);
        set.header.span = span.clone();
        replies.push(stage.send(set));
    }
    assert_eq!(stage.answer_one().len(), 1);
    assert_eq!(stage.answer_one().len(), 3);
    replies.into_iter().chain([busy]).for_each(|reply| drop(scores(reply)));
    stage.end();
    spans.iter().for_each(SetSpan::end);

    let told = exporter.get_finished_spans().unwrap();
    let [batch, first, second] = &told[..] else { panic!("{told:#?}") };
    assert!(batch.name.starts_with("rerank "), "{}", batch.name);
    assert_eq!(batch.parent_span_id, first.span_context.span_id());
    assert_eq!(batch.span_context.trace_id(), first.span_context.trace_id());
    let linked: Vec<_> = batch.links.iter().map(|link| link.span_context.clone()).collect();
    assert_eq!(linked, [first.span_context.clone(), second.span_context.clone()]);
}
