//! All bytes of an asset are here: is it what it should be?

use std::{fs::File, io::Read, path::Path};

use reelhouse_api::{AssetError, Fault};
use reelhouse_media::{SNIFF_LEN, sniff};
use reelhouse_store::{AssetRecord, Local, Whole};

use crate::{
    Service,
    judge::JudgeError,
    worker::{Done, JobError},
};

/// Looks at a file that is all here.
pub(crate) async fn run(service: &Service, asset: AssetRecord) -> Result<Done, JobError> {
    match service.store.arrived(asset.id).await? {
        Some(local) => {
            let whole = Whole::of(&local).await?;
            verdict(service, asset, &local, whole).await
        }
        None => Ok(Done::Refused(AssetError::from(&Fault::FileUnprocessable))),
    }
}

/// What a file of known size and hash makes of its asset.
pub(crate) async fn verdict(
    service: &Service,
    mut asset: AssetRecord,
    local: &Local,
    whole: Whole,
) -> Result<Done, JobError> {
    let path = local.path().to_owned();
    let head = super::blocking({
        let path = path.clone();
        move || head(&path)
    });
    let sniffed = sniff(&head.await?);
    match service.judge(path.clone().into(), sniffed, asset.method, whole.size).await {
        Ok(facts) => {
            let early = service.make_ready(&mut asset, path.into(), facts, whole.size, whole.blake3).await;
            Ok(Done::Arrived(Box::new(asset), early))
        }
        Err(JudgeError::Fault(fault)) => Ok(Done::Refused(AssetError::from(&fault))),
        Err(JudgeError::Tool(error)) => Err(error.into()),
    }
}

fn head(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(SNIFF_LEN as u64).read_to_end(&mut head)?;
    Ok(head)
}
