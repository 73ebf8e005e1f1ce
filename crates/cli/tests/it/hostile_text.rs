//! What is no media, or media and something else: playlists, scripts, polyglots, names.

use std::net::TcpListener;

use reqwest::multipart::{Form, Part};
use serde_json::json;

use crate::{
    harness::{TestServer, client, direct_bytes, expect, expect_error},
    hostile_files::{atom, behind, elsewhere, jpeg},
    hostile_media::outcome,
    media,
};

const XPM: &str = "/* XPM */\nstatic char *a[] = {\n\"2 2 1 1\",\n\"a c #ff0000\",\n\"aa\",\n\"aa\"\n};\n";
const XBM: &str = "#define a_width 8\n#define a_height 2\nstatic char a_bits[] = { 0xff, 0x01 };\n";

/// Text that names what lies at `url`, what each is called, and what it is.
fn texts(url: &str) -> Vec<(&'static str, String, &'static str)> {
    let playlist = "application/vnd.apple.mpegurl";
    vec![
        ("a.mp4", format!("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{url}\n#EXT-X-ENDLIST\n"), playlist),
        ("a.ts", "#EXTM3U\n#EXTINF:5,\nfile:///etc/passwd\n".to_owned(), playlist),
        ("a.m3u8", format!("\u{FEFF} #EXTM3U\n#EXTINF:5,\nconcat:{url}|/etc/passwd\n"), playlist),
        ("a.mp4", "ffconcat version 1.0\nfile /etc/passwd\n".to_owned(), "text/plain"),
        (
            "a.mov",
            format!("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\na=control:{url}\r\n"),
            "text/plain",
        ),
        ("a.mp4", format!("<?xml version=\"1.0\"?><MPD><BaseURL>{url}</BaseURL></MPD>"), "text/xml"),
        ("a.mp4", format!("<smil><video src=\"{url}\"/></smil>"), "text/plain"),
        ("a.webp", format!("{{\"url\": \"{url}\"}}"), "application/json"),
        ("a.mp3", "WEBVTT\n\n00:00.000 --> 00:10.000\nhello\n".to_owned(), "text/plain"),
        ("a.mp4", "1\n00:00:00,000 --> 00:00:10,000\nhello\n".to_owned(), "text/plain"),
        (
            "a.jpg",
            format!("<svg xmlns=\"http://www.w3.org/2000/svg\"><image href=\"{url}\"/></svg>"),
            "image/svg+xml",
        ),
        ("a.png", format!("push graphic-context\nimage over 0,0 0,0 '{url}'\n"), "text/plain"),
        // What ffprobe takes for video, whatever it is called.
        ("a.mp4", XPM.to_owned(), "text/plain"),
        ("a.mp4", XBM.to_owned(), "text/plain"),
        ("a.ffm", format!(";FFMETADATA1\ntitle={url}\n"), "text/plain"),
    ]
}

fn form(name: &str, text: String) -> Form {
    Form::new()
        .text("method", "direct")
        .part("file", Part::bytes(text.into_bytes()).file_name(name.to_owned()))
}

/// Whatever it is called, text that names other files is text.
#[tokio::test]
async fn scripts_and_playlists_are_not_media() {
    let server = TestServer::start();
    for (name, text, mime) in texts("http://127.0.0.1/a.ts") {
        let refused = server.post(form(name, text)).send().await.unwrap();
        let message = expect_error(400, "parameter_invalid", refused).await;
        let expected = format!("The file parameter is invalid. Unsupported asset type: {mime}.");
        assert_eq!(message, expected, "{name}");
    }
    assert_eq!((server.total().await, server.originals()), (0, 0));
    server.assert_healthy();
}

/// Whatever it is taken for.
#[tokio::test]
async fn nobody_opens_what_a_text_names() {
    let server = TestServer::start();
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let url = format!("http://{}/a.ts", trap.local_addr().unwrap());
    for (name, text, _) in texts(&url) {
        server.post(form(name, text)).send().await.unwrap();
    }
    assert_eq!(outcome(&server, elsewhere(&url)).await, "ready", "its samples are its own");
    assert!(trap.accept().is_err(), "somebody came to {url}");
    // Relative to the folder of whoever reads, and so a name that libav calls safe.
    let folder = tempfile::Builder::new().prefix("film").tempdir().unwrap();
    let film = folder.path().join("film.mp4");
    std::fs::copy(media::mp4(), &film).unwrap();
    let script = format!("ffconcat version 1.0\nfile {}\n", film.strip_prefix("/").unwrap().display());
    let became = outcome(&server, script.into_bytes()).await;
    assert_eq!(became, "parameter_invalid", "it is somebody's film");
}

