//! A server of one's own, and what tests ask of it.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use reqwest::{
    Client, RequestBuilder, Response,
    multipart::{Form, Part},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::blobs::Blobs;

#[path = "../../../store/tests/database/mod.rs"]
pub(crate) mod database;

pub(crate) const KEY: &str = "a-key-for-tests-only";
/// Nothing takes this long; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "tests start the real binary and real tools")]
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}

/// The `reelhouse` command with no settings from outside.
pub(crate) fn reelhouse(data_dir: &Path) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_reelhouse"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("REELHOUSE_") {
            command.env_remove(name);
        }
    }
    let database = database::url(data_dir);
    if !database.is_empty() {
        command.env("REELHOUSE_DATABASE_URL", database);
    }
    let blobs = database::blob_url(data_dir);
    if !blobs.is_empty() {
        command.env("REELHOUSE_BLOB_URL", blobs);
    }
    command.env("REELHOUSE_DATA_DIR", data_dir).env("REELHOUSE_LISTEN", "127.0.0.1:0").current_dir(data_dir);
    command
}

/// The database of a server, beside it.
pub(crate) async fn rows(data_dir: &Path) -> sqlx::AnyConnection {
    sqlx::any::install_default_drivers();
    let url = match database::url(data_dir) {
        url if url.is_empty() => format!("sqlite://{}/reelhouse.db", data_dir.display()),
        url => url,
    };
    <sqlx::AnyConnection as sqlx::Connection>::connect(&url).await.unwrap()
}

/// What a command says that must end in failure by itself.
pub(crate) fn refused(command: &mut Command) -> String {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let status = wait_for_exit(&mut child);
    assert!(!status.success(), "it was not refused");
    let mut says = String::new();
    child.stderr.take().unwrap().read_to_string(&mut says).unwrap();
    says
}

fn wait_for_exit(child: &mut Child) -> ExitStatus {
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        let patient = since.elapsed() < PATIENCE;
        if !patient {
            let _ = child.kill().and_then(|()| child.wait());
        }
        assert!(patient, "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A running server. Killed, and its folder removed, when dropped.
pub(crate) struct TestServer {
    child: Child,
    /// Kept open: a closed pipe is no state a server should have to be in.
    _stdout: BufReader<ChildStdout>,
    pub url: String,
    pub dir: Folder,
}

/// Where a server keeps its data: outlives the process.
pub(crate) enum Folder {
    Own(TempDir),
    Lent(PathBuf),
}

impl Folder {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Own(dir) => dir.path(),
            Self::Lent(path) => path,
        }
    }
}

impl TestServer {
    /// A server in a new folder, with the key [`KEY`].
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_in(Folder::Own(TempDir::new().unwrap()), settings)
    }

    pub(crate) fn start_in(dir: Folder, settings: &[(&str, &str)]) -> Self {
        Self::spawn(reelhouse(dir.path()), dir, settings)
    }

    /// By a command of one's own.
    pub(crate) fn spawn(mut reelhouse: Command, dir: Folder, settings: &[(&str, &str)]) -> Self {
        let mut child = reelhouse
            .arg("serve")
            .env("REELHOUSE_API_KEY", KEY)
            .env("REELHOUSE_LOG", "warn")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut url = String::new();
        stdout.read_line(&mut url).unwrap();
        assert!(url.starts_with("http://127.0.0.1:"), "the server did not start: {url:?}");
        Self { child, _stdout: stdout, url: url.trim().to_owned(), dir }
    }

    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// SIGTERM: when it has ended, every connection has, too. The folder as it is then.
    pub(crate) fn stop(mut self) -> Folder {
        self.signal(rustix::process::Signal::TERM);
        assert!(self.wait_for_exit().success());
        let path = self.dir.path().to_owned();
        std::mem::replace(&mut self.dir, Folder::Lent(path))
    }

    /// kill -9, and the folder as it is then.
    pub(crate) fn kill(mut self) -> Folder {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let path = self.dir.path().to_owned();
        std::mem::replace(&mut self.dir, Folder::Lent(path))
    }

    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        wait_for_exit(&mut self.child)
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        client().get(format!("{}{path}", self.url)).header("x-api-key", KEY)
    }

    pub(crate) fn post(&self, form: Form) -> RequestBuilder {
        client().post(format!("{}/v1.3/assets", self.url)).header("x-api-key", KEY).multipart(form)
    }

    pub(crate) fn delete(&self, path: &str) -> RequestBuilder {
        client().delete(format!("{}{path}", self.url)).header("x-api-key", KEY)
    }

    /// A request with a JSON body.
    pub(crate) async fn json(&self, method: &str, path: &str, body: &Value) -> Response {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = client().request(method, format!("{}{path}", self.url));
        request.header("x-api-key", KEY).json(body).send().await.unwrap()
    }

    /// Creates an asset that must be taken.
    pub(crate) async fn create(&self, path: &Path) -> Value {
        let response = self.post(direct(path)).send().await.unwrap();
        expect(201, response).await
    }

    pub(crate) async fn total(&self) -> u64 {
        let page: Value = self.get("/v1.3/assets").send().await.unwrap().json().await.unwrap();
        page["page_info"]["total_results"].as_u64().unwrap()
    }

    pub(crate) fn staging(&self) -> usize {
        files(&self.dir.path().join("staging")).len()
    }

    pub(crate) fn blobs(&self) -> Blobs {
        Blobs::of(self.dir.path())
    }

    pub(crate) fn originals(&self) -> usize {
        self.blobs().list("originals").len()
    }

    pub(crate) fn doctor(&self) -> Output {
        doctor(self.dir.path())
    }

    /// Nothing may be wrong, and nothing half-done.
    pub(crate) fn assert_healthy(&self) {
        let output = self.doctor();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(self.staging(), 0, "staging is not empty");
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn doctor(dir: &Path) -> Output {
    doctor_with(dir, &[])
}

pub(crate) fn doctor_with(dir: &Path, options: &[&str]) -> Output {
    reelhouse(dir).arg("doctor").args(options).output().unwrap()
}

pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// No proxy, no pool kept across the runtimes of tests.
#[expect(clippy::disallowed_methods, reason = "tests ask the real server")]
pub(crate) fn client() -> Client {
    // The client wants TLS even where it speaks none. Fails when another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()
}

/// The form of a direct upload.
pub(crate) fn direct(path: &Path) -> Form {
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    Form::new()
        .text("method", "direct")
        .part("file", Part::bytes(std::fs::read(path).unwrap()).file_name(name))
}

pub(crate) fn direct_bytes(bytes: impl Into<Vec<u8>>) -> Form {
    Form::new().text("method", "direct").part("file", Part::bytes(bytes.into()).file_name("a.mp4"))
}

/// The body of an answer that must have this status.
pub(crate) async fn expect(status: u16, response: Response) -> Value {
    assert!(response.headers().contains_key("x-request-id"));
    assert_eq!(response.headers()["x-api-version"], "1.3");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let found = response.status().as_u16();
    let text = response.text().await.unwrap();
    assert_eq!(found, status, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// An answer that must be this error; returns its message.
pub(crate) async fn expect_error(status: u16, code: &str, response: Response) -> String {
    let body = expect(status, response).await;
    assert_eq!(body["code"], code, "{body}");
    body["message"].as_str().unwrap().to_owned()
}

/// Waits until the condition holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let since = Instant::now();
    while !condition().await {
        assert!(since.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Reads until the other side closes or resets.
pub(crate) fn read_all(stream: &mut std::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
