//! What waits has something to wait for. That is kept so by single transactions: what one statement sees is never on its way.

use reelhouse_api::{AssetError, AssetId, Fault, JobKind, RenditionStatus};
use sqlx::AssertSqlSafe;

use crate::{
    Error, Store,
    assets::become_failed,
    dialect::{self, Dialect},
    error::Result,
    fold::fold,
    indexed_assets::asset_is_gone,
    jobs,
    writer::transaction,
};

use super::{Finding, round::Round};

/// Rows that one statement looks at.
const WINDOW: i64 = 10_000;
/// How long a lease may be over: whoever runs looks every few seconds, in milliseconds.
const LONG_OVER: i64 = 5 * 60 * 1000;

/// A job that is there, and may yet do something; of an asset of the table `asset`, but for its kind.
const LIVES: &str =
    "SELECT 1 FROM job WHERE job.asset_id = asset.id AND job.state IN ('queued', 'running') AND job.kind";

/// Nothing will end it: no job that decides, and no upload whose time will be over.
fn processing_for_ever() -> String {
    format!(
        "SELECT id FROM asset WHERE id > $1 AND id <= $2 AND status = 'processing' AND deleted_at IS NULL
            AND NOT EXISTS ({LIVES} IN ('import', 'examine'))
            AND NOT EXISTS (SELECT 1 FROM upload_session
                            WHERE upload_session.asset_id = asset.id AND upload_session.status = 'active')"
    )
}

/// What is shown of it is neither there nor being made.
fn rendition_for_ever(kind: JobKind, column: &str) -> String {
    let kind = kind.as_str();
    format!(
        "SELECT id FROM asset WHERE id > $1 AND id <= $2 AND status = 'ready' AND deleted_at IS NULL
            AND ({column} IN ('pending', 'processing') OR {column} = 'ready' AND NOT EXISTS (
                     SELECT 1 FROM derivative WHERE derivative.asset_id = asset.id AND derivative.kind = '{kind}'))
            AND NOT EXISTS ({LIVES} = '{kind}')"
    )
}

const NAME_MISSING: &str = "SELECT id FROM asset WHERE id > $1 AND id <= $2
    AND NOT EXISTS (SELECT 1 FROM asset_search_docsize WHERE asset_search_docsize.id = asset.seq)";

fn places_for_ever() -> String {
    format!(
        "SELECT DISTINCT asset_id FROM indexed_asset JOIN asset ON asset.id = indexed_asset.asset_id
         WHERE indexed_asset.id > $1 AND indexed_asset.id <= $2 AND asset.deleted_at IS NULL
           AND indexed_asset.status IN ('pending', 'queued', 'indexing') AND NOT EXISTS ({LIVES} = 'index')"
    )
}

const PLACES_OF_NOTHING: &str = "SELECT DISTINCT asset_id FROM indexed_asset
    WHERE id > $1 AND id <= $2 AND asset_deleted_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM asset WHERE asset.id = asset_id AND asset.deleted_at IS NULL)";

/// Like `store::deliveries::unblock_all`. Ids lead, no index of states.
const FIRST: &str = "state || '' = 'blocked' AND NOT EXISTS (
    SELECT 1 FROM webhook_delivery AS other
    WHERE other.webhook_id = webhook_delivery.webhook_id AND other.subject = webhook_delivery.subject
      AND (other.state IN ('waiting', 'sending')
           OR other.state = 'blocked' AND other.seq < webhook_delivery.seq))";

impl Round<'_> {
    pub(super) async fn waiting(&mut self) -> Result<()> {
        self.progress.begin("what waits", 0);
        let asset: fn(AssetId) -> Finding = Finding::ProcessingForEver;
        self.in_windows("asset", processing_for_ever(), |id| Ok(asset(parse(id)?))).await?;
        for (kind, column) in [(JobKind::Hls, "hls_status"), (JobKind::Thumbnail, "thumbnail_status")] {
            let finding = |id| Ok(Finding::RenditionForEver(parse(id)?, kind));
            self.in_windows("asset", rendition_for_ever(kind, column), finding).await?;
        }
        if self.store.db.dialect() == Dialect::Sqlite {
            let finding = |id| Ok(Finding::NameMissing(parse(id)?));
            self.in_windows("asset", NAME_MISSING.to_owned(), finding).await?;
        }
        let finding = |id| Ok(Finding::PlacesForEver(parse(id)?));
        self.in_windows("indexed_asset", places_for_ever(), finding).await?;
        let finding = |id| Ok(Finding::PlacesOfNothing(parse(id)?));
        self.in_windows("indexed_asset", PLACES_OF_NOTHING.to_owned(), finding).await?;
        let blocked = format!("SELECT id FROM webhook_delivery WHERE id > $1 AND id <= $2 AND {FIRST}");
        self.in_windows("webhook_delivery", blocked, |id| Ok(Finding::DeliveryBlocked(id))).await?;
        self.leases().await
    }

    /// Looks for something in a table, so many rows at a time. `sql` finds it between two ids.
    async fn in_windows(
        &mut self,
        table: &str,
        sql: String,
        finding: impl Fn(String) -> Result<Finding>,
    ) -> Result<()> {
        let mut behind = String::new();
        while let Some(last) = self.store.window(table, &behind).await? {
            let found: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql.as_str()))
                .bind(&behind)
                .bind(&last)
                .fetch_all(self.store.db.readers())
                .await?;
            for id in found {
                self.found(finding(id)?).await?;
            }
            behind = last;
        }
        Ok(())
    }

    async fn leases(&mut self) -> Result<()> {
        let before_ms = self.how.now_ms - LONG_OVER;
        let jobs: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT id, asset_id, kind FROM job WHERE state = 'running' AND lease_until < $1 ORDER BY id",
        )
        .bind(before_ms)
        .fetch_all(self.store.db.readers())
        .await?;
        for (job, asset, kind) in jobs {
            self.left(Finding::LeaseOver { job, asset, kind }).await?;
        }
        let deliveries: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM webhook_delivery WHERE state = 'sending' AND lease_until < $1 ORDER BY id",
        )
        .bind(before_ms)
        .fetch_all(self.store.db.readers())
        .await?;
        for id in deliveries {
            self.left(Finding::DeliveryLeaseOver(id)).await?;
        }
        Ok(())
    }
}

