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
/// What the user keeps with an asset.
pub const ASSET_USER_METADATA: &str = "/v1.3/assets/{asset_id}/user-metadata";
/// What was said in an asset; there is never any.
pub const ASSET_TRANSCRIPTION: &str = "/v1.3/assets/{asset_id}/transcription";
/// Who is in an asset; there is never anyone.
pub const ASSET_ENTITIES: &str = "/v1.3/assets/{asset_id}/entities";
/// Where an asset is indexed.
pub const ASSET_INDEXED_ASSETS: &str = "/v1.3/assets/{asset_id}/indexed-assets";
/// Create an index, and list them.
pub const INDEXES: &str = "/v1.3/indexes";
/// Retrieve, rename and delete an index.
pub const INDEX: &str = "/v1.3/indexes/{index_id}";
/// Add an asset to an index, and list what is in it.
pub const INDEXED_ASSETS: &str = "/v1.3/indexes/{index_id}/indexed-assets";
/// Retrieve, update and remove what is in an index.
pub const INDEXED_ASSET: &str = "/v1.3/indexes/{index_id}/indexed-assets/{indexed_asset_id}";
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
/// The page for people.
pub const PAGE: &str = "/";
/// What the page is made of.
pub const PAGE_FILE: &str = "/static/{file}";
/// The API, for people.
pub const DOCS: &str = "/docs";
/// What that is made of.
pub const DOCS_FILE: &str = "/docs/{file}";
/// The API, for programs: OpenAPI 3.1.
pub const OPENAPI: &str = "/openapi.json";
/// Is the process alive?
pub const HEALTHZ: &str = "/healthz";
/// What is counted and measured, for Prometheus.
pub const METRICS: &str = "/metrics";
/// Can it take uploads?
pub const READYZ: &str = "/readyz";

/// The first words, behind the version, of paths of the original's platform that this server does not offer.
pub const NOT_OFFERED: &[&str] = &[
    "analyze",
    "classify",
    "connections",
    "embed",
    "embed-v2",
    "entity-collections",
    "generate",
    "gist",
    "knowledge-stores",
    "responses",
    "search",
    "summarize",
    "tasks",
];

/// [`CHUNK`], filled.
pub fn chunk(upload: UploadId, chunk_index: u64, token: &str) -> String {
    format!("/uploads/{upload}/{chunk_index}/{token}")
}
