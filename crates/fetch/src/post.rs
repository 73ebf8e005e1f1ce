use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{Error, Fetcher, PublicUrl, fetcher::not_answered};

/// Bytes of an answer's body that are read, so that a receiver in good faith sees its answer taken.
const MAX_ANSWER: usize = 16 << 10;
/// The longest that takes.
const ANSWER_TIME: Duration = Duration::from_secs(1);

impl Fetcher {
    /// Posts a body and returns the status that it was answered with, within `time` in all. A redirect is an answer like any
    /// other: it is not followed. What the answer's body says, or whether it comes to its end, does not count.
    ///
    /// # Errors
    /// [`Error::NotAccessible`] when there is no answer in that time.
    pub async fn post(
        &self,
        url: &PublicUrl,
        headers: HeaderMap,
        body: Bytes,
        time: Duration,
    ) -> Result<StatusCode, Error> {
        let until = Instant::now() + time;
        self.admit(url)?;
        let request = self.client.post(url.as_url().clone()).headers(headers).body(body);
        let mut response = timeout_at(until, request.send())
            .await
            .map_err(|_| Error::unreachable(format!("no answer in {time:?}")))?
            .map_err(not_answered)?;
        let read = async {
            let mut left = MAX_ANSWER;
            while let Ok(Some(bytes)) = response.chunk().await
                && left > 0
            {
                left = left.saturating_sub(bytes.len());
            }
        };
        // Late, cut off, endless: it has answered.
        let _ = timeout(ANSWER_TIME.min(until.saturating_duration_since(Instant::now())), read).await;
        Ok(response.status())
    }
}
