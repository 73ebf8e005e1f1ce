//! How a trace goes on where a request ends: in headers, and in the rows of jobs. Without a layer of OpenTelemetry (the command
//! adds it where an endpoint is configured) there is no trace, and all of this says nothing.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use opentelemetry::{propagation::TextMapPropagator, trace::TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The header, and the key of what is kept: W3C Trace Context.
const TRACEPARENT: &str = "traceparent";

/// Whether there are traces at all.
static ENABLED: AtomicBool = AtomicBool::new(false);

/// To be said by whoever adds the layer.
pub fn enable() {
    ENABLED.store(true, Relaxed);
}

/// Names a span in its trace, where there is one; its field `otel.name` is empty.
pub fn name(span: &Span, name: impl FnOnce() -> String) {
    if ENABLED.load(Relaxed) {
        span.record("otel.name", name());
    }
}

/// Where the current span stands in its trace, as W3C Trace Context writes it; `None` outside a trace.
pub fn traceparent() -> Option<String> {
    if !ENABLED.load(Relaxed) {
        return None;
    }
    let context = Span::current().context();
    if !context.span().span_context().is_valid() {
        return None;
    }
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut carrier);
    carrier.remove(TRACEPARENT)
}

/// Makes a span, which nobody has entered yet, part of the trace that this tells of. What tells of none leaves it as it is.
pub fn continue_from(span: &Span, traceparent: Option<&str>) {
    let Some(traceparent) = traceparent.filter(|_| ENABLED.load(Relaxed)) else { return };
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    let context = TraceContextPropagator::new().extract(&carrier);
    if context.span().span_context().is_valid() {
        // Without a layer there is nothing to be part of.
        let _ = span.set_parent(context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_layer_there_is_no_trace() {
        enable();
        let span = tracing::info_span!("a span");
        continue_from(&span, Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        continue_from(&span, Some("nonsense"));
        assert_eq!(span.in_scope(traceparent), None);
    }
}
