//! What can be repaired without losing anything. Each repair looks again first, and may be cut off and done twice.

use std::path::Path;

use reelhouse_api::{AssetId, JobKind, UploadId};

use crate::{
    Store,
    error::{During, Error, Result},
    jobs,
    publish::Resolved,
    scratch::{modified_ms, sync_parent},
    writer::transaction,
};

use super::{Finding, OLD, Treatment};

const YOUNG: &str = "it is younger than an hour, and may be somebody's; look again later";
const GONE: &str = "it is gone by now";

fn repaired(how: impl Into<String>) -> Treatment {
    Treatment::Repaired(how.into())
}

fn left(why: impl Into<String>) -> Treatment {
    Treatment::Left(why.into())
}

impl Store {
    /// Repairs what was found, if that can be without losing anything.
    pub(super) async fn treat(&self, finding: &Finding, now_ms: i64) -> Result<Treatment> {
        match self.try_to_treat(finding, now_ms).await {
            // Of the folder, or what the bucket refuses: the rest may yet be repaired.
            Err(error @ (Error::Io { .. } | Error::Bucket(_))) if !error.is_unavailable() => {
                Ok(left(error.to_string()))
            }
            treated => treated,
        }
    }

    async fn try_to_treat(&self, finding: &Finding, now_ms: i64) -> Result<Treatment> {
        let before_ms = now_ms - OLD;
        Ok(match finding {
            Finding::BlobMissing(_)
            | Finding::SizeDiffers { .. }
            | Finding::HashDiffers(_)
            | Finding::Unreadable { .. } => {
                left("this cannot be repaired: put its bytes back from a backup, or delete the asset")
            }
            Finding::BlobUnknown(place) => match self.blobs.modified_ms(&place.path).await? {
                None => repaired(GONE),
                Some(at) if at >= before_ms => left(YOUNG),
                Some(_) => repaired(format!("moved to {}", self.blobs.set_aside(&place.path).await?)),
            },
            Finding::BlobOfFailed(asset) => {
                self.remove_failed(*asset).await?;
                repaired("removed")
            }
            Finding::IncomingLeftOver(path) => match modified_ms(path) {
                None => repaired(GONE),
                Some(at) if at >= before_ms => left(YOUNG),
                Some(_) if self.awaits(path).await? => repaired("an asset waits for it by now"),
                Some(_) => {
                    self.remove_left_over_file(path)?;
                    repaired("removed")
                }
            },
            Finding::StagingLeftOver(path) => match modified_ms(path) {
                None => repaired(GONE),
                Some(at) if at >= before_ms => left(YOUNG),
                Some(_) => {
                    self.remove_left_over_file(path)?;
                    repaired("removed")
                }
            },
            Finding::AttemptLeftOver(path) => match modified_ms(path) {
                None => repaired(GONE),
                Some(at) if at >= before_ms => left(YOUNG),
                Some(_) => self.remove_attempt(path).await?,
            },
            Finding::IntentLeftOver(asset) => self.end_intent_left_over(*asset, now_ms).await?,
            Finding::RemovalLeftOver(asset) => {
                self.remove_bytes(*asset).await?;
                self.forget(*asset, true, now_ms).await?;
                repaired("removed")
            }
            Finding::RevisitLeftOver(_) => {
                // All of them that are due.
                self.revisit(now_ms).await?;
                repaired("what nobody knows of it is gone")
            }
            Finding::DerivativeDiffers { asset, kind, folder } => {
                self.make_anew(*asset, *kind, folder, now_ms).await?;
                repaired("its job is pushed again")
            }
            Finding::DerivativeUnknown { asset, folder, place } => {
                match self.blobs.modified_ms(&format!("{}/", place.path)).await? {
                    None => repaired(GONE),
                    Some(at) if at >= before_ms => left(YOUNG),
                    Some(_) if self.derivative_is_known(*asset, folder).await? => {
                        repaired("it is known by now")
                    }
                    Some(_) => {
                        let folder = folder.clone();
                        self.blobs.remove_derived(*asset, move |name| name == folder).await?;
                        repaired("removed")
                    }
                }
            }
            Finding::PartsLeftOver { key, upload } => {
                self.give_up_parts_of_nobody(key, upload).await?;
                repaired("given up")
            }
            Finding::ChunksMissing { upload, asset, .. } => {
                match self.forget_missing_chunks(upload, *asset, now_ms).await? {
                    true => repaired("the chunks that are not here are no longer said to be"),
                    false => repaired("it has ended by now"),
                }
            }
            Finding::PartsGone { upload, asset } => {
                if let Some(upload) = UploadId::parse(upload) {
                    self.expire_upload(upload, *asset, now_ms).await?;
                }
                repaired("it is over, and its asset has failed: the client begins again")
            }
            Finding::ProcessingForEver(asset) => repaired(self.end_processing(*asset, now_ms).await?),
            Finding::RenditionForEver(asset, kind) => {
                self.make_rendition(*asset, *kind, now_ms).await?;
                repaired("its job is pushed again")
            }
            Finding::PlacesForEver(asset) => {
                self.make_rendition(*asset, JobKind::Index, now_ms).await?;
                repaired("its job is pushed again")
            }
            Finding::PlacesOfNothing(asset) => {
                self.asset_left_places(*asset, now_ms).await?;
                repaired("they say so now")
            }
            Finding::LeaseOver { .. } | Finding::DeliveryLeaseOver(_) => {
                self.take_back_all(now_ms).await?;
                repaired("taken back")
            }
            Finding::DeliveryBlocked(id) => {
                self.let_delivery_go(id, now_ms).await?;
                repaired("it waits no more")
            }
            Finding::RowsOfNothing { table, of, id } => {
                self.delete_rows_of_nothing(table, of, id).await?;
                repaired("deleted")
            }
            Finding::AccountMissing(account) => {
                self.make_account(account, now_ms).await?;
                repaired("it is made again, without a key")
            }
            Finding::NameMissing(asset) => {
                self.name_again(*asset).await?;
                repaired("it does now")
            }
            Finding::CountersDiffer { account, assets, bytes, webhooks } => {
                self.recount_account(account, *assets, *bytes, *webhooks).await?;
                repaired("counted again")
            }
            Finding::IndexCountersDiffer { index, videos, duration_ms } => {
                self.recount_index(index, *videos, *duration_ms).await?;
                repaired("counted again")
            }
        })
    }

