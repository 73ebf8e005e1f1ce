//! The form of POST /assets: read whole, then bound and validated in the order of the contract.

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, header};
use reelhouse_api::Fault;
use reelhouse_service::{Caller, KeptMetadata, NewAsset, Service, Upload};

use crate::{
    drain::{Patience, is_too_slow},
    error::{Error, Result},
    form::{Form, FormError},
    query,
};

/// The most bytes of all parts but the file.
const MAX_TEXT: usize = 1 << 20;

/// Where an asset's bytes are.
pub(crate) enum Source {
    /// Here.
    File(Box<Upload>),
    /// Where this leads.
    Url(String),
}

/// What the form's fields said, unjudged.
#[derive(Debug, Default)]
struct Fields {
    method: Option<String>,
    url: Option<String>,
    filename: Option<String>,
    enable_hls: Option<String>,
    enable_thumbnail: Option<String>,
    user_metadata: Option<String>,
}

/// The boundary of a request's form.
pub(crate) fn boundary(headers: &HeaderMap) -> Result<String, Fault> {
    let content_type =
        headers.get(header::CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let content_type = content_type.unwrap_or_default();
    let (essence, parameters) = content_type.split_once(';').unwrap_or((&content_type, ""));
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Err(Fault::ContentTypeInvalid { content_type: content_type.into_owned() });
    }
    let boundary = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"').to_owned())
    });
    // RFC 2046 allows 1 to 70 characters; some clients send more.
    match boundary {
        Some(boundary) if boundary.len() > 200 => Err(Fault::InvalidMultipart),
        Some(boundary) if !boundary.is_empty() => Ok(boundary),
        _ => Err(Fault::MultipartBoundaryMissing),
    }
}

/// Reads the form to the body's end. The file goes to staging as it arrives; all else is small.
///
/// # Errors
/// The first fault in the order of the contract: the form's own, then binding, validation and what goes with the
/// method. Faults of the file come later, from [`Service::create`], unless it is hopeless to read on.
pub(crate) async fn receive<S, E>(
    mut form: Form<S>,
    service: &Service,
    caller: &Caller,
    declared: Option<u64>,
    patience: &Patience,
) -> Result<(NewAsset, Source)>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<axum::BoxError>,
{
    let mut fields = Fields::default();
    let mut file: Option<(Upload, Option<String>)> = None;
    let mut file_twice = false;
    let mut text_left = MAX_TEXT;
    while let Some(part) = form.next_part().await? {
        let field = match part.name.as_str() {
            "file" if file.is_none() => {
                let upload = service.begin_upload(caller, declared).await?;
                let upload = receive_file(&mut form, upload, patience).await?;
                file = Some((upload, part.filename));
                continue;
            }
            "file" => {
                file_twice = true;
                None
            }
            "method" => Some(&mut fields.method),
            "url" => Some(&mut fields.url),
            "filename" => Some(&mut fields.filename),
            "enable_hls" => Some(&mut fields.enable_hls),
            "enable_thumbnail" => Some(&mut fields.enable_thumbnail),
            "user_metadata" => Some(&mut fields.user_metadata),
            // A newer SDK's field: not ours to refuse.
            _ => None,
        };
        let text = receive_text(&mut form, &mut text_left).await?;
        if let Some(field) = field {
            // The first one counts, as in the original's framework.
            field.get_or_insert_with(|| String::from_utf8_lossy(&text).into_owned());
        }
    }
    form.finish().await?;

    let mut new = NewAsset {
        enable_hls: query::bind_bool("enable_hls", fields.enable_hls.as_deref())?,
        enable_thumbnail: query::bind_bool("enable_thumbnail", fields.enable_thumbnail.as_deref())?,
        user_metadata: user_metadata(fields.user_metadata.as_deref().unwrap_or_default())?,
        filename: fields.filename,
        part_filename: None,
    };
    if file_twice {
        let reason = "It was given more than once.".to_owned();
        return Err(Fault::ParameterInvalid { parameter: "file", reason }.into());
    }
    match fields.method.as_deref() {
        None | Some("") => Err(Fault::Validation { field: "Method", tag: "required" }.into()),
        Some("direct") => {
            let (upload, part_filename) = file.ok_or(Fault::FileNotProvided)?;
            new.part_filename = part_filename;
            Ok((new, Source::File(Box::new(upload))))
        }
        Some("url") => match fields.url.filter(|url| !url.is_empty()) {
            Some(url) => Ok((new, Source::Url(url))),
            None => Err(Fault::UrlNotProvided.into()),
        },
        Some("multipart") => Err(Fault::MethodMultipart.into()),
        Some(_) => Err(Fault::Validation { field: "Method", tag: "oneof" }.into()),
    }
}

/// One field of JSON text; empty is absent.
fn user_metadata(text: &str) -> Result<KeptMetadata, Fault> {
    if text.is_empty() {
        return Ok(KeptMetadata::default());
    }
    match serde_json::from_str(text) {
        Ok(metadata) => KeptMetadata::of(metadata),
        Err(error) => Err(Fault::ParameterInvalid {
            parameter: "user_metadata",
            reason: format!("It is not the text of a JSON object: {error}."),
        }),
    }
}

async fn receive_file<S, E>(form: &mut Form<S>, mut upload: Upload, patience: &Patience) -> Result<Upload>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<axum::BoxError>,
{
    while let Some(bytes) = form.chunk().await? {
        let len = bytes.len();
        upload.push(bytes).await;
        // Read on, so that the form's own faults come first and the size is told exactly; but not for ever.
        if upload.is_refused() && !patience.takes(len) {
            return Err(upload.into_fault().into());
        }
    }
    Ok(upload)
}

async fn receive_text<S, E>(form: &mut Form<S>, left: &mut usize) -> Result<Vec<u8>>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<axum::BoxError>,
{
    let mut text = Vec::new();
    while let Some(bytes) = form.chunk().await? {
        *left = left.checked_sub(bytes.len()).ok_or(FormError::Malformed("too much text"))?;
        text.extend_from_slice(&bytes);
    }
    Ok(text)
}

impl From<FormError> for Error {
    fn from(error: FormError) -> Self {
        tracing::info!(%error, "a form could not be read");
        match error {
            FormError::Body(cause) if is_too_slow(cause.as_ref()) => Fault::RequestTimeout.into(),
            FormError::Malformed(_) | FormError::Body(_) => Fault::InvalidMultipart.into(),
        }
    }
}
