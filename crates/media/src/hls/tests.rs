//! Files made by hand, whole and broken.

use std::{
    io::{Cursor, Seek, SeekFrom, Write},
    time::Duration,
};

use proptest::prelude::*;

use super::{
    CopyCodec, Index, Reason,
    write::{put, put_full, put16, put32, put64},
};
use crate::boxes::{be32, be64, child, children};

/// A file that is a few boxes and a few samples.
#[derive(Clone)]
struct Made {
    /// Seconds of video, at 10 pictures a second; a sync sample every second.
    video: u32,
    /// Seconds of sound, at 50 frames a second.
    sounds: Vec<u32>,
    /// The edit lists of the video and of every sound: duration, start.
    edits: Vec<(u32, i32)>,
    /// Samples of a track that lie together.
    in_chunk: usize,
    /// Type of the NAL unit of sync samples.
    sync_unit: u8,
    with_stss: bool,
    /// How much farther in the file samples lie than in what is made.
    hole: u64,
    /// A parameter set before the picture at 7 s.
    set: Option<&'static [u8]>,
    /// Every sample is alone, with something else behind it.
    apart: bool,
}

impl Default for Made {
    fn default() -> Self {
        Self {
            video: 13,
            sounds: vec![13],
            edits: Vec::new(),
            in_chunk: 1,
            sync_unit: 0x65,
            with_stss: true,
            hole: 0,
            set: None,
            apart: false,
        }
    }
}

const SPS: &[u8] = &[
    0x67, 0x64, 0x00, 0x1E, 0xAC, 0xD9, 0x40, 0xA0, 0x2F, 0xF9, 0x70, 0x16, 0xA0, 0x20, 0x20, 0x28, 0, 0, 3,
    0, 8, 0, 0, 3, 1, 0x78, 0xB1, 0x6C, 0xB0,
];

impl Made {
    /// The file, and where its `moov` begins.
    fn file(&self) -> (Vec<u8>, usize) {
        let mut file = b"\0\0\0\x08ftyp\0\0\0\0mdat".to_vec();
        let mut counts = Vec::new();
        counts.extend((self.video > 0).then_some(self.video * 10));
        counts.extend(self.sounds.iter().map(|seconds| seconds * 50));
        // All of one chunk, then the same of the next track, and so on; a chunk of sound is as long as one of video.
        let mut offsets = vec![Vec::new(); counts.len()];
        let mut sizes = vec![Vec::new(); counts.len()];
        while (0..counts.len()).any(|track| (sizes[track].len() as u32) < counts[track]) {
            for (track, count) in counts.iter().enumerate() {
                let is_video = track == 0 && self.video > 0;
                let in_chunk = self.samples_of_chunk(is_video);
                let left = *count as usize - sizes[track].len();
                if left > 0 {
                    file.extend(if self.apart { &[0; 9][..] } else { &[] });
                    offsets[track].push(file.len() as u32);
                }
                for _ in 0..left.min(in_chunk) {
                    let number = sizes[track].len();
                    let mut size = 20 + number as u32 % 7;
                    let unit = if number.is_multiple_of(10) { self.sync_unit } else { 0x41 };
                    if let Some(set) = self.set.filter(|_| is_video && number == 70) {
                        file.extend((set.len() as u32).to_be_bytes());
                        file.extend(set);
                        size += 4 + set.len() as u32;
                        file.extend((16 + number as u32 % 7).to_be_bytes());
                        file.extend([vec![unit], vec![0; 15 + number % 7]].concat());
                        sizes[track].push(size);
                        continue;
                    }
                    file.extend((size - 4).to_be_bytes());
                    file.extend([vec![unit], vec![track as u8; size as usize - 5]].concat());
                    sizes[track].push(size);
                }
            }
        }
        let mdat = (file.len() - 8) as u32;
        file[8..12].copy_from_slice(&mdat.to_be_bytes());
        let moov = file.len();
        put(&mut file, b"moov", |out| {
            put_full(out, b"mvhd", 0, 0, |out| [0, 0, 1000, 0].iter().for_each(|field| put32(out, *field)));
            for track in 0..counts.len() {
                put(out, b"trak", |out| self.put_track(out, track, &offsets[track], &sizes[track]));
            }
        });
        (file, moov)
    }

    fn samples_of_chunk(&self, is_video: bool) -> usize {
        match self.apart {
            true => 1,
            false if is_video => self.in_chunk,
            false => self.in_chunk * 5,
        }
    }

