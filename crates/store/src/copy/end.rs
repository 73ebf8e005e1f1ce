//! How a copy ends: what it left behind goes, the old home is looked at again, and one transaction makes the new home one like any
//! other.

use std::collections::BTreeSet;

use reelhouse_api::{AssetError, AssetId, Fault, UploadStatus};
use sqlx::AssertSqlSafe;

use super::{
    Copying,
    begin::UNDER_WAY,
    notes::{self, ANEW},
};
use crate::{
    assets::become_failed,
    blobs::Tree,
    error::{Error, Result},
    shards::Shards,
    writer::transaction,
};

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Assets in the new home that have bytes.
    pub assets: u64,
    /// Bytes of their originals.
    pub bytes: u64,
    /// Bytes that were written, the others were there.
    pub written: u64,
    /// Uploads in chunks that have failed there, because they could not go on.
    pub ended_uploads: u64,
    /// What is not as its row says, in the old home and so in the new one.
    pub damage: Vec<String>,
}

impl Copying {
    /// Ends the copy: from here on the new home can be used.
    ///
    /// # Errors
    /// [`CopyRefusal::Changed`](super::CopyRefusal::Changed) when the old home is not what was copied any more: the same command
    /// goes on, and copies what is new.
    pub async fn end(self, now_ms: i64) -> Result<Copied> {
        self.refuse_changed_rows().await?;
        if self.to.db.note(ANEW).await?.is_some() {
            self.remove_unknown().await?;
        }
        let damage = self.to.db.noted_damage().await?;
        self.to.db.learn().await?;
        let ended_uploads = self.end_notes(now_ms).await?;
        let progress = *self.progress.borrow();
        Ok(Copied {
            assets: progress.of_assets,
            bytes: progress.of_bytes,
            written: progress.written,
            ended_uploads,
            damage,
        })
    }

    /// Lets uploads fail that cannot go on, and forgets that there was a copy.
    async fn end_notes(&self, now_ms: i64) -> Result<u64> {
        let under_way = format!("SELECT upload_session.id, asset_id {UNDER_WAY}");
        transaction!(self.to.db, |tx| {
            let mut uploads: Vec<(String, String)> = Vec::new();
            if !self.uploads_go_on {
                let sql = AssertSqlSafe(under_way.as_str());
                uploads = sqlx::query_as(sql).bind(now_ms).fetch_all(&mut *tx).await?;
            }
            for (id, asset) in &uploads {
                let asset = parse(asset)?;
                sqlx::query("UPDATE upload_session SET status = 'failed', updated_at = $2 WHERE id = $1")
                    .bind(id)
                    .bind(now_ms)
                    .execute(&mut *tx)
                    .await?;
                sqlx::query("DELETE FROM job WHERE asset_id = $1")
                    .bind(asset.to_string())
                    .execute(&mut *tx)
                    .await?;
                let fault =
                    Fault::UploadNotActive { upload_id: id.clone(), status: UploadStatus::Failed.as_str() };
                become_failed(tx, asset, &AssetError::from(&fault), now_ms).await?;
            }
            notes::end(tx).await?;
            Ok(uploads.len() as u64)
        })
    }

    /// Removes bytes that were copied, and that no row knows any more.
    async fn remove_unknown(&self) -> Result<()> {
        for tree in Tree::ALL {
            for shard in Shards::each() {
                let walk = self.to.blobs.walk(tree, shard).await?;
                let assets: BTreeSet<AssetId> = walk.named.iter().map(|named| named.asset).collect();
                for asset in assets {
                    self.to.remove_unknown(asset).await?;
                }
            }
        }
        self.to.remove_stray_incoming().await
    }
}

fn parse(id: &str) -> Result<AssetId> {
    AssetId::parse(id).ok_or_else(|| Error::Corrupt { table: "upload_session", id: id.to_owned() })
}
