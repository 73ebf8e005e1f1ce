use std::path::PathBuf;

use reelhouse_api::SetUserMetadata;
use reqwest::Method;

use crate::{
    AssetDetail, Client, CreateAsset, Download, IndexedAssetSummary, List, MediaKind, OpenContent, Source,
    UploadFile, UserMetadata, WaitUntilReady, operation::Call, request::Request,
};

/// Assets: create, list, retrieve, download, delete. See [`Client::assets`].
#[derive(Debug, Clone)]
pub struct Assets {
    pub(crate) client: Client,
}

impl Assets {
    /// Creates an asset in one request: of a path, bytes, whatever can be read, or a public link.
    ///
    /// Not made again after an error unless [`CreateAsset::idempotency_key`] is set: the answer may have been lost, and the
    /// asset be there. Large files go better by [`Assets::upload`].
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// use reelhouse_client::Source;
    ///
    /// let asset = client.assets().create(b"...".to_vec()).filename("clip.mp4").enable_hls(true).await?;
    /// println!("{} is {}", asset.id, asset.status);
    /// let asset = client.assets().create(Source::url("https://example.org/clip.mp4")).await?;
    /// # let _ = asset;
    /// # Ok(()) });
    /// ```
    pub fn create(&self, source: impl Into<Source>) -> CreateAsset {
        CreateAsset::new(self.client.request(Method::POST, &["assets"]), source.into())
    }

    /// Uploads a file in chunks, as one call: several at once, each tried again by itself; what a kill cuts short, goes on.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// # let file = tempfile::NamedTempFile::new()?;
    /// # std::fs::write(file.path(), b"0123456789")?;
    /// # let path = file.path();
    /// let asset = client.assets().upload(path).enable_thumbnail(true).await?;
    /// assert_eq!(asset.status, reelhouse_client::Status::Ready);
    /// # Ok(()) });
    /// ```
    pub fn upload(&self, path: impl Into<PathBuf>) -> UploadFile {
        UploadFile::new(self.client.clone(), path.into())
    }

    /// Lists assets, newest first.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// use futures_util::TryStreamExt;
    /// use reelhouse_client::MediaKind;
    ///
    /// let page = client.assets().list().asset_types([MediaKind::Video]).page_limit(50).await?;
    /// if page.has_next_page() {
    ///     let second = page.next_page().await?;
    ///     println!("{} and {}", page.data.len(), second.data.len());
    /// }
    /// let mut all = client.assets().list().filename("clip").stream();
    /// while let Some(asset) = all.try_next().await? {
    ///     println!("{}", asset.filename);
    /// }
    /// # Ok(()) });
    /// ```
    pub fn list(&self) -> List<AssetDetail> {
        List::new(self.client.request(Method::GET, &["assets"]))
    }

    /// All that is known of one asset.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// let answer = client.assets().retrieve("6730aaaaaaaaaaaaaaaaaaaa").with_raw_response().await?;
    /// println!("{}: {}, of API {:?}", answer.value.id, answer.status, answer.headers.get("x-api-version"));
    /// # Ok(()) });
    /// ```
    pub fn retrieve(&self, id: &str) -> Call<AssetDetail> {
        Call::json(self.request(Method::GET, id, None))
    }

    /// Waits until an asset is ready; an asset that failed is an error.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// let asset = client.assets().wait_until_ready("6730aaaaaaaaaaaaaaaaaaaa").renditions(true).await?;
    /// println!("{:?}", asset.hls.and_then(|hls| hls.manifest_url));
    /// # Ok(()) });
    /// ```
    pub fn wait_until_ready(&self, id: &str) -> WaitUntilReady {
        WaitUntilReady::new(self.retrieve(id).request, id)
    }

    /// Deletes an asset. One that indexed assets refer to is refused with 409, unless forced.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// use reelhouse_client::ErrorCode;
    ///
    /// match client.assets().delete("6730aaaaaaaaaaaaaaaaaaaa", false).await {
    ///     Err(error) if error.code() == Some(ErrorCode::AssetInUse) => println!("still used"),
    ///     other => other?,
    /// }
    /// # Ok(()) });
    /// ```
    pub fn delete(&self, id: &str, force: bool) -> Call<()> {
        let mut request = self.request(Method::DELETE, id, None);
        if force {
            request.query("force", "true");
        }
        Call::nothing(request)
    }

