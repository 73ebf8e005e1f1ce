//! The table of jobs: durable, leased, fenced. What a job means is the service's business.
//!
//! A claim hands out a lease and a token. Only who holds the newest token of a running job may change it or what it makes;
//! a worker that lost its lease finds no row. Failed attempts and lost leases are counted apart: a job that fails is given
//! up after [`MAX_FAILED_ATTEMPTS`], one that kills its worker after [`MAX_LOST_LEASES`].

use reelhouse_api::{AssetError, AssetId, EventKind, Fault, JobKind, JobState, RenditionStatus};
use reelhouse_metrics::metrics;
use sqlx::{AnyConnection, AssertSqlSafe};

use crate::{
    Store,
    accounts::hex,
    assets::become_failed,
    dialect::or_no_number,
    error::{Error, Result},
    events, indexing, revisit,
    writer::transaction,
};

/// Attempts that may fail before a job is given up.
pub const MAX_FAILED_ATTEMPTS: i64 = 5;
/// The same for jobs that decide: with them go the bytes. About ten minutes, by the backoff between them.
const MAX_FAILED_DECISIONS: i64 = 8;
/// Leases that may be lost before a job is given up.
pub const MAX_LOST_LEASES: i64 = 10;

/// A job as it stands in the table.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRecord {
    /// Names it.
    pub id: String,
    /// Whose asset.
    pub asset_id: AssetId,
    /// What is to be made.
    pub kind: JobKind,
    /// Where it stands.
    pub state: JobState,
    /// Not before; milliseconds since the epoch.
    pub run_at: i64,
    /// Who has it.
    pub worker: Option<String>,
    /// Which claim this is.
    pub token: i64,
    /// Attempts that failed.
    pub failed_attempts: i64,
    /// Leases that ran out.
    pub lost_leases: i64,
    /// 0 to 1, of the running attempt.
    pub progress: Option<f64>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// Of which trace it is part, as W3C Trace Context writes it.
    pub traceparent: Option<String>,
}

impl JobRecord {
    /// Whether another failure is the last.
    pub fn is_last_attempt(&self) -> bool {
        let most = if self.kind.decides() { MAX_FAILED_DECISIONS } else { MAX_FAILED_ATTEMPTS };
        self.failed_attempts + 1 >= most
    }

    /// The name of this attempt's folder: no other attempt has it.
    pub fn attempt(&self) -> String {
        format!("{}-{}-{}", self.kind.as_str(), self.id, self.token)
    }
}

#[derive(sqlx::FromRow)]
struct JobRow {
    id: String,
    asset_id: String,
    kind: String,
    state: String,
    run_at: i64,
    worker: Option<String>,
    token: i64,
    failed_attempts: i64,
    lost_leases: i64,
    progress: Option<f64>,
    last_error: Option<String>,
    traceparent: Option<String>,
}

const COLUMNS: &str = "id, asset_id, kind, state, run_at, worker, token, failed_attempts, lost_leases, progress, last_error, traceparent";

impl TryFrom<JobRow> for JobRecord {
    type Error = Error;

    fn try_from(row: JobRow) -> Result<Self> {
        let JobRow {
            id,
            asset_id,
            kind,
            state,
            run_at,
            worker,
            token,
            failed_attempts,
            lost_leases,
            progress,
            last_error,
            traceparent,
        } = row;
        let parsed = (AssetId::parse(&asset_id), JobKind::parse(&kind), JobState::parse(&state));
        let (Some(asset_id), Some(kind), Some(state)) = parsed else {
            return Err(Error::Corrupt { table: "job", id });
        };
        Ok(Self {
            id,
            asset_id,
            kind,
            state,
            run_at,
            worker,
            token,
            failed_attempts,
            lost_leases,
            progress,
            last_error,
            traceparent,
        })
    }
}

/// Ends a job, in the transaction that needs its end; false when it is no longer the worker's.
pub(crate) async fn end(tx: &mut AnyConnection, job: &JobRecord) -> Result<bool> {
    let ended = sqlx::query("DELETE FROM job WHERE id = $1 AND token = $2 AND state = 'running'")
        .bind(&job.id)
        .bind(job.token)
        .execute(tx)
        .await?;
    Ok(ended.rows_affected() > 0)
}

