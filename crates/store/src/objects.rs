//! Blobs in a bucket: an object each, written whole or not at all.

use std::{collections::BTreeSet, fs::File, path::PathBuf, sync::Arc};

use bytes::Bytes;
use quick_cache::sync::Cache as Sizes;
use reelhouse_api::AssetId;
use reelhouse_bucket::{Bucket, Listed, Payload};

use crate::{
    blobs::{BlobKey, Tree, aside, blocking, sharded},
    error::{During, Result},
    outgoing::put_file,
    scratch::list,
    shards::{Named, Shards, Walk},
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

    /// What lies in some shards of a tree, page by page.
    pub(crate) async fn walk(&self, tree: Tree, shards: Shards) -> Result<Walk> {
        let root = format!("{}/", tree.name());
        let behind = shards.after().map(|after| format!("{root}{after}"));
        let (mut walk, mut next) = (Walk::default(), None);
        loop {
            let page = self.bucket.list_behind(&root, behind.as_deref(), next.as_deref()).await?;
            for object in page.objects {
                let path = object.key.strip_prefix(&root).unwrap_or_default();
                if shards.end_before(path) {
                    return Ok(walk.sorted());
                }
                if shards.hold(path) {
                    take(&mut walk, tree, object);
                }
            }
            next = page.next;
            if next.is_none() {
                return Ok(walk.sorted());
            }
        }
    }

    /// The names of an asset's derivatives.
    pub(crate) async fn derived_folders(&self, asset: AssetId) -> Result<Vec<String>> {
        let home = home(asset);
        let objects = self.all(&home).await?;
        let folders: BTreeSet<&str> =
            objects.iter().filter_map(|object| object.key.strip_prefix(&home)?.split('/').next()).collect();
        Ok(folders.into_iter().map(str::to_owned).collect())
    }

    /// When an object was written last, or, of a path that ends with `/`, the last of those behind it.
    pub(crate) async fn modified_ms(&self, path: &str) -> Result<Option<i64>> {
        let objects = self.all(path).await?;
        let meant = objects.iter().filter(|object| path.ends_with('/') || object.key == path);
        Ok(meant.map(|object| object.modified_at).max())
    }

    /// Moves an object out of the trees: what was copied is there before it goes.
    pub(crate) async fn set_aside(&self, path: &str) -> Result<String> {
        for to in aside(path) {
            if self.bucket.head_object(&to).await?.is_none() {
                self.bucket.copy(path, &to).await?;
                self.bucket.delete(path).await?;
                return Ok(to);
            }
        }
        Ok(path.to_owned())
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

/// Puts an object where it belongs. The files of a derivative stand together.
fn take(walk: &mut Walk, tree: Tree, Listed { key, size, .. }: Listed) {
    let mut names = key.split('/').skip(2);
    let (asset, folder) = (names.next().and_then(AssetId::parse), names.next().unwrap_or_default());
    let asset = asset.filter(|asset| match (tree, names.next(), names.next()) {
        (Tree::Originals, None, None) => key == sharded(tree, *asset),
        (Tree::Derived, Some(_), None) => key.starts_with(&home(*asset)),
        _ => false,
    });
    let Some(asset) = asset else { return walk.strange.push(key) };
    match walk.named.last_mut() {
        Some(last) if last.asset == asset && last.folder == folder && tree == Tree::Derived => {
            last.bytes = last.bytes.map(|bytes| bytes + size);
        }
        _ => walk.named.push(Named { asset, folder: folder.to_owned(), bytes: Some(size) }),
    }
}

/// What the keys of an asset's derivatives begin with.
fn home(asset: AssetId) -> String {
    format!("{}/", sharded(Tree::Derived, asset))
}
