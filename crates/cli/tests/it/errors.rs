use reqwest::multipart::{Form, Part};

use crate::{
    harness::{KEY, TestServer, client, direct, direct_bytes, expect_error},
    media,
};

#[tokio::test]
async fn every_answer_under_the_version_is_json() {
    let server = TestServer::start();
    expect_error(404, "endpoint_not_exist", server.get("/v1.3/nothing").send().await.unwrap()).await;
    expect_error(404, "endpoint_not_exist", server.get("/v1.3/assets/a/b/c").send().await.unwrap()).await;
    let put = client().put(format!("{}/v1.3/assets", server.url)).send().await.unwrap();
    assert_eq!(expect_error(405, "method_not_allowed", put).await, "The PUT method is not allowed here.");
    // Ids that cannot be one are unknown ids, however they look.
    for id in ["0", "..%2F..%2Fetc", "%00", "%ff%fe", "ZZZZZZZZZZZZZZZZZZZZZZZZ", "6730aaaaaaaaaaaaaaaaaaaa"]
    {
        expect_error(
            404,
            "resource_not_exist",
            server.get(&format!("/v1.3/assets/{id}")).send().await.unwrap(),
        )
        .await;
    }
}

#[tokio::test]
async fn keys_are_asked_for() {
    let server = TestServer::start();
    let url = format!("{}/v1.3/assets", server.url);
    expect_error(401, "unauthorized", client().get(&url).send().await.unwrap()).await;
    for bad in ["", "x", "a-key-for-tests-onlY", "a-key-for-tests-only ?"] {
        expect_error(
            401,
            "api_key_invalid",
            client().get(&url).header("x-api-key", bad).send().await.unwrap(),
        )
        .await;
    }
    assert_eq!(client().get(&url).header("x-api-key", KEY).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_form_is_judged_before_the_file() {
    let server = TestServer::start();
    let png = || Part::bytes(std::fs::read(media::png()).unwrap()).file_name("a.png");
    for (form, code, message) in [
        (
            Form::new().text("filename", "a"),
            "parameter_invalid",
            "Key: 'CreateAssetRequest.Method' Error:Field validation for 'Method' failed on the 'required' tag",
        ),
        (
            Form::new().text("method", "carrier-pigeon").part("file", png()),
            "parameter_invalid",
            "Key: 'CreateAssetRequest.Method' Error:Field validation for 'Method' failed on the 'oneof' tag",
        ),
        (
            Form::new().text("method", "multipart"),
            "parameter_invalid",
            "The method parameter is invalid. To upload in parts, use the /assets/multipart-uploads endpoint.",
        ),
        (
            Form::new().text("method", "direct"),
            "parameter_not_provided",
            "The file parameter is required but was not provided. file is required when method is direct.",
        ),
        (
            Form::new().text("method", "url"),
            "parameter_not_provided",
            "The url parameter is required but was not provided. url is required when method is url.",
        ),
        (
            Form::new().text("method", "direct").text("enable_hls", "maybe").part("file", png()),
            "parameter_invalid",
            "The enable_hls parameter is invalid. \"maybe\" is neither true nor false.",
        ),
        (
            Form::new().text("enable_thumbnail", "2"),
            "parameter_invalid",
            "The enable_thumbnail parameter is invalid. \"2\" is neither true nor false.",
        ),
        (
            direct(&media::png()).part("file", png()),
            "parameter_invalid",
            "The file parameter is invalid. It was given more than once.",
        ),
        (
            direct_bytes(""),
            "parameter_invalid",
            "The file parameter is invalid. Unable to process the uploaded file. Please try uploading again.",
        ),
        (
            direct_bytes("{\"a\": 1}"),
            "parameter_invalid",
            "The file parameter is invalid. Unsupported asset type: application/json.",
        ),
        (
            direct_bytes("%PDF-1.7\n%\u{e2}\u{e3}\n1 0 obj"),
            "parameter_invalid",
            "The file parameter is invalid. Unsupported asset type: application/pdf.",
        ),
        // The form's fault comes first, wherever the file stands.
        (
            Form::new().part("file", Part::bytes(b"text".to_vec())).text("method", "x"),
            "parameter_invalid",
            "Key: 'CreateAssetRequest.Method' Error:Field validation for 'Method' failed on the 'oneof' tag",
        ),
    ] {
        assert_eq!(expect_error(400, code, server.post(form).send().await.unwrap()).await, message);
    }
    assert_eq!(server.originals(), 0);
    server.assert_healthy();
}

#[tokio::test]
async fn the_content_type_is_judged_first() {
    let server = TestServer::start();
    let post = |content_type: Option<&str>, body: &'static str| {
        let request =
            client().post(format!("{}/v1.3/assets", server.url)).header("x-api-key", KEY).body(body);
        match content_type {
            Some(content_type) => request.header("content-type", content_type),
            None => request,
        }
    };
    for (content_type, body, code, message) in [
        (
            Some("application/json"),
            "{}",
            "content_type_invalid",
            "The content type application/json is not supported. Please use multipart/form-data.",
        ),
        (
            None,
            "",
            "content_type_invalid",
            "The content type  is not supported. Please use multipart/form-data.",
        ),
        (
            Some("multipart/form-data"),
            "x",
            "multipart_boundary_missing",
            "Multipart boundary is missing. Please provide the boundary in the Content-Type header.",
        ),
        (
            Some("multipart/form-data; boundary="),
            "x",
            "multipart_boundary_missing",
            "Multipart boundary is missing. Please provide the boundary in the Content-Type header.",
        ),
        (
            Some("multipart/form-data; boundary=b"),
            "no form at all",
            "invalid_multipart",
            "Invalid multipart form. Please check your implementation and try again.",
        ),
        (
            Some("multipart/form-data; boundary=b"),
            "--b\r\nContent-Disposition: form-data; name=\"method\"\r\n\r\ndirect",
            "invalid_multipart",
            "Invalid multipart form. Please check your implementation and try again.",
        ),
        (
            Some("multipart/form-data; boundary=b"),
            "",
            "invalid_multipart",
            "Invalid multipart form. Please check your implementation and try again.",
        ),
    ] {
        assert_eq!(expect_error(400, code, post(content_type, body).send().await.unwrap()).await, message);
    }
}
