//! What a server keeps, behind its back: in its data folder, or in the bucket of the whole run.

use std::path::{Path, PathBuf};

use reelhouse_bucket::{Bucket, Location, Payload};

use crate::harness::{database, files};

/// The blobs of a server.
pub(crate) enum Blobs {
    Folder(PathBuf),
    Bucket(Bucket),
}

impl Blobs {
    pub(crate) fn of(data_dir: &Path) -> Self {
        match database::blob_url(data_dir) {
            url if url.is_empty() => Self::Folder(data_dir.to_owned()),
            url => {
                let location = Location::parse(&url, |name| std::env::var(name).ok()).unwrap();
                Self::Bucket(Bucket::new(location).unwrap())
            }
        }
    }

    pub(crate) fn are_in_bucket(&self) -> bool {
        matches!(self, Self::Bucket(_))
    }

    /// The keys in a tree.
    pub(crate) fn list(&self, tree: &str) -> Vec<String> {
        match self {
            Self::Folder(root) => {
                let key = |path: PathBuf| path.strip_prefix(root).unwrap().display().to_string();
                files(&root.join(tree)).into_iter().map(key).collect()
            }
            Self::Bucket(bucket) => wait(async {
                let (mut keys, mut next) = (Vec::new(), None);
                loop {
                    let page = bucket.list(&format!("{tree}/"), next.as_deref()).await.unwrap();
                    keys.extend(page.objects.into_iter().map(|object| object.key));
                    next = page.next;
                    if next.is_none() {
                        return keys;
                    }
                }
            }),
        }
    }

    pub(crate) fn read(&self, key: &str) -> Vec<u8> {
        match self {
            Self::Folder(root) => std::fs::read(root.join(key)).unwrap(),
            Self::Bucket(bucket) => {
                wait(async { bucket.get(key, None).await.unwrap().unwrap().all().await.unwrap() })
            }
        }
    }

    pub(crate) fn write(&self, key: &str, bytes: &[u8]) {
        match self {
            Self::Folder(root) => std::fs::write(root.join(key), bytes).unwrap(),
            Self::Bucket(bucket) => {
                let payload = Payload::Bytes(bytes.to_vec().into());
                wait(async { bucket.put(key, payload).await.unwrap() });
            }
        }
    }

    pub(crate) fn remove(&self, key: &str) {
        match self {
            Self::Folder(root) => std::fs::remove_file(root.join(key)).unwrap(),
            Self::Bucket(bucket) => wait(async { bucket.delete(key).await.unwrap() }),
        }
    }
}

/// On a thread of its own: some tests have a runtime, some have none.
fn wait<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}
