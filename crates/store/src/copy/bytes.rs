//! Bytes: originals, what was made of them, and what has arrived of assets that are processing. Several assets at once; how far all
//! of them are is noted, so that what is there is not sent again.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use reelhouse_api::AssetId;
use tokio::sync::Semaphore;

use super::{
    Copying, Damage, Stage,
    notes::{DAMAGE, THROUGH},
    reading::Reading,
};
use crate::{
    ByteSource, Opened,
    blobs::{BlobKey, Home, blocking},
    error::{During, Error, Result},
    scratch::new_file,
    staging::StagingFile,
};

/// Assets at once.
const AT_ONCE: usize = 4;
/// Assets of which some may be done before one that comes before them.
const AHEAD: usize = 64;
/// Assets that are asked for at once.
const PAGE: i64 = 500;
/// Between two notes of how far all is.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// An asset whose bytes are to be copied.
#[derive(Debug)]
struct Task {
    asset: AssetId,
    original: Original,
    derivatives: Vec<Derivative>,
}

/// What is to be had of an asset's own bytes.
#[derive(Debug)]
enum Original {
    /// All of them: how many, and their hash.
    Whole(u64, String),
    /// What has arrived so far.
    Arriving,
}

#[derive(Debug)]
struct Derivative {
    folder: String,
    bytes: u64,
}

#[derive(sqlx::FromRow)]
struct AssetRow {
    id: String,
    size: Option<i64>,
    blake3: Option<String>,
}

/// Of assets that have bytes: ready, or processing.
const HAS_BYTES: &str = "deleted_at IS NULL AND (blake3 IS NOT NULL OR status = 'processing')";

impl Copying {
    /// Copies the bytes of all assets that have any. Damage is noted and copied as it is.
    ///
    /// # Errors
    /// When the new home cannot be written or a bucket is away: the same command goes on from there.
    pub async fn copy_bytes(&self) -> Result<()> {
        let through = self.to.db.note(THROUGH).await?.unwrap_or_default();
        self.count(&through).await?;
        let turns = Semaphore::new(AT_ONCE);
        let (mut behind, mut noted) = (through, Instant::now());
        loop {
            let tasks = self.tasks(&behind).await?;
            let Some(last) = tasks.last() else { return Ok(()) };
            let last = last.asset.to_string();
            let mut done = stream::iter(&tasks)
                .map(async |task| {
                    let _turn = turns.acquire().await;
                    self.copy_asset(task).await.map(|()| task.asset)
                })
                .buffered(AHEAD);
            while let Some(asset) = done.next().await {
                let asset = asset?;
                // In their order: all before it are done, too.
                if noted.elapsed() > NOTE_EVERY {
                    self.to.db.set_note(THROUGH, &asset.to_string()).await?;
                    noted = Instant::now();
                }
            }
            self.to.db.set_note(THROUGH, &last).await?;
            behind = last;
        }
    }

    /// What there is to be done, and what was.
    async fn count(&self, through: &str) -> Result<()> {
        let sql = format!(
            "SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT),
                    COUNT(CASE WHEN id <= $1 THEN 1 END), CAST(COALESCE(SUM(CASE WHEN id <= $1 THEN size END), 0) AS BIGINT)
             FROM asset WHERE {HAS_BYTES}"
        );
        let counted: (i64, i64, i64, i64) =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(through).fetch_one(self.to.db.readers()).await?;
        let (of_assets, of_bytes, assets, bytes) = counted;
        self.progress.send_modify(|progress| {
            progress.stage = Stage::Bytes;
            (progress.of_assets, progress.of_bytes) = (of_assets.unsigned_abs(), of_bytes.unsigned_abs());
            (progress.assets, progress.bytes) = (assets.unsigned_abs(), bytes.unsigned_abs());
        });
        Ok(())
    }

