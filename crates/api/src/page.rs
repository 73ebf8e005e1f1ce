use serde::{Deserialize, Serialize};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "PageOf{T}"))]
pub struct Page<T> {
    /// The items of this page; empty past the last page, which is not an error: the SDKs' pagers look for it.
    pub data: Vec<T>,
    /// Where this page stands.
    pub page_info: PageInfo,
}

/// Where a page stands in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PageInfo {
    /// Items on a full page, 1 to 50.
    pub limit_per_page: u32,
    /// This page, from 1.
    pub page: u64,
    /// Number of pages; 0 for an empty list.
    pub total_page: u64,
    /// Items on all pages.
    pub total_results: u64,
}

impl PageInfo {
    /// The arithmetic of pages. `limit_per_page` is at least 1.
    pub fn new(page: u64, limit_per_page: u32, total_results: u64) -> Self {
        Self {
            limit_per_page,
            page,
            total_page: total_results.div_ceil(u64::from(limit_per_page.max(1))),
            total_results,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_the_results() {
        for (results, limit, pages) in [(0, 10, 0), (1, 10, 1), (10, 10, 1), (11, 10, 2), (50, 1, 50)] {
            assert_eq!(PageInfo::new(1, limit, results).total_page, pages);
        }
    }
}
