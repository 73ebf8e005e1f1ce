use std::process::ExitCode;

use reelhouse_server::{App, Timeouts};
use reelhouse_service::{Clock, SystemClock};
use reelhouse_store::Store;

use super::serve::{on_signal, serve_metrics, start_service, worker_name};
use crate::{logging, settings::Settings};

/// Runs jobs beside a server, until a signal.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let logging = logging::start(&settings)?;
    let shutdown = on_signal()?;
    let store = Store::join(&settings.data_dir, &settings.homes()?, SystemClock.now_ms()).await?;
    let service = start_service(&settings, store).await?;
    tracing::info!(workers = settings.workers, "working");
    let app = App::new(service.clone(), Timeouts::default());
    let watched = serve_metrics(&settings, app, shutdown.clone()).await?;
    let name = worker_name("worker:");
    tokio::join!(watched, service.work(&name, settings.workers, shutdown));
    logging.end().await;
    Ok(ExitCode::SUCCESS)
}
