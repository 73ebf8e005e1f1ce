//! Every operation, in the order in which people meet them.

use reelhouse_api::{
    Asset, AssetDetail, ChunkUrls, CreateUpload, ErrorBody, MAX_CHUNK_URLS, Page, ReportChunks,
    ReportedChunks, RequestChunkUrls, SetUserMetadata, Upload, UploadProgress, UploadSummary,
    index::{
        CreateIndex, CreateIndexedAsset, CreatedIndex, CreatedIndexedAsset, Index, IndexedAsset,
        IndexedAssetDetail, IndexedAssetStatus, IndexedAssetSummary, RenameIndex,
    },
    paths,
};
use reelhouse_service::METRICS_TYPE;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::{
    examples::{self, ASSET_ID, INDEX_ID, INDEXED_ASSET_ID, UPLOAD_ID},
    parts::{
        BEGINS, BODY, FORM, RATE, WITH_KEY, WRITES, answer, boolean, fault_answers, idempotency_key,
        json_content, named, paging, query,
    },
    schemas::{Schemas, user_metadata},
};

/// One way to call a path.
struct Operation {
    method: &'static str,
    path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Vec<(u16, Value)>,
    faults: Vec<&'static str>,
    /// Headers that faults have, too.
    fault_headers: &'static [&'static str],
    needs_key: bool,
}

impl Operation {
    fn new(
        (method, path): (&'static str, &'static str),
        id: &'static str,
        tag: &'static str,
        summary: &'static str,
    ) -> Self {
        let faults = WITH_KEY.to_vec();
        let (parameters, answers) = (Vec::new(), Vec::new());
        Self {
            method,
            path,
            id,
            tag,
            summary,
            parameters,
            body: None,
            answers,
            faults,
            fault_headers: &[],
            needs_key: true,
        }
    }

