//! All of a home into another: rows and bytes, from any kind to any kind. The old home is not changed, and stands still; the new
//! one can be used once all is there, and not before.
//!
//! Rows first, then the bytes that they know, then a look whether the rows are still the same; the transaction that ends the
//! copy makes the new home one like any other. Whatever ends the process before, the same call goes on.

mod asset;
mod begin;
mod bytes;
mod end;
mod notes;
mod progress;
mod reading;
mod refusal;
mod rows;
mod shape;
mod tables;

use std::path::PathBuf;

use tokio::sync::watch;

pub use end::Copied;
pub use progress::{CopyProgress, Stage};
pub use refusal::{CopyRefusal, Damage};

use crate::{Homes, Store};

/// A home: a data folder, and where rows and blobs are.
#[derive(Debug, Clone)]
pub struct CopyPlace {
    /// The folder.
    pub data_dir: PathBuf,
    /// Where all else is.
    pub homes: Homes,
}

/// A copy under way.
#[derive(Debug)]
pub struct Copying {
    from: Store,
    to: Store,
    /// Whether an earlier process began it.
    is_resumed: bool,
    /// Whether uploads in chunks can go on in the new home.
    uploads_go_on: bool,
    progress: watch::Sender<CopyProgress>,
}
