use serde_json::Value;

use crate::{
    harness::{KEY, TestServer, client, direct, expect, expect_error, reelhouse, refused as refused_command},
    media,
};

fn keys(server: &TestServer, arguments: &[&str]) -> String {
    run(server, &[&["keys"], arguments].concat())
}

fn run(server: &TestServer, arguments: &[&str]) -> String {
    let output = reelhouse(server.dir.path()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn two_accounts_cannot_see_each_other() {
    let server = TestServer::start();
    let other = keys(&server, &["create", "--account", "other"]);
    let mine = server.create(&media::png()).await;
    let path = format!("/v1.3/assets/{}", mine["_id"].as_str().unwrap());
    let as_other = |request: reqwest::RequestBuilder| request.header("x-api-key", other.trim());
    let url = |path: &str| format!("{}{path}", server.url);

    for response in [
        as_other(client().get(url(&path))).send().await.unwrap(),
        as_other(client().get(url(&format!("{path}/content")))).send().await.unwrap(),
        as_other(client().delete(url(&path))).send().await.unwrap(),
    ] {
        expect_error(404, "resource_not_exist", response).await;
    }
    let id = mine["_id"].as_str().unwrap();
    let page: Value = as_other(client().get(url(&format!("/v1.3/assets?asset_ids={id}"))))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(page["page_info"]["total_results"], 0);

    let theirs =
        as_other(client().post(url("/v1.3/assets"))).multipart(direct(&media::mp3())).send().await.unwrap();
    expect(201, theirs).await;
    assert_eq!(server.total().await, 1);
    server.assert_healthy();
}

#[tokio::test]
async fn a_read_only_key_changes_nothing_and_a_revoked_one_opens_nothing() {
    let server = TestServer::start();
    let reader = keys(&server, &["create", "--account", "default", "--read-only"]);
    let mine = server.create(&media::png()).await;
    let url = format!("{}/v1.3/assets/{}", server.url, mine["_id"].as_str().unwrap());
    let reader = reader.trim();
    assert_eq!(client().get(&url).header("x-api-key", reader).send().await.unwrap().status(), 200);
    expect_error(
        403,
        "api_not_allowed",
        client().delete(&url).header("x-api-key", reader).send().await.unwrap(),
    )
    .await;

    let list = keys(&server, &["list"]);
    let line = list.lines().find(|line| line.contains("read-only")).unwrap();
    assert!(!list.contains(reader) && !list.contains(KEY));
    keys(&server, &["revoke", line.split(' ').next().unwrap()]);
    expect_error(
        401,
        "api_key_invalid",
        client().get(&url).header("x-api-key", reader).send().await.unwrap(),
    )
    .await;
}

#[tokio::test]
async fn an_account_holds_no_more_than_its_quota() {
    let server = TestServer::start();
    let first = server.create(&media::png()).await;
    let size = first["size"].as_u64().unwrap();
    let refused = async || server.post(direct(&media::png())).send().await.unwrap();

    run(&server, &["accounts", "quota", "default", "--assets", "1"]);
    let message = expect_error(403, "usage_limit_exceeded", refused().await).await;
    assert!(message.starts_with("The account has reached its quota of 1 assets."), "{message}");
    // Room for one and a half more: known only when the bytes are there.
    run(&server, &["accounts", "quota", "default", "--bytes", &(size * 5 / 2).to_string()]);
    server.create(&media::png()).await;
    expect_error(403, "usage_limit_exceeded", refused().await).await;
    let list = run(&server, &["accounts", "list"]);
    assert!(list.contains(&format!("bytes: {} of {}", size * 2, size * 5 / 2)), "{list}");
    // Deleting makes room, and many at once find no gap.
    server.delete(&format!("/v1.3/assets/{}", first["_id"].as_str().unwrap())).send().await.unwrap();
    let attempts = futures_util::future::join_all((0..8).map(|_| refused())).await;
    assert_eq!(attempts.iter().filter(|response| response.status() == 201).count(), 1);
    assert_eq!((server.total().await, server.originals()), (2, 2));
    run(&server, &["accounts", "quota", "default"]);
    server.create(&media::png()).await;
    server.assert_healthy();
    let unknown = refused_command(reelhouse(server.dir.path()).args(["accounts", "quota", "nobody"]));
    assert!(unknown.contains("there is no account nobody"), "{unknown}");
}

#[tokio::test]
async fn an_account_ahead_of_its_rate_waits_and_then_is_refused() {
    let server =
        TestServer::start_with(&[("REELHOUSE_RATE_UPLOAD_RPM", "60"), ("REELHOUSE_RATE_UPLOAD_RPD", "62")]);
    // A form without a file costs as much as one with it.
    let post =
        async || server.post(reqwest::multipart::Form::new().text("method", "direct")).send().await.unwrap();
    let number = |response: &reqwest::Response, name: &str| -> i64 {
        response.headers()[name].to_str().unwrap().parse().unwrap()
    };
    let began = std::time::Instant::now();
    for n in 0..60 {
        let response = post().await;
        assert_eq!(response.status(), 400);
        // The tighter one; a second gives one back of the minute's.
        let given_back = i64::try_from(began.elapsed().as_secs()).unwrap() + 1;
        let (limit, remaining) = (
            number(&response, "x-ratelimit-request-limit"),
            number(&response, "x-ratelimit-request-remaining"),
        );
        assert!(limit == 60 || limit == 62 && given_back > 2, "{limit} after {n}");
        assert!((59 - n..=59 - n + given_back).contains(&remaining), "{remaining} after {n}");
        assert_eq!(number(&response, "x-ratelimit-request-used"), limit - remaining);
        assert!(number(&response, "x-ratelimit-request-reset") > 1_700_000_000);
    }
    // The next two wait about a second each; then the day is over, and waiting for it would take too long.
    assert_eq!(post().await.status(), 400);
    assert_eq!(post().await.status(), 400);
    let refused = post().await;
    assert!(number(&refused, "retry-after") > 1000);
    let message = expect_error(429, "too_many_requests", refused).await;
    assert!(
        message.starts_with(
            "You have exceeded the rate limit (62 requests per day). Please try again later after "
        ),
        "{message}"
    );
    assert_eq!(server.get("/v1.3/assets").send().await.unwrap().status(), 200);
}
