//! Lists of assets: one page and how many there are, by index and not by scan.

use reelhouse_api::{AssetId, MediaKind};

use crate::{
    Store,
    assets::{AssetRecord, AssetRow, COLUMNS},
    dialect::Dialect,
    error::Result,
    fold::fold,
    sql::Sql,
};

/// Filtered lists are counted up to here (or to the end of the page shown, if that is further): a count walks what it
/// counts.
pub(crate) const COUNTED: i64 = 1_000;

/// Which assets of an account to list. Filters combine with AND, the values of one filter with OR.
#[derive(Debug, Clone, Default)]
pub struct AssetQuery {
    /// From 1.
    pub page: u64,
    /// 1 to 50.
    pub page_limit: u32,
    /// Only these; `None` for no filter.
    pub asset_ids: Option<Vec<AssetId>>,
    /// Only these kinds; `None` for no filter.
    pub asset_types: Option<Vec<MediaKind>>,
    /// Only names that contain this, in any case. Empty for no filter.
    pub filename: String,
}

/// What a list is sorted by; creation breaks ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortBy {
    /// When it came to be.
    #[default]
    CreatedAt,
    /// When it last changed.
    UpdatedAt,
}

/// What comes first on a list: the newest, if nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Order {
    /// What is compared.
    pub by: SortBy,
    /// The oldest first.
    pub ascending: bool,
}

impl Order {
    /// For tables whose key is the order of creation.
    pub(crate) fn push(self, sql: &mut Sql, dialect: Dialect) {
        let direction = if self.ascending { "" } else { " DESC" };
        sql.push(" ORDER BY ");
        if self.by == SortBy::UpdatedAt {
            sql.push("updated_at").push(direction).push(", ");
        }
        sql.push(dialect.creation("seq", "id")).push(direction);
    }
}

impl Store {
    /// One page of the account's assets, newest first, and how many there are on all pages: exact up to 1,000,
    /// beyond that at least so many.
    ///
    /// # Errors
    /// When the database fails or a row is corrupt.
    pub async fn assets(&self, account: &str, query: &AssetQuery) -> Result<(Vec<AssetRecord>, u64)> {
        let dialect = self.db.dialect();
        // One snapshot for both, so that a page and its total agree.
        self.db
            .read(async {
                let mut tx = self.db.snapshot().await?;
                let count = select_count(dialect, account, query);
                let total: Option<i64> = count.number().fetch_optional(&mut *tx).await?;
                let total = total.unwrap_or(0);
                let page = select_page(dialect, account, query, total);
                let rows: Vec<AssetRow> = page.rows().fetch_all(&mut *tx).await?;
                tx.commit().await?;
                let records = rows.into_iter().map(AssetRecord::try_from).collect::<Result<_>>()?;
                Ok((records, total.unsigned_abs()))
            })
            .await
    }
}

/// The page's places first, from indexes alone, and only then its rows: what lies before a page is walked, and never read.
fn select_page(dialect: Dialect, account: &str, query: &AssetQuery, total: i64) -> Sql {
    let place = dialect.creation("asset.seq", "asset.id");
    let mut sql = Sql::new(format!("SELECT {COLUMNS} FROM (SELECT {place} AS place FROM "));
    let order = push_matching(&mut sql, dialect, account, query);
    let (limit, offset) = window(query.page, query.page_limit);
    let order = if total <= offset.saturating_add(limit) { dialect.whole(order) } else { order };
    sql.push(" ORDER BY ").push(order).push(" DESC LIMIT ").bind(limit).push(" OFFSET ").bind(offset);
    sql.push(") AS page CROSS JOIN asset WHERE ").push(place).push(" = page.place ORDER BY ");
    sql.push(place).push(" DESC");
    sql
}

fn select_count(dialect: Dialect, account: &str, query: &AssetQuery) -> Sql {
    if query.asset_ids.is_none() && query.asset_types.is_none() && query.filename.is_empty() {
        let mut sql = Sql::new("SELECT asset_count FROM account WHERE name = ");
        sql.bind(account.to_owned());
        return sql;
    }
    let (limit, offset) = window(query.page, query.page_limit);
    let mut sql = Sql::new("SELECT COUNT(*) FROM (SELECT 1 FROM ");
    push_matching(&mut sql, dialect, account, query);
    let counted = offset.saturating_add(limit).saturating_add(1).max(COUNTED);
    sql.push(" LIMIT ").bind(counted).push(") AS matching");
    sql
}

