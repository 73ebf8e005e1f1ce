use std::process::ExitCode;

use anyhow::ensure;
use clap::Subcommand;
use reelhouse_store::Store;

use crate::settings::Settings;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List accounts: name, assets and bytes held, each with its quota.
    List,
    /// Set what an account may hold. What it holds already stays.
    Quota {
        /// The account
        name: String,
        /// The most assets; no bound when left out
        #[arg(long, value_name = "N")]
        assets: Option<u64>,
        /// The most bytes; no bound when left out
        #[arg(long, value_name = "BYTES")]
        bytes: Option<u64>,
    },
}

pub(crate) async fn run(settings: Settings, command: Command) -> anyhow::Result<ExitCode> {
    let store = Store::attach(&settings.data_dir, &settings.homes()?).await?;
    match command {
        Command::List => {
            let of = |quota: Option<u64>| quota.map_or("no quota".to_owned(), |quota| format!("of {quota}"));
            for account in store.accounts().await? {
                let assets = format!("{} {}", account.asset_count, of(account.quota_assets));
                let bytes = format!("{} {}", account.asset_bytes, of(account.quota_bytes));
                println!("{:<16}  assets: {assets:<20}  bytes: {bytes}", account.name);
            }
        }
        Command::Quota { name, assets, bytes } => ensure!(
            store.set_quota(&name, assets, bytes).await?,
            "there is no account {name}; `reelhouse accounts list` shows them"
        ),
    }
    Ok(ExitCode::SUCCESS)
}
