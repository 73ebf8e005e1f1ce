//! Whether the database still answers. One that was stopped, or that the network swallowed, neither answers nor ends its
//! connections: whoever asked it something would wait for ever.

use std::{
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use sqlx::{AnyConnection, Connection};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// What takes longer than this is looked after: it may be at work, or nobody may be.
const SILENCE: Duration = Duration::from_millis(1500);
/// Longer than the answer to nothing at all takes, a new connection included.
const ANSWER: Duration = Duration::from_millis(1500);
/// How long it is believed what was found.
const FRESH: Duration = Duration::from_secs(1);

/// The database's, felt on a connection that nothing else is asked on.
#[derive(Debug, Clone)]
pub(crate) struct Pulse {
    /// `None` for a database of this process' own.
    felt: Option<Arc<Felt>>,
}

struct Felt {
    url: String,
    last: Mutex<Last>,
    /// So that connections on which nobody answered are not asked again.
    is_lost: AtomicBool,
}

impl std::fmt::Debug for Felt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password.
        f.debug_struct("Felt").field("is_lost", &self.is_lost).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Last {
    connection: Option<AnyConnection>,
    found: Option<(Instant, bool)>,
}

/// The database neither answers nor ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Silent;

impl From<Silent> for sqlx::Error {
    fn from(_: Silent) -> Self {
        Self::Io(io::ErrorKind::TimedOut.into())
    }
}

impl Pulse {
    /// Of a database in this process, which answers as long as anything does.
    pub(crate) fn own() -> Self {
        Self { felt: None }
    }

    /// Of the one at this URL.
    pub(crate) fn of(url: &str) -> Self {
        let felt = Felt { url: url.to_owned(), last: Mutex::default(), is_lost: AtomicBool::new(false) };
        Self { felt: Some(Arc::new(felt)) }
    }

    /// Whether it answers, within two seconds.
    pub(crate) async fn beats(&self) -> bool {
        match &self.felt {
            Some(felt) => felt.beats().await,
            None => true,
        }
    }

    /// Whether nobody answered when it was felt last.
    pub(crate) fn is_lost(&self) -> bool {
        self.felt.as_ref().is_some_and(|felt| felt.is_lost.load(Relaxed))
    }

    /// Does work that asks the database, however long that takes, as long as it answers others meanwhile.
    ///
    /// # Errors
    /// [`Silent`] when it does not; the work is dropped then.
    pub(crate) async fn guard<T>(&self, work: impl Future<Output = T>) -> Result<T, Silent> {
        let Some(felt) = &self.felt else { return Ok(work.await) };
        let mut work = pin!(work);
        loop {
            if let Ok(done) = timeout(SILENCE, &mut work).await {
                if felt.is_lost.load(Relaxed) {
                    // Somebody must find out that it is back.
                    felt.beats().await;
                }
                return Ok(done);
            }
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                beats = felt.beats() => if !beats {
                    return Err(Silent);
                }
            }
        }
    }
}

impl Felt {
    /// All who want to know at the same time share an answer, or that there is none.
    async fn beats(&self) -> bool {
        let mut last = self.last.lock().await;
        if let Some((at, beats)) = last.found
            && at.elapsed() < FRESH
        {
            return beats;
        }
        let connection = last.connection.take();
        let asked = timeout(ANSWER, async {
            let mut connection = match connection {
                Some(connection) => connection,
                None => AnyConnection::connect(&self.url).await?,
            };
            connection.ping().await?;
            Ok::<_, sqlx::Error>(connection)
        });
        let found = match asked.await {
            Ok(Ok(connection)) => {
                last.connection = Some(connection);
                true
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "the database does not answer");
                false
            }
            Err(_) => false,
        };
        if self.is_lost.swap(!found, Relaxed) == found {
            if found {
                tracing::info!("the database answers again");
            } else {
                tracing::error!("the database does not answer");
            }
        }
        last.found = Some((Instant::now(), found));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_swallowed_ends_and_what_takes_long_does_not() {
        sqlx::any::install_default_drivers();
        // It takes connections and says nothing.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://a@{}/a?sslmode=disable", listener.local_addr().unwrap());
        let pulse = Pulse::of(&url);
        assert_eq!(pulse.guard(std::future::pending::<()>()).await, Err(Silent));
        assert!(pulse.is_lost() && !pulse.beats().await);
        assert_eq!(pulse.guard(std::future::ready(1)).await, Ok(1));
        let own = Pulse::own();
        assert_eq!(own.guard(tokio::time::sleep(2 * SILENCE)).await, Ok(()));
        assert!(own.beats().await && !own.is_lost());
    }
}