impl Store {
    /// The last id of the next rows of a table; `None` where there are none.
    async fn window(&self, table: &str, behind: &str) -> Result<Option<String>> {
        let sql = format!(
            "SELECT MAX(id) FROM (SELECT id FROM {table} WHERE id > $1 ORDER BY id LIMIT {WINDOW}) AS window_of_rows"
        );
        let last = sqlx::query_scalar(AssertSqlSafe(sql)).bind(behind).fetch_one(self.db.readers());
        Ok(last.await?)
    }

    /// Lets something end what is processing: the job that was to, or nobody ever will.
    pub(super) async fn end_processing(&self, asset: AssetId, now_ms: i64) -> Result<&'static str> {
        let sql = format!("{} AND id = $3", processing_for_ever());
        let (done, is_failed) = transaction!(self.db, |tx| {
            let still: Option<String> = sqlx::query_scalar(AssertSqlSafe(sql.as_str()))
                .bind("")
                .bind(asset.to_string())
                .bind(asset.to_string())
                .fetch_optional(&mut *tx)
                .await?;
            if still.is_none() {
                return Ok(("it is no more", false));
            }
            for (kind, sql) in [
                (JobKind::Import, "SELECT 1 FROM import WHERE asset_id = $1"),
                (
                    JobKind::Examine,
                    "SELECT 1 FROM upload_session WHERE asset_id = $1 AND status = 'completed'",
                ),
            ] {
                let there: Option<i64> =
                    sqlx::query_scalar(sql).bind(asset.to_string()).fetch_optional(&mut *tx).await?;
                if there.is_some() {
                    jobs::push(tx, asset, kind, now_ms).await?;
                    return Ok(("its job is pushed again", false));
                }
            }
            // As a job that decides is given up.
            become_failed(tx, asset, &AssetError::from(&Fault::FileUnprocessable), now_ms).await?;
            Ok(("its bytes can come no more: it has failed", true))
        })?;
        if is_failed {
            self.remove_failed(asset).await?;
        }
        Ok(done)
    }

    /// Pushes the job that makes what an asset asks for.
    pub(super) async fn make_rendition(&self, asset: AssetId, kind: JobKind, now_ms: i64) -> Result<()> {
        transaction!(self.db, |tx| {
            jobs::push(tx, asset, kind, now_ms).await?;
            jobs::show(tx, asset, kind, RenditionStatus::Pending, now_ms).await
        })
    }

    /// Says on an asset's places that it is gone.
    pub(super) async fn asset_left_places(&self, asset: AssetId, now_ms: i64) -> Result<()> {
        let gone = Fault::ResourceNotExist { resource_id: asset.to_string(), collection_name: "assets" };
        transaction!(self.db, |tx| { asset_is_gone(tx, asset, &AssetError::from(&gone), now_ms).await })
    }

    /// Lets a delivery go that waits for none.
    pub(super) async fn let_delivery_go(&self, id: &str, now_ms: i64) -> Result<()> {
        let sql =
            format!("UPDATE webhook_delivery SET state = 'waiting', run_at = $2 WHERE id = $1 AND {FIRST}");
        transaction!(self.db, |tx| {
            sqlx::query(AssertSqlSafe(sql.as_str())).bind(id).bind(now_ms).execute(tx).await?;
            Ok(())
        })
    }

    /// Takes back all leases that are long over.
    pub(super) async fn take_back_all(&self, now_ms: i64) -> Result<()> {
        self.take_back_leases(now_ms - LONG_OVER, None).await?;
        self.take_back_deliveries(now_ms - LONG_OVER, None).await
    }

    /// Makes an asset's name searchable again.
    pub(super) async fn name_again(&self, asset: AssetId) -> Result<()> {
        transaction!(self.db, |tx| {
            let row: Option<(String, String)> = sqlx::query_as(
                "SELECT account, filename FROM asset WHERE id = $1
                    AND NOT EXISTS (SELECT 1 FROM asset_search_docsize WHERE asset_search_docsize.id = asset.seq)",
            )
            .bind(asset.to_string())
            .fetch_optional(&mut *tx)
            .await?;
            match row {
                Some((account, filename)) => dialect::index_name(tx, asset, &account, &fold(&filename)).await,
                None => Ok(()),
            }
        })
    }
}

fn parse(id: String) -> Result<AssetId> {
    AssetId::parse(&id).ok_or(Error::Corrupt { table: "asset", id })
}
