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
use tokio::time::{Instant, Sleep, sleep, timeout};

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
pub(crate) async fn lend_body(idle: Duration, request: Request, next: Next) -> Response {
    let (home, patience) = (Home::default(), Patience::default());
    let waits = request.headers().contains_key(header::EXPECT);
    let mut request = request.map(|body| Body::new(Lent::new(body, home.clone(), idle)));
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

/// A body that has an idle limit and goes home when it is dropped unread.
#[derive(Debug)]
struct Lent {
    body: Option<Body>,
    home: Home,
    idle: Duration,
    deadline: Pin<Box<Sleep>>,
    /// The reader has asked and got nothing yet: only then the clock runs.
    waiting: bool,
    begun: bool,
}

/// No byte came for too long.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the request body stopped arriving")]
pub(crate) struct Idle;

/// Whether a body failed by our idle limit, however deep the layers above wrapped it.
pub(crate) fn is_idle(mut error: &(dyn std::error::Error + 'static)) -> bool {
    loop {
        if error.is::<Idle>() {
            return true;
        }
        match error.source() {
            Some(source) => error = source,
            None => return false,
        }
    }
}

impl Lent {
    fn new(body: Body, home: Home, idle: Duration) -> Self {
        Self { body: Some(body), home, idle, deadline: Box::pin(sleep(idle)), waiting: false, begun: false }
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
            if !std::mem::replace(&mut this.waiting, true) {
                this.deadline.as_mut().reset(Instant::now() + this.idle);
            }
            ready!(this.deadline.as_mut().poll(cx));
            // Nothing more is to be expected from it.
            this.body = None;
            return Poll::Ready(Some(Err(Idle.into())));
        };
        this.waiting = false;
        if !matches!(frame, Some(Ok(_))) {
            this.body = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
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