    async fn awaits(&self, incoming: &Path) -> Result<bool> {
        match incoming.file_name().and_then(|name| name.to_str()).and_then(AssetId::parse) {
            Some(asset) => self.is_arriving(asset).await,
            None => Ok(false),
        }
    }

    async fn remove_attempt(&self, path: &Path) -> Result<Treatment> {
        if !self.abandoned_attempts().await?.iter().any(|abandoned| abandoned == path) {
            return Ok(repaired("a worker has it by now"));
        }
        std::fs::remove_dir_all(path).during("removing what an attempt left")?;
        sync_parent(path)?;
        Ok(repaired("removed"))
    }

    async fn end_intent_left_over(&self, asset: AssetId, now_ms: i64) -> Result<Treatment> {
        let begun: Option<i64> =
            sqlx::query_scalar("SELECT created_at FROM publish_intent WHERE asset_id = $1")
                .bind(asset.to_string())
                .fetch_optional(self.db.readers())
                .await?;
        Ok(match begun {
            None => repaired("it has ended by now"),
            Some(at) if at >= now_ms - OLD => left(YOUNG),
            Some(_) => match self.resolve_intent(asset, now_ms).await? {
                Resolved::Published => repaired("it is published"),
                Resolved::TakenBack => repaired("it is taken back: nobody was told of it"),
            },
        })
    }

    /// Lets a derivative be made again whose files are not what they were. Its row goes first: what is left of the files is then
    /// the job's to remove, or ours.
    async fn make_anew(&self, asset: AssetId, kind: JobKind, folder: &str, now_ms: i64) -> Result<()> {
        transaction!(self.db, |tx| {
            let gone =
                sqlx::query("DELETE FROM derivative WHERE asset_id = $1 AND kind = $2 AND folder = $3");
            let gone =
                gone.bind(asset.to_string()).bind(kind.as_str()).bind(folder).execute(&mut *tx).await?;
            if gone.rows_affected() == 0 {
                return Ok(());
            }
            jobs::push(tx, asset, kind, now_ms).await?;
            jobs::show(tx, asset, kind, reelhouse_api::RenditionStatus::Pending, now_ms).await
        })?;
        let folder = folder.to_owned();
        self.blobs.remove_derived(asset, move |name| name == folder).await
    }
}
