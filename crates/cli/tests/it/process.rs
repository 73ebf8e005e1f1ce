use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    process::Stdio,
    time::Duration,
};

use rustix::process::Signal;
use sqlx::Connection;

use crate::{
    harness::{Folder, KEY, TestServer, client, eventually, read_all, reelhouse, refused, rows},
    media,
};

#[tokio::test]
async fn a_second_server_on_the_folder_is_refused() {
    let server = TestServer::start();
    let output = reelhouse(server.dir.path()).arg("serve").output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains(&format!("is in use by another reelhouse server (process {})", server.pid())),
        "{stderr}"
    );
    let mode = server.dir.path().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

/// A folder with somebody's files in it is left as it is.
#[test]
fn a_folder_of_somebody_else_is_refused() {
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("staging")).unwrap();
    std::fs::write(dir.path().join("staging/thesis.txt"), "precious").unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let says = refused(reelhouse(dir.path()).arg("serve"));
    assert!(says.contains("is not empty and holds no Reelhouse data"), "{says}");
    assert_eq!(std::fs::read_to_string(dir.path().join("staging/thesis.txt")).unwrap(), "precious");
    assert_eq!(dir.path().metadata().unwrap().permissions().mode() & 0o777, 0o755);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let dir = TestServer::start().kill();
    let mut rows = rows(dir.path()).await;
    sqlx::query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'future', TRUE, $1, 0)")
        .bind(vec![0_u8])
        .execute(&mut rows)
        .await
        .unwrap();
    rows.close().await.unwrap();
    for command in ["serve", "doctor"] {
        let output = reelhouse(dir.path()).arg(command).output().unwrap();
        assert!(!output.status.success());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("was written by a newer reelhouse (schema 9999"), "{stderr}");
    }
    let _ = std::fs::remove_dir_all(dir.path());
}

/// The first start makes a key and shows it; the second does not. A configured key ends with its configuration.
#[tokio::test]
async fn the_first_key_is_made_and_shown_once() {
    let dir = tempfile::TempDir::new().unwrap();
    let start = |key: &str| {
        let mut child = reelhouse(dir.path())
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("REELHOUSE_API_KEY", key)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut url)
            .unwrap();
        (child, url.trim().to_owned())
    };
    let stop = |mut child: std::process::Child| {
        child.kill().unwrap();
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        child.wait().unwrap();
        stderr
    };
    let status = async |url: &str, key: &str| {
        client()
            .get(format!("{url}/v1.3/assets"))
            .header("x-api-key", key)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };

    let (child, url) = start(KEY);
    assert_eq!(status(&url, KEY).await, 200);
    assert!(!stop(child).contains(KEY));

    let (child, url) = start("");
    assert_eq!(status(&url, KEY).await, 401);
    let stderr = stop(child);
    let line = stderr.lines().find(|line| line.contains("shown this once")).expect(&stderr);
    let generated = line.rsplit(' ').next().unwrap().to_owned();
    assert!(generated.len() >= 64);

    let (child, url) = start("");
    assert_eq!(status(&url, &generated).await, 200);
    assert!(!stop(child).contains("shown this once"));
}

