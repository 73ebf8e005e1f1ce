use reelhouse_api::AssetId;

/// Why a home is not copied, or not used.
#[derive(Debug, thiserror::Error)]
pub enum CopyRefusal {
    /// Both homes are one.
    #[error("the old home and the new one are the same ({what}); the new one needs its own")]
    SamePlace {
        /// What they share.
        what: String,
    },
    /// The new home has something already.
    #[error(
        "the new home is not empty ({what}); choose an empty database, a new data folder and an unused prefix"
    )]
    NotEmpty {
        /// What was found.
        what: String,
    },
    /// A copy was begun here, of something else.
    #[error("the new home holds an unfinished copy of another home ({from}); choose an empty one")]
    OfAnother {
        /// Where that is.
        from: String,
    },
    /// Nothing but `reelhouse copy` may use this database yet.
    #[error(
        "a copy into this database has not ended (from {from}); run the same `reelhouse copy` again, it goes on"
    )]
    Unfinished {
        /// Where it comes from.
        from: String,
    },
    /// Somebody uses a home that is to stand still.
    #[error(
        "{connections} connections of reelhouse are open to {database}; stop its servers and workers first"
    )]
    Served {
        /// Connections.
        connections: i64,
        /// Which database.
        database: String,
    },
    /// A worker without a server.
    #[error(
        "a worker ({worker}) is at work on the old home; stop it first, or wait half a minute if it was killed"
    )]
    AtWork {
        /// Its name.
        worker: String,
    },
    /// Uploads in chunks that cannot go on in a home of another kind.
    #[error(
        "{count} uploads in chunks are under way, and cannot go on in another bucket or out of the data folder; \
         let them end first, or end them as failed in the new home with --end-uploads"
    )]
    UploadsUnderWay {
        /// How many.
        count: i64,
    },
    /// The old home did not stand still.
    #[error(
        "the old home has changed while it was copied; stop all that uses it and run the same command again"
    )]
    Changed,
    /// What SQLite cannot hold, because it keeps rows by it.
    #[error(
        "{one} and {other} of {table} were made by two nodes in the same moment, and SQLite cannot hold both; \
         delete one of them, or stay with Postgres"
    )]
    SameMoment {
        /// Whose rows.
        table: &'static str,
        /// An id.
        one: String,
        /// Another.
        other: String,
    },
}

/// What is not as its row says in the old home. It is copied as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// There are no bytes.
    Missing(AssetId),
    /// There are others than were uploaded.
    Differs(AssetId),
    /// They cannot be read.
    Unreadable(AssetId, String),
    /// What was made of it is not there, or not as it was made.
    Derivative(AssetId, String),
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(asset) => write!(f, "asset {asset}: its bytes are missing in the old home"),
            Self::Differs(asset) => {
                write!(f, "asset {asset}: its bytes are not the ones uploaded; copied as they are")
            }
            Self::Unreadable(asset, error) => {
                write!(f, "asset {asset}: its bytes cannot be read in the old home: {error}")
            }
            Self::Derivative(asset, folder) => {
                write!(f, "asset {asset}: the files of {folder} are not the ones that were made")
            }
        }
    }
}
