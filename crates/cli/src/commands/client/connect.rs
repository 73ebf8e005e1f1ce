use anyhow::bail;
use reelhouse_client::{API_KEY_VARIABLE, BASE_URL_VARIABLE, Client, DEFAULT_BASE_URL};

/// Which server, and as whom.
#[derive(clap::Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ConnectArgs {
    /// The API key
    #[arg(long, env = API_KEY_VARIABLE, value_name = "KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// The server's address, with the version of its API
    #[arg(long, env = BASE_URL_VARIABLE, value_name = "URL", hide_env_values = true, default_value = DEFAULT_BASE_URL)]
    base_url: String,
}

impl ConnectArgs {
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let Some(key) = self.api_key.as_ref().filter(|key| !key.trim().is_empty()) else {
            bail!(super::failure::NoKey);
        };
        Ok(Client::builder().api_key(key).base_url(&self.base_url).build()?)
    }
}