/// LIMIT and OFFSET of a page.
pub(crate) fn window(page: u64, page_limit: u32) -> (i64, i64) {
    let limit = i64::from(page_limit);
    let before = i64::try_from(page.saturating_sub(1)).unwrap_or(i64::MAX);
    (limit, before.saturating_mul(limit))
}

/// Tables and conditions. Where the index of filenames can help it leads, and its rows come in the page's order; ids,
/// if there are any, are few and lead themselves. Returns the column of whoever leads that says the order of creation.
fn push_matching(sql: &mut Sql, dialect: Dialect, account: &str, query: &AssetQuery) -> &'static str {
    let needle = fold(&query.filename);
    let order = if query.asset_ids.is_none() && !needle.is_empty() {
        dialect.push_named(sql, account, &needle)
    } else {
        let owner = if query.asset_ids.is_some() { dialect.account_of_ids() } else { "asset.account" };
        sql.push("asset WHERE ").push(owner).push(" = ").bind(account.to_owned());
        if !needle.is_empty() {
            dialect.push_contains(sql, "asset.filename_folded", &needle);
        }
        dialect.creation("asset.seq", "asset.id")
    };
    sql.push(" AND asset.deleted_at IS NULL");
    if let Some(ids) = &query.asset_ids {
        push_in(sql, "asset.id", ids.iter().map(ToString::to_string));
    }
    if let Some(kinds) = &query.asset_types {
        push_in(sql, "asset.kind", kinds.iter().map(|kind| kind.as_str().to_owned()));
    }
    order
}

pub(crate) fn push_in(sql: &mut Sql, column: &str, values: impl Iterator<Item = String>) {
    sql.push(" AND ").push(column).push(" IN ").bind_list(values);
}

#[cfg(test)]
pub(crate) mod tests {
    use sqlx::{AssertSqlSafe, Row};

    use super::*;

    pub(crate) async fn plan(store: &Store, query: &Sql) -> Vec<String> {
        let sql = format!("EXPLAIN QUERY PLAN {}", query.text());
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(store.db.readers()).await.unwrap();
        rows.iter().map(|row| row.get("detail")).collect()
    }

    /// A store on the Postgres of the tests' run, if there is one.
    pub(crate) async fn on_postgres(folder: &std::path::Path) -> Option<Store> {
        let database = crate::Database::parse(&crate::test_database::url(folder)).unwrap();
        let blobs = crate::BlobStore::parse(&crate::test_database::blob_url(folder), 1 << 20).unwrap();
        let homes = crate::Homes { database, blobs };
        let store = Store::open(folder, &homes, 0).await.unwrap();
        Some(store).filter(|store| store.db.dialect() == Dialect::Postgres)
    }

    /// The plan of a statement when what takes longer with many rows is not to be had.
    pub(crate) async fn plan_of_many(store: &Store, query: Sql, without: &str) -> String {
        let mut tx = store.db.snapshot().await.unwrap();
        for way in without.split(' ') {
            let sql = format!("SET LOCAL enable_{way} = off");
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
        }
        let lines: Vec<(String,)> = query.explained().rows().fetch_all(&mut *tx).await.unwrap();
        lines.into_iter().map(|(line,)| line + "\n").collect()
    }

    /// Pages to the end of what matches, and on.
    const TOTALS: [i64; 2] = [3, 1_001];