/// Whether a job is still the worker's.
pub(crate) async fn is_held(tx: &mut AnyConnection, job: &JobRecord) -> Result<bool> {
    let held: Option<i64> =
        sqlx::query_scalar("SELECT token FROM job WHERE id = $1 AND token = $2 AND state = 'running'")
            .bind(&job.id)
            .bind(job.token)
            .fetch_optional(tx)
            .await?;
    Ok(held.is_some())
}

/// Lets a job wait for its turn again, uncounted; false when it is no longer the worker's.
pub(crate) async fn release(tx: &mut AnyConnection, job: &JobRecord) -> Result<bool> {
    let released = sqlx::query(
        "UPDATE job SET state = 'queued', worker = NULL, lease_until = NULL, progress = NULL
         WHERE id = $1 AND token = $2 AND state = 'running'",
    )
    .bind(&job.id)
    .bind(job.token)
    .execute(tx)
    .await?;
    Ok(released.rows_affected() > 0)
}

/// Adds a job, part of the trace in which that is done, in the transaction that needs it. One that is there already for the same thing stays as it is, unless it
/// was given up.
pub(crate) async fn push(tx: &mut AnyConnection, asset: AssetId, kind: JobKind, now_ms: i64) -> Result<()> {
    let mut id = [0; 12];
    getrandom::fill(&mut id)
        .map_err(|source| Error::Io { what: "naming a job", source: std::io::Error::other(source) })?;
    sqlx::query(
        "INSERT INTO job (id, asset_id, kind, state, created_at, run_at, traceparent) VALUES ($1, $2, $3, 'queued', $4, $4, $5)
         ON CONFLICT (asset_id, kind) DO UPDATE SET state = 'queued', run_at = $4, failed_attempts = 0, lost_leases = 0,
                                                    traceparent = $5
         WHERE job.state IN ('dead', 'canceled')",
    )
    .bind(hex(&id))
    .bind(asset.to_string())
    .bind(kind.as_str())
    .bind(now_ms)
    .bind(reelhouse_trace::traceparent())
    .execute(tx)
    .await?;
    Ok(())
}

/// Where an asset shows how far a job is, if it does.
fn status_column(kind: JobKind) -> Option<&'static str> {
    match kind {
        JobKind::Hls => Some("hls_status"),
        JobKind::Thumbnail => Some("thumbnail_status"),
        JobKind::Storyboard | JobKind::Import | JobKind::Examine | JobKind::Index => None,
    }
}

/// Shows on the asset, or on its places in indexes, how far a job is. Where that is an end, it is an event.
pub(crate) async fn show(
    tx: &mut AnyConnection,
    asset: AssetId,
    kind: JobKind,
    status: RenditionStatus,
    now_ms: i64,
) -> Result<()> {
    if kind == JobKind::Index {
        return indexing::show(tx, asset, status).await;
    }
    if let Some(column) = status_column(kind) {
        let sql = format!(
            "UPDATE asset SET {column} = $2 WHERE id = $1 AND {column} IS NOT NULL RETURNING account"
        );
        let account: Option<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(asset.to_string())
            .bind(status.as_str())
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(account) = account {
            events::record(tx, &account, asset, EventKind::of_rendition(kind, status), now_ms).await?;
        }
    }
    Ok(())
}

/// Says on the asset that a job was given up.
async fn give_up(tx: &mut AnyConnection, job: &JobRecord, fault: &Fault, now_ms: i64) -> Result<()> {
    if !job.kind.decides() {
        return show(tx, job.asset_id, job.kind, RenditionStatus::Error, now_ms).await;
    }
    become_failed(tx, job.asset_id, &AssetError::from(fault), now_ms).await?;
    revisit::push(tx, job.asset_id, now_ms).await?;
    sqlx::query("DELETE FROM job WHERE id = $1").bind(&job.id).execute(tx).await?;
    Ok(())
}

