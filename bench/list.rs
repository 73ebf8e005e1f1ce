//! Search by filename over a million assets beside a scan of the same rows, alternating, in one run.
//!
//!     make bench-list
//!
//! Both answer the first page of ten and the total, as one GET /v1.3/assets?filename=… does. Rows are written directly, with
//! the statements of a publish but without files.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails may say so in any way")]

use std::time::Instant;

use reelhouse_store::{ApiKey, AssetQuery, Homes, KeyOrigin, Store};
use sqlx::{Connection, Row, SqliteConnection};

const ROWS: u32 = 1_000_000;
const ROUNDS: usize = 9;

/// Names of which a known share holds each word.
const FILL: &str = "
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $1)
    INSERT INTO asset (seq, id, account, method, status, kind, filename, filename_folded, size, created_at)
    SELECT (1700000000000 + i) << 16, printf('%016x%08x', (1700000000000 + i) << 16, i), 'default', 'direct', 'ready', 'video',
           name, name, 1000, 1700000000000 + i
    FROM (SELECT i, printf('%s-%06d%s-clip.mp4',
                           CASE i % 5 WHEN 0 THEN 'holiday' WHEN 1 THEN 'interview' WHEN 2 THEN 'drone' WHEN 3 THEN 'concert' ELSE 'lecture' END,
                           (i * 7919) % 1000000,
                           CASE WHEN i % 1000 = 500 THEN '-zebra' WHEN i = 250000 THEN '-quokka' ELSE '' END) AS name FROM n)";

const SCAN: &str = "SELECT id, filename FROM asset WHERE account = 'default' AND deleted_at IS NULL
    AND instr(filename_folded, $1) > 0 ORDER BY seq DESC LIMIT 10";
const SCAN_COUNT: &str = "SELECT COUNT(*) FROM asset WHERE account = 'default' AND deleted_at IS NULL
    AND instr(filename_folded, $1) > 0";

#[tokio::main]
async fn main() {
    let folder = tempfile::TempDir::new_in("target").unwrap();
    let store = Store::open(folder.path(), &Homes::default(), 0).await.unwrap();
    let key = ApiKey::generate().unwrap();
    store.add_key("default", &key, KeyOrigin::Created, false, 0).await.unwrap();
    let path = folder.path().join("reelhouse.db");
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let begun = Instant::now();
    sqlx::query(FILL).bind(ROWS).execute(&mut database).await.unwrap();
    let rows_done = begun.elapsed();
    let shard = blake3::hash(b"default").to_hex()[..3].to_owned();
    sqlx::query("INSERT INTO asset_search (rowid, account_shard, filename_folded) SELECT seq, $1, filename_folded FROM asset")
        .bind(shard)
        .execute(&mut database)
        .await
        .unwrap();
    let search_done = begun.elapsed() - rows_done;
    println!(
        "{ROWS} rows written in {:.1} s, their index of names in {:.1} s; database {} MiB\n",
        rows_done.as_secs_f64(),
        search_done.as_secs_f64(),
        path.metadata().unwrap().len() >> 20
    );

    println!("| needle | matches | by index, ms | by scan, ms | scan / index |\n|---|---|---|---|---|");
    for needle in ["quokka", "zebra", "drone", "clip", "drone-1234", "no such name", "dr"] {
        let query =
            AssetQuery { page: 1, page_limit: 10, filename: needle.to_owned(), ..AssetQuery::default() };
        let (mut indexed, mut scanned) = (Vec::new(), Vec::new());
        let mut matches = 0;
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            // This also decodes the rows.
            let (page, total) = store.assets("default", &query).await.unwrap();
            indexed.push(begun.elapsed());
            let begun = Instant::now();
            let rows = sqlx::query(SCAN).bind(needle).fetch_all(&mut database).await.unwrap();
            matches =
                sqlx::query_scalar::<_, i64>(SCAN_COUNT).bind(needle).fetch_one(&mut database).await.unwrap();
            scanned.push(begun.elapsed());
            let same = page
                .iter()
                .map(|asset| asset.id.to_string())
                .eq(rows.iter().map(|row| row.get::<String, _>("id")));
            assert!(same && (total == matches.unsigned_abs() || total >= 10_000));
        }
        indexed.sort();
        scanned.sort();
        let ms = |times: &[std::time::Duration]| times[ROUNDS / 2].as_secs_f64() * 1000.0;
        let (indexed, scanned) = (ms(&indexed), ms(&scanned));
        println!("| `{needle}` | {matches} | {indexed:.1} | {scanned:.1} | {:.1} |", scanned / indexed);
    }
}
