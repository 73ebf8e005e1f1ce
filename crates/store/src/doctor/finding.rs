use std::{fmt, path::PathBuf};

use reelhouse_api::{AssetId, JobKind};
use serde::{Deserialize, Serialize};

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// Bytes that the system does not give.
    Unreadable {
        /// The asset.
        asset: AssetId,
        /// What it says instead.
        reason: String,
    },
    /// Bytes that no row and no publish under way knows.
    BlobUnknown(Place),
    /// Bytes of an asset that failed.
    BlobOfFailed(AssetId),
    /// An incoming file of an asset that is not arriving, or of none.
    IncomingLeftOver(PathBuf),
    /// A publish that neither ended nor was taken back.
    IntentLeftOver(AssetId),
    /// A deleted asset whose removal did not come to its end.
    RemovalLeftOver(AssetId),
    /// An asset whose bytes were to be looked for again, and nobody did.
    RevisitLeftOver(AssetId),
    /// A file in staging from before the running server.
    StagingLeftOver(PathBuf),
    /// A derivative whose files are not all there, or not as they were.
    DerivativeDiffers {
        /// Of which asset.
        asset: AssetId,
        /// What it is.
        kind: JobKind,
        /// The folder of its files.
        folder: String,
    },
    /// Files of a derivative that no row and no job knows.
    DerivativeUnknown {
        /// Of which asset, as their place says.
        asset: AssetId,
        /// The folder.
        folder: String,
        /// Where it is.
        place: Place,
    },
    /// The folder of an attempt whose worker is gone.
    AttemptLeftOver(PathBuf),
    /// An upload in parts to the bucket that nobody goes on with.
    PartsLeftOver {
        /// The object that it would become.
        key: String,
        /// Its id there.
        upload: String,
    },
    /// Chunks are recorded that are not in the incoming file.
    ChunksMissing {
        /// The upload's id.
        upload: String,
        /// The asset that it becomes.
        asset: AssetId,
        /// Bytes up to the end of the last chunk that is recorded.
        recorded: u64,
        /// Bytes of the file.
        found: u64,
    },
    /// An upload in chunks whose upload in parts is not at the bucket any more.
    PartsGone {
        /// The upload's id.
        upload: String,
        /// The asset that it becomes.
        asset: AssetId,
    },
    /// An asset that is processing, and nothing will ever end that.
    ProcessingForEver(AssetId),
    /// An asset says that something is made of it, or was, and it is not.
    RenditionForEver(AssetId, JobKind),
    /// An asset's places in indexes wait for a job that is not there.
    PlacesForEver(AssetId),
    /// An asset's places in indexes do not say that it is gone.
    PlacesOfNothing(AssetId),
    /// The lease of a job is over, and nobody took it back.
    LeaseOver {
        /// The job's id.
        job: String,
        /// On which asset.
        asset: String,
        /// What it does.
        kind: String,
    },
    /// The lease of a delivery is over, and nobody took it back.
    DeliveryLeaseOver(String),
    /// A delivery waits for an earlier one that is not there.
    DeliveryBlocked(String),
    /// Rows that refer to something that is not there.
    RowsOfNothing {
        /// Whose they are.
        table: String,
        /// The table of what they refer to.
        of: String,
        /// Its id.
        id: String,
    },
    /// An account that has something, and is not there itself.
    AccountMissing(String),
    /// An asset that a search for its name does not find.
    NameMissing(AssetId),
    /// An account's counters disagree with its rows; by how much they are too small.
    CountersDiffer {
        /// Its name.
        account: String,
        /// Of assets.
        assets: i64,
        /// Of their bytes.
        bytes: i64,
        /// Of webhooks.
        webhooks: i64,
    },
    /// An index's counters disagree with what is in it; by how much they are too small.
    IndexCountersDiffer {
        /// Its id.
        index: String,
        /// Of videos.
        videos: i64,
        /// Of their milliseconds.
        duration_ms: i64,
    },
}