    /// The original, byte for byte, as a stream that goes on by itself where the connection breaks (Reelhouse only).
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// use futures_util::TryStreamExt;
    ///
    /// let mut content = client.assets().content("6730aaaaaaaaaaaaaaaaaaaa").await?;
    /// let mut bytes = 0;
    /// while let Some(piece) = content.try_next().await? {
    ///     bytes += piece.len();
    /// }
    /// assert_eq!(content.length(), Some(bytes as u64));
    /// # Ok(()) });
    /// ```
    pub fn content(&self, id: &str) -> OpenContent {
        OpenContent::new(self.request(Method::GET, id, Some("content")), id)
    }

    /// The original, byte for byte, into a file. What a kill cuts short, goes on (Reelhouse only).
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("clip.mp4");
    /// let bytes = client.assets().download("6730aaaaaaaaaaaaaaaaaaaa", &path).await?;
    /// assert_eq!(std::fs::metadata(&path)?.len(), bytes);
    /// # Ok(()) });
    /// ```
    pub fn download(&self, id: &str, path: impl Into<PathBuf>) -> Download {
        Download::new(self.content(id), path.into())
    }

    /// Sets names in the user metadata; the others stay. `null` deletes a name.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// let metadata = reelhouse_client::user_metadata([("take", 7.into()), ("draft", ().into())]);
    /// client.assets().update_user_metadata("6730aaaaaaaaaaaaaaaaaaaa", metadata).await?;
    /// # Ok(()) });
    /// ```
    pub fn update_user_metadata(&self, id: &str, user_metadata: UserMetadata) -> Call<()> {
        self.set_user_metadata(Method::PATCH, id, user_metadata)
    }

    /// Replaces all of the user metadata.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// let metadata = reelhouse_client::user_metadata([("scene", "beach".into())]);
    /// client.assets().replace_user_metadata("6730aaaaaaaaaaaaaaaaaaaa", metadata).await?;
    /// # Ok(()) });
    /// ```
    pub fn replace_user_metadata(&self, id: &str, user_metadata: UserMetadata) -> Call<()> {
        self.set_user_metadata(Method::PUT, id, user_metadata)
    }

    /// Deletes all of the user metadata.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// client.assets().delete_user_metadata("6730aaaaaaaaaaaaaaaaaaaa").await?;
    /// # Ok(()) });
    /// ```
    pub fn delete_user_metadata(&self, id: &str) -> Call<()> {
        Call::nothing(self.request(Method::DELETE, id, Some("user-metadata")))
    }

    /// In which indexes an asset is.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// for place in client.assets().indexed_assets("6730aaaaaaaaaaaaaaaaaaaa").await?.data {
    ///     println!("{} in {}", place.id, place.index.name);
    /// }
    /// # Ok(()) });
    /// ```
    pub fn indexed_assets(&self, id: &str) -> List<IndexedAssetSummary> {
        List::new(self.request(Method::GET, id, Some("indexed-assets")))
    }

    fn set_user_metadata(&self, method: Method, id: &str, user_metadata: UserMetadata) -> Call<()> {
        let body = SetUserMetadata { user_metadata };
        Call::nothing(self.request(method, id, Some("user-metadata")).json(&body))
    }

    fn request(&self, method: Method, id: &str, below: Option<&str>) -> Request {
        let segments: Vec<&str> = ["assets", id].into_iter().chain(below).collect();
        self.client.request(method, &segments)
    }
}

impl List<AssetDetail> {
    /// Only assets with one of these ids.
    pub fn asset_ids<S: AsRef<str>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        ids.into_iter().for_each(|id| self.request.query("asset_ids", id.as_ref()));
        self
    }

    /// Only assets of one of these kinds.
    pub fn asset_types(mut self, kinds: impl IntoIterator<Item = MediaKind>) -> Self {
        kinds.into_iter().for_each(|kind| self.request.query("asset_types", kind.as_str()));
        self
    }

    /// Only assets with this in their filename, in upper or lower case.
    pub fn filename(mut self, part: &str) -> Self {
        self.request.query("filename", part);
        self
    }
}