    #[tokio::test]
    async fn postgres_can_walk_an_index_in_the_pages_order() {
        let folder = tempfile::TempDir::new().unwrap();
        let Some(store) = on_postgres(folder.path()).await else { return };
        for query in [query(""), kinds(), query("clip"), query("cl")] {
            let count = select_count(Dialect::Postgres, "a", &query);
            let plan = plan_of_many(&store, count, "seqscan bitmapscan sort").await;
            assert!(!plan.contains("Sort") && !plan.contains("Seq Scan"), "{query:?}: {plan}");
            let page = select_page(Dialect::Postgres, "a", &query, TOTALS[1]);
            let plan = plan_of_many(&store, page, "seqscan bitmapscan hashjoin mergejoin material").await;
            // The page's rows may be sorted, not what they are found among.
            let (rows, places) = plan.split_once("Limit").unwrap();
            assert!(!places.contains("Sort") && !plan.contains("Seq Scan"), "{query:?}: {plan}");
            assert!(rows.contains("Nested Loop"), "{query:?}: {plan}");
            if query.filename.is_empty() {
                // What is before the page is not read.
                assert!(
                    places.contains("Index Only Scan Backward using asset_by_account"),
                    "{query:?}: {plan}"
                );
            }
        }
        let page = select_page(Dialect::Postgres, "a", &fifty_ids(), 50);
        let plan = plan_of_many(&store, page, "seqscan").await;
        assert!(plan.contains("asset_pkey") && !plan.contains("Seq Scan"), "{plan}");
        let there: Option<i64> = sqlx::query_scalar(crate::dialect::HAS_INDEX_OF_NAMES)
            .fetch_optional(store.db.readers())
            .await
            .unwrap();
        assert!(there.is_some(), "an index of names");
    }

    fn query(filename: &str) -> AssetQuery {
        AssetQuery { page: 1, page_limit: 10, filename: filename.to_owned(), ..AssetQuery::default() }
    }

    fn kinds() -> AssetQuery {
        AssetQuery { asset_types: Some(vec![MediaKind::Image, MediaKind::Audio]), ..query("") }
    }

    /// As many as one may ask for: a planner that has one to look up is not tempted.
    fn fifty_ids() -> AssetQuery {
        let ids = (0..50).map(|n| AssetId::parse(&format!("{n:024x}")).unwrap()).collect();
        AssetQuery { asset_ids: Some(ids), page_limit: 50, ..query("") }
    }

    #[tokio::test]
    async fn lists_walk_an_index_in_the_pages_order() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(folder.path(), &crate::Homes::default(), 0).await.unwrap();
        let rows = "SEARCH asset USING INTEGER PRIMARY KEY (rowid=?)";
        let by_account = "SEARCH asset USING INDEX asset_by_account (account=? AND deleted_at=?)";
        let covering = "SEARCH asset USING COVERING INDEX asset_by_account (account=? AND deleted_at=?";
        let by_name = ["SCAN asset_search VIRTUAL TABLE INDEX", covering];
        let named_kinds = AssetQuery { filename: "clip".to_owned(), ..kinds() };
        for (query, page, count) in [
            (query(""), vec![covering], vec!["SEARCH account USING INDEX"]),
            (kinds(), vec![covering], vec![covering]),
            (query("clip"), by_name.to_vec(), by_name.to_vec()),
            (named_kinds, by_name.to_vec(), by_name.to_vec()),
            // Two characters have no trigram: the walk stops at the page's end.
            (query("cl"), vec![by_account], vec![by_account]),
        ] {
            let count_plan = plan(&store, &select_count(Dialect::Sqlite, "a", &query)).await;
            let fits = count.iter().all(|step| count_plan.iter().any(|line| line.starts_with(step)));
            assert!(fits && !sorts(&count_plan), "{query:?}: {count_plan:?}");
            for total in TOTALS {
                let plan = plan(&store, &select_page(Dialect::Sqlite, "a", &query, total)).await;
                let fits =
                    page.iter().chain([&rows]).all(|step| plan.iter().any(|line| line.starts_with(step)));
                assert!(fits, "{query:?}: {plan:?}");
                // The page's rows may be sorted; of what is before them, only what an index of names finds in one piece.
                let places = plan.iter().position(|line| line.starts_with("SCAN page")).unwrap();
                let in_one_piece = query.filename.len() > 2 && total == TOTALS[0];
                assert_eq!(sorts(&plan[..places]), in_one_piece, "{query:?}: {plan:?}");
            }
        }
        for query in [fifty_ids(), AssetQuery { filename: "clip".to_owned(), ..fifty_ids() }] {
            for sql in
                [select_page(Dialect::Sqlite, "a", &query, 50), select_count(Dialect::Sqlite, "a", &query)]
            {
                let plan = plan(&store, &sql).await;
                assert!(plan.iter().any(|line| line.ends_with("(id=?)")), "{plan:?}");
                assert!(!plan.iter().any(|line| line.contains("asset_by_account")), "{plan:?}");
            }
        }
    }

    fn sorts(plan: &[String]) -> bool {
        plan.iter().any(|line| line.contains("TEMP B-TREE"))
    }
}
