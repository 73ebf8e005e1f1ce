//! The media process, the program `reelhouse-media`: linked to libav, started by `reelhouse`, which asks it of one file at a
//! time. What is asked is done by a child that has that file and nothing else.

mod chunks;
mod frames;
mod heif;
mod index;
mod libav;
mod lone;
mod picture;
mod probe;
mod score;
mod sound;
mod tiff;
mod tone;
mod wave;
mod whole;

use std::process::ExitCode;

use reelhouse_media::process::{Input, Refused, Reply, Request, serve};

/// The whole of the program. Answers until what started it is gone.
pub fn main() -> ExitCode {
    libav::be_quiet();
    libav::warm_up();
    serve(&libav::version(), answer)
}

/// In a child, jailed.
fn answer(request: Request, input: Input) -> Result<Reply, Refused> {
    match request {
        Request::Probe { mime } => {
            probe::probe(input, mime.as_deref()).map(|probe| Reply::new(&probe, Vec::new()))
        }
        Request::Timings { seconds } => {
            probe::timings(input, seconds).map(|timings| Reply::new(&timings, Vec::new()))
        }
        Request::CodedImage(format, bounds) => {
            let image = match lone::codec(format) {
                Some(codec) => lone::examine(input, format, codec, bounds),
                None => heif::examine(input, bounds),
            };
            image.map(|image| Reply::new(&image, Vec::new()))
        }
        Request::CodedPicture(format, bounds, within) => {
            let shown = match lone::codec(format) {
                Some(codec) => lone::shown(input, codec, bounds, within),
                None => heif::shown(input, bounds, within),
            };
            shown.map(|one| picture::reply(&[one]))
        }
        Request::BestFrame(wanted) => frames::best(input, &wanted).map(|one| picture::reply(&[one])),
        Request::Tiles(wanted) => frames::tiles(input, &wanted).map(|tiles| picture::reply(&tiles)),
        Request::HlsIndex { copy } => index::read(input, &copy),
        Request::Cover { most } => sound::cover(input, most).map(|bytes| Reply::new(&(), bytes)),
        Request::Waveform => sound::waveform(input).map(|one| picture::reply(&[one])),
        // Answered before a file is looked at.
        Request::Trial => Err(Refused::Nothing("a trial asks for no file".to_owned())),
    }
}
