//! Every code a direct upload can cause, each by a real request, the whole message compared.

use std::{collections::BTreeSet, path::PathBuf};

use reelhouse_api::Fault;
use reqwest::{
    RequestBuilder,
    multipart::{Form, Part},
};

use crate::{
    harness::{KEY, TestServer, client, direct, direct_bytes, expect_error},
    media::{self, made, sound, video},
};

const MB: usize = 1 << 20;

/// The head of a real file, and then nothing but zeros.
fn blown_up(path: PathBuf, len: usize) -> Form {
    let mut bytes = std::fs::read(path).unwrap();
    bytes.truncate(64 * 1024);
    bytes.resize(len, 0);
    direct_bytes(bytes)
}

fn half(path: PathBuf) -> Form {
    let bytes = std::fs::read(path).unwrap();
    direct_bytes(&bytes[..bytes.len() / 2])
}

fn picture(name: &str, size: &str) -> PathBuf {
    made(name, &["-f", "lavfi", "-i", &format!("testsrc2=size={size}"), "-frames:v", "1"])
}

#[tokio::test]
async fn every_code_of_a_direct_upload() {
    let server = TestServer::start();
    let post = |content_type: &str, body: &'static str| {
        client()
            .post(format!("{}/v1.3/assets", server.url))
            .header("x-api-key", KEY)
            .header("content-type", content_type)
            .body(body)
    };
    let form = |form: Form| server.post(form);
    let png = || Part::bytes(std::fs::read(media::png()).unwrap()).file_name("a.png");
    let four_hours = "color=size=640x360:rate=0.1:duration=14460";

    let table: Vec<(RequestBuilder, &str, &str)> = vec![
        (
            post("application/json", "{}"),
            "content_type_invalid",
            "The content type application/json is not supported. Please use multipart/form-data.",
        ),
        (
            post("multipart/form-data", "x"),
            "multipart_boundary_missing",
            "Multipart boundary is missing. Please provide the boundary in the Content-Type header.",
        ),
        (
            post(
                "multipart/form-data; boundary=b",
                "--b\r\nContent-Disposition: form-data; name=\"method\"\r\n\r\ndir",
            ),
            "invalid_multipart",
            "Invalid multipart form. Please check your implementation and try again.",
        ),
        (
            form(Form::new().text("method", "direct").text("enable_hls", "maybe").part("file", png())),
            "parameter_invalid",
            "The enable_hls parameter is invalid. \"maybe\" is neither true nor false.",
        ),
        (
            form(Form::new().part("file", png())),
            "parameter_invalid",
            "Key: 'CreateAssetRequest.Method' Error:Field validation for 'Method' failed on the 'required' tag",
        ),
        (
            form(Form::new().text("method", "carrier-pigeon").part("file", png())),
            "parameter_invalid",
            "Key: 'CreateAssetRequest.Method' Error:Field validation for 'Method' failed on the 'oneof' tag",
        ),
        (
            form(Form::new().text("method", "direct")),
            "parameter_not_provided",
            "The file parameter is required but was not provided. file is required when method is direct.",
        ),
        (
            form(Form::new().text("method", "url").text("url", "")),
            "parameter_not_provided",
            "The url parameter is required but was not provided. url is required when method is url.",
        ),
        (
            form(Form::new().text("method", "multipart").part("file", png())),
            "parameter_invalid",
            "The method parameter is invalid. To upload in parts, use the /assets/multipart-uploads endpoint.",
        ),
        (
            form(direct_bytes("")),
            "parameter_invalid",
            "The file parameter is invalid. Unable to process the uploaded file. Please try uploading again.",
        ),
        (
            form(direct_bytes("no media at all")),
            "parameter_invalid",
            "The file parameter is invalid. Unsupported asset type: text/plain.",
        ),
        (
            form(direct(&picture("animated.gif", "320x240"))),
            "parameter_invalid",
            "The file parameter is invalid. Unsupported asset type: image/gif.",
        ),
        (
            form(direct(&picture("small.png", "100x300"))),
            "parameter_invalid",
            "The image parameter is invalid. Image dimensions 100x300 are below the minimum 128x128.",
        ),
        (
            form(half(media::png())),
            "parameter_invalid",
            "The image parameter is invalid. Invalid image file. Please check the format and dimensions.",
        ),
        (
            form(blown_up(media::png(), 6 * MB)),
            "media_filesize_too_large",
            "The media file is too large. Please upload a file smaller than 5MB. The current size is 6MB.",
        ),
        (
            form(half(media::mp4())),
            "video_file_broken",
            "Unable to process video file. Please check if the file is valid and try again.",
        ),
        (
            form(direct(&video("low.mp4", "testsrc2=size=640x240:duration=5"))),
            "video_resolution_too_low",
            "The resolution of the video is too low. Please upload a video with a resolution between 360x360 and 5184x2160. Current resolution is 640x240.",
        ),
        (
            form(direct(&video("high.mp4", "color=size=5200x2160:rate=1:duration=5"))),
            "video_resolution_too_high",
            "The resolution of the video is too high. Please upload a video with a resolution between 360x360 and 5184x2160. Current resolution is 5200x2160.",
        ),
        (
            form(direct(&video("tall.mp4", "testsrc2=size=2400x2400:rate=1:duration=5"))),
            "video_resolution_too_high",
            "The resolution of the video is too high. Please upload a video with a resolution between 360x360 and 5184x2160. Current resolution is 2400x2400.",
        ),
        (
            form(direct(&video("wide.mp4", "testsrc2=size=1000x400:duration=5"))),
            "video_resolution_invalid_aspect_ratio",
            "The aspect ratio of the video is invalid. Please upload a video with an aspect ratio between 1:1 and 2.4:1. Current resolution is 1000x400.",
        ),
        (
            form(direct(&video("short.mp4", "testsrc2=size=640x360:rate=25:duration=2.52"))),
            "video_duration_too_short",
            "The video is too short. Please use a video with a duration of at least 4 seconds. Current duration is 2.52 seconds.",
        ),
        (
            form(direct(&video("long.mp4", four_hours))),
            "video_duration_too_long",
            "The video is too long. Please use a video with a duration between 4 and 14400 seconds. Current duration is 14460 seconds.",
        ),
        (
            form(blown_up(media::mp4(), 201 * MB)),
            "video_filesize_too_large",
            "The video is too large. Please use a video with a size less than 200MB. The current size is 201MB.",
        ),
        (
            form(half(sound("tone.wav", "5", &[]))),
            "audio_file_broken",
            "Unable to process audio file. Please check if the file is valid and try again.",
        ),
        (
            form(direct(&sound("short.wav", "2", &[]))),
            "audio_duration_too_short",
            "The audio is too short. Please use an audio file with a duration of at least 4 seconds. Current duration is 2 seconds.",
        ),
        (
            form(direct(&sound("long.flac", "14460", &["-ar", "8000"]))),
            "audio_duration_too_long",
            "The audio is too long. Please use an audio file with a duration between 4 and 14400 seconds. Current duration is 14460 seconds.",
        ),
        (
            form(blown_up(sound("tone.wav", "5", &[]), 200 * MB + MB / 2)),
            "audio_filesize_too_large",
            "The audio is too large. Please use an audio file with a size less than 200MB. The current size is 200.5MB.",
        ),
        (
            form(direct(&sound("tone.opus", "5", &["-c:a", "libopus"]))),
            "audio_format_unsupported",
            "The audio format Opus is not supported. Please use one of the following formats: WAV, MP3, FLAC.",
        ),
        (
            form(direct(&sound("tone.m4a", "5", &["-c:a", "aac"]))),
            "audio_format_unsupported",
            "The audio format AAC is not supported. Please use one of the following formats: WAV, MP3, FLAC.",
        ),
    ];

    let mut caused = BTreeSet::new();
    for (request, code, message) in table {
        let found = expect_error(400, code, request.send().await.unwrap()).await;
        assert_eq!(found, message, "{code}");
        caused.insert(code);
    }
    // What is left has its own tests: accounts, ranges, paths, time-outs, and what only we can cause.
    let elsewhere = [
        "api_key_invalid",
        "api_not_allowed",
        "asset_in_use",
        "asset_not_ready",
        "chunk_already_completed",
        "chunk_size_invalid",
        "endpoint_not_exist",
        "idempotency_key_reused",
        "index_name_already_exists",
        "internal_error",
        "media_url_file_broken",
        "media_url_invalid",
        "media_url_not_accessible",
        "media_url_unsupported_format",
        "method_not_allowed",
        "range_not_satisfiable",
        "request_canceled_or_timed_out",
        "resource_not_exist",
        "service_unavailable",
        "too_many_requests",
        "unauthorized",
        "upload_not_active",
        "upload_url_invalid",
        "usage_limit_exceeded",
        "video_file_live",
    ];
    let all: BTreeSet<&str> = Fault::ALL.iter().map(|fault| fault.code).collect();
    assert_eq!(all, caused.into_iter().chain(elsewhere).collect());
    assert_eq!(server.total().await, 0);
    server.assert_healthy();
}

