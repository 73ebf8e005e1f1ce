//! All that is needed to serve a file, and its form as bytes.
//!
//! Samples stay packed, one piece a segment: an index takes as much memory as it has bytes, and a request unpacks only what
//! it asks for.

use std::borrow::Cow;
use std::{
    io::{self, Read, Seek},
    ops::Range,
};

use super::{
    CopyCodec, Reason, Stop,
    codec::VideoRange,
    cut,
    pack::{pack, unpack},
    playlist,
    segment::{self, Content, Run, Segment, Track, TrackContent},
    source::{self, Media},
    timeline::Lane,
    write::{Reader, put_bytes, put_signed, put_varint},
};

/// How a file is served as HLS: playlists, init segments, and the heads of segments whose payload are ranges of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    pub(super) picture: Option<Picture>,
    pub(super) renditions: Vec<Rendition>,
    /// The packed samples of all segments.
    packed: Vec<u8>,
}

/// What the multivariant playlist says of the video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Picture {
    /// Upright, with square pixels.
    pub(super) width: u32,
    pub(super) height: u32,
    /// Pictures in a thousand seconds.
    pub(super) rate: u32,
    pub(super) range: VideoRange,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rendition {
    pub(super) tracks: Vec<Track>,
    /// Of its tracks.
    pub(super) codecs: Vec<String>,
    /// For people, when it is sound to choose from.
    pub(super) sound: Sound,
    pub(super) segments: Vec<Entry>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sound {
    pub(super) language: Option<String>,
    pub(super) name: Option<String>,
    pub(super) channels: u16,
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// In microseconds.
    pub(super) duration: u64,
    /// Bytes, head and payload.
    pub(super) len: u64,
    /// Where its samples are packed.
    packed: Range<usize>,
}

/// What is read of any index; another number means that it is made anew.
const MAGIC: &[u8; 4] = b"RHX\x02";
const MAX_RENDITIONS: usize = 64;
/// 20 s at 240 pictures a second and two frames of sound for each are 15 000.
const MAX_SAMPLES_OF_SEGMENT: usize = 50_000;
/// Pieces of a segment of picture with sound: each is a read. Well interleaved, there is one; with a track that is not served
/// in between, some hundreds.
const MAX_PLACES: usize = 1000;

impl Index {
    /// Reads a file's own index, and a few bytes of the pictures at which segments would begin. `copy` names the codecs of
    /// video that are taken besides H.264: not every player has them.
    ///
    /// # Errors
    /// Those of reading. What cannot be served as it lies is a [`Reason`].
    pub fn read(
        file: &mut (impl Read + Seek),
        len: u64,
        copy: &[CopyCodec],
    ) -> io::Result<Result<Self, Reason>> {
        match build(file, len, copy) {
            Ok(index) => Ok(Ok(index)),
            Err(Stop::Reason(reason)) => Ok(Err(reason)),
            Err(Stop::Io(error)) => Err(error),
        }
    }

    /// The index as bytes, to be kept.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put_varint(&mut body, self.picture.is_some().into());
        if let Some(Picture { width, height, rate, range }) = self.picture {
            [width, height, rate].iter().for_each(|field| put_varint(&mut body, (*field).into()));
            body.push(match range {
                VideoRange::Sdr => 0,
                VideoRange::Pq => 1,
                VideoRange::Hlg => 2,
            });
        }
        put_varint(&mut body, self.renditions.len() as u64);
        for rendition in &self.renditions {
            rendition.write(&mut body);
        }
        put_bytes(&mut body, &self.packed);
        sealed(&body)
    }

    /// The index from its bytes; `None` when they are of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (sum, body) = bytes.strip_prefix(MAGIC)?.split_first_chunk()?;
        if u64::from_be_bytes(*sum) != checksum(body) {
            return None;
        }
        let mut reader = Reader(body);
        let picture = match reader.varint()? {
            0 => None,
            _ => Some(Picture {
                width: reader.u32()?,
                height: reader.u32()?,
                rate: reader.u32()?,
                range: match reader.byte()? {
                    0 => VideoRange::Sdr,
                    1 => VideoRange::Pq,
                    2 => VideoRange::Hlg,
                    _ => return None,
                },
            }),
        };
        let count = reader.count().filter(|count| (1..=MAX_RENDITIONS).contains(count))?;
        let mut at = 0;
        let mut renditions = Vec::new();
        for _ in 0..count {
            renditions.push(Rendition::read(&mut reader, &mut at)?);
        }
        let packed = reader.bytes()?.to_vec();
        (packed.len() == at && reader.0.is_empty()).then_some(Self { picture, renditions, packed })
    }

    /// How many renditions there are. 0 is the main one: video with its sound, or sound alone; when there are several sounds
    /// beside video, it is video alone, and every sound is one of the others.
    pub fn rendition_count(&self) -> usize {
        self.renditions.len()
    }

    /// The playlist of a rendition. It names `main-init.mp4`, `main-0.m4s` and so on, or `audio-1-init.mp4`.
    pub fn media_playlist(&self, rendition: usize) -> Option<String> {
        Some(playlist::media(self.renditions.get(rendition)?, rendition))
    }

    /// The init segment of a rendition.
    pub fn init_segment(&self, rendition: usize) -> Option<Vec<u8>> {
        Some(segment::init(&self.renditions.get(rendition)?.tracks))
    }

    /// How many segments a rendition has.
    pub fn segment_count(&self, rendition: usize) -> Option<usize> {
        Some(self.renditions.get(rendition)?.segments.len())
    }

    /// A segment of a rendition, from 0.
    pub fn segment(&self, rendition: usize, n: usize) -> Option<Segment> {
        let rendition = self.renditions.get(rendition)?;
        let packed = self.packed.get(rendition.segments.get(n)?.packed.clone())?;
        segment::media(&rendition.tracks, &unpack(packed, rendition.tracks.len())?, n)
    }
}

