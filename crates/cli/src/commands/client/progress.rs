//! What is seen while bytes move: bars on a terminal, now and then a line elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use reelhouse_client::Progress;

use super::text::{fit, size};

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(120);
/// Columns of a name, at least and at most.
const NAME: (usize, usize) = (16, 48);

/// Where everything is shown: bars on standard error, results on standard output, in turn.
#[derive(Clone)]
pub(crate) struct Board {
    bars: Option<MultiProgress>,
    name_columns: usize,
}

/// One file's or asset's place on the board; gone when it is dropped.
pub(crate) struct Row {
    bar: Option<ProgressBar>,
    name: String,
}

impl Board {
    pub(crate) fn new() -> Self {
        let columns = rustix::termios::tcgetwinsize(io::stderr()).map_or(80, |size| usize::from(size.ws_col));
        let bars = io::stderr().is_terminal().then(MultiProgress::new);
        Self { bars, name_columns: (columns / 4).clamp(NAME.0, NAME.1) }
    }

    /// A row for bytes that move.
    pub(crate) fn row(&self, name: &str, total: Option<u64>) -> Row {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::no_length());
            bar.set_prefix(fit(name, self.name_columns));
            bar.enable_steady_tick(TICK);
            bar
        });
        let row = Row { bar, name: name.to_owned() };
        match (&row.bar, total) {
            (Some(bar), Some(total)) => {
                bar.set_length(total);
                bar.set_style(style(
                    "{prefix} {wide_bar:.cyan/blue} {percent:>3}% {bytes:>10} {binary_bytes_per_sec:>12} {eta:>4} left",
                ));
            }
            _ => row.waits("…"),
        }
        row
    }

    /// A line on standard output, above the bars.
    pub(crate) fn result(&self, line: &str) -> io::Result<()> {
        self.above(|| writeln!(io::stdout().lock(), "{line}"))
    }

    /// A line on standard error, above the bars.
    pub(crate) fn complain(&self, line: &str) {
        // There is nowhere left to say that this cannot be said.
        let _ = self.above(|| writeln!(io::stderr().lock(), "{line}"));
    }

    fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

impl Row {
    /// What to tell of progress.
    pub(crate) fn follow(&self) -> impl Fn(Progress) + Send + Sync + use<> {
        let (bar, name) = (self.bar.clone(), self.name.clone());
        let lines = Arc::new(Mutex::new(Lines { begin: None, last: Instant::now() }));
        move |progress| match &bar {
            Some(bar) => bar.set_position(progress.done),
            None => {
                let line = lines.lock().unwrap_or_else(PoisonError::into_inner).after(progress);
                if let Some(line) = line {
                    let _ = writeln!(io::stderr().lock(), "{name}: {line}");
                }
            }
        }
    }

    /// Says what is waited for once so many bytes are sent.
    pub(crate) fn when_sent(
        &self,
        total: u64,
        for_what: &'static str,
    ) -> impl Fn(Progress) + Send + Sync + use<> {
        let bar = self.bar.clone();
        move |progress| {
            if progress.done >= total {
                waits(bar.as_ref(), for_what);
            }
        }
    }

    /// From now on the server works, and we wait.
    pub(crate) fn waits(&self, for_what: &str) {
        waits(self.bar.as_ref(), for_what);
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn waits(bar: Option<&ProgressBar>, for_what: &str) {
    if let Some(bar) = bar {
        bar.set_style(style("{prefix} {spinner} {wide_msg} {elapsed:>4}"));
        bar.set_message(for_what.to_owned());
    }
}

/// When the last line was printed, and what there was at the begin.
struct Lines {
    begin: Option<(Instant, u64)>,
    last: Instant,
}

impl Lines {
    fn after(&mut self, progress: Progress) -> Option<String> {
        let (since, at) = *self.begin.get_or_insert((Instant::now(), progress.done));
        if self.last.elapsed() < LINE_EVERY {
            return None;
        }
        self.last = Instant::now();
        Some(line(progress, progress.done.saturating_sub(at), since.elapsed()))
    }
}

/// `45% of 1.20 GiB, 12.00 MiB/s, 41 s left`
fn line(progress: Progress, moved: u64, elapsed: Duration) -> String {
    let rate = moved as f64 / elapsed.as_secs_f64().max(0.001);
    // A rate of all the bytes there are fits.
    let shown = format!("{}/s", size(rate as u64));
    match progress.total.filter(|total| *total > 0) {
        Some(total) => {
            let percent = progress.done as f64 / total as f64 * 100.0;
            let left = total.saturating_sub(progress.done) as f64 / rate.max(1.0);
            format!("{percent:.0}% of {}, {shown}, {left:.0} s left", size(total))
        }
        None => format!("{}, {shown}", size(progress.done)),
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━━─").tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_how_long() {
        let progress = Progress { done: 300 << 20, total: Some(1 << 30) };
        assert_eq!(
            line(progress, 100 << 20, Duration::from_secs(10)),
            "29% of 1.00 GiB, 10.00 MiB/s, 72 s left"
        );
        let progress = Progress { done: 300 << 20, total: None };
        assert_eq!(line(progress, 100 << 20, Duration::from_secs(10)), "300.00 MiB, 10.00 MiB/s");
    }
}
