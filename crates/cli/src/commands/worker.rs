use std::process::ExitCode;

use reelhouse_store::Store;

use super::serve::{on_signal, start_service, worker_name};
use crate::{logging, settings::Settings};

/// Runs jobs beside a server, until a signal.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    logging::start(&settings.log)?;
    let shutdown = on_signal()?;
    let store = Store::attach(&settings.data_dir, &settings.database()?).await?;
    let service = start_service(&settings, store).await?;
    tracing::info!(workers = settings.workers, "working");
    service.work(&worker_name("worker:"), settings.workers, shutdown).await;
    Ok(ExitCode::SUCCESS)
}
