//! Every path of the API, once: the router's templates.

use crate::UploadId;

/// Where the version lives: in the path.
pub const VERSION_PREFIX: &str = "/v1.3";
/// The version an operation ran against, in the header `X-Api-Version`.
pub const VERSION: &str = "1.3";
/// Create and list.
pub const ASSETS: &str = "/v1.3/assets";
/// Retrieve and delete.
pub const ASSET: &str = "/v1.3/assets/{asset_id}";
/// The original back, byte for byte (ours, not in the contract).
pub const ASSET_CONTENT: &str = "/v1.3/assets/{asset_id}/content";
/// Begin an upload in chunks, and list those under way.
pub const UPLOADS: &str = "/v1.3/assets/multipart-uploads";
/// How far an upload is; report chunks.
pub const UPLOAD: &str = "/v1.3/assets/multipart-uploads/{upload_id}";
/// More URLs for chunks.
pub const UPLOAD_URLS: &str = "/v1.3/assets/multipart-uploads/{upload_id}/presigned-urls";
/// Chunks by URLs that are their own key (ours: the contract leaves them to the server).
pub const CHUNK: &str = "/uploads/{upload_id}/{chunk_index}/{token}";
/// Media by URLs that are their own key.
pub const MEDIA: &str = "/media/{scope}/{asset_id}/{token}/{*path}";
/// Is the process alive?
pub const HEALTHZ: &str = "/healthz";
/// Can it take uploads?
pub const READYZ: &str = "/readyz";

/// [`CHUNK`], filled.
pub fn chunk(upload: UploadId, chunk_index: u64, token: &str) -> String {
    format!("/uploads/{upload}/{chunk_index}/{token}")
}
