//! What the fuzzers call: bytes in, and what must hold of them whatever they are.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;

use crate::{
    content_disposition,
    form::{Form, FormError},
    query,
    range::{self, Wanted},
};

/// Name, filename and bytes of each part.
pub(crate) type Parts = Vec<(String, Option<String>, Vec<u8>)>;

/// A form, its first byte the size of the chunks it comes in: every chunking reads the same, and what multer can read, too,
/// is the same for both.
pub fn form(data: &[u8]) {
    let Some((size, body)) = data.split_first() else { return };
    let ours = run(read(body, "b", &[usize::from(*size).max(1)]));
    let whole = run(read(body, "b", &[body.len().max(1)]));
    assert!(
        ours.as_ref().ok() == whole.as_ref().ok(),
        "another chunking reads something else: {ours:?}, {whole:?}"
    );
    // Before the first part, multer takes more for a delimiter than the standard.
    if !body.starts_with(b"--b\r\n") {
        return;
    }
    if let (Ok(ours), Ok(theirs)) = (ours, run(read_by_multer(body, "b", &[body.len()]))) {
        // Of names, multer reads less.
        let parts = |parts: Parts| parts.into_iter().map(|(.., bytes)| bytes).collect::<Vec<_>>();
        assert_eq!(parts(ours), parts(theirs), "multer reads something else");
    }
}

/// A Range header behind eight bytes of size: a part is inside.
pub fn range(data: &[u8]) {
    let Some((size, header)) = data.split_first_chunk() else { return };
    let size = u64::from_be_bytes(*size);
    if let Wanted::Part { first, last } = range::parse(&String::from_utf8_lossy(header), size) {
        assert!(first <= last && last < size, "{first}-{last} of {size}");
    }
}

/// Queries of lists: what is bounded stays so.
pub fn list_query(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(query) = query::parse_assets(&text) {
        assert!(query.page >= 1 && (1..=50).contains(&query.page_limit));
        assert!(query.asset_ids.is_none_or(|ids| ids.len() <= 500));
    }
    // Whether or not they are any.
    let _ = (query::parse_force(&text), crate::index_query::parse_indexes(&text));
    let _ = crate::index_query::parse_indexed_assets(&text);
}

/// Headers of a part, and the header of a download by the name in it.
pub fn part_headers(data: &[u8]) {
    let Some(part) = content_disposition::parse_part(data) else { return };
    for shown in [true, false] {
        let header = content_disposition::of(part.filename.as_deref().unwrap_or_default(), shown);
        let text = header.to_str().unwrap_or_default();
        assert!(text.starts_with(if shown { "inline; " } else { "attachment; " }), "{header:?}");
        assert_eq!(text.matches('"').count(), 2, "{text}");
    }
}

pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    #[expect(clippy::expect_used, reason = "a runtime without threads and drivers needs nothing")]
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}

fn chunks(body: &[u8], sizes: &[usize]) -> Vec<Result<Bytes, Infallible>> {
    let mut rest = body;
    let mut sizes = sizes.iter().copied().cycle();
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
        chunks.push(Ok(Bytes::copy_from_slice(chunk)));
        rest = after;
    }
    chunks
}

pub(crate) async fn read(body: &[u8], boundary: &str, sizes: &[usize]) -> Result<Parts, FormError> {
    let mut form = Form::new(stream::iter(chunks(body, sizes)), boundary);
    let mut parts = Vec::new();
    while let Some(part) = form.next_part().await? {
        let mut bytes = Vec::new();
        while let Some(chunk) = form.chunk().await? {
            assert!(!chunk.is_empty());
            bytes.extend_from_slice(&chunk);
        }
        parts.push((part.name, part.filename, bytes));
    }
    form.finish().await?;
    Ok(parts)
}

pub(crate) async fn read_by_multer(body: &[u8], boundary: &str, sizes: &[usize]) -> multer::Result<Parts> {
    let mut form = multer::Multipart::new(stream::iter(chunks(body, sizes)), boundary);
    let mut parts = Vec::new();
    while let Some(field) = form.next_field().await? {
        let (name, filename) =
            (field.name().unwrap_or_default().to_owned(), field.file_name().map(str::to_owned));
        parts.push((name, filename, field.bytes().await?.to_vec()));
    }
    Ok(parts)
}

#[cfg(test)]
#[path = "../../../fuzz/mutated.rs"]
mod mutated;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::mutated::mutated;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn form(data in mutated("form")) {
            super::form(&data);
        }

        #[test]
        fn range(data in mutated("range")) {
            super::range(&data);
        }

        #[test]
        fn list_query(data in mutated("list_query")) {
            super::list_query(&data);
        }

        #[test]
        fn part_headers(data in mutated("part_headers")) {
            super::part_headers(&data);
        }
    }
}
