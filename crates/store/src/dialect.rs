//! What the two databases say differently; everything else is one text for both.

use reelhouse_api::AssetId;
use sqlx::AnyConnection;

use crate::{error::Result, fold::account_shard, sql::Sql};

/// The database at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// Stands for no number where one is bound: `NULLIF($n, -1.0)`. A NULL would have another type than the numbers bound to
/// the same prepared statement before and after it. No number that is kept is negative.
const NO_NUMBER: f64 = -1.0;

/// As it is bound to `NULLIF($n, -1.0)`.
pub(crate) fn or_no_number(number: Option<f64>) -> f64 {
    number.unwrap_or(NO_NUMBER)
}

impl Dialect {
    pub(crate) fn of(connection: &AnyConnection) -> Self {
        if connection.backend_name() == "SQLite" { Self::Sqlite } else { Self::Postgres }
    }

    /// Begins a transaction that writes. SQLite has one writer, and BEGIN IMMEDIATE never fails half way for the lock;
    /// Postgres has many, and ends all but one of those that could not have come one after the other.
    pub(crate) fn begin_write(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        }
    }

    /// Begins a transaction whose reads all see the same rows.
    pub(crate) fn begin_snapshot(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// Lets the statements of a transaction take as long as they take, where they may not.
    pub(crate) fn unbounded(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("SET LOCAL statement_timeout = 0"),
        }
    }

    /// The column that says the order of creation. SQLite's rows are kept by `seq`; in Postgres two nodes may make the same,
    /// but not the same id, which begins with it.
    pub(crate) fn creation<'c>(self, seq: &'c str, id: &'c str) -> &'c str {
        match self {
            Self::Sqlite => seq,
            Self::Postgres => id,
        }
    }

    /// Whether there is a table of this name: a row if there is.
    pub(crate) fn has_table(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT 1 FROM sqlite_master WHERE name = $1",
            Self::Postgres => {
                "SELECT 1 FROM information_schema.tables
                 WHERE table_schema = current_schema() AND table_name = $1"
            }
        }
    }

    /// The columns of a table, each with its type as declared.
    pub(crate) fn columns_of_table(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT name, type FROM pragma_table_info($1)",
            Self::Postgres => {
                "SELECT CAST(column_name AS TEXT), CAST(data_type AS TEXT) FROM information_schema.columns
                 WHERE table_schema = current_schema() AND table_name = $1"
            }
        }
    }

    /// Takes all rows of tables away, none of which others refer to, and SQLite's index of names with them.
    pub(crate) fn empty_tables(self, names: &[&str]) -> Vec<String> {
        match self {
            Self::Sqlite => {
                let each = names.iter().map(|name| format!("DELETE FROM {name}"));
                each.chain(["INSERT INTO asset_search (asset_search) VALUES ('delete-all')".to_owned()])
                    .collect()
            }
            Self::Postgres => vec![format!("TRUNCATE {}", names.join(", "))],
        }
    }

    /// Behind a SELECT of rows, called `rows`, that are about to be claimed: those that another is just claiming do not
    /// count, so that claims neither wait for one another nor fail for it.
    pub(crate) fn skip_claimed(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE OF due SKIP LOCKED",
        }
    }
}

/// Makes Postgres' index of names. It has what every search asks for, and assets that are gone are not in it.
pub(crate) const INDEX_OF_NAMES: [&str; 2] = [
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX IF NOT EXISTS asset_by_name ON asset USING gin (filename_folded gin_trgm_ops)
     WHERE deleted_at IS NULL",
];

pub(crate) const HAS_INDEX_OF_NAMES: &str =
    "SELECT 1 FROM pg_indexes WHERE schemaname = current_schema() AND indexname = 'asset_by_name'";

/// Characters of a needle that the index of filenames can find.
const TRIGRAM: usize = 3;

/// Makes an asset's name searchable: SQLite's index of names is a table of its own, Postgres' is over the assets.
pub(crate) async fn index_name(
    tx: &mut AnyConnection,
    asset: AssetId,
    account: &str,
    folded: &str,
) -> Result<()> {
    if Dialect::of(tx) == Dialect::Sqlite {
        sqlx::query("INSERT INTO asset_search (rowid, account_shard, filename_folded) VALUES ($1, $2, $3)")
            .bind(asset.seq())
            .bind(account_shard(account))
            .bind(folded)
            .execute(tx)
            .await?;
    }
    Ok(())
}

/// Takes an asset's name out of the index of names.
pub(crate) async fn forget_name(tx: &mut AnyConnection, asset: AssetId) -> Result<()> {
    if Dialect::of(tx) == Dialect::Sqlite {
        sqlx::query("DELETE FROM asset_search WHERE rowid = $1").bind(asset.seq()).execute(tx).await?;
    }
    Ok(())
}

/// The place of what SQLite's index of names finds.
const NAMED: &str = "asset_search.rowid";

/// Whether SQLite's index of names leads a search for a folded needle.
fn leads(needle: &str) -> bool {
    // No name has any control character, and the index's language knows no NUL.
    needle.chars().count() >= TRIGRAM && !needle.contains(char::is_control)
}

