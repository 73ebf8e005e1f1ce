//! What is counted and measured: every name once. As with a log, whoever has something to say says it where it happens.

mod catalogue;

use std::sync::LazyLock;

use prometheus_client::metrics::{counter::Counter, gauge::Gauge, histogram::Histogram};

use catalogue::Catalogue;

pub use catalogue::{CONTENT_TYPE, Doc, Float, Label, Labelled, Seconds};

/// This process's.
pub fn metrics() -> &'static Metrics {
    static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);
    &METRICS
}

/// Everything that is counted and measured. Durations are in seconds, sizes in bytes.
#[derive(Debug)]
#[expect(missing_docs, reason = "each says what it is where it is named")]
pub struct Metrics {
    catalogue: Catalogue,

    pub http_requests: Labelled<3, Counter>,
    pub http_request_duration: Labelled<2, Histogram>,
    pub http_received: Counter,
    pub http_sent: Counter,
    pub http_connections: Gauge,
    pub faults: Labelled<1, Counter>,

    pub uploads_in_flight: Gauge,
    pub wait_duration: Labelled<1, Histogram>,
    pub probe_duration: Labelled<1, Histogram>,
    pub children_killed: Labelled<1, Counter>,
    pub media_process_starts: Counter,

    pub job_duration: Labelled<2, Histogram>,
    pub leases_lost: Counter,
    pub jobs: Labelled<3, Gauge>,
    pub job_oldest_age: Labelled<3, Float>,

    pub webhook_attempts: Labelled<1, Counter>,
    pub webhook_attempt_duration: Histogram,
    pub webhook_deliveries: Labelled<1, Gauge>,

    pub assets: Gauge,
    pub asset_bytes: Gauge,
    pub disk_free: Gauge,
    pub disk_size: Gauge,

    pub process_cpu: Seconds,
    pub process_resident_memory: Gauge,
    pub process_open_fds: Gauge,
    pub process_max_fds: Gauge,
    pub build_info: Labelled<1, Gauge>,
}

impl Metrics {
    fn new() -> Self {
        let mut all = Catalogue::new();
        Self {
            http_requests: all.counters(
                "http_requests",
                ["method", "route", "status"],
                "Requests answered, by the route's template and the status' class",
            ),
            http_request_duration: all.durations(
                "http_request_duration",
                ["method", "route"],
                "From a request's head to its answer's head",
            ),
            http_received: all.bytes_counter("http_received", "Read from clients, heads and all"),
            http_sent: all.bytes_counter("http_sent", "Written to clients, heads and all"),
            http_connections: all.gauge("http_connections", "Connections that are open"),
            faults: all.counters(
                "faults",
                ["code"],
                "Requests refused or failed, by the code they were told",
            ),

            uploads_in_flight: all.gauge("uploads_in_flight", "Files that are arriving in requests"),
            wait_duration: all.durations(
                "wait_duration",
                ["for"],
                "Waits for a turn: room in staging, a probe, an index's reader, an import's slot",
            ),
            probe_duration: all.durations(
                "probe_duration",
                ["outcome"],
                "Looking at a whole file, without the wait: taken, refused, or failed by us",
            ),
            children_killed: all.counters(
                "children_killed",
                ["program"],
                "Children that had to be killed, or died over a file",
            ),
            media_process_starts: all.counter("media_process_starts", "Starts of the media process"),

            job_duration: all.durations(
                "job_duration",
                ["kind", "outcome"],
                "Attempts at jobs: done, failed, lost (the lease), released (at a shutdown)",
            ),
            leases_lost: all
                .counter("leases_lost", "Leases taken back from workers that gave no sign of life"),
            jobs: all.gauges("jobs", ["lane", "kind", "state"], "Jobs in the table"),
            job_oldest_age: all.seconds_gauges(
                "job_oldest_age",
                ["lane", "kind", "state"],
                "Since the oldest of them was pushed; 0 for none",
            ),

            webhook_attempts: all.counters(
                "webhook_attempts",
                ["outcome"],
                "Attempts to tell webhooks: delivered, retry, dead, gone (the receiver wants no more)",
            ),
            webhook_attempt_duration: all
                .duration("webhook_attempt_duration", "From an event to its receiver's answer"),
            webhook_deliveries: all.gauges(
                "webhook_deliveries",
                ["state"],
                "Deliveries that are not delivered: blocked, waiting, sending, dead",
            ),

            assets: all.gauge("assets", "Assets of all accounts"),
            asset_bytes: all.bytes_gauge("asset", "Their originals"),
            disk_free: all.bytes_gauge("disk_free", "Room for us on the data folder's file system"),
            disk_size: all.bytes_gauge("disk_size", "All of that file system"),

            process_cpu: all.seconds_counter("process_cpu", "CPU time of this process"),
            process_resident_memory: all
                .bytes_gauge("process_resident_memory", "Memory of this process, in RAM"),
            process_open_fds: all.gauge("process_open_fds", "Descriptors that are open"),
            process_max_fds: all.gauge("process_max_fds", "Descriptors that may be"),
            build_info: all.gauges("build_info", ["version"], "1"),

            catalogue: all,
        }
    }

    /// All as text, of [`CONTENT_TYPE`].
    pub fn text(&self) -> String {
        self.catalogue.text()
    }

    /// What there is, in the order of the text.
    pub fn docs(&self) -> &[Doc] {
        self.catalogue.docs()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn the_text_is_what_scrapers_read() {
        let metrics = Metrics::new();
        metrics.http_requests.with(["GET".into(), "/a/{id}".into(), "2xx".into()]).inc();
        metrics.http_received.inc_by(5);
        metrics.process_cpu.set(1.5);
        metrics.probe_duration.with(["taken".into()]).observe(0.02);
        metrics.asset_bytes.set(7);
        let text = metrics.text();
        for line in [
            "# TYPE reelhouse_http_requests counter",
            "reelhouse_http_requests_total{method=\"GET\",route=\"/a/{id}\",status=\"2xx\"} 1",
            "reelhouse_http_received_bytes_total 5",
            "reelhouse_process_cpu_seconds_total 1.5",
            "reelhouse_probe_duration_seconds_count{outcome=\"taken\"} 1",
            "reelhouse_asset_bytes 7",
            "# EOF",
        ] {
            assert!(text.lines().any(|each| each == line), "{line} is not in:\n{text}");
        }
    }

    /// docs/metrics.md holds this table. After a change, `REELHOUSE_WRITE_DOCS=1 cargo test -p reelhouse-metrics` writes it.
    #[test]
    fn docs_list_every_name() {
        const BEGIN: &str = "| name | type | labels | what |\n|---|---|---|---|\n";
        let mut table = BEGIN.to_owned();
        for Doc { name, kind, labels, help } in metrics().docs() {
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            writeln!(table, "| `{name}` | {kind} | {} | {help} |", labels.join(", ")).unwrap();
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let after = rest.split_once("\n\n").map_or("", |(_, after)| after);
        let wanted = format!("{before}{table}\n{after}");
        if std::env::var_os("REELHOUSE_WRITE_DOCS").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        assert!(std::fs::read_to_string(path).unwrap() == wanted, "docs/metrics.md is not up to date");
    }
}
