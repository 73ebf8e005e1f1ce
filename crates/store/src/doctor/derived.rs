//! Every derivative has its files, every folder of files its derivative, or a job that will see to it.

use std::collections::HashSet;

use reelhouse_api::{AssetId, JobKind};

use crate::{
    Error, Store,
    blobs::{Tree, sharded},
    error::Result,
    shards::{Named, Shards, Walk},
    sql::Sql,
};

use super::{
    Finding, PAGE,
    round::{Round, is_suspicious},
};

#[derive(sqlx::FromRow)]
struct Row {
    asset_id: String,
    kind: String,
    folder: String,
    bytes: i64,
}

impl Round<'_> {
    pub(super) async fn derived(&mut self) -> Result<()> {
        self.progress.begin("derivatives", self.store.derivative_count().await?);
        for (place, shards) in self.parts(Tree::Derived) {
            let walk = self.store.blobs.walk(Tree::Derived, shards).await?;
            self.derivatives_have_files(&walk, shards).await?;
            self.files_have_derivatives(walk).await?;
            self.passed(place.next());
        }
        self.is_short_again();
        Ok(())
    }

    async fn derivatives_have_files(&mut self, walk: &Walk, shards: Shards) -> Result<()> {
        let mut behind = (String::new(), String::new());
        loop {
            let page = self.store.derivative_rows(shards, &behind).await?;
            let Some(last) = page.last() else { return Ok(()) };
            behind = (last.asset_id.clone(), last.kind.clone());
            for row in page {
                self.compare_derivative(walk, row).await?;
                self.progress.passed(1);
            }
        }
    }

    async fn compare_derivative(&mut self, walk: &Walk, row: Row) -> Result<()> {
        let Row { asset_id, kind, folder, bytes } = row;
        let asset = parse(&asset_id)?;
        let recorded = Some(bytes.unsigned_abs());
        if walk.bytes(asset, &folder) == recorded
            || self.store.blobs.derived_bytes(asset, &folder).await? == recorded
        {
            return Ok(());
        }
        // Made anew or deleted meanwhile is fine.
        if self.store.derivative_is(asset, &kind, &folder).await? {
            let kind = JobKind::parse(&kind).ok_or(Error::Corrupt { table: "derivative", id: asset_id })?;
            self.found(Finding::DerivativeDiffers { asset, kind, folder }).await?;
        }
        Ok(())
    }

    async fn files_have_derivatives(&mut self, Walk { named, strange }: Walk) -> Result<()> {
        let mut unknown = Vec::new();
        for page in named.chunks(PAGE as usize) {
            let known = self.store.known_folders(page).await?;
            for Named { asset, folder, .. } in page {
                if !known.contains(&(*asset, folder.clone()))
                    && !self.store.derivative_is_known(*asset, folder).await?
                    && self.store.blobs.derived_bytes(*asset, folder).await?.is_some()
                {
                    unknown.push((*asset, folder.clone()));
                }
            }
        }
        let is_suspicious = is_suspicious(unknown.len(), named.len());
        for (asset, folder) in unknown {
            let place = self.store.place(format!("{}/{folder}", sharded(Tree::Derived, asset)));
            self.found_unknown(Finding::DerivativeUnknown { asset, folder, place }, is_suspicious).await?;
        }
        for path in strange {
            let place = self.store.place(path);
            self.found(Finding::BlobUnknown(place)).await?;
        }
        Ok(())
    }
}

impl Store {
    async fn derivative_count(&self) -> Result<u64> {
        let count: Vec<(i64,)> = self.at_length("SELECT COUNT(*) FROM derivative".to_owned()).await?;
        Ok(count.first().map_or(0, |(count,)| count.unsigned_abs()))
    }

    /// The next page of rows of some shards, in the order of assets and kinds.
    async fn derivative_rows(&self, shards: Shards, behind: &(String, String)) -> Result<Vec<Row>> {
        let (first, last) = shards.digits();
        let page = sqlx::query_as(
            "SELECT asset_id, derivative.kind, folder, bytes FROM derivative JOIN asset ON asset.id = asset_id
             WHERE (asset_id, derivative.kind) > ($1, $2) AND substr(asset_id, 23, 2) BETWEEN $3 AND $4
               AND deleted_at IS NULL ORDER BY asset_id, derivative.kind LIMIT $5",
        );
        let page = page.bind(&behind.0).bind(&behind.1).bind(first).bind(last).bind(PAGE);
        Ok(page.fetch_all(self.db.readers()).await?)
    }

    /// Whether this folder is still what an asset has of a kind.
    async fn derivative_is(&self, asset: AssetId, kind: &str, folder: &str) -> Result<bool> {
        let same: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM derivative JOIN asset ON asset.id = asset_id
             WHERE asset_id = $1 AND derivative.kind = $2 AND folder = $3 AND deleted_at IS NULL",
        )
        .bind(asset.to_string())
        .bind(kind)
        .bind(folder)
        .fetch_optional(self.db.readers())
        .await?;
        Ok(same.is_some())
    }

    /// Folders that have a row, of the assets in a list.
    async fn known_folders(&self, named: &[Named]) -> Result<HashSet<(AssetId, String)>> {
        let mut sql = Sql::new("SELECT asset_id, folder FROM derivative WHERE asset_id IN ");
        sql.bind_list(named.iter().map(|named| named.asset.to_string()));
        let rows: Vec<(String, String)> = sql.rows().fetch_all(self.db.readers()).await?;
        rows.into_iter().map(|(asset, folder)| Ok((parse(&asset)?, folder))).collect()
    }
}

fn parse(id: &str) -> Result<AssetId> {
    AssetId::parse(id).ok_or_else(|| Error::Corrupt { table: "derivative", id: id.to_owned() })
}
