//! Webhooks: each event at least once, in order within an asset, or a dead letter that shows; whatever receivers do, and
//! over kill -9.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    chunks::Session,
    harness::{KEY, TestServer, client, direct, eventually, expect, reelhouse},
    media,
    receiver::{How, Receiver, Told},
};

const ALLOW: (&str, &str) = ("REELHOUSE_WEBHOOK_ALLOW", "127.0.0.1");
const BASE: &str = "https://media.example.org";

fn try_run(server: &TestServer, arguments: &[&str]) -> Output {
    reelhouse(server.dir.path()).arg("webhooks").args(arguments).output().unwrap()
}

/// What `reelhouse webhooks` prints.
fn run(server: &TestServer, arguments: &[&str]) -> String {
    let output = try_run(server, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(server: &TestServer, arguments: &[&str]) -> String {
    let output = try_run(server, arguments);
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// Adds a webhook; its id and secret.
fn add(server: &TestServer, url: &str, events: &[&str]) -> (String, String) {
    let events = events.join(",");
    let mut arguments = vec!["add", url];
    if !events.is_empty() {
        arguments.extend(["--events", &events]);
    }
    let printed = run(server, &arguments);
    let (id, secret) = printed.trim().split_once("  ").unwrap();
    (id.to_owned(), secret.to_owned())
}

/// The log: state and the whole line, newest first.
fn log(server: &TestServer, webhook: &str) -> Vec<(String, String)> {
    let lines = run(server, &["deliveries", webhook]);
    let state = |line: &str| line.split_whitespace().nth(4).unwrap().to_owned();
    lines.lines().map(|line| (state(line), line.to_owned())).collect()
}

async fn until_all_ended(server: &TestServer, webhook: &str) -> Vec<(String, String)> {
    let ended = || {
        let log = log(server, webhook);
        !log.is_empty() && log.iter().all(|(state, _)| state == "delivered" || state == "dead")
    };
    eventually("all deliveries are at their end", || async { ended() }).await;
    log(server, webhook)
}

async fn delete(server: &TestServer, id: &str) {
    expect(200, server.delete(&format!("/v1.3/assets/{id}")).send().await.unwrap()).await;
}

/// The events of each asset in the order of their first arrival.
fn by_asset(told: &[Told]) -> BTreeMap<String, Vec<String>> {
    let mut events: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for told in told {
        let (seen, event) = (events.entry(told.asset()).or_default(), told.event());
        if !seen.contains(&event) {
            seen.push(event);
        }
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_told_signed_and_in_order() {
    let receiver = Receiver::start().await;
    let server = TestServer::start_with(&[ALLOW]);
    let (all, secret) = add(&server, &receiver.url("/all?token=1"), &[]);
    let (few, few_secret) = add(&server, &receiver.url("/few"), &["asset.deleted", "asset.failed"]);

    // One that is playable at once and gets its picture later.
    let form = direct(&media::mp4()).text("enable_hls", "true").text("enable_thumbnail", "true");
    let form = form.text("user_metadata", r#"{"shot":7}"#);
    let asset = expect(201, server.post(form).send().await.unwrap()).await;
    let id = asset["_id"].as_str().unwrap().to_owned();
    // One in chunks that is no media, and one that is.
    let garbage = vec![7; 9 << 20];
    let body =
        json!({ "filename": "no.wav", "type": "audio", "total_size": garbage.len(), "enable_hls": true });
    let failing = Session::begin_with(&server, garbage, &body).await;
    let fine = Session::begin(&server, &media::sound("short.wav", "70", &["-c:a", "pcm_s16le"])).await;
    for session in [&failing, &fine] {
        let mut chunks = Vec::new();
        for index in 1..=session.total() {
            chunks.push((index, session.put(&server, index).await));
        }
        expect(200, session.report(&server, &chunks).await).await;
        session.asset_when_decided(&server).await;
    }
    let thumbnail = || receiver.told().iter().any(|told| told.event() == "thumbnail.ready");
    eventually("the thumbnail is told", || async { thumbnail() }).await;
    delete(&server, &id).await;
    let enough = || receiver.told().len() >= 9;
    eventually("all is told", || async { enough() }).await;
    let (all_log, few_log) = (until_all_ended(&server, &all).await, until_all_ended(&server, &few).await);
    assert_eq!((all_log.len(), few_log.len()), (7, 2));
    assert!(
        all_log.iter().chain(&few_log).all(|(state, line)| state == "delivered" && line.ends_with("  200"))
    );

    let told = receiver.told();
    assert_eq!(told.len(), 9);
    for told in &told {
        told.verify(if told.path == "/few" { &few_secret } else { &secret });
    }
    let ids: BTreeSet<&str> = told.iter().map(Told::id).collect();
    assert_eq!(ids.len(), 9, "each delivery has an id of its own");
    let of_all: Vec<Told> = told.iter().filter(|told| told.path == "/all?token=1").cloned().collect();
    let of_few: Vec<Told> = told.iter().filter(|told| told.path == "/few").cloned().collect();
    let events = by_asset(&of_all);
    assert_eq!(events[&id], ["asset.ready", "hls.ready", "thumbnail.ready", "asset.deleted"]);
    assert_eq!(events[&fine.asset], ["asset.ready"]);
    assert_eq!(events[&failing.asset], ["asset.failed", "hls.error"]);
    assert_eq!(by_asset(&of_few)[&id], ["asset.deleted"]);

    // What is told is what the API shows.
    let find = |event: &str, id: &str| -> Value {
        of_all.iter().find(|told| told.event() == event && told.asset() == id).unwrap().json()
    };
    let failed = find("asset.failed", &failing.asset);
    assert_eq!(failed["data"]["status"], "failed");
    assert_eq!(failed["data"]["error"]["code"], "parameter_invalid", "{failed}");
    let mut shown =
        expect(200, server.get(&format!("/v1.3/assets/{}", fine.asset)).send().await.unwrap()).await;
    let ready = find("asset.ready", &fine.asset);
    // But for URLs: nobody has said what they begin with.
    shown.as_object_mut().unwrap().retain(|name, _| !name.ends_with("_url"));
    assert_eq!(ready["data"], shown);
    let timestamp = ready["timestamp"].as_str().unwrap();
    assert!(timestamp.ends_with('Z') && timestamp.starts_with("20"), "{timestamp}");
    assert_eq!(find("thumbnail.ready", &id)["data"]["user_metadata"]["shot"], 7);
    assert_eq!(find("asset.deleted", &id)["data"], json!({ "_id": id, "status": "deleted" }));
    server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_begin_as_configured() {
    let receiver = Receiver::start().await;
    let server = TestServer::start_with(&[ALLOW, ("REELHOUSE_PUBLIC_URL", BASE)]);
    add(&server, &receiver.url("/"), &["hls.ready"]);
    let form = direct(&media::mp4()).text("enable_hls", "true");
    let asset = expect(201, server.post(form).send().await.unwrap()).await;
    eventually("it is told", || async { !receiver.told().is_empty() }).await;
    let path = format!("/v1.3/assets/{}", asset["_id"].as_str().unwrap());
    let shown = expect(200, server.get(&path).send().await.unwrap()).await;
    let told = receiver.told()[0].json();
    assert!(told["data"]["hls"]["manifest_url"].as_str().unwrap().starts_with(BASE), "{told}");
    assert_eq!(told["data"], shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_misbehave_are_told_at_least_once_or_leave_a_dead_letter() {
    let inner = Receiver::start().await;
    let healed = Arc::new(AtomicBool::new(false));
    let (secret_place, is_healed) = (inner.url("/secret"), Arc::clone(&healed));
    let receiver = Receiver::with(move |told, before| match told.path.as_str() {
        "/fails-twice" if before < 2 => How::Status(503),
        "/hangs-once" if before < 1 => How::Hang,
        "/resets-once" if before < 1 => How::Reset,
        "/ok-then-reset" => How::OkThenReset,
        "/ok-for-ever" => How::OkForEver,
        "/redirects" if !is_healed.load(Ordering::SeqCst) => How::RedirectTo(secret_place.clone()),
        "/fails" if !is_healed.load(Ordering::SeqCst) => How::Status(404),
        "/gone" => How::Status(410),
        _ => How::Status(200),
    })
    .await;
    // Nobody listens there, yet.
    let nobody = Receiver::start().await.address;
    let server = TestServer::start_with(&[
        ALLOW,
        ("REELHOUSE_WEBHOOK_TIMEOUT", "1"),
        ("REELHOUSE_WEBHOOK_RETRIES", "0,0,1"),
    ]);
    let mut hooks = BTreeMap::new();
    for path in [
        "/fine",
        "/fails-twice",
        "/hangs-once",
        "/resets-once",
        "/ok-then-reset",
        "/ok-for-ever",
        "/redirects",
        "/fails",
        "/gone",
    ] {
        hooks.insert(path, add(&server, &receiver.url(path), &[]).0);
    }
    hooks.insert("nobody", add(&server, &format!("http://{nobody}/"), &[]).0);
    let id = server.create(&media::png()).await["_id"].as_str().unwrap().to_owned();
    delete(&server, &id).await;

    let attempts_of = |path: &str| receiver.told().iter().filter(|told| told.path == path).count();
    for (path, attempts) in [
        ("/fine", 2),
        ("/fails-twice", 6),
        ("/hangs-once", 4),
        ("/resets-once", 4),
        ("/ok-then-reset", 2),
        ("/ok-for-ever", 2),
    ] {
        let log = until_all_ended(&server, &hooks[path]).await;
        assert!(log.iter().all(|(state, _)| state == "delivered"), "{path}: {log:?}");
        assert_eq!((log.len(), attempts_of(path)), (2, attempts), "{path}");
        let told: Vec<Told> = receiver.told().into_iter().filter(|told| told.path == path).collect();
        let events: Vec<String> = told.iter().map(Told::event).collect();
        assert!(events.is_sorted_by_key(|event| event == "asset.deleted"), "{path}: {events:?}");
    }
    for (path, says) in
        [("/redirects", "307: redirects are not followed"), ("/fails", "  404"), ("nobody", "refused")]
    {
        let log = until_all_ended(&server, &hooks[path]).await;
        assert_eq!(log.len(), 2);
        for (state, line) in &log {
            assert!(state == "dead" && line.contains("4 attempts") && line.contains(says), "{path}: {line}");
        }
    }
    assert_eq!(inner.told().len(), 0, "what a redirect leads to is not asked");
    // 410: that one event and no other, and the webhook says so.
    let log = until_all_ended(&server, &hooks["/gone"]).await;
    assert!(log.iter().all(|(state, _)| state == "dead"), "{log:?}");
    assert_eq!(attempts_of("/gone"), 1);
    let listed = run(&server, &["list"]);
    let line = listed.lines().find(|line| line.starts_with(&hooks["/gone"])).unwrap();
    assert!(line.contains("disabled"), "{line}");
    assert_eq!(listed.matches("disabled").count(), 1);

    // Mended, all that is dead is sent again, in order; but not to who wants no more.
    healed.store(true, Ordering::SeqCst);
    let there = Receiver::at(nobody, |_, _| How::Status(204)).await;
    assert_eq!(run(&server, &["replay", "--dead"]).trim(), "6 to be sent again");
    for path in ["/redirects", "/fails", "nobody"] {
        let log = until_all_ended(&server, &hooks[path]).await;
        assert!(log.iter().all(|(state, _)| state == "delivered"), "{path}: {log:?}");
    }
    assert_eq!(by_asset(&there.told())[&id], ["asset.ready", "asset.deleted"]);
    let of_gone = log[0].1.split("  ").next().unwrap();
    assert!(refused(&server, &["replay", of_gone]).contains("of an enabled webhook"));
    run(&server, &["enable", &hooks["/gone"]]);
    assert_eq!(run(&server, &["replay", of_gone]).trim(), "1 to be sent again");
    eventually("it is told again", || async { attempts_of("/gone") == 2 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_public_is_not_told_unless_it_is_allowed() {
    let receiver = Receiver::start().await;
    let server = TestServer::start_with(&[
        ("REELHOUSE_IMPORT_ALLOW", "127.0.0.1"),
        ("REELHOUSE_WEBHOOK_RETRIES", "0"),
    ]);
    let (id, _) = add(&server, &receiver.url("/"), &[]);
    let output = try_run(&server, &["test", &id]);
    assert!(!output.status.success());
    let says = String::from_utf8(output.stdout).unwrap();
    assert!(says.contains("127.0.0.1 is loopback; REELHOUSE_WEBHOOK_ALLOW could allow it"), "{says}");
    assert_eq!(until_all_ended(&server, &id).await[0].0, "dead");
    assert_eq!(receiver.told().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_receiver_holds_up_nobody() {
    const ASSETS: usize = 12;
    let slow = Receiver::with(|_, _| How::Hang).await;
    let fine = Receiver::start().await;
    let server = TestServer::start_with(&[ALLOW, ("REELHOUSE_WEBHOOK_TIMEOUT", "600")]);
    let (slow_id, _) = add(&server, &slow.url("/"), &["asset.ready"]);
    add(&server, &fine.url("/"), &["asset.ready"]);
    for _ in 0..ASSETS {
        server.create(&media::png()).await;
    }
    eventually("the other one is told all", || async { fine.told().len() == ASSETS }).await;
    eventually("the slow one has its turns", || async { slow.told().len() == 4 }).await;
    let states: Vec<String> = log(&server, &slow_id).into_iter().map(|(state, _)| state).collect();
    assert_eq!(states.iter().filter(|state| *state == "sending").count(), 4, "{states:?}");
    assert_eq!(states.iter().filter(|state| *state == "waiting").count(), ASSETS - 4, "{states:?}");
}

/// A server and a worker beside it share the work: nobody sends what the other has.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_do_not_send_twice() {
    const ASSETS: usize = 20;
    let receiver = Receiver::with(|_, _| How::OkAfter(Duration::from_millis(100))).await;
    let server = TestServer::start_with(&[ALLOW]);
    let mut worker = reelhouse(server.dir.path());
    let worker = worker.arg("worker").env("REELHOUSE_LOG", "warn").env(ALLOW.0, ALLOW.1).spawn();
    let mut worker = worker.unwrap();
    let (id, _) = add(&server, &receiver.url("/"), &["asset.ready", "asset.deleted"]);
    for _ in 0..ASSETS {
        let asset = server.create(&media::png()).await;
        delete(&server, asset["_id"].as_str().unwrap()).await;
    }
    let log = until_all_ended(&server, &id).await;
    worker.kill().unwrap();
    worker.wait().unwrap();
    assert!(
        log.iter().all(|(state, line)| state == "delivered" && line.contains("  1 attempts  ")),
        "{log:?}"
    );
    assert_eq!((log.len(), receiver.told().len()), (2 * ASSETS, 2 * ASSETS));
    for (asset, events) in by_asset(&receiver.told()) {
        assert_eq!(events, ["asset.ready", "asset.deleted"], "{asset}");
    }
}

/// kill -9 while events are on their way and being written: each that was acknowledged is told, none out of order.
#[tokio::test(flavor = "multi_thread")]
async fn no_event_is_lost_by_kill_9() {
    let receiver =
        Receiver::with(
            |_, before| {
                if before == 0 { How::OkAfter(Duration::from_millis(150)) } else { How::Status(200) }
            },
        )
        .await;
    let mut server = TestServer::start_with(&[ALLOW]);
    let (id, secret) = add(&server, &receiver.url("/"), &["asset.ready", "asset.deleted"]);
    let mut made = BTreeSet::new();
    for round in 0..4 {
        let load: Vec<_> = (0..3)
            .map(|_| {
                let url = server.url.clone();
                tokio::spawn(async move {
                    let mut made = Vec::new();
                    loop {
                        let request = client().post(format!("{url}/v1.3/assets")).header("x-api-key", KEY);
                        let Ok(answer) = request.multipart(direct(&media::png())).send().await else { break };
                        let Ok(asset) = answer.json::<Value>().await else { break };
                        let asset = asset["_id"].as_str().unwrap().to_owned();
                        let path = format!("{url}/v1.3/assets/{asset}");
                        made.push(asset);
                        let deleted = client().delete(path).header("x-api-key", KEY).send().await;
                        if deleted.is_err() {
                            break;
                        }
                    }
                    made
                })
            })
            .collect();
        let before = receiver.told().len();
        eventually("some are told", || async { receiver.told().len() > before + 3 + round }).await;
        let dir = server.kill();
        for worker in load {
            made.extend(worker.await.unwrap());
        }
        server = TestServer::start_in(dir, &[ALLOW]);
    }
    let dead_or_waiting = || log(&server, &id).iter().any(|(state, _)| state != "delivered");
    eventually("all is delivered", || async { !dead_or_waiting() }).await;
    let told = receiver.told();
    told.iter().for_each(|told| told.verify(&secret));
    let events = by_asset(&told);
    assert!(made.len() > 4);
    for asset in &made {
        assert_eq!(events.get(asset).map(|events| events[0].as_str()), Some("asset.ready"), "{asset}");
    }
    for (asset, events) in events {
        assert!(
            events == ["asset.ready"] || events == ["asset.ready", "asset.deleted"],
            "{asset}: {events:?}"
        );
    }
    server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command() {
    let receiver = Receiver::start().await;
    let server = TestServer::start_with(&[ALLOW]);
    let url = receiver.url("/hook");
    assert!(refused(&server, &["add", &url, "--account", "nobody"]).contains("there is no account nobody"));
    assert!(refused(&server, &["add", &url, "--events", "asset.read"]).contains("known are asset.ready, "));
    assert!(refused(&server, &["add", "ftp://example.org"]).contains("must begin with http"));
    for arguments in
        [["remove", "none"], ["test", "none"], ["enable", "none"], ["deliveries", "none"], ["replay", "none"]]
    {
        assert!(refused(&server, &arguments).contains("none"), "{arguments:?}");
    }
    let (id, secret) = add(&server, &url, &["hls.error", "thumbnail.error"]);
    let listed = run(&server, &["list"]);
    assert!(
        listed.contains(&id) && listed.contains("hls.error,thumbnail.error") && listed.contains(&url),
        "{listed}"
    );
    assert!(!listed.contains(&secret));
    let tested = run(&server, &["test", &id]);
    assert!(tested.contains("webhook.test") && tested.trim().ends_with("200"), "{tested}");
    let told = receiver.told();
    told[0].verify(&secret);
    assert_eq!((told[0].event().as_str(), &told[0].json()["data"]["webhook"]), ("webhook.test", &json!(id)));
    // What it is not told of is not written down.
    server.create(&media::png()).await;
    assert_eq!(log(&server, &id).len(), 1);
    run(&server, &["remove", &id]);
    assert_eq!(run(&server, &["list"]), "");
    assert_eq!(run(&server, &["deliveries"]), "");
}
