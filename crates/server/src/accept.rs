//! The accept loop. Ours, because `axum::serve` sets no timer on the reading of headers (slowloris).

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use rustix::process::{Resource, getrlimit};
use tokio::{net::TcpListener, sync::Semaphore, time};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use crate::{App, counted::Counted};

/// How long we wait for a client.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the whole head of a request, from the connection's first idle moment on.
    pub header_read: Duration,
    /// For the next byte of a body.
    pub body_idle: Duration,
    /// For the client to take the next byte of an answer.
    pub write_idle: Duration,
    /// For what is under way to end once a shutdown was asked for.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            header_read: Duration::from_secs(30),
            body_idle: Duration::from_secs(60),
            write_idle: Duration::from_secs(60),
            drain: Duration::from_secs(8),
        }
    }
}

/// Descriptors kept back from connections: files, the database, children.
const KEPT_BACK: u64 = 256;
/// The most connections at once, however many descriptors there are.
const MAX_CONNECTIONS: u64 = 10_000;

/// The most bytes of a connection that are read and not yet handed on.
const READ_AHEAD: usize = 128 * 1024;

/// As many connections as there are descriptors for; further ones wait in the kernel's queue.
fn connection_slots() -> Arc<Semaphore> {
    let open = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let slots = open.saturating_sub(KEPT_BACK).max(open / 2).clamp(1, MAX_CONNECTIONS);
    Arc::new(Semaphore::new(usize::try_from(slots).unwrap_or(1)))
}

/// Serves metrics, and nothing else, until `shutdown`: for a listener that strangers do not reach.
pub async fn serve_metrics(listener: TcpListener, app: App, shutdown: CancellationToken) {
    accept(listener, app.timeouts, app.metrics_router(), shutdown).await;
}

/// Serves until `shutdown`, then stops accepting and gives what runs [`Timeouts::drain`] to end.
pub async fn serve(listener: TcpListener, app: App, shutdown: CancellationToken) {
    let (timeouts, service) = (app.timeouts, app.service.clone());
    let connections = accept(listener, timeouts, app.router(), shutdown).await;
    tracing::info!("shutting down");
    let drained = async {
        connections.shutdown().await;
        service.drained().await;
    };
    if time::timeout(timeouts.drain, drained).await.is_err() {
        tracing::warn!("some requests did not end in time and were cut");
    }
}

/// Takes connections until `shutdown`; returns those that are left.
async fn accept(
    listener: TcpListener,
    timeouts: Timeouts,
    router: Router,
    shutdown: CancellationToken,
) -> GracefulShutdown {
    let connections = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(timeouts.header_read)
        .max_buf_size(READ_AHEAD)
        // Who has said all may close that side and still wants the answer.
        .half_close(true);
    let slots = connection_slots();

    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = async {
                // Never closed.
                let slot = Arc::clone(&slots).acquire_owned().await.ok();
                (slot, listener.accept().await)
            } => accepted,
        };
        match accepted {
            (slot, Ok((stream, _))) => {
                // Answers are small or written whole: waiting to coalesce them only adds latency.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection came without TCP_NODELAY");
                }
                let mut stream = TimeoutStream::new(Counted::new(stream));
                stream.set_write_timeout(Some(timeouts.write_idle));
                let stream = TokioIo::new(Box::pin(stream));
                let connection = http.serve_connection(stream, TowerToHyperService::new(router.clone()));
                let connection = connections.watch(connection);
                tokio::spawn(async move {
                    let _slot = slot;
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "a connection ended badly");
                    }
                });
            }
            (_, Err(error)) => {
                // Out of descriptors, most likely: some will be given back.
                tracing::warn!(%error, "could not accept a connection");
                time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    connections
}
