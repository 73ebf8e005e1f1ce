//! Every asset has its bytes, and every original its asset.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use reelhouse_api::{AssetId, Status};

use crate::{
    Error, Store,
    blobs::{BlobKey, Tree},
    error::Result,
    shards::{Named, Shards, Walk},
    sql::Sql,
};

use super::{
    Finding, OLD, PAGE, Progress, finding,
    journal::Place,
    round::{Round, is_suspicious},
};

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    size: Option<i64>,
    blake3: Option<String>,
}

impl Row {
    fn bytes(&self) -> u64 {
        self.size.unwrap_or_default().unsigned_abs()
    }
}

/// An original as it is.
struct Seen {
    size: u64,
    /// Where its bytes were read.
    hash: Option<String>,
}

/// Originals that are looked at at once.
const AT_ONCE: usize = 4;
/// Rows whose bytes are kept.
const WHOLE: &str = "deleted_at IS NULL AND blake3 IS NOT NULL";

impl Round<'_> {
    pub(super) async fn originals(&mut self) -> Result<()> {
        self.progress.begin("originals", self.total);
        self.progress.passed(self.passed_before());
        for (place, shards) in self.parts(Tree::Originals) {
            let walk = self.store.blobs.walk(Tree::Originals, shards).await?;
            self.rows_have_bytes(&place, shards, &walk).await?;
            self.bytes_have_rows(walk).await?;
            self.passed(place.next());
        }
        Ok(())
    }

    async fn rows_have_bytes(&mut self, place: &Place, shards: Shards, walk: &Walk) -> Result<()> {
        let mut behind = place.behind.clone();
        loop {
            let page = self.store.whole_rows(shards, &behind).await?;
            let Some(last) = page.last() else { return Ok(()) };
            behind.clone_from(&last.id);
            let (store, quick, progress) = (self.store, self.how.quick, self.progress);
            let mut looks = stream::iter(&page)
                .map(|row| async move { (row, store.look_at(row, walk, quick, progress).await) })
                .buffered(AT_ONCE);
            while let Some((row, seen)) = looks.next().await {
                self.compare(row, seen).await?;
                self.passed(place.at(&row.id));
                self.progress.passed(1);
            }
        }
    }

    async fn compare(&mut self, row: &Row, seen: Result<Option<Seen>>) -> Result<()> {
        let (asset, recorded) = (parse(&row.id)?, row.bytes());
        let finding = match seen {
            Ok(None) => Finding::BlobMissing(asset),
            Ok(Some(Seen { size, .. })) if size != recorded => {
                Finding::SizeDiffers { asset, recorded, found: size }
            }
            Ok(Some(Seen { hash: Some(hash), .. })) if row.blake3.as_ref() != Some(&hash) => {
                Finding::HashDiffers(asset)
            }
            Ok(Some(Seen { hash, .. })) => {
                self.is_whole(if hash.is_some() { recorded } else { 0 });
                return Ok(());
            }
            Err(Error::Io { source, .. }) => Finding::Unreadable { asset, reason: source.to_string() },
            Err(error) => return Err(error),
        };
        // Deleted meanwhile is fine.
        match self.store.asset_of_any(asset).await? {
            Some(_) => self.found(finding).await,
            None => Ok(()),
        }
    }

    async fn bytes_have_rows(&mut self, Walk { named, strange }: Walk) -> Result<()> {
        let mut unknown = Vec::new();
        for page in named.chunks(PAGE as usize) {
            let known = self.store.known_assets(page).await?;
            for Named { asset, .. } in page {
                match known.get(asset) {
                    Some(status) if *status != Status::Failed => {}
                    Some(_) => self.failed_has_bytes(*asset).await?,
                    None if self.store.is_unknown(*asset).await? => unknown.push(*asset),
                    None => {}
                }
            }
        }
        let is_suspicious = is_suspicious(unknown.len(), named.len());
        for asset in unknown {
            let place = self.store.place(BlobKey::Original(asset).path());
            self.found_unknown(Finding::BlobUnknown(place), is_suspicious).await?;
        }
        for path in strange {
            let place = self.store.place(path);
            self.found(Finding::BlobUnknown(place)).await?;
        }
        Ok(())
    }

    /// They go behind the transaction in which their asset fails; whoever died in between left them.
    async fn failed_has_bytes(&mut self, asset: AssetId) -> Result<()> {
        let modified = self.store.blobs.modified_ms(&BlobKey::Original(asset).path()).await?;
        let is_old = modified.is_some_and(|at| at < self.how.now_ms - OLD);
        if is_old && !self.store.is_revisited(asset).await? {
            self.found(Finding::BlobOfFailed(asset)).await?;
        }
        Ok(())
    }
}

