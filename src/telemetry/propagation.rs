//! W3C Trace Context in the headers of records.

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;

use super::names::{TRACEPARENT, TRACESTATE};

/// What a record says of the span that it comes from.
struct Read<'a> {
    parent: &'a str,
    state: Option<&'a str>,
}

/// What is to be written, without what is empty.
#[derive(Default)]
struct Written(Vec<(&'static str, String)>);

/// The span that the headers name; `None` where they name none, or are not well formed.
pub(super) fn extract<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<SpanContext> {
    // Most records of an application without tracing have none.
    let parent = header(TRACEPARENT).filter(|parent| is_well_formed(parent))?;
    let read = Read { parent, state: header(TRACESTATE) };
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &read);
    let found = context.span().span_context().clone();
    found.is_valid().then_some(found)
}

/// Whether version, trace, span and flags have as many digits as they must: the propagator takes fewer, too, and signs.
/// Only a later version may have more parts (W3C Trace Context, 3.2.4).
fn is_well_formed(parent: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let parts: Vec<&str> = parent.trim().split('-').collect();
    let has_digits =
        |(part, digits): (&&str, usize)| part.len() == digits && part.bytes().all(is_digit);
    parts.len() >= 4
        && parts.iter().zip([2, 32, 16, 2]).all(has_digits)
        && (parts.len() == 4 || parts[0] != "00")
}

/// The headers that name the span of this context.
pub(super) fn headers(context: &Context) -> Vec<(&'static str, String)> {
    let mut written = Written::default();
    TraceContextPropagator::new().inject_context(context, &mut written);
    written.0
}

// === impl Read ===

impl Extractor for Read<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        match name {
            TRACEPARENT => Some(self.parent),
            TRACESTATE => self.state,
            _other => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

// === impl Written ===

impl Injector for Written {
    fn set(&mut self, name: &str, value: String) {
        let name = [TRACEPARENT, TRACESTATE].into_iter().find(|known| *known == name);
        self.0.extend(name.filter(|_| !value.is_empty()).map(|name| (name, value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn extracted(parent: &str, state: Option<&str>) -> Option<SpanContext> {
        extract(|name| if name == TRACEPARENT { Some(parent) } else { state })
    }

    #[test]
    fn what_comes_in_goes_out_with_its_state() {
        let context = extracted(PARENT, Some("vendor=a,other=b")).unwrap();
        let out = headers(&Context::new().with_remote_span_context(context));
        let state = "vendor=a,other=b".to_owned();
        assert_eq!(out, [(TRACEPARENT, PARENT.to_owned()), (TRACESTATE, state)]);
        let out =
            headers(&Context::new().with_remote_span_context(extracted(PARENT, None).unwrap()));
        assert_eq!(out, [(TRACEPARENT, PARENT.to_owned())]);
    }

    #[test]
    fn headers_that_name_no_span_count_as_none() {
        let odd = [
            "",
            "-",
            "00",
            "00-1-2-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-zzf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "+0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-+1",
            "\u{2013}\u{2013}\u{2013}\u{2013}",
        ];
        for parent in odd {
            assert_eq!(extracted(parent, None), None, "{parent}");
        }
        let context = extracted(PARENT, Some("no state, at all=")).unwrap();
        assert_eq!(context.trace_state().header(), "", "a state that is odd costs only itself");
        assert_eq!(extract(|_| None), None);
    }
}
