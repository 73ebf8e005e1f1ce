//! Traces: one from the request to the job's end, at the collector that is configured.

use std::collections::BTreeMap;

use crate::{
    harness::{KEY, TestServer, client, direct, eventually, expect},
    media,
    receiver::Receiver,
};

/// What a span says of itself, ids in hex.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
}

/// The fields of a protobuf message that have a length, in their order: number and content.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    fn number(message: &mut &[u8]) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = message[0];
            *message = &message[1..];
            number |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return number;
            }
        }
    }
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = number(&mut message);
        let skipped = match key & 7 {
            0 => {
                number(&mut message);
                continue;
            }
            1 => 8,
            5 => 4,
            2 => usize::try_from(number(&mut message)).unwrap(),
            other => unreachable!("wire type {other}"),
        };
        let (content, rest) = message.split_at(skipped);
        message = rest;
        if key & 7 == 2 {
            found.push((key >> 3, content));
        }
    }
    found
}

/// ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span.
fn spans(body: &[u8]) -> Vec<Span> {
    let of = |message: &[u8], number: u64| -> Vec<Vec<u8>> {
        let all = fields(message).into_iter().filter(|(found, _)| *found == number);
        all.map(|(_, content)| content.to_vec()).collect()
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let scopes = of(body, 1).into_iter().flat_map(|resource| of(&resource, 2));
    let spans = scopes.flat_map(|scope| of(&scope, 2));
    spans
        .map(|span| {
            let field = |number| of(&span, number).into_iter().next().unwrap_or_default();
            Span {
                trace: hex(&field(1)),
                id: hex(&field(2)),
                parent: hex(&field(4)),
                name: String::from_utf8(field(5)).unwrap(),
            }
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_its_jobs_are_one_trace() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const CALLER: &str = "b7ad6b7169203331";
    let collector = Receiver::start().await;
    let server = TestServer::start_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url("")),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ]);
    let form = direct(&media::mp4()).text("enable_thumbnail", "true");
    let request = server.post(form).header("traceparent", format!("00-{TRACE}-{CALLER}-01"));
    let asset = expect(201, request.send().await.unwrap()).await;
    let received = || -> Vec<Span> { collector.told().iter().flat_map(|told| spans(&told.body)).collect() };
    let find = |name: &str| received().into_iter().find(|span| span.name == name);
    eventually("both are there", || async {
        find("POST /v1.3/assets").is_some() && find("job thumbnail").is_some()
    })
    .await;
    let (request, job) = (find("POST /v1.3/assets").unwrap(), find("job thumbnail").unwrap());
    assert_eq!((request.trace.as_str(), request.parent.as_str()), (TRACE, CALLER));
    assert_eq!((&job.trace, &job.parent), (&request.trace, &request.id));
    let told = collector.told();
    assert!(told.iter().all(|told| told.path == "/v1/traces"));
    assert!(told.iter().all(|told| told.headers["content-type"] == "application/x-protobuf"));
    // Whose it is: service.name.
    assert!(told[0].body.windows(9).any(|bytes| bytes == b"reelhouse"));

    // Without a trace of the caller's, each request is one of its own.
    let path = format!("{}/v1.3/assets/{}", server.url, asset["_id"].as_str().unwrap());
    let client = client();
    for _ in 0..3 {
        expect(200, client.get(&path).header("x-api-key", KEY).send().await.unwrap()).await;
    }
    let gets = || -> BTreeMap<String, Span> {
        let gets = received().into_iter().filter(|span| span.name == "GET /v1.3/assets/{asset_id}");
        gets.map(|span| (span.trace.clone(), span)).collect()
    };
    eventually("all three are there", || async { gets().len() == 3 }).await;
    let gets = gets();
    assert!(gets.values().all(|span| span.parent.is_empty() && span.trace != TRACE));
}

/// A collector that is not there costs spans, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn without_its_collector_the_server_serves() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = TestServer::start_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{nobody}")),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
    ]);
    for _ in 0..3 {
        server.create(&media::png()).await;
    }
    server.assert_healthy();
    let folder = server.stop();
    let _ = std::fs::remove_dir_all(folder.path());
}
