//! Who we are to the store: signatures, and credentials from wherever they usually come.

use std::{io, time::Duration};

use bytes::Bytes;
use http::request::Parts;
use reqsign_aws_v4::{Credential, DefaultCredentialProvider, RequestSigner};
use reqsign_core::{Context, FileRead, HttpSend, OsEnv, Signer};
use reqwest::Client;

use crate::{Error, Result};

#[derive(Debug)]
pub(crate) struct Signs(Signer<Credential>);

impl Signs {
    /// Credentials are those of the environment, of a profile, of the machine or of the container, in the usual order.
    pub(crate) fn new(client: Client, region: &str) -> Self {
        let context = Context::new().with_env(OsEnv).with_file_read(Files).with_http_send(Asks(client));
        Self(Signer::new(context, DefaultCredentialProvider::new(), RequestSigner::new("s3", region)))
    }

    /// Signs a request in its headers, or, with `lifetime`, in its URL.
    pub(crate) async fn sign(&self, request: &mut Parts, lifetime: Option<Duration>) -> Result<()> {
        self.0.sign(request, lifetime).await.map_err(|error| Error::Credentials(error.to_string()))
    }
}

/// Files of credentials.
#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        tokio::fs::read(path).await.map_err(unexpected)
    }
}

/// Whoever hands out credentials to machines and containers.
#[derive(Debug)]
struct Asks(Client);

impl HttpSend for Asks {
    async fn http_send(&self, request: http::Request<Bytes>) -> reqsign_core::Result<http::Response<Bytes>> {
        let request =
            request.try_into().map_err(|error: reqwest::Error| unexpected(io::Error::other(error)))?;
        let answer = self.0.execute(request).await.map_err(|error| unexpected(io::Error::other(error)))?;
        let mut read = http::Response::new(Bytes::new());
        *read.status_mut() = answer.status();
        *read.headers_mut() = answer.headers().clone();
        *read.body_mut() = answer.bytes().await.map_err(|error| unexpected(io::Error::other(error)))?;
        Ok(read)
    }
}

fn unexpected(error: io::Error) -> reqsign_core::Error {
    reqsign_core::Error::unexpected(error.to_string())
}
