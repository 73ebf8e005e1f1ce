//! Images: decoded whole by safe Rust, within bounds on pixels and memory.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

use image::{
    ColorType, ImageDecoder, ImageFormat, ImageResult, Limits,
    codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder},
};
use reelhouse_api::{MediaKind, Resolution, TechnicalMetadata};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Config, Error, Facts, probe::broken};

/// Whether images of this type are decoded here. The others (HEIC, AVIF) only have C decoders: they go to a child.
pub(crate) fn decodes(mime: &str) -> bool {
    format(mime).is_some()
}

fn format(mime: &str) -> Option<(ImageFormat, &'static str)> {
    Some(match mime {
        "image/jpeg" => (ImageFormat::Jpeg, "JPEG"),
        "image/png" => (ImageFormat::Png, "PNG"),
        "image/gif" => (ImageFormat::Gif, "GIF"),
        "image/webp" => (ImageFormat::WebP, "WebP"),
        "image/bmp" => (ImageFormat::Bmp, "BMP"),
        "image/tiff" => (ImageFormat::Tiff, "TIFF"),
        _ => return None,
    })
}

/// Memory for decoders, handed out in the order it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    free: Arc<Semaphore>,
    all: u64,
}

impl Memory {
    /// A permit stands for so many bytes.
    const UNIT: u64 = 1 << 16;

    pub(crate) fn new(bytes: u64) -> Self {
        let units = usize::try_from(bytes / Self::UNIT).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(units)), all: bytes }
    }

    /// Waits, on a thread that may block, for so many bytes. They are fewer than all.
    fn take(&self, bytes: u64) -> io::Result<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes / Self::UNIT).map_err(io::Error::other)?;
        let handle = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        handle.block_on(Arc::clone(&self.free).acquire_many_owned(units)).map_err(io::Error::other)
    }
}

/// Decodes an image.
pub(crate) async fn examine(
    path: &Path,
    mime: &'static str,
    config: &Config,
    memory: &Memory,
) -> Result<Facts, Error> {
    let (path, max_pixels, memory) = (path.to_owned(), config.max_image_pixels, memory.clone());
    let decoded = tokio::task::spawn_blocking(move || decode(&path, mime, max_pixels, &memory)).await;
    // A decoder that panics has met a broken image.
    decoded.unwrap_or_else(|panic| Err(broken(MediaKind::Image, format!("the decoder gave up: {panic}"))))
}

/// An image whose size is within bounds, and that has the memory it needs.
pub(crate) struct Opened {
    pub(crate) decoder: Box<dyn ImageDecoder>,
    name: &'static str,
    is_animated: bool,
    bytes: u64,
    _taken: OwnedSemaphorePermit,
}

/// Opens an image, on a thread that may block; waits for memory.
pub(crate) fn open_bounded(
    file: File,
    mime: &str,
    max_pixels: u64,
    memory: &Memory,
) -> Result<Opened, Error> {
    let refused = |reason: String| broken(MediaKind::Image, reason);
    let Some((format, name)) = format(mime) else { return Err(refused(format!("no decoder for {mime}"))) };
    let mut file = BufReader::new(file);
    let size = file.get_ref().metadata()?.len();
    let frames = match format {
        ImageFormat::Jpeg => jpeg_ends(&mut file)?.then_some(1),
        ImageFormat::Gif => gif_frames(&mut file)?,
        ImageFormat::Png => png_ends(&mut file)?.then_some(1),
        ImageFormat::WebP => webp_fits(&mut file, size)?.then_some(1),
        _ => Some(1),
    };
    let frames = frames.ok_or_else(|| refused("it ends before its end marker".to_owned()))?;
    file.seek(SeekFrom::Start(0))?;

    let mut limits = Limits::default();
    limits.max_alloc = Some(memory.all);
    let opened = open(file, format, limits).map_err(|error| refused(error.to_string()))?;
    let (decoder, animated) = opened;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(refused(format!("{width}x{height} are more pixels than the {max_pixels} allowed")));
    }
    if decoder.total_bytes() > memory.all {
        return Err(refused(format!("it would take {} bytes", decoder.total_bytes())));
    }
    let taken = memory.take(decoder.total_bytes())?;
    Ok(Opened { decoder, name, is_animated: animated || frames > 1, bytes: size, _taken: taken })
}

fn decode(path: &Path, mime: &'static str, max_pixels: u64, memory: &Memory) -> Result<Facts, Error> {
    let refused = |reason: String| broken(MediaKind::Image, reason);
    let opened = open_bounded(File::open(path)?, mime, max_pixels, memory)?;
    let Opened { mut decoder, name, is_animated, bytes, _taken } = opened;
    let (width, height) = decoder.dimensions();
    // What is not said is upright.
    let orientation = decoder.orientation().map_or(1, image::metadata::Orientation::to_exif);
    let color = decoder.color_type();
    let mut pixels = vec![0; usize::try_from(decoder.total_bytes()).unwrap_or_default()];
    decoder.read_image_boxed(&mut pixels).map_err(|error| refused(error.to_string()))?;

    let upright = Resolution { width, height }.turned(orientation.into());
    let technical = TechnicalMetadata {
        file_size_bytes: Some(bytes),
        file_mime_type: Some(mime.to_owned()),
        image_width: Some(width),
        image_height: Some(height),
        image_format: Some(name.to_owned()),
        image_orientation: Some(orientation.into()),
        image_color_space: Some(if color.has_color() { "RGB" } else { "Grayscale" }.to_owned()),
        image_bit_depth: Some(bit_depth(color)),
        has_alpha: Some(color.has_alpha()),
        is_animated: Some(is_animated),
        ..TechnicalMetadata::default()
    };
    Ok(Facts {
        kind: MediaKind::Image,
        mime: mime.to_owned(),
        duration: None,
        upright: Some(upright),
        format: name.to_owned(),
        technical,
    })
}

