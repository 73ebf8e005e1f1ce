//! Rows, table by table, in pages: what is missing in the new database is added; whether all is the same is looked at.

use sqlx::{AnyConnection, AssertSqlSafe};

use super::{
    CopyRefusal, Copying, Stage,
    notes::THROUGH,
    shape::{Row, Shape},
    tables::{TABLES, Table},
};
use crate::{dialect::Dialect, error::Result, writer::transaction};

/// Rows that are held in memory, of each side.
const PAGE: usize = 1000;

/// What the new database is to have, against the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// The same rows.
    All,
    /// The same rows as far as it has any.
    First,
}

impl Copying {
    /// Copies all rows, and sees that they are the same. Where a copy goes on, what is there stays, unless the old home has
    /// changed since: then all are copied anew.
    ///
    /// # Errors
    /// When a database fails, or the old home changes meanwhile.
    pub async fn copy_rows(&self) -> Result<()> {
        let shapes = self.shapes().await?;
        if self.is_resumed && !self.compare(&shapes, Expected::First).await? {
            self.empty_tables().await?;
        }
        let mut added = 0;
        let mut old = self.from.db.snapshot().await?;
        for shape in &shapes {
            added += self.append(shape, &mut old).await?;
        }
        drop(old);
        if added > 0 {
            // Of assets that were looked at already, too.
            self.to.db.forget_note(THROUGH).await?;
        }
        self.refuse_changes(&shapes).await
    }

    /// Refuses an old home whose rows are others than those that were copied.
    pub(super) async fn refuse_changed_rows(&self) -> Result<()> {
        self.refuse_changes(&self.shapes().await?).await
    }

    async fn refuse_changes(&self, shapes: &[Shape]) -> Result<()> {
        if self.compare(shapes, Expected::All).await? { Ok(()) } else { Err(CopyRefusal::Changed.into()) }
    }

    async fn shapes(&self) -> Result<Vec<Shape>> {
        let mut tx = self.to.db.snapshot().await?;
        let mut shapes = Vec::with_capacity(TABLES.len());
        for table in &TABLES {
            shapes.push(Shape::of(table, &mut tx).await?);
        }
        Ok(shapes)
    }

    /// Adds the rows behind the last one there is.
    async fn append(&self, shape: &Shape, old: &mut AnyConnection) -> Result<u64> {
        let mut behind = shape.last_key(&mut *self.to.db.snapshot().await?).await?;
        let mut added = 0;
        loop {
            let page = shape.page(old, &behind, PAGE).await?;
            let Some(last) = page.last() else { return Ok(added) };
            behind = shape.key(last).to_vec();
            transaction!(self.to.db, |tx| { shape.insert(tx, &page).await })?;
            added += page.len() as u64;
            self.progress.send_modify(|progress| {
                progress.stage = Stage::Rows(shape.table.name);
                progress.rows += page.len() as u64;
            });
        }
    }

    async fn compare(&self, shapes: &[Shape], expected: Expected) -> Result<bool> {
        let (mut old, mut new) = (self.from.db.snapshot().await?, self.to.db.snapshot().await?);
        for shape in shapes {
            self.progress.send_modify(|progress| progress.stage = Stage::Comparing(shape.table.name));
            let mut behind = Vec::new();
            loop {
                let (theirs, ours) =
                    (shape.page(&mut old, &behind, PAGE).await?, shape.page(&mut new, &behind, PAGE).await?);
                if !is_as_expected(&theirs, &ours, expected) {
                    return Ok(false);
                }
                match ours.last() {
                    Some(last) if ours.len() == PAGE => behind = shape.key(last).to_vec(),
                    _ => break,
                }
            }
        }
        Ok(true)
    }

    /// Takes all rows away, so that they can be copied anew.
    async fn empty_tables(&self) -> Result<()> {
        self.to.db.begin_notes_anew().await?;
        // What refers to others goes first.
        let (whole, parts): (Vec<&Table>, Vec<&Table>) =
            TABLES.iter().rev().partition(|table| table.only.is_none());
        let names: Vec<&str> = whole.iter().map(|table| table.name).collect();
        transaction!(self.to.db, |tx| {
            let mut statements = Dialect::of(tx).empty_tables(&names);
            statements.extend(parts.iter().filter_map(|Table { name, only, .. }| {
                Some(format!("DELETE FROM {name} WHERE {}", (*only)?))
            }));
            for statement in statements {
                sqlx::query(AssertSqlSafe(statement)).execute(&mut *tx).await?;
            }
            Ok(())
        })
    }
}

fn is_as_expected(theirs: &[Row], ours: &[Row], expected: Expected) -> bool {
    match expected {
        Expected::All => theirs == ours,
        Expected::First => theirs.starts_with(ours),
    }
}
