//! Random lives of an upload in chunks, against a small model of what it must say. `REELHOUSE_TEST_LIVES` sets how many.

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

use crate::{
    chunks::{Session, expire},
    harness::{Folder, TestServer, client, expect, expect_error},
    media,
};

/// What a client, the clock or the power may do.
#[derive(Debug, Clone)]
enum Step {
    Put(u64),
    /// Bytes of another chunk of the same size.
    PutOther(u64),
    Report(u64),
    ReportWrong(u64),
    Expire,
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let chunk = 1..=3_u64;
    let step = prop_oneof![
        8 => chunk.clone().prop_map(Step::Put),
        2 => (1..=2_u64).prop_map(Step::PutOther),
        6 => chunk.clone().prop_map(Step::Report),
        1 => chunk.prop_map(Step::ReportWrong),
        1 => Just(Step::Kill),
    ];
    // Time ends once, if at all, and late.
    (prop::collection::vec(step, 4..16), prop::bool::weighted(0.2)).prop_map(|(mut steps, ends)| {
        if ends {
            let at = steps.len() * 2 / 3;
            steps.insert(at, Step::Expire);
        }
        steps
    })
}

/// What must be true.
#[derive(Debug, Default)]
struct Model {
    /// ETag of what is here, and whether it was reported.
    chunks: BTreeMap<u64, (String, bool)>,
    expired: bool,
}

impl Model {
    fn completed(&self) -> u64 {
        self.chunks.values().filter(|(_, reported)| *reported).count() as u64
    }

    fn is_open(&self) -> bool {
        !self.expired && self.completed() < 3
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_life_of_an_upload_tells_the_truth() {
    let lives: u32 =
        std::env::var("REELHOUSE_TEST_LIVES").ok().and_then(|lives| lives.parse().ok()).unwrap_or(6);
    let mut runner = TestRunner::new(Config::default());
    let root = tempfile::TempDir::new().unwrap();
    let mut server = TestServer::start_in(Folder::Lent(root.path().to_owned()), &[]);
    for _ in 0..lives {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        println!("{steps:?}");
        server = live(server, &steps).await;
    }
    server.assert_healthy();
}

async fn live(mut server: TestServer, steps: &[Step]) -> TestServer {
    let session = Session::begin(&server, &media::sound("long.wav", "120", &["-c:a", "pcm_s16le"])).await;
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Put(index) | Step::PutOther(index) => {
                let other = matches!(step, Step::PutOther(_));
                let reported = model.chunks.get(index).is_some_and(|(_, reported)| *reported);
                if reported && server.blobs().are_in_bucket() {
                    // The bucket takes any bytes, and whether it keeps the reported ones is its own affair.
                    continue;
                }
                let bytes = session.chunk(if other { 3 - index } else { *index });
                let Some(url) = url(&session, &server, *index, &model).await else { continue };
                let answer = client().put(url).body(bytes);
                let answer = answer.send().await.unwrap();
                let completed = model.chunks.get(index).filter(|(_, reported)| *reported).cloned();
                match completed {
                    Some((etag, _)) if answer.status() == 200 => {
                        assert_eq!(answer.headers()["etag"], format!("\"{etag}\""));
                    }
                    Some(_) => {
                        expect_error(400, "chunk_already_completed", answer).await;
                    }
                    None => {
                        assert_eq!(answer.status(), 200);
                        let etag = answer.headers()["etag"].to_str().unwrap().trim_matches('"').to_owned();
                        model.chunks.insert(*index, (etag, false));
                    }
                }
            }
            Step::Report(index) => {
                let known = model.chunks.get(index).cloned();
                let etag = known.clone().map_or_else(|| "none".to_owned(), |(etag, _)| etag);
                let open = model.is_open();
                let answer = session.report(&server, &[(*index, etag.clone())]).await;
                match known {
                    Some((_, true)) => {
                        assert_eq!(expect(200, answer).await["duplicate_chunks"], 1);
                    }
                    Some((_, false)) if open => {
                        assert_eq!(expect(200, answer).await["processed_chunks"], 1);
                        model.chunks.insert(*index, (etag, true));
                    }
                    None if open => {
                        expect_error(400, "parameter_invalid", answer).await;
                    }
                    _ => {
                        expect_error(400, "upload_not_active", answer).await;
                    }
                }
            }
            Step::ReportWrong(index) => {
                let answer = session.report(&server, &[(*index, "wrong".to_owned())]).await;
                assert_eq!(answer.status(), 400);
            }
            Step::Expire if model.completed() < 3 => {
                expire(&server, &session.id).await;
                model.expired = true;
            }
            Step::Expire => {}
            Step::Kill => {
                let dir = server.kill();
                server = TestServer::start_in(dir, &[]);
            }
        }
        agrees(&session, &server, &model).await;
    }
    let asset = match (model.expired, model.completed()) {
        (true, _) => session.asset_when_decided(&server).await,
        (false, 3) => session.asset_when_decided(&server).await,
        _ => return server,
    };
    let right = !model.expired && whole(&session, &server).await;
    let status = if model.expired { "failed" } else { asset["status"].as_str().unwrap() };
    assert_eq!(asset["status"], status, "{asset}");
    // Chunks of other bytes make another file; what is ready is what was reported, byte for byte.
    if asset["status"] == "ready" {
        assert!(right, "{asset}");
    }
    server
}

/// A URL for the chunk; `None` where the upload takes none, which it must say.
async fn url(session: &Session, server: &TestServer, index: u64, model: &Model) -> Option<String> {
    if model.is_open() {
        return Some(session.url(server, index).await);
    }
    let path = format!("/v1.3/assets/multipart-uploads/{}/presigned-urls", session.id);
    let answer = server.json("POST", &path, &serde_json::json!({ "start": index, "count": 1 })).await;
    expect_error(400, "upload_not_active", answer).await;
    None
}

async fn agrees(session: &Session, server: &TestServer, model: &Model) {
    let (status, chunks) = session.status(server).await;
    assert_eq!(status["chunks_completed"], model.completed(), "{status} {model:?}");
    assert_eq!(chunks.len(), 3);
    for chunk in &chunks {
        let index = chunk["index"].as_u64().unwrap();
        let completed = model.chunks.get(&index).is_some_and(|(_, reported)| *reported);
        assert_eq!(chunk["status"] == "completed", completed, "{chunk} {model:?}");
    }
    let expected: &[&str] = match (model.expired, model.completed()) {
        (true, _) => &["expired"],
        // Its asset may be decided already.
        (false, 3) => &["completed", "failed"],
        _ => &["active"],
    };
    assert!(expected.contains(&status["status"].as_str().unwrap()), "{status} {model:?}");
}

/// Whether what can be downloaded is what the chunks were, whichever bytes were sent last.
async fn whole(session: &Session, server: &TestServer) -> bool {
    let path = format!("/v1.3/assets/{}/content", session.asset);
    let answer = server.get(&path).send().await.unwrap();
    if answer.status() != 200 {
        return false;
    }
    let bytes = answer.bytes().await.unwrap();
    let size = session.chunk_size as usize;
    bytes.len() == session.bytes.len()
        && bytes.chunks(size).all(|chunk| (1..=3).any(|index| session.chunk(index) == chunk))
}