    /// The next assets, in the order of their ids.
    async fn tasks(&self, behind: &str) -> Result<Vec<Task>> {
        let sql =
            format!("SELECT id, size, blake3 FROM asset WHERE id > $1 AND {HAS_BYTES} ORDER BY id LIMIT $2");
        let rows: Vec<AssetRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(behind)
            .bind(PAGE)
            .fetch_all(self.to.db.readers())
            .await?;
        let Some(last) = rows.last().map(|row| row.id.clone()) else { return Ok(Vec::new()) };
        let made: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT asset_id, folder, bytes FROM derivative WHERE asset_id > $1 AND asset_id <= $2",
        )
        .bind(behind)
        .bind(last)
        .fetch_all(self.to.db.readers())
        .await?;
        let task = |AssetRow { id, size, blake3 }| {
            let asset =
                AssetId::parse(&id).ok_or_else(|| Error::Corrupt { table: "asset", id: id.clone() })?;
            let original = match blake3 {
                Some(blake3) => Original::Whole(size.unwrap_or_default().unsigned_abs(), blake3),
                None => Original::Arriving,
            };
            let derivatives = made
                .iter()
                .filter(|(of, ..)| *of == id)
                .map(|(_, folder, bytes)| Derivative { folder: folder.clone(), bytes: bytes.unsigned_abs() });
            Ok(Task { asset, original, derivatives: derivatives.collect() })
        };
        rows.into_iter().map(task).collect()
    }

    async fn copy_asset(&self, task: &Task) -> Result<()> {
        let Task { asset, original, derivatives } = task;
        let size = match original {
            Original::Whole(size, blake3) => {
                self.copy_original(*asset, *size, blake3).await?;
                *size
            }
            Original::Arriving => {
                self.copy_arriving(*asset).await?;
                0
            }
        };
        for derivative in derivatives {
            self.copy_derivative(*asset, derivative).await?;
        }
        self.progress.send_modify(|progress| {
            progress.assets += 1;
            progress.bytes += size;
        });
        Ok(())
    }

    async fn copy_original(&self, asset: AssetId, size: u64, blake3: &str) -> Result<()> {
        let key = BlobKey::Original(asset);
        if self.is_resumed && self.is_there(&key, size, blake3).await? {
            return Ok(());
        }
        let Some(opened) = self.from.blobs.read(&key).await? else {
            return self.note_damage(&key, Damage::Missing(asset)).await;
        };
        let mut staged = self.to.blobs.stage(asset, Some(opened.size));
        if let Err(error) = self.receive(opened, &mut staged).await? {
            return self.note_damage(&key, Damage::Unreadable(asset, error.to_string())).await;
        }
        let sealed = staged.seal().await?;
        if sealed.size() != size || sealed.blake3() != blake3 {
            // Before it is where it would be taken for looked at.
            self.note_damage(&key, Damage::Differs(asset)).await?;
        }
        if self.is_resumed {
            self.to.blobs.remove(&key).await?;
        }
        sealed.move_into_place().await
    }

    /// Whether what lies in the new home is the original. In a folder, a copy that died may have left a part of it; an object
    /// is whole where it is.
    async fn is_there(&self, key: &BlobKey, size: u64, blake3: &str) -> Result<bool> {
        Ok(match self.to.blobs.home {
            Home::Folder(_) => {
                self.to.blobs.hash(key).await?.is_some_and(|found| found == (size, blake3.to_owned()))
            }
            Home::Bucket(..) => self.to.blobs.read(key).await?.is_some_and(|opened| opened.size == size),
        })
    }

    /// Reads all of a blob into a file of the new home; the inner error is the old home's.
    async fn receive(&self, opened: Opened, staged: &mut StagingFile) -> Result<Result<()>> {
        let is_file = matches!(opened.source, ByteSource::File(_));
        let mut reading = Reading::new(opened);
        loop {
            let bytes = match reading.next().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return Ok(Ok(())),
                // A disk may have lost a piece; a bucket that is away will come back.
                Err(error) if is_file => return Ok(Err(error)),
                Err(error) => return Err(error),
            };
            staged.push(&bytes).await?;
            self.progress.send_modify(|progress| progress.written += bytes.len() as u64);
        }
    }

    /// What has come of an asset that is processing; and where all of it is in its place already, but for its row, the original.
    async fn copy_arriving(&self, asset: AssetId) -> Result<()> {
        let path = self.from.blobs.scratch.incoming_path(asset);
        let file = blocking(move || match std::fs::File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { what: "opening an incoming file", source }),
        });
        let key = BlobKey::Original(asset);
        if let Some(file) = file.await? {
            let size = file.metadata().during("looking at an incoming file")?.len();
            let opened = Opened { source: ByteSource::File(file.into()), size };
            let mut staged = self.to.blobs.stage(asset, Some(size));
            self.to.blobs.remove_incoming(asset).await?;
            self.receive(opened, &mut staged).await??;
            self.to.blobs.keep_staged(staged, asset).await.map(drop)
        } else if let Some(opened) = self.from.blobs.read(&key).await? {
            let mut staged = self.to.blobs.stage(asset, Some(opened.size));
            self.to.blobs.remove(&key).await?;
            self.receive(opened, &mut staged).await??;
            staged.seal().await?.move_into_place().await
        } else {
            // An import begins again where nothing is.
            Ok(())
        }
    }

    async fn copy_derivative(&self, asset: AssetId, derivative: &Derivative) -> Result<()> {
        let Derivative { folder, bytes } = derivative;
        let file = |file: String| BlobKey::Derived { asset, folder: folder.clone(), file };
        let files = self.from.blobs.derived_files(asset, folder).await?.unwrap_or_default();
        let found: u64 = files.iter().map(|(_, size)| size).sum();
        if files.is_empty() || found != *bytes {
            let damage = Damage::Derivative(asset, folder.clone());
            self.note_damage(&file(String::new()), damage).await?;
        }
        if self.is_resumed {
            if self.to.blobs.derived_bytes(asset, folder).await? == Some(found) {
                return Ok(());
            }
            let half = folder.clone();
            self.to.blobs.remove_derived(asset, move |name| name == half).await?;
        }
        let draft = self.to.blobs.scratch.attempt_path(&format!("copy-{asset}-{folder}"));
        let made = draft.clone();
        blocking(move || {
            // Of a copy that died.
            let _ = std::fs::remove_dir_all(&made);
            std::fs::create_dir_all(&made).during("making the folder of a derivative")
        })
        .await?;
        for (name, _) in files {
            if let Some(opened) = self.from.blobs.read(&file(name.clone())).await? {
                let path = draft.join(&name);
                let to = blocking(move || new_file(&path).during("making a derivative")).await?;
                self.write_out(opened, to).await?;
            }
        }
        self.to.blobs.place_derived(draft.clone(), asset, folder).await?;
        // Where it went to a bucket, it is still here.
        blocking(move || match std::fs::remove_dir_all(draft) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).during("removing what was copied")
            }
            _ => Ok(()),
        })
        .await
    }

    async fn write_out(&self, opened: Opened, to: std::fs::File) -> Result<()> {
        let mut reading = Reading::new(opened);
        let to = std::sync::Arc::new(to);
        while let Some(bytes) = reading.next().await? {
            let (to, len) = (std::sync::Arc::clone(&to), bytes.len() as u64);
            blocking(move || std::io::Write::write_all(&mut &*to, &bytes).during("writing a derivative"))
                .await?;
            self.progress.send_modify(|progress| progress.written += len);
        }
        Ok(())
    }

    async fn note_damage(&self, key: &BlobKey, damage: Damage) -> Result<()> {
        self.progress.send_modify(|progress| progress.damaged += 1);
        self.to.db.set_note(&format!("{DAMAGE}{}", key.path()), &damage.to_string()).await
    }
}
