//! The database of a test: SQLite in its folder, or one of its own in the Postgres of the whole run, whose URL is in
//! `REELHOUSE_TEST_DATABASE` (`scripts/with-postgres.sh` starts one).

use std::path::Path;

/// The URL of the database that belongs to a folder, made when it is not there; empty for SQLite.
pub(crate) fn url(folder: &Path) -> String {
    let Ok(server) = std::env::var("REELHOUSE_TEST_DATABASE") else { return String::new() };
    let name = name(folder);
    #[expect(clippy::disallowed_methods, reason = "Postgres' own client")]
    let made = std::process::Command::new("psql")
        .args(["--quiet", "--no-psqlrc", "--command", &format!("CREATE DATABASE \"{name}\""), &server])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success() || said.contains("already exists"), "{said}");
    server.replacen("/postgres?", &format!("/{name}?"), 1)
}

/// Where a server over this folder keeps its blobs: nowhere else, or below a prefix of a bucket that is there.
pub(crate) fn blob_url(folder: &Path) -> String {
    std::env::var("REELHOUSE_TEST_BLOBS").map_or(String::new(), |bucket| format!("{bucket}/{}", name(folder)))
}

fn name(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    // The names of temporary folders, whose letters have two cases.
    folder.to_string_lossy().bytes().fold(String::from("t"), |name, byte| {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() {
            name + &char::from(byte).to_string()
        } else {
            format!("{name}_{byte:02x}")
        }
    })
}
