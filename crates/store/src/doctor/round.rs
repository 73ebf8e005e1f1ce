//! What all that doctor looks at shares.

use crate::{Store, blobs::Tree, error::Result, folder_lock::FolderLock, shards::Shards};

use super::{
    Examination, Finding, Progress, Report, Tell, Treatment,
    journal::{Journal, Place},
};

/// More unknown things than this, and than known ones, are rather those of another database.
const SUSPICIOUS: usize = 16;

pub(super) fn is_suspicious(unknown: usize, all: usize) -> bool {
    unknown > SUSPICIOUS && unknown > all - unknown.min(all)
}

/// Doctor at work.
pub(super) struct Round<'a> {
    pub(super) store: &'a Store,
    pub(super) how: &'a Examination,
    pub(super) progress: &'a Progress,
    tell: Tell<'a>,
    /// Since when the server of this folder runs, if it does.
    pub(super) server_since: Option<i64>,
    /// Assets.
    pub(super) total: u64,
    /// Of what is short.
    pub(super) report: Report,
    /// Of what takes long.
    journal: Journal,
    /// What was found is kept with how far it is.
    takes_long: bool,
}

impl<'a> Round<'a> {
    pub(super) async fn begin(
        store: &'a Store,
        how: &'a Examination,
        progress: &'a Progress,
        tell: Tell<'a>,
    ) -> Result<Self> {
        let root = store.blobs.scratch.root();
        let server_since = FolderLock::holder(root).map(|holder| holder.started_at);
        let total = store.asset_count().await?;
        let journal = Journal::begin(store, how, Shards::parts(total, how.names_at_once)).await?;
        let report = Report::default();
        let round =
            Self { store, how, progress, tell, server_since, total, report, journal, takes_long: false };
        for (finding, treatment) in round.journal.told() {
            (round.tell)(&finding, &treatment);
        }
        Ok(round)
    }

    /// The parts of a tree that are left, one after the other, and behind which row the first of them goes on.
    pub(super) fn parts(&mut self, tree: Tree) -> Vec<(Place, Shards)> {
        self.takes_long = true;
        self.journal.left_of(tree)
    }

    /// So far it is: what was found before is kept.
    pub(super) fn passed(&mut self, place: Place) {
        self.journal.pass(place);
    }

    /// An asset's bytes are as they must be.
    pub(super) fn is_whole(&mut self, read: u64) {
        self.journal.is_whole(read);
    }

    /// Assets that were looked at before this went on.
    pub(super) fn passed_before(&self) -> u64 {
        self.journal.passed_before()
    }

    /// Something is wrong.
    pub(super) async fn found(&mut self, finding: Finding) -> Result<()> {
        let treatment = if self.how.repair {
            self.store.treat(&finding, self.how.now_ms).await?
        } else {
            Treatment::None
        };
        self.note(finding, treatment);
        Ok(())
    }

    /// Something is there that nobody knows. Where there is much of it, it is not ours to touch.
    pub(super) async fn found_unknown(&mut self, finding: Finding, is_suspicious: bool) -> Result<()> {
        if is_suspicious && self.how.repair {
            let why = "more is unknown here than known: is this the right database?";
            self.note(finding, Treatment::Left(why.to_owned()));
            return Ok(());
        }
        self.found(finding).await
    }

    /// Something was left over: by a server that runs, it is wrong; one that does not will see to it when it starts.
    pub(super) async fn left(&mut self, finding: Finding) -> Result<()> {
        if self.server_since.is_some() {
            return self.found(finding).await;
        }
        if self.how.repair {
            let treatment = self.store.treat(&finding, self.how.now_ms).await?;
            if matches!(treatment, Treatment::Repaired(_)) {
                self.note(finding, treatment);
                return Ok(());
            }
        }
        self.report.unfinished += 1;
        Ok(())
    }

    /// Something is wrong, and this became of it.
    pub(super) fn note(&mut self, finding: Finding, treatment: Treatment) {
        (self.tell)(&finding, &treatment);
        if self.takes_long {
            return self.journal.note(finding, treatment);
        }
        match treatment {
            Treatment::Repaired(_) => self.report.repaired += 1,
            Treatment::None | Treatment::Left(_) => self.report.wrong += 1,
        }
    }

    /// What takes long is over.
    pub(super) fn is_short_again(&mut self) {
        self.takes_long = false;
    }

    pub(super) async fn end(self) -> Result<Report> {
        let Report { assets, bytes, wrong, repaired, unfinished } = self.report;
        let long = self.journal.end().await?;
        Ok(Report {
            assets: assets + long.assets,
            bytes: bytes + long.bytes,
            wrong: wrong + long.wrong,
            repaired: repaired + long.repaired,
            unfinished,
        })
    }
}
