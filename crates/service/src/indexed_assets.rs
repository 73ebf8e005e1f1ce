//! The verbs on what is in indexes (contract, section 6).

use reelhouse_api::{
    AssetId, Fault, IndexId, IndexedAssetId, Page, PageInfo, Status, UserMetadata, index::IndexedAssetStatus,
};
use reelhouse_store::{Added, AssetRecord, IndexedAssetQuery, IndexedAssetRecord, SystemRecord};

use crate::{Caller, KeptMetadata, Service, error::Result, models};

/// What an asset is added to an index with.
#[derive(Debug, Clone)]
pub struct NewIndexedAsset {
    /// As the caller wrote it.
    pub asset_id: String,
    /// Whether its HLS is offered with it.
    pub enable_video_stream: bool,
    /// What the user wants kept with it.
    pub user_metadata: UserMetadata,
}

impl Service {
    /// Adds a ready asset of the caller's to an index of the caller's; a job checks it against the index's models.
    ///
    /// # Errors
    /// [`Fault::ResourceNotExist`] for either, or the [`Fault`] of an asset that is not ready or is in already.
    pub async fn add_to_index(
        &self,
        caller: &Caller,
        index: IndexId,
        new: NewIndexedAsset,
    ) -> Result<IndexedAssetRecord> {
        self.index(caller, index).await?;
        let user_metadata = KeptMetadata::of(new.user_metadata)?.into_row();
        let asset_not_found =
            || Fault::ResourceNotExist { resource_id: new.asset_id.clone(), collection_name: "assets" };
        let asset_id = AssetId::parse(&new.asset_id).ok_or_else(asset_not_found)?;
        let asset = self.asset(caller, asset_id).await?.ok_or_else(asset_not_found)?;
        if asset.status != Status::Ready {
            let reason = format!("The asset {asset_id} is {}, it must be ready.", asset.status.as_str());
            return Err(Fault::ParameterInvalid { parameter: "asset_id", reason }.into());
        }
        let id: IndexedAssetId = self.next_id()?;
        let record = IndexedAssetRecord {
            id,
            index_id: index,
            asset_id,
            status: IndexedAssetStatus::Pending,
            enable_video_stream: new.enable_video_stream,
            created_at: id.created_ms(),
            updated_at: id.created_ms(),
            indexed_at: None,
            asset_deleted_at: None,
            error: None,
            system: system(&asset),
            user_metadata,
            stream_made_at: None,
        };
        match self.store.add_to_index(&caller.account, &record).await? {
            Added::Added => {
                self.jobs_pushed();
                Ok(record)
            }
            Added::NoIndex => Err(crate::index_not_found(index).into()),
            Added::NoAsset => Err(asset_not_found().into()),
            Added::Already(earlier) => {
                let reason = format!("The asset {asset_id} is in this index already, as {earlier}.");
                Err(Fault::ParameterInvalid { parameter: "asset_id", reason }.into())
            }
        }
    }

    /// One indexed asset, and its asset where its HLS is offered and the asset is still there.
    ///
    /// # Errors
    /// [`Fault::ResourceNotExist`] for the index or the indexed asset.
    pub async fn indexed_asset(
        &self,
        caller: &Caller,
        index: IndexId,
        id: IndexedAssetId,
    ) -> Result<(IndexedAssetRecord, Option<AssetRecord>)> {
        let Some(record) = self.store.indexed_asset(&caller.account, index, id).await? else {
            return self.neither(caller, index, id).await;
        };
        let asset = match record.enable_video_stream {
            true => self.asset(caller, record.asset_id).await?,
            false => None,
        };
        Ok((record, asset))
    }

    /// One page of what is in an index.
    ///
    /// # Errors
    /// [`Fault::ResourceNotExist`] for the index.
    pub async fn indexed_assets(
        &self,
        caller: &Caller,
        index: IndexId,
        query: &IndexedAssetQuery,
    ) -> Result<Page<IndexedAssetRecord>> {
        let found = self.store.indexed_assets(&caller.account, index, query).await?;
        let (data, total) = found.ok_or_else(|| crate::index_not_found(index))?;
        Ok(Page { data, page_info: PageInfo::new(query.page, query.page_limit, total) })
    }

    /// One page of the places of an asset of the caller's: each is an indexed asset, its index, and the index's name.
    /// `None` if there is no such asset.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn places_of(
        &self,
        caller: &Caller,
        asset: AssetId,
        page: u64,
        page_limit: u32,
    ) -> Result<Option<Page<(IndexedAssetId, IndexId, String)>>> {
        if self.asset(caller, asset).await?.is_none() {
            return Ok(None);
        }
        let (data, total) = self.store.places_of(asset, page, page_limit).await?;
        Ok(Some(Page { data, page_info: PageInfo::new(page, page_limit, total) }))
    }

    /// Merges changes into what is kept with an indexed asset.
    ///
    /// # Errors
    /// The [`Fault`] of what cannot be kept, or [`Fault::ResourceNotExist`].
    pub async fn update_indexed_asset(
        &self,
        caller: &Caller,
        index: IndexId,
        id: IndexedAssetId,
        changes: UserMetadata,
    ) -> Result<()> {
        let change = |kept| Ok(KeptMetadata::of_row(kept).with(changes.clone())?.into_row());
        let (account, now_ms) = (&caller.account, self.clock.now_ms());
        let found: Result<bool> =
            self.store.change_indexed_metadata(account, index, id, now_ms, change).await;
        if found? { Ok(()) } else { self.neither(caller, index, id).await }
    }

    /// Takes an indexed asset out of its index; the asset stays.
    ///
    /// # Errors
    /// [`Fault::ResourceNotExist`] for the index or the indexed asset.
    pub async fn remove_from_index(&self, caller: &Caller, index: IndexId, id: IndexedAssetId) -> Result<()> {
        let found = self.store.remove_from_index(&caller.account, index, id).await?;
        if found { Ok(()) } else { self.neither(caller, index, id).await }
    }

    /// Which of the two there is not.
    async fn neither<T>(&self, caller: &Caller, index: IndexId, id: IndexedAssetId) -> Result<T> {
        self.index(caller, index).await?;
        Err(indexed_asset_not_found(id).into())
    }
}

/// 404 for an id as the caller wrote it.
pub fn indexed_asset_not_found(id: impl ToString) -> Fault {
    Fault::ResourceNotExist { resource_id: id.to_string(), collection_name: "indexed-assets" }
}

fn system(asset: &AssetRecord) -> SystemRecord {
    let technical = asset.technical_metadata.as_deref();
    let upright = technical.and_then(models::upright);
    SystemRecord {
        filename: asset.filename.clone(),
        duration: asset.duration,
        fps: technical.and_then(|technical| technical.video_fps),
        width: upright.map(|upright| upright.width),
        height: upright.map(|upright| upright.height),
        size: asset.size,
    }
}
