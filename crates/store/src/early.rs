//! What is made of an asset the moment it becomes ready. Its files are in their place before the transaction that makes the
//! asset ready, and its row is part of that transaction.

use reelhouse_api::{AssetId, JobKind};
use sqlx::AnyConnection;

use crate::{JobRecord, blobs::Blobs, derivatives, error::Result};

/// A derivative that is there as soon as its asset is: small files, in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlyDerivative {
    /// What it is.
    pub kind: JobKind,
    /// Name and content of each.
    pub files: Vec<(String, Vec<u8>)>,
    /// How it was made, JSON.
    pub details: String,
}

impl EarlyDerivative {
    /// The name of its folder where no job makes the asset ready. No attempt at a job ever has it.
    pub(crate) fn folder_at_publish(&self, asset: AssetId) -> String {
        format!("{}-{asset}-0", self.kind.as_str())
    }

    /// The name of its folder where a job's attempt makes the asset ready.
    pub(crate) fn folder_of_attempt(&self, job: &JobRecord) -> String {
        format!("{}-{}-{}", self.kind.as_str(), job.id, job.token)
    }

    /// Writes its files where derivatives lie, durably. What a crash leaves of them, the publish's intent or the job's next
    /// attempt removes.
    pub(crate) async fn write(&self, blobs: &Blobs, asset: AssetId, folder: &str) -> Result<()> {
        blobs.write_derived(asset, folder, self.files.clone()).await
    }

    /// Its row, in the transaction that makes its asset ready.
    pub(crate) async fn record(
        &self,
        tx: &mut AnyConnection,
        asset: AssetId,
        folder: &str,
        now_ms: i64,
    ) -> Result<()> {
        let bytes = self.files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        derivatives::record(tx, (asset, self.kind), folder, bytes, &self.details, now_ms).await
    }
}

/// Removes what earlier attempts at a job left of early derivatives, never what a later one wrote.
pub(crate) async fn remove_of_earlier_attempts(blobs: &Blobs, job: &JobRecord) -> Result<()> {
    let (job_id, token) = (job.id.clone(), job.token);
    let is_earlier = move |name: &str| {
        let of_job = name.rsplit_once('-').filter(|(rest, _)| rest.ends_with(&job_id));
        of_job.and_then(|(_, other)| other.parse().ok()).is_some_and(|other: i64| other < token)
    };
    blobs.remove_derived(job.asset_id, is_earlier).await
}