    fn with(mut self, parameters: impl IntoIterator<Item = Value>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    fn takes<T: JsonSchema>(mut self, schemas: &mut Schemas, example: Value) -> Self {
        let content = json_content(schemas.body::<T>(), example);
        self.body = Some(json!({ "required": true, "content": content }));
        self.fails(BODY)
    }

    fn gives<T: JsonSchema>(self, status: u16, what: &str, schemas: &mut Schemas, example: Value) -> Self {
        let content = json_content(schemas.answer::<T>(), example);
        self.says(status, what, &[], Some(content))
    }

    fn says(mut self, status: u16, what: &str, headers: &[&str], content: Option<Value>) -> Self {
        self.answers.push((status, answer(what, headers, content)));
        self
    }

    fn fails(mut self, faults: &[&'static str]) -> Self {
        self.faults.extend(faults);
        self
    }

    /// Without a key: the URL is one, or none is needed.
    fn open(mut self) -> Self {
        self.faults.clear();
        self.needs_key = false;
        self
    }

    /// Counts against the account's rate.
    fn begins(mut self) -> Self {
        self.fault_headers = RATE;
        self.parameters.push(idempotency_key());
        self.fails(BEGINS)
    }

    fn object(self, error: &Value) -> Value {
        let answers = self.answers.into_iter().map(|(status, answer)| (status.to_string(), answer));
        let faults = fault_answers(&self.faults, error, self.fault_headers);
        let responses: Map<String, Value> = answers.chain(faults).collect();
        let mut object = json!({ "operationId": self.id, "tags": [self.tag], "summary": self.summary });
        if !self.parameters.is_empty() {
            object["parameters"] = self.parameters.into();
        }
        if let Some(body) = self.body {
            object["requestBody"] = body;
        }
        object["responses"] = responses.into();
        if !self.needs_key {
            object["security"] = json!([]);
        }
        object
    }
}

/// All paths, with what can be done there.
pub(super) fn paths(schemas: &mut Schemas) -> Value {
    let error = schemas.answer::<ErrorBody>();
    let mut paths: Map<String, Value> = Map::new();
    let all = assets(schemas).into_iter().chain(uploads(schemas)).chain(indexes(schemas)).chain(others());
    for operation in all {
        // OpenAPI has no word for the rest of a path.
        let path = operation.path.replace("{*", "{");
        let method = operation.method;
        let at = paths.entry(path).or_insert_with(|| json!({}));
        at[method] = operation.object(&error);
    }
    paths.into()
}

fn asset_id() -> Value {
    named("asset_id", "The asset.", ASSET_ID)
}

fn bytes(what: &str) -> Value {
    json!({ "*/*": { "schema": { "type": "string", "description": what, "contentMediaType": "application/octet-stream" } } })
}

fn assets(schemas: &mut Schemas) -> Vec<Operation> {
    const TAG: &str = "Assets";
    let ids = json!({ "type": "array", "items": { "type": "string" }, "maxItems": 500 });
    let kinds =
        json!({ "type": "array", "items": { "type": "string", "enum": ["video", "audio", "image"] } });
    let created = json_content(schemas.answer::<Asset>(), examples::asset());
    let deleted = json_content(json!({ "type": "object", "maxProperties": 0 }), json!({}));
    let kept = json!({ "user_metadata": { "place": "Ærøskøbing", "take": 7 } });
    let created_headers: Vec<&str> = RATE.iter().copied().chain(["Location"]).collect();
    let mut create = Operation::new(
        ("post", paths::ASSETS),
        "createAsset",
        TAG,
        "Create an asset, of a file or of a link.",
    )
    .begins()
    .says(
        201,
        "It is durable. By a link, and in chunks, it may still be processing.",
        &created_headers,
        Some(created),
    )
    .fails(FORM);
    create.body = Some(create_form());
    vec![
        create,
        Operation::new(("get", paths::ASSETS), "listAssets", TAG, "List assets, newest first.")
            .with(paging())
            .with([
                query("asset_ids", "Only these. Repeated, or a JSON array in one value.", ids),
                query("asset_types", "Only these kinds. Repeated, or a JSON array in one value.", kinds),
                query("filename", "Only names that contain this, whatever the case.", json!({ "type": "string" })),
            ])
            .gives::<Page<AssetDetail>>(200, "One page.", schemas, examples::page(examples::asset_detail()))
            .fails(&["ParameterInvalid"]),
        Operation::new(("get", paths::ASSET), "retrieveAsset", TAG, "Retrieve an asset.")
            .with([asset_id()])
            .gives::<AssetDetail>(200, "All that is known of it.", schemas, examples::asset_detail())
            .fails(&["ResourceNotExist"]),
        Operation::new(("delete", paths::ASSET), "deleteAsset", TAG, "Delete an asset, and all that was made of it.")
            .with([asset_id(), query("force", "Although indexed assets refer to it.", boolean())])
            .says(200, "It is gone.", &[], Some(deleted))
            .fails(WRITES)
            .fails(&["ParameterInvalid", "ResourceNotExist", "AssetInUse"]),
        content(("get", paths::ASSET_CONTENT), "downloadAsset", TAG, "The original back, byte for byte.")
            .with([asset_id()])
            .fails(&["ResourceNotExist", "AssetNotReady", "RangeNotSatisfiable"]),
        Operation::new(("patch", paths::ASSET_USER_METADATA), "updateUserMetadata", TAG, "Change some of what is kept with it.")
            .with([asset_id()])
            .takes::<SetUserMetadata>(schemas, kept.clone())
            .says(200, "It is kept.", &[], None)
            .fails(WRITES)
            .fails(&["ResourceNotExist"]),
        Operation::new(("put", paths::ASSET_USER_METADATA), "replaceUserMetadata", TAG, "Replace what is kept with it.")
            .with([asset_id()])
            .takes::<SetUserMetadata>(schemas, kept)
            .says(200, "It is kept.", &[], None)
            .fails(WRITES)
            .fails(&["ResourceNotExist"]),
        Operation::new(("delete", paths::ASSET_USER_METADATA), "deleteUserMetadata", TAG, "Keep nothing with it.")
            .with([asset_id()])
            .says(200, "Nothing is kept.", &[], None)
            .fails(WRITES)
            .fails(&["ResourceNotExist"]),
        Operation::new(("get", paths::ASSET_INDEXED_ASSETS), "listPlacesOfAsset", TAG, "Where an asset is indexed.")
            .with([asset_id()])
            .with(paging())
            .gives::<Page<IndexedAssetSummary>>(200, "One page.", schemas, examples::page(examples::place()))
            .fails(&["ParameterInvalid", "ResourceNotExist"]),
        Operation::new(("get", paths::ASSET_ENTITIES), "listEntitiesOfAsset", TAG, "Who is in it: no model runs here, so nobody.")
            .with([asset_id()])
            .with(paging())
            .gives::<Page<Value>>(200, "An empty page.", schemas, {
                json!({ "data": [], "page_info": { "limit_per_page": 10, "page": 1, "total_page": 0, "total_results": 0 } })
            })
            .fails(&["ParameterInvalid", "ResourceNotExist"]),
        Operation::new(("get", paths::ASSET_TRANSCRIPTION), "retrieveTranscription", TAG, "What is said in it: always 404, no model runs here.")
            .with([asset_id()])
            .fails(&["ResourceNotExist"]),
    ]
}

/// A file as it lies, whole or in part.
fn content(
    at: (&'static str, &'static str),
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
) -> Operation {
    const HEADERS: &[&str] = &["ETag", "Cache-Control", "Accept-Ranges", "Content-Disposition"];
    const PART: &[&str] = &["ETag", "Cache-Control", "Accept-Ranges", "Content-Disposition", "Content-Range"];
    let header = |name: &str, description: &str| json!({ "name": name, "in": "header", "required": false, "description": description, "schema": { "type": "string" } });
    Operation::new(at, id, tag, summary)
        .with([
            header("Range", "One range of bytes; others are answered with the whole."),
            header("If-Range", "The ETag the range goes with."),
            header("If-None-Match", "ETags that the client has."),
        ])
        .says(200, "The whole.", HEADERS, Some(bytes("The file.")))
        .says(206, "The part that was asked for.", PART, Some(bytes("That part of the file.")))
        .says(304, "The client has it.", &["ETag", "Cache-Control"], None)
}

fn create_form() -> Value {
    let flag = |description: &str| {
        let mut schema = boolean();
        schema["description"] = description.into();
        schema
    };
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "required": true,
        "content": { "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["method"],
                "properties": {
                    "method": { "type": "string", "enum": ["direct", "url"], "description": "Whether `file` or `url` has it." },
                    "file": { "type": "string", "contentMediaType": "application/octet-stream", "description": "The bytes." },
                    "url": { "type": "string", "format": "uri", "description": "http or https, to what anyone can fetch." },
                    "filename": { "type": "string", "maxLength": 255, "description": "Instead of the file's own name." },
                    "enable_hls": flag("Make it playable."),
                    "enable_thumbnail": flag("Make it visible."),
                    "user_metadata": text("Whatever is to be kept with it: the text of a JSON object."),
                },
            },
            "example": { "method": "url", "url": "https://example.org/clip.mp4", "enable_hls": true },
        } },
    })
}

