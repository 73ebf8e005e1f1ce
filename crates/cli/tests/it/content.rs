use crate::{
    harness::{TestServer, expect_error},
    media,
};

#[tokio::test]
async fn the_original_comes_back() {
    let server = TestServer::start();
    let original = std::fs::read(media::mp4()).unwrap();
    let asset = server.create(&media::mp4()).await;
    let path = format!("/v1.3/assets/{}/content", asset["_id"].as_str().unwrap());

    let response = server.get(&path).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let etag = header("etag");
    assert_eq!(header("content-type"), "video/mp4");
    assert_eq!(header("content-length"), original.len().to_string());
    assert_eq!(header("accept-ranges"), "bytes");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("content-disposition"), "attachment; filename=\"clip.mp4\"; filename*=UTF-8''clip.mp4");
    assert_eq!(header("access-control-allow-origin"), "*");
    assert!(response.bytes().await.unwrap() == original);

    for (range, first, last) in [
        ("bytes=0-99", 0, 99),
        ("bytes=1000-", 1000, original.len() - 1),
        ("bytes=-5", original.len() - 5, original.len() - 1),
    ] {
        let response = server.get(&path).header("range", range).send().await.unwrap();
        assert_eq!(response.status(), 206);
        assert_eq!(
            response.headers()["content-range"],
            format!("bytes {first}-{last}/{}", original.len()).as_str()
        );
        assert!(response.bytes().await.unwrap() == original[first..=last]);
    }
    let outside = server.get(&path).header("range", "bytes=99999999-").send().await.unwrap();
    assert_eq!(outside.headers()["content-range"], format!("bytes */{}", original.len()).as_str());
    expect_error(416, "range_not_satisfiable", outside).await;

    let same = server.get(&path).header("if-none-match", format!("\"x\", W/{etag}")).send().await.unwrap();
    assert_eq!(same.status(), 304);
    assert!(same.bytes().await.unwrap().is_empty());
    // A range of another version is no range.
    let other =
        server.get(&path).header("range", "bytes=0-9").header("if-range", "\"other\"").send().await.unwrap();
    assert_eq!(other.status(), 200);
    let this = server.get(&path).header("range", "bytes=0-9").header("if-range", &etag).send().await.unwrap();
    assert_eq!(this.status(), 206);

    let head = crate::harness::client()
        .head(format!("{}{path}", server.url))
        .header("x-api-key", crate::harness::KEY);
    let head = head.send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), &head.headers()["content-length"]),
        (200, &original.len().to_string().parse().unwrap())
    );
}
