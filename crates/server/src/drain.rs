//! A client that is refused early is still sending. If we closed on it, it would see a reset instead of the answer; so
//! what it still has to say is read and thrown away, within bounds, before the answer goes out.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    BoxError,
    body::{Body, Bytes},
    extract::Request,
    middleware::Next,
    response::Response,
};
use http::{HeaderValue, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use reelhouse_service::Pace;
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::Timeouts;

/// The most bytes read for the sake of a client that was refused.
const MAX_BYTES: u64 = 256 << 20;
/// The longest it may take.
const MAX_TIME: Duration = Duration::from_secs(30);

/// Where a body goes that its reader dropped before its end.
type Home = Arc<Mutex<Option<Rest>>>;

/// What is left of a body.
#[derive(Debug)]
struct Rest {
    body: Body,
    /// Whether any of it was asked for. That is what sends `100 Continue` to a client that waits for it.
    begun: bool,
}

/// How much more is read from a client that is already refused: begun with the refusal, shared by all who read on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patience(Arc<Mutex<Option<Left>>>);

#[derive(Debug)]
struct Left {
    bytes: u64,
    until: Instant,
}

impl Patience {
    /// False when it has run out.
    pub(crate) fn takes(&self, bytes: usize) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = left.get_or_insert_with(|| Left { bytes: MAX_BYTES, until: Instant::now() + MAX_TIME });
        left.bytes = left.bytes.saturating_sub(bytes as u64);
        left.bytes > 0 && Instant::now() < left.until
    }
}

/// Lends the request's body to the handler; if the handler did not read it to its end, reads the rest.
pub(crate) async fn lend_body(timeouts: Timeouts, request: Request, next: Next) -> Response {
    let (home, patience) = (Home::default(), Patience::default());
    let waits = request.headers().contains_key(header::EXPECT);
    let mut request = request.map(|body| Body::new(Lent::new(body, home.clone(), &timeouts)));
    request.extensions_mut().insert(patience.clone());
    let mut response = next.run(request).await;
    let rest = home.lock().unwrap_or_else(PoisonError::into_inner).take();
    // Who still waits for our word to send has sent nothing that would have to be read.
    if let Some(Rest { body, begun }) = rest
        && (waits && !begun || !drained(body, &patience).await)
    {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether the body came to its end.
async fn drained(mut body: Body, patience: &Patience) -> bool {
    let to_the_end = async {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            if !patience.takes(frame.data_ref().map_or(0, Bytes::len)) {
                return false;
            }
        }
        true
    };
    patience.takes(0) && timeout(MAX_TIME, to_the_end).await.unwrap_or(false)
}

/// A body that has an idle limit and a floor of its rate, and goes home when it is dropped unread.
#[derive(Debug)]
struct Lent {
    body: Option<Body>,
    home: Home,
    idle: Duration,
    deadline: Pin<Box<Sleep>>,
    pace: Pace,
    /// Since when the reader has asked and got nothing: only then the clocks run.
    waiting: Option<Instant>,
    begun: bool,
}

/// It does not come as fast as it must.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(crate) enum TooSlow {
    /// No byte for too long.
    #[error("the request body stopped arriving")]
    Idle,
    /// Too few.
    #[error("the request body came slower than the floor")]
    Trickle,
}