/// What is kept of an index's body.
pub(crate) fn sealed(body: &[u8]) -> Vec<u8> {
    [MAGIC, checksum(body).to_be_bytes().as_slice(), body].concat()
}

/// Finds accidents, not malice: an index comes from our own store.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(8);
    let mut sum = bytes.len() as u64 ^ 0xCBF2_9CE4_8422_2325;
    let mut add = |word: u64| sum = (sum ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    for word in &mut words {
        add(word.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
    }
    words.remainder().iter().for_each(|byte| add((*byte).into()));
    sum ^ sum >> 32
}

impl Rendition {
    fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.tracks.len() as u64);
        for (track, codec) in self.tracks.iter().zip(&self.codecs) {
            put_varint(out, track.is_video.into());
            put_varint(out, track.timescale.into());
            put_varint(out, track.edit);
            track.matrix.iter().for_each(|entry| put_signed(out, (*entry as i32).into()));
            put_varint(out, track.width.into());
            put_varint(out, track.height.into());
            put_bytes(out, &track.entry);
            put_bytes(out, codec.as_bytes());
        }
        put_bytes(out, self.sound.language.as_deref().unwrap_or_default().as_bytes());
        put_bytes(out, self.sound.name.as_deref().unwrap_or_default().as_bytes());
        put_varint(out, self.sound.channels.into());
        put_varint(out, self.segments.len() as u64);
        for segment in &self.segments {
            put_varint(out, segment.duration);
            put_varint(out, segment.len);
            put_varint(out, segment.packed.len() as u64);
        }
    }

    fn read(reader: &mut Reader<'_>, at: &mut usize) -> Option<Self> {
        let (mut tracks, mut codecs) = (Vec::new(), Vec::new());
        for _ in 0..reader.varint().filter(|count| (1..=2).contains(count))? {
            let is_video = reader.varint()? == 1;
            let (timescale, edit) = (reader.u32()?, reader.varint()?);
            let mut matrix = [0; 9];
            for entry in &mut matrix {
                *entry = i32::try_from(reader.signed()?).ok()? as u32;
            }
            let (width, height) = (reader.u32()?, reader.u32()?);
            tracks.push(Track {
                is_video,
                timescale,
                edit,
                matrix,
                width,
                height,
                entry: reader.bytes()?.to_vec(),
            });
            codecs.push(reader.string()?);
        }
        let mut text = || reader.string().map(|text| Some(text).filter(|text| !text.is_empty()));
        let (language, name) = (text()?, text()?);
        let sound = Sound { language, name, channels: u16::try_from(reader.varint()?).ok()? };
        let count = reader.count()?;
        let mut segments = Vec::new();
        for _ in 0..count {
            let (duration, len) = (reader.varint()?, reader.varint()?);
            let packed = *at..at.checked_add(usize::try_from(reader.varint()?).ok()?)?;
            *at = packed.end;
            segments.push(Entry { duration, len, packed });
        }
        Some(Self { tracks, codecs, sound, segments })
    }
}

