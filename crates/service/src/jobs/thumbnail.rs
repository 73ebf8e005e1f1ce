use std::path::Path;

use super::Input;
use crate::{Service, worker::JobError};

/// The one file of a thumbnail.
pub const FILE: &str = "thumbnail.jpg";

/// One picture that stands for the asset.
pub(crate) async fn make(service: &Service, input: &Input, folder: &Path) -> Result<String, JobError> {
    service.media.thumbnail(input.source.path(), input.kind, &input.facts, &folder.join(FILE)).await?;
    Ok("{}".to_owned())
}
