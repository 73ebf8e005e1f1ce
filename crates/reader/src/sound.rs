//! The picture of a sound: its cover, or its shape.

use image::RgbImage;
use reelhouse_media::process::{DEMUXERS, Input, Refused};

use crate::{
    libav::{self, Frame, Kind, Mixer, Packet},
    wave::{self, Loudness},
};

fn nothing(error: libav::Error) -> Refused {
    Refused::Nothing(error.to_string())
}

/// The bytes of the first picture inside a sound.
pub(crate) fn cover(input: Input, most: u64) -> Result<Vec<u8>, Refused> {
    let mut file = libav::Input::open(input, DEMUXERS).map_err(nothing)?;
    let none = || Refused::Nothing("no cover".to_owned());
    let (index, attached) = file
        .tracks()
        .find(|track| track.kind() == Kind::Video)
        .map(|track| (track.index(), track.attached()))
        .ok_or_else(none)?;
    let bytes = match attached {
        Some(bytes) => bytes,
        None => {
            file.only(index, false);
            let mut packet = Packet::new().map_err(nothing)?;
            if !file.read(&mut packet).map_err(nothing)? {
                return Err(none());
            }
            packet.bytes().to_vec()
        }
    };
    if bytes.len() as u64 > most {
        Err(Refused::Nothing("a cover that is too large".to_owned()))
    } else {
        Ok(bytes)
    }
}

/// How loud the first sound of a file is over time, drawn.
pub(crate) fn waveform(input: Input) -> Result<RgbImage, Refused> {
    loudness(input).map(|loudness| loudness.draw()).map_err(nothing)
}

fn loudness(input: Input) -> libav::Result<Loudness> {
    let mut file = libav::Input::open(input, DEMUXERS)?;
    file.find_tracks()?;
    let index = file.tracks().find(|track| track.kind() == Kind::Audio).map(|track| track.index());
    let index = index.ok_or(libav::Error::NO_TRACK)?;
    file.only(index, false);
    let mut decoder = file.track(index).ok_or(libav::Error::NO_TRACK)?.decoder()?;
    let (mut packet, mut frame) = (Packet::new()?, Frame::new()?);
    let mut mixer = Mixer::new(wave::RATE)?;
    let mut loudness = Loudness::new();
    let mut is_over = false;
    while !is_over {
        is_over = !file.read(&mut packet).unwrap_or(false);
        if !is_over && packet.track() != index {
            continue;
        }
        // What does not decode is silent.
        let _ = decoder.send(Some(&packet).filter(|_| !is_over));
        while decoder.receive(&mut frame).unwrap_or(false) {
            loudness.extend(&mixer.mix(Some(&frame)).unwrap_or_default());
        }
    }
    loudness.extend(&mixer.mix(None).unwrap_or_default());
    Ok(loudness)
}
