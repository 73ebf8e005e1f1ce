//! Uploads in parts: an object that is nowhere before all of it is there.

use std::time::Duration;

use http::{Method, header};

use crate::{
    Bucket, Error, Payload, Result, answers,
    answers::{Begun, ListedParts, ListedUploads, Refusal},
    bucket::Ask,
};

/// A part that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// From 1.
    pub number: u64,
    /// What the store answered, without quotes.
    pub etag: String,
}

/// A part that is at the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHere {
    /// From 1.
    pub number: u64,
    /// Without quotes.
    pub etag: String,
    /// Bytes.
    pub size: u64,
}

/// An upload that neither ended nor was aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Of the object that it would become, without the bucket's prefix.
    pub key: String,
    /// Its id.
    pub upload: String,
    /// Milliseconds since the epoch; 0 where the store does not say it.
    pub begun_at: i64,
}

impl Bucket {
    /// Begins an upload; returns its id.
    ///
    /// # Errors
    /// When the store is away or refuses.
    pub async fn begin(&self, key: &str) -> Result<String> {
        let text = self.ask_for_all(Ask::of(Method::POST, key).query("uploads", "")).await?;
        Ok(answers::read::<Begun>(&text)?.upload_id)
    }

    /// Sends a part, over whatever was sent with this number before.
    ///
    /// # Errors
    /// When the store is away or refuses.
    pub async fn put_part(&self, key: &str, upload: &str, number: u64, payload: Payload) -> Result<Part> {
        let ask = Ask::of(Method::PUT, key).query("partNumber", number).query("uploadId", upload);
        let answer = self.ask(ask.payload(payload)).await?;
        let etag = answer.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag.ok_or_else(|| Error::Answer("a part without an ETag".to_owned()))?;
        Ok(Part { number, etag: answers::bare(etag) })
    }

    /// Makes the parts, in the order of their numbers, the object. False when the upload is not there (any more), or a part
    /// is not the one that was sent.
    ///
    /// # Errors
    /// When the store is away or refuses.
    pub async fn complete(&self, key: &str, upload: &str, parts: &[Part]) -> Result<bool> {
        let mut text = String::from("<CompleteMultipartUpload>");
        for Part { number, etag } in parts {
            let etag = quick_xml::escape::escape(etag.as_str());
            text.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{etag}\"</ETag></Part>"));
        }
        text.push_str("</CompleteMultipartUpload>");
        let ask = Ask::of(Method::POST, key).query("uploadId", upload).payload(Payload::Bytes(text.into()));
        let answer = match self.ask_for_all(ask.slow()).await {
            Ok(answer) => answer,
            Err(error) if is_not_there(&error) => return Ok(false),
            Err(error) => return Err(error),
        };
        match late_refusal(&answer) {
            Some(refused) if is_not_there(&refused) => Ok(false),
            Some(refused) => Err(Error::Away(refused.to_string())),
            None => Ok(true),
        }
    }

    /// Gives an upload up; fine when there is none.
    ///
    /// # Errors
    /// When the store is away or refuses.
    pub async fn abort(&self, key: &str, upload: &str) -> Result<()> {
        match self.ask(Ask::of(Method::DELETE, key).query("uploadId", upload)).await {
            Ok(_) | Err(Error::Refused { status: 404, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The parts of an upload that are at the store; `None` when it is not there (any more). Some stores keep a part that another
    /// was sent over: then both are told.
    ///
    /// # Errors
    /// When the store is away or refuses.
    pub async fn parts(&self, key: &str, upload: &str) -> Result<Option<Vec<PartHere>>> {
        let (mut here, mut behind) = (Vec::new(), 0);
        loop {
            let ask = Ask::of(Method::GET, key).query("uploadId", upload).query("part-number-marker", behind);
            let text = match self.ask_for_all(ask).await {
                Ok(text) => text,
                Err(error) if is_not_there(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
            let page: ListedParts = answers::read(&text)?;
            here.extend(page.parts.into_iter().map(|part| PartHere {
                number: part.part_number,
                etag: answers::bare(&part.etag),
                size: part.size,
            }));
            match page.next_part_number_marker {
                Some(next) if page.is_truncated && next > behind => behind = next,
                _ => return Ok(Some(here)),
            }
        }
    }

    /// Uploads under way or left over, of keys that begin with `prefix`.
    ///
    /// # Errors
    /// When the store is away or refuses.
    pub async fn pending(&self, prefix: &str) -> Result<Vec<Pending>> {
        let (mut pending, mut behind) = (Vec::new(), None::<(String, String)>);
        loop {
            let mut ask = Ask::of_bucket(Method::GET)
                .query("uploads", "")
                .query("prefix", format!("{}{prefix}", self.prefix()));
            if let Some((key, upload)) = &behind {
                ask = ask.query("key-marker", key).query("upload-id-marker", upload);
            }
            let page: ListedUploads = answers::read(&self.ask_for_all(ask).await?)?;
            pending.extend(page.uploads.into_iter().filter_map(|upload| {
                Some(Pending {
                    key: upload.key.strip_prefix(self.prefix())?.to_owned(),
                    upload: upload.upload_id,
                    begun_at: upload.initiated.as_deref().map_or(0, answers::time),
                })
            }));
            let next = page.next_key_marker.zip(page.next_upload_id_marker);
            match next {
                Some(next) if page.is_truncated && behind.as_ref() != Some(&next) => behind = Some(next),
                _ => return Ok(pending),
            }
        }
    }

    /// A URL to which anybody can send a part, for so long.
    ///
    /// # Errors
    /// When there are no credentials.
    pub async fn url_of_part(
        &self,
        key: &str,
        upload: &str,
        number: u64,
        lifetime: Duration,
    ) -> Result<String> {
        let ask = Ask::of(Method::PUT, key).query("partNumber", number).query("uploadId", upload);
        self.url(ask, lifetime).await
    }
}

/// A store that takes its time has said 200 already when it finds what is wrong.
pub(crate) fn late_refusal(answer: &[u8]) -> Option<Error> {
    match answers::read::<Refusal>(answer) {
        Ok(Refusal { code, message }) if !code.is_empty() => {
            Some(Error::Refused { status: 200, code, message })
        }
        _ => None,
    }
}

fn is_not_there(error: &Error) -> bool {
    ["NoSuchUpload", "InvalidPart", "InvalidPartOrder"].iter().any(|code| error.is_refused_as(code))
}
