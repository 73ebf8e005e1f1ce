//! The index from which HLS is served, read where strangers' tables can do no harm.

use crate::{
    Error, Media, Source,
    hls::{CopyCodec, Index, Reason},
    process::Request,
    reader::{Failure, Patience},
};

/// Bytes of an index: half a percent of 10 GB, and room.
const MAX_INDEX: u64 = 128 << 20;

impl Media {
    /// Reads a file's own tables into an index. `copy` names the codecs of video that are taken besides H.264. Waits its turn.
    ///
    /// # Errors
    /// When the file cannot be opened or no child be had. What cannot be served as it lies is a [`Reason`]; so is a child
    /// that dies over it.
    pub async fn hls_index(
        &self,
        source: impl Into<Source>,
        copy: &[CopyCodec],
    ) -> Result<Result<Index, Reason>, Error> {
        let source = source.into();
        let _turn = self.turn().await?;
        let file = source.open().await?;
        let patience = Patience { most: MAX_INDEX, ..self.config.probe_patience() };
        let request = Request::HlsIndex { copy: copy.to_vec() };
        match self.reader.ask::<Result<(), Reason>>(&file, request, patience).await {
            Ok((Ok(()), bytes)) => {
                Ok(Index::from_bytes(&bytes).ok_or_else(|| Reason::BadTables("no index came of them".into())))
            }
            Ok((Err(reason), _)) => Ok(Err(reason)),
            Err(Failure::Refused(refused)) => {
                tracing::info!(?refused, "a file's own tables could not be read");
                Ok(Err(Reason::BadTables("they cannot be read".into())))
            }
            Err(Failure::Died(reason)) => {
                tracing::info!(reason, "a child died over a file's own tables");
                Ok(Err(Reason::BadTables("a reader died over them".into())))
            }
            Err(Failure::Io(error)) => Err(error.into()),
        }
    }
}
