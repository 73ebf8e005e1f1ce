//! The bytes of an answer, to their end or to an error.

use std::{io, pin::Pin, time::Duration};

use async_compression::tokio::bufread::{DeflateDecoder, GzipDecoder, ZlibDecoder};
use bytes::{Bytes, BytesMut};
use futures_util::{TryStreamExt, stream::try_unfold};
use http::{HeaderMap, header};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt},
    time::{Instant, timeout},
};
use tokio_util::io::StreamReader;

use crate::{Error, pace::Pace};

/// Most bytes that are decoded at once.
const DECODED_BYTES: usize = 64 * 1024;

/// What lies between an origin's bytes and ours (RFC 9110, 8.4), lower case, in the order applied. We ask for none of it.
pub(crate) fn codings(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .flat_map(|value| {
            String::from_utf8_lossy(value.as_bytes())
                .to_ascii_lowercase()
                .split(',')
                .map(str::trim)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter(|coding| !matches!(coding.as_str(), "" | "identity"))
        .collect()
}

/// The bytes as they arrive.
pub(crate) struct Arriving {
    response: reqwest::Response,
    pace: Pace,
    idle_timeout: Duration,
    /// Bytes that are still to come, where that is known.
    missing: Option<u64>,
}

impl Arriving {
    pub(crate) fn new(
        response: reqwest::Response,
        pace: Pace,
        idle_timeout: Duration,
        missing: Option<u64>,
    ) -> Self {
        Self { response, pace, idle_timeout, missing }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let asked = Instant::now();
        let chunk = timeout(self.idle_timeout, self.response.chunk())
            .await
            .map_err(|_| Error::interrupted(format!("no byte in {:?}", self.idle_timeout)))?
            .map_err(Error::interrupted)?;
        let Some(chunk) = chunk else {
            return match self.missing {
                Some(missing @ 1..) => {
                    Err(Error::interrupted(format!("the body ended {missing} bytes before its end")))
                }
                _ => Ok(None),
            };
        };
        let bytes = chunk.len() as u64;
        if let Some(missing) = &mut self.missing {
            *missing = missing
                .checked_sub(bytes)
                .ok_or_else(|| Error::interrupted("the body is longer than its range"))?;
        }
        if self.pace.keeps(asked.elapsed(), bytes) {
            Ok(Some(chunk))
        } else {
            Err(Error::interrupted("slower than the floor"))
        }
    }
}

/// The bytes as they are meant.
pub(crate) enum Body {
    /// As they arrive.
    Plain(Box<Arriving>),
    /// Decoded.
    Coded { decoder: Pin<Box<dyn AsyncRead + Send>>, idle_timeout: Duration },
    /// All were there.
    Ended,
    /// It failed once: the rest is not asked for.
    Failed,
}

impl Body {
    pub(crate) async fn new(arriving: Arriving, codings: &[String]) -> Result<Self, Error> {
        let idle_timeout = arriving.idle_timeout;
        let coding = match codings {
            [] => return Ok(Self::Plain(Box::new(arriving))),
            [one] => one.as_str(),
            _ => return Err(Error::for_good(format!("encoded as {codings:?}"))),
        };
        let chunks = try_unfold(arriving, |mut arriving| async move {
            Ok::<_, Error>(arriving.chunk().await?.map(|chunk| (chunk, arriving)))
        });
        let mut reader = StreamReader::new(Box::pin(chunks.map_err(io::Error::other)));
        let decoder: Pin<Box<dyn AsyncRead + Send>> = match coding {
            "gzip" | "x-gzip" => {
                let mut decoder = GzipDecoder::new(reader);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
            // zlib by the RFC, bare deflate from old servers: zlib begins with its method, 8, where deflate has padding.
            "deflate" => match reader.fill_buf().await.map_err(undecodable)?.first() {
                Some(first) if first & 0x0f != 8 => Box::pin(DeflateDecoder::new(reader)),
                _ => Box::pin(ZlibDecoder::new(reader)),
            },
            other => return Err(Error::for_good(format!("encoded as {other:?}"))),
        };
        Ok(Self::Coded { decoder, idle_timeout })
    }

    /// Cancel safe: what a dropped call did not return, the next one does.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let chunk = match self {
            Self::Plain(arriving) => arriving.chunk().await,
            Self::Coded { decoder, idle_timeout } => match timeout(*idle_timeout, decoded(decoder)).await {
                Ok(chunk) => chunk,
                // Bytes came all the time, but they meant nothing.
                Err(_) => Err(Error::interrupted(format!("nothing decoded in {idle_timeout:?}"))),
            },
            Self::Ended => return Ok(None),
            Self::Failed => return Err(Error::interrupted("it failed before")),
        };
        match &chunk {
            Ok(Some(_)) => {}
            Ok(None) => *self = Self::Ended,
            Err(_) => *self = Self::Failed,
        }
        chunk
    }
}

async fn decoded(decoder: &mut Pin<Box<dyn AsyncRead + Send>>) -> Result<Option<Bytes>, Error> {
    let mut bytes = BytesMut::with_capacity(DECODED_BYTES);
    let count = decoder.read_buf(&mut bytes).await.map_err(undecodable)?;
    Ok((count > 0).then(|| bytes.freeze()))
}

/// Either our own error, on its way through the decoder, or the decoder's.
fn undecodable(error: io::Error) -> Error {
    error.downcast().unwrap_or_else(|error| Error::interrupted(format!("decoding: {error}")))
}
