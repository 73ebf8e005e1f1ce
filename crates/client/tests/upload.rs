//! Uploads in chunks against a server that loses, refuses and forgets.

#![expect(clippy::unwrap_used, reason = "in a test they are the assertion")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use reelhouse_client::{AssetDetail, Client, Error, MediaKind, Progress};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

const CHUNK: usize = 10;
const CHUNKS: u64 = 7;
/// Six whole chunks and a short one.
const SIZE: usize = 64;

/// A server of one upload.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    url: String,
    sessions: u32,
    /// Bytes of each chunk.
    chunks: BTreeMap<u64, Vec<u8>>,
    reported: BTreeSet<u64>,
    /// How often each chunk was sent.
    puts: BTreeMap<u64, u32>,
    /// What the next PUTs of a chunk answer instead.
    faults: BTreeMap<u64, Vec<u16>>,
    /// Of the next status calls.
    status: Option<&'static str>,
    forgotten: bool,
    refuses_reports: bool,
}

impl Respond for Server {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut state = self.0.lock().unwrap();
        let path: Vec<&str> = request.url.path().split('/').skip(1).collect();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let (status, answer) = match (request.method.as_str(), path.as_slice()) {
            ("PUT", ["put", index, _]) => {
                assert!(!request.headers.contains_key("x-api-key"), "chunks go without a key");
                let index: u64 = index.parse().unwrap();
                *state.puts.entry(index).or_default() += 1;
                let faults = state.faults.entry(index).or_default();
                if !faults.is_empty() {
                    return ResponseTemplate::new(faults.remove(0));
                }
                assert_eq!(request.headers["content-length"], request.body.len().to_string().as_str());
                state.chunks.insert(index, request.body.clone());
                return ResponseTemplate::new(200).insert_header("etag", format!("\"e{index}\"").as_str());
            }
            ("POST", ["v1.3", "assets", "multipart-uploads"]) => {
                assert_eq!(body["total_size"], SIZE);
                state.sessions += 1;
                // Fewer URLs than chunks.
                let urls = urls(&state.url, 1, 2);
                let sizes =
                    json!({"upload_id": "u", "asset_id": "a", "chunk_size": CHUNK, "total_chunks": CHUNKS});
                (201, merged(sizes, json!({"upload_urls": urls})))
            }
            ("POST", ["v1.3", "assets", "multipart-uploads", "u", "presigned-urls"]) => {
                let (start, count) = (body["start"].as_u64().unwrap(), body["count"].as_u64().unwrap());
                assert!(start >= 1 && count >= 1 && start + count - 1 <= CHUNKS);
                let urls = urls(&state.url, start, count);
                (200, json!({"upload_id": "u", "start_index": start, "count": count, "upload_urls": urls}))
            }
            ("POST", ["v1.3", "assets", "multipart-uploads", "u"]) if state.refuses_reports => {
                (400, json!({"code": "parameter_invalid", "message": "The proof is invalid."}))
            }
            ("POST", ["v1.3", "assets", "multipart-uploads", "u"]) => {
                for chunk in body["completed_chunks"].as_array().unwrap() {
                    let index = chunk["chunk_index"].as_u64().unwrap();
                    assert_eq!(chunk["proof"], format!("e{index}"));
                    assert_eq!(chunk["chunk_size"], state.chunks[&index].len());
                    // The last words of a client that was cut come too late.
                    if state.puts.contains_key(&index) {
                        state.reported.insert(index);
                    }
                }
                let total = state.reported.len();
                (
                    200,
                    json!({"asset_id": "a", "processed_chunks": 1, "duplicate_chunks": 0, "total_completed": total}),
                )
            }
            ("GET", ["v1.3", "assets", "multipart-uploads", "u"]) if state.forgotten => (404, json!({})),
            ("GET", ["v1.3", "assets", "multipart-uploads", "u"]) => (200, standing(&state, request)),
            ("GET", ["v1.3", "assets", "a"]) => {
                let ready = state.reported.len() as u64 == CHUNKS;
                let status = if ready { "ready" } else { "processing" };
                let asset = json!({"_id": "a", "method": "multipart", "status": status, "filename": "f"});
                (200, merged(asset, json!({"created_at": "2026-05-01T10:30:00Z"})))
            }
            other => unreachable!("{other:?}"),
        };
        ResponseTemplate::new(status).set_body_json(answer)
    }
}

fn merged(mut one: Value, other: Value) -> Value {
    one.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    one
}

