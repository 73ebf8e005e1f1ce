//! A file's own sample tables, read into the index from which HLS is served.

use std::io;

use reelhouse_media::{
    hls::{CopyCodec, Index, Reason},
    process::{Input, Refused, Reply},
};

/// The index as bytes, or the reason why the file does not serve as it lies.
pub(crate) fn read(input: Input, copy: &[CopyCodec]) -> Result<Reply, Refused> {
    let unreadable = |error: io::Error| Refused::Unreadable(error.to_string());
    let len = input.size().map_err(unreadable)?;
    let index = Index::read(&mut input.reader(), len, copy).map_err(unreadable)?;
    let no_bytes = Ok::<(), Reason>(());
    Ok(match index {
        Ok(index) => Reply::new(&no_bytes, index.to_bytes()),
        Err(reason) => Reply::new(&Err::<(), Reason>(reason), Vec::new()),
    })
}
