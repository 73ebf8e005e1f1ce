//! Accounts and their API keys.

use std::fmt::Write;

use sha2::{Digest, Sha256};
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};
use subtle::ConstantTimeEq;

use crate::{Store, error::Result, writer::transaction};

/// An API key in the clear: exists only between the caller and the hash.
///
/// Has no `Debug` that shows it, so that it cannot reach a log by accident.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// A key as a caller or the configuration gives it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A new key with 256 random bits.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn generate() -> std::io::Result<Self> {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(Self(format!("rh_{}", hex(&bytes))))
    }

    /// The text, to show it to its owner once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// One round of SHA-256: a key has 256 random bits, there is nothing to slow down for.
    fn hash(&self) -> KeyHash {
        KeyHash(hex(&Sha256::digest(self.0.as_bytes())))
    }
}

/// What is kept of a key's text, in hex. Has no `==`: what it is compared with is compared in constant time.
#[derive(Debug, Clone)]
struct KeyHash(String);

impl KeyHash {
    /// What the database finds a row by.
    fn prefix(&self) -> &str {
        self.0.get(..LOOKUP_DIGITS).unwrap_or_default()
    }

    fn is(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Where a key came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOrigin {
    /// `REELHOUSE_API_KEY`: lives as long as it is configured.
    Configured,
    /// Made at the first start.
    Generated,
    /// `reelhouse keys create`.
    Created,
}

impl KeyOrigin {
    fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Generated => "generated",
            Self::Created => "created",
        }
    }
}

/// What is kept of a key.
#[derive(Debug, Clone)]
pub struct KeyRecord {
    /// Names the key, in lists and to revoke it. No secret.
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// `configured`, `generated` or `created`.
    pub origin: String,
    /// May list and retrieve, nothing else.
    pub read_only: bool,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    hash: KeyHash,
}

/// An account: what it holds and what it may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRecord {
    /// Its name.
    pub name: String,
    /// Assets held.
    pub asset_count: u64,
    /// Bytes held, of originals.
    pub asset_bytes: u64,
    /// The most assets it may hold.
    pub quota_assets: Option<u64>,
    /// The most bytes it may hold.
    pub quota_bytes: Option<u64>,
}

impl sqlx::FromRow<'_, AnyRow> for AccountRecord {
    fn from_row(row: &AnyRow) -> sqlx::Result<Self> {
        let number = |column| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
        let bound = |column| row.try_get::<Option<i64>, _>(column).map(|bound| bound.map(i64::unsigned_abs));
        Ok(Self {
            name: row.try_get("name")?,
            asset_count: number("asset_count")?,
            asset_bytes: number("asset_bytes")?,
            quota_assets: bound("quota_assets")?,
            quota_bytes: bound("quota_bytes")?,
        })
    }
}

impl sqlx::FromRow<'_, AnyRow> for KeyRecord {
    fn from_row(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            account: row.try_get("account")?,
            origin: row.try_get("origin")?,
            read_only: row.try_get::<i64, _>("read_only")? != 0,
            created_at: row.try_get("created_at")?,
            hash: KeyHash(row.try_get("hash")?),
        })
    }
}

const ACCOUNT_COLUMNS: &str = "name, asset_count, asset_bytes, quota_assets, quota_bytes";
// The driver for both databases reads no booleans of SQLite.
const KEY_COLUMNS: &str =
    "id, account, origin, CASE WHEN read_only THEN 1 ELSE 0 END AS read_only, created_at, hash";
/// Hex digits of a hash that the database compares; the rest is compared here, in constant time.
const LOOKUP_DIGITS: usize = 16;

