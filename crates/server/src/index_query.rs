//! Queries of lists of indexes and of what is in them, as both SDKs write them.

use std::borrow::Cow;

use jiff::Timestamp;
use reelhouse_api::{Fault, index::IndexedAssetStatus};
use reelhouse_service::{IndexQuery, IndexedAssetQuery, MetadataFilter, Order, Range, SortBy};
use serde_json::{Map, Value};

use crate::query::{bounded, invalid, parse_page, values};

/// A status that newer SDKs know, and that nothing has here.
const VALIDATING: &str = "validating";

/// Reads the query of GET /indexes.
pub(crate) fn parse_indexes(query: &str) -> Result<IndexQuery, Fault> {
    let (page, page_limit) = parse_page(query)?;
    let mut parsed = IndexQuery { page, page_limit, ..IndexQuery::default() };
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "sort_by" => parsed.order.by = sort_by(&value)?,
            "sort_option" => parsed.order.ascending = ascending(&value)?,
            "index_name" => parsed.index_name = given(value),
            "model_options" => {
                for option in value.split(',').map(str::trim).filter(|option| !option.is_empty()) {
                    if !matches!(option, "visual" | "audio") {
                        return Err(invalid("model_options", option, "is neither visual nor audio"));
                    }
                    parsed.model_options.push(option.to_owned());
                }
                bounded("model_options", parsed.model_options.len())?;
            }
            "model_family" => match &*value {
                "" => {}
                "marengo" | "pegasus" => parsed.model_family = Some(value.into_owned()),
                _ => return Err(invalid("model_family", &value, "is neither marengo nor pegasus")),
            },
            "created_at" => parsed.created_from = time("created_at", &value)?,
            "updated_at" => parsed.updated_from = time("updated_at", &value)?,
            // A newer SDK's parameter: not ours to refuse.
            _ => {}
        }
    }
    Ok(parsed)
}

/// Reads the query of GET /indexes/{index_id}/indexed-assets.
pub(crate) fn parse_indexed_assets(query: &str) -> Result<IndexedAssetQuery, Fault> {
    let (page, page_limit) = parse_page(query)?;
    let mut parsed = IndexedAssetQuery { page, page_limit, ..IndexedAssetQuery::default() };
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        let (name, inner) = match key.split_once('[') {
            Some((name, rest)) => (name, rest.strip_suffix(']')),
            None => (&*key, None),
        };
        match name {
            "sort_by" => parsed.order.by = sort_by(&value)?,
            "sort_option" => parsed.order.ascending = ascending(&value)?,
            "status" => {
                let statuses = parsed.statuses.get_or_insert_default();
                for value in values("status", &value)? {
                    match IndexedAssetStatus::parse(&value) {
                        Some(status) if statuses.contains(&status) => {}
                        Some(status) => statuses.push(status),
                        None if value == VALIDATING => {}
                        None => return Err(invalid("status", &value, "is no status of an indexed asset")),
                    }
                }
            }
            "filename" => parsed.filename = given(value),
            "duration" => range("duration", &mut parsed.duration, inner, &value)?,
            "fps" => range("fps", &mut parsed.fps, inner, &value)?,
            "width" => range("width", &mut parsed.width, inner, &value)?,
            "height" => range("height", &mut parsed.height, inner, &value)?,
            "size" => range("size", &mut parsed.size, inner, &value)?,
            "created_at" => parsed.created_from = time("created_at", &value)?,
            "updated_at" => parsed.updated_from = time("updated_at", &value)?,
            "user_metadata" => {
                match inner {
                    // As the Python SDK writes it.
                    Some(key) => {
                        let (key, value) = (key.to_owned(), value.into_owned());
                        parsed.user_metadata.push(MetadataFilter { key, value });
                    }
                    // As the Node.js SDKs write it.
                    None => parsed.user_metadata.extend(metadata_filters(&value)?),
                }
                bounded("user_metadata", parsed.user_metadata.len())?;
            }
            // A newer SDK's parameter: not ours to refuse.
            _ => {}
        }
    }
    Ok(parsed)
}

/// Empty is no filter.
fn given(value: Cow<'_, str>) -> Option<String> {
    Some(value.into_owned()).filter(|value| !value.is_empty())
}

fn sort_by(value: &str) -> Result<SortBy, Fault> {
    match value {
        "" | "created_at" => Ok(SortBy::CreatedAt),
        "updated_at" => Ok(SortBy::UpdatedAt),
        other => Err(invalid("sort_by", other, "is neither created_at nor updated_at")),
    }
}

