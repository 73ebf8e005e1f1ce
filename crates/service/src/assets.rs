//! The verbs on assets.

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reelhouse_api::{
    Asset, AssetDetail, AssetId, Fault, Hls, JobKind, MediaKind, Method, Page, PageInfo, RenditionStatus,
    Status, Thumbnail,
};
use reelhouse_store::{AssetQuery, AssetRecord, Removal};

use crate::{
    Caller, HLS_MASTER_FILE, IdempotencyKey, KeptMetadata, MediaScope, STORYBOARD_FILE, Service,
    THUMBNAIL_FILE, Upload,
    error::Result,
    filename,
    idempotency::Claim,
    judge::{self, JudgeError},
    upload::Arrived,
};

/// What stands unescaped in a segment of a path: RFC 3986's unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a form says beside its file.
#[derive(Debug, Clone, Default)]
pub struct NewAsset {
    /// The `filename` field.
    pub filename: Option<String>,
    /// The file part's own name: untrusted.
    pub part_filename: Option<String>,
    /// Make it playable.
    pub enable_hls: bool,
    /// Make it visible.
    pub enable_thumbnail: bool,
    /// What the user wants kept with it.
    pub user_metadata: KeptMetadata,
}

impl Service {
    /// Makes an asset of an uploaded file. To be called inside [`Service::run_to_end`]: when the answer is lost, the
    /// asset is there or it is not, whole or not at all.
    ///
    /// # Errors
    /// The [`Fault`] of the file or its name, in the order of the contract; nothing is left behind.
    pub async fn create(
        &self,
        caller: &Caller,
        new: NewAsset,
        upload: Upload,
        key: Option<&IdempotencyKey>,
    ) -> Result<Asset> {
        let filename = filename::choose(new.filename.as_deref(), new.part_filename.as_deref())?;
        let arrived = upload.finish().await?;
        let NewAsset { enable_hls, enable_thumbnail, user_metadata, .. } = &new;
        let said = (&filename, enable_hls, enable_thumbnail, user_metadata, arrived.bytes.blake3());
        let claim = Claim::of(key, &said);
        if let Some(answer) = self.replay(caller, claim.as_ref()).await? {
            return Ok(answer);
        }
        self.publish_upload(caller, filename, &new, arrived, claim).await
    }

    /// Looks at a whole file, makes it an asset, and answers.
    pub(crate) async fn publish_upload(
        &self,
        caller: &Caller,
        filename: String,
        new: &NewAsset,
        arrived: Arrived,
        claim: Option<Claim<'_>>,
    ) -> Result<Asset> {
        let Arrived { bytes, sniffed, method, _held } = arrived;
        let size = bytes.size();
        // Ours, but the SDKs cannot read a 5xx on a create (contract, section 10).
        let turn = self.look_turns.share(&caller.account, 1).await?;
        let source = judge::source(bytes.staged());
        let judged = self.judge(source.clone(), sniffed, method, size).await;
        let facts = judged.map_err(|error| match error {
            JudgeError::Fault(fault) => fault,
            JudgeError::Tool(error) => {
                tracing::error!(%error, "an upload could not be looked at");
                Fault::FileUnprocessable
            }
        })?;
        drop(turn);
        let mut asset = self.new_asset(bytes.asset(), caller, method, filename, new);
        let blake3 = bytes.blake3().to_owned();
        let early = self.make_ready(&mut asset, source, facts, size, blake3).await;
        let answer = as_created(&asset);
        let receipt = claim.as_ref().map(|claim| claim.receipt(&answer));
        match self.store.publish(bytes, asset, early, receipt, self.clock.now_ms()).await {
            Ok(pushed) => {
                if pushed {
                    self.jobs_pushed();
                }
                Ok(answer)
            }
            Err(error) => self.not_made(caller, error, size, claim).await,
        }
    }

    /// Why an asset was not made; or the answer of the same request, sent at the same time, that was first.
    pub(crate) async fn not_made(
        &self,
        caller: &Caller,
        error: reelhouse_store::Error,
        bytes: u64,
        claim: Option<Claim<'_>>,
    ) -> Result<Asset> {
        match error {
            reelhouse_store::Error::KeyUsed => {
                self.replay(caller, claim.as_ref()).await?.ok_or_else(|| Fault::IdempotencyKeyReused.into())
            }
            reelhouse_store::Error::QuotaReached => {
                Err(self.quota_fault(&caller.account, bytes).await?.into())
            }
            error => {
                tracing::error!(%error, "an upload could not be published");
                Err(Fault::FileUnprocessable.into())
            }
        }
    }