impl Dialect {
    /// The owner of assets that are asked for by their ids: no index of it may lead. SQLite knows nothing of how many rows there are, and would rather walk
    /// all of an account in the page's order than sort fifty ids.
    pub(crate) fn account_of_ids(self) -> &'static str {
        match self {
            Self::Sqlite => "+asset.account",
            Self::Postgres => "asset.account",
        }
    }

    /// The order of a search whose page reaches to its end, so that all it finds is read: SQLite's index of names finds
    /// faster than it finds in an order, by far where there is little to find.
    pub(crate) fn whole(self, order: &'static str) -> &'static str {
        if order == NAMED { "+asset_search.rowid" } else { order }
    }

    /// Assets whose folded name has the needle in it, where an index of names may lead: the tables, and WHERE with the first
    /// conditions, `asset` among the tables. Returns the column that says the order of creation.
    ///
    /// Postgres' planner decides by itself whether the index leads, or the walk through the account's assets, newest first.
    pub(crate) fn push_named(self, sql: &mut Sql, account: &str, needle: &str) -> &'static str {
        if self == Self::Sqlite && leads(needle) {
            let phrase = needle.replace('"', "\"\"");
            let shard = account_shard(account);
            // CROSS JOIN fixes the order: the index of names first, then what it names; of that, the index of lists has all that
            // is asked for, in a tenth of the pages that the rows take.
            sql.push(
                "asset_search CROSS JOIN asset INDEXED BY asset_by_account ON asset.seq = asset_search.rowid
                 WHERE asset_search MATCH ",
            )
            .bind(format!("account_shard:\"{shard}\" AND filename_folded:\"{phrase}\""))
            .push(" AND asset.account = ")
            .bind(account.to_owned());
            return NAMED;
        }
        sql.push("asset WHERE asset.account = ").bind(account.to_owned());
        self.push_contains(sql, "asset.filename_folded", needle);
        self.creation("asset.seq", "asset.id")
    }

    /// ` AND` the column is the value.
    pub(crate) fn push_equals(self, sql: &mut Sql, column: &str, value: &str) {
        // No text of Postgres has a NUL, not even one that is only compared.
        if self == Self::Postgres && value.contains('\0') {
            sql.push(" AND FALSE");
        } else {
            sql.push(" AND ").push(column).push(" = ").bind(value.to_owned());
        }
    }

    /// ` AND` the column has the needle in it.
    pub(crate) fn push_contains(self, sql: &mut Sql, column: &str, needle: &str) {
        sql.push(" AND ");
        match self {
            Self::Sqlite => {
                sql.push("instr(").push(column).push(", ").bind(needle.to_owned()).push(") > 0");
            }
            // No text of Postgres has a NUL.
            Self::Postgres if needle.contains('\0') => {
                sql.push("FALSE");
            }
            // LIKE, because the index of trigrams knows that.
            Self::Postgres => {
                let pattern = needle.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
                sql.push(column).push(" LIKE ").bind(format!("%{pattern}%"));
            }
        }
    }

    /// ` AND` the object kept as JSON in `indexed_asset.user_metadata` has, under the key, what the value writes: a string
    /// that is it, a number that it writes, a boolean that is its word, or a list with that string among its items.
    pub(crate) fn push_metadata_filter(self, sql: &mut Sql, key: &str, value: &str) {
        let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
        match self {
            Self::Sqlite => {
                sql.push(" AND EXISTS (SELECT 1 FROM json_each(indexed_asset.user_metadata) AS kept WHERE kept.key = ")
                    .bind(key.to_owned())
                    .push(" AND CASE kept.type WHEN 'text' THEN kept.value = ")
                    .bind(value.to_owned());
                match number {
                    Some(number) => sql
                        .push(" WHEN 'integer' THEN kept.value = ")
                        .bind(number)
                        .push(" WHEN 'real' THEN kept.value = ")
                        .bind(number),
                    None => sql.push(" WHEN 'integer' THEN FALSE WHEN 'real' THEN FALSE"),
                };
                sql.push(" WHEN 'array' THEN EXISTS (SELECT 1 FROM json_each(kept.value) AS item WHERE item.value = ")
                    .bind(value.to_owned())
                    // 'true' and 'false'
                    .push(") ELSE kept.type = ")
                    .bind(value.to_owned())
                    .push(" END)");
            }
            // No text of Postgres has a NUL, nor may JSON write one that is read by it.
            Self::Postgres if key.contains('\0') || value.contains('\0') => {
                sql.push(" AND FALSE");
            }
            Self::Postgres => {
                sql.push(
                    " AND EXISTS (SELECT 1 FROM jsonb_each(CAST(replace(indexed_asset.user_metadata, '\\u0000', '\\ufffd') AS JSONB))
                      AS kept (key, value) WHERE kept.key = ",
                )
                .bind(key.to_owned())
                .push(" AND CASE jsonb_typeof(kept.value) WHEN 'string' THEN kept.value #>> '{}' = ")
                .bind(value.to_owned());
                if let Some(number) = number {
                    sql.push(" WHEN 'number' THEN CAST(kept.value #>> '{}' AS DOUBLE PRECISION) = ")
                        .bind(number);
                }
                sql.push(" WHEN 'array' THEN kept.value ? ")
                    .bind(value.to_owned())
                    // 'true' and 'false'
                    .push(" WHEN 'boolean' THEN kept.value #>> '{}' = ")
                    .bind(value.to_owned())
                    .push(" ELSE FALSE END)");
            }
        }
    }
}
