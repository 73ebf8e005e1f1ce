//! The tracks of a file: what its headers say, and its samples, wherever they are listed.

use std::borrow::Cow;
use std::{
    collections::HashMap,
    io::{Read, Seek},
};

use super::{
    CopyCodec, Reason, Stop, codec, fragments,
    tables::{self, Budget, Sample},
};
use crate::boxes::{be16, be32, be64, child, children, read_box, read_content};

/// An index larger than this is no index.
const MAX_INDEX: u64 = 64 << 20;
/// A fragment's own index.
const MAX_FRAGMENT_INDEX: u64 = 16 << 20;
/// More boxes than any real file has.
const MAX_BOXES: usize = 500_000;
const MAX_TRACKS: usize = 64;

/// A track that is served.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) timescale: u32,
    pub(super) media: Media,
    pub(super) edit: Edit,
    pub(super) samples: Vec<Sample>,
    /// As in the source's `tkhd`; it turns the picture.
    pub(super) matrix: [u32; 9],
    /// BCP 47.
    pub(super) language: Option<String>,
    pub(super) name: Option<String>,
}

#[derive(Debug)]
pub(super) enum Media {
    Video(codec::Video),
    Audio(codec::Audio),
}

/// What of a track is shown, and when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Edit {
    /// Nothing is shown for so long, in the track's ticks.
    pub(super) delay: i64,
    /// The first moment that is shown.
    pub(super) start: i64,
    /// The first that is not.
    pub(super) end: Option<i64>,
}

/// The tracks to serve: video first if there is one, then sound, the default first.
pub(super) fn read(file: &mut (impl Read + Seek), len: u64, copy: &[CopyCodec]) -> Result<Vec<Track>, Stop> {
    let mut budget = Budget::new(len);
    let mut found: Option<Movie> = None;
    let mut at = 0;
    for _ in 0..MAX_BOXES {
        let Some(next) = read_box(file, at, len)? else { break };
        let size = next.end.saturating_sub(next.content);
        match &next.name {
            b"moov" if found.is_none() => {
                if next.end > len || size > MAX_INDEX {
                    return Err(Reason::BadTables(Cow::Borrowed("an index that is cut, or too large")).into());
                }
                found = Some(Movie::read(&read_content(file, &next)?, copy, &mut budget)?);
            }
            b"moof" => {
                if next.end > len || size > MAX_FRAGMENT_INDEX {
                    return Err(
                        Reason::BadTables(Cow::Borrowed("a fragment that is cut, or too large")).into()
                    );
                }
                let movie =
                    found.as_mut().ok_or(Reason::BadTables(Cow::Borrowed("a fragment before the index")))?;
                let moof = read_content(file, &next)?;
                fragments::read(&moof, at, &mut movie.fragmented, &mut budget)?;
            }
            _ => {}
        }
        at = next.end;
    }
    Ok(found.ok_or(Reason::NotMp4)?.tracks()?)
}

/// What a `moov` says.
struct Movie {
    tracks: Vec<(u32, Track)>,
    /// By number of the track.
    fragmented: HashMap<u32, fragments::Track>,
}

impl Movie {
    fn read(moov: &[u8], copy: &[CopyCodec], budget: &mut Budget) -> Result<Self, Reason> {
        let timescale = child(moov, b"mvhd").and_then(timescale_of).unwrap_or(1000);
        let headers: Vec<_> = children(moov)
            .filter(|(name, _)| name == b"trak")
            .take(MAX_TRACKS + 1)
            .filter_map(|(_, trak)| Header::read(trak))
            .collect();
        if headers.len() > MAX_TRACKS {
            return Err(Reason::BadTables(Cow::Borrowed("more tracks than are allowed")));
        }
        let mut tracks = Vec::new();
        let chosen = choose(&headers, copy)?;
        for (header, media) in chosen {
            tracks.push((header.number, header.track(media, timescale, budget)?));
        }
        let mut fragmented = HashMap::new();
        if let Some(mvex) = child(moov, b"mvex") {
            for (number, track) in &mut tracks {
                let defaults = children(mvex)
                    .filter(|(name, _)| name == b"trex")
                    .find(|(_, trex)| be32(trex, 4) == Some(*number));
                let defaults = defaults.and_then(|(_, trex)| fragments::Defaults::of_trex(trex));
                let samples = std::mem::take(&mut track.samples);
                fragmented.insert(*number, fragments::Track::new(defaults.unwrap_or_default(), samples));
            }
        }
        Ok(Self { tracks, fragmented })
    }

