//! The verbs on assets.

use reelhouse_api::{AssetId, Fault, MediaKind, Method, Page, PageInfo, RenditionStatus, Status};
use reelhouse_media::Facts;
use reelhouse_store::{AssetQuery, AssetRecord, Removal};

use crate::{
    Caller, Service, Upload,
    error::{Error, Result},
    filename,
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
}

impl Service {
    /// Makes an asset of an uploaded file. To be called inside [`Service::run_to_end`]: when the answer is lost, the
    /// asset is there or it is not, whole or not at all.
    ///
    /// # Errors
    /// The [`Fault`] of the file or its name, in the order of the contract; nothing is left behind.
    pub async fn create(&self, caller: &Caller, new: NewAsset, upload: Upload) -> Result<AssetRecord> {
        let filename = filename::choose(new.filename.as_deref(), new.part_filename.as_deref())?;
        let arrived = upload.finish().await?;
        let facts =
            self.media.examine(arrived.bytes.path(), arrived.sniffed).await.map_err(fault_of_media)?;
        self.limits.check(&facts, arrived.bytes.size())?;
        let Facts { kind, mime, duration, technical, .. } = facts;

        let id = self.next_id()?;
        // HLS means nothing for an image: ignored, as the contract has it.
        let hls = new.enable_hls && kind != MediaKind::Image;
        let asset = AssetRecord {
            id,
            account: caller.account.clone(),
            method: Method::Direct,
            status: Status::Ready,
            kind: Some(kind),
            filename,
            file_type: Some(mime),
            size: Some(arrived.bytes.size()),
            duration,
            blake3: Some(arrived.bytes.blake3().to_owned()),
            created_at: id.created_ms(),
            hls_status: hls.then_some(RenditionStatus::Pending),
            thumbnail_status: new.enable_thumbnail.then_some(RenditionStatus::Pending),
            hls_folder: None,
            thumbnail_folder: None,
            technical_metadata: Some(Box::new(technical)),
        };
        match self.store.publish(arrived.bytes, &asset).await {
            Ok(()) => {
                // One sleeper for each job: who finds none goes back to sleep.
                self.job_pushed.notify_one();
                self.job_pushed.notify_one();
                Ok(asset)
            }
            Err(reelhouse_store::Error::QuotaReached) => {
                Err(self.quota_fault(&asset.account, asset.size.unwrap_or_default()).await?)
            }
            Err(error) => {
                tracing::error!(%error, "an upload could not be published");
                Err(Error::Fault(Fault::FileUnprocessable))
            }
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
        Ok(self.run_to_end(async move { service.store.remove(&account, id, force, now_ms).await }).await??)
    }
}

/// A file's fault is the caller's; a tool's is ours.
fn fault_of_media(error: reelhouse_media::Error) -> Error {
    match error {
        reelhouse_media::Error::Broken { kind, reason } => {
            tracing::info!(kind = kind.as_str(), reason, "refused a broken file");
            Error::Fault(match kind {
                MediaKind::Video => Fault::VideoFileBroken,
                MediaKind::Audio => Fault::AudioFileBroken,
                MediaKind::Image => Fault::ImageInvalid,
            })
        }
        reelhouse_media::Error::NotMedia { mime } => {
            Error::Fault(Fault::UnsupportedAssetType { asset_type: mime })
        }
        // Ours, but the SDKs cannot read a 5xx on a create (contract, section 10).
        other => {
            tracing::error!(error = %other, "an upload could not be looked at");
            Error::Fault(Fault::FileUnprocessable)
        }
    }
}
