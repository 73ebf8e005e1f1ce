use std::process::ExitCode;

use anyhow::ensure;
use clap::Subcommand;
use jiff::Timestamp;
use reelhouse_service::{ApiKey, Clock, SystemClock};
use reelhouse_store::{KeyOrigin, Store};

use crate::settings::Settings;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a key, and its account if it is new. The key is printed once and kept nowhere.
    Create {
        /// The account: 1 to 64 letters, digits, `-`, `_` or `.`
        #[arg(long, value_name = "NAME")]
        account: String,
        /// May list, retrieve and download, nothing else
        #[arg(long)]
        read_only: bool,
    },
    /// List keys: id, account, origin, rights, time of making.
    List,
    /// End a key at once.
    Revoke {
        /// Its id, as `list` shows it
        id: String,
    },
}

pub(crate) async fn run(settings: Settings, command: Command) -> anyhow::Result<ExitCode> {
    let store = Store::attach(&settings.data_dir, &settings.homes()?).await?;
    match command {
        Command::Create { account, read_only } => {
            let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            ensure!(
                (1..=64).contains(&account.len()) && account.chars().all(valid),
                "an account's name is 1 to 64 letters, digits, `-`, `_` or `.`"
            );
            let key = ApiKey::generate()?;
            store.add_key(&account, &key, KeyOrigin::Created, read_only, SystemClock.now_ms()).await?;
            println!("{}", key.reveal());
        }
        Command::List => {
            for key in store.keys().await? {
                let rights = if key.read_only { "read-only" } else { "read-write" };
                let created = Timestamp::from_millisecond(key.created_at)?;
                println!("{}  {:<16}  {:<10}  {rights:<10}  {created:.0}", key.id, key.account, key.origin);
            }
        }
        Command::Revoke { id } => {
            ensure!(
                store.revoke_key(&id).await?,
                "there is no key with the id {id}; `reelhouse keys list` shows them"
            );
            println!("revoked {id}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