/// Where something lies among the blobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Below the data folder or the bucket's prefix.
    pub path: String,
    /// As people find it.
    pub shown: String,
}

/// What became of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// Nobody asked to repair it.
    None,
    /// It is repaired; how.
    Repaired(String),
    /// It is as it was found; why.
    Left(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlobMissing(asset) => write!(f, "asset {asset}: its bytes are missing"),
            Self::SizeDiffers { asset, recorded, found } => {
                write!(f, "asset {asset}: {found} bytes on disk, {recorded} recorded")
            }
            Self::HashDiffers(asset) => {
                write!(f, "asset {asset}: its bytes are not the ones uploaded (hash differs)")
            }
            Self::Unreadable { asset, reason } => {
                write!(f, "asset {asset}: its bytes cannot be read: {reason}")
            }
            Self::BlobUnknown(place) => write!(f, "{place}: no asset knows this file"),
            Self::BlobOfFailed(asset) => write!(f, "asset {asset}: it failed, and its bytes are still here"),
            Self::IncomingLeftOver(path) => {
                write!(f, "{}: no asset waits for these bytes", path.display())
            }
            Self::IntentLeftOver(asset) => {
                write!(f, "asset {asset}: a publish from before this server never ended")
            }
            Self::RemovalLeftOver(asset) => write!(f, "asset {asset}: it was deleted, and that never ended"),
            Self::RevisitLeftOver(asset) => {
                write!(f, "asset {asset}: its bytes were to be looked for again, and nobody did")
            }
            Self::StagingLeftOver(path) => {
                write!(f, "{}: left in staging from before this server", path.display())
            }
            Self::DerivativeDiffers { asset, folder, .. } => {
                write!(f, "asset {asset}: the files of {folder} are not the ones that were made")
            }
            Self::DerivativeUnknown { place, .. } => write!(f, "{place}: no asset knows this derivative"),
            Self::AttemptLeftOver(path) => {
                write!(f, "{}: left by a worker that is gone", path.display())
            }
            Self::PartsLeftOver { key, upload } => {
                write!(f, "{key}: nobody goes on with its upload in parts {upload}")
            }
            Self::ChunksMissing { upload, asset, recorded, found } => write!(
                f,
                "upload {upload} of asset {asset}: {found} bytes are here, chunks up to {recorded} are recorded"
            ),
            Self::PartsGone { upload, asset } => {
                write!(f, "upload {upload} of asset {asset}: its upload in parts is not at the bucket")
            }
            Self::ProcessingForEver(asset) => {
                write!(f, "asset {asset}: it is processing, and nothing will ever end that")
            }
            Self::RenditionForEver(asset, kind) => {
                write!(f, "asset {asset}: it says more of {} than is there or being made", kind.as_str())
            }
            Self::PlacesForEver(asset) => {
                write!(f, "asset {asset}: its places in indexes wait for a job that is not there")
            }
            Self::PlacesOfNothing(asset) => {
                write!(f, "asset {asset}: it is gone, and its places in indexes do not say so")
            }
            Self::LeaseOver { job, asset, kind } => {
                write!(f, "job {job} ({kind} of asset {asset}): its worker is gone, and nobody took it back")
            }
            Self::DeliveryLeaseOver(id) => {
                write!(f, "delivery {id}: its sender is gone, and nobody took it back")
            }
            Self::DeliveryBlocked(id) => {
                write!(f, "delivery {id}: it waits for an earlier one that is not there")
            }
            Self::RowsOfNothing { table, of, id } => {
                write!(f, "{table}: rows of {of} {id}, which is not there")
            }
            Self::AccountMissing(account) => {
                write!(f, "account {account}: it has assets, indexes or webhooks, and is not there")
            }
            Self::NameMissing(asset) => write!(f, "asset {asset}: a search for its name does not find it"),
            Self::CountersDiffer { account, .. } => {
                write!(f, "account {account}: counters disagree with its assets or webhooks")
            }
            Self::IndexCountersDiffer { index, .. } => {
                write!(f, "index {index}: counters disagree with what is in it")
            }
        }
    }
}
