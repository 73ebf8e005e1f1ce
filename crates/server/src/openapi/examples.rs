//! Answers as they come. A test reads each as its type.

use serde_json::{Value, json};

pub(super) const ASSET_ID: &str = "01a20f5214d90000374c9d26";
pub(super) const UPLOAD_ID: &str = "01a20f5c80bc0001e618290e";
pub(super) const INDEX_ID: &str = "01a20f6014d900004c9d2637";
pub(super) const INDEXED_ASSET_ID: &str = "01a20f6114d900009d26374c";

pub(super) fn asset() -> Value {
    json!({
        "_id": ASSET_ID,
        "method": "direct",
        "status": "ready",
        "filename": "Harbour at dawn.mp4",
        "file_type": "video/mp4",
        "size": 1_853_871,
        "duration": 12.0,
        "created_at": "2026-05-01T10:30:00Z",
    })
}

pub(super) fn asset_detail() -> Value {
    let mut asset = asset();
    let more = json!({
        "hls": {
            "status": "ready",
            "manifest_url": "https://media.example.org/media/hls/01a20f5214d90000374c9d26/0-64751c4e/hls-1/master.m3u8",
        },
        "thumbnail": { "status": "pending" },
        "original_url":
            "https://media.example.org/media/original/01a20f5214d90000374c9d26/0-98d1b2aa/Harbour%20at%20dawn.mp4",
        "user_metadata": { "place": "Ærøskøbing", "take": 7, "keep": true, "tags": ["boats", "fog"] },
        "technical_metadata": {
            "file_size_bytes": 1_853_871,
            "file_mime_type": "video/mp4",
            "video_codec": "h264",
            "video_width": 1280,
            "video_height": 720,
            "video_fps": 25.0,
        },
    });
    if let (Value::Object(asset), Value::Object(more)) = (&mut asset, more) {
        asset.extend(more);
    }
    asset
}

pub(super) fn page(item: Value) -> Value {
    json!({
        "data": [item],
        "page_info": { "limit_per_page": 10, "page": 1, "total_page": 1, "total_results": 1 },
    })
}

pub(super) fn index() -> Value {
    json!({
        "_id": INDEX_ID,
        "created_at": "2026-05-01T10:30:00.000Z",
        "updated_at": "2026-05-01T10:30:00.000Z",
        "index_name": "holidays",
        "total_duration": 12.0,
        "video_count": 1.0,
        "models": [{ "model_name": "marengo3.0", "model_options": ["visual", "audio"] }],
        "addons": [],
    })
}

pub(super) fn indexed_asset() -> Value {
    json!({
        "_id": INDEXED_ASSET_ID,
        "asset_id": ASSET_ID,
        "created_at": "2026-05-01T10:31:00.000Z",
        "updated_at": "2026-05-01T10:31:01.000Z",
        "indexed_at": "2026-05-01T10:31:01.000Z",
        "status": "ready",
        "system_metadata": {
            "filename": "Harbour at dawn.mp4", "duration": 12.0, "fps": 25.0, "width": 1280, "height": 720, "size": 1_853_871.0,
        },
    })
}

pub(super) fn place() -> Value {
    json!({ "_id": INDEXED_ASSET_ID, "index": { "_id": INDEX_ID, "name": "holidays" } })
}

fn chunk_url() -> Value {
    json!({
        "chunk_index": 1,
        "url": "https://media.example.org/uploads/01a20f5c80bc0001e618290e/1/1777635000-01722073c098d461",
        "expires_at": "2026-05-01T11:30:00Z",
    })
}

pub(super) fn upload() -> Value {
    json!({
        "upload_id": UPLOAD_ID,
        "asset_id": ASSET_ID,
        "upload_urls": [chunk_url()],
        "upload_headers": {},
        "chunk_size": 5_242_880,
        "total_chunks": 1,
        "expires_at": "2026-05-02T10:30:00Z",
    })
}

pub(super) fn upload_summary() -> Value {
    json!({
        "upload_id": UPLOAD_ID,
        "status": "active",
        "total_size": 1_853_871,
        "chunk_size": 5_242_880,
        "total_chunks": 1,
        "created_at": "2026-05-01T10:30:00Z",
        "expires_at": "2026-05-02T10:30:00Z",
    })
}

pub(super) fn upload_progress() -> Value {
    json!({
        "upload_id": UPLOAD_ID,
        "status": "active",
        "uploaded_chunks": [
            { "index": 1, "status": "pending", "uploaded_at": null, "updated_at": "2026-05-01T10:30:00Z" },
        ],
        "chunks_completed": 0,
        "chunks_failed": 0,
        "chunks_pending": 1,
        "page_info": { "limit_per_page": 10, "page": 1, "total_page": 1, "total_results": 1 },
        "total_size": 1_853_871,
        "uploaded_size": 0,
        "created_at": "2026-05-01T10:30:00Z",
        "updated_at": "2026-05-01T10:30:00Z",
    })
}

pub(super) fn reported_chunks() -> Value {
    json!({
        "url": "https://media.example.org/media/original/01a20f5214d90000374c9d26/0-98d1b2aa/Harbour%20at%20dawn.mp4",
        "asset_id": ASSET_ID,
        "processed_chunks": 1,
        "duplicate_chunks": 0,
        "total_completed": 1,
    })
}

pub(super) fn chunk_urls() -> Value {
    json!({
        "upload_id": UPLOAD_ID,
        "start_index": 1,
        "count": 1,
        "upload_urls": [chunk_url()],
        "generated_at": "2026-05-01T10:30:00Z",
        "expires_at": "2026-05-01T11:30:00Z",
    })
}
