//! Against a real store: `scripts/with-seaweedfs.sh cargo nextest run -p reelhouse-bucket --run-ignored all`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{fs::File, os::unix::fs::FileExt, sync::Arc, time::Duration};

use reelhouse_bucket::{Bucket, Error, Location, Part, Payload, Shown};

const MIB: u64 = 1 << 20;

/// A part of the store's bucket for one test.
fn bucket(prefix: &str) -> Bucket {
    let url = std::env::var("REELHOUSE_TEST_BLOBS").expect("run it by scripts/with-seaweedfs.sh");
    let location = Location::parse(&format!("{url}/{prefix}"), |name| std::env::var(name).ok()).unwrap();
    Bucket::new(location).unwrap()
}

fn bytes(text: &str) -> Payload {
    Payload::Bytes(text.to_owned().into())
}

/// A file of so many bytes, each other than its neighbours.
fn file(size: u64) -> (Arc<File>, Vec<u8>) {
    let content: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&content, 0).unwrap();
    (Arc::new(file), content)
}

async fn content(bucket: &Bucket, key: &str) -> Option<Vec<u8>> {
    match bucket.get(key, None).await.unwrap() {
        Some(found) => Some(found.all().await.unwrap()),
        None => None,
    }
}

#[tokio::test]
#[ignore = "needs a store"]
async fn objects_come_and_go() {
    let bucket = bucket("objects/a b+c");
    bucket.ping().await.unwrap();
    assert_eq!(bucket.head_object("x/1").await.unwrap(), None);
    assert!(bucket.get("x/1", None).await.unwrap().is_none());
    bucket.put("x/1", bytes("one, and more")).await.unwrap();
    bucket.put("x/2", bytes("")).await.unwrap();
    let (file, written) = file(700_000);
    bucket.put("y/3", Payload::File(file, 5..700_000)).await.unwrap();
    assert_eq!(content(&bucket, "x/1").await.unwrap(), b"one, and more");
    assert_eq!(content(&bucket, "x/2").await.unwrap(), b"");
    assert_eq!(content(&bucket, "y/3").await.unwrap(), written[5..]);
    assert_eq!(bucket.head_object("y/3").await.unwrap(), Some(699_995));
    let part = bucket.get("x/1", Some(3..8)).await.unwrap().unwrap();
    assert_eq!((part.left(), part.all().await.unwrap()), (5, b", and".to_vec()));

    let all = bucket.list("", None).await.unwrap();
    let keys: Vec<_> = all.objects.iter().map(|object| (object.key.as_str(), object.size)).collect();
    assert_eq!(keys, [("x/1", 13), ("x/2", 0), ("y/3", 699_995)]);
    assert_eq!(all.next, None);
    assert!(all.objects.iter().all(|object| object.modified_at > 1_700_000_000_000), "{all:?}");
    assert_eq!(bucket.list("x/", None).await.unwrap().objects.len(), 2);
    let behind = bucket.list_behind("x/", Some("x/1"), None).await.unwrap().objects;
    assert_eq!(behind.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["x/2"]);
    bucket.copy("x/1", "z/ü 4").await.unwrap();
    assert_eq!(content(&bucket, "z/ü 4").await.unwrap(), b"one, and more");
    assert!(matches!(bucket.copy("x/none", "z/5").await, Err(Error::Refused { .. })));
    bucket.delete("z/ü 4").await.unwrap();

    for key in ["x/1", "x/2", "y/3", "never"] {
        bucket.delete(key).await.unwrap();
    }
    assert_eq!(bucket.list("", None).await.unwrap().objects, []);
    assert_eq!(content(&bucket, "x/1").await, None);
}

#[tokio::test]
#[ignore = "needs a store"]
async fn an_object_that_is_there_is_not_written_over() {
    let bucket = bucket("new");
    assert!(bucket.put_new("it", "first").await.unwrap());
    assert!(!bucket.put_new("it", "second").await.unwrap());
    assert_eq!(content(&bucket, "it").await.unwrap(), b"first");
}

