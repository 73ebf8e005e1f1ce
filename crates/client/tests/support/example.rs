// A small server for the examples of the documentation, which run.

use reelhouse_client::Client;
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::any};

/// Runs an example with a client of a server that has one of everything.
pub fn example(run: impl AsyncFnOnce(Client) -> Result<(), Box<dyn std::error::Error>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let client = Client::builder().api_key("a-key").base_url(format!("{}/v1.3", server.uri())).build().unwrap();
        run(client).await.unwrap();
    });
}

const ASSET: &str = r#"{"_id": "6730aaaaaaaaaaaaaaaaaaaa", "method": "direct", "status": "ready", "filename": "clip.mp4",
    "file_type": "video/mp4", "size": 10, "duration": 12.48, "created_at": "2026-05-01T10:30:00Z",
    "hls": {"status": "ready", "manifest_url": "http://127.0.0.1/m"}}"#;
const INDEX: &str = r#"{"_id": "6730bbbbbbbbbbbbbbbbbbbb", "index_name": "films", "video_count": 1}"#;
const INDEXED: &str =
    r#"{"_id": "6730cccccccccccccccccccc", "asset_id": "6730aaaaaaaaaaaaaaaaaaaa", "status": "ready"}"#;
const SUMMARY: &str =
    r#"{"_id": "6730cccccccccccccccccccc", "index": {"_id": "6730bbbbbbbbbbbbbbbbbbbb", "name": "films"}}"#;
const UPLOAD: &str = r#"{"upload_id": "6730dddddddddddddddddddd", "asset_id": "6730aaaaaaaaaaaaaaaaaaaa",
    "upload_urls": [], "chunk_size": 4, "total_chunks": 3}"#;
const INCOMPLETE: &str = r#"{"upload_id": "6730dddddddddddddddddddd", "status": "active", "total_size": 10,
    "chunk_size": 4, "total_chunks": 3}"#;
const STANDING: &str = r#"{"upload_id": "6730dddddddddddddddddddd", "status": "active", "uploaded_chunks": [],
    "chunks_completed": 0, "chunks_failed": 0, "chunks_pending": 3, "total_size": 10, "uploaded_size": 0,
    "page_info": {"limit_per_page": 50, "page": 1, "total_page": 1, "total_results": 3}}"#;
const REPORTED: &str = r#"{"asset_id": "6730aaaaaaaaaaaaaaaaaaaa", "processed_chunks": 1, "duplicate_chunks": 0,
    "total_completed": 3}"#;

fn answer(request: &Request) -> ResponseTemplate {
    let path: Vec<&str> = request.url.path().trim_start_matches("/v1.3").split('/').skip(1).collect();
    let page_1 = !request.url.query().unwrap_or_default().contains("page=2");
    let list = |item: &str| format!(r#"{{"data": [{}]}}"#, if page_1 { item } else { "" });
    let (status, body) = match (request.method.as_str(), path.as_slice()) {
        ("PUT", ["put", _]) => return ResponseTemplate::new(200).insert_header("etag", "\"proof\""),
        ("GET", ["assets", _, "content"]) => return ResponseTemplate::new(200).set_body_bytes(*b"0123456789"),
        ("POST", ["assets", "multipart-uploads"]) => (201, UPLOAD.to_owned()),
        ("GET", ["assets", "multipart-uploads"]) => (200, list(INCOMPLETE)),
        ("GET", ["assets", "multipart-uploads", _]) => (200, STANDING.to_owned()),
        ("POST", ["assets", "multipart-uploads", _]) => (200, REPORTED.to_owned()),
        ("POST", ["assets", "multipart-uploads", id, "presigned-urls"]) => {
            let host = request.headers["host"].to_str().unwrap();
            let url = |n| format!(r#"{{"chunk_index": {n}, "url": "http://{host}/put/{n}"}}"#);
            let urls = format!(r#""upload_urls": [{}, {}, {}]"#, url(1), url(2), url(3));
            (200, format!(r#"{{"upload_id": "{id}", "start_index": 1, "count": 3, {urls}}}"#))
        }
        ("POST", ["assets"]) => (201, ASSET.to_owned()),
        ("GET", ["assets"]) => (200, list(ASSET)),
        ("GET", ["assets", _]) => (200, ASSET.to_owned()),
        ("GET", ["assets", _, "indexed-assets"]) => (200, list(SUMMARY)),
        ("POST", ["indexes"]) => (201, INDEX.to_owned()),
        ("GET", ["indexes"]) => (200, list(INDEX)),
        ("GET", ["indexes", _]) => (200, INDEX.to_owned()),
        ("POST", ["indexes", _, "indexed-assets"]) => (202, INDEXED.to_owned()),
        ("GET", ["indexes", _, "indexed-assets"]) => (200, list(INDEXED)),
        ("GET", ["indexes", _, "indexed-assets", _]) => (200, INDEXED.to_owned()),
        ("PATCH" | "PUT" | "DELETE", _) => (200, String::new()),
        _ => (404, r#"{"code": "endpoint_not_exist", "message": "This server has nothing at this path."}"#.to_owned()),
    };
    ResponseTemplate::new(status).set_body_string(body).insert_header("x-api-version", "1.3")
}
