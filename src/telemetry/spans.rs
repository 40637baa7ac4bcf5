use std::future::Future;
use std::iter;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::context::FutureExt;
use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanKind, Status, TraceContextExt, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use super::names::{KAFKA, SCOPE, key, span};
use super::propagation;

/// Passages of an answer that a span shows, where it may.
const PASSAGES_MAX: usize = 10;
/// Of each of them, and of the query.
const TEXT_CHARS_MAX: usize = 1000;

/// How the span of a set stands to that of its producer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parent {
    /// Below it, in the same trace.
    #[default]
    Child,
    /// Linked to it, at the head of a trace of its own.
    Link,
}

/// How sets are traced. Already checked by `config`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanSettings {
    /// How the span of a set stands to that of its producer.
    pub parent: Parent,
    /// Whether spans show queries and passages.
    pub texts: bool,
}

/// Begins the spans of sets; of none where tracing is off.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Tracing>>);

#[derive(Debug)]
struct Tracing {
    tracer: SdkTracer,
    settings: SpanSettings,
}

/// A record that a set is read from.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Its topic.
    pub topic: &'a Arc<str>,
    /// Its partition's number.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Who reads it.
    pub group: &'a Arc<str>,
    /// Bytes of its value; `None` where it has none.
    pub bytes: Option<usize>,
    /// How long ago it was claimed.
    pub waited: Duration,
}

/// The span of a set, and the trace that it is in. Clones are the same span. A set that is not sampled has
/// one that records nothing, and costs next to nothing; where tracing is off there is none.
#[derive(Clone, Debug, Default)]
pub struct SetSpan(Option<Arc<Open>>);

#[derive(Debug)]
struct Open {
    tracing: Arc<Tracing>,
    context: Context,
}

/// What a set asks for, for its span.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The model.
    pub model: &'a str,
    /// Candidates of the set.
    pub candidates: usize,
    /// Results asked for, where any number was.
    pub top_n: Option<usize>,
}

/// How a set was answered, for its span.
#[derive(Clone, Copy, Debug)]
pub struct Reranked {
    /// How much was scored.
    pub status: &'static str,
    /// Why not all of it.
    pub reason: Option<&'static str>,
    /// Pairs with a logit.
    pub pairs: usize,
    /// Tokens of them.
    pub tokens: usize,
    /// Those that the model did not run for.
    pub cache_hits: usize,
}

/// A batch that went through the model.
#[derive(Clone, Copy, Debug)]
pub struct BatchRun<'a> {
    /// The model.
    pub model: &'a str,
    /// Its pairs.
    pub pairs: usize,
    /// Their tokens.
    pub tokens: usize,
    /// How long it took, until now.
    pub took: Duration,
}

/// The span of a record on its way out.
#[derive(Debug)]
pub struct SendSpan(Option<Context>);

// === impl Tracer ===

impl Tracer {
    pub(super) fn new(provider: Option<&SdkTracerProvider>, settings: SpanSettings) -> Self {
        let tracer = provider.map(|provider| provider.tracer(SCOPE));
        Self(tracer.map(|tracer| Arc::new(Tracing { tracer, settings })))
    }

    /// Begins the span of a set. `header` gives the record's, by name.
    pub fn receive<'h>(
        &self,
        record: &Received<'_>,
        header: impl Fn(&str) -> Option<&'h str>,
    ) -> SetSpan {
        let Some(tracing) = &self.0 else { return SetSpan(None) };
        let mut builder = tracing.tracer.span_builder(named(span::PROCESS, record.topic));
        builder = builder.with_kind(SpanKind::Consumer);
        builder = builder.with_start_time(before(SystemTime::now(), record.waited));
        let parent = match (propagation::extract(header), tracing.settings.parent) {
            (Some(producer), Parent::Child) => Context::new().with_remote_span_context(producer),
            (Some(producer), Parent::Link) => {
                builder = builder.with_links(vec![link(producer)]);
                Context::new()
            }
            (None, _) => Context::new(),
        };
        let mut begun = tracing.tracer.build_with_context(builder, &parent);
        // Not before it is known that anybody will read them.
        if begun.is_recording() {
            begun.set_attributes(record.attributes());
        }
        let context = parent.with_span(begun);
        SetSpan(Some(Arc::new(Open { tracing: Arc::clone(tracing), context })))
    }
}

