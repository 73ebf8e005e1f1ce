//! What operations are put together from.

use std::collections::BTreeMap;

use reelhouse_api::Fault;
use serde_json::{Map, Value, json};

use crate::{error, fault_examples};

/// Faults that any request with a key can meet.
pub(super) const WITH_KEY: &[&str] = &["Unauthorized", "ApiKeyInvalid", "Unavailable", "Internal"];
/// And those that would change something.
pub(super) const WRITES: &[&str] = &["ApiNotAllowed"];
/// And those that begin an upload.
pub(super) const BEGINS: &[&str] =
    &["ApiNotAllowed", "UsageLimitExceeded", "TooManyRequests", "IdempotencyKeyReused", "ParameterInvalid"];
/// Of a JSON body.
pub(super) const BODY: &[&str] = &["ParameterInvalid", "ParameterNotProvided"];
/// Of a form, and of the file in it.
pub(super) const FORM: &[&str] = &[
    "ContentTypeInvalid",
    "MultipartBoundaryMissing",
    "InvalidMultipart",
    "Validation",
    "FileNotProvided",
    "UrlNotProvided",
    "MethodMultipart",
    "FileUnprocessable",
    "UnsupportedAssetType",
    "ImageDimensions",
    "ImageInvalid",
    "MediaUrlUnsupportedFormat",
    "MediaUrlNotAccessible",
    "MediaUrlFileBroken",
    "MediaFilesizeTooLarge",
    "VideoFileBroken",
    "VideoFileLive",
    "VideoResolutionTooLow",
    "VideoResolutionTooHigh",
    "VideoResolutionInvalidAspectRatio",
    "VideoDurationTooShort",
    "VideoDurationTooLong",
    "VideoFilesizeTooLarge",
    "AudioFileBroken",
    "AudioDurationTooShort",
    "AudioDurationTooLong",
    "AudioFilesizeTooLarge",
    "AudioFormatUnsupported",
    "RequestTimeout",
];

/// A header of answers, by its name in `components`.
fn header_refs(names: &[&str]) -> Value {
    let refs = ["X-Request-Id", "X-Api-Version"].iter().chain(names);
    Value::Object(
        refs.map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") })))
            .collect(),
    )
}

/// Of every answer that begins an upload.
pub(super) const RATE: &[&str] = &[
    "X-RateLimit-Request-Limit",
    "X-RateLimit-Request-Remaining",
    "X-RateLimit-Request-Used",
    "X-RateLimit-Request-Reset",
];

/// All headers of answers.
pub(super) fn headers() -> Value {
    let header = |description: &str, schema: Value| json!({ "description": description, "schema": schema });
    let text = || json!({ "type": "string" });
    let count = || json!({ "type": "integer", "minimum": 0 });
    json!({
        "X-Request-Id": header("Names this request in the server's log.", text()),
        "X-Api-Version": header("The version the operation ran against.", json!({ "type": "string", "enum": ["1.3"] })),
        "Location": header("Where the new asset is, absolute.", json!({ "type": "string", "format": "uri" })),
        "Retry-After": header("Seconds after which there is room again.", count()),
        "X-RateLimit-Request-Limit": header("Uploads that the account may begin, of the rate that is closer to its end.", count()),
        "X-RateLimit-Request-Remaining": header("How many are left.", count()),
        "X-RateLimit-Request-Used": header("How many are used.", count()),
        "X-RateLimit-Request-Reset": header("Seconds since the epoch, when all are there again.", count()),
        "ETag": header("Changes with the bytes.", text()),
        "Cache-Control": header("How long it may be kept.", text()),
        "Accept-Ranges": header("`bytes`.", text()),
        "Content-Disposition": header("The file's name.", text()),
        "Content-Range": header("Which part of how many bytes; of 416: how many bytes there are.", text()),
    })
}

/// A successful answer.
pub(super) fn answer(description: &str, headers: &[&str], content: Option<Value>) -> Value {
    let mut answer = json!({ "description": description, "headers": header_refs(headers) });
    if let Some(content) = content {
        answer["content"] = content;
    }
    answer
}

/// JSON of a schema, with an example.
pub(super) fn json_content(schema: Value, example: Value) -> Value {
    json!({ "application/json": { "schema": schema, "example": example } })
}

/// The answers of faults: one for each status, with its codes and an example of each.
pub(super) fn fault_answers(names: &[&str], error: &Value, headers: &[&str]) -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<Fault>> = BTreeMap::new();
    for fault in fault_examples::examples() {
        if names.contains(&fault.name()) {
            by_status.entry(error::status(&fault).as_u16()).or_default().push(fault);
        }
    }
    let answers = by_status.into_iter().map(|(status, faults)| {
        let mut codes: Vec<&str> = faults.iter().map(Fault::code).collect();
        codes.sort_unstable();
        codes.dedup();
        let reference = |fault: &Fault| json!({ "$ref": format!("#/components/examples/{}", fault.name()) });
        let examples: Map<String, Value> =
            faults.iter().map(|fault| (fault.name().to_owned(), reference(fault))).collect();
        let schema = json!({ "allOf": [error, { "properties": { "code": { "enum": codes } } }] });
        let mut headers = headers.to_vec();
        match status {
            416 => headers.push("Content-Range"),
            429 => headers.push("Retry-After"),
            _ => {}
        }
        let description = faults.iter().map(when).collect::<Vec<_>>().join(" ");
        let answer = json!({
            "description": description,
            "headers": header_refs(&headers),
            "content": { "application/json": { "schema": schema, "examples": examples } },
        });
        (status.to_string(), answer)
    });
    answers.collect()
}

/// Each fault, as it is told.
pub(super) fn fault_examples() -> Value {
    let example =
        |fault: Fault| (fault.name().to_owned(), json!({ "summary": when(&fault), "value": fault.body() }));
    Value::Object(fault_examples::examples().into_iter().map(example).collect())
}

/// When a fault comes, as docs/errors.md says it.
fn when(fault: &Fault) -> &'static str {
    let doc = Fault::ALL.iter().find(|doc| doc.name == fault.name());
    doc.map(|doc| doc.when.trim()).unwrap_or_default()
}

/// A part of the path that names something. What names nothing is a 404, whatever it looks like.
pub(super) fn named(name: &str, what: &str, example: &str) -> Value {
    json!({
        "name": name, "in": "path", "required": true, "description": what,
        "schema": { "type": "string", "minLength": 1 }, "example": example,
    })
}

pub(super) fn query(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "required": false, "description": description, "schema": schema })
}

/// Which page, and how much is on one.
pub(super) fn paging() -> [Value; 2] {
    [
        query(
            "page",
            "From 1. A page past the end is empty.",
            json!({ "type": "integer", "minimum": 1, "default": 1 }),
        ),
        query(
            "page_limit",
            "Items on a page.",
            json!({ "type": "integer", "minimum": 1, "maximum": 50, "default": 10 }),
        ),
    ]
}

/// What makes two requests one.
pub(super) fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key", "in": "header", "required": false,
        "description": "The same request with the same key, within a day, gets the first one's answer and does nothing again.",
        "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
        "example": "5f0d8c1e",
    })
}

/// What `strconv.ParseBool` takes.
pub(super) fn boolean() -> Value {
    json!({
        "anyOf": [
            { "type": "boolean" },
            { "type": "string", "enum": ["true", "false", "1", "0", "t", "f", "T", "F", "TRUE", "FALSE", "True", "False", ""] },
        ],
        "default": false,
    })
}
