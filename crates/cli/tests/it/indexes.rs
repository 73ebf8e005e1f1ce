//! Indexes: made, listed, renamed, deleted.

use serde_json::{Value, json};

use crate::{
    harness::{KEY, TestServer, client, eventually, expect, expect_error, reelhouse},
    media,
};

/// An index of the model that takes all kinds.
pub(crate) async fn make(server: &TestServer, name: &str) -> String {
    let models = json!([{ "model_name": "marengo3.0", "model_options": ["visual", "audio"] }]);
    make_with(server, json!({ "index_name": name, "models": models })).await
}

pub(crate) async fn make_with(server: &TestServer, body: Value) -> String {
    let made = expect(201, server.json("POST", "/v1.3/indexes", &body).await).await;
    assert_eq!(made.as_object().unwrap().len(), 1);
    made["_id"].as_str().unwrap().to_owned()
}

pub(crate) async fn get(server: &TestServer, path: &str) -> Value {
    expect(200, server.get(path).send().await.unwrap()).await
}

/// 200, and nothing in it.
pub(crate) async fn done(response: reqwest::Response) {
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().await.unwrap(), "");
}

fn names(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|index| index["index_name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn made_renamed_and_deleted() {
    let server = TestServer::start();
    let models = json!([
        { "model_name": "marengo3.0", "model_options": ["visual"] },
        { "model_name": "pegasus1.2", "model_options": ["visual", "audio"] },
    ]);
    let body =
        json!({ "index_name": "a \"quoted\" ünï", "models": models, "addons": ["thumbnail"], "newer": 1 });
    let id = make_with(&server, body.clone()).await;
    let path = format!("/v1.3/indexes/{id}");
    let index = get(&server, &path).await;
    let created_at = index["created_at"].as_str().unwrap();
    assert!(created_at.len() == 24 && created_at.ends_with('Z'), "{created_at}");
    let expected = json!({
        "_id": id, "index_name": "a \"quoted\" ünï", "models": models, "addons": ["thumbnail"],
        "total_duration": 0.0, "video_count": 0.0, "created_at": created_at, "updated_at": created_at,
    });
    assert_eq!(index, expected);

    let again = server.json("POST", "/v1.3/indexes", &body).await;
    let message = expect_error(400, "index_name_already_exists", again).await;
    assert_eq!(
        message,
        "Index name a \"quoted\" ünï already exists. Please use another unique name and try again."
    );
    make(&server, "other").await;
    let taken = server.json("PUT", &path, &json!({ "index_name": "other" })).await;
    expect_error(400, "index_name_already_exists", taken).await;
    done(server.json("PUT", &path, &json!({ "index_name": "new" })).await).await;
    done(server.json("PUT", &path, &json!({ "index_name": "new" })).await).await;
    let renamed = get(&server, &path).await;
    assert_eq!((&renamed["index_name"], &renamed["created_at"]), (&"new".into(), &created_at.into()));
    assert!(renamed["updated_at"].as_str().unwrap() > created_at);
    // Its old name is free.
    make_with(&server, body).await;

    done(server.delete(&path).send().await.unwrap()).await;
    let rename = json!({ "index_name": "x" });
    for response in [
        server.get(&path).send().await.unwrap(),
        server.delete(&path).send().await.unwrap(),
        server.json("PUT", &path, &rename).await,
    ] {
        let message = expect_error(404, "resource_not_exist", response).await;
        assert_eq!(message, format!("Resource with id {id} does not exist in indexes."));
    }
    server.assert_healthy();
}

#[tokio::test]
async fn what_is_wrong_with_one_is_named() {
    let server = TestServer::start();
    let good = json!([{ "model_name": "marengo3.0", "model_options": ["visual"] }]);
    let with = |models: Value| json!({ "index_name": "a", "models": models });
    let model = |name: &str, options: Value| json!({ "model_name": name, "model_options": options });
    for (body, code, message) in [
        (
            json!({ "models": good }),
            "parameter_not_provided",
            "The index_name parameter is required but was not provided.",
        ),
        (
            json!({ "index_name": " ", "models": good }),
            "parameter_not_provided",
            "The index_name parameter is required but was not provided.",
        ),
        (
            json!({ "index_name": 5, "models": good }),
            "parameter_invalid",
            "The index_name parameter is invalid. It is not a string.",
        ),
        (
            json!({ "index_name": "é".repeat(256), "models": good }),
            "parameter_invalid",
            "The index_name parameter is invalid. It has 256 characters, at most 255 are allowed.",
        ),
        (
            json!({ "index_name": "a" }),
            "parameter_not_provided",
            "The models parameter is required but was not provided.",
        ),
        (with(json!([])), "parameter_invalid", "The models parameter is invalid. It names no model."),
        (
            with(json!([model("pegasus1.5", json!(["visual"]))])),
            "parameter_invalid",
            "The models parameter is invalid. \"pegasus1.5\" is none of marengo3.0, pegasus1.2.",
        ),
        (
            with(json!([model("marengo3.0", json!(["smell"]))])),
            "parameter_invalid",
            "The models parameter is invalid. \"smell\" is none of visual, audio.",
        ),
        (
            with(json!([model("marengo3.0", json!([]))])),
            "parameter_invalid",
            "The models parameter is invalid. It names no options of marengo3.0.",
        ),
        (
            with(json!([good[0], good[0]])),
            "parameter_invalid",
            "The models parameter is invalid. It names marengo3.0 more than once.",
        ),
        (
            with(json!([{ "model_options": ["visual"] }])),
            "parameter_invalid",
            "The models parameter is invalid. Entry 1: missing field `model_name`.",
        ),
        (
            json!({ "index_name": "a", "models": good, "addons": ["perfume"] }),
            "parameter_invalid",
            "The addons parameter is invalid. \"perfume\" is none of thumbnail.",
        ),
        (
            json!({ "index_name": "a", "models": [model("pegasus1.2", json!(["visual"]))], "addons": ["thumbnail"] }),
            "parameter_invalid",
            "The addons parameter is invalid. Add-ons need marengo3.0 among the models.",
        ),
    ] {
        let found = expect_error(400, code, server.json("POST", "/v1.3/indexes", &body).await).await;
        assert_eq!(found, message, "{body}");
    }
    assert!(names(&get(&server, "/v1.3/indexes").await).is_empty());
}

#[tokio::test]
async fn lists_page_sort_and_filter() {
    let server = TestServer::start();
    let first = make(&server, "first").await;
    let only_sound = json!([{ "model_name": "pegasus1.2", "model_options": ["audio"] }]);
    make_with(&server, json!({ "index_name": "second", "models": only_sound })).await;
    let third = make(&server, "third").await;
    let updated_at = async |id: &str| {
        let index = get(&server, &format!("/v1.3/indexes/{id}")).await;
        index["updated_at"].as_str().unwrap().to_owned()
    };
    let rename = json!({ "index_name": "first again" });
    eventually("it is renamed in a later millisecond", async || {
        done(server.json("PUT", &format!("/v1.3/indexes/{first}"), &rename).await).await;
        updated_at(&first).await > updated_at(&third).await
    })
    .await;
    let renamed_at = updated_at(&first).await;
    for (query, expected) in [
        ("", vec!["third", "second", "first again"]),
        ("sort_option=asc", vec!["first again", "second", "third"]),
        ("sort_by=updated_at", vec!["first again", "third", "second"]),
        ("sort_by=updated_at&sort_option=asc", vec!["second", "third", "first again"]),
        ("page=2&page_limit=2", vec!["first again"]),
        ("page=3&page_limit=2", vec![]),
        ("index_name=second", vec!["second"]),
        ("index_name=seco", vec![]),
        ("model_options=audio", vec!["third", "second", "first again"]),
        ("model_options=visual%2Caudio", vec!["third", "first again"]),
        ("model_family=pegasus", vec!["second"]),
        ("model_family=marengo&model_options=visual", vec!["third", "first again"]),
        (&format!("updated_at={renamed_at}"), vec!["first again"]),
        ("created_at=2000-01-01T00:00:00Z", vec!["third", "second", "first again"]),
        ("created_at=2100-01-01T00:00:00%2B02:00", vec![]),
        ("newer=1", vec!["third", "second", "first again"]),
    ] {
        let page = get(&server, &format!("/v1.3/indexes?{query}")).await;
        assert_eq!(names(&page), expected, "{query}");
        let whole = if query.contains("page") { 3 } else { expected.len() };
        assert_eq!(page["page_info"]["total_results"], whole, "{query}");
    }
    for (query, message) in [
        ("page=0", "The page parameter is invalid. \"0\" is not a whole number of at least 1."),
        ("sort_by=name", "The sort_by parameter is invalid. \"name\" is neither created_at nor updated_at."),
        ("sort_option=up", "The sort_option parameter is invalid. \"up\" is neither asc nor desc."),
        ("model_family=x", "The model_family parameter is invalid. \"x\" is neither marengo nor pegasus."),
        ("model_options=x", "The model_options parameter is invalid. \"x\" is neither visual nor audio."),
        (
            "created_at=today",
            "The created_at parameter is invalid. \"today\" is no time like 2026-05-01T10:30:00Z.",
        ),
    ] {
        let response = server.get(&format!("/v1.3/indexes?{query}")).send().await.unwrap();
        assert_eq!(expect_error(400, "parameter_invalid", response).await, message);
    }
}

#[tokio::test]
async fn two_accounts_cannot_see_each_others_indexes() {
    let server = TestServer::start();
    let key = |arguments: &[&str]| {
        let output = reelhouse(server.dir.path()).args(["keys", "create"]).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (other, reader) = (key(&["--account", "other"]), key(&["--account", "default", "--read-only"]));
    let index = make(&server, "mine").await;
    let asset = server.create(&media::png()).await;
    let asset = asset["_id"].as_str().unwrap();
    let entries = format!("/v1.3/indexes/{index}/indexed-assets");
    let body = json!({ "asset_id": asset });
    let entry = expect(202, server.json("POST", &entries, &body).await).await;
    let entry = format!("{entries}/{}", entry["_id"].as_str().unwrap());
    let as_key = |key: &str, method: &str, path: &str, body: &Value| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        client().request(method, format!("{}{path}", server.url)).header("x-api-key", key).json(body).send()
    };
    let one = format!("/v1.3/indexes/{index}");
    let rename = json!({ "index_name": "theirs", "user_metadata": {} });
    for (method, path, body) in [
        ("GET", &one, &rename),
        ("PUT", &one, &rename),
        ("DELETE", &one, &rename),
        ("GET", &entries, &rename),
        ("POST", &entries, &body),
        ("GET", &entry, &rename),
        ("PATCH", &entry, &rename),
        ("DELETE", &entry, &rename),
        ("GET", &format!("/v1.3/assets/{asset}/indexed-assets"), &rename),
    ] {
        let response = as_key(&other, method, path, body).await.unwrap();
        expect_error(404, "resource_not_exist", response).await;
        if method != "GET" {
            expect_error(403, "api_not_allowed", as_key(&reader, method, path, body).await.unwrap()).await;
        }
    }
    let page = expect(200, as_key(&other, "GET", "/v1.3/indexes", &rename).await.unwrap()).await;
    assert!(names(&page).is_empty());

    // The name is free for them, and my asset is not theirs to add.
    let models = json!([{ "model_name": "marengo3.0", "model_options": ["visual"] }]);
    let theirs = json!({ "index_name": "mine", "models": models });
    let theirs = expect(201, as_key(&other, "POST", "/v1.3/indexes", &theirs).await.unwrap()).await;
    let path = format!("/v1.3/indexes/{}/indexed-assets", theirs["_id"].as_str().unwrap());
    let message =
        expect_error(404, "resource_not_exist", as_key(&other, "POST", &path, &body).await.unwrap()).await;
    assert_eq!(message, format!("Resource with id {asset} does not exist in assets."));
    expect_error(401, "unauthorized", client().get(format!("{}{one}", server.url)).send().await.unwrap())
        .await;
    assert_ne!(other, KEY);
    server.assert_healthy();
}

/// A database may know no text with a NUL: it is in no name, and whoever looks for it finds nothing.
#[tokio::test]
async fn a_nul_is_nowhere() {
    let server = TestServer::start();
    let asset = server.create(&media::mp4()).await;
    let models = json!([{ "model_name": "marengo3.0", "model_options": ["visual"] }]);
    let body = json!({ "index_name": "a\0b", "models": models });
    expect_error(400, "parameter_invalid", server.json("POST", "/v1.3/indexes", &body).await).await;
    let index = make(&server, "a").await;
    let renamed = server.json("PUT", &format!("/v1.3/indexes/{index}"), &json!({ "index_name": "\0" })).await;
    expect_error(400, "parameter_invalid", renamed).await;
    let path = format!("/v1.3/indexes/{index}/indexed-assets");
    let added = server.json("POST", &path, &json!({ "asset_id": asset["_id"] })).await;
    let place = expect(202, added).await["_id"].as_str().unwrap().to_owned();
    let kept = json!({ "user_metadata": { "a\0": "\\u0000", "b": "c\0", "d": "e" } });
    let changed = server.json("PATCH", &format!("{path}/{place}"), &kept).await;
    assert!(changed.status().is_success(), "{}", changed.text().await.unwrap());
    for (query, found) in [
        ("/v1.3/assets?filename=%00".to_owned(), 0),
        ("/v1.3/assets?filename=abc%00".to_owned(), 0),
        ("/v1.3/indexes?index_name=a%00".to_owned(), 0),
        (format!("{path}?filename=%00"), 0),
        (format!("{path}?user_metadata[b]=c"), 0),
        (format!("{path}?user_metadata[d]=e"), 1),
        (format!("{path}?user_metadata[d]=e%00"), 0),
        (format!("{path}?user_metadata[%00]=e"), 0),
    ] {
        let page = get(&server, &query).await;
        assert_eq!(page["page_info"]["total_results"], found, "{query}");
    }
    server.assert_healthy();
}
