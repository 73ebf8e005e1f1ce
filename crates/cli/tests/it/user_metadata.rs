//! What users keep with their assets.

use serde_json::{Value, json};

use crate::{
    harness::{KEY, TestServer, client, direct, expect, expect_error},
    media,
};

async fn change(
    server: &TestServer,
    method: &str,
    id: &str,
    body: impl Into<reqwest::Body>,
) -> reqwest::Response {
    let url = format!("{}/v1.3/assets/{id}/user-metadata", server.url);
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    client().request(method, url).header("x-api-key", KEY).body(body).send().await.unwrap()
}

async fn kept(server: &TestServer, id: &str) -> Option<Value> {
    let asset = expect(200, server.get(&format!("/v1.3/assets/{id}")).send().await.unwrap()).await;
    asset.get("user_metadata").cloned()
}

async fn done(response: reqwest::Response) {
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().await.unwrap(), "");
}

#[tokio::test]
async fn merged_replaced_and_cleared() {
    let server = TestServer::start();
    let text = r#"{"z": "ünï", "n": 5, "rating": 9.3, "ok": true, "tags": ["a", "b"], "no": "", "nil": null, "none": []}"#;
    let form = direct(&media::png()).text("user_metadata", text);
    let created = expect(201, server.post(form).send().await.unwrap()).await;
    let id = created["_id"].as_str().unwrap();
    let whole = server.get(&format!("/v1.3/assets/{id}")).send().await.unwrap().text().await.unwrap();
    // In the order and with the digits it came.
    assert!(whole.contains(r#"{"z":"ünï","n":5,"rating":9.3,"ok":true,"tags":["a","b"]}"#), "{whole}");

    let changes = json!({ "user_metadata": { "n": null, "z": "", "tags": [], "ok": false, "new": "x" } });
    done(change(&server, "PATCH", id, changes.to_string()).await).await;
    let merged = json!({ "z": "ünï", "rating": 9.3, "ok": false, "tags": ["a", "b"], "new": "x" });
    assert_eq!(kept(&server, id).await, Some(merged.clone()));
    let page = expect(200, server.get("/v1.3/assets").send().await.unwrap()).await;
    assert_eq!(page["data"][0]["user_metadata"], merged);

    done(change(&server, "PUT", id, r#"{"user_metadata": {"only": 1, "no": "", "nil": null}}"#).await).await;
    assert_eq!(kept(&server, id).await, Some(json!({ "only": 1 })));
    done(change(&server, "PUT", id, r#"{"user_metadata": {}}"#).await).await;
    assert_eq!(kept(&server, id).await, None);
    done(change(&server, "PATCH", id, r#"{"user_metadata": {"again": true}}"#).await).await;
    assert_eq!(kept(&server, id).await, Some(json!({ "again": true })));
    done(change(&server, "DELETE", id, "").await).await;
    assert_eq!(kept(&server, id).await, None);
    server.assert_healthy();
}

#[tokio::test]
async fn what_cannot_be_kept_changes_nothing() {
    let server = TestServer::start();
    let asset = server.create(&media::png()).await;
    let id = asset["_id"].as_str().unwrap();
    let half = json!({ "user_metadata": { "half": "x".repeat(9_000) } }).to_string();
    done(change(&server, "PATCH", id, half).await).await;
    let more = json!({ "user_metadata": { "more": "x".repeat(9_000) } }).to_string();
    for (body, message) in [
        (
            more,
            "The user_metadata parameter is invalid. It has 18021 bytes as JSON, at most 16384 are allowed.",
        ),
        (
            r#"{"user_metadata": {"a": 1, "b": {"c": 1}}}"#.to_owned(),
            "The user_metadata parameter is invalid. The value of \"b\" is not a string, a number, a boolean or an array of strings.",
        ),
        (
            r#"{"user_metadata": {"n": 9007199254740993}}"#.to_owned(),
            "The user_metadata parameter is invalid. The number of \"n\" is beyond 53 bits. Please send it as a string.",
        ),
        (
            r#"{"user_metadata": "a=b"}"#.to_owned(),
            "The user_metadata parameter is invalid. It is not a JSON object.",
        ),
        ("[]".to_owned(), "The body parameter is invalid. It is not a JSON object."),
    ] {
        let message_of =
            expect_error(400, "parameter_invalid", change(&server, "PATCH", id, body).await).await;
        assert_eq!(message_of, message);
    }
    let absent = change(&server, "PUT", id, "{}").await;
    let message = expect_error(400, "parameter_not_provided", absent).await;
    assert_eq!(message, "The user_metadata parameter is required but was not provided.");
    assert_eq!(kept(&server, id).await.unwrap()["half"].as_str().unwrap().len(), 9_000);

    for text in ["no JSON", "[1]", r#"{"a": {}}"#] {
        let form = direct(&media::png()).text("user_metadata", text);
        expect_error(400, "parameter_invalid", server.post(form).send().await.unwrap()).await;
    }
    assert_eq!(server.total().await, 1);
    for method in ["PATCH", "PUT", "DELETE"] {
        let unknown = "0123456789abcdef01234567";
        let response = change(&server, method, unknown, r#"{"user_metadata": {}}"#).await;
        let message = expect_error(404, "resource_not_exist", response).await;
        assert_eq!(message, format!("Resource with id {unknown} does not exist in assets."));
    }
}

/// An upload in chunks has it from its first moment on; a key for another request is not this one's.
#[tokio::test]
async fn it_is_part_of_what_a_create_says() {
    let server = TestServer::start();
    let given = json!({ "z": 1, "a": "b", "no": "" });
    let upload =
        json!({ "filename": "a.mp4", "type": "video", "total_size": 10_000_000, "user_metadata": given });
    let path = "/v1.3/assets/multipart-uploads";
    let begun = expect(201, server.json("POST", path, &upload).await).await;
    let id = begun["asset_id"].as_str().unwrap();
    assert_eq!(kept(&server, id).await, Some(json!({ "z": 1, "a": "b" })));
    done(change(&server, "PATCH", id, r#"{"user_metadata": {"z": null}}"#).await).await;
    assert_eq!(kept(&server, id).await, Some(json!({ "a": "b" })));
    let bad = json!({ "filename": "a.mp4", "type": "video", "total_size": 1, "user_metadata": { "a": {} } });
    expect_error(400, "parameter_invalid", server.json("POST", path, &bad).await).await;

    let create = async |metadata: &'static str| {
        let form = direct(&media::png()).text("user_metadata", metadata);
        server.post(form).header("idempotency-key", "one").send().await.unwrap()
    };
    let first = expect(201, create(r#"{"a": 1}"#).await).await;
    assert_eq!(expect(201, create(r#"{"a": 1}"#).await).await, first);
    expect_error(422, "idempotency_key_reused", create(r#"{"a": 2}"#).await).await;
}
