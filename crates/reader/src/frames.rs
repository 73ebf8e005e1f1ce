//! Frames out of a video: the one that tells most, and a row of them.

use std::mem;

use image::RgbImage;
use reelhouse_media::process::{BestFrame, DEMUXERS, Input, Refused, Tiles};

use crate::{
    libav::{self, Decoder, Frame, Packet},
    picture::Looks,
    score::{DULL, GOOD, score},
};

/// Packets that are read in search of one keyframe.
const MAX_SEARCH: usize = 2000;
/// Frames that are compared where keyframes show nothing.
const CANDIDATES: f64 = 8.0;

fn nothing(error: libav::Error) -> Refused {
    Refused::Nothing(error.to_string())
}

/// A file whose one track is decoded.
struct Film {
    file: libav::Input,
    index: u32,
    decoder: Decoder,
    packet: Packet,
    /// A keyframe that may be decoded.
    held: Packet,
    frame: Frame,
}

impl Film {
    fn open(input: Input, index: u32, only_keyframes: bool) -> libav::Result<Self> {
        let mut file = libav::Input::open(input, DEMUXERS)?;
        // What the headers say suffices for most, and costs a tenth.
        if !file.track(index).is_some_and(|track| track.is_clear()) {
            file.find_tracks()?;
        }
        file.only(index, only_keyframes);
        let mut decoder = file.track(index).ok_or(libav::Error::NO_TRACK)?.decoder()?;
        if only_keyframes {
            decoder.only_keyframes();
        }
        Ok(Self { file, index, decoder, packet: Packet::new()?, held: Packet::new()?, frame: Frame::new()? })
    }

    /// Reads on to the next keyframe, and says when it is shown.
    fn next_keyframe(&mut self) -> Option<f64> {
        for _ in 0..MAX_SEARCH {
            if !self.file.read(&mut self.packet).unwrap_or(false) {
                return None;
            }
            if self.packet.track() == self.index && self.packet.is_key() {
                let track = self.file.track(self.index)?;
                return Some(
                    self.packet.shown(&track).or_else(|| self.packet.decoded(&track)).unwrap_or(0.0),
                );
            }
        }
        None
    }

    /// Decodes the keyframe that is held, alone.
    fn decode_held(&mut self) -> bool {
        self.decoder.start_over();
        let sent = self.decoder.send(Some(&self.held)).and_then(|()| self.decoder.send(None));
        sent.is_ok() && self.decoder.receive(&mut self.frame).unwrap_or(false)
    }

    /// Decodes frame after frame; `seen` takes them with their times, until it has seen enough.
    fn decode_all(&mut self, mut seen: impl FnMut(f64, &Frame) -> bool) {
        let mut is_over = false;
        let mut last = 0.0;
        while !is_over {
            is_over = !self.file.read(&mut self.packet).unwrap_or(false);
            if !is_over && self.packet.track() != self.index {
                continue;
            }
            let _ = self.decoder.send(Some(&self.packet).filter(|_| !is_over));
            while self.decoder.receive(&mut self.frame).unwrap_or(false) {
                if let Some(time) = self.file.track(self.index).and_then(|track| self.frame.shown(&track)) {
                    last = time;
                }
                if !seen(last, &self.frame) {
                    return;
                }
            }
        }
    }

    fn start(&self) -> f64 {
        self.file.start().or_else(|| self.file.track(self.index)?.start()).unwrap_or(0.0)
    }
}

