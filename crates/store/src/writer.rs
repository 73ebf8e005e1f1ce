//! The one loop in which all transactions that write are run, and run again when they could not be.

use std::time::{Duration, Instant};

use sqlx::{Any, AnyPool, Transaction};
use tokio::time::{sleep, timeout};

use crate::{
    dialect::Dialect,
    error::{Error, Result, Setback},
    pulse::{Pulse, Silent},
};

/// How long a transaction is begun again when another's was first.
const CONFLICT_PATIENCE: Duration = Duration::from_secs(30);
/// How long a database that is away is waited for.
const LOSS_PATIENCE: Duration = Duration::from_secs(10);
/// Longer than any transaction takes, although the database answers others.
const ATTEMPT: Duration = Duration::from_secs(30);
/// How long a connection that failed is waited for.
const ROLLBACK: Duration = Duration::from_secs(1);
/// Before the second attempt, on average; doubled before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Runs work in a transaction that writes and commits what it did, unless it fails. It may be run more than once, each time
/// in a transaction that knows nothing of the time before: it must leave alone what is not in the database, or bear to find it
/// done.
///
/// A macro, since a future that borrows from an async closure is not `Send` enough to be spawned.
macro_rules! transaction {
    ($db:expr, |$tx:ident| $work:block) => {{
        let mut attempts = $db.attempts();
        loop {
            let mut begun = match attempts.begin().await {
                Ok(Some(begun)) => begun,
                Ok(None) => continue,
                Err(error) => break Err(error),
            };
            let worked = {
                let $tx: &mut sqlx::AnyConnection = &mut begun;
                attempts.run(async $work).await
            };
            match attempts.end(begun, worked).await {
                Ok(Some(done)) => break Ok(done),
                Ok(None) => {}
                Err(error) => break Err(error),
            }
        }
    }};
}
pub(crate) use transaction;

/// Begins transactions that write.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    pool: AnyPool,
    dialect: Dialect,
    pulse: Pulse,
}

impl Writer {
    pub(crate) fn new(pool: AnyPool, dialect: Dialect, pulse: Pulse) -> Self {
        Self { pool, dialect, pulse }
    }

    pub(crate) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    pub(crate) fn attempts(&self) -> Attempts<'_> {
        Attempts { writer: self, begun: Instant::now(), failed: 0 }
    }

    async fn begin(&self) -> Result<Transaction<'static, Any>> {
        let begin = self.dialect.begin_write();
        match self.pool.begin_with(begin).await {
            // A full disk makes SQLite end the transaction by itself, behind the driver's back: the connection is of no use
            // any more.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                tracing::warn!(
                    "a connection to the database ended its transaction by itself; a new one takes its place"
                );
                drop(self.pool.acquire().await?.detach());
                Ok(self.pool.begin_with(begin).await?)
            }
            begun => Ok(begun?),
        }
    }
}

/// One transaction, as often as it takes.
#[derive(Debug)]
pub(crate) struct Attempts<'w> {
    writer: &'w Writer,
    begun: Instant,
    failed: u32,
}

impl Attempts<'_> {
    /// Begins the next attempt; `None` when it could not be begun and may be later.
    ///
    /// # Errors
    /// When it could not be begun for too long.
    pub(crate) async fn begin(&mut self) -> Result<Option<Transaction<'static, Any>>> {
        let begun = self.writer.pulse.guard(self.writer.begin()).await;
        match begun.unwrap_or_else(|silent| Err(sqlx::Error::from(silent).into())) {
            Ok(tx) => Ok(Some(tx)),
            Err(error) => self.pause(error).await.map(|()| None),
        }
    }

    /// Runs the work of an attempt.
    pub(crate) async fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match self.writer.dialect {
            Dialect::Sqlite => work.await,
            Dialect::Postgres => {
                let worked = timeout(ATTEMPT, self.writer.pulse.guard(work)).await;
                worked.unwrap_or(Err(Silent)).map_err(sqlx::Error::from)?
            }
        }
    }

    /// Commits what an attempt did, or takes it back if it failed; `None` when it is to be run again.
    ///
    /// # Errors
    /// The work's own; [`Error::InDoubt`] when nobody knows whether it was committed.
    pub(crate) async fn end<T>(
        &mut self,
        tx: Transaction<'static, Any>,
        worked: Result<T>,
    ) -> Result<Option<T>> {
        let ended = match (worked, self.writer.dialect) {
            (Err(error), _) => {
                // Before the pause: what it has locked, others wait for.
                let _ = timeout(ROLLBACK, tx.rollback()).await;
                Err(error)
            }
            (Ok(done), Dialect::Sqlite) => tx.commit().await.map(|()| done).map_err(Error::from),
            (Ok(done), Dialect::Postgres) => {
                let committed = timeout(ATTEMPT, self.writer.pulse.guard(tx.commit())).await;
                let committed = committed.unwrap_or(Err(Silent)).unwrap_or_else(|silent| Err(silent.into()));
                committed.map(|()| done).map_err(Error::of_commit)
            }
        };
        match ended {
            Ok(done) => Ok(Some(done)),
            Err(error) => self.pause(error).await.map(|()| None),
        }
    }

    /// Waits before the next attempt, if there is one.
    async fn pause(&mut self, error: Error) -> Result<()> {
        let patience = match error.setback() {
            Some(Setback::Conflict) => CONFLICT_PATIENCE,
            Some(Setback::Loss) => LOSS_PATIENCE,
            None => return Err(error),
        };
        let pause = pause(self.failed);
        if self.begun.elapsed() + pause > patience {
            return Err(error);
        }
        self.failed += 1;
        tracing::debug!(%error, failed = self.failed, "a transaction is run again");
        sleep(pause).await;
        Ok(())
    }
}

/// Half to one and a half of a pause that doubles, so that those that got in each other's way do not meet again.
fn pause(tries: u32) -> Duration {
    let doubled = (FIRST_PAUSE * (1 << tries.min(16))).min(LONGEST_PAUSE);
    let mut dice = [0; 2];
    // Without randomness there is no jitter, which harms no one.
    let _ = getrandom::fill(&mut dice);
    doubled.mul_f64(0.5 + f64::from(u16::from_be_bytes(dice)) / f64::from(u16::MAX))
}