fn urls(url: &str, start: u64, count: u64) -> Vec<Value> {
    let one = |index| json!({"chunk_index": index, "url": format!("{url}/put/{index}/x?signature=y")});
    (start..start + count).map(one).collect()
}

/// Three chunks on a page, whatever is asked for.
fn standing(state: &State, request: &Request) -> Value {
    let page = request.url.query_pairs().find(|(name, _)| name == "page").unwrap().1.parse::<u64>().unwrap();
    let of = |index| if state.reported.contains(&index) { "completed" } else { "pending" };
    let chunks: Vec<Value> = (1..=CHUNKS)
        .skip((page as usize - 1) * 3)
        .take(3)
        .map(|index| json!({"index": index, "status": of(index), "uploaded_at": null}))
        .collect();
    let page_info = json!({"limit_per_page": 3, "page": page, "total_page": 3, "total_results": CHUNKS});
    let counts = json!({"chunks_completed": state.reported.len(), "chunks_failed": 0, "chunks_pending": 0});
    let sizes =
        json!({"total_size": SIZE, "uploaded_size": 0, "page_info": page_info, "uploaded_chunks": chunks});
    let status = state.status.unwrap_or("active");
    merged(merged(json!({"upload_id": "u", "status": status}), counts), sizes)
}

/// A file, a folder for the state, and a server.
struct Scene {
    server: Server,
    _mock: MockServer,
    client: Client,
    folder: tempfile::TempDir,
    bytes: Vec<u8>,
}

impl Scene {
    async fn new() -> Self {
        let (server, mock, folder) =
            (Server::default(), MockServer::start().await, tempfile::tempdir().unwrap());
        server.0.lock().unwrap().url = mock.uri();
        Mock::given(any()).respond_with(server.clone()).mount(&mock).await;
        let client = Client::builder().api_key("k").base_url(format!("{}/v1.3", mock.uri())).build().unwrap();
        let bytes: Vec<u8> = (0..SIZE as u8).collect();
        std::fs::write(folder.path().join("film.mp4"), &bytes).unwrap();
        Self { server, _mock: mock, client, folder, bytes }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("film.mp4")
    }

    fn states(&self) -> PathBuf {
        self.folder.path().join("uploads")
    }

    async fn upload(&self) -> Result<AssetDetail, Error> {
        self.client.assets().upload(self.path()).state_dir(self.states()).retries(2).await
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.server.0.lock().unwrap());
    }

    fn puts(&self) -> Vec<u32> {
        self.server.0.lock().unwrap().puts.values().copied().collect()
    }

    fn sessions(&self) -> u32 {
        self.server.0.lock().unwrap().sessions
    }

    /// The server has the file, and nobody remembers the upload.
    fn assert_done(&self) {
        let state = self.server.0.lock().unwrap();
        assert_eq!(state.chunks.values().flatten().copied().collect::<Vec<u8>>(), self.bytes);
        assert_eq!(state.reported.len() as u64, CHUNKS);
        assert_eq!(files(&self.states()), 0, "the state is gone");
    }

    /// An upload that ends in the middle, as a kill would end it: chunks 1 to 4 are reported, 5 arrived.
    async fn cut(&self) {
        self.change(|state| state.faults = BTreeMap::from([(6, vec![400]), (7, vec![400])]));
        self.client.assets().upload(self.path()).state_dir(self.states()).parallel(1).await.unwrap_err();
        self.change(|state| {
            state.reported = (1..=4).collect();
            state.faults.clear();
            state.puts.clear();
        });
        assert_eq!(files(&self.states()), 1, "the state stays");
    }
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

#[tokio::test]
async fn a_file_is_sent_in_chunks_each_once() {
    let scene = Scene::new().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let progress = seen.clone();
    let upload = scene.client.assets().upload(scene.path()).state_dir(scene.states()).kind(MediaKind::Video);
    let asset = upload.progress(move |progress| seen.lock().unwrap().push(progress)).await.unwrap();
    assert_eq!(asset.id, "a");
    scene.assert_done();
    assert_eq!(scene.puts(), [1; CHUNKS as usize]);
    let last = progress.lock().unwrap().last().copied();
    assert_eq!(last, Some(Progress { done: SIZE as u64, total: Some(SIZE as u64) }));
}