    fn put_track(&self, out: &mut Vec<u8>, track: usize, offsets: &[u32], sizes: &[u32]) {
        let is_video = track == 0 && self.video > 0;
        put_full(out, b"tkhd", 0, 3, |out| {
            [0, 0, track as u32 + 1].iter().for_each(|field| put32(out, *field));
            out.extend([0; 24]);
            [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000].iter().for_each(|entry| put32(out, *entry));
            put64(out, 0);
        });
        if let Some((duration, start)) = self.edits.get(track) {
            put(out, b"edts", |out| {
                put_full(out, b"elst", 0, 0, |out| {
                    [1, *duration, *start as u32, 0x1_0000].iter().for_each(|field| put32(out, *field));
                });
            });
        }
        put(out, b"mdia", |out| {
            put_full(out, b"mdhd", 0, 0, |out| {
                [0, 0, 1000, 0, 0].iter().for_each(|field| put32(out, *field))
            });
            put_full(out, b"hdlr", 0, 0, |out| {
                put32(out, 0);
                out.extend(if is_video { b"vide" } else { b"soun" });
            });
            put(out, b"minf", |out| {
                put(out, b"stbl", |out| {
                    put_full(out, b"stsd", 0, 0, |out| {
                        put32(out, 1);
                        if is_video { put_avc1(out) } else { put_mp4a(out) }
                    });
                    let count = sizes.len() as u32;
                    let duration = if is_video { 100 } else { 20 };
                    let in_chunk = self.samples_of_chunk(is_video) as u32;
                    put_table(out, b"stts", &[1, count, duration]);
                    put_table(out, b"stsc", &[1, 1, in_chunk, 1]);
                    put_table(out, b"stsz", &[&[0, count], sizes].concat());
                    put_full(out, b"co64", 0, 0, |out| {
                        put32(out, offsets.len() as u32);
                        offsets.iter().for_each(|offset| put64(out, u64::from(*offset) + self.hole));
                    });
                    if is_video && self.with_stss {
                        let syncs: Vec<_> = (0..count).step_by(10).map(|number| number + 1).collect();
                        put_table(out, b"stss", &[&[syncs.len() as u32], &syncs[..]].concat());
                    }
                });
            });
        });
    }

    fn read(&self) -> Result<Index, Reason> {
        let (file, _) = self.file();
        Index::read(&mut Cursor::new(&file), file.len() as u64, &[]).unwrap()
    }
}

fn put_table(out: &mut Vec<u8>, name: &[u8; 4], numbers: &[u32]) {
    put_full(out, name, 0, 0, |out| numbers.iter().for_each(|number| put32(out, *number)));
}

fn put_avc1(out: &mut Vec<u8>) {
    put(out, b"avc1", |out| {
        out.extend([0; 24]);
        put16(out, 640);
        put16(out, 360);
        out.extend([0; 50]);
        put(out, b"avcC", |out| {
            out.extend([1, SPS[1], SPS[2], SPS[3], 0xFF, 0xE1, 0, SPS.len() as u8]);
            out.extend(SPS);
            out.extend([1, 0, 2, 0x68, 0]);
        });
    });
}

fn put_mp4a(out: &mut Vec<u8>) {
    put(out, b"mp4a", |out| {
        out.extend([0; 28]);
        put_full(out, b"esds", 0, 0, |out| {
            out.extend([3, 22, 0, 0, 0, 4, 17, 0x40]);
            out.extend([0; 12]);
            out.extend([5, 2, 0x11, 0x90]);
        });
    });
}

/// What a head says of its tracks: when each begins, and the bytes of the payload that each of its samples has.
fn told(file: &[u8], index: &Index, rendition: usize, n: usize) -> Vec<(u64, Vec<Vec<u8>>)> {
    let segment = index.segment(rendition, n).unwrap();
    let mut bytes = segment.head.clone();
    for range in &segment.ranges {
        bytes.extend(&file[range.start as usize..range.end as usize]);
    }
    assert_eq!(bytes.len() as u64, segment.len());
    let boxes: Vec<_> = children(&bytes).map(|(name, _)| name).collect();
    assert_eq!(boxes, [*b"moof", *b"mdat"]);
    let moof = child(&bytes, b"moof").unwrap();
    assert_eq!(be32(child(moof, b"mfhd").unwrap(), 4), Some(n as u32 + 1));
    let tracks = children(moof).filter(|(name, _)| name == b"traf").map(|(_, traf)| {
        let start = be64(child(traf, b"tfdt").unwrap(), 4).unwrap();
        let mut samples = Vec::new();
        for (_, trun) in children(traf).filter(|(name, _)| name == b"trun") {
            let (flags, count) = (be32(trun, 0).unwrap(), be32(trun, 4).unwrap());
            let mut at = be32(trun, 8).unwrap() as usize;
            // Only sizes and flags differ in these files.
            let width = if flags & 0x400 != 0 { 8 } else { 4 };
            for sample in 0..count as usize {
                let size = be32(trun, 12 + sample * width).unwrap() as usize;
                samples.push(bytes[at..at + size].to_vec());
                at += size;
            }
        }
        (start, samples)
    });
    tracks.collect()
}

