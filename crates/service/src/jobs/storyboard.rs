use std::path::Path;

use reelhouse_api::MediaKind;

use super::{Input, blocking};
use crate::{Service, worker::JobError};

/// When which part of which sheet is shown.
pub const VTT_FILE: &str = "storyboard.vtt";

/// Sheets of small pictures, and the text that says when each is shown.
pub(crate) async fn make(service: &Service, input: &Input, folder: &Path) -> Result<String, JobError> {
    if input.kind != MediaKind::Video {
        return Err(JobError::Fail("only videos have a storyboard".to_owned()));
    }
    let made = service.media.storyboard(input.source.path(), &input.facts, folder).await?;
    let path = folder.join(VTT_FILE);
    blocking(move || std::fs::write(path, made.vtt)).await?;
    Ok("{}".to_owned())
}