#[tokio::test]
async fn what_is_within_the_limits_is_taken() {
    let server = TestServer::start();
    for path in [
        video("square.mp4", "testsrc2=size=360x360:duration=4"),
        video("widest.mp4", "testsrc2=size=960x400:duration=4"),
        video("upright.mp4", "testsrc2=size=400x960:duration=4"),
        sound("tone.wav", "5", &[]),
        sound("tone.flac", "5", &[]),
        media::mp3(),
        picture("smallest.png", "128x128"),
        picture("photo.jpg", "640x480"),
    ] {
        server.create(&path).await;
    }
    // A phone's clip is judged as it is shown.
    let lying = video("lying.mp4", "testsrc2=size=1280x720:duration=4");
    let turned =
        made("turned.mp4", &["-i", lying.to_str().unwrap(), "-c", "copy", "-metadata:s:v", "rotate=90"]);
    let asset = server.create(&turned).await;
    let id = asset["_id"].as_str().unwrap();
    let one: serde_json::Value =
        server.get(&format!("/v1.3/assets/{id}")).send().await.unwrap().json().await.unwrap();
    let stream = &one["technical_metadata"]["video_streams"][0];
    assert_eq!(stream["width"], 1280);
    // Which way, ffmpeg's versions do not agree.
    assert!(stream["rotation"] == 90 || stream["rotation"] == 270, "{stream}");
}