#[tokio::test]
async fn settings_come_from_file_environment_and_flags() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("reelhouse.toml");
    let serve = |contents: &str, flags: &[&str]| {
        std::fs::write(&file, contents).unwrap();
        let mut command = reelhouse(dir.path());
        command.arg("serve").arg("--config").arg(&file).args(flags).env_remove("REELHOUSE_LISTEN");
        command
    };
    assert!(refused(&mut serve("listen = \"nonsense\"", &[])).contains("listen"));
    assert!(refused(&mut serve("lissten = \"127.0.0.1:0\"", &[])).contains("unknown setting `lissten`"));
    assert!(refused(&mut serve("[image]\nmax_size = 0", &[])).contains("nonzero"));
    assert!(refused(&mut serve("[video]\nmin_duraton = 1.0", &[])).contains("unknown field"));
    assert!(refused(&mut serve("api_key = \"short\"", &[])).contains("at least 16 are needed"));
    assert!(refused(&mut serve("", &["--public-url", "ftp://x"])).contains("does not begin with http"));
    assert!(refused(&mut serve("ffmpeg = \"/no/such/ffmpeg\"", &[])).contains("/no/such/ffmpeg"));
    assert!(refused(&mut serve("ffmpeg = \"true\"", &[])).contains("it is not ffmpeg"));
    assert!(refused(&mut serve("jail = \"tight\"", &[])).contains("jail"));
    // Later ones win: what the environment says is not asked of the file, and a flag beats both.
    let good_file = "ffmpeg = \"/of/the/file\"";
    assert!(
        refused(serve(good_file, &[]).env("REELHOUSE_FFMPEG", "/of/the/environment"))
            .contains("/of/the/environment")
    );
    let flags = ["--ffmpeg", "/of/the/flag"];
    assert!(
        refused(serve(good_file, &flags).env("REELHOUSE_FFMPEG", "/of/the/environment"))
            .contains("/of/the/flag")
    );
    let help = reelhouse(dir.path()).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for name in [
        "REELHOUSE_LISTEN",
        "REELHOUSE_DATA_DIR",
        "REELHOUSE_API_KEY",
        "REELHOUSE_PUBLIC_URL",
        "REELHOUSE_LOG",
        "127.0.0.1:8080",
    ] {
        assert!(help.contains(name), "{name} is not in the help");
    }
}

#[tokio::test]
async fn single_numbers_of_the_limits_can_be_set() {
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::write(dir.path().join("reelhouse.toml"), "[video]\nmin_duration = 5.5\n[image]\nmin_side = 0\n")
        .unwrap();
    let server = TestServer::start_in(Folder::Lent(dir.path().to_owned()), &[]);
    let refused = server.post(crate::harness::direct(&media::mp4())).send().await.unwrap();
    let message = crate::harness::expect_error(400, "video_duration_too_short", refused).await;
    assert!(message.contains("at least 5.5 seconds. Current duration is 5"), "{message}");
    let tiny = media::made("tiny.png", &["-f", "lavfi", "-i", "testsrc2=size=16x16", "-frames:v", "1"]);
    server.create(&tiny).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_what_runs_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = TestServer::start();
        let body = "--b\r\nContent-Disposition: form-data; name=\"method\"\r\n\r\nmultipart\r\n--b--\r\n";
        let head = format!(
            "POST /v1.3/assets HTTP/1.1\r\nHost: x\r\nx-api-key: {KEY}\r\nContent-Length: {}\r\n\
             Content-Type: multipart/form-data; boundary=b\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(format!("{head}{}", &body[..20]).as_bytes()).unwrap();
        // Answered only after the request before it was read.
        assert_eq!(client().get(format!("{}/healthz", server.url)).send().await.unwrap().status(), 200);
        server.signal(signal);
        let address = server.address().to_owned();
        eventually("no new connections", async || TcpStream::connect(&address).is_err()).await;
        stream.write_all(&body.as_bytes()[20..]).unwrap();
        let answer = read_all(&mut stream);
        assert!(
            answer.starts_with("HTTP/1.1 400") && answer.contains("/assets/multipart-uploads"),
            "{answer}"
        );
        assert!(server.wait_for_exit().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_does_not_wait_for_ever() {
    let mut server = TestServer::start();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let head = format!(
        "POST /v1.3/assets HTTP/1.1\r\nHost: x\r\nx-api-key: {KEY}\r\nContent-Length: 9999\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(client().get(format!("{}/healthz", server.url)).send().await.unwrap().status(), 200);
    let since = std::time::Instant::now();
    server.signal(Signal::TERM);
    assert!(server.wait_for_exit().success());
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
}

#[tokio::test]
async fn browsers_may_ask() {
    let server = TestServer::start();
    let preflight = client()
        .request(reqwest::Method::OPTIONS, format!("{}/v1.3/assets", server.url))
        .header("origin", "https://example.org")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "x-api-key,x-fern-language,content-type")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
    assert!(
        preflight.headers()["access-control-allow-headers"].to_str().unwrap().contains("x-fern-language")
    );
    assert!(preflight.headers()["access-control-allow-methods"].to_str().unwrap().contains("POST"));
}
