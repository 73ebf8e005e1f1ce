use std::{fs, process::Stdio, sync::Arc, time::Duration};

use crate::{
    harness::{TestServer, client, database, direct, doctor, doctor_with, eventually, expect, reelhouse},
    media,
};

/// What doctor says that must end with this exit code.
fn said(server: &TestServer, code: i32, options: &[&str]) -> String {
    let output = doctor_with(server.dir.path(), options);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn findings(server: &TestServer) -> String {
    said(server, 1, &[])
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
    assert!(
        said.contains("ffmpeg runs, version ") && said.contains("this program's schema, version "),
        "{said}"
    );

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

#[tokio::test]
async fn sizes_alone_are_compared_quickly() {
    let server = TestServer::start();
    server.create(&media::mp4()).await;
    let blobs = server.blobs();
    let original = blobs.list("originals").remove(0);
    let mut bytes = blobs.read(&original);
    *bytes.last_mut().unwrap() ^= 1;
    blobs.write(&original, &bytes);
    assert!(
        said(&server, 0, &["--quick"]).contains("1 assets have bytes of the right number; none were read")
    );
    assert!(said(&server, 1, &[]).contains("hash differs"));
    blobs.write(&original, &bytes[1..]);
    assert!(said(&server, 1, &["--quick"]).contains("bytes on disk"));
    blobs.remove(&original);
    assert!(said(&server, 1, &["--quick"]).contains("its bytes are missing"));
}

/// What is young may be somebody's. That what is old is moved in a bucket, too, tests of the store see, whose clock is
/// theirs.
#[tokio::test]
async fn doctor_repairs_what_it_may_and_says_so() {
    let server = TestServer::start();
    let form = direct(&media::mp4()).text("enable_hls", "true");
    let asset = expect(201, server.post(form).send().await.unwrap()).await;
    let id = asset["_id"].as_str().unwrap();
    let is_made = async || {
        let asset = expect(200, server.get(&format!("/v1.3/assets/{id}")).send().await.unwrap()).await;
        asset["hls"]["status"] == "ready"
    };
    eventually("HLS is made", is_made).await;

    // The server makes it anew.
    let blobs = server.blobs();
    let derived = blobs.list("derived").remove(0);
    blobs.write(&derived, b"other");
    let says = said(&server, 0, &["--repair"]);
    assert!(says.contains("are not the ones that were made: repaired: its job is pushed again"), "{says}");
    assert!(says.contains("1 things were repaired") && says.contains("all is well"), "{says}");
    eventually("HLS is made anew", is_made).await;
    assert_ne!(blobs.list("derived"), [derived]);
    server.assert_healthy();

    let stray = "originals/aa/6730aaaaaaaaaaaaaaaaaaaa";
    blobs.write(stray, b"precious");
    let says = said(&server, 1, &["--repair"]);
    assert!(
        says.contains(&format!("{stray}: no asset knows this file: not repaired: it is younger")),
        "{says}"
    );
    assert_eq!(blobs.read(stray), b"precious");
    if blobs.are_in_bucket() {
        return;
    }
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = fs::File::options().write(true).open(server.dir.path().join(stray)).unwrap();
    file.set_modified(long_ago).unwrap();
    let says = said(&server, 0, &["--repair"]);
    assert!(says.contains(&format!("lost+found/{stray}")), "{says}");
    assert_eq!(blobs.read(&format!("lost+found/{stray}")), b"precious");
    server.assert_healthy();

    // What is lost stays lost.
    blobs.remove(&blobs.list("originals").remove(0));
    let says = said(&server, 1, &["--repair"]);
    assert!(says.contains(&format!("asset {id}: its bytes are missing: not repaired: ")), "{says}");
    assert!(says.contains("1 things are wrong"), "{says}");
}

/// A file that takes long to read holds it up. Of a bucket, an object would have to be as large as that.
#[tokio::test]
async fn doctor_goes_on_after_a_kill() {
    let server = TestServer::start();
    if server.blobs().are_in_bucket() {
        return;
    }
    let first = server.create(&media::mp4()).await;
    let long = server.create(&media::png()).await;
    let id = |asset: &serde_json::Value| asset["_id"].as_str().unwrap().to_owned();
    let original = |id: &str| server.dir.path().join(format!("originals/{}/{id}", &id[22..]));
    let state = server.dir.path().join("doctor.json");
    let bytes = fs::read(original(&id(&long))).unwrap();
    fs::File::options().write(true).open(original(&id(&long))).unwrap().set_len(1 << 43).unwrap();
    let mut reading = reelhouse(server.dir.path())
        .args(["doctor", "--progress"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let passed = async || fs::read_to_string(&state).is_ok_and(|state| state.contains(&id(&first)));
    eventually("it is written down how far it is", passed).await;
    reading.kill().unwrap();
    let told = String::from_utf8(reading.wait_with_output().unwrap().stderr).unwrap();
    assert!(told.contains("doctor: "), "{told}");

    let other = doctor_with(server.dir.path(), &["--resume", "--quick"]);
    assert!(String::from_utf8_lossy(&other.stderr).contains("other options"), "{other:?}");
    fs::write(original(&id(&long)), bytes).unwrap();
    // What was read is not read again.
    fs::remove_file(original(&id(&first))).unwrap();
    assert!(said(&server, 0, &["--resume"]).contains("2 assets whole"));
    assert!(!state.exists());
    assert!(said(&server, 1, &[]).contains("its bytes are missing"));
    let none = doctor_with(server.dir.path(), &["--resume"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("there is none"), "{none:?}");
}

#[tokio::test]
async fn doctor_looks_for_ffmpeg_and_goes_on_without() {
    let server = TestServer::start();
    server.create(&media::png()).await;
    let output =
        reelhouse(server.dir.path()).args(["doctor", "--ffmpeg", "/no/such/ffmpeg"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("/no/such/ffmpeg cannot be run") && said.contains("1 assets whole"), "{said}");
}

/// What is under way is not wrong.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_is_content_beside_a_busy_server() {
    let server = Arc::new(TestServer::start());
    let load: Vec<_> = [media::mp4(), media::mp3(), media::png()]
        .into_iter()
        .map(|file| {
            let url = server.url.clone();
            tokio::spawn(async move {
                loop {
                    let form = direct(&file).text("enable_hls", "true");
                    let post =
                        client().post(format!("{url}/v1.3/assets")).header("x-api-key", crate::harness::KEY);
                    let asset: serde_json::Value =
                        post.multipart(form).send().await.unwrap().json().await.unwrap();
                    let asset = format!("{url}/v1.3/assets/{}", asset["_id"].as_str().unwrap());
                    client().delete(asset).header("x-api-key", crate::harness::KEY).send().await.unwrap();
                }
            })
        })
        .collect();
    for options in [&[][..], &["--quick"], &["--repair"], &[], &["--quick", "--repair"]] {
        let says = said(&server, 0, options);
        assert!(!says.contains("repaired"), "{says}");
    }
    for worker in load {
        worker.abort();
    }
}
