use reelhouse_api::{
    SetUserMetadata,
    index::{CreateIndex, CreateIndexedAsset, IndexModel, RenameIndex},
};
use reqwest::Method;

use crate::{
    Client, CreatedIndex, CreatedIndexedAsset, Index, IndexedAsset, IndexedAssetDetail, IndexedAssetStatus,
    List, UserMetadata, operation::Call,
};

/// Indexes. See [`Client::indexes`].
#[derive(Debug, Clone)]
pub struct Indexes {
    pub(crate) client: Client,
}

/// The assets in one index. See [`Indexes::indexed_assets`].
#[derive(Debug, Clone)]
pub struct IndexedAssets {
    client: Client,
    index_id: String,
}

impl Indexes {
    /// Makes an index with one model and what it looks at.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// let index = client.indexes().create("films", "marengo3.0", ["visual", "audio"]).await?;
    /// println!("{}", index.id);
    /// # Ok(()) });
    /// ```
    pub fn create<S: Into<String>>(
        &self,
        name: &str,
        model: &str,
        model_options: impl IntoIterator<Item = S>,
    ) -> Call<CreatedIndex> {
        let model_options = model_options.into_iter().map(Into::into).collect();
        self.create_with(&CreateIndex {
            index_name: name.to_owned(),
            models: vec![IndexModel { model_name: model.to_owned(), model_options }],
            addons: Vec::new(),
        })
    }

    /// Makes an index with several models, or with addons.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// use reelhouse_client::{CreateIndex, IndexModel};
    ///
    /// let model = IndexModel { model_name: "marengo3.0".into(), model_options: vec!["visual".into()] };
    /// let new = CreateIndex { index_name: "films".into(), models: vec![model], addons: vec!["thumbnail".into()] };
    /// let index = client.indexes().create_with(&new).await?;
    /// # let _ = index;
    /// # Ok(()) });
    /// ```
    pub fn create_with(&self, new: &CreateIndex) -> Call<CreatedIndex> {
        Call::json(self.client.request(Method::POST, &["indexes"]).json(new))
    }

    /// Lists indexes.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// for index in client.indexes().list().index_name("films").await?.data {
    ///     println!("{}: {} videos", index.index_name, index.video_count);
    /// }
    /// # Ok(()) });
    /// ```
    pub fn list(&self) -> List<Index> {
        List::new(self.client.request(Method::GET, &["indexes"]))
    }

    /// One index.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// let index = client.indexes().retrieve("6730bbbbbbbbbbbbbbbbbbbb").await?;
    /// println!("{}", index.index_name);
    /// # Ok(()) });
    /// ```
    pub fn retrieve(&self, id: &str) -> Call<Index> {
        Call::json(self.client.request(Method::GET, &["indexes", id]))
    }

    /// Gives an index another name.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// client.indexes().rename("6730bbbbbbbbbbbbbbbbbbbb", "shorts").await?;
    /// # Ok(()) });
    /// ```
    pub fn rename(&self, id: &str, name: &str) -> Call<()> {
        let body = RenameIndex { index_name: name.to_owned() };
        Call::nothing(self.client.request(Method::PUT, &["indexes", id]).json(&body))
    }

    /// Deletes an index and the indexed assets in it. The assets stay.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// client.indexes().delete("6730bbbbbbbbbbbbbbbbbbbb").await?;
    /// # Ok(()) });
    /// ```
    pub fn delete(&self, id: &str) -> Call<()> {
        Call::nothing(self.client.request(Method::DELETE, &["indexes", id]))
    }

    /// The assets in an index.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// let indexed = client.indexes().indexed_assets("6730bbbbbbbbbbbbbbbbbbbb");
    /// println!("{}", indexed.list().await?.data.len());
    /// # Ok(()) });
    /// ```
    pub fn indexed_assets(&self, index_id: &str) -> IndexedAssets {
        IndexedAssets { client: self.client.clone(), index_id: index_id.to_owned() }
    }
}

impl List<Index> {
    /// Only the index of this name.
    pub fn index_name(mut self, name: &str) -> Self {
        self.request.query("index_name", name);
        self
    }
}

