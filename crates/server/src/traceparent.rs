//! W3C Trace Context: a caller's trace goes on in ours, and from here to the guarded model's server.
//!
//! A header that is not of the standard's form is treated as if it were not there.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Span;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Bytes of the form that version 00 has: `00-TRACE-SPAN-FLAGS`, 32, 16 and 2 digits.
const LEN: usize = 55;

/// A place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TraceParent {
    trace: u128,
    span: u64,
    is_sampled: bool,
}

impl TraceParent {
    /// What the caller says; `None` where that is nothing, more than one thing, or not of the form.
    fn of(headers: &HeaderMap) -> Option<TraceParent> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let (value, more) = (values.next()?, values.next());
        if more.is_some() { None } else { TraceParent::parse(value.to_str().ok()?) }
    }

    fn parse(text: &str) -> Option<TraceParent> {
        let (whole, more) = text.split_at_checked(LEN)?;
        let [version, trace, span, flags] = whole.split('-').collect::<Vec<_>>().try_into().ok()?;
        let is_short = more.is_empty();
        // Later versions may add fields behind these, and none may be numbered ff.
        let is_known = match version {
            "ff" => false,
            "00" => is_short,
            _ => is_short || more.starts_with('-'),
        };
        let is_sized = [(version, 2), (trace, 32), (span, 16), (flags, 2)]
            .iter()
            .all(|(field, len)| field.len() == *len && field.bytes().all(is_digit));
        let trace = u128::from_str_radix(trace, 16).ok()?;
        let span = u64::from_str_radix(span, 16).ok()?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        let is_place = is_known && is_sized && trace != 0 && span != 0;
        is_place.then_some(TraceParent { trace, span, is_sampled: flags & 1 == 1 })
    }

    fn header(self) -> HeaderValue {
        let TraceParent { trace, span, is_sampled } = self;
        let text = format!("00-{trace:032x}-{span:016x}-{:02x}", u8::from(is_sampled));
        HeaderValue::from_str(&text).expect("digits and dashes are visible ASCII")
    }
}

/// The standard has small letters only.
fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

/// Makes a span that has not begun a part of its caller's trace.
pub(crate) fn continues(span: &Span, headers: &HeaderMap) {
    if let Some(parent) = TraceParent::of(headers) {
        spans::set_parent(span, parent);
    }
}

/// The headers that go on to another server: with traces of our own the span that is open here is its parent, else
/// what the caller sent is.
pub(crate) fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let came = TraceParent::of(headers);
    let mut passed = HeaderMap::new();
    if let Some(parent) = spans::current().or(came) {
        passed.insert(TRACEPARENT, parent.header());
    }
    if came.is_some() {
        for state in headers.get_all(TRACESTATE) {
            passed.append(TRACESTATE, state.clone());
        }
    }
    passed
}

#[cfg(feature = "otel")]
mod spans {
    use opentelemetry::trace::{
        SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState,
    };
    use tracing::Span;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    use super::TraceParent;

    pub(super) fn set_parent(span: &Span, parent: TraceParent) {
        let context = SpanContext::new(
            TraceId::from_bytes(parent.trace.to_be_bytes()),
            SpanId::from_bytes(parent.span.to_be_bytes()),
            if parent.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::default() },
            true,
            TraceState::default(),
        );
        // The only failure is that no traces are sent.
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(context));
    }

    /// The span that is open, where traces are made.
    pub(super) fn current() -> Option<TraceParent> {
        let context = Span::current().context();
        let context = context.span().span_context().clone();
        context.is_valid().then(|| TraceParent {
            trace: u128::from_be_bytes(context.trace_id().to_bytes()),
            span: u64::from_be_bytes(context.span_id().to_bytes()),
            is_sampled: context.is_sampled(),
        })
    }
}

#[cfg(not(feature = "otel"))]
mod spans {
    use tracing::Span;

    use super::TraceParent;

    pub(super) fn set_parent(_: &Span, _: TraceParent) {}

    pub(super) fn current() -> Option<TraceParent> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn what_is_of_the_form_is_written_as_it_came() {
        for flags in ["00", "01"] {
            let text = format!("00-{TRACE}-{SPAN}-{flags}");
            assert_eq!(TraceParent::parse(&text).unwrap().header(), text);
        }
        let sampled = format!("00-{TRACE}-{SPAN}-01");
        for later in [format!("00-{TRACE}-{SPAN}-ff"), format!("cc-{TRACE}-{SPAN}-01-more")] {
            assert_eq!(TraceParent::parse(&later).unwrap().header(), sampled, "{later}");
        }
    }

    #[test]
    fn what_is_not_of_the_form_is_nothing() {
        let zeros = |n| "0".repeat(n);
        for text in [
            String::new(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("01-{TRACE}-{SPAN}-01more"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", TRACE.replace('4', "g")),
            format!("00-+{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{}-{SPAN}-01", zeros(32)),
            format!("00-{TRACE}-{}-01", zeros(16)),
            format!("00-{SPAN}-{TRACE}-01"),
            format!("00-{TRACE}-{SPAN}_01"),
            "é".repeat(28),
        ] {
            assert_eq!(TraceParent::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn two_headers_are_none() {
        let value = HeaderValue::from_str(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, value.clone());
        headers.append(TRACESTATE, HeaderValue::from_static("a=1"));
        assert_eq!(passed_on(&headers), headers);
        headers.append(TRACEPARENT, value);
        assert!(passed_on(&headers).is_empty());
    }
}
