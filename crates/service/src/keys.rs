use reelhouse_store::{ApiKey, KeyOrigin};

use crate::{Service, error::Result};

/// The account whose assets a server started with `REELHOUSE_API_KEY` serves.
const DEFAULT_ACCOUNT: &str = "default";

/// Who calls, after their key was checked. A verb that touches assets asks for one.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(crate) account: String,
    read_only: bool,
}

impl Caller {
    /// The account, for the log.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Whether it is the operator's own account.
    pub fn is_operator(&self) -> bool {
        self.account == DEFAULT_ACCOUNT
    }

    /// Whether the key may change anything.
    pub fn may_write(&self) -> bool {
        !self.read_only
    }
}

impl Service {
    /// Makes the configured key, and only it, the configured one. Without one, a data folder that has no key at all
    /// gets a new one, which is returned to be shown once.
    ///
    /// # Errors
    /// When the store fails or the system has no randomness.
    pub async fn settle_keys(&self, configured: Option<&ApiKey>) -> Result<Option<ApiKey>> {
        let now_ms = self.clock.now_ms();
        self.store.configure_key(DEFAULT_ACCOUNT, configured, now_ms).await?;
        if configured.is_some() {
            return Ok(None);
        }
        if !self.store.keys().await?.is_empty() {
            return Ok(None);
        }
        let key = ApiKey::generate()
            .map_err(|source| reelhouse_store::Error::Io { what: "making an API key", source })?;
        self.store.add_key(DEFAULT_ACCOUNT, &key, KeyOrigin::Generated, false, now_ms).await?;
        Ok(Some(key))
    }

    /// Who presents this key; `None` for a key that opens nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn caller(&self, key: &ApiKey) -> Result<Option<Caller>> {
        let record = self.store.find_key(key).await?;
        Ok(record.map(|record| Caller { account: record.account, read_only: record.read_only }))
    }
}