    fn tracks(mut self) -> Result<Vec<Track>, Reason> {
        for (number, track) in &mut self.tracks {
            if let Some(read) = self.fragmented.remove(number) {
                track.samples = read.samples;
            }
        }
        // A track without samples is none.
        let tracks: Vec<_> =
            self.tracks.into_iter().map(|(_, track)| track).filter(|it| !it.samples.is_empty()).collect();
        if tracks.is_empty() { Err(Reason::NoMedia) } else { Ok(tracks) }
    }
}

/// One `trak`, before its tables are read.
struct Header<'a> {
    number: u32,
    is_enabled: bool,
    alternate_group: u16,
    matrix: [u32; 9],
    handler: [u8; 4],
    timescale: u32,
    language: Option<String>,
    trak: &'a [u8],
    minf: &'a [u8],
    stbl: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(trak: &'a [u8]) -> Option<Self> {
        let tkhd = child(trak, b"tkhd")?;
        let mdia = child(trak, b"mdia")?;
        let mdhd = child(mdia, b"mdhd")?;
        let minf = child(mdia, b"minf")?;
        // Version 1 has longer times.
        let longer = if *tkhd.first()? == 1 { 12 } else { 0 };
        let mut matrix = [0; 9];
        for (index, entry) in matrix.iter_mut().enumerate() {
            *entry = be32(tkhd, 40 + longer + index * 4)?;
        }
        Some(Self {
            number: be32(tkhd, if longer > 0 { 20 } else { 12 })?,
            is_enabled: tkhd.get(3)? & 1 == 1,
            alternate_group: be16(tkhd, 34 + longer)?,
            matrix,
            handler: *child(mdia, b"hdlr")?.get(8..)?.first_chunk()?,
            timescale: timescale_of(mdhd)?,
            language: language_of(mdia, mdhd),
            trak,
            minf,
            stbl: child(minf, b"stbl")?,
        })
    }

    fn stsd(&self) -> &'a [u8] {
        child(self.stbl, b"stsd").unwrap_or_default()
    }

    fn track(&self, media: Media, movie_timescale: u32, budget: &mut Budget) -> Result<Track, Reason> {
        if let Some(references) = child(self.minf, b"dinf").and_then(|dinf| child(dinf, b"dref"))
            && children(references.get(8..).unwrap_or_default())
                .any(|(_, reference)| reference.get(3).is_some_and(|flags| flags & 1 == 0))
        {
            return Err(Reason::BadTables(Cow::Borrowed("media in another file")));
        }
        if matches!(media, Media::Video(_)) && tables::has_open_groups(self.stbl) {
            return Err(Reason::OpenGop);
        }
        let edits = child(self.trak, b"edts").and_then(|edts| child(edts, b"elst"));
        let edit = match edits {
            Some(elst) => Edit::read(elst, movie_timescale, self.timescale)?,
            None => Edit::default(),
        };
        let name = child(self.trak, b"udta").and_then(|udta| child(udta, b"name")).map(name_for_people);
        Ok(Track {
            timescale: self.timescale,
            media,
            edit,
            samples: tables::samples(self.stbl, budget)?,
            matrix: self.matrix,
            language: self.language.clone(),
            name: name.filter(|name| !name.is_empty()),
        })
    }
}

/// Which tracks are served, in order.
fn choose<'a, 'b>(
    headers: &'b [Header<'a>],
    copy: &[CopyCodec],
) -> Result<Vec<(&'b Header<'a>, Media)>, Reason> {
    let is_still = |header: &Header<'_>| {
        codec::only_entry(header.stsd())
            .is_ok_and(|(name, _)| matches!(&name, b"jpeg" | b"mjpa" | b"mjpb" | b"png "))
    };
    // Covers, chapter pictures and a camera's thumbnails are no second video.
    let mut videos: Vec<_> =
        headers.iter().filter(|header| header.handler == *b"vide" && !is_still(header)).collect();
    if videos.iter().any(|video| video.is_enabled) {
        videos.retain(|video| video.is_enabled);
    }
    let mut chosen = Vec::new();
    match videos[..] {
        [] => {}
        [video] => chosen.push((video, Media::Video(codec::video(video.stsd(), copy)?))),
        _ => return Err(Reason::SeveralVideos),
    }
    let sounds: Vec<_> = headers
        .iter()
        .filter(|header| header.handler == *b"soun")
        .map(|header| (header, codec::audio(header.stsd())))
        .collect();
    let playable_groups: Vec<_> =
        sounds.iter().filter(|(_, sound)| sound.is_ok()).map(|(header, _)| header.alternate_group).collect();
    let first_sound = chosen.len();
    for (header, sound) in sounds {
        match sound {
            Ok(sound) => chosen.push((header, Media::Audio(sound))),
            // The file itself says that another one can be played in its place.
            Err(Reason::AudioCodec(_))
                if header.alternate_group != 0 && playable_groups.contains(&header.alternate_group) => {}
            Err(reason) => return Err(reason),
        }
    }
    // The default first; the sort is stable.
    if let Some(sounds) = chosen.get_mut(first_sound..) {
        sounds.sort_by_key(|(header, _)| !header.is_enabled);
    }
    if chosen.is_empty() { Err(Reason::NoMedia) } else { Ok(chosen) }
}

