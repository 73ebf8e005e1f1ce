//! Does every row have its bytes, and every byte its row?

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::UNIX_EPOCH,
};

use reelhouse_api::AssetId;

use crate::{
    Error, Store,
    blobs::{BlobKey, Tree, sharded},
    error::Result,
    folder_lock::FolderLock,
    indexed_assets::DURATION_MS,
};

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A row whose bytes are not there.
    BlobMissing(AssetId),
    /// Bytes of another size than the row says.
    SizeDiffers {
        /// The asset.
        asset: AssetId,
        /// Of the row.
        recorded: u64,
        /// On disk.
        found: u64,
    },
    /// Bytes with another hash than the row says.
    HashDiffers(AssetId),
    /// Bytes that no row and no publish under way knows.
    BlobUnknown(String),
    /// An incoming file of an asset that is not arriving, or of none.
    IncomingLeftOver(PathBuf),
    /// A publish that neither ended nor was taken back when the running server started.
    IntentLeftOver(AssetId),
    /// A file in staging from before the running server.
    StagingLeftOver(PathBuf),
    /// A derivative whose files are not all there, or not as they were.
    DerivativeDiffers(AssetId, String),
    /// Files of a derivative that no row and no job knows.
    DerivativeUnknown(String),
    /// The folder of an attempt whose worker is gone.
    AttemptLeftOver(PathBuf),
    /// An account's counters disagree with its rows.
    CountersDiffer(String),
    /// An index's counters disagree with what is in it.
    IndexCountersDiffer(String),
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BlobMissing(asset) => write!(f, "asset {asset}: its bytes are missing"),
            Self::SizeDiffers { asset, recorded, found } => {
                write!(f, "asset {asset}: {found} bytes on disk, {recorded} recorded")
            }
            Self::HashDiffers(asset) => {
                write!(f, "asset {asset}: its bytes are not the ones uploaded (hash differs)")
            }
            Self::BlobUnknown(path) => write!(f, "{path}: no asset knows this file"),
            Self::IncomingLeftOver(path) => {
                write!(f, "{}: no asset waits for these bytes", path.display())
            }
            Self::IntentLeftOver(asset) => {
                write!(f, "asset {asset}: a publish from before this server never ended")
            }
            Self::StagingLeftOver(path) => {
                write!(f, "{}: left in staging from before this server", path.display())
            }
            Self::DerivativeDiffers(asset, folder) => {
                write!(f, "asset {asset}: the files of {folder} are not the ones that were made")
            }
            Self::DerivativeUnknown(path) => write!(f, "{path}: no asset knows this derivative"),
            Self::AttemptLeftOver(path) => {
                write!(f, "{}: left by a worker that is gone", path.display())
            }
            Self::CountersDiffer(account) => {
                write!(f, "account {account}: counters disagree with its assets or webhooks")
            }
            Self::IndexCountersDiffer(index) => {
                write!(f, "index {index}: counters disagree with what is in it")
            }
        }
    }
}

/// What doctor saw.
#[derive(Debug, Default)]
pub struct Report {
    /// Assets whose bytes were read and compared.
    pub assets: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What is wrong; empty when all is well.
    pub findings: Vec<Finding>,
    /// Leftovers of a server that is not running now; its next start clears them. Nothing is wrong with them.
    pub unfinished: u64,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    size: Option<i64>,
    blake3: Option<String>,
    deleted_at: Option<i64>,
}

impl Store {
    /// Compares rows and blobs, reading every byte. Changes nothing; may run beside a server, so what looks wrong
    /// because it was moving is looked at again.
    ///
    /// # Errors
    /// When rows or folders cannot be read at all.
    pub async fn examine(&self) -> Result<Report> {
        let mut report = Report::default();
        let server_since = FolderLock::holder(self.blobs.scratch.root()).map(|holder| holder.started_at);

        // Blobs before intents before rows: a publish under way is then seen in at least one of them.
        let blobs = self.blobs.walk(Tree::Originals).await?;
        let staging = self.blobs.scratch.staging_files()?;
        let incoming = self.blobs.incoming()?;
        let intents: BTreeSet<AssetId> = self.intents_before(i64::MAX).await?.into_iter().collect();
        let rows = self.rows().await?;

        for asset in &intents {
            match server_since {
                Some(since) if asset.created_ms() < since => {
                    report.findings.push(Finding::IntentLeftOver(*asset))
                }
                Some(_) => {}
                None => report.unfinished += 1,
            }
        }
        for path in staging {
            let modified = path.metadata().and_then(|file| file.modified()).ok();
            let modified_ms =
                modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map(|age| age.as_millis());
            match (server_since, modified_ms) {
                (None, Some(_)) => report.unfinished += 1,
                (Some(since), Some(ms)) if ms < u128::from(since.unsigned_abs()) => {
                    report.findings.push(Finding::StagingLeftOver(path));
                }
                // Of the running server, or gone since it was listed.
                _ => {}
            }
        }
        for blob in blobs {
            match blob {
                Ok(asset) if rows.contains_key(&asset) || intents.contains(&asset) => {}
                Ok(asset) => {
                    let key = BlobKey::Original(asset);
                    if self.row(asset).await?.is_none()
                        && !self.is_revisited(asset).await?
                        && self.blobs.read(&key).await?.is_some()
                    {
                        report.findings.push(Finding::BlobUnknown(self.blobs.shown(&key.path())));
                    }
                }
                Err(path) => report.findings.push(Finding::BlobUnknown(path)),
            }
        }
        for entry in incoming {
            let path = match entry {
                Ok(asset) => self.blobs.scratch.incoming_path(asset),
                Err(path) => path,
            };
            let asset = path.file_name().and_then(|name| name.to_str()).and_then(AssetId::parse);
            let awaited = match asset {
                Some(asset) => self.is_arriving(asset).await?,
                None => false,
            };
            match (awaited || !path.exists(), server_since) {
                (true, _) => {}
                // The row comes just behind its file.
                (false, Some(since)) if asset.is_some_and(|asset| asset.created_ms() >= since) => {}
                (false, Some(_)) => report.findings.push(Finding::IncomingLeftOver(path)),
                (false, None) => report.unfinished += 1,
            }
        }
        for (asset, row) in &rows {
            if row.deleted_at.is_some() {
                report.unfinished += u64::from(server_since.is_none());
            } else if row.blake3.is_some() {
                self.compare(*asset, row, &mut report).await?;
            }
        }
        self.compare_derivatives(&mut report, server_since.is_some()).await?;
        self.compare_counters(&mut report).await?;
        Ok(report)
    }