fn build(file: &mut (impl Read + Seek), len: u64, copy: &[CopyCodec]) -> Result<Index, Stop> {
    let tracks = source::read(file, len, copy)?;
    let lanes = tracks.into_iter().map(Lane::of).collect::<Result<Vec<_>, _>>()?;
    // hls.js keeps the configuration of the first when it changes between sounds that are the main rendition and none.
    let is_alike = |one: &Track, other: &Track| one.timescale == other.timescale && one.entry == other.entry;
    if lanes.first().is_some_and(|first| {
        !first.is_video() && lanes.iter().any(|lane| !is_alike(&describe(first), &describe(lane)))
    }) {
        return Err(Reason::SeveralSounds.into());
    }
    let video = match lanes.first() {
        Some(lane) if lane.is_video() => Some(cut::video(file, lane)?),
        _ => None,
    };
    let begins = lanes.iter().filter_map(|lane| lane.samples().iter().map(|sample| lane.start(sample)).min());
    let begin = begins.min().unwrap_or(0);

    // One sound goes with the video, in one segment: the payload is then one piece of an interleaved file. Several are
    // renditions of their own, all of them, and the video goes alone: a default inside the video's segments cannot be left
    // for another by players built on Media Source Extensions, whose one buffer for both tracks goes on playing it.
    let lanes: Vec<&Lane> = lanes.iter().collect();
    let groups: Vec<&[&Lane]> = match lanes.len() {
        ..=2 if video.is_some() => vec![&lanes],
        _ => lanes.chunks(1).collect(),
    };
    let mut index = Index { picture: None, renditions: Vec::new(), packed: Vec::new() };
    for group in groups {
        let rendition = rendition(group, video.as_ref(), begin, &mut index.packed)?;
        index.renditions.push(rendition);
    }
    index.picture = lanes.first().and_then(|lane| picture(lane));
    Ok(index)
}

fn rendition(
    lanes: &[&Lane],
    video: Option<&cut::Video>,
    begin: i64,
    packed: &mut Vec<u8>,
) -> Result<Rendition, Reason> {
    let cuts = cut::segments(lanes, video, begin)?;
    let tracks: Vec<_> = lanes.iter().map(|lane| describe(lane)).collect();
    let mut segments = Vec::new();
    for (number, cut) in cuts.into_iter().enumerate() {
        if cut.samples.iter().map(Range::len).sum::<usize>() > MAX_SAMPLES_OF_SEGMENT {
            return Err(Reason::BadTables(Cow::Borrowed("too many samples for their time")));
        }
        let content = content(lanes, &cut.samples)
            .ok_or(Reason::BadTables(Cow::Borrowed("times that make no sense")))?;
        let made = segment::media(&tracks, &content, number)
            .ok_or(Reason::BadTables(Cow::Borrowed("a segment too large")))?;
        if lanes.len() > 1 && made.ranges.len() > MAX_PLACES {
            return Err(Reason::BadlyInterleaved);
        }
        let start = packed.len();
        pack(packed, &content);
        segments.push(Entry { duration: cut.duration, len: made.len(), packed: start..packed.len() });
    }
    let codec = |lane: &&Lane| match &lane.track.media {
        Media::Video(video) => video.codec.clone(),
        Media::Audio(audio) => audio.codec.clone(),
    };
    let sound = lanes.iter().find_map(|lane| match &lane.track.media {
        Media::Audio(audio) => Some(Sound {
            language: lane.track.language.clone(),
            name: lane.track.name.clone(),
            channels: audio.channels,
        }),
        Media::Video(_) => None,
    });
    let codecs = lanes.iter().map(codec).collect();
    Ok(Rendition { tracks, codecs, sound: sound.unwrap_or_default(), segments })
}

