//! Queries, and values as text in queries and forms. Nonsense is a 400 that names the parameter and the value; nothing is clamped in silence.

use reelhouse_api::{AssetId, Fault, MediaKind};
use reelhouse_service::AssetQuery;

const DEFAULT_PAGE_LIMIT: u32 = 10;
const MAX_PAGE_LIMIT: u64 = 50;
/// The most values of one filter: what a query can carry anyway.
const MAX_VALUES: usize = 500;

/// Reads a query string as both SDKs write it: repeated plain keys; a JSON array in one value is accepted, too.
pub(crate) fn parse_assets(query: &str) -> Result<AssetQuery, Fault> {
    let mut parsed = AssetQuery { page: 1, page_limit: DEFAULT_PAGE_LIMIT, ..AssetQuery::default() };
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "page" => parsed.page = number("page", &value, u64::MAX)?,
            "page_limit" => {
                let limit = number("page_limit", &value, MAX_PAGE_LIMIT)?;
                parsed.page_limit = u32::try_from(limit).unwrap_or(DEFAULT_PAGE_LIMIT);
            }
            "asset_ids" => {
                let ids = parsed.asset_ids.get_or_insert_default();
                // An id that cannot be one is simply not found.
                ids.extend(values("asset_ids", &value)?.iter().filter_map(|id| AssetId::parse(id)));
                bounded("asset_ids", ids.len())?;
            }
            "asset_types" => {
                let kinds = parsed.asset_types.get_or_insert_default();
                for value in values("asset_types", &value)? {
                    let kind = MediaKind::parse(&value)
                        .ok_or_else(|| invalid("asset_types", &value, "is not video, audio or image"))?;
                    if !kinds.contains(&kind) {
                        kinds.push(kind);
                    }
                }
            }
            "filename" => parsed.filename = value.into_owned(),
            // A newer SDK's parameter: not ours to refuse.
            _ => {}
        }
    }
    Ok(parsed)
}

/// Reads `page` and `page_limit`.
pub(crate) fn parse_page(query: &str) -> Result<(u64, u32), Fault> {
    let AssetQuery { page, page_limit, .. } = parse_assets(query)?;
    Ok((page, page_limit))
}

/// Reads the query of a delete.
pub(crate) fn parse_force(query: &str) -> Result<bool, Fault> {
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let force = parameters.find(|(key, _)| key == "force").map(|(_, value)| value);
    bind_bool("force", force.as_deref())
}

/// What Go's `strconv.ParseBool` takes: the original's framework binds with it. Empty is false.
pub(crate) fn bind_bool(parameter: &'static str, text: Option<&str>) -> Result<bool, Fault> {
    match text.unwrap_or_default() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => Err(invalid(parameter, other, "is neither true nor false")),
    }
}

/// One value, or the values of a JSON array of strings.
pub(crate) fn values(parameter: &'static str, value: &str) -> Result<Vec<String>, Fault> {
    if !value.trim_start().starts_with('[') {
        return Ok(vec![value.to_owned()]);
    }
    serde_json::from_str(value).map_err(|_| invalid(parameter, value, "is not a JSON array of strings"))
}

pub(crate) fn bounded(parameter: &'static str, count: usize) -> Result<(), Fault> {
    if count <= MAX_VALUES {
        return Ok(());
    }
    Err(Fault::ParameterInvalid { parameter, reason: format!("It has more than {MAX_VALUES} values.") })
}

fn number(parameter: &'static str, value: &str, max: u64) -> Result<u64, Fault> {
    match value.parse() {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        _ if max == u64::MAX => Err(invalid(parameter, value, "is not a whole number of at least 1")),
        _ => Err(invalid(parameter, value, &format!("is not a whole number from 1 to {max}"))),
    }
}

pub(crate) fn invalid(parameter: &'static str, value: &str, why: &str) -> Fault {
    let shown: String = value.chars().take(100).collect();
    Fault::ParameterInvalid { parameter, reason: format!("\"{shown}\" {why}.") }
}
