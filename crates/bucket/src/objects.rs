//! Objects, one by one and as lists.

use std::{ops::Range, time::Duration};

use http::{HeaderName, HeaderValue, Method, header};
use reqwest::Response;

use crate::{
    Bucket, Error, Payload, Result, answers,
    answers::ListedObjects,
    bucket::{Ask, away},
    multipart::late_refusal,
};

/// Bytes of an object, as they come.
#[derive(Debug)]
pub struct Bytes {
    answer: Response,
    left: u64,
}

impl Bytes {
    /// The next bytes; `None` when all that was asked for has come.
    ///
    /// # Errors
    /// When the store ends before that.
    pub async fn chunk(&mut self) -> Result<Option<bytes::Bytes>> {
        match self.answer.chunk().await.map_err(away)? {
            Some(bytes) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                Ok(Some(bytes))
            }
            None if self.left > 0 => Err(Error::Away(format!("{} bytes are missing", self.left))),
            None => Ok(None),
        }
    }

    /// Bytes that are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// All of them, in memory.
    ///
    /// # Errors
    /// When the store ends before.
    pub async fn all(mut self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }
}

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key, without the bucket's prefix.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Milliseconds since the epoch.
    pub modified_at: i64,
}

/// One page of a list, in the order of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// At most 1000.
    pub objects: Vec<Listed>,
    /// What the next page is asked for with, if there is one.
    pub next: Option<String>,
}

/// How an object shows itself to whoever gets it by its URL.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// Content-Type.
    pub content_type: String,
    /// Content-Disposition, if any.
    pub content_disposition: Option<String>,
    /// Cache-Control.
    pub cache_control: String,
}

impl Bucket {
    /// Bytes of an object; `None` when there is none.
    ///
    /// # Errors
    /// When the store is away or refuses.
    pub async fn head_object(&self, key: &str) -> Result<Option<u64>> {
        match self.ask(Ask::of(Method::HEAD, key).brief()).await {
            Ok(answer) => content_length(&answer).map(Some),
            // A HEAD has no body to name a code in.
            Err(Error::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An object, or a part of it that lies within; `None` when there is none.
    ///
    /// # Errors
    /// When the store is away or refuses.
    pub async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        let mut ask = Ask::of(Method::GET, key);
        if let Some(range) = &range {
            if range.is_empty() {
                return Err(Error::Answer("an empty range".to_owned()));
            }
            let value = format!("bytes={}-{}", range.start, range.end - 1);
            let value = HeaderValue::try_from(value).map_err(|error| Error::Setup(error.to_string()))?;
            ask = ask.header(header::RANGE, value);
        }
        let answer = match self.ask(ask).await {
            Ok(answer) => answer,
            Err(error) if error.is_refused_as("NoSuchKey") => return Ok(None),
            Err(Error::Refused { status: 404, code, .. }) if code.is_empty() => return Ok(None),
            Err(error) => return Err(error),
        };
        let left = content_length(&answer)?;
        if let Some(range) = range
            && left != range.end - range.start
        {
            return Err(Error::Answer(format!("{left} bytes for a range of {}", range.end - range.start)));
        }
        Ok(Some(Bytes { answer, left }))
    }

    /// Writes an object, whole or not at all, over whatever was there.
    ///
    /// # Errors
    /// When the store is away for longer than a request waits, or refuses.
    pub async fn put(&self, key: &str, payload: Payload) -> Result<()> {
        self.ask(Ask::of(Method::PUT, key).payload(payload)).await.map(drop)
    }

    /// Writes a small object only where none is; says whether it did.
    ///
    /// # Errors
    /// Like [`Bucket::put`].
    pub async fn put_new(&self, key: &str, bytes: impl Into<bytes::Bytes>) -> Result<bool> {
        let ask = Ask::of(Method::PUT, key)
            .payload(Payload::Bytes(bytes.into()))
            .header(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        match self.ask(ask).await {
            Ok(_) => Ok(true),
            Err(Error::Refused { status: 409 | 412, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes an object once more under another key, without its bytes coming here. Stores copy up to 5 GiB at once.
    ///
    /// # Errors
    /// When the store is away or refuses.
    pub async fn copy(&self, from: &str, to: &str) -> Result<()> {
        let source = format!("/{}/{}", self.location().bucket, self.encoded(from));
        let source = HeaderValue::try_from(source).map_err(|error| Error::Setup(error.to_string()))?;
        let ask = Ask::of(Method::PUT, to).header(HeaderName::from_static("x-amz-copy-source"), source);
        let answer = self.ask_for_all(ask.copies()).await?;
        late_refusal(&answer).map_or(Ok(()), Err)
    }

    /// Removes an object; fine when there is none.
    ///
    /// # Errors
    /// When the store is away or refuses.
    pub async fn delete(&self, key: &str) -> Result<()> {
        match self.ask(Ask::of(Method::DELETE, key)).await {
            Ok(_) | Err(Error::Refused { status: 404, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// One page of the objects whose key begins with `prefix`; `next` of the page before asks for the one behind it.
    ///
    /// # Errors
    /// When the store is away or refuses.
    pub async fn list(&self, prefix: &str, next: Option<&str>) -> Result<Listing> {
        self.list_behind(prefix, None, next).await
    }

    /// The same, of those whose key comes behind another.
    ///
    /// # Errors
    /// When the store is away or refuses.
    pub async fn list_behind(
        &self,
        prefix: &str,
        behind: Option<&str>,
        next: Option<&str>,
    ) -> Result<Listing> {
        let mut ask = Ask::of_bucket(Method::GET)
            .query("list-type", 2)
            .query("prefix", format!("{}{prefix}", self.prefix()));
        if let Some(behind) = behind {
            ask = ask.query("start-after", format!("{}{behind}", self.prefix()));
        }
        if let Some(next) = next {
            ask = ask.query("continuation-token", next);
        }
        let page: ListedObjects = answers::read(&self.ask_for_all(ask).await?)?;
        let ours = page.contents.into_iter().filter_map(|object| {
            let key = object.key.strip_prefix(self.prefix())?.to_owned();
            Some(Listed { key, size: object.size, modified_at: answers::time(&object.last_modified) })
        });
        let next = page.next_continuation_token.filter(|_| page.is_truncated);
        Ok(Listing { objects: ours.collect(), next })
    }

    /// A URL from which anybody gets an object, for so long.
    ///
    /// # Errors
    /// When there are no credentials.
    pub async fn url_of(&self, key: &str, shown: &Shown, lifetime: Duration) -> Result<String> {
        let Shown { content_type, content_disposition, cache_control } = shown;
        let mut ask = Ask::of(Method::GET, key)
            .query("response-content-type", content_type)
            .query("response-cache-control", cache_control);
        if let Some(disposition) = content_disposition {
            ask = ask.query("response-content-disposition", disposition);
        }
        self.url(ask, lifetime).await
    }
}

/// The header, and not what a library makes of it: the answer to a HEAD has a length and no body.
fn content_length(answer: &Response) -> Result<u64> {
    let length = answer.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = length.and_then(|length| length.parse().ok());
    length.ok_or_else(|| Error::Answer("it does not say how many bytes there are".to_owned()))
}
