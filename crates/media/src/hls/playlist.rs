//! The playlists (RFC 8216 and its successor).

use std::{collections::HashSet, fmt::Write};

use super::{
    codec::VideoRange,
    index::{Index, Rendition},
};

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

/// The multivariant playlist of several forms of the same thing, in their order. Each comes with what the addresses of its
/// files begin with, as `720/`; of an index itself these are `main.m3u8`, `audio-1.m3u8` and so on.
///
/// Where the first has its sounds to choose from beside the video, they serve every other that has none of its own.
pub fn master_playlist(variants: &[(&str, &Index)]) -> String {
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let mut groups: Vec<Option<Group<'_>>> = Vec::new();
    for (number, (prefix, index)) in variants.iter().enumerate() {
        let group = Group::of(index, number);
        if let Some(group) = &group {
            group.push(&mut out, prefix);
        }
        groups.push(group);
    }
    // Said of all or of none: what is not said is SDR.
    let range_of = |index: &Index| index.picture.map(|picture| picture.range).unwrap_or_default();
    let with_range = variants.iter().any(|(_, index)| range_of(index) != VideoRange::Sdr);
    let shared = groups.first().and_then(Option::as_ref);
    for ((prefix, index), group) in variants.iter().zip(&groups) {
        let group = group.as_ref().or(shared.filter(|_| is_silent(index)));
        push_variant(&mut out, prefix, index, group, with_range);
    }
    out
}

/// Whether it is video that has no sound, neither with it nor beside it.
fn is_silent(index: &Index) -> bool {
    index.renditions.iter().flat_map(|rendition| &rendition.tracks).all(|track| track.is_video)
}

/// Sounds to choose from.
struct Group<'a> {
    id: String,
    /// With their numbers as renditions.
    sounds: Vec<(usize, &'a Rendition)>,
}

impl<'a> Group<'a> {
    /// Beside video all sounds; else what is beside the main one, and that.
    fn of(index: &'a Index, variant: usize) -> Option<Self> {
        let first = usize::from(index.picture.is_some());
        let id = if variant == 0 { "audio".to_owned() } else { format!("audio-{}", variant + 1) };
        let sounds = index.renditions.iter().enumerate().skip(first).collect();
        (index.renditions.len() > 1).then_some(Self { id, sounds })
    }

    fn push(&self, out: &mut String, prefix: &str) {
        let mut names = HashSet::new();
        for (place, (number, rendition)) in self.sounds.iter().enumerate() {
            let uri = format!("{prefix}{}.m3u8", stem(*number));
            push_sound(out, &self.id, rendition, &uri, place == 0, &mut names);
        }
    }
}

fn push_variant(out: &mut String, prefix: &str, index: &Index, group: Option<&Group<'_>>, with_range: bool) {
    let Some(main) = index.renditions.first() else { return };
    let sounds = || group.into_iter().flat_map(|group| &group.sounds).map(|(_, rendition)| *rendition);
    let (mut peak, mut average) = rates(main);
    // One of the sounds plays beside the video. Where there is none, the main rendition is one of them.
    if index.picture.is_some() {
        peak += sounds().map(|sound| rates(sound).0).max().unwrap_or(0);
        average += sounds().map(|sound| rates(sound).1).max().unwrap_or(0);
    }
    let mut codecs: Vec<&str> = Vec::new();
    for codec in std::iter::once(main).chain(sounds()).flat_map(|rendition| &rendition.codecs) {
        if !codecs.contains(&codec.as_str()) {
            codecs.push(codec);
        }
    }
    // Writing to a String does not fail.
    let _ = write!(
        out,
        "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{}\"",
        codecs.join(",")
    );
    if let Some(picture) = index.picture {
        let _ = write!(out, ",RESOLUTION={}x{}", picture.width, picture.height);
        if picture.rate > 0 {
            let _ = write!(out, ",FRAME-RATE={}.{:03}", picture.rate / 1000, picture.rate % 1000);
        }
        if with_range {
            let _ = write!(out, ",VIDEO-RANGE={}", picture.range.as_str());
        }
    }
    if let Some(group) = group {
        let _ = write!(out, ",AUDIO=\"{}\"", group.id);
    }
    let _ = writeln!(out, "\n{prefix}main.m3u8");
}

fn push_sound(
    out: &mut String,
    group: &str,
    rendition: &Rendition,
    uri: &str,
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
    let _ = write!(out, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{group}\",NAME=\"{name}\"");
    if let Some(language) = &sound.language {
        let _ = write!(out, ",LANGUAGE=\"{language}\"");
    }
    let _ = write!(out, ",DEFAULT={default},AUTOSELECT=YES");
    if sound.channels > 0 {
        let _ = write!(out, ",CHANNELS=\"{}\"", sound.channels);
    }
    let _ = writeln!(out, ",URI=\"{uri}\"");
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