fn lasting(index: &Index, rendition: usize) -> Vec<f64> {
    let playlist = index.media_playlist(rendition).unwrap();
    let seconds = playlist.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
    seconds.map(|seconds| seconds.trim_end_matches(',').parse().unwrap()).collect()
}

#[test]
fn every_sample_is_served_once_and_is_its_own() {
    for in_chunk in [1, 3, 1000] {
        let made = Made { in_chunk, ..Made::default() };
        let (file, _) = made.file();
        let index = made.read().unwrap();
        assert_eq!(lasting(&index, 0), [6.0, 6.0, 1.0]);
        let (mut pictures, mut frames) = (0, 0);
        for n in 0..3 {
            let [(video_start, video), (sound_start, sound)] = &told(&file, &index, 0, n)[..] else {
                panic!()
            };
            assert_eq!((*video_start, *sound_start), (n as u64 * 6000, n as u64 * 6000));
            for (samples, number, track) in [(video, &mut pictures, 0), (sound, &mut frames, 1)] {
                for sample in samples {
                    assert_eq!(sample.len(), 20 + *number % 7);
                    assert_eq!(sample[5], track);
                    *number += 1;
                }
            }
        }
        assert_eq!((pictures, frames), (130, 650));
        // Chunks alternate: one piece. Otherwise one of each track.
        let ranges = index.segment(0, 0).unwrap().ranges.len();
        assert_eq!(ranges, if in_chunk == 1000 { 2 } else { ranges.min(3) });
    }
}

#[test]
fn sounds_to_choose_from_go_apart_from_the_video() {
    let made = Made { sounds: vec![13, 30, 8], ..Made::default() };
    let (file, _) = made.file();
    let index = made.read().unwrap();
    assert_eq!(index.rendition_count(), 4);
    assert_eq!(lasting(&index, 0), [6.0, 6.0, 1.0]);
    assert_eq!(lasting(&index, 1), [6.0, 6.0, 1.0]);
    // Each to its own end.
    assert_eq!(lasting(&index, 2), [6.0, 6.0, 6.0, 6.0, 6.0]);
    assert_eq!(lasting(&index, 3), [6.0, 2.0]);
    for rendition in 0..4 {
        for n in 0..index.segment_count(rendition).unwrap() {
            let [(_, samples)] = &told(&file, &index, rendition, n)[..] else { panic!() };
            assert!(samples.iter().all(|sample| usize::from(sample[5]) == rendition));
        }
    }
    assert_eq!(index.media_playlist(4), None);
    assert_eq!(index.init_segment(4), None);
}

#[test]
fn what_ends_apart_is_in_the_last_segment_or_nowhere() {
    let with = |video, sound| Made { video, sounds: vec![sound], ..Made::default() }.read();
    assert_eq!(lasting(&with(13, 32).unwrap(), 0), [6.0, 6.0, 20.0]);
    assert_eq!(with(13, 33), Err(Reason::TracksEndApart));
    assert_eq!(lasting(&with(26, 7).unwrap(), 0), [6.0, 20.0]);
    assert_eq!(with(27, 7), Err(Reason::TracksEndApart));
}

#[test]
fn files_may_be_larger_than_four_gigabytes() {
    let made = Made { hole: 5 << 30, ..Made::default() };
    let (made_file, _) = made.file();
    let index = {
        // A file with a hole takes no room.
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&made_file[..8]).unwrap();
        let mdat = be32(&made_file, 8).unwrap();
        file.write_all(&[&[0, 0, 0, 1][..], b"mdat", &(u64::from(mdat) + made.hole).to_be_bytes()].concat())
            .unwrap();
        file.seek(SeekFrom::Start(made.hole + 16)).unwrap();
        file.write_all(&made_file[16..]).unwrap();
        let len = file.metadata().unwrap().len();
        Index::read(&mut file, len, &[]).unwrap().unwrap()
    };
    let near = Made::default().read().unwrap();
    for n in 0..3 {
        let (far, near) = (index.segment(0, n).unwrap(), near.segment(0, n).unwrap());
        assert_eq!(far.head, near.head);
        let moved = near.ranges.iter().map(|range| range.start + made.hole..range.end + made.hole);
        assert_eq!(far.ranges, moved.collect::<Vec<_>>());
    }
}

