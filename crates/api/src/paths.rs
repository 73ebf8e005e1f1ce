//! Every path of the API, once: the router's templates.

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
/// Media by URLs that are their own key.
pub const MEDIA: &str = "/media/{scope}/{asset_id}/{token}/{*path}";
/// Is the process alive?
pub const HEALTHZ: &str = "/healthz";
/// Can it take uploads?
pub const READYZ: &str = "/readyz";
