use std::io::{IsTerminal, stderr};

use anyhow::Context;
use tracing_subscriber::{EnvFilter, Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{otlp::Exporter, settings::Settings};

/// What runs as long as there is something to say.
pub(crate) struct Logging {
    exporter: Option<Exporter>,
}

impl Logging {
    /// Sends what is not sent yet.
    pub(crate) async fn end(self) {
        if let Some(exporter) = self.exporter {
            exporter.end().await;
        }
    }
}

/// Logs to standard error: text for a person at a terminal, JSON for a machine. Spans go to a collector, if there is one.
pub(crate) fn start(settings: &Settings) -> anyhow::Result<Logging> {
    let filter = &settings.log;
    let filter = EnvFilter::try_new(filter)
        .with_context(|| format!("REELHOUSE_LOG: \"{filter}\" is no tracing filter"))?;
    let Some(endpoint) = Some(settings.otlp_endpoint.as_str()).filter(|endpoint| !endpoint.is_empty()) else {
        let subscriber =
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_target(false);
        if stderr().is_terminal() {
            subscriber.init();
        } else {
            subscriber.json().flatten_event(true).with_span_list(false).init();
        }
        return Ok(Logging { exporter: None });
    };
    let exporter = Exporter::start(endpoint)?;
    reelhouse_trace::enable();
    // Whatever the log leaves out; of ours only: the exporter's own requests are no news.
    let spans = Targets::new().with_target("reelhouse", tracing::Level::INFO);
    let traced = tracing_opentelemetry::layer().with_tracer(exporter.tracer()).with_filter(spans);
    let log = tracing_subscriber::fmt::layer().with_writer(stderr).with_target(false);
    let subscriber = tracing_subscriber::registry().with(traced);
    if stderr().is_terminal() {
        subscriber.with(log.with_filter(filter)).init();
    } else {
        subscriber.with(log.json().flatten_event(true).with_span_list(false).with_filter(filter)).init();
    }
    Ok(Logging { exporter: Some(exporter) })
}