impl Store {
    /// One account; `None` when no key was ever made for it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn account(&self, name: &str) -> Result<Option<AccountRecord>> {
        let sql = format!("SELECT {ACCOUNT_COLUMNS} FROM account WHERE name = $1");
        Ok(sqlx::query_as(AssertSqlSafe(sql)).bind(name).fetch_optional(self.db.readers()).await?)
    }

    /// Every account, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn accounts(&self) -> Result<Vec<AccountRecord>> {
        let sql = format!("SELECT {ACCOUNT_COLUMNS} FROM account ORDER BY name");
        Ok(sqlx::query_as(AssertSqlSafe(sql)).fetch_all(self.db.readers()).await?)
    }

    /// Sets what an account may hold from now on; `None` for no bound. What it holds already stays. False if there is
    /// no such account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_quota(&self, name: &str, assets: Option<u64>, bytes: Option<u64>) -> Result<bool> {
        let bound = |bound: Option<u64>| bound.map(|bound| i64::try_from(bound).unwrap_or(i64::MAX));
        transaction!(self.db, |tx| {
            let changed =
                sqlx::query("UPDATE account SET quota_assets = $2, quota_bytes = $3 WHERE name = $1")
                    .bind(name)
                    .bind(bound(assets))
                    .bind(bound(bytes))
                    .execute(tx)
                    .await?;
            Ok(changed.rows_affected() > 0)
        })
    }

    /// Gives the account a key, making the account if it is new. Giving the same key twice changes its account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_key(
        &self,
        account: &str,
        key: &ApiKey,
        origin: KeyOrigin,
        read_only: bool,
        now_ms: i64,
    ) -> Result<KeyRecord> {
        transaction!(self.db, |tx| { add_key(tx, account, key, origin, read_only, now_ms).await })
    }

    /// Makes a key of the account the configured one, and no other: a key that is no longer configured no longer opens
    /// anything. At once, since other nodes answer callers meanwhile.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn configure_key(&self, account: &str, key: Option<&ApiKey>, now_ms: i64) -> Result<()> {
        let origin = KeyOrigin::Configured;
        transaction!(self.db, |tx| {
            sqlx::query("DELETE FROM api_key WHERE origin = $1 AND hash <> $2")
                .bind(origin.as_str())
                .bind(key.map_or(String::new(), |key| key.hash().0))
                .execute(&mut *tx)
                .await?;
            if let Some(key) = key {
                add_key(tx, account, key, origin, false, now_ms).await?;
            }
            Ok(())
        })
    }

    /// Ends one key; false if there is none of this id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke_key(&self, id: &str) -> Result<bool> {
        transaction!(self.db, |tx| {
            let ended = sqlx::query("DELETE FROM api_key WHERE id = $1").bind(id).execute(tx).await?;
            Ok(ended.rows_affected() > 0)
        })
    }

    /// Every key, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>> {
        let sql = format!("SELECT {KEY_COLUMNS} FROM api_key ORDER BY created_at, id");
        Ok(sqlx::query_as(AssertSqlSafe(sql)).fetch_all(self.db.readers()).await?)
    }

    /// The record of a key a caller presents. The time taken tells nothing about a key's text: it is hashed
    /// first, and the hashes are compared in constant time but for a prefix that finds the row.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_key(&self, key: &ApiKey) -> Result<Option<KeyRecord>> {
        let hash = key.hash();
        let sql = format!("SELECT {KEY_COLUMNS} FROM api_key WHERE hash >= $1 AND hash < $1 || 'g'");
        let candidates: Vec<KeyRecord> =
            sqlx::query_as(AssertSqlSafe(sql)).bind(hash.prefix()).fetch_all(self.db.readers()).await?;
        Ok(candidates.into_iter().find(|record| record.hash.is(&hash)))
    }
}

