//! Uploads in chunks: sessions, URLs that are their own key, and what was reported.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use reelhouse_api::{
    Chunk, ChunkStatus, ChunkUrl, ChunkUrls, CompletedChunk, CreateUpload, Fault, Method, Page, PageInfo,
    ReportedChunks, RequestChunkUrls, UploadId, UploadProgress, UploadStatus, UploadSummary, paths,
};
use reelhouse_store::{ChunkRecord, IncomingChunk, RepeatedChunk, Reported, Slot, UploadSession};

use crate::{
    Caller, Error, IdempotencyKey, KeptMetadata, MediaScope, NewAsset, Service, disk::Promise, error::Result,
    filename, idempotency::Claim,
};

/// How long an upload can go on, in milliseconds.
const LIFETIME: i64 = 24 * 60 * 60 * 1000;
/// How long a chunk's URL takes its chunk, in seconds.
const URL_LIFETIME: i64 = 60 * 60;
/// The least bytes of a chunk: what S3 takes.
const MIN_CHUNK: u64 = 5 << 20;
/// Chunks are whole mebibytes.
const CHUNK_UNIT: u64 = 1 << 20;
/// The most chunks of an upload.
const MAX_CHUNKS: u64 = 1000;
/// The most URLs that are handed out at once; contract, section 5.
const MAX_URLS: u64 = 50;
/// Hex digits of an ETag.
const ETAG: usize = 32;

/// Bytes of every chunk but the last.
fn chunk_size(total: u64) -> u64 {
    total.div_ceil(MAX_CHUNKS).next_multiple_of(CHUNK_UNIT).max(MIN_CHUNK)
}