// === impl Received ===

impl Received<'_> {
    fn attributes(&self) -> Vec<KeyValue> {
        let mut attributes = vec![
            KeyValue::new(key::SYSTEM, KAFKA),
            KeyValue::new(key::OPERATION_NAME, span::PROCESS),
            KeyValue::new(key::OPERATION_TYPE, "process"),
            KeyValue::new(key::DESTINATION, Arc::clone(self.topic)),
            KeyValue::new(key::PARTITION, self.partition.to_string()),
            KeyValue::new(key::OFFSET, self.offset),
            KeyValue::new(key::GROUP, Arc::clone(self.group)),
        ];
        attributes.push(match self.bytes {
            Some(bytes) => KeyValue::new(key::BODY_SIZE, whole(bytes)),
            None => KeyValue::new(key::TOMBSTONE, true),
        });
        attributes
    }
}

// === impl SetSpan ===

impl SetSpan {
    /// Whether anybody will read it.
    pub fn is_sampled(&self) -> bool {
        self.sampled().is_some()
    }

    /// Runs `future` inside the span, so that log lines in it carry its identity.
    pub async fn within<F: Future>(&self, future: F) -> F::Output {
        match self.sampled() {
            Some(open) => future.with_context(open.context.clone()).await,
            None => future.await,
        }
    }

    /// A step below it that took so long and ended so long `ago`.
    pub fn step(&self, name: &'static str, took: Duration, ago: Duration) {
        let Some(open) = self.sampled() else { return };
        let end = before(SystemTime::now(), ago);
        let builder = open.tracing.tracer.span_builder(name).with_kind(SpanKind::Internal);
        let builder = builder.with_start_time(before(end, took));
        open.tracing.tracer.build_with_context(builder, &open.context).end_with_timestamp(end);
    }

    /// Says what the set asks for.
    pub fn asked(&self, set: &Asked<'_>) {
        if let Some(open) = self.sampled() {
            open.context.span().set_attributes(set.attributes());
        }
    }

    /// Says how the set was answered.
    pub fn answered(&self, answer: &Reranked) {
        if let Some(open) = self.sampled() {
            open.context.span().set_attributes(answer.attributes());
        }
    }

    /// Shows texts, where that is allowed.
    pub fn show<'t>(&self, query: &str, passages: impl Iterator<Item = &'t str>) {
        let Some(open) = self.sampled().filter(|open| open.tracing.settings.texts) else { return };
        let cut = |text: &str| text.chars().take(TEXT_CHARS_MAX).collect::<String>();
        let passages: Vec<StringValue> =
            passages.take(PASSAGES_MAX).map(|text| cut(text).into()).collect();
        open.context.span().set_attributes([
            KeyValue::new(key::QUERY, cut(query)),
            KeyValue::new(key::PASSAGES, Value::Array(passages.into())),
        ]);
    }

    /// Says that the set has no answer, and why.
    pub fn failed(&self, code: &'static str) {
        if let Some(open) = self.sampled() {
            fail(&open.context, code);
        }
    }

    /// Begins the span of a record to `topic`. One that carries its context is a producer's, as the
    /// conventions have it.
    pub fn send(&self, topic: &Arc<str>, bytes: usize, carries: bool) -> SendSpan {
        let Some(open) = &self.0 else { return SendSpan(None) };
        if !self.is_sampled() {
            return SendSpan(Some(open.context.clone()));
        }
        let kind = if carries { SpanKind::Producer } else { SpanKind::Client };
        let builder = open.tracing.tracer.span_builder(named(span::SEND, topic)).with_kind(kind);
        let builder = builder.with_attributes([
            KeyValue::new(key::SYSTEM, KAFKA),
            KeyValue::new(key::OPERATION_NAME, span::SEND),
            KeyValue::new(key::OPERATION_TYPE, "send"),
            KeyValue::new(key::DESTINATION, Arc::clone(topic)),
            KeyValue::new(key::BODY_SIZE, whole(bytes)),
        ]);
        let begun = open.tracing.tracer.build_with_context(builder, &open.context);
        SendSpan(Some(open.context.with_span(begun)))
    }

    /// The set is settled.
    pub fn end(&self) {
        if let Some(open) = self.sampled() {
            open.context.span().end();
        }
    }

    fn sampled(&self) -> Option<&Open> {
        self.0.as_deref().filter(|open| open.context.span().span_context().is_sampled())
    }
}