#[tokio::test]
#[ignore = "needs a store"]
async fn an_upload_in_parts_is_nowhere_before_it_is_whole() {
    let bucket = bucket("parts");
    let (file, written) = file(11 * MIB);
    let upload = bucket.begin("whole").await.unwrap();
    let part = |n: u64, range| {
        let (bucket, upload, file) = (&bucket, &upload, Arc::clone(&file));
        async move { bucket.put_part("whole", upload, n, Payload::File(file, range)).await.unwrap() }
    };
    let second = part(2, 5 * MIB..10 * MIB).await;
    let third = part(3, 10 * MIB..11 * MIB).await;
    // Sent twice, the later one counts.
    let other = part(1, 1..5 * MIB + 1).await;
    let first = part(1, 0..5 * MIB).await;
    assert_ne!(first, other);
    let here = bucket.parts("whole", &upload).await.unwrap().unwrap();
    // Some stores keep what was sent before, too, until the upload is completed.
    for (part, size) in [(&first, 5 * MIB), (&second, 5 * MIB), (&third, MIB)] {
        assert!(
            here.iter().any(|here| here.etag == part.etag && (here.number, here.size) == (part.number, size))
        );
    }
    assert_eq!(bucket.head_object("whole").await.unwrap(), None);
    let pending = bucket.pending("").await.unwrap();
    assert_eq!(
        pending.iter().map(|pending| (pending.key.as_str(), &pending.upload)).collect::<Vec<_>>(),
        [("whole", &upload)]
    );
    assert!(pending[0].begun_at > 1_700_000_000_000, "{pending:?}");

    let never_sent = Part { number: 1, etag: "0123456789abcdef0123456789abcdef".to_owned() };
    let wrong = [never_sent, second.clone(), third.clone()];
    assert!(!bucket.complete("whole", &upload, &wrong).await.unwrap());
    assert!(bucket.complete("whole", &upload, &[first, second, third]).await.unwrap());
    assert!(content(&bucket, "whole").await.unwrap() == written);
    assert_eq!(bucket.pending("").await.unwrap(), []);
    assert_eq!(bucket.parts("whole", &upload).await.unwrap(), None);
    assert!(!bucket.complete("whole", &upload, &[]).await.unwrap());

    let given_up = bucket.begin("given-up").await.unwrap();
    bucket.put_part("given-up", &given_up, 1, bytes("a part")).await.unwrap();
    bucket.abort("given-up", &given_up).await.unwrap();
    bucket.abort("given-up", &given_up).await.unwrap();
    assert_eq!(bucket.pending("").await.unwrap(), []);
    let late = bucket.put_part("given-up", &given_up, 2, bytes("another")).await;
    assert!(matches!(late, Err(Error::Refused { .. })), "{late:?}");
}

#[tokio::test]
#[ignore = "needs a store"]
#[expect(clippy::disallowed_methods, reason = "whoever has the URL")]
async fn a_url_is_its_own_key() {
    let bucket = bucket("urls");
    let stranger = reqwest::Client::builder()
        .tls_backend_preconfigured(reelhouse_tls::config().unwrap())
        .no_proxy()
        .build()
        .unwrap();
    let upload = bucket.begin("it").await.unwrap();
    let url = bucket.url_of_part("it", &upload, 1, Duration::from_secs(60)).await.unwrap();
    let sent = stranger.put(&url).body("from a stranger").send().await.unwrap();
    assert!(sent.status().is_success(), "{}", sent.text().await.unwrap());
    let sent = stranger.put(url.replace("partNumber=1", "partNumber=2")).body("x").send().await.unwrap();
    assert_eq!(sent.status(), 403);
    let here = bucket.parts("it", &upload).await.unwrap().unwrap();
    let part = Part { number: 1, etag: here[0].etag.clone() };
    assert!(bucket.complete("it", &upload, &[part]).await.unwrap());

    let shown = Shown {
        content_type: "video/mp4".to_owned(),
        content_disposition: Some("inline; filename=\"ä.mp4\"".to_owned()),
        cache_control: "public, max-age=7".to_owned(),
    };
    let url = bucket.url_of("it", &shown, Duration::from_secs(60)).await.unwrap();
    let got = stranger.get(&url).header("range", "bytes=5-").send().await.unwrap();
    assert_eq!(got.status(), 206);
    assert_eq!(got.headers()["content-type"], "video/mp4");
    assert_eq!(got.headers()["cache-control"], "public, max-age=7");
    assert_eq!(got.text().await.unwrap(), "a stranger".to_owned());
}

#[tokio::test]
#[ignore = "needs a store"]
async fn a_store_that_is_not_there_is_away_and_soon() {
    let location = Location::parse("s3://nowhere", |name| match name {
        "AWS_ENDPOINT_URL" => Some("http://127.0.0.1:9".to_owned()),
        _ => None,
    });
    let error = Bucket::new(location.unwrap()).unwrap().ping().await.unwrap_err();
    assert!(error.is_away(), "{error}");
}
