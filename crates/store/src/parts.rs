//! Chunks that go straight to the bucket, and never through us: URLs that the bucket itself takes, and what it says has come.

use std::time::Duration;

use reelhouse_api::{AssetId, UploadId};
use reelhouse_bucket::{Bucket, Part, PartHere};
use sqlx::AssertSqlSafe;

use crate::{
    Store, UploadSession,
    blobs::{BlobKey, Home},
    error::{Error, Result},
    writer::transaction,
};

impl Store {
    /// The URL to which a client sends a chunk, for so long; `None` where chunks come to us.
    ///
    /// # Errors
    /// When there are no credentials for the bucket.
    pub async fn url_of_chunk(
        &self,
        session: &UploadSession,
        index: u64,
        lifetime: Duration,
    ) -> Result<Option<String>> {
        match (self.bucket(), &session.multipart_id) {
            (Some(bucket), Some(upload)) => {
                Ok(Some(bucket.url_of_part(&key(session.asset_id), upload, index, lifetime).await?))
            }
            _ => Ok(None),
        }
    }

    /// Records which of the reported chunks are at the bucket, and whole. Does nothing where chunks come to us.
    ///
    /// # Errors
    /// When the database or the bucket fails.
    pub async fn look_for_chunks(
        &self,
        session: &UploadSession,
        reported: &[(u64, &str)],
        now_ms: i64,
    ) -> Result<()> {
        let (Some(bucket), Some(upload)) = (self.bucket(), &session.multipart_id) else { return Ok(()) };
        let Some(here) = bucket.parts(&key(session.asset_id), upload).await? else { return Ok(()) };
        let found: Vec<(u64, String)> =
            reported.iter().filter_map(|told| seen(session, &here, *told)).collect();
        transaction!(self.db, |tx| {
            for (index, etag) in &found {
                sqlx::query(
                    "INSERT INTO upload_chunk (upload_id, chunk_index, etag, received_at) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (upload_id, chunk_index) DO UPDATE SET etag = $3
                     WHERE upload_chunk.completed_at IS NULL AND upload_chunk.etag <> $3",
                )
                .bind(session.id.to_string())
                .bind(i64::try_from(*index).unwrap_or(i64::MAX))
                .bind(etag)
                .bind(now_ms)
                .execute(&mut *tx)
                .await?;
            }
            Ok(())
        })
    }

    /// Whether chunks come into the data folder, and not to a bucket.
    pub fn takes_chunks_here(&self) -> bool {
        self.bucket().is_none()
    }

    /// Scheme, host and port of URLs that are the bucket's own; `None` where blobs are in the data folder.
    pub fn bucket_origin(&self) -> Option<String> {
        self.bucket().map(|bucket| bucket.location().origin())
    }

    fn bucket(&self) -> Option<&Bucket> {
        match &self.blobs.home {
            Home::Folder(_) => None,
            Home::Bucket(objects, _) => Some(&objects.bucket),
        }
    }

    /// Begins an upload in parts to the bucket; `None` where chunks come to us.
    pub(crate) async fn begin_parts(&self, asset: AssetId) -> Result<Option<String>> {
        match self.bucket() {
            Some(bucket) => Ok(Some(bucket.begin(&key(asset)).await?)),
            None => Ok(None),
        }
    }

    pub(crate) async fn give_up_parts(&self, session: &UploadSession) -> Result<()> {
        match (self.bucket(), &session.multipart_id) {
            (Some(bucket), Some(upload)) => Ok(bucket.abort(&key(session.asset_id), upload).await?),
            _ => Ok(()),
        }
    }

    /// Makes the reported parts of an asset the object that they are, if it comes in parts. False when the bucket has others.
    pub(crate) async fn complete_parts(&self, asset: AssetId) -> Result<bool> {
        let Some(bucket) = self.bucket() else { return Ok(true) };
        let Some((id, upload)) = self.parts_of(asset).await? else { return Ok(true) };
        let chunks = self.chunks(id, 1, u64::MAX).await?;
        let parts: Vec<Part> =
            chunks.into_iter().map(|chunk| Part { number: chunk.index, etag: chunk.etag }).collect();
        // An earlier attempt may have done it.
        Ok(bucket.complete(&key(asset), &upload, &parts).await?
            || bucket.head_object(&key(asset)).await?.is_some())
    }