#[test]
fn edits_move_and_trim() {
    // 20 ms of priming; video from its third second on.
    let made = Made { edits: vec![(9_000, 3000), (9_000, 20)], ..Made::default() };
    let (file, _) = made.file();
    let index = made.read().unwrap();
    assert_eq!(lasting(&index, 0), [6.0, 3.0]);
    let told = told(&file, &index, 0, 0);
    assert_eq!(
        told.iter().map(|(start, samples)| (*start, samples.len())).collect::<Vec<_>>(),
        [(0, 60), (0, 300)]
    );
    assert_eq!(told[1].1[0].len(), 21);
    let inside = Made { edits: vec![(9_000, 3100)], ..Made::default() };
    assert_eq!(inside.read(), Err(Reason::TrimInsideGop));
}

#[test]
fn pictures_that_only_say_so_are_found_out() {
    let recovery = Made { sync_unit: 0x41, ..Made::default() };
    assert_eq!(recovery.read(), Err(Reason::OpenGop));
    // Behind a delimiter and parameters, within the sample.
    let hidden = Made { sync_unit: 0x09, ..Made::default() };
    assert_eq!(hidden.read(), Err(Reason::OpenGop));
    // Every picture is said to be one, and is not.
    let all = Made { with_stss: false, ..Made::default() };
    assert_eq!(all.read(), Err(Reason::OpenGop));
    let truly_all = Made { with_stss: false, sounds: Vec::new(), video: 1, ..Made::default() };
    assert_eq!(truly_all.read(), Err(Reason::OpenGop));
}

#[test]
fn other_parameters_on_the_way_are_found_out() {
    let with = |set| Made { set: Some(set), ..Made::default() }.read();
    // The same again are nothing new, with zeros behind them, too.
    assert!(with(SPS).is_ok() && with(&[0x68, 0]).is_ok() && with(&[0x68, 0, 0, 0]).is_ok());
    for other in [&[SPS, &[1]].concat()[..], &SPS[..20], &[0x68, 1], &[0x67; 5000]] {
        let other = Box::leak(other.to_vec().into_boxed_slice());
        assert_eq!(with(other), Err(Reason::ParametersChange));
    }
}

#[test]
fn what_would_be_gathered_from_everywhere_is_not() {
    // The last segment has 20 s of sound.
    let made = Made { sounds: vec![32], ..Made::default() };
    assert!(made.read().is_ok());
    let apart = |sounds| Made { sounds, apart: true, ..Made::default() }.read();
    assert_eq!(apart(vec![32]), Err(Reason::BadlyInterleaved));
    assert_eq!(apart(vec![13]).unwrap().segment(0, 0).unwrap().ranges.len(), 360);
    // What goes apart is not interleaved at all.
    assert!(apart(vec![32, 32]).is_ok());
}

#[test]
fn codecs_to_copy_have_names() {
    for codec in [CopyCodec::Hevc, CopyCodec::Av1] {
        assert_eq!(CopyCodec::parse(codec.as_str()), Some(codec));
    }
    assert_eq!(CopyCodec::parse("HEVC"), None);
}

#[test]
fn an_index_comes_back_or_not_at_all() {
    let index = Made::default().read().unwrap();
    let bytes = index.to_bytes();
    assert_eq!(Index::from_bytes(&bytes), Some(index));
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert_eq!(Index::from_bytes(&damaged), None);
        assert_eq!(Index::from_bytes(&bytes[..at]), None);
    }
}

/// Asks an index of a file of so many bytes for everything: nothing of it lies outside.
fn ask(index: &Index, len: u64) {
    super::master_playlist(&[("", index), ("other/", index)]);
    for rendition in 0..index.rendition_count() {
        index.media_playlist(rendition).unwrap();
        index.init_segment(rendition).unwrap();
        for n in 0..index.segment_count(rendition).unwrap() {
            if let Some(segment) = index.segment(rendition, n) {
                assert!(segment.ranges.iter().all(|range| range.start < range.end && range.end <= len));
            }
        }
    }
}

/// Numbers that hurt.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        0..5u32,
        Just(u32::MAX),
        Just(1 << 31),
        Just((1 << 31) - 1),
        Just(1 << 16),
        Just(1000)
    ]
}

