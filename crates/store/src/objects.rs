//! Blobs in a bucket: an object each, written whole or not at all.

use std::{collections::BTreeSet, fs::File, path::PathBuf, sync::Arc};

use bytes::Bytes;
use quick_cache::sync::Cache as Sizes;
use reelhouse_api::AssetId;
use reelhouse_bucket::{Bucket, Listed, Payload};

use crate::{
    blobs::{BlobKey, Tree, blocking, sharded},
    error::{During, Result},
    outgoing::put_file,
    scratch::list,
};

/// Objects whose size is remembered.
const SIZES: usize = 4096;

/// Originals and what is made of them, in a bucket.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    pub(crate) bucket: Bucket,
    /// Objects never change: what is there has the size it had.
    sizes: Arc<Sizes<String, u64>>,
}

impl Objects {
    pub(crate) fn new(bucket: Bucket) -> Self {
        Self { bucket, sizes: Arc::new(Sizes::new(SIZES)) }
    }

    /// Bytes of a blob; `None` when it is not there.
    pub(crate) async fn size(&self, key: &BlobKey) -> Result<Option<u64>> {
        let key = key.object();
        if let Some(size) = self.sizes.get(&key) {
            return Ok(Some(size));
        }
        let size = self.bucket.head_object(&key).await?;
        if let Some(size) = size {
            self.sizes.insert(key, size);
        }
        Ok(size)
    }

    pub(crate) async fn write(&self, bytes: Bytes, key: &BlobKey) -> Result<()> {
        Ok(self.bucket.put(&key.object(), Payload::Bytes(bytes)).await?)
    }

    pub(crate) async fn write_file(&self, path: PathBuf, key: &BlobKey) -> Result<()> {
        let file = blocking(move || File::open(path).during("opening what goes to the store")).await?;
        put_file(&self.bucket, &key.object(), file).await.map(drop)
    }

    /// Removes a blob; fine when it is not there.
    pub(crate) async fn remove(&self, key: &BlobKey) -> Result<()> {
        let key = key.object();
        self.sizes.remove(&key);
        Ok(self.bucket.delete(&key).await?)
    }

    /// Gives up whatever upload would still become this blob.
    pub(crate) async fn give_up(&self, key: &BlobKey) -> Result<()> {
        let key = key.object();
        for pending in self.bucket.pending(&key).await? {
            self.bucket.abort(&pending.key, &pending.upload).await?;
        }
        Ok(())
    }

    /// Every asset a tree has something of, as its name says, or the key where that says nothing.
    pub(crate) async fn walk(&self, tree: Tree) -> Result<Vec<Result<AssetId, String>>> {
        let objects = self.all(&format!("{}/", tree.name())).await?;
        let mut found: Vec<Result<AssetId, String>> = Vec::new();
        for Listed { key, .. } in objects {
            let asset = key.split('/').nth(2).and_then(AssetId::parse).filter(|asset| {
                let place = sharded(tree, *asset);
                match tree {
                    Tree::Originals => key == place,
                    Tree::Derived => {
                        key.strip_prefix(&place).is_some_and(|rest| rest.split('/').count() == 3)
                    }
                }
            });
            // The files of an asset stand together.
            if asset.is_none() || found.last().is_none_or(|last| last.as_ref().ok() != asset.as_ref()) {
                found.push(asset.ok_or(key));
            }
        }
        Ok(found)
    }

    pub(crate) async fn derived_folders(&self, asset: AssetId) -> Result<Vec<String>> {
        let home = home(asset);
        let objects = self.all(&home).await?;
        let folders: BTreeSet<&str> =
            objects.iter().filter_map(|object| object.key.strip_prefix(&home)?.split('/').next()).collect();
        Ok(folders.into_iter().map(str::to_owned).collect())
    }

    /// The files of a derivative, each with its size; `None` when it is not there.
    pub(crate) async fn derived_files(
        &self,
        asset: AssetId,
        folder: &str,
    ) -> Result<Option<Vec<(String, u64)>>> {
        let home = format!("{}{folder}/", home(asset));
        let objects = self.all(&home).await?;
        let file = |object: &Listed| Some((object.key.strip_prefix(&home)?.to_owned(), object.size));
        Ok((!objects.is_empty()).then(|| objects.iter().filter_map(file).collect()))
    }

    pub(crate) async fn write_derived(
        &self,
        asset: AssetId,
        folder: &str,
        files: Vec<(String, Vec<u8>)>,
    ) -> Result<()> {
        for (file, bytes) in files {
            self.write(bytes.into(), &BlobKey::Derived { asset, folder: folder.to_owned(), file }).await?;
        }
        Ok(())
    }

    pub(crate) async fn place_derived(&self, attempt: PathBuf, asset: AssetId, folder: &str) -> Result<()> {
        for path in blocking(move || list(&attempt)).await? {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.write_file(path, &BlobKey::Derived { asset, folder: folder.to_owned(), file }).await?;
        }
        Ok(())
    }

    pub(crate) async fn remove_derived(
        &self,
        asset: AssetId,
        doomed: impl Fn(&str) -> bool + Send,
    ) -> Result<()> {
        let home = home(asset);
        for object in self.all(&home).await? {
            let folder = object.key.strip_prefix(&home).and_then(|rest| rest.split('/').next());
            if folder.is_some_and(&doomed) {
                self.sizes.remove(&object.key);
                self.bucket.delete(&object.key).await?;
            }
        }
        Ok(())
    }

    async fn all(&self, prefix: &str) -> Result<Vec<Listed>> {
        let (mut all, mut next) = (Vec::new(), None);
        loop {
            let page = self.bucket.list(prefix, next.as_deref()).await?;
            all.extend(page.objects);
            next = page.next;
            if next.is_none() {
                return Ok(all);
            }
        }
    }
}

/// What the keys of an asset's derivatives begin with.
fn home(asset: AssetId) -> String {
    format!("{}/", sharded(Tree::Derived, asset))
}
