//! Lists of ten million assets: pages, searches and filters beside the raw SQL of the same question, in one run.
//!
//!     make bench-list            # on SQLite, then on Postgres
//!     ROWS=1000000 ONLY=drone make bench-list
//!
//! A question is answered as one GET /v1.3/assets answers it: a page and the total. The raw SQL is what one would write first: a SELECT
//! with LIMIT and OFFSET, and a COUNT(*). Rows are written directly, with the statements of a publish but without files.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails may say so in any way")]

use std::time::{Duration, Instant};

use reelhouse_api::{AssetId, MediaKind};
use reelhouse_store::{ApiKey, AssetQuery, Database, Homes, KeyOrigin, Store};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

/// Times a question is asked, and its raw SQL, which may take seconds.
const ROUNDS: usize = 200;
const RAW_ROUNDS: usize = 5;

/// `drone` is in three of ten names, `zebra` in one of a thousand, `quokka` in three; one of a thousand is audio.
const SQLITE: &str = "
    INSERT INTO asset (seq, id, account, method, status, kind, filename, filename_folded, file_type, size, duration, blake3, created_at,
                       technical_metadata)
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {rows})
    SELECT (1700000000000 + i) << 16, printf('%016x%08x', (1700000000000 + i) << 16, i), 'default', 'direct', 'ready',
           CASE WHEN i % 1000 = 7 THEN 'audio' WHEN i % 10 < 3 THEN 'image' ELSE 'video' END,
           name, name, 'video/mp4', 1000, 10.0, printf('%064x', i), 1700000000000 + i, '{metadata}'
    FROM (SELECT i, printf('%s-%07d%s-clip.mp4',
                           CASE i % 10 WHEN 0 THEN 'holiday' WHEN 1 THEN 'interview' WHEN 2 THEN 'drone' WHEN 3 THEN 'concert'
                                       WHEN 4 THEN 'drone' WHEN 5 THEN 'lecture' WHEN 6 THEN 'drone' ELSE 'street' END,
                           (i * 7919) % 10000000,
                           CASE WHEN i % 1000 = 500 THEN '-zebra' WHEN i % ({rows} / 4) = 1 AND i > 1 THEN '-quokka' ELSE '' END) AS name
          FROM n)";
const POSTGRES: &str = "
    INSERT INTO asset (seq, id, account, method, status, kind, filename, filename_folded, file_type, size, duration, blake3, created_at,
                       technical_metadata)
    SELECT (1700000000000 + i) << 16, lpad(to_hex((1700000000000 + i) << 16), 16, '0') || lpad(to_hex(i), 8, '0'), 'default', 'direct',
           'ready', CASE WHEN i % 1000 = 7 THEN 'audio' WHEN i % 10 < 3 THEN 'image' ELSE 'video' END,
           name, name, 'video/mp4', 1000, 10.0, lpad(to_hex(i), 64, '0'), 1700000000000 + i, '{metadata}'
    FROM (SELECT i, (ARRAY['holiday', 'interview', 'drone', 'concert', 'drone', 'lecture', 'drone', 'street', 'street', 'street'])[i % 10 + 1]
                    || '-' || lpad(((i * 7919) % 10000000)::text, 7, '0')
                    || CASE WHEN i % 1000 = 500 THEN '-zebra' WHEN i % ({rows} / 4) = 1 AND i > 1 THEN '-quokka' ELSE '' END
                    || '-clip.mp4' AS name
          FROM generate_series(0::bigint, {rows} - 1) AS g(i)) AS named";
const METADATA: &str = r#"{"file_size_bytes":1000,"file_mime_type":"video/mp4","file_container_format":"mov,mp4,m4a,3gp,3g2,mj2","has_audio":false,"total_video_streams":1,"total_audio_streams":0}"#;

struct Question {
    what: &'static str,
    query: AssetQuery,
    /// As conditions.
    raw: String,
}

