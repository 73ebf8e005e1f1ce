//! The bytes of one asset: its original, what was made of it, or what has arrived of it so far.

use std::{fs, io, io::Write, sync::Arc};

use reelhouse_api::AssetId;

use super::{
    Copying, Damage,
    bytes::{Derivative, Original, Task},
    notes::DAMAGE,
    reading::Reading,
};
use crate::{
    ByteSource, Opened,
    blobs::{BlobKey, Home, blocking},
    error::{During, Error, Result},
    scratch::new_file,
    staging::StagingFile,
};

impl Copying {
    /// Copies what there is of an asset.
    pub(super) async fn copy_asset(&self, task: &Task) -> Result<()> {
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
                self.to.blobs.hash(key, |_| {}).await?.is_some_and(|found| found == (size, blake3.to_owned()))
            }
            Home::Bucket(..) => self.to.blobs.read(key).await?.is_some_and(|opened| opened.size == size),
        })
    }

    /// Reads all of a blob into a file of the new home; the inner error is the old home's.
    async fn receive(&self, opened: Opened, staged: &mut StagingFile) -> Result<Result<()>> {
        let mut reading = Reading::new(opened);
        loop {
            match reading.next().await? {
                Ok(None) => return Ok(Ok(())),
                Ok(Some(bytes)) => {
                    staged.push(&bytes).await?;
                    self.progress.send_modify(|progress| progress.written += bytes.len() as u64);
                }
                Err(unread) => return Ok(Err(unread)),
            }
        }
    }

    /// What has come of an asset that is processing; and where all of it is in its place already, but for its row, the original.
    async fn copy_arriving(&self, asset: AssetId) -> Result<()> {
        if !self.uploads_go_on && self.comes_in_chunks(asset).await? {
            return Ok(());
        }
        let path = self.from.blobs.scratch.incoming_path(asset);
        let file = blocking(move || match fs::File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { what: "opening an incoming file", source }),
        });
        let key = BlobKey::Original(asset);
        let incoming = match file.await? {
            Some(file) => {
                let size = file.metadata().during("looking at an incoming file")?.len();
                Some(Opened { source: ByteSource::File(file.into()), size })
            }
            None => None,
        };
        let is_incoming = incoming.is_some();
        let opened = match incoming {
            Some(opened) => opened,
            None => match self.from.blobs.read(&key).await? {
                Some(opened) => opened,
                // An import begins again where nothing is.
                None => return Ok(()),
            },
        };
        let mut staged = self.to.blobs.stage(asset, Some(opened.size));
        if let Err(error) = self.receive(opened, &mut staged).await? {
            return self.note_damage(&key, Damage::Unreadable(asset, error.to_string())).await;
        }
        // What a copy that died may have left there.
        if is_incoming {
            self.to.blobs.remove_incoming(asset).await?;
            self.to.blobs.keep_staged(staged, asset).await.map(drop)
        } else {
            self.to.blobs.remove(&key).await?;
            staged.seal().await?.move_into_place().await
        }
    }

    async fn comes_in_chunks(&self, asset: AssetId) -> Result<bool> {
        let session: Option<i64> = sqlx::query_scalar("SELECT 1 FROM upload_session WHERE asset_id = $1")
            .bind(asset.to_string())
            .fetch_optional(self.to.db.readers())
            .await?;
        Ok(session.is_some())
    }

    async fn copy_derivative(&self, asset: AssetId, derivative: &Derivative) -> Result<()> {
        let Derivative { folder, bytes } = derivative;
        let file = |file: String| BlobKey::Derived { asset, folder: folder.clone(), file };
        // Damage is noted once for all of them.
        let of_all = file(String::new());
        let files = self.from.blobs.derived_files(asset, folder).await?.unwrap_or_default();
        let found: u64 = files.iter().map(|(_, size)| size).sum();
        if files.is_empty() || found != *bytes {
            let damage = Damage::Derivative(asset, folder.clone());
            self.note_damage(&of_all, damage).await?;
        }
        if files.is_empty() {
            return Ok(());
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
            let _ = fs::remove_dir_all(&made);
            fs::create_dir_all(&made).during("making the folder of a derivative")
        })
        .await?;
        for (name, _) in files {
            if let Some(opened) = self.from.blobs.read(&file(name.clone())).await? {
                let path = draft.join(&name);
                let to = blocking(move || new_file(&path).during("making a derivative")).await?;
                if self.write_out(opened, to).await?.is_err() {
                    self.note_damage(&of_all, Damage::Derivative(asset, folder.clone())).await?;
                }
            }
        }
        self.to.blobs.place_derived(draft.clone(), asset, folder).await?;
        // Where it went to a bucket, it is still here.
        blocking(move || match fs::remove_dir_all(draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).during("removing what was copied")
            }
            _ => Ok(()),
        })
        .await
    }

    /// The same into a file of a derivative, which is flushed with all others of it.
    async fn write_out(&self, opened: Opened, to: fs::File) -> Result<Result<()>> {
        let mut reading = Reading::new(opened);
        let to = Arc::new(to);
        loop {
            match reading.next().await? {
                Ok(None) => return Ok(Ok(())),
                Ok(Some(bytes)) => {
                    let (to, len) = (Arc::clone(&to), bytes.len() as u64);
                    let write = move || (&*to).write_all(&bytes).during("writing a derivative");
                    blocking(write).await?;
                    self.progress.send_modify(|progress| progress.written += len);
                }
                Err(unread) => return Ok(Err(unread)),
            }
        }
    }

    async fn note_damage(&self, key: &BlobKey, damage: Damage) -> Result<()> {
        self.progress.send_modify(|progress| progress.damaged += 1);
        self.to.db.set_note(&format!("{DAMAGE}{}", key.path()), &damage.to_string()).await
    }
}