impl Store {
    /// Looks at a row's original; `None` when it is not there.
    async fn look_at(
        &self,
        row: &Row,
        walk: &Walk,
        quick: bool,
        progress: &Progress,
    ) -> Result<Option<Seen>> {
        let asset = parse(&row.id)?;
        if !quick {
            let (key, progress) = (BlobKey::Original(asset), progress.clone());
            let found = self.blobs.hash(&key, move |bytes| progress.read(bytes)).await?;
            return Ok(found.map(|(size, hash)| Seen { size, hash: Some(hash) }));
        }
        // What a list says of a bucket need not be asked once more, unless it is another.
        let listed = walk.bytes(asset, "").filter(|size| *size == row.bytes());
        let size = match listed {
            Some(size) => Some(size),
            None => self.blobs.size(asset).await?,
        };
        Ok(size.map(|size| Seen { size, hash: None }))
    }

    /// How many assets there are; a few of them have no bytes.
    pub(super) async fn asset_count(&self) -> Result<u64> {
        let count: Vec<(i64,)> = self.at_length("SELECT COUNT(*) FROM asset".to_owned()).await?;
        Ok(count.first().map_or(0, |(count,)| count.unsigned_abs()))
    }

    /// The next page of rows of some shards, in the order of ids.
    async fn whole_rows(&self, shards: Shards, behind: &str) -> Result<Vec<Row>> {
        let (first, last) = shards.digits();
        let sql = format!(
            "SELECT id, size, blake3 FROM asset WHERE id > $1 AND substr(id, 23, 2) BETWEEN $2 AND $3 AND {WHOLE}
             ORDER BY id LIMIT $4"
        );
        let page = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(behind).bind(first).bind(last).bind(PAGE);
        Ok(page.fetch_all(self.db.readers()).await?)
    }

    /// Where those assets of a list stand that have a row.
    async fn known_assets(&self, named: &[Named]) -> Result<HashMap<AssetId, Status>> {
        let mut sql = Sql::new("SELECT id, status FROM asset WHERE id IN ");
        sql.bind_list(named.iter().map(|named| named.asset.to_string()));
        let rows: Vec<(String, String)> = sql.rows().fetch_all(self.db.readers()).await?;
        let known = |(id, status): (String, String)| {
            let status = Status::parse(&status).ok_or_else(|| corrupt(&id))?;
            Ok((parse(&id)?, status))
        };
        rows.into_iter().map(known).collect()
    }

    /// Whether an original that was there before is nobody's. Bytes go before the intent of their publish ends without a row,
    /// and before a tombstone does.
    pub(super) async fn is_unknown(&self, asset: AssetId) -> Result<bool> {
        for sql in [
            "SELECT 1 FROM asset WHERE id = $1",
            "SELECT 1 FROM publish_intent WHERE asset_id = $1",
            // Written late, and looked for again.
            "SELECT 1 FROM revisit WHERE asset_id = $1",
            // The publish may have ended in between.
            "SELECT 1 FROM asset WHERE id = $1",
        ] {
            let known: Option<i64> =
                sqlx::query_scalar(sql).bind(asset.to_string()).fetch_optional(self.db.readers()).await?;
            if known.is_some() {
                return Ok(false);
            }
        }
        Ok(self.blobs.size(asset).await?.is_some())
    }

    /// Where a path among the blobs is.
    pub(super) fn place(&self, path: String) -> finding::Place {
        let shown = self.blobs.shown(&path);
        finding::Place { path, shown }
    }
}

fn parse(id: &str) -> Result<AssetId> {
    AssetId::parse(id).ok_or_else(|| corrupt(id))
}

fn corrupt(id: &str) -> Error {
    Error::Corrupt { table: "asset", id: id.to_owned() }
}
