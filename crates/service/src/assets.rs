//! The verbs on assets.

use jiff::Timestamp;
use reelhouse_api::{Asset, AssetId, Fault, Method, Page, PageInfo, RenditionStatus, Status};
use reelhouse_store::{AssetQuery, AssetRecord, Removal};

use crate::{
    Caller, IdempotencyKey, KeptMetadata, Service, Upload, error::Result, filename, idempotency::Claim,
    judge::JudgeError, upload::Arrived,
};

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
        let Arrived { bytes, sniffed, method, _share } = arrived;
        let size = bytes.size();
        // Ours, but the SDKs cannot read a 5xx on a create (contract, section 10).
        let turn = self.look_turns.share(&caller.account, 1).await?;
        let judged = self.judge(bytes.path(), sniffed, method, size).await;
        let facts = judged.map_err(|error| match error {
            JudgeError::Fault(fault) => fault,
            JudgeError::Tool(error) => {
                tracing::error!(%error, "an upload could not be looked at");
                Fault::FileUnprocessable
            }
        })?;
        drop(turn);
        let mut asset = self.new_asset(caller, method, filename, new)?;
        let blake3 = bytes.blake3().to_owned();
        let early = self.make_ready(&mut asset, bytes.path(), facts, size, blake3).await;
        let answer = as_created(&asset);
        let receipt = claim.as_ref().map(|claim| claim.receipt(&answer));
        match self.store.publish(bytes, asset, early, receipt).await {
            Ok(()) => {
                self.jobs_pushed();
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
        caller: &Caller,
        method: Method,
        filename: String,
        new: &NewAsset,
    ) -> Result<AssetRecord> {
        let id: AssetId = self.next_id()?;
        Ok(AssetRecord {
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
        })
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
        Ok(self.run_to_end(async move { service.store.remove(&account, id, force, now_ms).await }).await??)
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
