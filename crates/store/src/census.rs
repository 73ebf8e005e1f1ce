//! How much there is of everything, for whoever watches.

use std::path::Path;

use reelhouse_api::{JobKind, JobState};

use crate::{
    Store,
    error::{During, Error, Result},
};

/// Jobs of a kind in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCount {
    /// What they do.
    pub kind: JobKind,
    /// Where they stand.
    pub state: JobState,
    /// How many.
    pub count: i64,
    /// When the oldest was pushed; milliseconds since the epoch.
    pub oldest: i64,
}

/// Bytes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// That we may still take.
    pub free: u64,
    /// In all.
    pub size: u64,
}

impl Store {
    /// The jobs there are.
    ///
    /// # Errors
    /// When the database fails or a row is corrupt.
    pub async fn job_counts(&self) -> Result<Vec<JobCount>> {
        let rows: Vec<(String, String, i64, i64)> =
            sqlx::query_as("SELECT kind, state, COUNT(*), MIN(created_at) FROM job GROUP BY kind, state")
                .fetch_all(self.db.readers())
                .await?;
        let count = |(kind, state, count, oldest): (String, String, i64, i64)| {
            let (Some(kind), Some(state)) = (JobKind::parse(&kind), JobState::parse(&state)) else {
                return Err(Error::Corrupt { table: "job", id: format!("{kind} {state}") });
            };
            Ok(JobCount { kind, state, count, oldest })
        };
        rows.into_iter().map(count).collect()
    }

    /// How many deliveries stand where, but for those that are delivered.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delivery_counts(&self) -> Result<Vec<(String, i64)>> {
        let counts = sqlx::query_as(
            "SELECT state, COUNT(*) FROM webhook_delivery WHERE state IN ('blocked', 'waiting', 'sending', 'dead')
             GROUP BY state",
        );
        Ok(counts.fetch_all(self.db.readers()).await?)
    }

    /// Room where the data are.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn disk_space(&self) -> Result<DiskSpace> {
        disk_space(self.blobs.scratch.root())
    }
}

pub(crate) fn disk_space(folder: &Path) -> Result<DiskSpace> {
    let found = rustix::fs::statvfs(folder).map_err(std::io::Error::from);
    let found = found.during("looking for room on the disk")?;
    Ok(DiskSpace { free: found.f_bavail * found.f_frsize, size: found.f_blocks * found.f_frsize })
}
