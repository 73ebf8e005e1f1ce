use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use reelhouse_media::{Jail, Media};
use reelhouse_server::{App, Timeouts};
use reelhouse_service::{Clock, Service, SystemClock};
use reelhouse_store::Store;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::{logging, settings::Settings};

pub(crate) async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let logging = logging::start(&settings)?;
    use_all_descriptors();
    // Before anything is opened: a signal during a long recovery counts, too.
    let shutdown = on_signal()?;
    let store = Store::open(&settings.data_dir, &settings.homes()?, SystemClock.now_ms()).await;
    let store = store.with_context(|| format!("data folder {}", settings.data_dir.display()))?;
    let name = worker_name(&store.server_worker());
    let service = start_service(&settings, store).await?;
    if let Some(key) = service.settle_keys(settings.configured_key().as_ref()).await? {
        eprintln!("API key for the account `default`, shown this once: {}", key.reveal());
    }

    let listener = TcpListener::bind(&settings.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", settings.listen))?;
    let address = listener.local_addr()?;
    // Tools wait for this line; that nobody reads it is no reason to end.
    let _ = writeln!(io::stdout(), "http://{address}");
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");
    let timeouts = Timeouts { min_rate: settings.client_min_rate, ..Timeouts::default() };
    let app = App::new(service.clone(), timeouts)
        .with_connections_per_address(settings.connections_per_address)
        .with_delivery(settings.delivery);
    let watched = serve_metrics(&settings, app.clone(), shutdown.clone()).await?;
    tokio::join!(
        watched,
        reelhouse_server::serve(listener, app, shutdown.clone()),
        service.work(&name, settings.workers, shutdown),
    );
    logging.end().await;
    Ok(ExitCode::SUCCESS)
}

/// Serves metrics on a listener of their own, if one is configured.
pub(crate) async fn serve_metrics(
    settings: &Settings,
    app: App,
    shutdown: CancellationToken,
) -> anyhow::Result<impl Future<Output = ()> + use<>> {
    let listener = match settings.metrics_listen.as_str() {
        "" => None,
        address => {
            let listener = TcpListener::bind(address).await;
            let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
            tracing::info!(address = %listener.local_addr()?, "serving metrics");
            Some(listener)
        }
    };
    Ok(async move {
        if let Some(listener) = listener {
            reelhouse_server::serve_metrics(listener, app, shutdown).await;
        }
    })
}

/// The verbs, as configured.
pub(crate) async fn start_service(settings: &Settings, store: Store) -> anyhow::Result<Service> {
    let media = start_media(settings).await?;
    let jail = media.jail();
    if settings.jail == Jail::Off || !jail.holds() {
        tracing::warn!(mode = settings.jail.as_str(), "the jail of media files is not whole: {jail}");
    } else {
        tracing::info!(mode = settings.jail.as_str(), "media files are jailed: {jail}");
    }
    let service = Service::start(
        store,
        media,
        Arc::new(SystemClock),
        reelhouse_service::Settings {
            limits: settings.bounds.clone(),
            max_staged_bytes: settings.max_staged_bytes,
            min_free: settings.min_free,
            rate_upload_rpm: settings.rate_upload_rpm,
            rate_upload_rpd: settings.rate_upload_rpd,
            media_url_ttl: settings.media_url_ttl,
            imports: settings.imports()?,
            hls: settings.hls()?,
            webhooks: settings.webhooks()?,
            public_url: settings.configured_url(),
        },
    );
    Ok(service.await?)
}

/// The media tools, as configured.
pub(crate) async fn start_media(settings: &Settings) -> anyhow::Result<Media> {
    let config = reelhouse_media::Config {
        ffmpeg: settings.ffmpeg.clone(),
        jail: settings.jail,
        probes: settings.probes,
        ..Default::default()
    };
    Ok(Media::start(config).await?)
}

/// This process's name among all that work on the same data: a process id may come again, a time with it does not.
pub(crate) fn worker_name(kind: &str) -> String {
    format!("{kind}{}-{}", std::process::id(), SystemClock.now_ms())
}

/// The soft limit on open files is set for programs that use `select`; we do not.
fn use_all_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "could not raise the limit on open files");
    }
}

/// Cancelled by SIGTERM or SIGINT.
pub(crate) fn on_signal() -> io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(token)
}
