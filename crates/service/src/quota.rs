//! Whether an account may begin another upload: its rate and its quota.

use reelhouse_api::{Fault, Size};
use reelhouse_store::AccountRecord;

use crate::{Admission, Caller, Service, error::Result};

impl Service {
    /// Lets an upload begin, after a wait if the account is ahead of its rate. `None` where no rate holds. `keyed` says that
    /// it may be one that was answered before.
    ///
    /// # Errors
    /// [`Fault::TooManyRequests`] when the wait would be too long, [`Fault::UsageLimitExceeded`] when the account's
    /// quota is reached already.
    pub async fn admit_upload(&self, caller: &Caller, keyed: bool) -> Result<Option<Admission>> {
        let admission = self.await_turn(&caller.account).await?;
        // Whoever asks again for an answer is told it, also at the quota.
        if !keyed {
            self.check_quota(caller, 1).await?;
        }
        Ok(admission)
    }

    /// Whether the account has room for one more asset of so many bytes.
    ///
    /// # Errors
    /// [`Fault::UsageLimitExceeded`] when it has not.
    pub(crate) async fn check_quota(&self, caller: &Caller, bytes: u64) -> Result<()> {
        let account = match self.store.account(&caller.account).await {
            // The transaction that makes the asset will tell, if it can be made.
            Err(error) if error.is_unavailable() => return Ok(()),
            account => account?,
        };
        let Some(account) = account else { return Ok(()) };
        let arriving = match account.quota_bytes {
            // What is still arriving will have to fit, too.
            Some(_) => self.store.arriving_bytes(&caller.account).await?,
            None => 0,
        };
        reached(&account, bytes.saturating_add(arriving)).map_or(Ok(()), |fault| Err(fault.into()))
    }

    /// Why the store found no room in the account's quota for `bytes` more.
    pub(crate) async fn quota_fault(&self, account: &str, bytes: u64) -> Result<Fault> {
        let arriving = self.store.arriving_bytes(account).await?;
        let account = self.store.account(account).await?;
        let reached = account.and_then(|account| reached(&account, bytes.saturating_add(arriving)));
        // Room again already: asking once more would succeed.
        Ok(reached.unwrap_or(Fault::FileUnprocessable))
    }
}

/// The quota that an asset of so many bytes would pass.
fn reached(account: &AccountRecord, bytes: u64) -> Option<Fault> {
    let quota = match (account.quota_assets, account.quota_bytes) {
        (Some(assets), _) if account.asset_count >= assets => format!("{assets} assets"),
        (_, Some(most)) if account.asset_bytes.saturating_add(bytes) > most => Size(most).to_string(),
        _ => return None,
    };
    Some(Fault::UsageLimitExceeded { quota })
}