// === impl Asked ===

impl Asked<'_> {
    fn attributes(&self) -> Vec<KeyValue> {
        let mut attributes = vec![
            KeyValue::new(key::OPERATION, span::RERANK),
            KeyValue::new(key::MODEL, self.model.to_owned()),
            KeyValue::new(key::CANDIDATES, whole(self.candidates)),
        ];
        attributes.extend(self.top_n.map(|n| KeyValue::new(key::TOP_N, whole(n))));
        attributes
    }
}

// === impl Reranked ===

impl Reranked {
    fn attributes(&self) -> Vec<KeyValue> {
        let mut attributes = vec![
            KeyValue::new(key::INPUT_TOKENS, whole(self.tokens)),
            KeyValue::new(key::STATUS, self.status),
            KeyValue::new(key::PAIRS, whole(self.pairs)),
            KeyValue::new(key::CACHE_HITS, whole(self.cache_hits)),
        ];
        attributes.extend(self.reason.map(|reason| KeyValue::new(key::REASON, reason)));
        attributes
    }
}

// === impl BatchRun ===

impl BatchRun<'_> {
    /// The span of the batch: below the first of its sets that is sampled, so that it is in a trace, and
    /// linked to all of them.
    pub fn record(&self, sets: &[SetSpan]) {
        let mut sampled = sets.iter().filter_map(SetSpan::sampled);
        let Some(first) = sampled.next() else { return };
        let context_of = |open: &Open| open.context.span().span_context().clone();
        let links = iter::once(first).chain(sampled).map(|open| link(context_of(open))).collect();
        let (tracer, end) = (&first.tracing.tracer, SystemTime::now());
        let builder = tracer.span_builder(named(span::RERANK, self.model));
        let builder = builder.with_kind(SpanKind::Internal).with_links(links);
        let builder = builder.with_start_time(before(end, self.took)).with_attributes([
            KeyValue::new(key::OPERATION, span::RERANK),
            KeyValue::new(key::MODEL, self.model.to_owned()),
            KeyValue::new(key::INPUT_TOKENS, whole(self.tokens)),
            KeyValue::new(key::PAIRS, whole(self.pairs)),
        ]);
        tracer.build_with_context(builder, &first.context).end_with_timestamp(end);
    }
}

// === impl SendSpan ===

impl SendSpan {
    /// The headers by which whoever reads the record finds the span; `None` where tracing is off, and the
    /// record keeps those that it has.
    pub fn headers(&self) -> Option<Vec<(&'static str, String)>> {
        self.0.as_ref().map(propagation::headers)
    }

    /// The record was taken after so many attempts, or why not.
    pub fn end(self, attempts: u32, error: Option<&'static str>) {
        let Some(context) = self.0 else { return };
        let span = context.span();
        // Otherwise it is that of the set.
        if span.is_recording() {
            if attempts > 1 {
                span.set_attribute(KeyValue::new(key::ATTEMPTS, i64::from(attempts)));
            }
            if let Some(error) = error {
                fail(&context, error);
            }
            span.end();
        }
    }
}

fn fail(context: &Context, code: &'static str) {
    let span = context.span();
    span.set_attribute(KeyValue::new(key::ERROR_TYPE, code));
    span.set_status(Status::error(code));
}

fn named(what: &str, of: &str) -> String {
    format!("{what} {of}")
}

fn link(context: SpanContext) -> Link {
    Link::with_context(context)
}

fn before(at: SystemTime, by: Duration) -> SystemTime {
    at.checked_sub(by).unwrap_or(at)
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
