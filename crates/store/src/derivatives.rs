//! What is made of assets: an attempt writes into a folder of its own, which becomes the derivative when, and only when, the
//! attempt still holds its job.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use reelhouse_api::{AssetId, JobKind, RenditionStatus};
use sqlx::AnyConnection;

use crate::{
    JobRecord, Store,
    blobs::{BlobKey, blocking},
    error::{During, Result},
    jobs, revisit,
    scratch::list,
    writer::transaction,
};

/// What was made of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivativeRecord {
    /// Of which asset.
    pub asset_id: AssetId,
    /// What it is.
    pub kind: JobKind,
    /// The folder of its files: no other attempt ever had it.
    pub folder: String,
    /// Bytes of all files.
    pub bytes: u64,
    /// How it was made, JSON.
    pub details: String,
}

/// The folder of an attempt. Dropped, it is gone with all that is in it.
#[derive(Debug)]
pub struct Attempt {
    path: PathBuf,
}

impl Attempt {
    /// Where to write, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.path) {
            Ok(()) => {}
            // Published: renamed away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(%error, "could not remove the folder of an attempt"),
        }
    }
}

impl Store {
    /// A new, empty folder for an attempt at a job.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn begin_attempt(&self, job: &JobRecord) -> Result<Attempt> {
        let attempt = Attempt { path: self.blobs.scratch.attempt_path(&job.attempt()) };
        let path = attempt.path.clone();
        blocking(move || fs::create_dir_all(path).during("making the folder of an attempt")).await?;
        Ok(attempt)
    }

    /// Makes what an attempt wrote the asset's derivative and ends the job, both or neither. False when the job is no
    /// longer the attempt's; then nothing of it remains.
    ///
    /// The files are flushed and moved before the commit. A crash in between leaves a folder that the job's next attempt
    /// removes; a job ends only when the folders of all other attempts are gone.
    ///
    /// # Errors
    /// When the database or the folder fails.
    pub async fn finish_job(
        &self,
        job: &JobRecord,
        attempt: Attempt,
        details: &str,
        now_ms: i64,
    ) -> Result<bool> {
        let (asset, kind, folder) = (job.asset_id, job.kind, job.attempt());
        let current = self.derivative(asset, kind).await?.map(|derivative| derivative.folder);
        let path = attempt.path().to_owned();
        let bytes = blocking(move || bytes_of(&path)).await?;
        self.blobs
            .remove_derived(asset, move |other| {
                JobRecord::is_attempt_at(kind, other) && Some(other) != current.as_deref()
            })
            .await?;
        self.blobs.place_derived(attempt.path().to_owned(), asset, &folder).await?;
        drop(attempt);
        let committed = self.commit_derivative(job, bytes, details, now_ms).await;
        if committed.as_ref().is_err_and(|error| !error.is_certain()) {
            // The job's next attempt removes one of the two; if there is none, this one has its row.
            return committed;
        }
        let stays = matches!(committed, Ok(true));
        // Now only one of them has a row: the old derivative goes, or this one.
        self.blobs
            .remove_derived(asset, move |other| {
                JobRecord::is_attempt_at(kind, other) && (other == folder) != stays
            })
            .await?;
        committed
    }

    async fn commit_derivative(
        &self,
        job: &JobRecord,
        bytes: u64,
        details: &str,
        now_ms: i64,
    ) -> Result<bool> {
        transaction!(self.db, |tx| {
            if !jobs::end(tx, job).await? {
                return Ok(false);
            }
            revisit::push_after(tx, job, now_ms).await?;
            record(tx, (job.asset_id, job.kind), &job.attempt(), bytes, details, now_ms).await?;
            jobs::show(tx, job.asset_id, job.kind, RenditionStatus::Ready, now_ms).await?;
            Ok(true)
        })
    }

    /// What was made of an asset, if it was. Nothing is found of a deleted asset.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn derivative(&self, asset: AssetId, kind: JobKind) -> Result<Option<DerivativeRecord>> {
        let row: Option<(String, i64, String)> = sqlx::query_as(
            "SELECT folder, bytes, details FROM derivative JOIN asset ON asset.id = asset_id
             WHERE asset_id = $1 AND derivative.kind = $2 AND deleted_at IS NULL",
        )
        .bind(asset.to_string())
        .bind(kind.as_str())
        .fetch_optional(self.db.readers())
        .await?;
        Ok(row.map(|(folder, bytes, details)| DerivativeRecord {
            asset_id: asset,
            kind,
            folder,
            bytes: bytes.unsigned_abs(),
            details,
        }))
    }

    /// Whether a folder of derivatives is wanted, or will be looked for again.
    pub(crate) async fn derivative_is_known(&self, asset: AssetId, folder: &str) -> Result<bool> {
        Ok(self.is_revisited(asset).await? || self.derivative_is_wanted(asset, folder).await?)
    }

    /// Whether a folder of derivatives has a row, or a job or a publish that will see to it, or an asset that is just being
    /// deleted.
    pub(crate) async fn derivative_is_wanted(&self, asset: AssetId, folder: &str) -> Result<bool> {
        let wanted: Option<i64> = sqlx::query_scalar(
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM derivative WHERE asset_id = $1 AND folder = $2)
                OR EXISTS (SELECT 1 FROM job WHERE asset_id = $1
                              AND ($2 LIKE kind || '-%' OR kind IN ('import', 'examine')))
                OR EXISTS (SELECT 1 FROM publish_intent WHERE asset_id = $1)
                OR EXISTS (SELECT 1 FROM asset WHERE id = $1 AND deleted_at IS NOT NULL)",
        )
        .bind(asset.to_string())
        .bind(folder)
        .fetch_optional(self.db.readers())
        .await?;
        Ok(wanted.is_some())
    }

    /// Folders of attempts that no running job knows: their workers are gone.
    pub(crate) async fn abandoned_attempts(&self) -> Result<Vec<PathBuf>> {
        // Folders before jobs: an attempt under way is then seen in both.
        let folders = self.blobs.scratch.attempts()?;
        let running: Vec<String> = self.running_jobs().await?.into_iter().map(|job| job.attempt()).collect();
        let known = |path: &PathBuf| {
            path.file_name().is_some_and(|name| running.iter().any(|attempt| name == attempt.as_str()))
        };
        Ok(folders.into_iter().filter(|path| !known(path)).collect())
    }
}

