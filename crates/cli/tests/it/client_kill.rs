//! Uploads in chunks that are cut: by kill -9 of the client, of the server, by Ctrl-C.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    client_cli::{ended, reelhouse},
    harness::{TestServer, client, database, eventually},
    media,
};

const MB: u64 = 1 << 20;
/// What the client has on its way at once: four chunks of the least size.
const ON_THE_WAY: u64 = 4 * 5 * MB;

/// Between client and server: counts what goes up, stops it where it is told to, and stays when the server goes.
struct Gate {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    server: Mutex<String>,
    up: AtomicU64,
    limit: Mutex<u64>,
    raised: Condvar,
}

impl Gate {
    fn start(server: &TestServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            server: Mutex::new(server.address().to_owned()),
            up: AtomicU64::new(0),
            limit: Mutex::new(u64::MAX),
            raised: Condvar::new(),
        });
        let ours = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, shared) = (client.unwrap(), ours.clone());
                thread::spawn(move || shared.pass(client));
            }
        });
        Self { address, shared }
    }

    fn base_url(&self) -> String {
        format!("http://{}/v1.3", self.address)
    }

    fn up(&self) -> u64 {
        self.shared.up.load(Ordering::SeqCst)
    }

    fn stop_at(&self, limit: u64) {
        *self.shared.limit.lock().unwrap() = limit;
        self.shared.raised.notify_all();
    }

    fn lead_to(&self, server: &TestServer) {
        *self.shared.server.lock().unwrap() = server.address().to_owned();
    }

    async fn until_stopped(&self) {
        let limit = *self.shared.limit.lock().unwrap();
        eventually("so much has gone up", async || self.up() >= limit).await;
    }
}

impl Shared {
    fn pass(&self, mut client: TcpStream) {
        let address = self.server.lock().unwrap().clone();
        let Ok(mut server) = TcpStream::connect(address) else { return };
        let (mut down_from, mut down_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let down = thread::spawn(move || {
            let _ = std::io::copy(&mut down_from, &mut down_to);
            let _ = down_to.shutdown(Shutdown::Both);
        });
        let mut piece = [0; 16 * 1024];
        while let Ok(length @ 1..) = client.read(&mut piece) {
            let mut limit = self.limit.lock().unwrap();
            while self.up.load(Ordering::SeqCst) >= *limit {
                limit = self.raised.wait(limit).unwrap();
            }
            drop(limit);
            self.up.fetch_add(length as u64, Ordering::SeqCst);
            if server.write_all(&piece[..length]).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
        down.join().unwrap();
    }
}

/// A real video of so many MB: after its picture and sound stands a box that players pass over.
pub(crate) fn film(folder: &Path, megabytes: u64) -> PathBuf {
    let path = folder.join("film.mp4");
    let clip = std::fs::read(media::mp4()).unwrap();
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    file.write_all(&clip).unwrap();
    let free = megabytes * MB - clip.len() as u64;
    file.write_all(&u32::try_from(free).unwrap().to_be_bytes()).unwrap();
    file.write_all(b"free").unwrap();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..(free - 8) / 8 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        file.write_all(&random.to_be_bytes()).unwrap();
    }
    file.write_all(&vec![0; usize::try_from((free - 8) % 8).unwrap()]).unwrap();
    path
}

/// To a bucket, chunks go by its own URLs, and past what this would stop; `chunks::a_large_upload_survives_kill_9` is about those.
fn chunks_go_past_us() -> bool {
    !database::blob_url(Path::new("/")).is_empty()
}

async fn assert_arrived(server: &TestServer, lines: &[Value], film: &Path) {
    let asset = &lines[0]["asset"];
    assert_eq!((asset["status"].as_str(), asset["method"].as_str()), (Some("ready"), Some("multipart")));
    let path = format!("/v1.3/assets/{}/content", asset["_id"].as_str().unwrap());
    let bytes = server.get(&path).send().await.unwrap().bytes().await.unwrap();
    assert!(bytes == std::fs::read(film).unwrap(), "the bytes are not the same");
    assert_eq!(server.total().await, 1);
    server.assert_healthy();
}

/// `REELHOUSE_TEST_UPLOAD_MB` sets the size; 500 takes some seconds and some room.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_survives_kill_9_of_the_client_and_of_the_server() {
    if chunks_go_past_us() {
        return;
    }
    let megabytes: u64 = std::env::var("REELHOUSE_TEST_UPLOAD_MB")
        .ok()
        .and_then(|megabytes| megabytes.parse().ok())
        .unwrap_or(64);
    let folder = TempDir::new().unwrap();
    let film = film(folder.path(), megabytes);
    let mut server = TestServer::start();
    let gate = Gate::start(&server);
    let upload = || {
        let mut command = reelhouse(&gate.base_url(), folder.path());
        command.args(["upload", "film.mp4", "--wait", "--json"]).spawn().unwrap()
    };

    gate.stop_at(megabytes * MB * 2 / 5);
    let mut first = upload();
    gate.until_stopped().await;
    first.kill().unwrap();
    first.wait().unwrap();

    gate.stop_at(megabytes * MB * 4 / 5);
    let second = upload();
    gate.until_stopped().await;
    server = TestServer::start_in(server.kill(), &[]);
    gate.lead_to(&server);
    gate.stop_at(u64::MAX);
    let second = ended(second).await.done();

    assert_arrived(&server, &second.json(), &film).await;
    let twice = gate.up() - megabytes * MB;
    println!("{} MB, of which {:.1} MB twice", megabytes, twice as f64 / MB as f64);
    assert!(twice < 2 * ON_THE_WAY + MB, "{twice} bytes were sent twice");
    if megabytes >= 500 {
        assert!(twice < megabytes * MB / 10, "{twice} bytes were sent twice");
    }
    let remembered = folder.path().join(".local/state/reelhouse/uploads");
    assert_eq!(std::fs::read_dir(remembered).unwrap().count(), 0, "nothing is left to go on with");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_after_ctrl_c() {
    if chunks_go_past_us() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let film = film(folder.path(), 48);
    let server = TestServer::start();
    let gate = Gate::start(&server);
    let upload = || {
        let mut command = reelhouse(&gate.base_url(), folder.path());
        command.args(["upload", "film.mp4", "--wait", "--json"]).spawn().unwrap()
    };
    gate.stop_at(30 * MB);
    let first = upload();
    gate.until_stopped().await;
    kill_process(Pid::from_raw(i32::try_from(first.id()).unwrap()).unwrap(), Signal::INT).unwrap();
    let first = ended(first).await;
    assert_eq!((first.code, first.out.as_str()), (Some(130), ""), "{first:?}");
    assert!(first.err.contains("The same command goes on from here."), "{first:?}");

    gate.stop_at(u64::MAX);
    let second = ended(upload()).await.done();
    assert_arrived(&server, &second.json(), &film).await;
    assert!(gate.up() < 48 * MB + ON_THE_WAY + MB, "{} bytes went up", gate.up());
    let listed: Value = client()
        .get(format!("{}/v1.3/assets/multipart-uploads", server.url))
        .header("x-api-key", crate::harness::KEY)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(listed["data"].as_array().unwrap().len(), 0, "no session is left over: {listed}");
}
