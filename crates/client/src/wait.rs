use std::{fmt, time::Duration};

use reelhouse_api::{RenditionStatus, Status};
use tokio::time::{Instant, sleep};

use crate::{
    AssetDetail, Error, RawResponse,
    operation::{CallFuture, Operation, call, read},
    request::Request,
};

/// The first look comes at once, the second after this; each further pause is longer.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Asks for an asset until it is ready. See [`Assets::wait_until_ready`](crate::Assets::wait_until_ready).
pub struct WaitUntilReady {
    request: Request,
    id: String,
    renditions: bool,
    at_most: Option<Duration>,
}

call!(WaitUntilReady);

impl WaitUntilReady {
    pub(crate) fn new(request: Request, id: &str) -> Self {
        Self { request, id: id.to_owned(), renditions: false, at_most: None }
    }

    /// Whether HLS and thumbnail, where they were asked for, have to have come to an end, too: `ready` or `error`.
    pub fn renditions(mut self, too: bool) -> Self {
        self.renditions = too;
        self
    }

    /// After how long to give up. Never when it is not said: no asset stays `processing` for ever.
    pub fn at_most(mut self, time: Duration) -> Self {
        self.at_most = Some(time);
        self
    }
}

impl Operation for WaitUntilReady {
    type Output = AssetDetail;

    fn perform(self) -> CallFuture<RawResponse<AssetDetail>> {
        Box::pin(async move {
            let since = Instant::now();
            let mut pause = FIRST_PAUSE;
            loop {
                let answer = read(self.request.again().answer().await?, |body| {
                    serde_json::from_slice::<AssetDetail>(body)
                })?;
                let asset = &answer.value;
                if asset.status == Status::Failed {
                    return Err(Error::AssetFailed(Box::new(answer.value)));
                }
                if asset.status == Status::Ready && (!self.renditions || renditions_ended(asset)) {
                    return Ok(answer);
                }
                if self.at_most.is_some_and(|at_most| since.elapsed() + pause > at_most) {
                    let status = asset.status.to_string();
                    return Err(Error::NotReady { id: self.id, status, waited: since.elapsed() });
                }
                sleep(pause).await;
                pause = pause.mul_f64(1.5).min(LONGEST_PAUSE);
            }
        })
    }
}

/// Whether nothing is being made any more.
pub(crate) fn renditions_ended(asset: &AssetDetail) -> bool {
    let hls = asset.hls.as_ref().map(|hls| &hls.status);
    let thumbnail = asset.thumbnail.as_ref().map(|thumbnail| &thumbnail.status);
    let under_way = |status: &reelhouse_api::reading::Open<RenditionStatus>| {
        *status == RenditionStatus::Pending || *status == RenditionStatus::Processing
    };
    !hls.into_iter().chain(thumbnail).any(under_way)
}

impl fmt::Debug for WaitUntilReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitUntilReady").field("id", &self.id).finish_non_exhaustive()
    }
}
