//! What is seen while bytes move: bars on a terminal, now and then a line elsewhere.

use std::{
    io::{self, Write},
    sync::{Mutex, Once, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use reelhouse_client::Progress;

use super::text::{fit, size, terminal_width, wrapped};

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(120);
/// Columns of a name, at least and at most.
const NAME: (usize, usize) = (16, 48);

/// Where everything is shown: bars on standard error, results on standard output, in turn.
#[derive(Clone)]
pub(crate) struct Board {
    bars: Option<MultiProgress>,
    /// Of the terminal that standard error is.
    columns: Option<usize>,
}

/// One file's or asset's place on the board; gone when it is dropped.
pub(crate) struct Row {
    bar: Option<ProgressBar>,
    name: String,
}

impl Board {
    pub(crate) fn new() -> Self {
        let columns = terminal_width(io::stderr());
        Self { bars: columns.map(|_| MultiProgress::new()), columns }
    }

    /// A row for bytes that move.
    pub(crate) fn row(&self, name: &str, total: Option<u64>) -> Row {
        let bar = self.bars.as_ref().map(|bars| {
            let columns = self.columns.unwrap_or_default() / 4;
            let prefix = fit(name, columns.clamp(NAME.0, NAME.1));
            let bar = match total {
                Some(total) => ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden())
                    .with_style(moving()),
                None => {
                    ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_style(waiting())
                }
            };
            // Drawn from here on, with all that belongs to it.
            let bar = bars.add(bar.with_prefix(prefix));
            bar.enable_steady_tick(TICK);
            bar
        });
        Row { bar, name: name.to_owned() }
    }

    /// A line on standard output, above the bars.
    pub(crate) fn result(&self, line: &str) -> io::Result<()> {
        self.above(|| writeln!(io::stdout().lock(), "{line}"))
    }

    /// Something to know on standard error, above the bars; its lines end between words where a terminal's do.
    pub(crate) fn complain(&self, text: &str) {
        let lines = wrapped(text, self.columns);
        // There is nowhere left to say that this cannot be said.
        let _ = self.above(|| writeln!(io::stderr().lock(), "{lines}"));
    }

    fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

impl Row {
    /// What to tell of progress; once all is sent, what is waited for.
    pub(crate) fn follow(&self, then: &'static str) -> impl Fn(Progress) + Send + Sync + use<> {
        let (bar, name) = (self.bar.clone(), self.name.clone());
        let lines = Mutex::new(Lines { begin: None, last: Instant::now() });
        let begin = Once::new();
        move |progress| match &bar {
            Some(bar) if Some(progress.done) >= progress.total => waits(Some(bar), then),
            Some(bar) => {
                bar.set_style(moving());
                bar.set_position(progress.done);
                // What was there before is no speed.
                begin.call_once(|| bar.reset_eta());
            }
            None => {
                let line = lines.lock().unwrap_or_else(PoisonError::into_inner).after(progress);
                if let Some(line) = line {
                    let _ = writeln!(io::stderr().lock(), "{name}: {line}");
                }
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
        bar.set_style(waiting());
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

fn waiting() -> ProgressStyle {
    style("{prefix} {spinner} {wide_msg} {elapsed:>4}")
}

fn moving() -> ProgressStyle {
    style("{prefix} {wide_bar:.cyan/blue} {percent:>3}% {bytes:>10} {binary_bytes_per_sec:>12} {eta:>4} left")
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
