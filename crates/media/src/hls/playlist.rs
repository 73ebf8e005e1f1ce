//! The playlists (RFC 8216 and its successor).

use std::{collections::HashSet, fmt::Write};

use super::index::{Index, Rendition};

/// What files of a rendition are called: `main`, then `audio-1` and so on.
pub(super) fn stem(rendition: usize) -> String {
    if rendition == 0 { "main".to_owned() } else { format!("audio-{rendition}") }
}

pub(super) fn media(rendition: &Rendition, number: usize) -> String {
    let stem = stem(number);
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:7\n");
    let target = target(rendition);
    // Writing to a String does not fail.
    let _ =
        writeln!(out, "#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD");
    let _ = writeln!(out, "#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"{stem}-init.mp4\"");
    for (number, segment) in rendition.segments.iter().enumerate() {
        let (seconds, micros) = (segment.duration / 1_000_000, segment.duration % 1_000_000);
        let _ = writeln!(out, "#EXTINF:{seconds}.{micros:06},\n{stem}-{number}.m4s");
    }
    out.push_str("#EXT-X-ENDLIST\n");
    out
}

/// The longest segment, in whole seconds, rounded up.
fn target(rendition: &Rendition) -> u64 {
    rendition.segments.iter().map(|segment| segment.duration.div_ceil(1_000_000)).max().unwrap_or(1).max(1)
}

pub(super) fn master(index: &Index) -> String {
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let Some((main, others)) = index.renditions.split_first() else { return out };
    // Sound to choose from: beside video all of it, else what is beside the main one, and that.
    let has_choice = !others.is_empty();
    let first_sound = usize::from(index.picture.is_some());
    if has_choice {
        let mut names = HashSet::new();
        for (number, rendition) in index.renditions.iter().enumerate().skip(first_sound) {
            let is_default = number == first_sound;
            push_sound(&mut out, rendition, number, is_default, &mut names);
        }
    }
    let (peak, average) = rates(main);
    let beside = others.iter().map(rates);
    let (sound_peak, sound_average) = if index.picture.is_some() {
        (beside.clone().map(|(peak, _)| peak).max(), beside.map(|(_, average)| average).max())
    } else {
        (None, None)
    };
    let bandwidth = peak + sound_peak.unwrap_or(0);
    let average = average + sound_average.unwrap_or(0);
    let mut codecs: Vec<&str> = Vec::new();
    for codec in index.renditions.iter().flat_map(|rendition| &rendition.codecs) {
        if !codecs.contains(&codec.as_str()) {
            codecs.push(codec);
        }
    }
    let _ = write!(
        out,
        "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},AVERAGE-BANDWIDTH={average},CODECS=\"{}\"",
        codecs.join(",")
    );
    if let Some(picture) = index.picture {
        let _ = write!(out, ",RESOLUTION={}x{}", picture.width, picture.height);
        if picture.rate > 0 {
            let _ = write!(out, ",FRAME-RATE={}.{:03}", picture.rate / 1000, picture.rate % 1000);
        }
    }
    if has_choice {
        out.push_str(",AUDIO=\"audio\"");
    }
    out.push_str("\nmain.m3u8\n");
    out
}

fn push_sound(
    out: &mut String,
    rendition: &Rendition,
    number: usize,
    is_default: bool,
    names: &mut HashSet<String>,
) {
    let sound = &rendition.sound;
    let mut name = match (&sound.name, &sound.language) {
        (Some(name), _) => name.clone(),
        (None, Some(language)) => language.clone(),
        (None, None) => format!("Audio {}", names.len() + 1),
    };
    // Names tell them apart.
    if names.contains(&name) {
        name = format!("{name} ({})", names.len() + 1);
    }
    let default = if is_default { "YES" } else { "NO" };
    let _ = write!(out, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"{name}\"");
    if let Some(language) = &sound.language {
        let _ = write!(out, ",LANGUAGE=\"{language}\"");
    }
    let _ = write!(out, ",DEFAULT={default},AUTOSELECT=YES");
    if sound.channels > 0 {
        let _ = write!(out, ",CHANNELS=\"{}\"", sound.channels);
    }
    let _ = writeln!(out, ",URI=\"{}.m3u8\"", stem(number));
    names.insert(name);
}

/// Bits a second: the most of any stretch of half to one and a half times the target duration, and of the whole.
fn rates(rendition: &Rendition) -> (u64, u64) {
    let segments = &rendition.segments;
    let rate = |bytes: u64, micros: u64| {
        let bits = u128::from(bytes) * 8_000_000 / u128::from(micros.max(1));
        u64::try_from(bits).unwrap_or(u64::MAX >> 1)
    };
    let sum = |(bytes, micros): (u64, u64), len: u64, duration: u64| {
        (bytes.saturating_add(len), micros.saturating_add(duration))
    };
    let (bytes, micros) =
        segments.iter().fold((0, 0), |total, segment| sum(total, segment.len, segment.duration));
    let average = rate(bytes, micros);
    let target = target(rendition).saturating_mul(1_000_000);
    let mut peak = average;
    for (index, _) in segments.iter().enumerate() {
        let mut stretch = (0, 0);
        for segment in segments.iter().skip(index) {
            stretch = sum(stretch, segment.len, segment.duration);
            if stretch.1 > target.saturating_mul(3) / 2 {
                break;
            }
            if stretch.1 >= target / 2 {
                peak = peak.max(rate(stretch.0, stretch.1));
            }
        }
    }
    (peak, average)
}
