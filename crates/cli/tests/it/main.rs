//! The real binary, on port 0, with real SQLite and the real media process. One test binary for all.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "in a test they are the assertion")]

mod accounts;
mod codes;
mod content;
mod crash;
mod derive;
mod doctor;
mod errors;
mod facts;
mod halves;
mod hangup;
mod harness;
mod list;
mod media;
mod process;
mod upload;