fn ascending(value: &str) -> Result<bool, Fault> {
    match value {
        "asc" => Ok(true),
        "" | "desc" => Ok(Order::default().ascending),
        other => Err(invalid("sort_option", other, "is neither asc nor desc")),
    }
}

/// Milliseconds since the epoch.
fn time(parameter: &'static str, value: &str) -> Result<Option<i64>, Fault> {
    if value.is_empty() {
        return Ok(None);
    }
    let time: Result<Timestamp, _> = value.parse();
    let time = time.map_err(|_| invalid(parameter, value, "is no time like 2026-05-01T10:30:00Z"))?;
    Ok(Some(time.as_millisecond()))
}

/// `duration[gte]=4`, `duration[lte]=9.5`; a bare `duration=5` is both.
fn range(parameter: &'static str, range: &mut Range, inner: Option<&str>, value: &str) -> Result<(), Fault> {
    let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
    let number = Some(number.ok_or_else(|| invalid(parameter, value, "is not a number"))?);
    match inner {
        Some("gte") => range.gte = number,
        Some("lte") => range.lte = number,
        None => *range = Range { gte: number, lte: number },
        Some(other) => return Err(invalid(parameter, other, "is neither gte nor lte")),
    }
    Ok(())
}

fn metadata_filters(text: &str) -> Result<Vec<MetadataFilter>, Fault> {
    let wrong = || invalid("user_metadata", text, "is not a JSON object of strings, numbers and booleans");
    let object: Map<String, Value> = serde_json::from_str(text).map_err(|_| wrong())?;
    let filter = |(key, value)| match value {
        Value::String(value) => Ok(MetadataFilter { key, value }),
        Value::Number(_) | Value::Bool(_) => Ok(MetadataFilter { key, value: value.to_string() }),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(wrong()),
    };
    object.into_iter().map(filter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_of_metadata_say_the_same() {
        let node = parse_indexed_assets(
            "user_metadata=%7B%22a%22%3A%22b%22%2C%22n%22%3A5%2C%22r%22%3A9.3%2C%22ok%22%3Atrue%7D",
        );
        let python = parse_indexed_assets(
            "page=1&user_metadata%5Ba%5D=b&user_metadata%5Bn%5D=5&user_metadata%5Br%5D=9.3&user_metadata[ok]=true",
        );
        let filters: Vec<_> = [("a", "b"), ("n", "5"), ("r", "9.3"), ("ok", "true")]
            .map(|(key, value)| MetadataFilter { key: key.to_owned(), value: value.to_owned() })
            .into();
        assert_eq!(node.unwrap().user_metadata, filters);
        assert_eq!(python.unwrap().user_metadata, filters);
        // What is bare is a parameter like any other that is not known.
        assert_eq!(parse_indexed_assets("a=b&n=5").unwrap().user_metadata, []);
    }

    #[test]
    fn ranges_statuses_and_times() {
        let query = parse_indexed_assets(
            "duration%5Bgte%5D=4&duration[lte]=9.5&width=640&status=ready&status=validating&status=ready\
             &created_at=2026-05-01T10%3A30%3A00Z&sort_by=updated_at&sort_option=asc",
        )
        .unwrap();
        assert_eq!(query.duration, Range { gte: Some(4.0), lte: Some(9.5) });
        assert_eq!(query.width, Range { gte: Some(640.0), lte: Some(640.0) });
        assert_eq!(query.statuses, Some(vec![IndexedAssetStatus::Ready]));
        assert_eq!(query.created_from, Some(1_777_631_400_000));
        assert_eq!(query.order, Order { by: SortBy::UpdatedAt, ascending: true });
        for (bad, parameter) in [
            ("duration[gt]=4", "duration"),
            ("fps[gte]=many", "fps"),
            ("size[lte]=inf", "size"),
            ("status=done", "status"),
            ("sort_by=name", "sort_by"),
            ("sort_option=up", "sort_option"),
            ("created_at=yesterday", "created_at"),
            ("user_metadata=a", "user_metadata"),
            ("user_metadata=%7B%22a%22%3A%5B%5D%7D", "user_metadata"),
            ("page_limit=51", "page_limit"),
        ] {
            let message = parse_indexed_assets(bad).unwrap_err().to_string();
            assert!(message.starts_with(&format!("The {parameter} parameter is invalid.")), "{message}");
        }
    }
}
