//! Every method of the SDK, against the real server.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::TryStreamExt;
use reelhouse_client::{
    Client, CompletedChunk, CreateIndex, CreateIndexedAsset, CreateUpload, Error, ErrorCode, IndexModel,
    IndexedAssetStatus, MediaKind, Method, RenditionStatus, Source, Status, UploadStatus, user_metadata,
};
use serde_json::json;

use crate::{
    client_cli::base_url,
    harness::{KEY, TestServer, eventually},
    media,
    origin::Origin,
};

const UNKNOWN: &str = "0123456789abcdef01234567";

fn sdk(server: &TestServer) -> Client {
    Client::builder().api_key(KEY).base_url(base_url(server)).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn assets_are_created_of_all_there_is() {
    let origin = Origin::of(std::fs::read(media::mp4()).unwrap()).await;
    let server = TestServer::start_with(&[("REELHOUSE_IMPORT_ALLOW", "127.0.0.0/8")]);
    let assets = sdk(&server).assets();
    let bytes = std::fs::read(media::mp4()).unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let counter = sent.clone();

    let of_path =
        assets.create(media::mp4()).progress(move |progress| counter.store(progress.done, Ordering::SeqCst));
    assert_eq!(of_path.await.unwrap().filename, "clip.mp4");
    assert_eq!(sent.load(Ordering::SeqCst), bytes.len() as u64);
    let of_bytes =
        assets.create(bytes.clone()).filename("löwe \"1\"\\.mp4").enable_hls(true).enable_thumbnail(true);
    let of_bytes = of_bytes.with_raw_response().await.unwrap();
    assert_eq!((of_bytes.status, of_bytes.value.filename.as_str()), (201, "löwe \"1\"\\.mp4"));
    assert!(of_bytes.headers.contains_key("location"));
    let of_reader = assets.create(Source::reader(std::io::Cursor::new(bytes.clone()))).await.unwrap();
    assert_eq!((of_reader.size, of_reader.method), (Some(bytes.len() as u64), Method::Direct.into()));
    let of_known = Source::reader_of(bytes.len() as u64, std::io::Cursor::new(bytes.clone()));
    assert_eq!(assets.create(of_known).await.unwrap().status, Status::Ready);
    let of_url = assets.create(Source::url(origin.url("/a/film.mp4"))).await.unwrap();
    assert_eq!((of_url.filename.as_str(), of_url.method), ("film.mp4", Method::Url.into()));

    let made = assets.wait_until_ready(&of_bytes.value.id).renditions(true).await.unwrap();
    assert_eq!(made.hls.as_ref().unwrap().status, RenditionStatus::Ready);
    assert!(made.thumbnail.as_ref().unwrap().representative_url.is_some());

    let once = assets.create(bytes.clone()).idempotency_key("k-1").await.unwrap();
    assert_eq!(assets.create(bytes).idempotency_key("k-1").await.unwrap().id, once.id);
    server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn assets_are_listed_retrieved_downloaded_and_deleted() {
    let server = TestServer::start();
    let assets = sdk(&server).assets();
    let mut ids = BTreeSet::new();
    for n in 0..5 {
        ids.insert(assets.create(media::png()).filename(format!("Picture {n}.png")).await.unwrap().id);
    }
    let video = assets.create(media::mp4()).await.unwrap().id;

    let first = assets.list().asset_types([MediaKind::Image]).page_limit(2).await.unwrap();
    assert!(first.has_next_page() && first.data.len() == 2);
    let second = first.next_page().await.unwrap();
    let third = second.next_page().await.unwrap();
    assert!(!third.has_next_page() && third.data.len() == 1);
    assert!(third.next_page().await.unwrap().data.is_empty());
    let streamed: Vec<_> =
        assets.list().filename("PICTURE").page_limit(2).stream().try_collect().await.unwrap();
    assert_eq!(streamed.into_iter().map(|asset| asset.asset.id).collect::<BTreeSet<_>>(), ids);
    let two: Vec<&String> = ids.iter().take(2).collect();
    assert_eq!(assets.list().asset_ids(&two).await.unwrap().data.len(), 2);
    assert_eq!(assets.list().page(9).await.unwrap().data.len(), 0);

    let detail = assets.retrieve(&video).await.unwrap();
    let known = detail.technical_metadata.as_ref().unwrap();
    assert_eq!(known.video_codec.as_deref(), Some("h264"));
    let bytes = std::fs::read(media::mp4()).unwrap();
    let content = assets.content(&video).await.unwrap();
    assert_eq!(
        (content.length(), content.content_type().as_deref()),
        (Some(bytes.len() as u64), Some("video/mp4"))
    );
    assert_eq!(content.try_collect::<Vec<_>>().await.unwrap().concat(), bytes);
    let rest = assets.content(&video).starting_at(1000).await.unwrap();
    assert_eq!(rest.length(), Some(bytes.len() as u64));
    assert_eq!(rest.try_collect::<Vec<_>>().await.unwrap().concat(), bytes[1000..]);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.mp4");
    // Cut in the middle, and cut after the last byte.
    for here in [5000, bytes.len()] {
        std::fs::write(folder.path().join(format!(".copy.mp4.{video}.part")), &bytes[..here]).unwrap();
        assert_eq!(assets.download(&video, &path).await.unwrap(), bytes.len() as u64);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    assets.delete(&video, false).await.unwrap();
    let gone = assets.delete(&video, false).await.unwrap_err();
    assert_eq!((gone.status(), gone.code()), (Some(404), Some(ErrorCode::ResourceNotExist)));
    assert_eq!(gone.api().unwrap().request_id.as_ref().map(String::is_empty), Some(false));
    assert_eq!(assets.retrieve(UNKNOWN).await.unwrap_err().status(), Some(404));
    server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_their_codes() {
    let server = TestServer::start();
    let assets = sdk(&server).assets();
    let short = media::video("short.mp4", "testsrc2=size=640x360:rate=25:duration=2");
    assert_eq!(assets.create(short).await.unwrap_err().code(), Some(ErrorCode::VideoDurationTooShort));
    let text = assets.create(b"no media at all".to_vec()).await.unwrap_err();
    assert_eq!((text.code(), text.status()), (Some(ErrorCode::ParameterInvalid), Some(400)));
    let url = assets.create(Source::url("http://127.0.0.1:1/a.mp4")).await.unwrap_err();
    assert_eq!(url.code(), Some(ErrorCode::MediaUrlNotAccessible));
    let stranger = Client::builder().api_key("someone-else").base_url(base_url(&server)).build().unwrap();
    assert_eq!(stranger.assets().list().await.unwrap_err().code(), Some(ErrorCode::ApiKeyInvalid));
    server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_call_by_call() {
    let server = TestServer::start();
    let uploads = sdk(&server).uploads();
    let path = media::sound("long.wav", "120", &["-c:a", "pcm_s16le"]);
    let bytes = std::fs::read(path).unwrap();
    let new = CreateUpload::new("long.wav", MediaKind::Audio, bytes.len() as u64);
    let upload = uploads.create(&new).await.unwrap();
    assert_eq!(upload.total_chunks, 3);
    assert_eq!(uploads.list().await.unwrap().data[0].upload_id, upload.upload_id);

    for index in 1..=upload.total_chunks {
        let from = usize::try_from((index - 1) * upload.chunk_size).unwrap();
        let chunk = bytes[from..bytes.len().min(from + usize::try_from(upload.chunk_size).unwrap())].to_vec();
        let length = chunk.len() as u64;
        let urls = uploads.request_urls(&upload.upload_id, index, 1).await.unwrap();
        let proof = uploads.put(&urls.upload_urls[0].url, chunk).await.unwrap();
        let detail = uploads.retrieve(&upload.upload_id, 1, 50).await.unwrap();
        assert_eq!((detail.status, detail.chunks_completed), (UploadStatus::Active.into(), index - 1));
        let report = vec![CompletedChunk::new(index, proof, length)];
        let answer = uploads.report(&upload.upload_id, report).await.unwrap();
        assert_eq!((answer.total_completed, answer.url.is_some()), (index, index == 3));
    }
    let asset = sdk(&server).assets().wait_until_ready(&upload.asset_id).await.unwrap();
    assert_eq!(asset.size, Some(bytes.len() as u64));
    assert!(uploads.list().await.unwrap().data.is_empty());
    assert_eq!(uploads.retrieve(UNKNOWN, 1, 50).await.unwrap_err().status(), Some(404));
    server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_chunks_is_one_call() {
    let server = TestServer::start();
    let client = sdk(&server);
    let path = media::sound("long.wav", "120", &["-c:a", "pcm_s16le"]);
    let length = path.metadata().unwrap().len();
    let upload =
        client.assets().upload(&path).filename("a sound.wav").enable_thumbnail(true).renditions(true);
    let asset = upload.parallel(2).await.unwrap();
    assert_eq!((asset.filename.as_str(), asset.size), ("a sound.wav", Some(length)));
    assert_eq!(asset.thumbnail.as_ref().unwrap().status, RenditionStatus::Ready);

    // Judged after all of it has arrived.
    let folder = tempfile::tempdir().unwrap();
    let torn = folder.path().join("torn.mp4");
    let whole = std::fs::read(media::mp4()).unwrap();
    std::fs::write(&torn, &whole[..whole.len() / 2]).unwrap();
    let error = client.assets().upload(&torn).state_dir(folder.path().join("s")).await.unwrap_err();
    assert!(matches!(error, Error::AssetFailed(_)), "{error:?}");
    assert_eq!(error.code(), Some(ErrorCode::VideoFileBroken));
    assert_eq!(std::fs::read_dir(folder.path().join("s")).unwrap().count(), 0);

    let unjudged = client.assets().upload(&torn).wait(false).await.unwrap();
    let assets = client.assets();
    eventually("it fails", async || assets.retrieve(&unjudged.id).await.unwrap().status == Status::Failed)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn user_metadata_is_set_merged_replaced_and_cleared() {
    let server = TestServer::start();
    let assets = sdk(&server).assets();
    let metadata = user_metadata([("scene", "beach".into()), ("take", 7.into())]);
    let id = assets.create(media::png()).user_metadata(&metadata).await.unwrap().id;
    let stands = async || assets.retrieve(&id).await.unwrap().user_metadata.clone().unwrap_or_default();
    assert_eq!(stands().await, metadata);
    let change = user_metadata([("take", 8.into()), ("scene", ().into()), ("draft", true.into())]);
    assets.update_user_metadata(&id, change).await.unwrap();
    assert_eq!(json!(stands().await), json!({"take": 8, "draft": true}));
    assets.replace_user_metadata(&id, user_metadata([("only", 1.5.into())])).await.unwrap();
    assert_eq!(json!(stands().await), json!({"only": 1.5}));
    assets.delete_user_metadata(&id).await.unwrap();
    assert!(stands().await.is_empty());
    let unknown = assets.delete_user_metadata(UNKNOWN).await.unwrap_err();
    assert_eq!(unknown.status(), Some(404));
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_hold_assets_and_assets_in_them_stay() {
    let server = TestServer::start();
    let client = sdk(&server);
    let (assets, indexes) = (client.assets(), client.indexes());
    let asset = assets.create(media::mp4()).await.unwrap().id;
    let index = indexes.create("films", "marengo3.0", ["visual", "audio"]).await.unwrap().id;
    let model = IndexModel { model_name: "marengo3.0".to_owned(), model_options: vec!["visual".to_owned()] };
    let other = CreateIndex {
        index_name: "others".to_owned(),
        models: vec![model],
        addons: vec!["thumbnail".to_owned()],
    };
    let other = indexes.create_with(&other).await.unwrap().id;
    let twice = indexes.create("films", "marengo3.0", ["visual"]).await.unwrap_err();
    assert_eq!(twice.code(), Some(ErrorCode::IndexNameAlreadyExists));
    assert_eq!(indexes.list().await.unwrap().data.len(), 2);
    indexes.rename(&other, "shorts").await.unwrap();
    assert_eq!(indexes.list().index_name("shorts").await.unwrap().data[0].id, other);
    assert_eq!(indexes.retrieve(&other).await.unwrap().index_name, "shorts");

    let in_index = indexes.indexed_assets(&index);
    let indexed = in_index.create(&asset).await.unwrap();
    assert_eq!(indexed.asset_id, asset);
    let new = CreateIndexedAsset {
        asset_id: asset.clone(),
        enable_video_stream: true,
        user_metadata: Some(user_metadata([("a", 1.into())])),
    };
    let second = indexes.indexed_assets(&other).create_with(&new).await.unwrap();
    assert_eq!(assets.indexed_assets(&asset).await.unwrap().data.len(), 2);
    eventually("it is indexed", async || {
        in_index.list().status([IndexedAssetStatus::Ready]).filename("clip.mp4").await.unwrap().data.len()
            == 1
    })
    .await;
    let in_other = indexes.indexed_assets(&other);
    in_other.update_user_metadata(&second.id, user_metadata([("b", "x".into())])).await.unwrap();
    let detail = in_other.retrieve(&second.id).await.unwrap();
    assert_eq!(json!(detail.user_metadata), json!({"a": 1, "b": "x"}));

    // What an addon asked for.
    let made = assets.wait_until_ready(&asset).renditions(true).await.unwrap();
    assert!(made.thumbnail.is_some());
    let refused = assets.delete(&asset, false).await.unwrap_err();
    assert_eq!((refused.status(), refused.code()), (Some(409), Some(ErrorCode::AssetInUse)));
    in_index.delete(&indexed.id).await.unwrap();
    indexes.delete(&other).await.unwrap();
    assert_eq!(indexes.retrieve(&other).await.unwrap_err().status(), Some(404));
    assets.delete(&asset, false).await.unwrap();
    server.assert_healthy();
}
