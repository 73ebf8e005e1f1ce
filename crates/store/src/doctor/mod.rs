//! Does every row have its bytes, and every byte its row? Is anything left over, or waiting for what never comes? And what of
//! that can be repaired without losing anything?
//!
//! Rows are read in pages and names of blobs by shards, so that memory does not grow with assets. Servers may run meanwhile:
//! what looks wrong because it was moving is looked at again, and what they have under way is not wrong.

mod counters;
mod derived;
mod finding;
mod journal;
mod left_over;
mod originals;
mod progress;
mod references;
mod repair;
mod round;
mod uploads;
mod waiting;

pub use finding::{Finding, Place, Treatment};
pub use progress::{Progress, Step};

use std::time::Duration;

use crate::{Store, error::Result};
use round::Round;

/// Rows that are read at once.
const PAGE: i64 = 1000;
/// Longer than any publish or removal takes, wherever it is under way, and than any node waits before it ends what another left,
/// in milliseconds. What is younger is not removed.
const OLD: i64 = 60 * 60 * 1000;

/// How doctor looks.
#[derive(Debug, Clone)]
pub struct Examination {
    /// Sizes are compared, bytes are not read.
    pub quick: bool,
    /// What can be repaired without losing anything is.
    pub repair: bool,
    /// Goes on where the one before it was interrupted.
    pub resume: bool,
    /// Milliseconds since the epoch.
    pub now_ms: i64,
    /// Names of blobs that are in memory at once, as far as 256 parts suffice for that.
    pub names_at_once: u64,
    /// How often it is written down how far it is.
    pub note_every: Duration,
}

impl Examination {
    /// Reads all bytes and changes nothing.
    pub fn at(now_ms: i64) -> Self {
        Self {
            quick: false,
            repair: false,
            resume: false,
            now_ms,
            names_at_once: 500_000,
            note_every: Duration::from_secs(2),
        }
    }
}

/// What doctor saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Assets whose bytes are as they must be, as far as was looked.
    pub assets: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Findings that are as they were found.
    pub wrong: u64,
    /// Findings that were repaired.
    pub repaired: u64,
    /// Leftovers of a server that is not running now; its next start clears them. Nothing is wrong with them.
    pub unfinished: u64,
}

/// Who is told of each finding, as it comes, and what became of it.
pub type Tell<'a> = &'a mut (dyn FnMut(&Finding, &Treatment) + Send);

impl Store {
    /// Compares rows and blobs, and repairs what it may. Safe beside servers, and to be interrupted and run again.
    ///
    /// # Errors
    /// When rows or folders cannot be read at all; [`Error::DoctorAtWork`](crate::Error::DoctorAtWork) beside another on this
    /// folder, [`Error::NoResume`](crate::Error::NoResume) when there is nothing to go on with,
    /// [`Error::BucketOfAnother`](crate::Error::BucketOfAnother).
    pub async fn examine(&self, how: &Examination, progress: &Progress, tell: Tell<'_>) -> Result<Report> {
        self.refuse_bucket_of_another().await?;
        let mut round = Round::begin(self, how, progress, tell).await?;
        // What is short is looked at again by one that goes on, too.
        round.references().await?;
        round.left_over().await?;
        round.uploads().await?;
        round.waiting().await?;
        round.originals().await?;
        round.derived().await?;
        // Behind all that may change what is counted.
        round.counters().await?;
        round.end().await
    }
}