#[tokio::test]
async fn a_chunk_is_sent_again_by_itself() {
    let scene = Scene::new().await;
    scene.change(|state| state.faults = BTreeMap::from([(3, vec![503, 500]), (5, vec![408])]));
    let seen = Arc::new(Mutex::new(0));
    let most = seen.clone();
    let upload = scene.client.assets().upload(scene.path()).state_dir(scene.states());
    upload.progress(move |progress| *seen.lock().unwrap() = progress.done).await.unwrap();
    scene.assert_done();
    assert_eq!(scene.puts(), [1, 1, 3, 1, 2, 1, 1]);
    assert_eq!(*most.lock().unwrap(), SIZE as u64, "what was sent in vain does not count");
}

#[tokio::test]
async fn a_url_that_ended_is_replaced() {
    let scene = Scene::new().await;
    scene.change(|state| state.faults = BTreeMap::from([(2, vec![403])]));
    scene.upload().await.unwrap();
    scene.assert_done();
    assert_eq!(scene.puts(), [1, 2, 1, 1, 1, 1, 1]);
}

#[tokio::test]
async fn what_was_cut_goes_on_where_the_server_says() {
    let scene = Scene::new().await;
    scene.cut().await;
    scene.upload().await.unwrap();
    scene.assert_done();
    assert_eq!((scene.sessions(), scene.puts()), (1, vec![1; 3]));
}

#[tokio::test]
async fn another_file_or_another_wish_begins_anew() {
    let scene = Scene::new().await;
    scene.cut().await;
    scene.client.assets().upload(scene.path()).state_dir(scene.states()).enable_hls(true).await.unwrap();
    assert_eq!((scene.sessions(), scene.puts()), (2, vec![1; CHUNKS as usize]));

    let mut scene = Scene::new().await;
    scene.cut().await;
    scene.bytes.reverse();
    std::fs::write(scene.path(), &scene.bytes).unwrap();
    scene.upload().await.unwrap();
    scene.assert_done();
    assert_eq!(scene.sessions(), 2);
}

#[tokio::test]
async fn an_upload_the_server_gave_up_begins_anew() {
    for status in ["expired", "failed", "new-word"] {
        let scene = Scene::new().await;
        scene.cut().await;
        scene.change(|state| state.status = Some(status));
        scene.upload().await.unwrap();
        scene.assert_done();
        assert_eq!(scene.sessions(), 2, "{status}");
    }
    let scene = Scene::new().await;
    scene.cut().await;
    scene.change(|state| state.forgotten = true);
    scene.upload().await.unwrap();
    assert_eq!(scene.sessions(), 2);
}

#[tokio::test]
async fn an_upload_that_was_complete_is_not_sent_again() {
    for forgotten in [true, false] {
        let scene = Scene::new().await;
        scene.cut().await;
        scene.change(|state| {
            state.reported = (1..=CHUNKS).collect();
            (state.status, state.forgotten) = (Some("completed"), forgotten);
        });
        assert_eq!(scene.upload().await.unwrap().id, "a");
        assert_eq!((scene.sessions(), scene.puts()), (1, vec![]));
        assert_eq!(files(&scene.states()), 0);
    }
}

#[tokio::test]
async fn a_refused_report_is_an_error_and_the_upload_can_go_on() {
    let scene = Scene::new().await;
    scene.change(|state| state.refuses_reports = true);
    let error = scene.upload().await.unwrap_err();
    assert_eq!(error.to_string(), "The proof is invalid.");
    scene.change(|state| state.refuses_reports = false);
    scene.upload().await.unwrap();
    scene.assert_done();
    assert_eq!(scene.sessions(), 1);
}

/// The other chunks were reported by a process that was killed, too late for our question.
#[tokio::test]
async fn a_chunk_that_nobody_lacks_any_more_is_no_error() {
    let scene = Scene::new().await;
    scene.change(|state| {
        state.faults = BTreeMap::from([(7, vec![400])]);
        state.status = Some("completed");
        state.reported = (1..=CHUNKS).collect();
    });
    assert_eq!(scene.upload().await.unwrap().id, "a");
    assert_eq!(files(&scene.states()), 0);
}

#[tokio::test]
async fn nothing_is_sent_of_what_is_no_file() {
    let scene = Scene::new().await;
    std::fs::write(scene.path(), b"").unwrap();
    assert!(matches!(scene.upload().await, Err(Error::Setup(_))));
    let folder = scene.client.assets().upload(scene.folder.path()).await;
    assert!(matches!(folder, Err(Error::Setup(_))));
    assert_eq!(scene.sessions(), 0);
}