/// Whether a body failed by our limits on time, however deep the layers above wrapped it.
pub(crate) fn is_too_slow(mut error: &(dyn std::error::Error + 'static)) -> bool {
    loop {
        if error.is::<TooSlow>() {
            return true;
        }
        match error.source() {
            Some(source) => error = source,
            None => return false,
        }
    }
}

impl Lent {
    fn new(body: Body, home: Home, timeouts: &Timeouts) -> Self {
        Self {
            body: Some(body),
            home,
            idle: timeouts.body_idle,
            deadline: Box::pin(sleep(timeouts.body_idle)),
            pace: timeouts.pace(),
            waiting: None,
            begun: false,
        }
    }

    /// Whether what came, came fast enough.
    fn keeps_pace(&mut self, frame: &Frame<Bytes>) -> bool {
        let waited = self.waiting.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.pace.keeps(waited, frame.data_ref().map_or(0, Bytes::len) as u64)
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        this.begun = true;
        let Some(body) = this.body.as_mut() else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else {
            if this.waiting.is_none() {
                this.waiting = Some(Instant::now());
                this.deadline.as_mut().reset(Instant::now() + this.idle);
            }
            ready!(this.deadline.as_mut().poll(cx));
            // Nothing more is to be expected from it.
            this.body = None;
            return Poll::Ready(Some(Err(TooSlow::Idle.into())));
        };
        match frame {
            Some(Ok(frame)) if this.keeps_pace(&frame) => Poll::Ready(Some(Ok(frame))),
            Some(Ok(_)) => {
                this.body = None;
                Poll::Ready(Some(Err(TooSlow::Trickle.into())))
            }
            ended => {
                this.body = None;
                Poll::Ready(ended.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && !body.is_end_stream()
        {
            *self.home.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Rest { body, begun: self.begun });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::{Router, extract::Request, middleware, routing::post};
    use futures_util::{StreamExt, stream};
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn patience_runs_out_of_bytes_or_of_time() {
        let most = usize::try_from(MAX_BYTES).unwrap();
        let patience = Patience::default();
        assert!(patience.takes(most - 1) && patience.takes(0));
        assert!(!patience.takes(1) && !patience.takes(0));

        let patience = Patience::default();
        assert!(patience.takes(1));
        advance(MAX_TIME - Duration::from_millis(1)).await;
        assert!(patience.takes(1));
        advance(Duration::from_millis(1)).await;
        assert!(!patience.takes(1));
    }

    /// Sends a body in pieces of 64 KiB to a handler that reads so many of them; says whether the connection is closed, and how
    /// many were read in all.
    async fn lent(pieces: Vec<Result<(), TooSlow>>, reads: usize, expects: bool) -> (bool, usize) {
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&taken);
        let body = stream::iter(pieces).map(move |piece| {
            counted.fetch_add(1, Ordering::Relaxed);
            piece.map(|()| Bytes::from_static(&[0; 1 << 16]))
        });
        let handler = move |request: Request| async move {
            let mut body = request.into_body();
            for _ in 0..reads {
                let _ = body.frame().await;
            }
            "refused"
        };
        let timeouts = Timeouts::default();
        let router = Router::new()
            .route("/", post(handler))
            .layer(middleware::from_fn(move |request, next| lend_body(timeouts, request, next)));
        let mut request = Request::post("/").body(Body::from_stream(body)).unwrap();
        if expects {
            request.headers_mut().insert(header::EXPECT, HeaderValue::from_static("100-continue"));
        }
        let response = TowerToHyperService::new(router).call(request).await.unwrap();
        (response.headers().contains_key(header::CONNECTION), taken.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_refused_client_still_says_is_read_within_bounds() {
        let whole = |count| vec![Ok(()); count];
        let bound = usize::try_from(MAX_BYTES).unwrap() >> 16;
        assert_eq!(lent(whole(100), 0, false).await, (false, 100));
        assert_eq!(lent(whole(100), 100, false).await, (false, 100));
        assert_eq!(lent(whole(bound * 2), 0, false).await, (true, bound));
        // Its end was seen, whatever it was.
        assert_eq!(lent(whole(1), 2, false).await, (false, 1));
        let torn = vec![Ok(()), Err(TooSlow::Idle), Ok(())];
        assert_eq!(lent(torn, 0, false).await, (true, 2));
        // It waits for our word, and has not heard it; or has.
        assert_eq!(lent(whole(100), 0, true).await, (true, 0));
        assert_eq!(lent(whole(100), 1, true).await, (false, 100));
    }

    #[test]
    fn a_limit_on_time_is_told_from_other_faults() {
        let wrapped = |inner: BoxError| axum::Error::new(axum::Error::new(inner));
        assert!(is_too_slow(&wrapped(TooSlow::Trickle.into())));
        assert!(!is_too_slow(&wrapped(std::io::Error::other("torn").into())));
    }

    #[tokio::test]
    async fn a_lent_body_says_how_long_it_is() {
        let lend = |body| Lent::new(body, Home::default(), &Timeouts::default());
        let mut some = lend(Body::from("abc"));
        assert_eq!((some.size_hint().exact(), some.is_end_stream()), (Some(3), false));
        assert!(lend(Body::empty()).is_end_stream());
        let _ = some.frame().await;
        assert!(some.is_end_stream());
    }
}