impl DerivativeRecord {
    /// The key of one of its files.
    pub fn file(&self, file: impl Into<String>) -> BlobKey {
        BlobKey::Derived { asset: self.asset_id, folder: self.folder.clone(), file: file.into() }
    }
}

impl JobRecord {
    /// Whether a folder's name is that of an attempt at a job of this kind.
    pub(crate) fn is_attempt_at(kind: JobKind, folder: &str) -> bool {
        folder.strip_prefix(kind.as_str()).is_some_and(|rest| rest.starts_with('-'))
    }
}

/// Writes the row of a derivative, whose files are in their place; it takes that of an older one.
pub(crate) async fn record(
    tx: &mut AnyConnection,
    (asset, kind): (AssetId, JobKind),
    folder: &str,
    bytes: u64,
    details: &str,
    now_ms: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO derivative (asset_id, kind, folder, bytes, details, created_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (asset_id, kind) DO UPDATE SET folder = $3, bytes = $4, details = $5, created_at = $6",
    )
    .bind(asset.to_string())
    .bind(kind.as_str())
    .bind(folder)
    .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
    .bind(details)
    .bind(now_ms)
    .execute(tx)
    .await?;
    Ok(())
}

/// Bytes of the files in a flat folder.
fn bytes_of(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for path in list(folder)? {
        bytes += path.metadata().during("looking at what an attempt made")?.len();
    }
    Ok(bytes)
}
