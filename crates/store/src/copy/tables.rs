//! Which rows are copied, in one list.

/// A table whose rows are copied as they are.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// The columns that tell its rows apart, and in whose order they are copied. Of types that both databases sort alike.
    pub(crate) key: &'static [&'static str],
    /// Only those rows.
    pub(crate) only: Option<&'static str>,
}

const fn table(name: &'static str, key: &'static [&'static str]) -> Table {
    Table { name, key, only: None }
}

/// All of them; what is referred to comes before what refers to it.
pub(crate) const TABLES: [Table; 14] = [
    table("account", &["name"]),
    table("api_key", &["id"]),
    // `blobs` names the database to which a bucket belongs: the new one has a name of its own.
    Table { only: Some("name <> 'blobs'"), ..table("secret", &["name"]) },
    table("asset", &["id"]),
    table("derivative", &["asset_id", "kind"]),
    table("import", &["asset_id"]),
    table("upload_session", &["id"]),
    table("upload_chunk", &["upload_id", "chunk_index"]),
    table("idempotency", &["account", "key"]),
    table("job", &["id"]),
    table("media_index", &["id"]),
    table("indexed_asset", &["id"]),
    table("webhook", &["id"]),
    table("webhook_delivery", &["id"]),
];

/// The others, each with its reason.
#[cfg(test)]
const LEFT_OUT: [(&str, &str); 5] = [
    ("_sqlx_migrations", "says what the database's own schema is"),
    (
        "asset_search",
        "SQLite's index of names is made from the rows as they come (and its own tables with it)",
    ),
    (
        "publish_intent",
        "of publishes that died: of what no row knows, no bytes are copied that would have to go",
    ),
    ("revisit", "of writes that came late to the old home; to the new one none does"),
    ("rate_share", "leases of nodes, for seconds; what an account may begin is counted anew in the new home"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tempfile::TempDir;

    use super::*;
    use crate::{Database, db::Db, test_database};

    async fn assert_all_are_named(db: &Db, tables: &str) {
        let found: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(tables)).fetch_all(db.readers()).await.unwrap();
        assert!(found.len() > LEFT_OUT.len());
        let own = |name: &str| name.starts_with("asset_search_") || name.starts_with("sqlite_");
        let found: BTreeSet<&str> = found.iter().map(String::as_str).filter(|name| !own(name)).collect();
        let mut listed: BTreeSet<&str> = TABLES.iter().map(|table| table.name).collect();
        // Postgres' index of names is no table.
        listed.extend(LEFT_OUT.iter().map(|(name, _)| *name).filter(|name| found.contains(name)));
        assert_eq!(found, listed, "a table is to be copied or left out: name it above");
    }

    #[tokio::test]
    async fn every_table_is_copied_or_left_out_for_a_reason() {
        let folder = TempDir::new().unwrap();
        let db = Db::open(&Database::Folder, folder.path()).await.unwrap();
        assert_all_are_named(&db, "SELECT name FROM sqlite_master WHERE type = 'table'").await;
        let url = test_database::url(folder.path());
        if !url.is_empty() {
            let db = Db::open(&Database::parse(&url).unwrap(), folder.path()).await.unwrap();
            let tables = "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = current_schema()";
            assert_all_are_named(&db, tables).await;
            // Ids and orders are made by us. A sequence would have to be set on behind what is copied.
            let sequences: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM information_schema.sequences")
                .fetch_one(db.readers())
                .await
                .unwrap();
            assert_eq!(sequences, 0);
        }
    }
}
