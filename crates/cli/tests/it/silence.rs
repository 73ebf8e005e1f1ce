//! A database that neither answers nor ends its connections: stopped, or swallowed by the network. And one behind TLS.

use std::{
    io::Write,
    net::SocketAddr,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::PathBuf,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::{RequestBuilder, Response, multipart::Form};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::Connection;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::{mpsc, watch},
};

use crate::{
    harness::{TestServer, command, direct, eventually, expect, expect_error, reelhouse, refused},
    media,
    postgres::Cluster,
};

/// Nothing that is asked waits for as long as this, however slow the machine is.
async fn answered(request: RequestBuilder) -> Response {
    tokio::time::timeout(Duration::from_secs(40), request.send()).await.expect("an answer").unwrap()
}

async fn is_ready(server: &TestServer) -> bool {
    answered(server.get("/readyz")).await.status() == 200
}

/// All that reads says so; what would change something waits, then says so.
async fn assert_says_so(server: &TestServer, id: &str) {
    let says = expect_error(503, "service_unavailable", answered(server.get("/readyz")).await).await;
    assert!(says.contains("database"), "{says}");
    let path = format!("/v1.3/assets/{id}");
    for request in [server.get("/v1.3/assets"), server.get(&path), server.delete(&path)] {
        expect_error(503, "service_unavailable", answered(request).await).await;
    }
    let refused = answered(server.post(direct(&media::png()))).await;
    let says = expect_error(400, "parameter_invalid", refused).await;
    assert!(says.contains("Unable to process the uploaded file"), "{says}");
}

/// Every process of the server.
fn signal_all(cluster: &Cluster, signal: Signal) {
    let pid_file = std::fs::read_to_string(cluster.folder().join("data/postmaster.pid")).unwrap();
    let postmaster: i32 = pid_file.lines().next().unwrap().parse().unwrap();
    let send = |pid| kill_process(Pid::from_raw(pid).unwrap(), signal);
    // It first: it makes no more.
    send(postmaster).unwrap();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let Ok(pid) = name.parse::<i32>() else { continue };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name, which may have anything in it: state and parent.
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        if parent.and_then(|parent| parent.parse().ok()) == Some(postmaster) {
            // One may just have ended.
            let _ = send(pid);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_stopped_is_told_and_comes_back() {
    let cluster = Cluster::start();
    let server = cluster.serve();
    let asset = server.create(&media::png()).await;
    let id = asset["_id"].as_str().unwrap();

    signal_all(&cluster, Signal::STOP);
    assert_says_so(&server, id).await;
    // It waits, and goes on where it was.
    let waiting = tokio::spawn(server.post(direct(&media::png())).send());
    tokio::time::sleep(Duration::from_millis(500)).await;
    signal_all(&cluster, Signal::CONT);
    expect(201, waiting.await.unwrap().unwrap()).await;

    eventually("it is ready again", || is_ready(&server)).await;
    server.create(&media::png()).await;
    assert_eq!(server.total().await, 3);
    expect(200, answered(server.delete(&format!("/v1.3/assets/{id}"))).await).await;
    let mut doctor = reelhouse(server.dir.path());
    let doctor = doctor.env("REELHOUSE_DATABASE_URL", &cluster.url).arg("doctor").output().unwrap();
    assert!(doctor.status.success(), "{}", String::from_utf8_lossy(&doctor.stdout));
}

/// A way to the database that can swallow what goes there. What was on its way then never arrives, and no end is told.
struct Proxy {
    address: SocketAddr,
    swallows: watch::Sender<bool>,
}

impl Proxy {
    async fn to(cluster: &Cluster) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (swallows, swallowed) = watch::channel(false);
        let (address, socket) = (listener.local_addr().unwrap(), cluster.folder().join(".s.PGSQL.5432"));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(Self::carry(near, socket.clone(), swallowed.clone()));
            }
        });
        Self { address, swallows }
    }

    async fn carry(mut near: TcpStream, socket: PathBuf, mut swallowed: watch::Receiver<bool>) {
        let mut far = UnixStream::connect(socket).await.unwrap();
        tokio::select! {
            biased;
            () = async { drop(swallowed.wait_for(|swallowed| *swallowed).await) } => std::future::pending().await,
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        }
    }

    fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres?sslmode=disable", self.address)
    }
}

/// A file that stops in the middle, once; told is that the other side hung up.
async fn stalls_once(file: Vec<u8>) -> (SocketAddr, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, (ended, ends)) = (listener.local_addr().unwrap(), mpsc::channel(1));
    tokio::spawn(async move {
        for n in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let len = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..len]).to_lowercase();
            let from = head.split("range: bytes=").nth(1).and_then(|rest| rest.split('-').next());
            let from: usize = from.map_or(0, |from| from.parse().unwrap());
            let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
            let range = format!("Content-Range: bytes {from}-{}/{}\r\n", file.len() - 1, file.len());
            let head = format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nETag: \"one\"\r\n{}Content-Length: {}\r\n\r\n",
                if from > 0 { range.as_str() } else { "" },
                file.len() - from
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            // In the request, and then in the job.
            let until = if n < 2 { file.len() / 2 } else { file.len() };
            let _ = stream.write_all(&file[from.min(until)..until]).await;
            if n == 1 {
                let _ = stream.read(&mut [0]).await;
                ended.send(()).await.unwrap();
            }
        }
    });
    (address, ends)
}

