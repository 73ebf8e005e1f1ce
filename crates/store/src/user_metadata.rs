//! What users keep with their assets.

use reelhouse_api::{AssetId, UserMetadata};

use crate::{
    Store,
    assets::json,
    error::{Error, Result},
    writer::transaction,
};

impl Store {
    /// Changes what is kept with an asset of the account, whatever its status: `change` is told what is there (`None`
    /// for nothing) and says what shall be. False if there is no such asset.
    ///
    /// # Errors
    /// What `change` says, and then nothing changes; or when the database fails or the row is corrupt.
    pub async fn change_user_metadata<E: From<Error>>(
        &self,
        account: &str,
        id: AssetId,
        change: impl Fn(Option<UserMetadata>) -> Result<Option<UserMetadata>, E>,
    ) -> Result<bool, E> {
        transaction!(self.db, |tx| {
            let kept: Option<Option<String>> = sqlx::query_scalar(
                "SELECT user_metadata FROM asset WHERE id = $1 AND account = $2 AND deleted_at IS NULL",
            )
            .bind(id.to_string())
            .bind(account)
            .fetch_optional(&mut *tx)
            .await?;
            let Some(kept) = kept else { return Ok(Ok(false)) };
            let kept = kept.as_deref().map(serde_json::from_str).transpose();
            let kept = kept.map_err(|_| Error::Corrupt { table: "asset", id: id.to_string() })?;
            let changed = match change(kept) {
                Ok(changed) => changed,
                Err(refused) => return Ok(Err(refused)),
            };
            sqlx::query("UPDATE asset SET user_metadata = $2 WHERE id = $1")
                .bind(id.to_string())
                .bind(json(id, changed.as_ref())?)
                .execute(tx)
                .await?;
            Ok(Ok(true))
        })?
    }
}
