//! What models would know of an asset, and the parts of the original's platform that are not here.

use serde_json::json;

use crate::{
    harness::{KEY, TestServer, client, expect, expect_error},
    media,
};

#[tokio::test]
async fn no_asset_has_a_transcription_or_entities() {
    let server = TestServer::start();
    let asset = server.create(&media::mp3()).await;
    let id = asset["_id"].as_str().unwrap();
    let path = format!("/v1.3/assets/{id}/transcription?include=words&include=utterances");
    let message = expect_error(404, "resource_not_exist", server.get(&path).send().await.unwrap()).await;
    assert_eq!(message, format!("Resource with id {id} does not exist in transcriptions."));
    let path = format!("/v1.3/assets/{id}/entities?page=2&page_limit=5");
    let page = expect(200, server.get(&path).send().await.unwrap()).await;
    let info = json!({ "limit_per_page": 5, "page": 2, "total_page": 0, "total_results": 0 });
    assert_eq!(page, json!({ "data": [], "page_info": info }));
    let bad = server.get(&format!("/v1.3/assets/{id}/entities?page_limit=51")).send().await.unwrap();
    expect_error(400, "parameter_invalid", bad).await;
    for part in ["transcription", "entities"] {
        let path = format!("/v1.3/assets/0123456789abcdef01234567/{part}");
        let message = expect_error(404, "resource_not_exist", server.get(&path).send().await.unwrap()).await;
        assert_eq!(message, "Resource with id 0123456789abcdef01234567 does not exist in assets.");
    }
}

#[tokio::test]
async fn what_is_not_offered_is_told_by_name() {
    let server = TestServer::start();
    let other = "/v1.3/knowledge-stores/1/items?page=1";
    for (method, path, area) in [
        ("POST", "/v1.3/search", "search"),
        ("GET", "/v1.3/tasks/1", "tasks"),
        ("POST", "/v1.3/analyze/tasks", "analyze"),
        ("POST", "/v1.3/embed-v2", "embed-v2"),
        ("DELETE", "/v1.3/entity-collections/1/entities/2", "entity-collections"),
        ("GET", other, "knowledge-stores"),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = client().request(method, format!("{}{path}", server.url)).header("x-api-key", KEY);
        let message = expect_error(404, "endpoint_not_exist", request.send().await.unwrap()).await;
        assert_eq!(
            message,
            format!("This server keeps assets and runs no models: it does not offer {area}.")
        );
    }
    for path in ["/v1.3/searches", "/search", "/v1.3search", "/v1.3/indexes/1/videos"] {
        let message = expect_error(404, "endpoint_not_exist", server.get(path).send().await.unwrap()).await;
        assert_eq!(message, "This server has nothing at this path.", "{path}");
    }
}
