//! What doctor finds in a store of a test, and what becomes of it.

use reelhouse_store::{Examination, Finding, Progress, Report, Store, Treatment};

/// All that one examination says.
pub(crate) async fn examine(store: &Store, how: &Examination) -> (Report, Vec<(Finding, Treatment)>) {
    let mut said = Vec::new();
    let tell =
        &mut |finding: &Finding, treatment: &Treatment| said.push((finding.clone(), treatment.clone()));
    let report = store.examine(how, &Progress::default(), tell).await.unwrap();
    (report, said)
}

/// Its findings, as it says them.
pub(crate) async fn findings(store: &Store, now_ms: i64) -> Vec<String> {
    let (_, said) = examine(store, &Examination::at(now_ms)).await;
    said.into_iter().map(|(finding, _)| finding.to_string()).collect()
}
