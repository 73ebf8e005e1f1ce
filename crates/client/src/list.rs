use std::{fmt, marker::PhantomData};

use futures_util::{Stream, TryStreamExt, stream};
use reelhouse_api::PageInfo;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    RawResponse, Result,
    operation::{CallFuture, Operation, call, read},
    request::Request,
};

/// A list: `.await` gives one page, [`List::stream`] all items of all pages.
pub struct List<T> {
    pub(crate) request: Request,
    page: u64,
    items: PhantomData<fn() -> T>,
}

/// One page of a list.
pub struct Page<T> {
    /// The items of this page.
    pub data: Vec<T>,
    /// Where this page stands; absent where a server does not say.
    pub page_info: Option<PageInfo>,
    next: List<T>,
}

call!(List<T>);

impl<T> List<T> {
    pub(crate) fn new(request: Request) -> Self {
        Self { request, page: 1, items: PhantomData }
    }

    /// Which page, from 1.
    pub fn page(mut self, page: u64) -> Self {
        self.page = page;
        self
    }

    /// How many items on a page, 1 to 50; 10 when it is not said.
    pub fn page_limit(mut self, limit: u32) -> Self {
        self.request.query("page_limit", &limit.to_string());
        self
    }

    /// This list, at another page.
    fn at(&self, page: u64) -> Self {
        Self { request: self.request.again(), page, items: PhantomData }
    }
}

impl<T: DeserializeOwned + Send + 'static> List<T> {
    /// Every item from this page on, page after page. What is created meanwhile shifts the pages, so an item may come twice.
    pub fn stream(self) -> impl Stream<Item = Result<T>> + Send + Unpin {
        let pages = stream::try_unfold(Some(self), async |list| {
            let Some(list) = list else { return Ok(None) };
            let page = list.await?;
            let (data, next) = (page.data, page.next);
            let more = next_exists(data.len(), page.page_info, next.page);
            Ok::<_, crate::Error>(Some((stream::iter(data.into_iter().map(Ok)), more.then_some(next))))
        });
        Box::pin(pages.try_flatten())
    }
}

impl<T: DeserializeOwned + Send + 'static> Operation for List<T> {
    type Output = Page<T>;

    fn perform(self) -> CallFuture<RawResponse<Page<T>>> {
        /// Servers may write `null` for an empty list, or for what they do not know.
        #[derive(Deserialize)]
        #[serde(bound = "T: DeserializeOwned")]
        struct Wire<T> {
            data: Option<Vec<T>>,
            page_info: Option<PageInfo>,
        }
        Box::pin(async move {
            let answer = self.request.with_query("page", &self.page.to_string()).answer().await?;
            let next = self.at(self.page + 1);
            read(answer, |body| {
                let wire: Wire<T> = serde_json::from_slice(body)?;
                Ok(Page { data: wire.data.unwrap_or_default(), page_info: wire.page_info, next })
            })
        })
    }
}

impl<T: DeserializeOwned + Send + 'static> Page<T> {
    /// Whether there may be another page. A full page may be the last one all the same: totals can be estimates.
    pub fn has_next_page(&self) -> bool {
        next_exists(self.data.len(), self.page_info, self.next.page)
    }

    /// The next page; empty past the last one.
    pub async fn next_page(&self) -> Result<Self> {
        self.next.at(self.next.page).await
    }
}

fn next_exists(items: usize, info: Option<PageInfo>, next: u64) -> bool {
    let full = info.is_none_or(|info| items as u64 >= u64::from(info.limit_per_page));
    let counted = info.is_some_and(|info| next <= info.total_page);
    items > 0 && (full || counted)
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").field("page", &self.page).finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for Page<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("data", &self.data).field("page_info", &self.page_info).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_next_page_while_pages_are_full_or_counted() {
        let info = |total| Some(PageInfo::new(2, 10, total));
        for (items, info, more) in [
            (10, info(20), true),
            (10, info(25), true),
            (5, info(15), false),
            (0, info(20), false),
            (3, None, true),
            (0, None, false),
        ] {
            assert_eq!(next_exists(items, info, 3), more, "{items} {info:?}");
        }
    }
}
