//! Room that is kept for when there is none: SQLite must write to forget, and who deletes would otherwise be refused on a
//! full disk.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::{fs::FallocateFlags, io::Errno};

use crate::error::{During, Result};

const FILE: &str = "reserve";
/// Twice what SQLite's log grows to before it is written back.
const BYTES: u64 = 8 << 20;

/// A file of which only the room matters.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
}

impl Reserve {
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self { path: data_dir.join(FILE) }
    }

    /// Takes the room if so much would still be free beside it, and gives it up if there is hardly any left. `free` is what
    /// is free now, in bytes.
    ///
    /// # Errors
    /// When the file cannot be made or removed.
    pub(crate) fn settle(&self, free: u64) -> Result<()> {
        let is_kept = self.path.exists();
        if is_kept && free < BYTES / 2 {
            self.give_up().map(drop)
        } else if !is_kept && free >= 2 * BYTES {
            self.take().during("keeping room for when the disk is full")
        } else {
            Ok(())
        }
    }

    /// Gives the room up; false when there was none.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub(crate) fn give_up(&self) -> Result<bool> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            error => error.map(|()| true).during("giving up the room kept for a full disk"),
        }
    }

    fn take(&self) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
        let taken = match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, BYTES) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(&mut file),
            taken => taken.map_err(io::Error::from),
        };
        if taken.is_err() {
            let _ = fs::remove_file(&self.path);
        }
        taken
    }
}

fn write_zeros(file: &mut File) -> io::Result<()> {
    let zeros = [0; 1 << 16];
    for _ in 0..BYTES / zeros.len() as u64 {
        file.write_all(&zeros)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_where_there_is_room_and_given_up_where_there_is_none() {
        let folder = tempfile::TempDir::new().unwrap();
        let reserve = Reserve::of(folder.path());
        let size = || fs::metadata(folder.path().join(FILE)).ok().map(|file| file.len());
        reserve.settle(2 * BYTES - 1).unwrap();
        assert_eq!(size(), None);
        reserve.settle(2 * BYTES).unwrap();
        assert_eq!(size(), Some(BYTES));
        reserve.settle(BYTES / 2).unwrap();
        assert_eq!(size(), Some(BYTES));
        reserve.settle(BYTES / 2 - 1).unwrap();
        assert_eq!(size(), None);
        assert!(!reserve.give_up().unwrap());
    }
}