fn uploads(schemas: &mut Schemas) -> Vec<Operation> {
    const TAG: &str = "Uploads";
    let upload_id = || named("upload_id", "The upload.", UPLOAD_ID);
    let create = json!({ "filename": "Harbour at dawn.mp4", "type": "video", "total_size": 1_853_871, "enable_hls": true });
    let chunk = json!({ "chunk_index": 1, "proof": "4b60515d7642c4810e21ee025f866389", "proof_type": "etag", "chunk_size": 1_853_871 });
    let begun = json_content(schemas.answer::<Upload>(), examples::upload());
    let put = Operation::new(
        ("put", paths::CHUNK),
        "putChunk",
        TAG,
        "Send a chunk: its bytes, no more and no fewer.",
    )
    .open()
    .with([
        upload_id(),
        named("chunk_index", "From 1.", "1"),
        named("token", "Part of the URL that was handed out.", "1777635000-01722073c098d461"),
    ])
    .says(200, "It is here; its ETag is the proof to report.", &["ETag"], None)
    .fails(&[
        "UploadUrlInvalid",
        "UploadNotActive",
        "ChunkSizeInvalid",
        "ChunkCompleted",
        "RequestTimeout",
        "NoRoom",
        "Unavailable",
        "Internal",
    ]);
    vec![
        Operation::new(("post", paths::UPLOADS), "createUpload", TAG, "Begin an upload in chunks.")
            .begins()
            .takes::<CreateUpload>(schemas, create)
            .says(201, "Its asset is there, processing.", RATE, Some(begun))
            .fails(&["NoRoom"])
            .fails(&["MediaFilesizeTooLarge", "VideoFilesizeTooLarge", "AudioFilesizeTooLarge"]),
        Operation::new(
            ("get", paths::UPLOADS),
            "listUploads",
            TAG,
            "List uploads that take chunks, newest first.",
        )
        .with(paging())
        .gives::<Page<UploadSummary>>(200, "One page.", schemas, examples::page(examples::upload_summary()))
        .fails(&["ParameterInvalid"]),
        Operation::new(("get", paths::UPLOAD), "retrieveUpload", TAG, "How far an upload is.")
            .with([upload_id()])
            .with(paging())
            .gives::<UploadProgress>(
                200,
                "It, and one page of its chunks.",
                schemas,
                examples::upload_progress(),
            )
            .fails(&["ParameterInvalid", "ResourceNotExist"]),
        Operation::new(
            ("post", paths::UPLOAD),
            "reportChunks",
            TAG,
            "Report chunks that were sent. With the last one the asset is whole.",
        )
        .with([upload_id()])
        .takes::<ReportChunks>(schemas, json!({ "completed_chunks": [chunk] }))
        .gives::<ReportedChunks>(200, "They are taken.", schemas, examples::reported_chunks())
        .fails(WRITES)
        .fails(&[
            "ResourceNotExist",
            "UploadNotActive",
            "ChunkSizeInvalid",
            "ChunkCompleted",
            "RequestTimeout",
        ]),
        Operation::new(("post", paths::UPLOAD_URLS), "requestChunkUrls", TAG, "Ask where further chunks go.")
            .with([upload_id()])
            .takes::<RequestChunkUrls>(schemas, json!({ "start": 1, "count": 1.min(MAX_CHUNK_URLS) }))
            .gives::<ChunkUrls>(200, "Their URLs.", schemas, examples::chunk_urls())
            .fails(WRITES)
            .fails(&["ResourceNotExist", "UploadNotActive"]),
        Operation {
            body: Some(json!({ "required": true, "content": { "application/octet-stream": {} } })),
            ..put
        },
    ]
}

