use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use reqwest::{Client, redirect, retry};

use crate::{Error, SetupError, fetcher::not_answered};

/// Sends to where the operator says: nothing is judged, and nothing followed.
#[derive(Debug, Clone)]
pub struct Trusted {
    client: Client,
}

impl Trusted {
    /// `timeout` is for all of a request.
    ///
    /// # Errors
    /// [`SetupError`] of the libraries.
    #[expect(clippy::disallowed_methods, reason = "this is the crate that dials out")]
    pub fn new(timeout: Duration) -> Result<Self, SetupError> {
        let client = Client::builder()
            .tls_backend_preconfigured(reelhouse_tls::config()?)
            .timeout(timeout)
            .http1_only()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy();
        Ok(Self { client: client.build()? })
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// [`Error::NotAccessible`] when there is none.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
        let request = request.try_into().map_err(|error: reqwest::Error| Error::for_good(error))?;
        let response = self.client.execute(request).await.map_err(not_answered)?;
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        *answer.body_mut() = response.bytes().await.map_err(not_answered)?;
        Ok(answer)
    }
}