proptest! {
    #[test]
    fn no_file_breaks_it(
        numbers in prop::collection::vec((any::<prop::sample::Index>(), number()), 0..4),
        bytes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        in_chunk in 1..20usize,
        start in -5000..5000i32,
    ) {
        let made = Made { in_chunk, edits: vec![(0, start.max(-1)), (9000, start)], ..Made::default() };
        let (mut file, moov) = made.file();
        for (at, number) in numbers {
            let at = moov + at.index(file.len() - moov - 4);
            file[at..at + 4].copy_from_slice(&number.to_be_bytes());
        }
        for (at, byte) in bytes {
            let at = moov + at.index(file.len() - moov);
            file[at] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        if let Ok(index) = Index::read(&mut Cursor::new(&file), file.len() as u64, &[]).unwrap() {
            ask(&index, file.len() as u64);
            let bytes = index.to_bytes();
            // No more is made than was there.
            prop_assert!(bytes.len() < 2 * file.len());
            prop_assert_eq!(Index::from_bytes(&bytes), Some(index));
        }
    }

    #[test]
    fn no_fragment_breaks_it(
        numbers in prop::collection::vec((any::<prop::sample::Index>(), number()), 0..4),
        bytes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        // What is served is a fragmented file itself.
        let made = Made::default();
        let (source, _) = made.file();
        let index = made.read().unwrap();
        let mut file = index.init_segment(0).unwrap();
        for n in 0..3 {
            let segment = index.segment(0, n).unwrap();
            file.extend(segment.head);
            segment.ranges.iter().for_each(|range| file.extend(&source[range.start as usize..range.end as usize]));
        }
        let is_whole = numbers.is_empty() && bytes.is_empty();
        for (at, number) in numbers {
            let at = at.index(file.len() - 4);
            file[at..at + 4].copy_from_slice(&number.to_be_bytes());
        }
        for (at, byte) in bytes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let read = Index::read(&mut Cursor::new(&file), file.len() as u64, &[]).unwrap();
        if is_whole {
            prop_assert_eq!(read.as_ref().unwrap().media_playlist(0), index.media_playlist(0));
        }
        if let Ok(index) = read {
            ask(&index, file.len() as u64);
        }
    }

    #[test]
    fn no_bytes_of_an_index_break_it(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = Made::default().read().unwrap().to_bytes();
        for (at, byte) in changes {
            let at = 12 + at.index(bytes.len() - 12);
            bytes[at] = byte;
        }
        // As if by malice: with a sum that is right.
        let sum = super::index::checksum(&bytes[12..]);
        bytes[4..12].copy_from_slice(&sum.to_be_bytes());
        if let Some(index) = Index::from_bytes(&bytes) {
            ask(&index, u64::MAX);
        }
    }
}

/// Sample tables changed in a few places, quickly: `REELHOUSE_TEST_MUTATIONS=1000000` takes two minutes in a release build.
/// None makes it panic, leads outside of the file, or takes more than 50 ms of a core.
#[test]
fn no_mutated_table_breaks_it_or_takes_long() {
    const LONGEST: Duration = Duration::from_millis(50);
    let count = std::env::var("REELHOUSE_TEST_MUTATIONS").ok().and_then(|count| count.parse().ok());
    let count: u64 = count.unwrap_or(3000);
    let kinds = [
        Made::default(),
        Made { in_chunk: 7, edits: vec![(9_000, 3000), (9_000, 20)], ..Made::default() },
        Made { sounds: vec![13, 30], set: Some(SPS), ..Made::default() },
        Made { video: 0, sounds: vec![40], ..Made::default() },
    ];
    let files = kinds.map(|made| made.file());
    let numbers = [0, 1, 2, 3, 7, 8, 100, 1 << 16, (1 << 31) - 1, 1 << 31, u32::MAX - 7, u32::MAX];
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let (mut slowest, mut served) = (Duration::ZERO, 0);
    for _ in 0..count {
        let (file, moov) = &files[next(files.len())];
        let mut file = file.clone();
        let tables = file.len() - moov;
        for _ in 0..=next(4) {
            let at = moov + next(tables - 4);
            match next(3) {
                0 => file[at] = next(256) as u8,
                1 => file[at..at + 4].copy_from_slice(&numbers[next(numbers.len())].to_be_bytes()),
                _ => {
                    let from = moov + next(tables - 4);
                    file.copy_within(from..from + 4, at);
                }
            }
        }
        let len = file.len() as u64;
        let begun = on_a_core();
        if let Ok(index) = Index::read(&mut Cursor::new(&file), len, &[]).unwrap() {
            ask(&index, len);
            served += 1;
        }
        slowest = slowest.max(on_a_core() - begun);
    }
    assert!(served > count / 10 && served < count, "{served} of {count}");
    assert!(slowest < LONGEST, "{slowest:?}");
    println!("{count} tables, {served} served, the slowest took {slowest:?}");
}

/// How long this thread has been on a core: what others do there does not count.
fn on_a_core() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}