/// Cut off from the database, a worker stops before its lease ends: nobody else can be at work on the same thing. Connections
/// that lead nowhere are not used any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_cut_off_stops_before_its_lease_ends() {
    sqlx::any::install_default_drivers();
    let cluster = Cluster::start();
    let proxy = Proxy::to(&cluster).await;
    let file = std::fs::read(media::sound("long.wav", "120", &["-c:a", "pcm_s16le"])).unwrap();
    let (origin, mut ends) = stalls_once(file.clone()).await;
    let server = TestServer::start_with(&[
        ("REELHOUSE_DATABASE_URL", &proxy.url()),
        ("REELHOUSE_IMPORT_ALLOW", "127.0.0.0/8"),
        ("REELHOUSE_IMPORT_REQUEST_BYTES", "1000000"),
        ("REELHOUSE_IMPORT_IDLE_TIMEOUT", "600"),
        ("REELHOUSE_IMPORT_MIN_RATE", "0"),
    ]);
    let kept = server.create(&media::png()).await;
    let form = Form::new().text("method", "url").text("url", format!("http://{origin}/a.wav"));
    let asset = expect(201, server.post(form).send().await.unwrap()).await;
    let id = asset["_id"].as_str().unwrap();
    let mut rows = sqlx::AnyConnection::connect(&cluster.url).await.unwrap();
    let mut received = 0;
    while received < 4 << 20 {
        let sql = sqlx::query_scalar("SELECT received FROM import WHERE asset_id = $1").bind(id);
        received = sql.fetch_one(&mut rows).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    proxy.swallows.send(true).unwrap();
    assert_says_so(&server, kept["_id"].as_str().unwrap()).await;
    tokio::time::timeout(Duration::from_secs(60), ends.recv()).await.unwrap().unwrap();
    let (state, lease_until, now): (String, i64, i64) = sqlx::query_as(
        "SELECT state, lease_until, CAST(EXTRACT(EPOCH FROM now()) * 1000 AS BIGINT) FROM job WHERE asset_id = $1",
    )
    .bind(id)
    .fetch_one(&mut rows)
    .await
    .unwrap();
    // A moment for us to hear of it.
    assert!(state == "running" && now < lease_until + 3000, "{state} {}", now - lease_until);

    proxy.swallows.send(false).unwrap();
    eventually("it is ready again", || is_ready(&server)).await;
    let path = format!("/v1.3/assets/{id}");
    eventually("the import goes on", async || {
        expect(200, answered(server.get(&path)).await).await["status"] == "ready"
    })
    .await;
    let content = answered(server.get(&format!("{path}/content"))).await.bytes().await.unwrap();
    assert!(content == file);
    let failed: Vec<i64> =
        sqlx::query_scalar("SELECT failed_attempts FROM job").fetch_all(&mut rows).await.unwrap();
    assert_eq!(failed, Vec::<i64>::new());
}

/// An authority, and what it says of localhost.
struct Certificates {
    authority: String,
    certificate: String,
    key: String,
}

impl Certificates {
    fn new() -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new([]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let of_localhost = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = of_localhost.signed_by(&key, &issuer).unwrap().pem();
        Self { authority: pem, certificate, key: key.serialize_pem() }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_behind_tls_is_who_it_says_or_is_refused() {
    sqlx::any::install_default_drivers();
    let cluster = Cluster::start();
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let (data, folder) = (cluster.folder().join("data"), TempDir::new().unwrap());
    let owner = std::fs::metadata(&data).unwrap();
    for (name, text) in [("server.crt", &certificates.certificate), ("server.key", &certificates.key)] {
        let path = data.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut conf = std::fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
    writeln!(conf, "listen_addresses = 'localhost'\nport = {port}\nssl = on").unwrap();
    // Over the network, only so.
    std::fs::write(data.join("pg_hba.conf"), "local all all trust\nhostssl all all all trust\n").unwrap();
    let mut restart = command(&cluster.pg_ctl);
    assert!(restart.arg("restart").stdout(std::process::Stdio::null()).status().unwrap().success());

    let authority = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    let (ours, theirs) = (authority("ours", &certificates.authority), authority("theirs", &others.authority));
    let url =
        |host: &str, parameters: &str| format!("postgres://postgres@{host}:{port}/postgres?{parameters}");
    let verified = url("localhost", &format!("sslmode=verify-full&sslrootcert={ours}"));
    for url in [&verified, &url("localhost", "sslmode=require")] {
        let server = TestServer::start_with(&[("REELHOUSE_DATABASE_URL", url)]);
        server.create(&media::png()).await;
        assert!(is_ready(&server).await);
    }
    let mut rows = sqlx::AnyConnection::connect(&verified).await.unwrap();
    let encrypted: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM pg_stat_ssl WHERE ssl AND pid = pg_backend_pid()")
            .fetch_one(&mut rows)
            .await
            .unwrap();
    assert_eq!(encrypted, 1);
    for url in [
        url("localhost", &format!("sslmode=verify-full&sslrootcert={theirs}")),
        url("127.0.0.1", &format!("sslmode=verify-full&sslrootcert={ours}")),
        url("localhost", "sslmode=disable"),
    ] {
        let folder = TempDir::new().unwrap();
        refused(reelhouse(folder.path()).env("REELHOUSE_DATABASE_URL", url).arg("serve"));
    }
}