/// What an asset is said to have when nobody can tell why its job ends badly each time.
fn fault_of(kind: JobKind) -> Fault {
    match kind {
        JobKind::Import => Fault::MediaUrlFileBroken,
        _ => Fault::FileUnprocessable,
    }
}

/// Which jobs a worker takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// What takes cores.
    Make,
    /// What takes the network: at most so many at once of each account.
    Import {
        /// At least 1.
        per_account: u32,
    },
}

impl Store {
    /// Asks for a job on an asset of the account, or for a new life of one that was given up; false if there is no such asset.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn push_job(&self, account: &str, asset: AssetId, kind: JobKind, now_ms: i64) -> Result<bool> {
        transaction!(self.db, |tx| {
            let known: Option<i64> = sqlx::query_scalar(
                "SELECT seq FROM asset WHERE id = $1 AND account = $2 AND status = 'ready' AND deleted_at IS NULL",
            )
            .bind(asset.to_string())
            .bind(account)
            .fetch_optional(&mut *tx)
            .await?;
            if known.is_none() {
                return Ok(false);
            }
            push(tx, asset, kind, now_ms).await?;
            Ok(true)
        })
    }

    /// Takes the next job that is due, if there is one, for `lease_ms` milliseconds.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_job(
        &self,
        lane: Lane,
        worker: &str,
        now_ms: i64,
        lease_ms: i64,
    ) -> Result<Option<JobRecord>> {
        let (import, per_account) = match lane {
            Lane::Make => (false, i64::MAX),
            Lane::Import { per_account } => (true, i64::from(per_account)),
        };
        let due =
            "SELECT id FROM job AS due WHERE state = 'queued' AND (kind = 'import') = $1 AND run_at <= $2
                   AND (NOT $1 OR $3 > (
                       SELECT COUNT(*) FROM job AS other JOIN asset ON asset.id = other.asset_id
                       WHERE other.state = 'running' AND (other.kind = 'import') = $1
                         AND asset.account = (SELECT account FROM asset WHERE asset.id = due.asset_id)))
                   ORDER BY run_at, id LIMIT 1";
        // Most of the time there is none: a look does not need the writer.
        let any: Option<String> = sqlx::query_scalar(due)
            .bind(import)
            .bind(now_ms)
            .bind(per_account)
            .fetch_optional(self.db.readers())
            .await?;
        if any.is_none() {
            return Ok(None);
        }
        let skip_claimed = self.db.dialect().skip_claimed();
        let sql = format!(
            "UPDATE job SET state = 'running', worker = $4, lease_until = $5, token = token + 1, progress = NULL
             WHERE id = ({due}{skip_claimed}) AND state = 'queued' RETURNING {COLUMNS}"
        );
        transaction!(self.db, |tx| {
            let row: Option<JobRow> = sqlx::query_as(AssertSqlSafe(sql.as_str()))
                .bind(import)
                .bind(now_ms)
                .bind(per_account)
                .bind(worker)
                .bind(now_ms.saturating_add(lease_ms))
                .fetch_optional(&mut *tx)
                .await?;
            let Some(job) = row.map(JobRecord::try_from).transpose()? else { return Ok(None) };
            show(tx, job.asset_id, job.kind, RenditionStatus::Processing, now_ms).await?;
            Ok(Some(job))
        })
    }

    /// Renews a lease and notes how far the attempt is; false when it is no longer the worker's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn renew_lease(&self, job: &JobRecord, progress: Option<f64>, until_ms: i64) -> Result<bool> {
        transaction!(self.db, |tx| {
            let renewed = sqlx::query(
                "UPDATE job SET lease_until = $3, progress = NULLIF($4, -1.0)
                 WHERE id = $1 AND token = $2 AND state = 'running'",
            )
            .bind(&job.id)
            .bind(job.token)
            .bind(until_ms)
            .bind(or_no_number(progress))
            .execute(tx)
            .await?;
            Ok(renewed.rows_affected() > 0)
        })
    }

    /// Gives a job back unfinished and uncounted: its worker is shutting down, or it has no room. It is not taken again before
    /// `run_at`, milliseconds since the epoch.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_job(&self, job: &JobRecord, run_at: i64) -> Result<()> {
        transaction!(self.db, |tx| {
            if release(tx, job).await? {
                let later = sqlx::query("UPDATE job SET run_at = $2 WHERE id = $1 AND run_at < $2");
                later.bind(&job.id).bind(run_at).execute(tx).await?;
            }
            Ok(())
        })
    }

    /// Notes a failed attempt. `retry_at` is when to try again, milliseconds since the epoch; without it, or after
    /// [`MAX_FAILED_ATTEMPTS`], the job is given up and the asset shows an error. Does nothing when the job is no longer
    /// the worker's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn fail_job(
        &self,
        job: &JobRecord,
        error: &str,
        retry_at: Option<i64>,
        now_ms: i64,
    ) -> Result<()> {
        let again = retry_at.filter(|_| !job.is_last_attempt());
        let state = if again.is_some() { JobState::Queued } else { JobState::Dead };
        let sql =
            "UPDATE job SET state = $3, run_at = COALESCE($4, run_at), failed_attempts = failed_attempts + 1,
                            last_error = $5, worker = NULL, lease_until = NULL, progress = NULL
             WHERE id = $1 AND token = $2 AND state = 'running'";
        // What programs say is any text; the database's has no NUL.
        let error = error.replace('\0', "");
        let is_given_up = transaction!(self.db, |tx| {
            let noted = sqlx::query(sql)
                .bind(&job.id)
                .bind(job.token)
                .bind(state.as_str())
                .bind(again)
                .bind(&error)
                .execute(&mut *tx)
                .await?;
            let is_given_up = noted.rows_affected() > 0 && state == JobState::Dead;
            if is_given_up {
                give_up(tx, job, &fault_of(job.kind), now_ms).await?;
            }
            Ok(is_given_up)
        })?;
        if is_given_up { self.after_giving_up(job).await } else { Ok(()) }
    }

    /// Takes back leases that ran out by `now_ms`, or all of the workers whose name begins so: they are gone. Returns how
    /// many jobs were given up for it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_back_leases(&self, now_ms: i64, gone_workers: Option<&str>) -> Result<u64> {
        let gone = gone_workers.map(|prefix| format!("{prefix}%"));
        let lost = "state = 'running' AND (lease_until < $1 OR worker LIKE $2)";
        let any: Option<String> =
            sqlx::query_scalar(AssertSqlSafe(format!("SELECT id FROM job WHERE {lost} LIMIT 1")))
                .bind(now_ms)
                .bind(&gone)
                .fetch_optional(self.db.readers())
                .await?;
        if any.is_none() {
            return Ok(0);
        }
        let sql = format!(
            "UPDATE job SET state = CASE WHEN lost_leases + 1 < $3 THEN 'queued' ELSE 'dead' END,
                            lost_leases = lost_leases + 1, worker = NULL, lease_until = NULL, progress = NULL,
                            last_error = CASE WHEN lost_leases + 1 < $3 THEN last_error ELSE 'its worker died each time' END
             WHERE {lost} RETURNING {COLUMNS}"
        );
        let (dead, lost) = transaction!(self.db, |tx| {
            let rows: Vec<JobRow> = sqlx::query_as(AssertSqlSafe(sql.as_str()))
                .bind(now_ms)
                .bind(&gone)
                .bind(MAX_LOST_LEASES)
                .fetch_all(&mut *tx)
                .await?;
            let jobs = rows.into_iter().map(JobRecord::try_from).collect::<Result<Vec<_>>>()?;
            let lost = jobs.len() as u64;
            let dead: Vec<JobRecord> = jobs.into_iter().filter(|job| job.state == JobState::Dead).collect();
            for job in &dead {
                give_up(tx, job, &fault_of(job.kind), now_ms).await?;
            }
            Ok((dead, lost))
        })?;
        metrics().leases_lost.inc_by(lost);
        for job in &dead {
            self.after_giving_up(job).await?;
        }
        Ok(dead.len() as u64)
    }

    /// The job on this thing, if there is one.
    ///
    /// # Errors
    /// When the database fails or the row is corrupt.
    pub async fn job_of(&self, asset: AssetId, kind: JobKind) -> Result<Option<JobRecord>> {
        let sql = format!("SELECT {COLUMNS} FROM job WHERE asset_id = $1 AND kind = $2");
        let row: Option<JobRow> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(asset.to_string())
            .bind(kind.as_str())
            .fetch_optional(self.db.readers())
            .await?;
        row.map(JobRecord::try_from).transpose()
    }

    /// When the next job is due, milliseconds since the epoch; `None` when none waits.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_job_due(&self, lane: Lane) -> Result<Option<i64>> {
        Ok(sqlx::query_scalar(
            "SELECT run_at FROM job WHERE state = 'queued' AND (kind = 'import') = $1 ORDER BY run_at LIMIT 1",
        )
        .bind(lane != Lane::Make)
        .fetch_optional(self.db.readers())
        .await?)
    }

    /// Every job there is, oldest first.
    ///
    /// # Errors
    /// When the database fails or a row is corrupt.
    pub async fn jobs(&self) -> Result<Vec<JobRecord>> {
        let sql = format!("SELECT {COLUMNS} FROM job ORDER BY created_at, id");
        let rows: Vec<JobRow> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(self.db.readers()).await?;
        rows.into_iter().map(JobRecord::try_from).collect()
    }

    /// Those that somebody has: no more than there are workers, dead or alive.
    pub(crate) async fn running_jobs(&self) -> Result<Vec<JobRecord>> {
        let sql = format!("SELECT {COLUMNS} FROM job WHERE state = 'running'");
        let rows: Vec<JobRow> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(self.db.readers()).await?;
        rows.into_iter().map(JobRecord::try_from).collect()
    }

    /// Gives a dead or canceled job a new life, or a waiting one its turn now. False if there is none of this id that
    /// does not run.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn retry_job(&self, id: &str, now_ms: i64) -> Result<bool> {
        self.operate(
            "UPDATE job SET state = 'queued', run_at = $2, failed_attempts = 0, lost_leases = 0
             WHERE id = $1 AND state <> 'running'",
            id,
            now_ms,
            None,
        )
        .await
    }

    /// Ends a job for good; whoever runs it will notice. False if there is none of this id that could be ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cancel_job(&self, id: &str, now_ms: i64) -> Result<bool> {
        self.operate(
            "UPDATE job SET state = 'canceled', worker = NULL, lease_until = NULL, progress = NULL,
                            last_error = COALESCE(last_error, 'canceled'), run_at = $2
             WHERE id = $1 AND state IN ('queued', 'running')",
            id,
            now_ms,
            Some(Fault::RequestTimeout),
        )
        .await
    }

    async fn operate(
        &self,
        update: &'static str,
        id: &str,
        now_ms: i64,
        ended: Option<Fault>,
    ) -> Result<bool> {
        let sql = format!("{update} RETURNING {COLUMNS}");
        let Some(job) = transaction!(self.db, |tx| {
            let row: Option<JobRow> = sqlx::query_as(AssertSqlSafe(sql.as_str()))
                .bind(id)
                .bind(now_ms)
                .fetch_optional(&mut *tx)
                .await?;
            let Some(job) = row.map(JobRecord::try_from).transpose()? else { return Ok(None) };
            match &ended {
                Some(fault) => give_up(tx, &job, fault, now_ms).await?,
                None => show(tx, job.asset_id, job.kind, RenditionStatus::Pending, now_ms).await?,
            }
            Ok(Some(job))
        })?
        else {
            return Ok(false);
        };
        if ended.is_some() {
            self.after_giving_up(&job).await?;
        }
        Ok(true)
    }

    /// What need not be in the transaction: a crash before it leaves an incoming file that the next start removes.
    async fn after_giving_up(&self, job: &JobRecord) -> Result<()> {
        if job.kind.decides() { self.remove_failed(job.asset_id).await } else { Ok(()) }
    }
}