    async fn compare(&self, asset: AssetId, row: &Row, report: &mut Report) -> Result<()> {
        let recorded = row.size.unwrap_or_default().unsigned_abs();
        match self.blobs.hash(&BlobKey::Original(asset)).await? {
            // Deleted meanwhile is fine.
            None if self.row(asset).await?.is_none_or(|row| row.deleted_at.is_some()) => {}
            None => report.findings.push(Finding::BlobMissing(asset)),
            Some((found, _)) if found != recorded => {
                report.findings.push(Finding::SizeDiffers { asset, recorded, found });
            }
            Some((_, hash)) if row.blake3.as_ref() != Some(&hash) => {
                report.findings.push(Finding::HashDiffers(asset))
            }
            Some((found, _)) => {
                report.assets += 1;
                report.bytes += found;
            }
        }
        Ok(())
    }

    /// Every derivative has its files, every folder of files its derivative, or a job that will see to it.
    async fn compare_derivatives(&self, report: &mut Report, server_runs: bool) -> Result<()> {
        for path in self.abandoned_attempts().await? {
            if server_runs {
                report.findings.push(Finding::AttemptLeftOver(path));
            } else {
                report.unfinished += 1;
            }
        }
        let on_disk = self.blobs.walk(Tree::Derived).await?;
        let records = self.derivatives().await?;
        for record in &records {
            let found = self.blobs.derived_bytes(record.asset_id, &record.folder).await?;
            // Made anew or deleted meanwhile is fine.
            let same = || async {
                Ok::<_, Error>(self.derivative(record.asset_id, record.kind).await?.as_ref() == Some(record))
            };
            if found != Some(record.bytes) && same().await? {
                report.findings.push(Finding::DerivativeDiffers(record.asset_id, record.folder.clone()));
            }
        }
        for entry in on_disk {
            let asset = match entry {
                Ok(asset) => asset,
                Err(path) => {
                    report.findings.push(Finding::DerivativeUnknown(path));
                    continue;
                }
            };
            for folder in self.blobs.derived_folders(asset).await? {
                if !self.derivative_is_known(asset, &folder).await? {
                    let path = format!("{}/{folder}", sharded(Tree::Derived, asset));
                    if self.blobs.derived_bytes(asset, &folder).await?.is_some() {
                        report.findings.push(Finding::DerivativeUnknown(self.blobs.shown(&path)));
                    }
                }
            }
        }
        Ok(())
    }

    async fn compare_counters(&self, report: &mut Report) -> Result<()> {
        let differing: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM account LEFT JOIN (
                 SELECT account, COUNT(*) AS assets, SUM(COALESCE(size, 0)) AS bytes
                 FROM asset WHERE deleted_at IS NULL GROUP BY account
             ) AS held ON held.account = account.name
             WHERE asset_count <> COALESCE(held.assets, 0) OR asset_bytes <> COALESCE(held.bytes, 0)
                OR webhooks <> (SELECT COUNT(*) FROM webhook WHERE webhook.account = account.name AND disabled_at IS NULL)
             ORDER BY name",
        )
        .fetch_all(self.db.readers())
        .await?;
        report.findings.extend(differing.into_iter().map(Finding::CountersDiffer));
        let sql = format!(
            "SELECT id FROM media_index LEFT JOIN (
                 SELECT index_id, COUNT(*) AS videos, SUM({DURATION_MS}) AS ms FROM indexed_asset GROUP BY index_id
             ) AS held ON held.index_id = media_index.id
             WHERE video_count <> COALESCE(held.videos, 0) OR total_duration_ms <> COALESCE(held.ms, 0) ORDER BY id"
        );
        let differing: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(self.db.readers()).await?;
        report.findings.extend(differing.into_iter().map(Finding::IndexCountersDiffer));
        Ok(())
    }

    async fn rows(&self) -> Result<BTreeMap<AssetId, Row>> {
        let rows: Vec<Row> = sqlx::query_as("SELECT id, size, blake3, deleted_at FROM asset")
            .fetch_all(self.db.readers())
            .await?;
        rows.into_iter().map(|row| Ok((parse(&row.id)?, row))).collect()
    }

    async fn row(&self, asset: AssetId) -> Result<Option<Row>> {
        Ok(sqlx::query_as("SELECT id, size, blake3, deleted_at FROM asset WHERE id = $1")
            .bind(asset.to_string())
            .fetch_optional(self.db.readers())
            .await?)
    }
}

fn parse(id: &str) -> Result<AssetId> {
    AssetId::parse(id).ok_or_else(|| Error::Corrupt { table: "asset", id: id.to_owned() })
}