/// `visual` and `audio`, comma-joined; what is between commas may be missing.
const MODEL_OPTIONS: &str = "^ *((visual|audio) *)?(, *((visual|audio) *)?)*$";

fn one_of(words: &[&str], default: &str) -> Value {
    json!({ "type": "string", "enum": words, "default": default })
}

fn metadata_filter() -> Value {
    json!({
        "name": "user_metadata", "in": "query", "required": false,
        "description": "Names and the values that must be there, as JSON; `user_metadata[name]=value` says the same.",
        "content": { "application/json": { "schema": {
            "type": "object",
            "additionalProperties": { "anyOf": [{ "type": "string" }, { "type": "number" }, { "type": "boolean" }] },
        } } },
    })
}

fn indexes(schemas: &mut Schemas) -> Vec<Operation> {
    const TAG: &str = "Indexes";
    let index_id = || named("index_id", "The index.", INDEX_ID);
    let in_it = || [index_id(), named("indexed_asset_id", "What is in it.", INDEXED_ASSET_ID)];
    let sorted = || {
        [
            query(
                "sort_by",
                "By which time.",
                json!({ "type": "string", "enum": ["created_at", "updated_at", ""], "default": "created_at" }),
            ),
            query(
                "sort_option",
                "Oldest or newest first.",
                json!({ "type": "string", "enum": ["asc", "desc", ""], "default": "desc" }),
            ),
        ]
    };
    let from = |name: &str| {
        query(
            name,
            "At that time or later.",
            json!({ "anyOf": [{ "type": "string", "format": "date-time" }, { "const": "" }] }),
        )
    };
    let exactly = |name: &str| query(name, "The whole name, exactly.", json!({ "type": "string" }));
    let range = |name: &'static str, what: &str| {
        let number = json!({ "type": "number" });
        let properties = json!({ "gte": number, "lte": number });
        let bounds = json!({ "type": "object", "properties": properties, "additionalProperties": false });
        let mut range = query(name, what, bounds);
        range["style"] = "deepObject".into();
        range["explode"] = true.into();
        range
    };
    let created = json!({ "_id": INDEX_ID });
    let added = json!({ "_id": INDEXED_ASSET_ID, "asset_id": ASSET_ID });
    let create = json!({ "index_name": "holidays", "models": [{ "model_name": "marengo3.0", "model_options": ["visual"] }] });
    let statuses: Vec<&str> =
        IndexedAssetStatus::ALL.iter().map(|status| status.as_str()).chain(["validating"]).collect();
    let statuses = json!({ "type": "array", "items": { "type": "string", "enum": statuses } });
    vec![
        Operation::new(("post", paths::INDEXES), "createIndex", TAG, "Create an index.")
            .takes::<CreateIndex>(schemas, create)
            .gives::<CreatedIndex>(201, "It is there.", schemas, created)
            .fails(WRITES)
            .fails(&["IndexNameAlreadyExists"]),
        Operation::new(("get", paths::INDEXES), "listIndexes", TAG, "List indexes.")
            .with(paging())
            .with(sorted())
            .with([
                exactly("index_name"),
                query(
                    "model_options",
                    "All of these, joined by commas.",
                    json!({ "type": "string", "pattern": MODEL_OPTIONS }),
                ),
                query(
                    "model_family",
                    "With a model of this family.",
                    one_of(&["marengo", "pegasus", ""], ""),
                ),
                from("created_at"),
                from("updated_at"),
            ])
            .gives::<Page<Index>>(200, "One page.", schemas, examples::page(examples::index()))
            .fails(&["ParameterInvalid"]),
        Operation::new(("get", paths::INDEX), "retrieveIndex", TAG, "Retrieve an index.")
            .with([index_id()])
            .gives::<Index>(200, "The index.", schemas, examples::index())
            .fails(&["ResourceNotExist"]),
        Operation::new(("put", paths::INDEX), "renameIndex", TAG, "Rename an index.")
            .with([index_id()])
            .takes::<RenameIndex>(schemas, json!({ "index_name": "holidays" }))
            .says(200, "It has the new name.", &[], None)
            .fails(WRITES)
            .fails(&["ResourceNotExist", "IndexNameAlreadyExists"]),
        Operation::new(
            ("delete", paths::INDEX),
            "deleteIndex",
            TAG,
            "Delete an index, and what is in it; assets stay.",
        )
        .with([index_id()])
        .says(200, "It is gone.", &[], None)
        .fails(WRITES)
        .fails(&["ResourceNotExist"]),
        Operation::new(("post", paths::INDEXED_ASSETS), "addToIndex", TAG, "Add an asset to an index.")
            .with([index_id()])
            .takes::<CreateIndexedAsset>(
                schemas,
                json!({ "asset_id": ASSET_ID, "enable_video_stream": true }),
            )
            .gives::<CreatedIndexedAsset>(202, "A job sees to it.", schemas, added)
            .fails(WRITES)
            .fails(&["ResourceNotExist"]),
        Operation::new(("get", paths::INDEXED_ASSETS), "listIndexedAssets", TAG, "List what is in an index.")
            .with([index_id()])
            .with(paging())
            .with(sorted())
            .with([
                query("status", "Only these. Repeated, or a JSON array in one value.", statuses),
                exactly("filename"),
                range("duration", "Seconds."),
                range("fps", "Frames a second."),
                range("width", "Pixels."),
                range("height", "Pixels."),
                range("size", "Bytes."),
                from("created_at"),
                from("updated_at"),
                metadata_filter(),
            ])
            .gives::<Page<IndexedAsset>>(200, "One page.", schemas, examples::page(examples::indexed_asset()))
            .fails(&["ParameterInvalid", "ResourceNotExist"]),
        Operation::new(
            ("get", paths::INDEXED_ASSET),
            "retrieveIndexedAsset",
            TAG,
            "Retrieve what is in an index.",
        )
        .with(in_it())
        .with([
            query("embedding_option", "Taken, without effect: no model runs here.", json!({})),
            query("transcription", "Taken, without effect: no model runs here.", json!({})),
        ])
        .gives::<IndexedAssetDetail>(200, "All that is known of it.", schemas, examples::indexed_asset())
        .fails(&["ResourceNotExist"]),
        {
            let mut update = Operation::new(
                ("patch", paths::INDEXED_ASSET),
                "updateIndexedAsset",
                TAG,
                "Change some of what is kept with it.",
            )
            .with(in_it())
            .says(200, "It is kept.", &[], None)
            .fails(WRITES)
            .fails(BODY)
            .fails(&["ResourceNotExist"]);
            let mut metadata = user_metadata();
            metadata["type"] = json!(["object", "null"]);
            let schema = json!({ "type": "object", "properties": { "user_metadata": metadata } });
            let content = json_content(schema, json!({ "user_metadata": { "take": 7, "place": null } }));
            update.body = Some(json!({ "required": true, "content": content }));
            update
        },
        Operation::new(
            ("delete", paths::INDEXED_ASSET),
            "removeFromIndex",
            TAG,
            "Take something out of an index; its asset stays.",
        )
        .with(in_it())
        .says(200, "It is out.", &[], None)
        .fails(WRITES)
        .fails(&["ResourceNotExist"]),
    ]
}