/// Media that is something else, too, is served as media and as nothing else.
#[tokio::test]
async fn polyglots_are_served_as_what_they_were_taken_for() {
    let server = TestServer::start();
    let html = b"<!doctype html><script>alert(document.domain)</script>";
    let zip = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0a.txtPK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let clip = behind();
    let page_in_film = [&clip[..32], &atom(b"free", html), &clip[32..]].concat();
    let page_behind = [&clip[..], &atom(b"free", html)].concat();
    assert_eq!(outcome(&server, page_in_film).await, "video_file_broken", "its offsets are wrong now");
    for (name, bytes, mime) in [
        ("a.html", page_behind, "video/mp4"),
        ("a.zip", [&jpeg()[..], zip].concat(), "image/jpeg"),
        ("a.html", [&jpeg()[..], html].concat(), "image/jpeg"),
    ] {
        let part = Part::bytes(bytes.clone()).file_name(name);
        let created =
            server.post(Form::new().text("method", "direct").part("file", part)).send().await.unwrap();
        let created = expect(201, created).await;
        assert_eq!(created["file_type"], mime);
        let id = created["_id"].as_str().unwrap();
        let asset = expect(200, server.get(&format!("/v1.3/assets/{id}")).send().await.unwrap()).await;
        let shown = client().get(asset["original_url"].as_str().unwrap()).send().await.unwrap();
        let loaded = server.get(&format!("/v1.3/assets/{id}/content")).send().await.unwrap();
        for answer in [shown, loaded] {
            assert_eq!(answer.headers()["content-type"], mime);
            assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
            assert_eq!(answer.headers()["content-security-policy"], "default-src 'none'; sandbox");
            assert!(answer.bytes().await.unwrap() == bytes);
        }
        let loaded = server.get(&format!("/v1.3/assets/{id}/content")).send().await.unwrap();
        assert!(loaded.headers()["content-disposition"].to_str().unwrap().starts_with("attachment; "));
    }
    // Who is a page first is a page.
    let mp3 = std::fs::read(media::mp3()).unwrap();
    for bytes in [
        [&html[..], &clip].concat(),
        [&zip[..], &jpeg()].concat(),
        // Players look for its first frame.
        [&html[..], &mp3].concat(),
        [&zip[..], &mp3].concat(),
    ] {
        assert_eq!(outcome(&server, bytes).await, "parameter_invalid");
    }
    assert_eq!(server.total().await, 3);
    server.assert_healthy();
}

/// A name is a label: it reaches no path, no command line, no header of its own.
#[tokio::test]
async fn names_do_no_harm() {
    let server = TestServer::start();
    let png = std::fs::read(media::png()).unwrap();
    for (given, kept) in [
        ("-i", "-i"),
        ("-y /etc/passwd", "-y /etc/passwd"),
        ("%00.png", "%00.png"),
        ("a\nSet-Cookie: a=b\r\n\r\n<script>.png", "aSet-Cookie: a=b<script>.png"),
        ("a\0b.png", "ab.png"),
        ("gnp.\u{202E}exe", "gnp.exe"),
        ("\u{2066}a\u{2069}\u{200F}.png", "a.png"),
        ("../../../../etc/cron.d/a", "../../../../etc/cron.d/a"),
        ("$(touch pwned);`id`|&.png", "$(touch pwned);`id`|&.png"),
        ("concat:/etc/passwd|a.png", "concat:/etc/passwd|a.png"),
        ("%d%s%n.png", "%d%s%n.png"),
        ("CON", "CON"),
        ("a\"; filename=\"b.exe", "a\"; filename=\"b.exe"),
    ] {
        let form = direct_bytes(png.clone()).text("filename", given);
        let created = expect(201, server.post(form).send().await.unwrap()).await;
        assert_eq!(created["filename"], kept);
        let id = created["_id"].as_str().unwrap();
        let loaded = server.get(&format!("/v1.3/assets/{id}/content")).send().await.unwrap();
        assert_eq!(loaded.status(), 200);
        assert!(!loaded.headers().contains_key("set-cookie"));
        let disposition = loaded.headers()["content-disposition"].to_str().unwrap();
        assert_eq!(disposition.matches("filename=\"").count(), 1, "{disposition}");
        let asset = expect(200, server.get(&format!("/v1.3/assets/{id}")).send().await.unwrap()).await;
        let shown = client().get(asset["original_url"].as_str().unwrap()).send().await.unwrap();
        assert!(shown.bytes().await.unwrap() == png, "{given:?}");
        // Found again by it, whatever a pattern would make of it.
        let found = server.get("/v1.3/assets").query(&[("filename", kept)]).send().await.unwrap();
        assert_eq!(expect(200, found).await["data"][0]["_id"], id, "{given:?}");
    }
    let session = json!({ "filename": "a\0\n\u{202E}b.wav", "type": "audio", "total_size": 1000 });
    let begun = expect(201, server.json("POST", "/v1.3/assets/multipart-uploads", &session).await).await;
    let path = format!("/v1.3/assets/{}", begun["asset_id"].as_str().unwrap());
    assert_eq!(expect(200, server.get(&path).send().await.unwrap()).await["filename"], "ab.wav");
    let nothing = json!({ "filename": "\0\n", "type": "audio", "total_size": 1000 });
    let refused = server.json("POST", "/v1.3/assets/multipart-uploads", &nothing).await;
    expect_error(400, "parameter_not_provided", refused).await;
    server.assert_healthy();
}