    /// The row of an asset whose bytes are not all here yet.
    pub(crate) fn new_asset(
        &self,
        id: AssetId,
        caller: &Caller,
        method: Method,
        filename: String,
        new: &NewAsset,
    ) -> AssetRecord {
        AssetRecord {
            id,
            account: caller.account.clone(),
            method,
            status: Status::Processing,
            kind: None,
            filename,
            file_type: None,
            size: None,
            duration: None,
            blake3: None,
            created_at: id.created_ms(),
            hls_status: new.enable_hls.then_some(RenditionStatus::Pending),
            thumbnail_status: new.enable_thumbnail.then_some(RenditionStatus::Pending),
            hls_folder: None,
            thumbnail_folder: None,
            error: None,
            user_metadata: new.user_metadata.clone().into_row(),
            technical_metadata: None,
        }
    }

    /// One asset of the caller's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn asset(&self, caller: &Caller, id: AssetId) -> Result<Option<AssetRecord>> {
        Ok(self.store.asset(&caller.account, id).await?)
    }

    /// One page of the caller's assets, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn assets(&self, caller: &Caller, query: &AssetQuery) -> Result<Page<AssetRecord>> {
        let (data, total) = self.store.assets(&caller.account, query).await?;
        Ok(Page { data, page_info: PageInfo::new(query.page, query.page_limit, total) })
    }

    /// Deletes an asset of the caller's; with `force` even when something refers to it. Runs to its end.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, caller: &Caller, id: AssetId, force: bool) -> Result<Removal> {
        let (service, account) = (self.clone(), caller.account.clone());
        let now_ms = self.clock.now_ms();
        let removed = self.run_to_end(async move { service.store.remove(&account, id, force, now_ms).await });
        let removed = removed.await??;
        for kind in JobKind::ALL {
            self.made.remove(&(id, *kind));
        }
        self.webhooks.pushed.notify_one();
        Ok(removed)
    }

    /// All that an asset shows. Its URLs begin with `base`; without one it shows none.
    pub fn asset_detail(&self, record: &AssetRecord, base: Option<&str>) -> AssetDetail {
        let url = |scope, path: &str| Some(format!("{}{}", base?, self.media_url(scope, record.id, path)));
        let made = |status, folder: &Option<String>, scope, file: &str| {
            let folder = folder.as_ref().filter(|_| status == RenditionStatus::Ready)?;
            url(scope, &format!("{folder}/{file}"))
        };
        let is_ready = record.status == Status::Ready;
        let has_storyboard = is_ready && record.kind == Some(MediaKind::Video);
        let filename = utf8_percent_encode(&record.filename, SEGMENT).to_string();
        AssetDetail {
            asset: as_created(record),
            hls: record.hls_status.map(|status| Hls {
                status,
                manifest_url: made(status, &record.hls_folder, MediaScope::Hls, HLS_MASTER_FILE),
            }),
            thumbnail: record.thumbnail_status.map(|status| Thumbnail {
                status,
                representative_url: made(
                    status,
                    &record.thumbnail_folder,
                    MediaScope::Thumbnail,
                    THUMBNAIL_FILE,
                ),
            }),
            original_url: is_ready.then(|| url(MediaScope::Original, &filename)).flatten(),
            storyboard_url: has_storyboard.then(|| url(MediaScope::Storyboard, STORYBOARD_FILE)).flatten(),
            user_metadata: record.user_metadata.clone(),
            error: record.error.clone(),
            technical_metadata: record.technical_metadata.clone(),
        }
    }
}

/// What a create answers.
pub fn as_created(record: &AssetRecord) -> Asset {
    Asset {
        id: record.id,
        method: record.method,
        status: record.status,
        filename: record.filename.clone(),
        file_type: record.file_type.clone(),
        size: record.size,
        duration: record.duration,
        // Whole seconds, as the contract writes them.
        created_at: Timestamp::from_second(record.created_at.div_euclid(1000)).unwrap_or_default(),
    }
}