/// Ticks of a second, of an `mvhd` or an `mdhd`.
fn timescale_of(header: &[u8]) -> Option<u32> {
    be32(header, if *header.first()? == 1 { 20 } else { 12 }).filter(|ticks| *ticks > 0)
}

impl Edit {
    /// Empty edits, then one that shows something; more only if they show what would be shown anyway.
    fn read(elst: &[u8], movie_timescale: u32, timescale: u32) -> Result<Self, Reason> {
        let bad = || Reason::BadTables(Cow::Borrowed("an edit list that makes no sense"));
        let is_long = *elst.first().ok_or_else(bad)? == 1;
        let width = if is_long { 20 } else { 12 };
        let count = be32(elst, 4).ok_or_else(bad)? as usize;
        let entries = elst.get(8..).unwrap_or_default().chunks_exact(width);
        let mut edit = Self::default();
        let (mut delay, mut shown) = (0u64, None::<u64>);
        for entry in entries.take(count) {
            let (duration, start, rate) = if is_long {
                (be64(entry, 0), be64(entry, 8).map(|start| start as i64), be32(entry, 16))
            } else {
                (
                    be32(entry, 0).map(u64::from),
                    be32(entry, 4).map(|start| i64::from(start as i32)),
                    be32(entry, 8),
                )
            };
            let (Some(duration), Some(start), Some(rate)) = (duration, start, rate) else {
                return Err(bad());
            };
            match (start, shown) {
                (-1, None) => delay = delay.checked_add(duration).ok_or_else(bad)?,
                // Nothing after the end.
                (-1, Some(_)) => {}
                (0.., None) if rate == 1 << 16 => (edit.start, shown) = (start, Some(duration)),
                // Goes on where the last one ended, give or take the rounding to the movie's ticks.
                (0.., Some(before)) if rate == 1 << 16 => {
                    let end =
                        edit.start.checked_add(ticks(before, movie_timescale, timescale)?).ok_or_else(bad)?;
                    let rounding = ticks(1, movie_timescale, timescale)?.saturating_add(1);
                    if before == 0 || start.abs_diff(end) > rounding.unsigned_abs() {
                        return Err(Reason::SeveralEdits);
                    }
                    shown = Some(before.checked_add(duration).ok_or_else(bad)?);
                }
                _ => return Err(Reason::SeveralEdits),
            }
        }
        edit.delay = ticks(delay, movie_timescale, timescale)?;
        // Fragmented files write none: to the end.
        if let Some(shown) = shown.filter(|shown| *shown > 0) {
            edit.end =
                Some(edit.start.checked_add(ticks(shown, movie_timescale, timescale)?).ok_or_else(bad)?);
        }
        if edit.start > 1 << 60 { Err(bad()) } else { Ok(edit) }
    }
}

/// The movie's ticks in those of a track, rounded up.
fn ticks(count: u64, from: u32, to: u32) -> Result<i64, Reason> {
    let ticks = (u128::from(count) * u128::from(to)).div_ceil(u128::from(from));
    i64::try_from(ticks)
        .ok()
        .filter(|ticks| *ticks < 1 << 60)
        .ok_or(Reason::BadTables(Cow::Borrowed("an edit list that makes no sense")))
}

