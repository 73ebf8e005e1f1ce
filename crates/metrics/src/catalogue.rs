//! How a metric gets its name, and what is known of it.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicU64, Ordering},
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry, Unit},
};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What every name begins with.
const PREFIX: &str = "reelhouse";

/// From a page of memory to a long transcode.
const BUCKETS: [f64; 14] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3600.0];

/// A label's value.
pub type Label = Cow<'static, str>;

/// A number that is no integer.
pub type Float = Gauge<f64, AtomicU64>;

/// Names with values.
type Labels<const N: usize> = [(&'static str, Label); N];

/// One metric for each combination of labels.
#[derive(Debug)]
pub struct Labelled<const N: usize, M> {
    names: [&'static str; N],
    family: Family<Labels<N>, M, fn() -> M>,
}

impl<const N: usize, M: Clone> Labelled<N, M> {
    fn new(names: [&'static str; N], make: fn() -> M) -> Self {
        Self { names, family: Family::new_with_constructor(make) }
    }

    /// The one of these labels' values, in the order of their names.
    pub fn with(&self, values: [Label; N]) -> M {
        let mut names = self.names.into_iter();
        // As many as there are values.
        self.family.get_or_create_owned(&values.map(|value| (names.next().unwrap_or_default(), value)))
    }
}

/// Seconds that only grow, and are known from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Seconds(Counter<f64, AtomicU64>);

impl Seconds {
    /// What they are now.
    pub fn set(&self, seconds: f64) {
        self.0.inner().store(seconds.to_bits(), Ordering::Relaxed);
    }
}

/// What is known of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doc {
    /// As it stands in the text; of a histogram, without `_bucket`, `_sum`, `_count`.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: Vec<&'static str>,
    /// A sentence without its full stop.
    pub help: &'static str,
}

/// All names.
#[derive(Debug)]
pub(crate) struct Catalogue {
    registry: Registry,
    docs: Vec<Doc>,
}

impl Catalogue {
    pub(crate) fn new() -> Self {
        Self { registry: Registry::with_prefix(PREFIX), docs: Vec::new() }
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(crate) fn docs(&self) -> &[Doc] {
        &self.docs
    }

    fn add(
        &mut self,
        (name, unit): (&'static str, Option<Unit>),
        kind: &'static str,
        labels: &[&'static str],
        help: &'static str,
        metric: impl Metric,
    ) {
        let unit_name = unit.as_ref().map_or(String::new(), |unit| format!("_{}", unit.as_str()));
        let total = if kind == "counter" { "_total" } else { "" };
        self.docs.push(Doc {
            name: format!("{PREFIX}_{name}{unit_name}{total}"),
            kind,
            labels: labels.to_vec(),
            help,
        });
        match unit {
            Some(unit) => self.registry.register_with_unit(name, help, unit, metric),
            None => self.registry.register(name, help, metric),
        }
    }

    pub(crate) fn counter(&mut self, name: &'static str, help: &'static str) -> Counter {
        let metric = Counter::default();
        self.add((name, None), "counter", &[], help, metric.clone());
        metric
    }

    pub(crate) fn bytes_counter(&mut self, name: &'static str, help: &'static str) -> Counter {
        let metric = Counter::default();
        self.add((name, Some(Unit::Bytes)), "counter", &[], help, metric.clone());
        metric
    }

    pub(crate) fn seconds_counter(&mut self, name: &'static str, help: &'static str) -> Seconds {
        let metric = Seconds::default();
        self.add((name, Some(Unit::Seconds)), "counter", &[], help, metric.0.clone());
        metric
    }

    pub(crate) fn counters<const N: usize>(
        &mut self,
        name: &'static str,
        labels: [&'static str; N],
        help: &'static str,
    ) -> Labelled<N, Counter> {
        let metric = Labelled::new(labels, Counter::default);
        self.add((name, None), "counter", &labels, help, metric.family.clone());
        metric
    }

    pub(crate) fn gauge(&mut self, name: &'static str, help: &'static str) -> Gauge {
        let metric = Gauge::default();
        self.add((name, None), "gauge", &[], help, metric.clone());
        metric
    }

    pub(crate) fn bytes_gauge(&mut self, name: &'static str, help: &'static str) -> Gauge {
        let metric = Gauge::default();
        self.add((name, Some(Unit::Bytes)), "gauge", &[], help, metric.clone());
        metric
    }

    pub(crate) fn gauges<const N: usize>(
        &mut self,
        name: &'static str,
        labels: [&'static str; N],
        help: &'static str,
    ) -> Labelled<N, Gauge> {
        let metric = Labelled::new(labels, Gauge::default);
        self.add((name, None), "gauge", &labels, help, metric.family.clone());
        metric
    }

    pub(crate) fn seconds_gauges<const N: usize>(
        &mut self,
        name: &'static str,
        labels: [&'static str; N],
        help: &'static str,
    ) -> Labelled<N, Float> {
        let metric = Labelled::new(labels, Float::default);
        self.add((name, Some(Unit::Seconds)), "gauge", &labels, help, metric.family.clone());
        metric
    }

    pub(crate) fn duration(&mut self, name: &'static str, help: &'static str) -> Histogram {
        let metric = Histogram::new(BUCKETS);
        self.add((name, Some(Unit::Seconds)), "histogram", &[], help, metric.clone());
        metric
    }

    pub(crate) fn durations<const N: usize>(
        &mut self,
        name: &'static str,
        labels: [&'static str; N],
        help: &'static str,
    ) -> Labelled<N, Histogram> {
        let metric = Labelled::new(labels, || Histogram::new(BUCKETS));
        self.add((name, Some(Unit::Seconds)), "histogram", &labels, help, metric.family.clone());
        metric
    }
}
