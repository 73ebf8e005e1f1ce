//! The real binary, on port 0, with real SQLite and the real media process. One test binary for all.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "in a test they are the assertion")]

mod accounts;
mod blobs;
mod chunks;
mod chunks_model;
mod client_cli;
mod client_command;
mod client_kill;
mod client_readme;
mod client_sdk;
mod client_terminal;
mod codes;
mod content;
mod crash;
mod derive;
mod disk;
mod doctor;
mod elsewhere;
mod errors;
mod facts;
mod halves;
mod hangup;
mod harness;
mod hostile_files;
mod hostile_media;
mod hostile_requests;
mod hostile_text;
mod imports;
mod indexed_assets;
mod indexes;
mod list;
mod media;
mod metrics;
mod nodes;
mod odd_files;
mod origin;
mod postgres;
mod process;
mod receiver;
mod silence;
mod source;
mod traces;
mod upload;
mod user_metadata;
mod webhooks;