async fn add_key(
    tx: &mut AnyConnection,
    account: &str,
    key: &ApiKey,
    origin: KeyOrigin,
    read_only: bool,
    now_ms: i64,
) -> Result<KeyRecord> {
    let hash = key.hash();
    sqlx::query("INSERT INTO account (name, created_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
        .bind(account)
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
    let sql = format!(
        "INSERT INTO api_key (id, account, hash, origin, read_only, created_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (hash) DO UPDATE SET account = $2, origin = $4, read_only = $5 RETURNING {KEY_COLUMNS}"
    );
    Ok(sqlx::query_as(AssertSqlSafe(sql))
        .bind(hash.0.get(..12))
        .bind(account)
        .bind(&hash.0)
        .bind(origin.as_str())
        .bind(read_only)
        .bind(now_ms)
        .fetch_one(tx)
        .await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Homes;

    /// Does not compile where a type has an `==`: then both implementations fit.
    trait HasNoEquals<A> {
        fn holds() {}
    }
    impl<T> HasNoEquals<()> for T {}
    impl<T: PartialEq> HasNoEquals<u8> for T {}

    #[test]
    fn keys_and_hashes_have_no_equals() {
        <ApiKey as HasNoEquals<_>>::holds();
        <KeyHash as HasNoEquals<_>>::holds();
        <KeyRecord as HasNoEquals<_>>::holds();
    }

    #[test]
    fn a_key_shows_nothing_and_only_a_part_of_its_hash_is_compared_by_the_database() {
        let key = ApiKey::new("a-key");
        assert_eq!(format!("{key:?}"), "ApiKey(…)");
        assert_eq!((key.hash().prefix().len(), key.hash().0.len()), (LOOKUP_DIGITS, 64));
    }

    #[tokio::test]
    async fn what_is_said_of_keys_and_accounts_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), &Homes::default(), 0).await.unwrap();
        store.add_key("b", &ApiKey::new("reads"), KeyOrigin::Created, true, 2).await.unwrap();
        store.add_key("a", &ApiKey::new("writes"), KeyOrigin::Generated, false, 1).await.unwrap();
        store.configure_key("a", Some(&ApiKey::new("is set")), 3).await.unwrap();
        let keys = store.keys().await.unwrap();
        let told: Vec<_> =
            keys.iter().map(|key| (&*key.account, &*key.origin, key.read_only, key.created_at)).collect();
        let expected =
            [("a", "generated", false, 1), ("b", "created", true, 2), ("a", "configured", false, 3)];
        assert_eq!(told, expected);
        // What is configured no more opens nothing; the others stay.
        store.configure_key("a", None, 4).await.unwrap();
        assert_eq!(store.keys().await.unwrap().len(), 2);
        assert!(!store.revoke_key("nobody").await.unwrap());

        assert!(store.set_quota("a", Some(3), None).await.unwrap());
        assert!(!store.set_quota("nobody", Some(3), None).await.unwrap());
        let account = store.account("a").await.unwrap().unwrap();
        assert_eq!((account.quota_assets, account.quota_bytes), (Some(3), None));
        assert_eq!((account.asset_count, account.asset_bytes), (0, 0));
        assert_eq!(store.account("nobody").await.unwrap(), None);
        let names: Vec<_> = store.accounts().await.unwrap().into_iter().map(|account| account.name).collect();
        assert_eq!(names, ["a", "b"]);
    }

    /// What the database compares is a part of a hash: of two rows that have it in common, the rest of the hash tells.
    #[tokio::test]
    async fn a_key_is_told_by_its_whole_hash() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), &Homes::default(), 0).await.unwrap();
        let key = ApiKey::new("a-key");
        let record = store.add_key("a", &key, KeyOrigin::Created, false, 0).await.unwrap();
        let others = ["0", "f"].map(|digit| {
            let tail = digit.repeat(64 - LOOKUP_DIGITS);
            (digit, format!("{}{tail}", key.hash().prefix()))
        });
        for (id, hash) in &others {
            transaction!(store.db, |tx| {
                sqlx::query(
                    "INSERT INTO api_key (id, account, hash, origin, read_only, created_at)
                     VALUES ($1, 'a', $2, 'created', FALSE, 0)",
                )
                .bind(*id)
                .bind(hash)
                .execute(tx)
                .await?;
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(store.find_key(&key).await.unwrap().unwrap().id, record.id);
        assert!(store.revoke_key(&record.id).await.unwrap());
        assert!(store.find_key(&key).await.unwrap().is_none());
    }

    /// Nothing of a key's text is where the database could compare it.
    #[tokio::test]
    async fn a_keys_text_is_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), &Homes::default(), 0).await.unwrap();
        let key = ApiKey::generate().unwrap();
        store.add_key("an-account", &key, KeyOrigin::Created, false, 0).await.unwrap();
        store.configure_key("an-account", Some(&key), 0).await.unwrap();
        assert!(store.find_key(&key).await.unwrap().is_some());
        let mut seen = 0;
        for entry in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
            if !entry.file_type().unwrap().is_file() {
                continue;
            }
            let bytes = std::fs::read(entry.path()).unwrap();
            let has = |text: &str| bytes.windows(text.len()).any(|at| at == text.as_bytes());
            // As it is, and the random half of its digits.
            assert!(!has(key.reveal()) && !has(&key.reveal()[3..35]), "{}", entry.path().display());
            seen += usize::from(has(&key.hash().0));
        }
        assert!(seen > 0, "not even its hash was found: nothing was looked at");
    }
}
