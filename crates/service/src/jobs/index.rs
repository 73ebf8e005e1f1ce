//! An asset's places in indexes, one after the other.

use reelhouse_api::{AssetError, index::IndexModel};
use reelhouse_store::{AssetRecord, JobRecord};

use crate::{
    Service, models,
    worker::{Done, JobError},
};

/// Sees to every place of an asset, also to those that come while it runs.
pub(crate) async fn run(service: &Service, job: &JobRecord, asset: &AssetRecord) -> Result<Done, JobError> {
    while let Some(next) = service.store.begin_indexing(job, service.clock.now_ms()).await? {
        let outcome = index(asset, &next.models);
        if let Err(error) = &outcome {
            tracing::info!(indexed_asset = %next.id, message = error.message, "an asset is not what a model takes");
        }
        if !service.store.end_indexing(job, next.id, outcome, service.clock.now_ms()).await? {
            break;
        }
    }
    Ok(Done::Indexed)
}

/// The step where models would index an asset. No model runs here: what they would take is ready.
fn index(asset: &AssetRecord, models: &[IndexModel]) -> Result<(), AssetError> {
    models::check(asset, models).map_err(|(model, fault)| AssetError {
        code: fault.code().to_owned(),
        message: format!("For {}: {fault}", model.name()),
    })
}
