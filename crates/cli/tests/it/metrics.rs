//! Metrics: what a running server exports is what the docs and the dashboard name, it counts what happened, and strangers
//! see none of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::Value;

use crate::{
    harness::{KEY, TestServer, client, direct, direct_bytes, eventually, expect, expect_error, reelhouse},
    media,
    receiver::{How, Receiver},
};

/// Every sample: name and labels as they stand, and the value.
async fn scrape(server: &TestServer) -> BTreeMap<String, f64> {
    let response = server.get("/metrics").send().await.unwrap();
    let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = response.text().await.unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    samples(&text)
}

fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// The names, as docs have them.
fn names(samples: &BTreeMap<String, f64>) -> BTreeSet<String> {
    let name = |sample: &String| {
        let name = sample.split('{').next().unwrap();
        let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        histogram.unwrap_or(name).to_owned()
    };
    samples.keys().map(name).collect()
}

fn docs(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file)).unwrap()
}

/// Words that look like names of ours.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("reelhouse_")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_counted_and_every_name_is_documented() {
    let receiver = Receiver::with(|_, before| How::Status(if before == 0 { 500 } else { 200 })).await;
    let server = TestServer::start_with(&[
        ("REELHOUSE_WEBHOOK_ALLOW", "127.0.0.1"),
        ("REELHOUSE_WEBHOOK_RETRIES", "0"),
        ("REELHOUSE_IMPORT_ALLOW", "127.0.0.1"),
    ]);
    let added = reelhouse(server.dir.path()).args(["webhooks", "add", &receiver.url("/")]).output().unwrap();
    assert!(added.status.success());
    let before = scrape(&server).await;
    let form = direct(&media::mp4()).text("enable_thumbnail", "true").text("enable_hls", "true");
    let asset = expect(201, server.post(form).send().await.unwrap()).await;
    let refused = server.post(direct_bytes(*b"this is no media at all")).send().await.unwrap();
    expect(400, refused).await;
    // An import that fails, for its wait.
    let url = reqwest::multipart::Form::new().text("method", "url").text("url", receiver.url("/"));
    expect(400, server.post(url).send().await.unwrap()).await;
    let path = format!("/v1.3/assets/{}", asset["_id"].as_str().unwrap());
    let shown = || async { expect(200, server.get(&path).send().await.unwrap()).await };
    eventually("it can be seen", || async { shown().await["thumbnail"]["status"] == "ready" }).await;
    let delivered = "reelhouse_webhook_attempts_total{outcome=\"delivered\"}";
    let told = || async { scrape(&server).await.get(delivered) == Some(&3.0) };
    eventually("all is told", || async { told().await }).await;

    let after = scrape(&server).await;
    let size = std::fs::metadata(media::mp4()).unwrap().len() as f64;
    let value = |name: &str| *after.get(name).unwrap_or_else(|| panic!("{name} is not in {after:#?}"));
    let more = |name: &str| value(name) - before.get(name).copied().unwrap_or_default();
    let posts = |status: &str| {
        value(&format!(
            "reelhouse_http_requests_total{{method=\"POST\",route=\"/v1.3/assets\",status=\"{status}\"}}"
        ))
    };
    assert_eq!((posts("2xx"), posts("4xx")), (1.0, 2.0));
    assert_eq!(
        value("reelhouse_http_request_duration_seconds_count{method=\"POST\",route=\"/v1.3/assets\"}"),
        3.0
    );
    assert!(more("reelhouse_http_received_bytes_total") > size);
    assert!(more("reelhouse_http_sent_bytes_total") > 100.0);
    assert_eq!(value("reelhouse_probe_duration_seconds_count{outcome=\"taken\"}"), 1.0);
    assert_eq!(value("reelhouse_job_duration_seconds_count{kind=\"thumbnail\",outcome=\"done\"}"), 1.0);
    assert_eq!(value("reelhouse_webhook_attempts_total{outcome=\"retry\"}"), 3.0);
    assert!(value("reelhouse_wait_duration_seconds_count{for=\"room\"}") >= 2.0);
    assert!(value("reelhouse_wait_duration_seconds_count{for=\"import\"}") >= 1.0);
    assert_eq!((value("reelhouse_assets"), value("reelhouse_asset_bytes")), (1.0, size));
    assert_eq!(value("reelhouse_uploads_in_flight"), 0.0);
    assert_eq!(value("reelhouse_jobs{lane=\"make\",kind=\"hls\",state=\"queued\"}"), 0.0);
    assert!(value("reelhouse_disk_free_bytes") > 0.0);
    assert!(value("reelhouse_process_resident_memory_bytes") > 1e6);
    assert!(value("reelhouse_process_cpu_seconds_total") > 0.0);
    assert!(value("reelhouse_process_open_fds") > 5.0);
    assert!(after.keys().any(|name| name.starts_with("reelhouse_faults_total{code=")));
    // No path, no account, no name of a file is a label.
    assert!(after.keys().all(|name| !name.contains(asset["_id"].as_str().unwrap())));

    let documented = named(&docs("metrics.md"));
    let exported = names(&after);
    for name in &exported {
        assert!(documented.contains(name), "{name} is not documented");
    }
    // What has no labels is always there; the others come with what they count.
    let waits_for_more = |name: &str| ["reelhouse_children_killed_total"].contains(&name);
    for name in documented.iter().filter(|name| !waits_for_more(name)) {
        assert!(exported.contains(name), "{name} is documented, and not exported");
    }
}