    /// Gives up what an asset that is not wanted any more still has at the bucket in parts.
    pub(crate) async fn abort_parts(&self, asset: AssetId) -> Result<()> {
        let Some(bucket) = self.bucket() else { return Ok(()) };
        match self.parts_of(asset).await? {
            Some((_, upload)) => Ok(bucket.abort(&key(asset), &upload).await?),
            None => Ok(()),
        }
    }

    async fn parts_of(&self, asset: AssetId) -> Result<Option<(UploadId, String)>> {
        let row: Option<(String, String)> = sqlx::query_as(
            "SELECT id, multipart_id FROM upload_session WHERE asset_id = $1 AND multipart_id IS NOT NULL",
        )
        .bind(asset.to_string())
        .fetch_optional(self.db.readers())
        .await?;
        let parsed = |(id, upload): (String, String)| {
            let parsed = UploadId::parse(&id).ok_or(Error::Corrupt { table: "upload_session", id })?;
            Ok((parsed, upload))
        };
        row.map(parsed).transpose()
    }

    /// Gives up uploads in parts that began before `before_ms` and that no session knows: whoever began them is gone. Returns how
    /// many.
    ///
    /// # Errors
    /// When the database or the bucket fails.
    pub async fn give_up_old_parts(&self, before_ms: i64) -> Result<u64> {
        let Some(bucket) = self.bucket() else { return Ok(0) };
        let mut given_up = 0;
        for pending in
            bucket.pending("originals/").await?.into_iter().chain(bucket.pending("derived/").await?)
        {
            if pending.begun_at < before_ms && !self.is_awaited(&pending.upload).await? {
                bucket.abort(&pending.key, &pending.upload).await?;
                given_up += 1;
            }
        }
        Ok(given_up)
    }

    pub(crate) async fn is_awaited(&self, upload: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM upload_session JOIN asset ON asset.id = asset_id
                   WHERE multipart_id = $1 AND asset.status = 'processing' AND deleted_at IS NULL";
        let awaited: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(sql)).bind(upload).fetch_optional(self.db.readers()).await?;
        Ok(awaited.is_some())
    }

    /// Makes the bucket this database's, or sees that it is.
    pub(crate) async fn claim_bucket(&self) -> Result<()> {
        let Some(bucket) = self.bucket() else { return Ok(()) };
        // Not a secret: it is only kept like one, once for all nodes.
        let ours = self.secret("blobs").await?;
        let owner = async || match bucket.get(OWNER, None).await? {
            Some(found) => Ok::<_, Error>(Some(found.all().await?)),
            None => Ok(None),
        };
        let found = match owner().await? {
            Some(found) => found,
            None => {
                bucket.put_new(OWNER, ours.clone()).await?;
                owner().await?.unwrap_or_default()
            }
        };
        if found == ours.as_bytes() {
            Ok(())
        } else {
            Err(Error::BucketOfAnother { location: bucket.location().to_string() })
        }
    }

    /// Refuses to compare rows with the blobs of another database, without making the bucket anybody's.
    pub(crate) async fn refuse_bucket_of_another(&self) -> Result<()> {
        let Some(bucket) = self.bucket() else { return Ok(()) };
        let Some(owner) = bucket.get(OWNER, None).await? else { return Ok(()) };
        let owner = owner.all().await?;
        let ours: Option<String> = sqlx::query_scalar("SELECT value FROM secret WHERE name = 'blobs'")
            .fetch_optional(self.db.readers())
            .await?;
        if ours.is_some_and(|ours| ours.as_bytes() == owner) {
            Ok(())
        } else {
            Err(Error::BucketOfAnother { location: bucket.location().to_string() })
        }
    }

    /// Whether blobs can be reached right now.
    ///
    /// # Errors
    /// What the bucket said.
    pub async fn ping_blobs(&self) -> Result<()> {
        match self.bucket() {
            Some(bucket) => Ok(bucket.ping().await?),
            None => Ok(()),
        }
    }
}

/// Says whose the blobs below the prefix are.
pub(crate) const OWNER: &str = "reelhouse-database";

fn key(asset: AssetId) -> String {
    BlobKey::Original(asset).object()
}

/// The chunk as it is at the bucket, if it is there as it was told, and whole; else as it is there.
fn seen(session: &UploadSession, here: &[PartHere], (index, etag): (u64, &str)) -> Option<(u64, String)> {
    let (_, expected) = session.place(index)?;
    let mut whole = here.iter().filter(|part| part.number == index && part.size == expected);
    let first = whole.clone().next();
    let found = whole.find(|part| part.etag == etag).or(first)?;
    Some((index, found.etag.clone()))
}