#[tokio::main]
async fn main() {
    let rows: i64 = std::env::var("ROWS").map_or(10_000_000, |rows| rows.parse().unwrap());
    let folder = tempfile::TempDir::new_in("target").unwrap();
    let url = std::env::var("REELHOUSE_TEST_DATABASE").unwrap_or_default();
    let store = Store::open(
        folder.path(),
        &Homes { database: Database::parse(&url).unwrap(), ..Homes::default() },
        0,
    )
    .await
    .unwrap();
    store.add_key("default", &ApiKey::generate().unwrap(), KeyOrigin::Created, false, 0).await.unwrap();
    let file = folder.path().join("reelhouse.db");
    let is_sqlite = url.is_empty();
    let url = if is_sqlite { format!("sqlite://{}", file.display()) } else { url };
    let mut database = AnyConnection::connect(&url).await.unwrap();
    fill(&mut database, is_sqlite, rows).await;

    println!(
        "| {} | matches | p50, ms | p99, ms | raw SQL: page, ms | raw SQL: count, ms |\n|---|---|---|---|---|---|",
        if is_sqlite { "SQLite" } else { "Postgres" }
    );
    let only = std::env::var("ONLY").unwrap_or_default();
    for Question { what, query, raw } in questions(is_sqlite, rows) {
        if !what.contains(&only) {
            continue;
        }
        let (mut times, mut pages, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut page, mut total) = store.assets("default", &query).await.unwrap();
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            // This also decodes the rows.
            (page, total) = store.assets("default", &query).await.unwrap();
            times.push(begun.elapsed());
            if times.iter().sum::<Duration>() > Duration::from_secs(15) {
                break;
            }
        }
        let matching = format!("FROM asset WHERE account = 'default' AND deleted_at IS NULL{raw}");
        let (limit, offset) = (query.page_limit, (query.page - 1) * u64::from(query.page_limit));
        let order = if is_sqlite { "seq" } else { "id" };
        let select = format!("SELECT * {matching} ORDER BY {order} DESC LIMIT {limit} OFFSET {offset}");
        let count = format!("SELECT COUNT(*) {matching}");
        let mut matches = 0_i64;
        for _ in 0..RAW_ROUNDS {
            let begun = Instant::now();
            let found = sqlx::query(AssertSqlSafe(select.as_str())).fetch_all(&mut database).await.unwrap();
            pages.push(begun.elapsed());
            let begun = Instant::now();
            matches =
                sqlx::query_scalar(AssertSqlSafe(count.as_str())).fetch_one(&mut database).await.unwrap();
            counts.push(begun.elapsed());
            let same = page
                .iter()
                .map(|asset| asset.id.to_string())
                .eq(found.iter().map(|row| row.get::<String, _>("id")));
            assert!(same && (total == u64::try_from(matches).unwrap() || total >= 1_000), "{what}");
            if pages.iter().chain(&counts).sum::<Duration>() > Duration::from_secs(10) {
                break;
            }
        }
        let [p50, raw_page, raw_count] =
            [(&mut times, 50), (&mut pages, 50), (&mut counts, 50)].map(|(times, at)| at_percent(times, at));
        let p99 = at_percent(&mut times, 99);
        println!("| {what} | {matches} | {p50:.1} | {p99:.1} | {raw_page:.1} | {raw_count:.1} |");
    }
    if !is_sqlite {
        // The server outlives this.
        sqlx::query("TRUNCATE asset").execute(&mut database).await.unwrap();
    }
}

fn at_percent(times: &mut [Duration], percent: usize) -> f64 {
    times.sort();
    times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1000.0
}

