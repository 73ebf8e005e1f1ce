//! Secrets that all nodes share, and that outlive them.

use crate::{
    Store,
    accounts::hex,
    error::{Error, Result},
    writer::transaction,
};

impl Store {
    /// The secret of this name: 256 random bits as hex, made when first asked for.
    ///
    /// # Errors
    /// When the database fails, or the system has no randomness.
    pub async fn secret(&self, name: &str) -> Result<String> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|source| Error::Io { what: "making a secret", source: std::io::Error::other(source) })?;
        transaction!(self.db, |tx| {
            sqlx::query("INSERT INTO secret (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
                .bind(name)
                .bind(hex(&bytes))
                .execute(&mut *tx)
                .await?;
            let secret = sqlx::query_scalar("SELECT value FROM secret WHERE name = $1");
            Ok(secret.bind(name).fetch_one(tx).await?)
        })
    }
}