/// Each query of the dashboard is over names that a server exports.
#[test]
fn the_dashboard_names_what_is_there() {
    let documented = named(&docs("metrics.md"));
    let text = docs("grafana.json");
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries: Vec<&str> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    assert!(queries.len() >= 15);
    let mut shown = BTreeSet::new();
    for query in queries {
        let names = named(query);
        assert!(!names.is_empty(), "{query}");
        for name in names {
            let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let known = [Some(name.as_str()), histogram]
                .into_iter()
                .flatten()
                .find(|name| documented.contains(*name));
            shown.insert(known.unwrap_or_else(|| panic!("{name} is not exported: {query}")).to_owned());
        }
    }
    let missing: Vec<&String> = documented.difference(&shown).collect();
    let elsewhere = ["reelhouse_build_info", "reelhouse_process_max_fds", "reelhouse_disk_size_bytes"];
    assert!(
        missing.iter().all(|name| elsewhere.contains(&name.as_str())),
        "not on the dashboard: {missing:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_see_nothing() {
    let server = TestServer::start();
    let url = format!("{}/metrics", server.url);
    let ask = || client().get(&url);
    expect_error(401, "unauthorized", ask().send().await.unwrap()).await;
    expect_error(401, "api_key_invalid", ask().header("x-api-key", "guessed").send().await.unwrap()).await;
    expect_error(401, "api_key_invalid", ask().bearer_auth("guessed").send().await.unwrap()).await;
    let keys = |account: &str| {
        let mut command = reelhouse(server.dir.path());
        let output = command.args(["keys", "create", "--read-only", "--account", account]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (ours, other) = (keys("default"), keys("other"));
    expect_error(403, "api_not_allowed", ask().bearer_auth(&other).send().await.unwrap()).await;
    assert_eq!(ask().bearer_auth(&ours).send().await.unwrap().status(), 200);
    assert_eq!(ask().bearer_auth(KEY).send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_of_its_own_has_metrics_and_nothing_else() {
    // A port that was free a moment ago; another start may have it by now.
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (of_server, of_worker) = (free(), free());
    let server = TestServer::start_with(&[("REELHOUSE_METRICS_LISTEN", &of_server)]);
    let mut worker = reelhouse(server.dir.path());
    let worker =
        worker.arg("worker").env("REELHOUSE_LOG", "warn").env("REELHOUSE_METRICS_LISTEN", &of_worker);
    let mut worker = worker.spawn().unwrap();
    let get = |address: &str, path: &str| client().get(format!("http://{address}{path}")).send();
    for address in [&of_server, &of_worker] {
        eventually("it listens", || async { get(address, "/healthz").await.is_ok() }).await;
        let text = get(address, "/metrics").await.unwrap().text().await.unwrap();
        assert!(samples(&text).contains_key("reelhouse_disk_free_bytes"), "{text}");
        assert_eq!(get(address, "/v1.3/assets").await.unwrap().status(), 404);
    }
    worker.kill().unwrap();
    worker.wait().unwrap();
}
