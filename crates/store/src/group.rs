//! Commits that are shared by all who wait for one: a flush costs the same whether it makes one row last or fifty.

use futures_util::future::BoxFuture;
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::sync::{mpsc, oneshot};

use crate::error::Result;

/// The most that share a commit.
const MOST: usize = 128;
/// As many more may wait to be taken into the next before asking waits itself.
const WAITING: usize = 1024;

const BEGIN: &str = "BEGIN IMMEDIATE";

/// What one wants written. It may be run more than once, each time in a transaction that knows nothing of the time before.
type Work = Box<dyn for<'c> Fn(&'c mut SqliteConnection) -> BoxFuture<'c, Result<()>> + Send + Sync>;

/// The way into the next commit.
#[derive(Debug)]
pub(crate) struct Group {
    members: mpsc::Sender<Member>,
}

struct Member {
    work: Work,
    ended: oneshot::Sender<Result<()>>,
}

impl Group {
    /// Begins to commit what comes, on the one connection that writes, until the group is dropped.
    pub(crate) fn start(writer: SqlitePool) -> Self {
        let (members, mut coming) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let mut taken = Vec::new();
            // While one commit is flushed, those of the next gather: nobody waits for company.
            while coming.recv_many(&mut taken, MOST).await > 0 {
                commit(&writer, std::mem::take(&mut taken)).await;
            }
        });
        Self { members }
    }

    /// Runs the work in a transaction and returns when that is committed, durably, or the work's own error.
    pub(crate) async fn write(&self, work: Work) -> Result<()> {
        let (ended, end) = oneshot::channel();
        let gone = || sqlx::Error::WorkerCrashed;
        self.members.send(Member { work, ended }).await.map_err(|_| gone())?;
        end.await.map_err(|_| gone())?
    }
}

/// All in one transaction; or, when one of them fails, each in its own, so that no one suffers for another.
async fn commit(writer: &SqlitePool, members: Vec<Member>) {
    if members.len() > 1 && try_commit(writer, &members).await.is_ok() {
        for member in members {
            // Who does not wait any more has no use for the answer.
            let _ = member.ended.send(Ok(()));
        }
        return;
    }
    for member in members {
        let ended = try_commit(writer, std::slice::from_ref(&member)).await;
        let _ = member.ended.send(ended);
    }
}

async fn try_commit(writer: &SqlitePool, members: &[Member]) -> Result<()> {
    let mut tx = begin(writer).await?;
    for member in members {
        (member.work)(&mut tx).await?;
    }
    Ok(tx.commit().await?)
}

/// A transaction that writes, now: BEGIN IMMEDIATE, so that it never fails half way for the lock.
pub(crate) async fn begin(writer: &SqlitePool) -> Result<Transaction<'static, Sqlite>> {
    match writer.begin_with(BEGIN).await {
        // A full disk makes SQLite end the transaction by itself, behind the driver's back: the connection is of no use any
        // more.
        Err(sqlx::Error::InvalidSavePointStatement) => {
            tracing::warn!(
                "a connection to the database ended its transaction by itself; a new one takes its place"
            );
            drop(writer.acquire().await?.detach());
            Ok(writer.begin_with(BEGIN).await?)
        }
        begun => Ok(begun?),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    };

    use futures_util::future::join_all;
    use sqlx::sqlite::SqlitePoolOptions;

    use super::*;
    use crate::Error;

    fn insert(n: i64, runs: Arc<AtomicUsize>) -> Work {
        Box::new(move |tx| {
            runs.fetch_add(1, Relaxed);
            Box::pin(async move {
                sqlx::query("INSERT INTO number (n) VALUES ($1)").bind(n).execute(&mut *tx).await?;
                if n % 10 == 7 { Err(Error::QuotaReached) } else { Ok(()) }
            })
        })
    }

    #[tokio::test]
    async fn who_fails_fails_alone() {
        let writer = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
        sqlx::query("CREATE TABLE number (n BIGINT PRIMARY KEY)").execute(&writer).await.unwrap();
        let (group, runs) = (Group::start(writer.clone()), Arc::default());
        let ended = join_all((0..300).map(|n| group.write(insert(n, Arc::clone(&runs))))).await;
        for (n, ended) in ended.iter().enumerate() {
            assert_eq!(matches!(ended, Err(Error::QuotaReached)), n % 10 == 7, "{n}: {ended:?}");
        }
        assert!(runs.load(Relaxed) <= 600);
        // A number that is there already fails, too; the connection is as good as before.
        assert!(matches!(group.write(insert(1, Arc::clone(&runs))).await, Err(Error::Database(_))));
        group.write(insert(301, runs)).await.unwrap();
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM number").fetch_one(&writer).await.unwrap();
        assert_eq!(count, 271);
    }
}
