use reelhouse_api::{CompletedChunk, CreateUpload, ReportChunks, RequestChunkUrls};
use reqwest::{Method, Url};

use crate::{
    ChunkUrls, Client, Error, List, ReportedChunks, Result, Source, Upload, UploadProgress, UploadSummary,
    operation::Call,
    request::{Body, Request, random_key},
};

/// Uploads in chunks, call by call. See [`Client::uploads`].
#[derive(Debug, Clone)]
pub struct Uploads {
    pub(crate) client: Client,
}

impl Uploads {
    /// Begins an upload. Made again after an error, by an `Idempotency-Key` of its own; a server that does not know the
    /// header may begin another one, which goes by itself when nobody completes it.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// use reelhouse_client::{CreateUpload, MediaKind};
    ///
    /// let upload = client.uploads().create(&CreateUpload::new("clip.mp4", MediaKind::Video, 12_000_000)).await?;
    /// println!("{} chunks of {} bytes", upload.total_chunks, upload.chunk_size);
    /// # Ok(()) });
    /// ```
    pub fn create(&self, new: &CreateUpload) -> Call<Upload> {
        let mut request = self.request(Method::POST, &[]).json(new);
        if let Some(key) = random_key() {
            request.idempotency_key(&key);
        }
        Call::json(request)
    }

    /// Lists uploads that are not completed.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// for upload in client.uploads().list().await?.data {
    ///     println!("{}", upload.upload_id);
    /// }
    /// # Ok(()) });
    /// ```
    pub fn list(&self) -> List<UploadSummary> {
        List::new(self.request(Method::GET, &[]))
    }

    /// Where an upload and its chunks stand: one page of chunks.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// let upload = client.uploads().retrieve("6730dddddddddddddddddddd", 1, 50).await?;
    /// println!("{} of {} bytes", upload.uploaded_size, upload.total_size);
    /// # Ok(()) });
    /// ```
    pub fn retrieve(&self, upload_id: &str, page: u64, page_limit: u32) -> Call<UploadProgress> {
        let mut request = self.request(Method::GET, &[upload_id]);
        request.query("page", &page.to_string());
        request.query("page_limit", &page_limit.to_string());
        Call::json(request)
    }

    /// More URLs, for up to 50 chunks from `start` (from 1) on.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// let more = client.uploads().request_urls("6730dddddddddddddddddddd", 1, 2).await?;
    /// println!("{:?}", more.upload_urls);
    /// # Ok(()) });
    /// ```
    pub fn request_urls(&self, upload_id: &str, start: u64, count: u64) -> Call<ChunkUrls> {
        let request = self.request(Method::POST, &[upload_id, "presigned-urls"]).repeatable();
        Call::json(request.json(&RequestChunkUrls { start, count }))
    }

    /// Tells that chunks arrived. With the last one, the upload is completed.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// use reelhouse_client::CompletedChunk;
    ///
    /// let chunk = CompletedChunk::new(1, "a-proof", 5_242_880);
    /// let report = client.uploads().report("6730dddddddddddddddddddd", vec![chunk]).await?;
    /// println!("{} chunks are here", report.total_completed);
    /// # Ok(()) });
    /// ```
    pub fn report(&self, upload_id: &str, completed_chunks: Vec<CompletedChunk>) -> Call<ReportedChunks> {
        Call::json(
            self.request(Method::POST, &[upload_id]).repeatable().json(&ReportChunks { completed_chunks }),
        )
    }

    /// Sends one chunk to its URL; gives its proof.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/example.rs")); }
    /// # support::example(async |client| {
    /// let more = client.uploads().request_urls("6730dddddddddddddddddddd", 1, 1).await?;
    /// let proof = client.uploads().put(&more.upload_urls[0].url, b"0123456789".to_vec()).await?;
    /// println!("{proof}");
    /// # Ok(()) });
    /// ```
    pub async fn put(&self, url: &str, bytes: impl Into<bytes::Bytes>) -> Result<String> {
        let bytes = bytes.into();
        let length = bytes.len() as u64;
        let mut request = self.put_request(url)?;
        request.body = Body::Piece { source: Source::from(bytes), length };
        put(request).await
    }

    /// A PUT that has no body yet.
    pub(crate) fn put_request(&self, url: &str) -> Result<Request> {
        let parsed =
            Url::parse(url).map_err(|error| Error::Upload(format!("\"{url}\" is no URL: {error}")))?;
        Ok(self.client.request_presigned(Method::PUT, parsed))
    }

    fn request(&self, method: Method, below: &[&str]) -> Request {
        self.client.request(method, &[&["assets", "multipart-uploads"], below].concat())
    }
}

/// Sends a chunk; gives its proof.
pub(crate) async fn put(mut request: Request) -> Result<String> {
    let answer = request.answer().await?;
    let etag = answer.headers.get("etag").and_then(|etag| etag.to_str().ok());
    let etag = etag.ok_or_else(|| Error::Upload("the answer to a chunk has no ETag".to_owned()))?;
    Ok(etag.trim_start_matches("W/").trim_matches('"').to_owned())
}