/// The language of a track, as BCP 47 has it.
fn language_of(mdia: &[u8], mdhd: &[u8]) -> Option<String> {
    let is_tag = |tag: &str| {
        (2..=35).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if let Some(extended) = child(mdia, b"elng").and_then(|elng| elng.get(4..)) {
        let extended = extended.split(|byte| *byte == 0).next().unwrap_or_default();
        if let Some(tag) = std::str::from_utf8(extended).ok().filter(|tag| is_tag(tag)) {
            return Some(tag.to_owned());
        }
    }
    let packed = be16(mdhd, if *mdhd.first()? == 1 { 32 } else { 20 })?;
    let code: String =
        [10, 5, 0].map(|shift| char::from((packed >> shift & 31) as u8 + 0x60)).iter().collect();
    // Codes of QuickTime's own come out as something else than three letters, mostly.
    if !code.bytes().all(|byte| byte.is_ascii_lowercase()) || code == "und" {
        return None;
    }
    // BCP 47 has the short code where there is one.
    const SHORT: &str = "ara ar,bul bg,cat ca,ces cs,chi zh,cze cs,dan da,deu de,dut nl,ell el,eng en,est et,fas fa,fin fi,\
                         fra fr,fre fr,ger de,gre el,heb he,hin hi,hrv hr,hun hu,ind id,ita it,jpn ja,kor ko,lav lv,lit lt,\
                         may ms,msa ms,nld nl,nor no,per fa,pol pl,por pt,ron ro,rum ro,rus ru,slk sk,slo sk,slv sl,spa es,\
                         srp sr,swe sv,tha th,tur tr,ukr uk,vie vi,zho zh";
    let short = SHORT.split(',').filter_map(|pair| pair.split_once(' ')).find(|(long, _)| *long == code);
    Some(short.map_or(code, |(_, short)| short.to_owned()))
}

/// A track's own name, fit for a quoted string.
fn name_for_people(content: &[u8]) -> String {
    const LONGEST: usize = 80;
    let text = String::from_utf8_lossy(content.get(..400).unwrap_or(content));
    let clean = |letter: &char| !letter.is_control() && !matches!(letter, '"' | '\u{FFFD}');
    text.chars().filter(clean).take(LONGEST).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn edits(entries: &[(u32, i32, u32)]) -> Result<Edit, Reason> {
        let mut elst = vec![0, 0, 0, 0];
        elst.extend((entries.len() as u32).to_be_bytes());
        for (duration, start, rate) in entries {
            elst.extend([*duration, *start as u32, *rate << 16].map(u32::to_be_bytes).concat());
        }
        Edit::read(&elst, 1000, 90_000)
    }

    #[test]
    fn edits_are_a_delay_and_a_window() {
        let edit = |delay, start, end| Ok(Edit { delay, start, end });
        assert_eq!(edits(&[]), edit(0, 0, None));
        assert_eq!(edits(&[(2000, 1024, 1)]), edit(0, 1024, Some(181_024)));
        assert_eq!(edits(&[(1500, -1, 1), (2000, 0, 1)]), edit(135_000, 0, Some(180_000)));
        // Fragmented.
        assert_eq!(edits(&[(0, 3000, 1)]), edit(0, 3000, None));
        // In two parts that are one.
        assert_eq!(edits(&[(1000, 0, 1), (1000, 90_000, 1), (5, -1, 1)]), edit(0, 0, Some(180_000)));
        for several in [
            &[(1000, 0, 1), (1000, 100_000, 1)][..],
            &[(1000, 0, 1), (5, -1, 1), (1000, 90_000, 2)],
            &[(1000, 0, 2)],
            &[(1000, -7, 1)],
        ] {
            assert_eq!(edits(several), Err(Reason::SeveralEdits));
        }
    }

    #[test]
    fn boxes_without_end_are_not_followed_to_it() {
        let read = |boxes: usize| {
            let empty = b"\0\0\0\x08free".repeat(boxes);
            let file = [&empty[..], b"\0\0\x01\0moov"].concat();
            match super::read(&mut Cursor::new(&file), file.len() as u64, &[]).unwrap_err() {
                Stop::Reason(reason) => reason,
                Stop::Io(error) => panic!("{error}"),
            }
        };
        assert!(matches!(read(MAX_BOXES - 1), Reason::BadTables(_)));
        assert_eq!(read(MAX_BOXES), Reason::NotMp4);
    }

    #[test]
    fn languages_are_short_where_they_can_be() {
        let language = |code: &[u8; 3]| {
            let packed = code.iter().fold(0u16, |packed, letter| packed << 5 | u16::from(letter - 0x60));
            let mdhd = [&[0; 20][..], &packed.to_be_bytes()].concat();
            language_of(&[], &mdhd)
        };
        assert_eq!(language(b"ger").as_deref(), Some("de"));
        assert_eq!(language(b"gsw").as_deref(), Some("gsw"));
        assert_eq!(language(b"und"), None);
        assert_eq!(name_for_people("Directors \"cut\"\r\n\u{7}".as_bytes()), "Directors cut");
    }
}
