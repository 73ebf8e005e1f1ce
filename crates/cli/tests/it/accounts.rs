use serde_json::Value;

use crate::{
    harness::{KEY, TestServer, client, direct, expect, expect_error, reelhouse},
    media,
};

fn keys(server: &TestServer, arguments: &[&str]) -> String {
    let output = reelhouse(server.dir.path()).arg("keys").args(arguments).output().unwrap();
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