fn describe(lane: &Lane) -> Track {
    let (width, height, entry) = match &lane.track.media {
        Media::Video(video) => {
            let (width, height) = square(video.width, video.height, video.pixel);
            (width << 16, height << 16, video.entry.clone())
        }
        Media::Audio(audio) => (0, 0, audio.entry.clone()),
    };
    Track {
        is_video: lane.is_video(),
        timescale: lane.track.timescale,
        edit: lane.edit.unsigned_abs(),
        matrix: lane.track.matrix,
        width,
        height,
        entry,
    }
}

/// The size of a picture with square pixels.
fn square(width: u16, height: u16, (across, down): (u32, u32)) -> (u32, u32) {
    let wide = (u64::from(width) * u64::from(across) + u64::from(down) / 2) / u64::from(down.max(1));
    (u32::try_from(wide).unwrap_or(0).clamp(1, 0xFFFF), height.into())
}

fn picture(lane: &Lane) -> Option<Picture> {
    let Media::Video(video) = &lane.track.media else { return None };
    let (width, height) = square(video.width, video.height, video.pixel);
    // A quarter turn: what was across is down.
    let [a, b, _, c, d, ..] = lane.track.matrix;
    let (width, height) =
        if a == 0 && d == 0 && b != 0 && c != 0 { (height, width) } else { (width, height) };
    let samples = lane.samples();
    let times = samples.iter().map(|sample| lane.start(sample));
    let span = times.clone().max()?.abs_diff(times.min()?);
    let steps = samples.len() as u64 - 1;
    let rate = (steps * 1_000_000_000 + span / 2).checked_div(span).unwrap_or(0);
    Some(Picture { width, height, rate: u32::try_from(rate).unwrap_or(0), range: video.range })
}

/// The samples of a segment; those of both tracks are run through in the order of the file.
fn content(lanes: &[&Lane], ranges: &[Range<usize>]) -> Option<Content> {
    let mut content = Content::default();
    let mut rest = Vec::new();
    for (lane, range) in lanes.iter().zip(ranges) {
        let samples = lane.samples().get(range.clone())?;
        let mut track =
            TrackContent { start: u64::try_from(samples.first()?.dts).ok()?, samples: Vec::new() };
        for sample in samples {
            let cts = u32::try_from(sample.cts).ok()?;
            let (duration, size) = (sample.duration, sample.size);
            track.samples.push(segment::Sample { duration, size, cts, sync: sample.sync });
        }
        content.tracks.push(track);
        rest.push(samples);
    }
    let mut end = None;
    while let Some((track, samples)) = rest
        .iter_mut()
        .enumerate()
        .filter(|(_, it)| !it.is_empty())
        .min_by_key(|(_, it)| it.first().map(|it| it.offset))
    {
        let (sample, after) = samples.split_first()?;
        match content.runs.last_mut().filter(|run| run.track == track && end == Some(sample.offset)) {
            Some(run) => run.samples += 1,
            None => content.runs.push(Run { track, samples: 1, offset: sample.offset }),
        }
        end = sample.offset.checked_add(sample.size.into());
        *samples = after;
    }
    Some(content)
}
