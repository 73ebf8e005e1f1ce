//! When each track begins and ends. Headers promise, packets tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::{
    Config, Error, Source,
    process::{Request, Timings},
    reader::{Failure, Reader},
};

/// Seconds, counted from where the file begins.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Timing {
    /// Of the whole.
    pub(crate) seconds: Option<f64>,
    /// Beginning and end of tracks, where known.
    pub(crate) tracks: BTreeMap<u32, (f64, f64)>,
    /// Tracks whose packets do not say when they are shown: in AVI, pictures come late by what is reordered.
    pub(crate) untimed: BTreeSet<u32>,
    /// Tracks of sound that no decoder takes.
    pub(crate) undecodable: BTreeSet<u32>,
}

/// Measures a file. What cannot be measured is absent.
pub(crate) async fn measure(
    reader: &Reader,
    config: &Config,
    path: &Path,
    seconds: Option<f64>,
) -> Result<Timing, Error> {
    let file = Source::from(path).open().await?;
    let asked = reader.ask::<Timings>(&file, Request::Timings { seconds }, config.probe_patience()).await;
    match asked {
        Ok((timings, _)) => Ok(timing(timings, seconds)),
        Err(Failure::Refused(_) | Failure::Died(_)) => Ok(timing(Timings::default(), seconds)),
        Err(Failure::Io(error)) => Err(error.into()),
    }
}

fn timing(timings: Timings, seconds: Option<f64>) -> Timing {
    let Timings { whole, tracks, ends, untimed, undecodable } = timings;
    let start = believed(whole.start).unwrap_or(0.0);
    let tracks = tracks.iter().filter_map(|(index, span)| {
        let begins = believed(span.start).unwrap_or(start);
        let declared = || Some(begins + believed(span.duration)?);
        let ends = believed(ends.get(index).copied()).or_else(declared)?;
        Some((*index, (begins - start, ends - start)))
    });
    let seconds = believed(whole.duration).or(seconds);
    Timing { seconds, tracks: tracks.collect(), untimed, undecodable }
}

fn believed(seconds: Option<f64>) -> Option<f64> {
    seconds.filter(|seconds| seconds.is_finite() && seconds.abs() < 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Span;

    #[test]
    fn packets_are_believed_before_headers() {
        let span = |start, duration| Span { start, duration };
        let timings = Timings {
            whole: span(Some(1.4), Some(10.0)),
            tracks: [
                (0, span(Some(1.4), Some(9.9))),
                (1, span(Some(1.5), Some(3.0))),
                (2, span(None, None)),
                (3, span(Some(f64::NAN), Some(1.0))),
            ]
            .into(),
            ends: [(0, 11.4), (2, f64::INFINITY)].into(),
            ..Timings::default()
        };
        let timing = timing(timings, None);
        assert_eq!(timing.seconds, Some(10.0));
        let rounded = |n| timing.tracks.get(&n).map(|(a, b)| ((a * 100.0).round(), (b * 100.0).round()));
        assert_eq!((rounded(0), rounded(1), rounded(2)), (Some((0.0, 1000.0)), Some((10.0, 310.0)), None));
        assert_eq!(rounded(3), Some((0.0, 100.0)));
    }
}
