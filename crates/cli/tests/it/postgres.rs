//! What Postgres does that SQLite cannot: go away and come back, and serve more than one.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    harness::{Folder, TestServer, command, direct, eventually, expect, expect_error, reelhouse},
    media,
};

/// A Postgres of one's own, gone when dropped.
pub(crate) struct Cluster {
    child: Child,
    pub url: String,
    pub pg_ctl: String,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/with-postgres.sh");
        // It ends with our end of the pipe.
        let says = "echo $REELHOUSE_TEST_DATABASE; echo $REELHOUSE_TEST_PG_CTL; cat >/dev/null";
        let mut child = command(script)
            .args(["sh", "-c", says])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (url, pg_ctl) = (lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap());
        Self { child, url, pg_ctl }
    }

    fn stop(&self) {
        assert!(command(&self.pg_ctl).args(["--mode=fast", "stop"]).status().unwrap().success());
    }

    fn start_again(&self) {
        let mut start = command(&self.pg_ctl);
        assert!(start.arg("start").stdout(Stdio::null()).status().unwrap().success());
    }

    /// A server on it, with a folder of its own.
    pub(crate) fn serve(&self) -> TestServer {
        self.serve_with(&[])
    }

    pub(crate) fn serve_with(&self, settings: &[(&str, &str)]) -> TestServer {
        TestServer::start_with(&[&[("REELHOUSE_DATABASE_URL", self.url.as_str())], settings].concat())
    }

    /// Where its socket is, and its data.
    pub(crate) fn folder(&self) -> PathBuf {
        self.url.split_once("?host=").unwrap().1.into()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Contract, section 10: a create waits for a database that is away, then fails as its file. All else says at once that it
/// cannot be done, and all comes back by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_is_waited_for() {
    let cluster = Cluster::start();
    let server = cluster.serve();
    server.create(&media::png()).await;

    cluster.stop();
    let ready = server.get("/readyz").send().await.unwrap();
    expect_error(503, "service_unavailable", ready).await;
    expect_error(503, "service_unavailable", server.get("/v1.3/assets").send().await.unwrap()).await;
    let waiting = tokio::spawn(server.post(direct(&media::png())).send());
    // Not for luck: it may come too late to wait, and is taken all the same.
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.start_again();
    expect(201, waiting.await.unwrap().unwrap()).await;
    assert_eq!(server.total().await, 2);
    let is_ready = async || server.get("/readyz").send().await.unwrap().status().is_success();
    // What was found of a silent database is believed for a second.
    eventually("it is ready again", is_ready).await;

    cluster.stop();
    let refused = server.post(direct(&media::png())).send().await.unwrap();
    let says = expect_error(400, "parameter_invalid", refused).await;
    assert!(says.contains("Unable to process the uploaded file"), "{says}");
    cluster.start_again();
    eventually("it comes back by itself", is_ready).await;
    server.create(&media::png()).await;
    assert_eq!(server.total().await, 3);
    let doctor =
        reelhouse(server.dir.path()).env("REELHOUSE_DATABASE_URL", &cluster.url).arg("doctor").output();
    let doctor = doctor.unwrap();
    assert!(doctor.status.success(), "{}", String::from_utf8_lossy(&doctor.stdout));
}

/// Postgres restarts under load: what was answered 201 is there, whole, and nothing else is.
#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_upload_is_lost_by_a_restart_of_the_database() {
    let cluster = Cluster::start();
    let server = cluster.serve();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (url, done) = (server.url.clone(), done.clone());
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let request = crate::harness::client().post(format!("{url}/v1.3/assets"));
                    let request = request.header("x-api-key", crate::harness::KEY);
                    let answer = request.multipart(direct(&media::png())).send().await.unwrap();
                    let status = answer.status().as_u16();
                    assert!(status == 201 || status == 400, "{status}");
                    let body: Value = answer.json().await.unwrap();
                    if status == 201 {
                        acknowledged.push(body["_id"].as_str().unwrap().to_owned());
                    }
                }
                acknowledged
            })
        })
        .collect();
    for mode in ["fast", "immediate", "immediate"] {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let mode = format!("--mode={mode}");
        let mut restart = command(&cluster.pg_ctl);
        assert!(restart.args([&mode, "restart"]).stdout(Stdio::null()).status().unwrap().success());
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut acknowledged = 0;
    for worker in load {
        for id in worker.await.unwrap() {
            let asset = server.get(&format!("/v1.3/assets/{id}")).send().await.unwrap();
            assert_eq!(expect(200, asset).await["status"], "ready");
            acknowledged += 1;
        }
    }
    assert!(acknowledged > 0);
    assert_eq!(server.total().await, server.originals() as u64);
    let doctor =
        reelhouse(server.dir.path()).env("REELHOUSE_DATABASE_URL", &cluster.url).arg("doctor").output();
    let doctor = doctor.unwrap();
    assert!(doctor.status.success(), "{}", String::from_utf8_lossy(&doctor.stdout));
}

/// Two servers, each over a folder of its own, on one database: their creates change the same account.
#[tokio::test(flavor = "multi_thread")]
async fn two_servers_count_as_one() {
    let cluster = Cluster::start();
    let folder = TempDir::new().unwrap();
    let migrated =
        reelhouse(folder.path()).env("REELHOUSE_DATABASE_URL", &cluster.url).arg("migrate").output();
    assert!(migrated.unwrap().status.success());
    let servers = [cluster.serve(), cluster.serve()];
    let load = (0..40).map(|n| servers[n % 2].post(direct(&media::png())).send());
    for answer in futures_util::future::join_all(load).await {
        expect(201, answer.unwrap()).await;
    }
    for server in &servers {
        assert_eq!(server.total().await, 40);
        assert_eq!(server.originals(), 20);
    }
    // A start takes back what its own folder's server left, and nothing of the other's.
    let [one, other] = servers;
    let dir = one.kill();
    let again = TestServer::start_in(
        Folder::Lent(dir.path().to_owned()),
        &[("REELHOUSE_DATABASE_URL", &cluster.url)],
    );
    assert_eq!(again.total().await, 40);
    other.create(&media::png()).await;
    assert_eq!(again.total().await, 41);
    drop(dir);
}
