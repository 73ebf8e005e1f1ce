use std::fs;

use crate::{
    harness::{TestServer, doctor, files},
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
    let original = files(&server.dir.path().join("originals")).remove(0);
    server.assert_healthy();
    // A child of the media process tried, and could not.
    let said = String::from_utf8(server.doctor().stdout).unwrap();
    assert!(said.contains("the jail of media files (prefer): "), "{said}");
    assert!(said.contains("could neither open, connect nor fork"), "{said}");

    let bytes = fs::read(&original).unwrap();
    let mut changed = bytes.clone();
    changed[bytes.len() / 2] ^= 1;
    fs::write(&original, &changed).unwrap();
    assert!(findings(&server).contains(&format!("asset {id}: its bytes are not the ones uploaded")));
    fs::write(&original, &bytes[1..]).unwrap();
    assert!(findings(&server).contains(&format!(
        "{} bytes on disk, {} recorded",
        bytes.len() - 1,
        bytes.len()
    )));
    fs::remove_file(&original).unwrap();
    assert!(findings(&server).contains(&format!("asset {id}: its bytes are missing")));
    fs::write(&original, &bytes).unwrap();
    server.assert_healthy();

    let stray = original.with_file_name("6730aaaaaaaaaaaaaaaaaaaa");
    fs::write(&stray, "x").unwrap();
    assert!(findings(&server).contains("no asset knows this file"));
    fs::remove_file(&stray).unwrap();

    let stray = server.dir.path().join("originals/.DS_Store");
    fs::write(&stray, "x").unwrap();
    assert!(findings(&server).contains("originals/.DS_Store: no asset knows this file"));
    fs::remove_file(&stray).unwrap();

    // Lost bytes are our fault, and are not told as if there had never been any.
    fs::remove_file(&original).unwrap();
    let lost = server.get(&format!("/v1.3/assets/{id}/content")).send().await.unwrap();
    crate::harness::expect_error(500, "internal_error", lost).await;
    fs::write(&original, &bytes).unwrap();

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
    assert!(String::from_utf8_lossy(&output.stderr).contains("holds no Reelhouse data"));
}
