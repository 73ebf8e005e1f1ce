use std::process::ExitCode;

use reelhouse_service::{Clock, SystemClock};
use reelhouse_store::Store;

use crate::settings::Settings;

pub(crate) async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let version = Store::migrate(&settings.data_dir, &settings.database()?, SystemClock.now_ms()).await?;
    println!("the schema is at version {version}");
    Ok(ExitCode::SUCCESS)
}
