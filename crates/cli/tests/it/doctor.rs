use std::fs;

use crate::{
    harness::{TestServer, database, doctor},
    media,
};

fn findings(server: &TestServer) -> String {
    let output = server.doctor();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn doctor_sees_what_is_wrong() {
    let server = TestServer::start();
    let asset = server.create(&media::mp4()).await;
    let id = asset["_id"].as_str().unwrap();
    let blobs = server.blobs();
    let original = blobs.list("originals").remove(0);
    server.assert_healthy();
    // A child of the media process tried, and could not.
    let said = String::from_utf8(server.doctor().stdout).unwrap();
    assert!(said.contains("the jail of media files (prefer): "), "{said}");
    assert!(said.contains("could neither open, connect nor fork"), "{said}");

    let bytes = blobs.read(&original);
    let mut changed = bytes.clone();
    changed[bytes.len() / 2] ^= 1;
    blobs.write(&original, &changed);
    assert!(findings(&server).contains(&format!("asset {id}: its bytes are not the ones uploaded")));
    blobs.write(&original, &bytes[1..]);
    assert!(findings(&server).contains(&format!(
        "{} bytes on disk, {} recorded",
        bytes.len() - 1,
        bytes.len()
    )));
    blobs.remove(&original);
    assert!(findings(&server).contains(&format!("asset {id}: its bytes are missing")));
    blobs.write(&original, &bytes);
    server.assert_healthy();

    for stray in ["originals/aa/6730aaaaaaaaaaaaaaaaaaaa", "originals/.DS_Store"] {
        blobs.write(stray, b"x");
        assert!(findings(&server).contains(&format!("{stray}: no asset knows this file")));
        blobs.remove(stray);
    }

    // Lost bytes are our fault, and are not told as if there had never been any. Of a bucket, a copy is here.
    if !blobs.are_in_bucket() {
        blobs.remove(&original);
        let lost = server.get(&format!("/v1.3/assets/{id}/content")).send().await.unwrap();
        crate::harness::expect_error(500, "internal_error", lost).await;
        blobs.write(&original, &bytes);
    }

    // Older than the server: its start should have cleared it.
    let staged = server.dir.path().join(format!("staging/{}", "a".repeat(32)));
    fs::write(&staged, "x").unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(&staged).unwrap().set_modified(long_ago).unwrap();
    assert!(findings(&server).contains("left in staging from before this server"));
    // Without a server it is only unfinished: the next start clears it.
    let dir = server.kill();
    let output = doctor(dir.path());
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 leftovers"));
    let _ = fs::remove_dir_all(dir.path());
}

#[test]
fn doctor_says_where_there_is_nothing() {
    let empty = tempfile::TempDir::new().unwrap();
    let output = doctor(empty.path());
    assert_eq!(output.status.code(), Some(1));
    // Where rows and blobs are elsewhere, it is not the folder that is missing.
    let nothing = if database::url(empty.path()).is_empty() || database::blob_url(empty.path()).is_empty() {
        "holds no Reelhouse data"
    } else {
        "older schema"
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(nothing), "{said}");
}
