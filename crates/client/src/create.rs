use std::sync::Arc;

use crate::{
    Asset, Progress, RawResponse, Source, UserMetadata,
    meter::Meter,
    operation::{CallFuture, Operation, call, read},
    request::{Body, Request, random_key},
    source::Kind,
};

/// A create looks at the file before it answers, and may wait its turn for that: 600 s, as in the official SDKs.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(600);
/// Longer names are refused as fields.
const MAX_FILENAME_CHARS: usize = 255;

/// Creates an asset in one request. See [`Assets::create`](crate::Assets::create).
pub struct CreateAsset {
    request: Request,
    source: Source,
    filename: Option<String>,
    options: Vec<(&'static str, String)>,
    progress: Option<crate::meter::Callback>,
}

call!(CreateAsset);

impl CreateAsset {
    pub(crate) fn new(mut request: Request, source: Source) -> Self {
        request.timeout = request.timeout.max(TIMEOUT);
        Self { request, source, filename: None, options: Vec::new(), progress: None }
    }

    /// What the asset is called, 1 to 255 characters. Else it is the file's name, or the end of the link.
    pub fn filename(mut self, name: impl Into<String>) -> Self {
        self.filename = Some(name.into());
        self
    }

    /// Whether HLS is made. Not when it is not said.
    pub fn enable_hls(self, enable: bool) -> Self {
        self.option("enable_hls", enable.to_string())
    }

    /// Whether a thumbnail is made. Not when it is not said.
    pub fn enable_thumbnail(self, enable: bool) -> Self {
        self.option("enable_thumbnail", enable.to_string())
    }

    /// What is kept with the asset.
    pub fn user_metadata(self, metadata: &UserMetadata) -> Self {
        self.option("user_metadata", serde_json::Value::Object(metadata.clone()).to_string())
    }

    /// By this key, unique to this create, the server knows it again: it may be made again after an error and happens
    /// once. Servers that do not know the header may make a second asset.
    pub fn idempotency_key(mut self, key: &str) -> Self {
        self.request.idempotency_key(key);
        self
    }

    /// As [`CreateAsset::idempotency_key`], with a random key: the create may be made again within this call.
    pub fn idempotent(self) -> Self {
        match random_key() {
            Some(key) => self.idempotency_key(&key),
            None => self,
        }
    }

    /// Called with each piece of the file that is sent.
    pub fn progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(callback));
        self
    }

    fn option(mut self, name: &'static str, value: String) -> Self {
        self.options.retain(|(other, _)| *other != name);
        self.options.push((name, value));
        self
    }
}

impl Operation for CreateAsset {
    type Output = Asset;

    fn perform(self) -> CallFuture<RawResponse<Asset>> {
        let Self { mut request, source, filename, options, progress } = self;
        // The part's own name goes through more hands than a field does.
        let filename =
            filename.or_else(|| source.name().filter(|name| name.chars().count() <= MAX_FILENAME_CHARS));
        Box::pin(async move {
            request.meter = Meter::new(source.length().await?, progress);
            let (method, file) = match source.0 {
                Kind::Url(url) => {
                    ([("method", "url".to_owned())].into_iter().chain(Some(("url", url))), None)
                }
                kind => ([("method", "direct".to_owned())].into_iter().chain(None), Some(Source(kind))),
            };
            let name = filename.map(|name| ("filename", name));
            request.body = Body::Form { fields: method.chain(name).chain(options).collect(), file };
            read(request.answer().await?, |body| serde_json::from_slice(body))
        })
    }
}

impl std::fmt::Debug for CreateAsset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreateAsset").field("source", &self.source).finish_non_exhaustive()
    }
}
