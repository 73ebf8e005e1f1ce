use std::{collections::BTreeSet, fs};

use reelhouse_api::{
    Asset, AssetDetail, ChunkUrls, Page, ReportedChunks, Upload, UploadProgress, UploadSummary,
    index::{Index, IndexedAssetDetail, IndexedAssetSummary},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{document, examples};

/// docs/openapi.json is the document. After a change, `REELHOUSE_WRITE_DOCS=1 cargo test -p reelhouse-server` writes it.
#[test]
fn the_document_is_as_it_was_looked_at() {
    let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    if std::env::var_os("REELHOUSE_WRITE_DOCS").is_some() {
        fs::write(path, &text).unwrap();
    }
    assert!(fs::read_to_string(path).unwrap_or_default() == text, "docs/openapi.json is not up to date");
}

fn reads<T: DeserializeOwned>(example: Value) {
    serde_json::from_value::<T>(example.clone()).unwrap_or_else(|error| panic!("{error}: {example}"));
}

#[test]
fn examples_are_of_their_types() {
    reads::<Asset>(examples::asset());
    reads::<AssetDetail>(examples::asset_detail());
    reads::<Page<Index>>(examples::page(examples::index()));
    reads::<IndexedAssetDetail>(examples::indexed_asset());
    reads::<IndexedAssetSummary>(examples::place());
    reads::<Upload>(examples::upload());
    reads::<UploadSummary>(examples::upload_summary());
    reads::<UploadProgress>(examples::upload_progress());
    reads::<ReportedChunks>(examples::reported_chunks());
    reads::<ChunkUrls>(examples::chunk_urls());
}

#[test]
fn whatever_is_referred_to_is_there() {
    fn check(value: &Value, root: &Value) {
        if let Some(reference) = value["$ref"].as_str() {
            let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
            assert!(target.is_some(), "{reference}");
        }
        match value {
            Value::Object(fields) => fields.values().for_each(|value| check(value, root)),
            Value::Array(items) => items.iter().for_each(|value| check(value, root)),
            _ => {}
        }
    }
    let document = document();
    check(&document, &document);
}

/// What a schema refers to.
fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let target = schema["$ref"].as_str().and_then(|reference| root.pointer(reference.strip_prefix('#')?));
    target.map_or(schema, |target| resolved(target, root))
}

/// The names of all properties, at all depths: `data[]._id`. What refers to itself is looked at once.
fn names(schema: &Value, root: &Value, at: &str, depth: usize, found: &mut BTreeSet<String>) {
    let schema = resolved(schema, root);
    if depth == 0 {
        return;
    }
    for part in ["allOf", "anyOf", "oneOf"] {
        for choice in schema[part].as_array().into_iter().flatten() {
            names(choice, root, at, depth - 1, found);
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{at}{name}");
        names(property, root, &format!("{path}."), depth - 1, found);
        found.insert(path);
    }
    if schema["items"].is_object() {
        names(&schema["items"], root, &format!("{}[].", at.trim_end_matches('.')), depth - 1, found);
    }
}

fn content(part: &Value) -> &Value {
    part["content"]
        .as_object()
        .and_then(|types| types.values().next())
        .map_or(&Value::Null, |content| &content["schema"])
}

/// Fields of the contract that come from models, or from parts that this server does not offer: docs/compatibility.md.
const NOT_OURS: &[&str] = &["embedding", "transcription", "source"];

/// Every operation of the contract is offered, with its parameters, its bodies and its answers.
#[test]
fn the_contract_is_kept() {
    let theirs: Value = serde_json::from_str(include_str!("../../tests/openapi-slice.json")).unwrap();
    let ours = document();
    let mut missing = Vec::new();
    for (path, operations) in theirs["paths"].as_object().unwrap() {
        let path = format!("/v1.3{}", path.replace('-', "_"));
        let path = ours["paths"].as_object().unwrap().keys().find(|ours| ours.replace('-', "_") == path);
        let Some(path) = path else {
            missing.push(format!("{operations:.40}"));
            continue;
        };
        for (method, operation) in operations.as_object().unwrap() {
            let at = format!("{method} {path}");
            let here = &ours["paths"][path][method];
            if here.is_null() {
                missing.push(at);
                continue;
            }
            let parameters = |operation: &Value| -> BTreeSet<String> {
                let all = operation["parameters"].as_array().into_iter().flatten();
                // The key is a security scheme here.
                all.filter_map(|each| each["name"].as_str())
                    .filter(|name| *name != "x-api-key")
                    .map(|name| name.replace('-', "_"))
                    .collect()
            };
            for name in parameters(operation).difference(&parameters(here)) {
                missing.push(format!("{at} parameter {name}"));
            }
            for (status, answer) in operation["responses"].as_object().unwrap() {
                let answer_here = &here["responses"][status];
                if answer_here.is_null() {
                    missing.push(format!("{at} {status}"));
                    continue;
                }
                if status.starts_with('2') {
                    compare(
                        &format!("{at} {status}"),
                        (content(answer), &theirs),
                        (content(answer_here), &ours),
                        &mut missing,
                    );
                }
            }
            compare(
                &format!("{at} body"),
                (content(&operation["requestBody"]), &theirs),
                (content(&here["requestBody"]), &ours),
                &mut missing,
            );
        }
    }
    missing.retain(|each| !ACCEPTED.iter().any(|accepted| each.starts_with(accepted)));
    assert!(missing.is_empty(), "{missing:#?}");
}

fn compare(at: &str, theirs: (&Value, &Value), ours: (&Value, &Value), missing: &mut Vec<String>) {
    let all = |(schema, root): (&Value, &Value)| {
        let mut found = BTreeSet::new();
        names(schema, root, "", 8, &mut found);
        found
    };
    let ours = all(ours);
    for name in all(theirs) {
        let is_ours = name.split('.').all(|part| !NOT_OURS.contains(&part.trim_end_matches("[]")));
        if is_ours && !ours.contains(&name) {
            missing.push(format!("{at} {name}"));
        }
    }
}

/// What the contract has and this server has not, by how it begins.
const ACCEPTED: &[&str] = &[
    // The create's answer is the seed's, which both SDKs read; retrieve tells it.
    "post /v1.3/assets 201 user_metadata",
    // No model runs here: there never is any.
    "get /v1.3/assets/{asset_id}/entities 200 data[].",
    // An id that cannot be one is a 404, and there is nothing else to be wrong.
    "get /v1.3/assets/{asset_id} 400",
    "delete /v1.3/assets/{asset_id}/user-metadata 400",
    "get /v1.3/indexes/{index_id} 400",
    "delete /v1.3/indexes/{index_id} 400",
    "get /v1.3/indexes/{index_id}/indexed-assets/{indexed_asset_id} 400",
    "delete /v1.3/indexes/{index_id}/indexed-assets/{indexed_asset_id} 400",
    // Every key may read.
    "get /v1.3/assets/multipart-uploads 403",
    "get /v1.3/assets/multipart-uploads/{upload_id} 403",
];