fn others() -> Vec<Operation> {
    let ok = || {
        Some(json_content(
            json!({ "type": "object", "properties": { "status": { "const": "ok" } }, "required": ["status"] }),
            json!({ "status": "ok" }),
        ))
    };
    let media = content(
        ("get", paths::MEDIA),
        "media",
        "Media",
        "Playlists, segments, pictures, originals: what a media URL names.",
    );
    vec![
        media
            .open()
            .with([
                named("scope", "What it is of the asset.", "hls"),
                asset_id(),
                named("token", "Part of the URL that was handed out.", "0-64751c4e"),
                named("path", "The rest of the path; it may have slashes.", "hls-1/master.m3u8"),
            ])
            .fails(&[
                "MediaUrlInvalid",
                "ResourceNotExist",
                "AssetNotReady",
                "RangeNotSatisfiable",
                "Unavailable",
                "Internal",
            ]),
        Operation::new(("get", paths::HEALTHZ), "healthz", "Server", "Does the process run?").open().says(
            200,
            "It does.",
            &[],
            ok(),
        ),
        Operation::new(("get", paths::READYZ), "readyz", "Server", "Can it take uploads?")
            .open()
            .says(200, "It can.", &[], ok())
            .fails(&["NotReady"]),
        Operation::new(
            ("get", paths::METRICS),
            "metrics",
            "Server",
            "What is counted and measured, for Prometheus. With a key of the account `default`, also as `Authorization: Bearer`.",
        )
        .says(
            200,
            "OpenMetrics; docs/metrics.md has the names.",
            &["Cache-Control"],
            Some(json!({ METRICS_TYPE: { "schema": { "type": "string" } } })),
        )
        .fails(WRITES),
        Operation::new(("get", paths::OPENAPI), "openapi", "Server", "This document.").open().says(
            200,
            "OpenAPI 3.1.",
            &["Cache-Control"],
            Some(json_content(json!({ "type": "object" }), json!({ "openapi": "3.1.0" }))),
        ),
    ]
}
