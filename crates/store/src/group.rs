//! Commits that are shared by all who wait for one: a flush costs the same whether it makes one row last or fifty.

use futures_util::future::BoxFuture;
use sqlx::AnyConnection;
use tokio::sync::{mpsc, oneshot};

use crate::{
    error::{Error, Result},
    writer::{Writer, transaction},
};

/// The most that share a commit.
const MOST: usize = 128;
/// As many more may wait to be taken into the next before asking waits itself.
const WAITING: usize = 1024;

/// What one wants written. It may be run more than once, each time in a transaction that knows nothing of the time before.
type Work = Box<dyn for<'c> Fn(&'c mut AnyConnection) -> BoxFuture<'c, Result<()>> + Send + Sync>;

/// The way into the next commit.
#[derive(Debug)]
pub(crate) struct Group {
    members: mpsc::Sender<Member>,
}

struct Member {
    account: String,
    work: Work,
    ended: oneshot::Sender<Result<()>>,
}

impl Group {
    /// Begins to commit what comes, one commit after the other, until the group is dropped.
    pub(crate) fn start(writer: Writer) -> Self {
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

    /// Runs the work, which is the account's, in a transaction and returns when that is committed, durably, or the work's own
    /// error.
    pub(crate) async fn write(&self, account: &str, work: Work) -> Result<()> {
        let (ended, end) = oneshot::channel();
        let gone = || sqlx::Error::WorkerCrashed;
        let account = account.to_owned();
        self.members.send(Member { account, work, ended }).await.map_err(|_| gone())?;
        end.await.map_err(|_| gone())?
    }
}

/// All in one transaction; or, when one of them fails, each in its own, so that no one suffers for another.
async fn commit(writer: &Writer, mut members: Vec<Member>) {
    if members.len() > 1 {
        // The rows of accounts in one order at all nodes: in any order, two would wait for each other until the database sees it.
        members.sort_by(|one, other| one.account.cmp(&other.account));
        let shared = write_all(writer, &members).await;
        // Of a database that is away, or was lost in the commit, all are told: alone, none would fare better.
        if shared.as_ref().err().is_none_or(Error::is_unavailable) {
            for member in members {
                // Who does not wait any more has no use for the answer.
                let _ = member.ended.send(shared.as_ref().copied().map_err(Error::for_another));
            }
            return;
        }
    }
    for member in members {
        let ended = write_all(writer, std::slice::from_ref(&member)).await;
        let _ = member.ended.send(ended);
    }
}

async fn write_all(writer: &Writer, members: &[Member]) -> Result<()> {
    transaction!(writer, |tx| {
        for member in members {
            (member.work)(tx).await?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    };

    use futures_util::future::join_all;
    use sqlx::any::AnyPoolOptions;

    use super::*;
    use crate::{dialect::Dialect, pulse::Pulse};

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
        sqlx::any::install_default_drivers();
        let writer = AnyPoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
        sqlx::query("CREATE TABLE number (n BIGINT PRIMARY KEY)").execute(&writer).await.unwrap();
        let (group, runs) =
            (Group::start(Writer::new(writer.clone(), Dialect::Sqlite, Pulse::own())), Arc::default());
        let ended = join_all((0..300).map(|n| group.write("a", insert(n, Arc::clone(&runs))))).await;
        for (n, ended) in ended.iter().enumerate() {
            assert_eq!(matches!(ended, Err(Error::QuotaReached)), n % 10 == 7, "{n}: {ended:?}");
        }
        assert!(runs.load(Relaxed) <= 600);
        // A number that is there already fails, too; the connection is as good as before.
        assert!(matches!(group.write("a", insert(1, Arc::clone(&runs))).await, Err(Error::Database(_))));
        group.write("a", insert(301, runs)).await.unwrap();
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM number").fetch_one(&writer).await.unwrap();
        assert_eq!(count, 271);
    }
}