impl IndexedAssets {
    /// Puts a ready asset into the index.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// let index = client.indexes().indexed_assets("6730bbbbbbbbbbbbbbbbbbbb");
    /// let indexed = index.create("6730aaaaaaaaaaaaaaaaaaaa").await?;
    /// println!("{}", indexed.id);
    /// # Ok(()) });
    /// ```
    pub fn create(&self, asset_id: &str) -> Call<CreatedIndexedAsset> {
        self.create_with(&CreateIndexedAsset {
            asset_id: asset_id.to_owned(),
            enable_video_stream: false,
            user_metadata: None,
        })
    }

    /// Puts a ready asset into the index, with its stream or metadata.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// use reelhouse_client::CreateIndexedAsset;
    ///
    /// let new = CreateIndexedAsset {
    ///     asset_id: "6730aaaaaaaaaaaaaaaaaaaa".into(),
    ///     enable_video_stream: true,
    ///     user_metadata: None,
    /// };
    /// client.indexes().indexed_assets("6730bbbbbbbbbbbbbbbbbbbb").create_with(&new).await?;
    /// # Ok(()) });
    /// ```
    pub fn create_with(&self, new: &CreateIndexedAsset) -> Call<CreatedIndexedAsset> {
        Call::json(self.request(Method::POST, None).json(new))
    }

    /// Lists what is in the index.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// use reelhouse_client::IndexedAssetStatus;
    ///
    /// let index = client.indexes().indexed_assets("6730bbbbbbbbbbbbbbbbbbbb");
    /// for indexed in index.list().status([IndexedAssetStatus::Ready]).await?.data {
    ///     println!("{} is {}", indexed.id, indexed.status);
    /// }
    /// # Ok(()) });
    /// ```
    pub fn list(&self) -> List<IndexedAsset> {
        List::new(self.request(Method::GET, None))
    }

    /// One indexed asset.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// let index = client.indexes().indexed_assets("6730bbbbbbbbbbbbbbbbbbbb");
    /// let indexed = index.retrieve("6730cccccccccccccccccccc").await?;
    /// println!("{:?}", indexed.user_metadata);
    /// # Ok(()) });
    /// ```
    pub fn retrieve(&self, id: &str) -> Call<IndexedAssetDetail> {
        Call::json(self.request(Method::GET, Some(id)))
    }

    /// Sets names in an indexed asset's user metadata; the others stay. `null` deletes a name.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// let index = client.indexes().indexed_assets("6730bbbbbbbbbbbbbbbbbbbb");
    /// let metadata = reelhouse_client::user_metadata([("scene", "beach".into())]);
    /// index.update_user_metadata("6730cccccccccccccccccccc", metadata).await?;
    /// # Ok(()) });
    /// ```
    pub fn update_user_metadata(&self, id: &str, user_metadata: UserMetadata) -> Call<()> {
        Call::nothing(self.request(Method::PATCH, Some(id)).json(&SetUserMetadata { user_metadata }))
    }

    /// Takes an asset out of the index. The asset stays.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// client.indexes().indexed_assets("6730bbbbbbbbbbbbbbbbbbbb").delete("6730cccccccccccccccccccc").await?;
    /// # Ok(()) });
    /// ```
    pub fn delete(&self, id: &str) -> Call<()> {
        Call::nothing(self.request(Method::DELETE, Some(id)))
    }

    fn request(&self, method: Method, id: Option<&str>) -> crate::request::Request {
        let segments: Vec<&str> =
            ["indexes", &self.index_id, "indexed-assets"].into_iter().chain(id).collect();
        self.client.request(method, &segments)
    }
}

impl List<IndexedAsset> {
    /// Only those that stand so.
    pub fn status(mut self, status: impl IntoIterator<Item = IndexedAssetStatus>) -> Self {
        status.into_iter().for_each(|status| self.request.query("status", status.as_str()));
        self
    }

    /// Only those whose asset is called so.
    pub fn filename(mut self, name: &str) -> Self {
        self.request.query("filename", name);
        self
    }
}