impl Service {
    /// Begins an upload in chunks; its asset is there at once, processing. `base` is what URLs begin with.
    ///
    /// # Errors
    /// The [`Fault`] of a name or size that is not taken, or of the account's quota.
    pub async fn begin_multipart(
        &self,
        caller: &Caller,
        create: CreateUpload,
        base: &str,
        key: Option<&IdempotencyKey>,
    ) -> Result<reelhouse_api::Upload> {
        let claim = Claim::of(key, &create);
        if let Some(answer) = self.replay(caller, claim.as_ref()).await? {
            return Ok(answer);
        }
        let CreateUpload { filename, kind, total_size, enable_hls, enable_thumbnail, user_metadata } = create;
        let filename = filename::given(&filename)?;
        self.limits.check_size(kind, Method::Multipart, total_size)?;
        self.check_quota(caller, total_size).await?;
        if self.store.takes_chunks_here() && !self.disk.has_room(total_size) {
            return Err(Fault::NoRoom.into());
        }
        let user_metadata = KeptMetadata::of(user_metadata.unwrap_or_default())?;
        let new = NewAsset { enable_hls, enable_thumbnail, user_metadata, ..NewAsset::default() };
        let asset = self.new_asset(self.next_id()?, caller, Method::Multipart, filename, &new);
        let session = UploadSession {
            id: self.next_id()?,
            asset_id: asset.id,
            account: caller.account.clone(),
            kind,
            total_size,
            chunk_size: chunk_size(total_size),
            multipart_id: self.store.make_place(asset.id).await?,
            status: UploadStatus::Active,
            created_at: asset.created_at,
            updated_at: asset.created_at,
            expires_at: asset.created_at.saturating_add(LIFETIME),
        };
        let first = RequestChunkUrls { start: 1, count: session.total_chunks().min(MAX_URLS) };
        let answer = reelhouse_api::Upload {
            upload_id: session.id,
            asset_id: asset.id,
            upload_urls: self.sign_chunks(&session, first, base).await?,
            upload_headers: BTreeMap::new(),
            chunk_size: session.chunk_size,
            total_chunks: session.total_chunks(),
            expires_at: time(session.expires_at),
        };
        let receipt = claim.as_ref().map(|claim| claim.receipt(&answer));
        match self.store.begin_upload(&asset, &session, receipt.as_ref()).await {
            Ok(()) => Ok(answer),
            // The same request, sent twice at once: the other one was first.
            Err(reelhouse_store::Error::KeyUsed) => {
                self.replay(caller, claim.as_ref()).await?.ok_or_else(|| Fault::IdempotencyKeyReused.into())
            }
            Err(reelhouse_store::Error::QuotaReached) => {
                Err(self.quota_fault(&caller.account, total_size).await?.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// One page of the caller's uploads that take chunks, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn multiparts(
        &self,
        caller: &Caller,
        page: u64,
        page_limit: u32,
    ) -> Result<Page<UploadSummary>> {
        let now_ms = self.clock.now_ms();
        let (sessions, total) = self.store.open_uploads(&caller.account, page, page_limit, now_ms).await?;
        let summary = |session: UploadSession| UploadSummary {
            upload_id: session.id,
            status: session.status,
            total_size: session.total_size,
            chunk_size: session.chunk_size,
            total_chunks: session.total_chunks(),
            created_at: time(session.created_at),
            expires_at: time(session.expires_at),
        };
        Ok(Page {
            data: sessions.into_iter().map(summary).collect(),
            page_info: PageInfo::new(page, page_limit, total),
        })
    }

    /// How far an upload is, and one page of its chunks; all of them are on some page.
    ///
    /// # Errors
    /// [`Fault::ResourceNotExist`] for an upload that is not the caller's.
    pub async fn multipart(
        &self,
        caller: &Caller,
        id: UploadId,
        page: u64,
        page_limit: u32,
    ) -> Result<UploadProgress> {
        let session = self.session(caller, id).await?;
        let total = session.total_chunks();
        let first = page.saturating_sub(1).saturating_mul(u64::from(page_limit)).saturating_add(1);
        let last = first.saturating_add(u64::from(page_limit)).saturating_sub(1).min(total);
        let mut here = self.store.chunks(id, first, last).await?.into_iter().peekable();
        let chunks = (first..=last).map(|index| {
            let record = here.next_if(|record| record.index == index);
            let ChunkRecord { received_at, completed_at, .. } = record.unwrap_or(ChunkRecord {
                index,
                etag: String::new(),
                received_at: session.created_at,
                completed_at: None,
            });
            Chunk {
                index,
                status: if completed_at.is_some() { ChunkStatus::Completed } else { ChunkStatus::Pending },
                uploaded_at: completed_at.map(time),
                updated_at: time(completed_at.unwrap_or(received_at)),
                error: None,
            }
        });
        let uploaded_chunks = chunks.collect();
        let (completed, bytes) = self.store.completed_chunks(&session).await?;
        Ok(UploadProgress {
            upload_id: id,
            status: self.status_now(&session),
            uploaded_chunks,
            chunks_completed: completed,
            chunks_failed: 0,
            chunks_pending: total - completed.min(total),
            page_info: PageInfo::new(page, page_limit, total),
            total_size: session.total_size,
            uploaded_size: bytes,
            created_at: time(session.created_at),
            updated_at: time(session.updated_at),
        })
    }

    /// More places to send chunks to. A range that ends behind the last chunk is cut there.
    ///
    /// # Errors
    /// [`Fault::ParameterInvalid`] for a range there is not, [`Fault::UploadNotActive`] when there is nothing to send.
    pub async fn chunk_urls(
        &self,
        caller: &Caller,
        id: UploadId,
        wanted: RequestChunkUrls,
        base: &str,
    ) -> Result<ChunkUrls> {
        let session = self.session(caller, id).await?;
        self.check_open(&session)?;
        let RequestChunkUrls { start, count } = wanted;
        let total = session.total_chunks();
        if start == 0 || start > total {
            return Err(invalid("start", format!("{start} is not a chunk; they are 1 to {total}.")).into());
        }
        if !(1..=MAX_URLS).contains(&count) {
            return Err(invalid("count", format!("{count} is not from 1 to {MAX_URLS}.")).into());
        }
        let wanted = RequestChunkUrls { start, count: count.min(total - start + 1) };
        let now = self.now_seconds();
        Ok(ChunkUrls {
            upload_id: id,
            start_index: start,
            count: wanted.count,
            upload_urls: self.sign_chunks(&session, wanted, base).await?,
            generated_at: Timestamp::from_second(now).unwrap_or_default(),
            expires_at: Timestamp::from_second(now.saturating_add(URL_LIFETIME)).unwrap_or_default(),
        })
    }

    /// Records chunks that a client says it has sent, all or none; with the last one a job looks at the file.
    ///
    /// # Errors
    /// [`Fault::ParameterInvalid`] for a chunk that is not here as reported.
    pub async fn report_chunks(
        &self,
        caller: &Caller,
        id: UploadId,
        reported: &[CompletedChunk],
        base: &str,
    ) -> Result<ReportedChunks> {
        let session = self.session(caller, id).await?;
        let wrong = |chunk: u64, why: &str| invalid("completed_chunks", format!("Chunk {chunk} {why}."));
        if reported.is_empty() || reported.len() as u64 > session.total_chunks().max(MAX_CHUNKS) {
            let reason = format!("It must have 1 to {} chunks.", session.total_chunks());
            return Err(invalid("completed_chunks", reason).into());
        }
        let mut chunks = Vec::with_capacity(reported.len());
        for CompletedChunk { chunk_index, proof, chunk_size, .. } in reported {
            let Some((_, expected)) = session.place(*chunk_index) else {
                let why = format!("does not exist; they are 1 to {}", session.total_chunks());
                return Err(wrong(*chunk_index, &why).into());
            };
            if *chunk_size != expected {
                return Err(wrong(*chunk_index, &format!("has {expected} bytes, not {chunk_size}")).into());
            }
            chunks.push((*chunk_index, proof.trim_matches('"')));
        }
        let now_ms = self.clock.now_ms();
        self.store.look_for_chunks(&session, &chunks, now_ms).await?;
        let (processed, duplicates) = match self.store.report_chunks(&session, &chunks, now_ms).await? {
            Reported::Recorded { processed, duplicates } => (processed, duplicates),
            Reported::Missing(chunk) => return Err(wrong(chunk, "has not arrived; send it again").into()),
            Reported::Differs(chunk) => {
                return Err(wrong(chunk, "arrived with another ETag than the proof says").into());
            }
            Reported::Closed => return Err(self.closed(id).await),
        };
        self.jobs_pushed();
        let (completed, _) = self.store.completed_chunks(&session).await?;
        let url = (completed == session.total_chunks())
            .then(|| format!("{base}{}", self.media_url(MediaScope::Original, session.asset_id, "original")));
        Ok(ReportedChunks {
            url,
            asset_id: session.asset_id,
            processed_chunks: processed,
            duplicate_chunks: duplicates,
            total_completed: completed,
        })
    }

    /// Begins to take a chunk by the URL that is its key. `declared` is how many bytes the request says it has.
    ///
    /// # Errors
    /// [`Fault::UploadUrlInvalid`], or why the chunk is not taken; the upload lives on.
    pub async fn begin_chunk(
        &self,
        id: UploadId,
        index: u64,
        token: &str,
        declared: Option<u64>,
    ) -> Result<ChunkUpload> {
        let opens = self.signer.opens(&chunk_key(id, index), token, self.now_seconds());
        opens.ok_or(Fault::UploadUrlInvalid)?;
        let session = self.store.upload_of_any(id).await?.ok_or(Fault::UploadUrlInvalid)?;
        let (offset, len) = session.place(index).ok_or(Fault::UploadUrlInvalid)?;
        if let Some(declared) = declared.filter(|declared| *declared != len) {
            return Err(wrong_size(index, len, declared.to_string()).into());
        }
        let turn = self.chunk_turns.wait((id, index)).await;
        // The turn ends when nothing can be written any more, also when the client is gone before.
        let (blobs, asset, held) = (self.store.blobs(), session.asset_id, Box::new(turn));
        let bytes = match self.store.slot(&session, index, self.clock.now_ms()).await? {
            Slot::Empty => {
                let room = self.disk.promise(len)?;
                blobs
                    .write_incoming(asset, offset, held)
                    .await?
                    .map(|chunk| ChunkBytes::New(chunk, Some(room)))
            }
            Slot::Received(etag) | Slot::Completed(etag) => {
                let repeated = blobs.repeat_incoming(asset, offset, held).await?;
                repeated.map(|chunk| ChunkBytes::Again(chunk, etag))
            }
            Slot::Closed => return Err(self.closed(id).await),
        };
        // Deleted, or decided, this moment.
        let bytes = bytes.ok_or(Fault::UploadUrlInvalid)?;
        Ok(ChunkUpload { service: self.clone(), session, index, len, arrived: 0, bytes })
    }

    async fn session(&self, caller: &Caller, id: UploadId) -> Result<UploadSession> {
        let session = self.store.upload(&caller.account, id).await?;
        Ok(session.ok_or_else(|| upload_not_found(id))?)
    }

    fn check_open(&self, session: &UploadSession) -> Result<(), Fault> {
        if session.is_open(self.clock.now_ms()) { Ok(()) } else { Err(self.not_active(session)) }
    }

    /// Where an upload stands; the sweeper may not have come by yet.
    fn status_now(&self, session: &UploadSession) -> UploadStatus {
        match session.status {
            UploadStatus::Active if !session.is_open(self.clock.now_ms()) => UploadStatus::Expired,
            status => status,
        }
    }

    /// Why an upload takes nothing any more, as it stands now.
    async fn closed(&self, id: UploadId) -> Error {
        match self.store.upload_of_any(id).await {
            Ok(Some(session)) => self.not_active(&session).into(),
            Ok(None) => Fault::UploadUrlInvalid.into(),
            Err(error) => error.into(),
        }
    }

    fn not_active(&self, session: &UploadSession) -> Fault {
        let status = self.status_now(session).as_str();
        Fault::UploadNotActive { upload_id: session.id.to_string(), status }
    }

    /// URLs of ours, or of the bucket, so that chunks do not come through us.
    async fn sign_chunks(
        &self,
        session: &UploadSession,
        wanted: RequestChunkUrls,
        base: &str,
    ) -> Result<Vec<ChunkUrl>> {
        let RequestChunkUrls { start, count } = wanted;
        let end = self.now_seconds().saturating_add(URL_LIFETIME);
        let lifetime = Duration::from_secs(URL_LIFETIME.unsigned_abs());
        let mut urls = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
        for chunk_index in start..start + count {
            let url = match self.store.url_of_chunk(session, chunk_index, lifetime).await? {
                Some(url) => url,
                None => {
                    let token = self.signer.token(&chunk_key(session.id, chunk_index), end.unsigned_abs());
                    format!("{base}{}", paths::chunk(session.id, chunk_index, &token))
                }
            };
            let expires_at = Timestamp::from_second(end).unwrap_or_default();
            urls.push(ChunkUrl { chunk_index, url, expires_at });
        }
        Ok(urls)
    }
}

/// What a chunk's token opens.
fn chunk_key(id: UploadId, index: u64) -> String {
    format!("chunk/{id}/{index}")
}

/// A chunk on its way in. Dropped before [`ChunkUpload::finish`], the chunk is as if never sent.
#[derive(Debug)]
pub struct ChunkUpload {
    service: Service,
    session: UploadSession,
    index: u64,
    len: u64,
    arrived: u64,
    bytes: ChunkBytes,
}

#[derive(Debug)]
enum ChunkBytes {
    /// Nothing is there, or what will be written over, which takes no more room.
    New(IncomingChunk, Option<Promise>),
    /// This ETag is there. While the bytes are the same it stays, so that sending a chunk twice disturbs nothing.
    Again(RepeatedChunk, String),
    /// A write failed.
    Broken,
}

impl ChunkUpload {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`Fault::ChunkSizeInvalid`] when there are too many, [`Fault::ChunkCompleted`] when the chunk was reported with others.
    pub async fn push(&mut self, bytes: &Bytes) -> Result<()> {
        self.arrived += bytes.len() as u64;
        if self.arrived > self.len {
            return Err(wrong_size(self.index, self.len, format!("more than {}", self.len)).into());
        }
        let same = match &mut self.bytes {
            ChunkBytes::New(chunk, room) => {
                chunk.push(bytes).await?;
                if let Some(room) = room {
                    room.keep(self.arrived);
                }
                return Ok(());
            }
            ChunkBytes::Again(chunk, _) => chunk.push(bytes).await?,
            ChunkBytes::Broken => false,
        };
        if same { Ok(()) } else { self.rewrite().await }
    }

    /// The bytes are others than what is there.
    async fn rewrite(&mut self) -> Result<()> {
        let now_ms = self.service.clock.now_ms();
        match self.service.store.empty_slot(&self.session, self.index, now_ms).await? {
            Slot::Closed => return Err(self.service.closed(self.session.id).await),
            Slot::Completed(_) => return Err(Fault::ChunkCompleted { chunk_index: self.index }.into()),
            Slot::Empty | Slot::Received(_) => {}
        }
        if let ChunkBytes::Again(chunk, _) = std::mem::replace(&mut self.bytes, ChunkBytes::Broken) {
            self.bytes = ChunkBytes::New(chunk.rewrite().await?, None);
        }
        Ok(())
    }

    /// The chunk is whole: its ETag, once its bytes survive power loss.
    ///
    /// # Errors
    /// [`Fault::ChunkSizeInvalid`] when bytes are missing, [`Fault::UploadNotActive`] when it comes too late.
    pub async fn finish(mut self) -> Result<String> {
        if self.arrived < self.len {
            return Err(wrong_size(self.index, self.len, self.arrived.to_string()).into());
        }
        if let ChunkBytes::Again(chunk, _) = &mut self.bytes
            && !chunk.compare().await?
        {
            self.rewrite().await?;
        }
        let Self { service, session, index, bytes, .. } = self;
        let chunk = match bytes {
            ChunkBytes::Again(_, etag) => return Ok(etag),
            ChunkBytes::New(chunk, _) => chunk,
            ChunkBytes::Broken => return Err(service.closed(session.id).await),
        };
        let etag = chunk.seal().await?.chars().take(ETAG).collect::<String>();
        if service.store.record_chunk(session.id, index, &etag, service.clock.now_ms()).await? {
            Ok(etag)
        } else {
            Err(service.closed(session.id).await)
        }
    }
}

fn wrong_size(chunk_index: u64, expected: u64, current: String) -> Fault {
    Fault::ChunkSizeInvalid { chunk_index, expected, current }
}

fn invalid(parameter: &'static str, reason: String) -> Fault {
    Fault::ParameterInvalid { parameter, reason }
}

/// 404 for an id as the caller wrote it.
pub fn upload_not_found(id: impl ToString) -> Fault {
    Fault::ResourceNotExist { resource_id: id.to_string(), collection_name: "multipart-uploads" }
}

fn time(ms: i64) -> Timestamp {
    // Whole seconds, as the contract writes them.
    Timestamp::from_second(ms.div_euclid(1000)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_few_and_large_enough() {
        for (total, size) in [(1, 5), (5 << 20, 5), (5_000 << 20, 5), (5_001 << 20, 6), (10 << 30, 11)] {
            assert_eq!(chunk_size(total), size << 20, "{total}");
            assert!(total.div_ceil(chunk_size(total)) <= MAX_CHUNKS);
        }
    }
}
