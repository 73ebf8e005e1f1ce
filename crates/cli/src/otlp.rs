//! Traces to an OpenTelemetry collector, where one is configured.

use std::{pin::Pin, time::Duration};

use anyhow::Context;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracerProvider, Tracer},
};
use reelhouse_fetch::Trusted;
use tokio::runtime::Handle;

/// The longest a batch of spans may take on its way.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends spans until it is ended.
pub(crate) struct Exporter {
    provider: SdkTracerProvider,
}

impl Exporter {
    /// Begins to send to a collector's OTLP endpoint (HTTP, protobuf). Must be called inside the runtime.
    pub(crate) fn start(endpoint: &str) -> anyhow::Result<Self> {
        let courier = Courier { client: Trusted::new(TIMEOUT)?, runtime: Handle::try_current()? };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(courier)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(TIMEOUT);
        let exporter =
            exporter.build().with_context(|| format!("OTEL_EXPORTER_OTLP_ENDPOINT: {endpoint}"))?;
        let resource = match std::env::var_os("OTEL_SERVICE_NAME") {
            Some(_) => Resource::builder(),
            None => Resource::builder().with_service_name("reelhouse"),
        };
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build());
        Ok(Self { provider: provider.build() })
    }

    pub(crate) fn tracer(&self) -> Tracer {
        self.provider.tracer("reelhouse")
    }

    /// Sends what is left.
    pub(crate) async fn end(self) {
        // It waits for its own thread, and that for the runtime.
        let ended = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(TIMEOUT)).await;
        if let Ok(Err(error)) = ended {
            eprintln!("reelhouse: some spans were not sent: {error}");
        }
    }
}

/// Lends the runtime to the exporter's own thread, which has none.
#[derive(Debug)]
struct Courier {
    client: Trusted,
    runtime: Handle,
}

impl HttpClient for Courier {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move { client.send(request).await });
        Box::pin(async move { Ok(sent.await??) })
    }
}