async fn fill(database: &mut AnyConnection, is_sqlite: bool, rows: i64) {
    let run = async |database: &mut AnyConnection, sql: String| {
        sqlx::query(AssertSqlSafe(sql)).execute(database).await.unwrap();
    };
    let fill = |text: &str| text.replace("{rows}", &rows.to_string()).replace("{metadata}", METADATA);
    let begun = Instant::now();
    let sizes = if is_sqlite {
        run(database, "PRAGMA synchronous = OFF".to_owned()).await;
        run(database, "PRAGMA cache_size = -1000000".to_owned()).await;
        run(database, fill(SQLITE)).await;
        let shard = blake3::hash(b"default").to_hex()[..3].to_owned();
        run(
            database,
            format!(
                "INSERT INTO asset_search (rowid, account_shard, filename_folded) SELECT seq, '{shard}', filename_folded FROM asset"
            ),
        )
        .await;
        run(database, "PRAGMA wal_checkpoint(TRUNCATE)".to_owned()).await;
        run(database, "PRAGMA cache_size = -2000".to_owned()).await;
        "SELECT CASE WHEN name LIKE 'asset_search%' THEN 'asset_search' ELSE name END AS part, CAST(SUM(pgsize) AS BIGINT) AS bytes
         FROM dbstat WHERE name LIKE '%asset%' GROUP BY 1 HAVING SUM(pgsize) > 1000000 ORDER BY 2 DESC"
    } else {
        let index: String =
            sqlx::query_scalar("SELECT indexdef FROM pg_indexes WHERE indexname = 'asset_by_name'")
                .fetch_one(&mut *database)
                .await
                .unwrap();
        run(database, "DROP INDEX asset_by_name".to_owned()).await;
        run(database, fill(POSTGRES)).await;
        run(database, "SET maintenance_work_mem = '1GB'".to_owned()).await;
        run(database, index).await;
        run(database, "VACUUM ANALYZE asset".to_owned()).await;
        "SELECT CAST(relname AS TEXT) AS part, pg_table_size(oid) AS bytes FROM pg_class
         WHERE relname LIKE '%asset%' AND pg_table_size(oid) > 1000000 ORDER BY 2 DESC"
    };
    run(database, format!("UPDATE account SET asset_count = {rows} WHERE name = 'default'")).await;
    println!("{rows} rows and their indexes written in {:.0} s.", begun.elapsed().as_secs_f64());
    if let Ok(sizes) = sqlx::query(sizes).fetch_all(database).await {
        for row in sizes {
            let (part, bytes): (String, i64) = (row.get("part"), row.get("bytes"));
            println!("{part}: {} MiB, {} bytes a row.", bytes >> 20, bytes / rows);
        }
    }
    println!();
}

fn questions(is_sqlite: bool, rows: i64) -> Vec<Question> {
    let asked = |page, page_limit| AssetQuery { page, page_limit, ..AssetQuery::default() };
    let named = |what, needle: &str| Question {
        what,
        query: AssetQuery { filename: needle.to_owned(), ..asked(1, 10) },
        raw: match is_sqlite {
            true => format!(" AND instr(filename_folded, '{needle}') > 0"),
            false => format!(" AND filename_folded LIKE '%{needle}%'"),
        },
    };
    let of_kinds = |what, kinds: &[MediaKind]| {
        let names: Vec<_> = kinds.iter().map(|kind| format!("'{}'", kind.as_str())).collect();
        Question {
            what,
            query: AssetQuery { asset_types: Some(kinds.to_vec()), ..asked(1, 10) },
            raw: format!(" AND kind IN ({})", names.join(", ")),
        }
    };
    let ids: Vec<String> = (1..=50)
        .map(|n| rows / 51 * n)
        .map(|i| format!("{:016x}{i:08x}", (1_700_000_000_000 + i) << 16))
        .collect();
    vec![
        Question { what: "page 1", query: asked(1, 10), raw: String::new() },
        Question { what: "page 20,000", query: asked(20_000, 10), raw: String::new() },
        Question { what: "page 20,000 of 50 each", query: asked(20_000, 50), raw: String::new() },
        named("name has `quokka`", "quokka"),
        named("name has `drone`", "drone"),
        named("name has `clip`, as all have", "clip"),
        named("name has `zebra`, one of a thousand", "zebra"),
        named("name has `drone-1234`", "drone-1234"),
        named("name has `no such name`", "no such name"),
        named("name has `dr` (no trigram)", "dr"),
        Question {
            what: "50 ids",
            query: AssetQuery {
                asset_ids: Some(ids.iter().filter_map(|id| AssetId::parse(id)).collect()),
                ..asked(1, 50)
            },
            raw: format!(" AND id IN ('{}')", ids.join("', '")),
        },
        of_kinds("images and audio", &[MediaKind::Image, MediaKind::Audio]),
        of_kinds("video", &[MediaKind::Video]),
        of_kinds("audio, one of a thousand", &[MediaKind::Audio]),
    ]
}
