//! What is in indexes: added, seen to, listed, changed, taken out; and how it holds its asset.

use serde_json::{Value, json};

use crate::{
    harness::{TestServer, client, direct, eventually, expect, expect_error, reelhouse},
    indexes::{done, get, make, make_with},
    media::{self, video},
};

async fn id_of(server: &TestServer, path: &std::path::Path) -> String {
    server.create(path).await["_id"].as_str().unwrap().to_owned()
}

/// Adds an asset to an index; the path of what it is there.
async fn add(server: &TestServer, index: &str, body: &Value) -> String {
    let path = format!("/v1.3/indexes/{index}/indexed-assets");
    let added = expect(202, server.json("POST", &path, body).await).await;
    assert_eq!(added["asset_id"], body["asset_id"]);
    format!("{path}/{}", added["_id"].as_str().unwrap())
}

/// Waits until its job has seen to it.
async fn settled(server: &TestServer, path: &str) -> Value {
    let open = |status: &Value| matches!(status.as_str(), Some("pending" | "queued" | "indexing"));
    eventually("it is ready or failed", async || !open(&get(server, path).await["status"])).await;
    get(server, path).await
}

fn names(page: &Value) -> Vec<&str> {
    let data = page["data"].as_array().unwrap();
    data.iter().map(|entry| entry["system_metadata"]["filename"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_asset_that_fits_becomes_ready_and_is_held() {
    let server = TestServer::start();
    let (asset, index) = (id_of(&server, &media::mp4()).await, make(&server, "films").await);
    let metadata = json!({ "z": "last", "n": 5, "no": "", "nil": null });
    let entry = add(&server, &index, &json!({ "asset_id": asset, "user_metadata": metadata })).await;
    let found = settled(&server, &entry).await;
    let id = entry.rsplit('/').next().unwrap();
    let whole = get(&server, &format!("/v1.3/assets/{asset}")).await;
    assert_eq!(
        (&found["_id"], &found["asset_id"], &found["status"]),
        (&id.into(), &asset.as_str().into(), &"ready".into())
    );
    let system = json!({
        "filename": "clip.mp4", "duration": whole["duration"], "fps": 25.0, "width": 640, "height": 360,
        "size": whole["size"].as_f64().unwrap(),
    });
    assert_eq!(found["system_metadata"], system);
    assert_eq!(found["user_metadata"], json!({ "z": "last", "n": 5 }));
    let times =
        ["created_at", "updated_at", "indexed_at"].map(|name| found[name].as_str().unwrap().to_owned());
    assert!(times.is_sorted() && times.iter().all(|time| time.len() == 24), "{times:?}");
    for absent in ["hls", "embedding", "transcription", "error", "asset_deleted_at"] {
        assert!(found.get(absent).is_none(), "{absent}");
    }
    // What only a model could tell is left out, not refused.
    let asked = get(&server, &format!("{entry}?embedding_option=visual&transcription=true")).await;
    assert_eq!(asked, found);

    let shown = get(&server, &format!("/v1.3/indexes/{index}")).await;
    assert_eq!((&shown["video_count"], &shown["total_duration"]), (&1.0.into(), &whole["duration"]));
    let second = make(&server, "more films").await;
    let other = add(&server, &second, &json!({ "asset_id": asset })).await;
    let places = get(&server, &format!("/v1.3/assets/{asset}/indexed-assets?page_limit=1")).await;
    let place =
        json!({ "_id": other.rsplit('/').next().unwrap(), "index": { "_id": second, "name": "more films" } });
    assert_eq!(places["data"], json!([place]));
    assert_eq!(
        places["page_info"],
        json!({ "limit_per_page": 1, "page": 1, "total_page": 2, "total_results": 2 })
    );
    let places = get(&server, &format!("/v1.3/assets/{asset}/indexed-assets?page_limit=1&page=2")).await;
    assert_eq!(places["data"], json!([{ "_id": id, "index": { "_id": index, "name": "films" } }]));

    let refused = server.delete(&format!("/v1.3/assets/{asset}")).send().await.unwrap();
    let message = expect_error(409, "asset_in_use", refused).await;
    assert!(message.contains("is referenced by indexed assets (2)"), "{message}");
    // One goes by itself, the other with its index.
    done(server.delete(&entry).send().await.unwrap()).await;
    for method in ["GET", "DELETE"] {
        let response = server.json(method, &entry, &json!({})).await;
        let message = expect_error(404, "resource_not_exist", response).await;
        assert_eq!(message, format!("Resource with id {id} does not exist in indexed-assets."));
    }
    let shown = get(&server, &format!("/v1.3/indexes/{index}")).await;
    assert_eq!((&shown["video_count"], &shown["total_duration"]), (&0.0.into(), &0.0.into()));
    expect_error(409, "asset_in_use", server.delete(&format!("/v1.3/assets/{asset}")).send().await.unwrap())
        .await;
    settled(&server, &other).await;
    done(server.delete(&format!("/v1.3/indexes/{second}")).send().await.unwrap()).await;
    let gone = expect_error(404, "resource_not_exist", server.get(&other).send().await.unwrap()).await;
    assert_eq!(gone, format!("Resource with id {second} does not exist in indexes."));
    expect(200, server.delete(&format!("/v1.3/assets/{asset}")).send().await.unwrap()).await;
    server.assert_healthy();
}

#[tokio::test]
async fn what_a_model_does_not_take_fails_and_says_why() {
    let server = TestServer::start_with(&[("REELHOUSE_LIMITS", "permissive")]);
    let small = id_of(&server, &video("small.mp4", "testsrc2=size=320x240:duration=5")).await;
    let index = make(&server, "films").await;
    let entry = add(&server, &index, &json!({ "asset_id": small })).await;
    let found = settled(&server, &entry).await;
    assert_eq!(found["status"], "failed");
    assert_eq!(found["error"]["code"], "video_resolution_too_low");
    let message = "For marengo3.0: The resolution of the video is too low. Please upload a video with a resolution between 360x360 and 5184x2160. Current resolution is 320x240.";
    assert_eq!(found["error"]["message"], message);
    assert!(found.get("indexed_at").is_none());

    // The most restrictive of an index's models decides.
    let picture = id_of(&server, &media::png()).await;
    let model = |name: &str| json!({ "model_name": name, "model_options": ["visual"] });
    let body = json!({ "index_name": "both", "models": [model("marengo3.0"), model("pegasus1.2")] });
    let both = make_with(&server, body).await;
    let (one, other) = (json!({ "asset_id": picture }), json!({ "asset_id": picture }));
    let found = settled(&server, &add(&server, &both, &one).await).await;
    assert_eq!(
        found["error"]["message"],
        "For pegasus1.2: The file parameter is invalid. Unsupported asset type: image/png."
    );
    let found = settled(&server, &add(&server, &index, &other).await).await;
    assert_eq!((&found["status"], found["system_metadata"].get("duration")), (&"ready".into(), None));
    // What failed is in the index, too: it counts, and it holds its asset.
    let shown = get(&server, &format!("/v1.3/indexes/{both}")).await;
    assert_eq!(shown["video_count"], 1.0);
    expect_error(409, "asset_in_use", server.delete(&format!("/v1.3/assets/{small}")).send().await.unwrap())
        .await;
    server.assert_healthy();
}

#[tokio::test]
async fn what_cannot_be_added_is_told_so() {
    let server = TestServer::start_with(&[("REELHOUSE_WORKERS", "0")]);
    let (asset, index) = (id_of(&server, &media::png()).await, make(&server, "a").await);
    let path = format!("/v1.3/indexes/{index}/indexed-assets");
    let chunked = json!({ "filename": "a.mp4", "type": "video", "total_size": 10_000_000 });
    let chunked = expect(201, server.json("POST", "/v1.3/assets/multipart-uploads", &chunked).await).await;
    let arriving = chunked["asset_id"].as_str().unwrap();
    let first = add(&server, &index, &json!({ "asset_id": asset })).await;
    let first = first.rsplit('/').next().unwrap();
    for (body, status, code, message) in [
        (json!({}), 400, "parameter_not_provided", "The asset_id parameter is required but was not provided.".to_owned()),
        (json!({ "asset_id": 5 }), 400, "parameter_invalid", "The asset_id parameter is invalid. It is not a string.".to_owned()),
        (
            json!({ "asset_id": arriving }),
            400,
            "parameter_invalid",
            format!("The asset_id parameter is invalid. The asset {arriving} is processing, it must be ready."),
        ),
        (
            json!({ "asset_id": asset }),
            400,
            "parameter_invalid",
            format!("The asset_id parameter is invalid. The asset {asset} is in this index already, as {first}."),
        ),
        (json!({ "asset_id": "none" }), 404, "resource_not_exist", "Resource with id none does not exist in assets.".to_owned()),
        (
            json!({ "asset_id": asset, "enable_video_stream": "yes" }),
            400,
            "parameter_invalid",
            "The enable_video_stream parameter is invalid. It is neither true nor false.".to_owned(),
        ),
        (
            json!({ "asset_id": asset, "user_metadata": { "a": {} } }),
            400,
            "parameter_invalid",
            "The user_metadata parameter is invalid. The value of \"a\" is not a string, a number, a boolean or an array of strings.".to_owned(),
        ),
    ] {
        let found = expect_error(status, code, server.json("POST", &path, &body).await).await;
        assert_eq!(found, message);
    }
    let body = json!({ "asset_id": asset });
    for index in ["none", "0123456789abcdef01234567"] {
        let path = format!("/v1.3/indexes/{index}/indexed-assets");
        let message = expect_error(404, "resource_not_exist", server.json("POST", &path, &body).await).await;
        assert_eq!(message, format!("Resource with id {index} does not exist in indexes."));
    }
    assert_eq!(get(&server, &path).await["page_info"]["total_results"], 1);
}

#[tokio::test]
async fn after_a_forced_delete_it_stays_and_says_that_its_asset_is_gone() {
    let server = TestServer::start();
    let (asset, index) = (id_of(&server, &media::mp4()).await, make(&server, "films").await);
    let body = json!({ "asset_id": asset, "enable_video_stream": true, "user_metadata": { "a": 1 } });
    let entry = add(&server, &index, &body).await;
    let before = settled(&server, &entry).await;
    expect(200, server.delete(&format!("/v1.3/assets/{asset}?force=true")).send().await.unwrap()).await;
    let after = get(&server, &entry).await;
    for same in ["_id", "asset_id", "status", "system_metadata", "user_metadata", "indexed_at", "created_at"]
    {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!(after["asset_deleted_at"].as_str().unwrap().len(), 24);
    assert!(after.get("hls").is_none() && after.get("error").is_none());
    let list = get(&server, &format!("/v1.3/indexes/{index}/indexed-assets")).await;
    assert_eq!(list["data"][0]["asset_deleted_at"], after["asset_deleted_at"]);
    let places = server.get(&format!("/v1.3/assets/{asset}/indexed-assets")).send().await.unwrap();
    expect_error(404, "resource_not_exist", places).await;
    done(server.json("PATCH", &entry, &json!({ "user_metadata": { "b": 2 } })).await).await;
    assert_eq!(get(&server, &entry).await["user_metadata"], json!({ "a": 1, "b": 2 }));
    done(server.delete(&entry).send().await.unwrap()).await;
    server.assert_healthy();
    // What was still to be done will not be.
    let server = TestServer::start_in(server.stop(), &[("REELHOUSE_WORKERS", "0")]);
    let (asset, index) = (id_of(&server, &media::png()).await, make(&server, "later").await);
    let entry = add(&server, &index, &json!({ "asset_id": asset })).await;
    assert_eq!(get(&server, &entry).await["status"], "pending");
    expect(200, server.delete(&format!("/v1.3/assets/{asset}?force=true")).send().await.unwrap()).await;
    let after = get(&server, &entry).await;
    let message = format!("Resource with id {asset} does not exist in assets.");
    assert_eq!((&after["status"], &after["error"]["message"]), (&"failed".into(), &message.into()));
    server.assert_healthy();
}

#[tokio::test]
async fn its_stream_is_the_assets_own() {
    let server = TestServer::start();
    let models = json!([{ "model_name": "marengo3.0", "model_options": ["visual"] }]);
    let body = json!({ "index_name": "films", "models": models, "addons": ["thumbnail"] });
    let index = make_with(&server, body).await;
    // Nobody asked for HLS or a thumbnail before.
    let asset = id_of(&server, &media::mp4()).await;
    let entry = add(&server, &index, &json!({ "asset_id": asset, "enable_video_stream": true })).await;
    eventually("it plays", async || {
        let hls = get(&server, &entry).await["hls"].clone();
        hls["status"] == "COMPLETE" && hls["thumbnail_urls"][0].is_string()
    })
    .await;
    let found = get(&server, &entry).await;
    let whole = get(&server, &format!("/v1.3/assets/{asset}")).await;
    assert_eq!(found["hls"]["video_url"], whole["hls"]["manifest_url"]);
    assert_eq!(found["hls"]["thumbnail_urls"], json!([whole["thumbnail"]["representative_url"]]));
    assert_eq!(found["hls"]["updated_at"].as_str().unwrap().len(), 24);
    let playlist = client().get(found["hls"]["video_url"].as_str().unwrap()).send().await.unwrap();
    assert!(playlist.text().await.unwrap().starts_with("#EXTM3U"));

    // An image has no stream, and who did not ask for one sees none.
    let picture = id_of(&server, &media::png()).await;
    let entry = add(&server, &index, &json!({ "asset_id": picture, "enable_video_stream": true })).await;
    assert!(settled(&server, &entry).await.get("hls").is_none());
    let plain = make(&server, "plain").await;
    let entry = add(&server, &plain, &json!({ "asset_id": asset })).await;
    assert!(settled(&server, &entry).await.get("hls").is_none());
    server.assert_healthy();
}

#[tokio::test]
async fn lists_page_sort_and_filter() {
    let server = TestServer::start();
    let index = make(&server, "all").await;
    let path = format!("/v1.3/indexes/{index}/indexed-assets");
    let mut entries = Vec::new();
    for (file, name, metadata) in [
        (
            media::mp4(),
            "film.mp4",
            json!({ "genre": "drama", "n": 5, "ok": true, "tags": ["a", "b c"], "we[i]rd \"k\"": "x" }),
        ),
        (media::mp3(), "song.mp3", json!({ "genre": "Drama", "n": "5", "rating": 9.3, "ok": false })),
        (media::png(), "picture.png", json!({ "genre": "5", "none": "true" })),
    ] {
        let created = server.post(direct(&file).text("filename", name)).send().await.unwrap();
        let created = expect(201, created).await;
        let body = json!({ "asset_id": created["_id"], "user_metadata": metadata });
        let entry = add(&server, &index, &body).await;
        settled(&server, &entry).await;
        entries.push(entry);
    }
    eventually("it is changed in a later millisecond", async || {
        for changes in [json!({ "n": 6, "ok": null }), json!({ "n": 5, "ok": true })] {
            done(server.json("PATCH", &entries[0], &json!({ "user_metadata": changes })).await).await;
        }
        let [first, .., last] = &entries[..] else { return false };
        let (first, last) = (get(&server, first).await, get(&server, last).await);
        first["updated_at"].as_str() > last["updated_at"].as_str()
    })
    .await;
    let changed_at = get(&server, &entries[0]).await["updated_at"].as_str().unwrap().to_owned();
    let created_at = get(&server, &entries[1]).await["created_at"].as_str().unwrap().to_owned();
    let node = |metadata: Value| -> String {
        let pairs = [("user_metadata", metadata.to_string())];
        reqwest::Url::parse_with_params("http://a", pairs).unwrap().query().unwrap().to_owned()
    };
    let python = |key: &str, value: &str| -> String {
        let pairs = [(format!("user_metadata[{key}]"), value)];
        reqwest::Url::parse_with_params("http://a", pairs).unwrap().query().unwrap().to_owned()
    };
    let all = vec!["picture.png", "song.mp3", "film.mp4"];
    for (query, expected) in [
        (String::new(), all.clone()),
        ("sort_option=asc".to_owned(), vec!["film.mp4", "song.mp3", "picture.png"]),
        ("sort_by=updated_at".to_owned(), vec!["film.mp4", "picture.png", "song.mp3"]),
        ("sort_by=updated_at&sort_option=asc&page=2&page_limit=2".to_owned(), vec!["film.mp4"]),
        ("page=9".to_owned(), vec![]),
        ("status=ready&status=validating".to_owned(), all.clone()),
        ("status=failed".to_owned(), vec![]),
        ("status=validating".to_owned(), vec![]),
        ("filename=film.mp4".to_owned(), vec!["film.mp4"]),
        ("filename=film".to_owned(), vec![]),
        ("duration%5Bgte%5D=4.5".to_owned(), vec!["song.mp3", "film.mp4"]),
        ("duration[lte]=4".to_owned(), vec![]),
        ("width%5Bgte%5D=320&width%5Blte%5D=500".to_owned(), vec!["picture.png"]),
        ("height=360".to_owned(), vec!["film.mp4"]),
        ("fps[gte]=24&fps[lte]=26".to_owned(), vec!["film.mp4"]),
        ("size[gte]=1".to_owned(), all.clone()),
        ("size[lte]=1".to_owned(), vec![]),
        (format!("created_at={created_at}"), vec!["picture.png", "song.mp3"]),
        (format!("updated_at={changed_at}"), vec!["film.mp4"]),
        (node(json!({ "genre": "drama" })), vec!["film.mp4"]),
        (python("genre", "drama"), vec!["film.mp4"]),
        (node(json!({ "n": 5 })), vec!["song.mp3", "film.mp4"]),
        (python("n", "5"), vec!["song.mp3", "film.mp4"]),
        (python("n", "5.0"), vec!["film.mp4"]),
        (node(json!({ "rating": 9.3 })), vec!["song.mp3"]),
        (node(json!({ "ok": true })), vec!["film.mp4"]),
        (python("ok", "false"), vec!["song.mp3"]),
        (python("none", "true"), vec!["picture.png"]),
        (python("tags", "b c"), vec!["film.mp4"]),
        (python("tags", "[\"a\",\"b c\"]"), vec![]),
        (python("we[i]rd \"k\"", "x"), vec!["film.mp4"]),
        (node(json!({ "genre": "drama", "n": 4 })), vec![]),
        (python("absent", "x"), vec![]),
        // A bare key is an unknown parameter.
        ("genre=drama".to_owned(), all.clone()),
    ] {
        let page = get(&server, &format!("{path}?{query}")).await;
        assert_eq!(names(&page), expected, "{query}");
        let whole = if query.contains("page") { 3 } else { expected.len() };
        assert_eq!(page["page_info"]["total_results"], whole, "{query}");
    }
    assert!(get(&server, &path).await["data"][0].get("user_metadata").is_none());
    let bad = server.get(&format!("{path}?status=done")).send().await.unwrap();
    let message = expect_error(400, "parameter_invalid", bad).await;
    assert_eq!(message, "The status parameter is invalid. \"done\" is no status of an indexed asset.");
}

/// One job for all places of an asset; killed at any point, it is done by the next server.
#[tokio::test]
async fn a_killed_server_leaves_no_place_unseen() {
    let server = TestServer::start_with(&[("REELHOUSE_WORKERS", "0")]);
    let asset = id_of(&server, &media::png()).await;
    let mut entries = Vec::new();
    for n in 0..20 {
        let index = make(&server, &n.to_string()).await;
        entries.push(add(&server, &index, &json!({ "asset_id": asset })).await);
        if n == 10 {
            // While it stands still, all wait.
            assert_eq!(get(&server, &entries[0]).await["status"], "pending");
        }
    }
    let server = TestServer::start_in(server.kill(), &[]);
    // Somewhere on the way.
    eventually("the job has begun", async || get(&server, &entries[0]).await["status"] != "pending").await;
    let server = TestServer::start_in(server.kill(), &[]);
    for entry in &entries {
        assert_eq!(settled(&server, entry).await["status"], "ready");
    }
    eventually("the job ends", async || {
        let output = reelhouse(server.dir.path()).args(["jobs", "list"]).output().unwrap();
        !String::from_utf8_lossy(&output.stdout).contains("index")
    })
    .await;
    server.assert_healthy();
}