fn bit_depth(color: ColorType) -> u32 {
    u32::from(color.bits_per_pixel()) / u32::from(color.channel_count()).max(1)
}

/// A decoder with its limits set, and whether the format says it moves.
fn open(
    file: BufReader<File>,
    format: ImageFormat,
    limits: Limits,
) -> ImageResult<(Box<dyn ImageDecoder>, bool)> {
    Ok(match format {
        ImageFormat::Png => {
            let decoder = PngDecoder::with_limits(file, limits)?;
            let animated = decoder.is_apng()?;
            (Box::new(decoder), animated)
        }
        ImageFormat::WebP => {
            let mut decoder = WebPDecoder::new(file)?;
            decoder.set_limits(limits)?;
            let animated = decoder.has_animation();
            (Box::new(decoder), animated)
        }
        ImageFormat::Gif => {
            let mut decoder = GifDecoder::new(file)?;
            decoder.set_limits(limits)?;
            (Box::new(decoder), false)
        }
        other => {
            let mut reader = image::ImageReader::with_format(file, other);
            reader.limits(limits);
            (Box::new(reader.into_decoder()?), false)
        }
    })
}

/// Whether a JPEG comes to its end marker: decoders paint what is missing grey and say nothing.
fn jpeg_ends(file: &mut impl BufRead) -> io::Result<bool> {
    let mut bytes = file.bytes();
    let mut next = || bytes.next().transpose();
    let mut in_scan = false;
    loop {
        let Some(byte) = next()? else { return Ok(false) };
        if byte != 0xFF {
            // Outside a scan only markers stand here; decoders tolerate what does not belong.
            continue;
        }
        let mut marker = 0xFF;
        while marker == 0xFF {
            match next()? {
                Some(byte) => marker = byte,
                None => return Ok(false),
            }
        }
        match marker {
            0xD9 => return Ok(true),
            // Stuffed bytes and restarts are part of a scan; SOI and TEM stand alone.
            0x00 | 0x01 | 0xD0..=0xD8 => continue,
            _ if in_scan && !matches!(marker, 0xC4 | 0xDA..=0xDD | 0xE0..=0xEF | 0xFE) => continue,
            _ => {}
        }
        let (Some(high), Some(low)) = (next()?, next()?) else { return Ok(false) };
        for _ in 2..u16::from_be_bytes([high, low]) {
            if next()?.is_none() {
                return Ok(false);
            }
        }
        in_scan |= marker == 0xDA;
    }
}

/// Whether a PNG comes to its last chunk: a decoder of the first frame does not look there.
fn png_ends(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    file.seek(SeekFrom::Start(8))?;
    let mut header = [0; 8];
    loop {
        match file.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
        let [a, b, c, d, name @ ..] = header;
        if name == *b"IEND" {
            return Ok(true);
        }
        // The content and its checksum.
        file.seek_relative(i64::from(u32::from_be_bytes([a, b, c, d])) + 4)?;
    }
}

/// Whether all that a WebP announces is there.
fn webp_fits(file: &mut (impl Read + Seek), len: u64) -> io::Result<bool> {
    file.seek(SeekFrom::Start(4))?;
    let mut size = [0; 4];
    Ok(file.read_exact(&mut size).is_ok() && u64::from(u32::from_le_bytes(size)) + 8 <= len + 1)
}

/// Frames of a GIF; `None` when it ends inside one. The trailer itself, many writers forget.
fn gif_frames(file: &mut (impl Read + Seek)) -> io::Result<Option<u32>> {
    match walk_gif(file) {
        Ok(frames) => Ok(Some(frames).filter(|frames| *frames > 0)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn walk_gif(file: &mut (impl Read + Seek)) -> io::Result<u32> {
    fn read<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
    fn skip(file: &mut impl Read, len: u64) -> io::Result<()> {
        match io::copy(&mut file.take(len), &mut io::sink())? {
            copied if copied == len => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
    /// Bytes of the color table that these flags announce.
    fn table(flags: u8) -> u64 {
        if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
    }
    fn sub_blocks(file: &mut impl Read) -> io::Result<()> {
        loop {
            match read::<1>(file)? {
                [0] => return Ok(()),
                [len] => skip(file, len.into())?,
            }
        }
    }
    let header = read::<13>(file)?;
    skip(file, table(header[10]))?;
    let mut frames = 0;
    loop {
        let mut introducer = [0];
        if file.read(&mut introducer)? == 0 {
            return Ok(frames);
        }
        match introducer {
            [0x3B] => return Ok(frames),
            [0x21] => {
                read::<1>(file)?;
                sub_blocks(file)?;
            }
            [0x2C] => {
                let descriptor = read::<9>(file)?;
                skip(file, table(descriptor[8]))?;
                read::<1>(file)?;
                sub_blocks(file)?;
                frames += 1;
            }
            // Decoders tolerate padding.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_ends_with_its_marker_and_not_with_its_thumbnails() {
        let thumbnail = [0xFF, 0xD8, 0xFF, 0xD9];
        let mut jpeg = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, 6];
        jpeg.extend(thumbnail);
        jpeg.extend([0xFF, 0xDA, 0, 2, 1, 2, 0xFF, 0, 0xFF, 0xD0, 3]);
        assert!(!jpeg_ends(&mut &jpeg[..]).unwrap());
        jpeg.extend([0xFF, 0xD9, 7, 7]);
        assert!(jpeg_ends(&mut &jpeg[..]).unwrap());
        assert!(!jpeg_ends(&mut &b""[..]).unwrap());
    }
}