/// The frame that tells most: of some keyframes, or, where they show nothing, of any.
pub(crate) fn best(input: Input, wanted: &BestFrame) -> Result<RgbImage, Refused> {
    let index = wanted.stream.index.unwrap_or_default();
    let mut looks = Looks::of(&wanted.stream, wanted.size);
    let mut best: Option<(f64, RgbImage)> = None;
    let mut judge = |image: Option<RgbImage>| {
        if let Some(image) = image {
            let points = score(&image);
            if best.as_ref().is_none_or(|(most, _)| points > *most) {
                best = Some((points, image));
            }
        }
        best.as_ref().map_or(0.0, |(points, _)| *points)
    };
    let mut most = 0.0;
    if let Ok(mut film) = Film::open(input, index, true) {
        let start = film.start();
        let mut seen = Vec::new();
        for time in &wanted.times {
            if film.file.seek(start + time, false).is_err() {
                continue;
            }
            let Some(at) = film.next_keyframe() else { continue };
            if seen.contains(&at) {
                continue;
            }
            seen.push(at);
            mem::swap(&mut film.packet, &mut film.held);
            if film.decode_held() {
                most = judge(looks.show(&film.frame));
            }
            if most >= GOOD {
                break;
            }
        }
    }
    if most < DULL {
        // One keyframe, and black; or none that can be found.
        let mut film = Film::open(input, index, false).map_err(nothing)?;
        let (start, every) = (film.start(), wanted.patience / CANDIDATES);
        let mut next = f64::MIN;
        film.decode_all(|time, frame| {
            if time >= next {
                next = time + every;
                judge(looks.show(frame));
            }
            time - start < wanted.patience
        });
    }
    best.map(|(_, image)| image).ok_or_else(|| Refused::Nothing("no frame decodes".to_owned()))
}

/// One frame for each tile; the last ones may be missing.
pub(crate) fn tiles(input: Input, wanted: &Tiles) -> Result<Vec<RgbImage>, Refused> {
    let index = wanted.stream.index.unwrap_or_default();
    let mut looks = Looks::of(&wanted.stream, wanted.size);
    let (mut tiles, distinct) = by_keyframes(input, index, wanted, &mut looks).unwrap_or_default();
    // Keyframes further apart than tiles: each of them would be seen several times.
    if tiles.is_empty() || wanted.patient && distinct * 2 < wanted.count {
        let all = by_frames(input, index, wanted, &mut looks);
        match all {
            Ok(all) if !all.is_empty() => tiles = all,
            Err(error) if tiles.is_empty() => return Err(nothing(error)),
            _ => {}
        }
    }
    if tiles.is_empty() { Err(Refused::Nothing("no frame decodes".to_owned())) } else { Ok(tiles) }
}

/// A tile shows the middle of its time.
fn middle(tile: usize, every: f64) -> f64 {
    (tile as f64 + 0.5) * every
}

/// The last keyframe before the middle of each tile; and how many differ.
fn by_keyframes(
    input: Input,
    index: u32,
    wanted: &Tiles,
    looks: &mut Looks,
) -> libav::Result<(Vec<RgbImage>, usize)> {
    let mut film = Film::open(input, index, true)?;
    let start = film.start();
    let (mut tiles, mut distinct) = (Vec::new(), 0);
    let mut has_one = false;
    while tiles.len() < wanted.count {
        // Decoded only when it is sure that a tile shows it.
        mem::swap(&mut film.packet, &mut film.held);
        let next = film.next_keyframe();
        let is_before = |tile: usize| next.is_none_or(|next| middle(tile, wanted.every) < next - start);
        if has_one
            && is_before(tiles.len())
            && film.decode_held()
            && let Some(image) = looks.show(&film.frame)
        {
            distinct += 1;
            while tiles.len() < wanted.count && is_before(tiles.len()) {
                tiles.push(image.clone());
            }
        }
        if next.is_none() {
            break;
        }
        has_one = true;
    }
    Ok((tiles, distinct))
}

/// The frame that is seen in the middle of each tile.
fn by_frames(input: Input, index: u32, wanted: &Tiles, looks: &mut Looks) -> libav::Result<Vec<RgbImage>> {
    let mut film = Film::open(input, index, false)?;
    let start = film.start();
    let mut tiles = Vec::new();
    let mut first = None;
    film.decode_all(|time, frame| {
        if first.is_none() {
            first = looks.show(frame);
        }
        if time - start >= middle(tiles.len(), wanted.every)
            && let Some(image) = looks.show(frame)
        {
            tiles.push(image);
        }
        tiles.len() < wanted.count
    });
    // A picture too short for the middle of its first tile.
    if tiles.is_empty() {
        tiles.extend(first);
    }
    Ok(tiles)
}
