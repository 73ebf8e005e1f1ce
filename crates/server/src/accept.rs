//! The accept loop. Ours, because `axum::serve` sets no timer on the reading of headers (slowloris).

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    BoxError, Router,
    body::{Body, Bytes},
    response::Response,
};
use futures_util::future::BoxFuture;
use http::Request;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use reelhouse_service::Pace;
use rustix::process::{Resource, getrlimit};
use tokio::{net::TcpListener, time};
use tokio_util::sync::CancellationToken;

use crate::{
    App,
    counted::Counted,
    paced::Paced,
    seats::{Seat, Seats},
};

/// How long we wait for a client.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the whole head of a request, from the connection's first idle moment on.
    pub header_read: Duration,
    /// For the next byte of a body.
    pub body_idle: Duration,
    /// For the client to take the next byte of an answer.
    pub write_idle: Duration,
    /// Bytes a second, over [`Timeouts::window`], that a body must come with and an answer must be taken with; 0 for no floor.
    /// Only time in which we wait for the client counts.
    pub min_rate: u64,
    /// Over what time that is the average.
    pub window: Duration,
    /// For what is under way to end once a shutdown was asked for.
    pub drain: Duration,
}

impl Timeouts {
    pub(crate) fn pace(&self) -> Pace {
        Pace::new(self.min_rate, self.window)
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            header_read: Duration::from_secs(30),
            body_idle: Duration::from_secs(60),
            write_idle: Duration::from_secs(60),
            min_rate: 4000,
            window: Duration::from_secs(60),
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

/// As many connections as there are descriptors for; further ones wait in the kernel's queue. `per_address` is the most of one
/// address; 0 leaves it to what is free.
fn seats(per_address: u32) -> Seats {
    let open = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let all = open.saturating_sub(KEPT_BACK).max(open / 2).clamp(1, MAX_CONNECTIONS);
    let per_address = usize::try_from(per_address).ok().filter(|most| *most > 0);
    Seats::new(usize::try_from(all).unwrap_or(1), per_address)
}

/// Serves metrics, and nothing else, until `shutdown`: for a listener that strangers do not reach.
pub async fn serve_metrics(listener: TcpListener, app: App, shutdown: CancellationToken) {
    accept(listener, app.timeouts, &seats(app.connections_per_address), app.metrics_router(), shutdown).await;
}

/// Serves until `shutdown`, then stops accepting and gives what runs [`Timeouts::drain`] to end.
pub async fn serve(listener: TcpListener, app: App, shutdown: CancellationToken) {
    let (timeouts, service) = (app.timeouts, app.service.clone());
    let seats = seats(app.connections_per_address);
    let connections = accept(listener, timeouts, &seats, app.router(), shutdown).await;
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
    seats: &Seats,
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

    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = async {
                seats.wait().await;
                listener.accept().await
            } => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                refused_by_system(&error).await;
                continue;
            }
        };
        let Some(seat) = seats.take(address.ip()) else {
            tracing::debug!(address = %address.ip(), "an address has its share of connections");
            continue;
        };
        // Answers are small or written whole: waiting to coalesce them only adds latency.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection came without TCP_NODELAY");
        }
        let stream = TokioIo::new(Paced::new(Counted::new(stream), timeouts.pace(), timeouts.write_idle));
        let seated = Seated { seat: Arc::clone(&seat), router: TowerToHyperService::new(router.clone()) };
        let connection = connections.watch(http.serve_connection(stream, seated));
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended badly");
                },
                () = seat.leave.cancelled() => tracing::debug!("a connection without a request made room"),
            }
        });
    }
    connections
}

/// Out of descriptors, most likely: some will be given back.
async fn refused_by_system(error: &io::Error) {
    tracing::warn!(%error, "could not accept a connection");
    time::sleep(Duration::from_millis(50)).await;
}

/// What answers a connection, and says whether it has a request.
struct Seated {
    seat: Arc<Seat>,
    router: TowerToHyperService<Router>,
}

impl Service<Request<Incoming>> for Seated {
    type Response = Response;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Response, Self::Error>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.seat.begin();
        let busy = Busy(Arc::clone(&self.seat));
        let answer = self.router.call(request);
        Box::pin(async move { Ok(answer.await?.map(|body| Body::new(Answer { body, _busy: busy }))) })
    }
}

/// A request that is not over.
struct Busy(Arc<Seat>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// An answer's body: with it, the request is over.
struct Answer {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
