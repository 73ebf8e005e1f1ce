//! Images: decoded whole by safe Rust, within bounds on pixels and memory. What only C decoders know is left to a child.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom},
    panic::catch_unwind,
    sync::Arc,
};

use bytes::Bytes;
use image::{
    ColorType, ImageDecoder, ImageError, ImageFormat, ImageResult, Limits,
    codecs::{gif::GifDecoder, jpeg::JpegDecoder, png::PngDecoder, webp::WebPDecoder},
};
use reelhouse_api::{MediaKind, Resolution, TechnicalMetadata};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Config, Error, Facts, Source, jpeg, probe::broken, process::CodedFormat};

const JPEG: &str = "image/jpeg";
const CUT_SHORT: &str = "it ends before its end marker";

/// What a decoder says: nothing, where a child may know what it does not.
pub(crate) fn known<T>(decoded: ImageResult<T>, mime: &str) -> Result<Option<T>, Error> {
    match decoded {
        Ok(decoded) => Ok(Some(decoded)),
        Err(ImageError::Unsupported(_)) if CodedFormat::of(mime).is_some() => Ok(None),
        // So many kinds of TIFF are in use that each decoder takes some for nonsense. The child's is as strict.
        Err(ImageError::Decoding(_)) if CodedFormat::of(mime) == Some(CodedFormat::Tiff) => Ok(None),
        Err(error) => Err(broken(MediaKind::Image, error.to_string())),
    }
}

fn format(mime: &str) -> Option<(ImageFormat, &'static str)> {
    Some(match mime {
        JPEG => (ImageFormat::Jpeg, "JPEG"),
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

/// Sees whether an image decodes; `None` when it is for a child to see.
pub(crate) async fn examine(
    source: &Source,
    mime: &'static str,
    config: &Config,
    memory: &Memory,
) -> Result<Option<Facts>, Error> {
    let max_pixels = config.max_image_pixels;
    // Takes no longer than another thread takes to begin.
    if let (Source::Bytes(bytes), JPEG) = (source, mime)
        && let Ok(Some(examined)) = catch_unwind(|| examine_plain(bytes, mime, max_pixels))
    {
        return examined.map(Some);
    }
    let (source, memory) = (source.clone(), memory.clone());
    let decoded = tokio::task::spawn_blocking(move || decode(&source, mime, max_pixels, &memory)).await;
    // A decoder that panics has met a broken image.
    decoded.unwrap_or_else(|panic| Err(broken(MediaKind::Image, format!("the decoder gave up: {panic}"))))
}

/// What a JPEG is that needs no decoding to be known to decode; `None` for any other.
fn examine_plain(bytes: &[u8], mime: &'static str, max_pixels: u64) -> Option<Result<Facts, Error>> {
    let headers = jpeg::headers_of_plain(bytes)?;
    let refused = |reason: String| broken(MediaKind::Image, reason);
    let decoder = JpegDecoder::new(Cursor::new(headers)).map_err(|error| refused(error.to_string()));
    Some(decoder.and_then(|mut decoder| {
        check_pixels(&decoder, max_pixels)?;
        Ok(facts(&mut decoder, mime, bytes.len() as u64, false))
    }))
}

/// An image whose size is within bounds, and that has the memory it needs.
pub(crate) struct Opened {
    pub(crate) decoder: Box<dyn ImageDecoder>,
    is_animated: bool,
    bytes: u64,
    _taken: OwnedSemaphorePermit,
}

/// Bytes of an image, where they are.
enum Content {
    File(File),
    Memory(Bytes),
}

/// Opens an image's bytes. A JPEG's decoder has all of them in memory anyway.
fn content(source: &Source, mime: &str) -> io::Result<Content> {
    Ok(match source {
        Source::Bytes(bytes) => Content::Memory(bytes.clone()),
        Source::File(path) if mime == JPEG => Content::Memory(std::fs::read(path)?.into()),
        Source::File(path) => Content::File(File::open(path)?),
    })
}

/// Opens an image, on a thread that may block; waits for memory. `None` when it is for a child to open.
pub(crate) fn open_bounded(
    source: &Source,
    mime: &str,
    max_pixels: u64,
    memory: &Memory,
) -> Result<Option<Opened>, Error> {
    let content = content(source, mime)?;
    open_content(content, mime, max_pixels, memory)
}

fn open_content(
    content: Content,
    mime: &str,
    max_pixels: u64,
    memory: &Memory,
) -> Result<Option<Opened>, Error> {
    match content {
        Content::File(file) => {
            let size = file.metadata()?.len();
            open_at(BufReader::new(file), size, mime, max_pixels, memory)
        }
        Content::Memory(bytes) => {
            let size = bytes.len() as u64;
            if mime == JPEG && !jpeg::ends(&bytes) {
                return Err(broken(MediaKind::Image, CUT_SHORT));
            }
            open_at(Cursor::new(bytes), size, mime, max_pixels, memory)
        }
    }
}

fn open_at(
    mut file: impl BufRead + Seek + 'static,
    size: u64,
    mime: &str,
    max_pixels: u64,
    memory: &Memory,
) -> Result<Option<Opened>, Error> {
    let refused = |reason: String| broken(MediaKind::Image, reason);
    let Some((format, _)) = format(mime) else { return Ok(None) };
    let frames = match format {
        ImageFormat::Gif => gif_frames(&mut file)?,
        ImageFormat::Png => png_ends(&mut file)?.then_some(1),
        ImageFormat::WebP => webp_fits(&mut file, size)?.then_some(1),
        _ => Some(1),
    };
    let frames = frames.ok_or_else(|| refused(CUT_SHORT.to_owned()))?;
    file.seek(SeekFrom::Start(0))?;

    let mut limits = Limits::default();
    limits.max_alloc = Some(memory.all);
    let Some((decoder, animated)) = known(open(file, format, limits), mime)? else { return Ok(None) };
    check_pixels(&*decoder, max_pixels)?;
    if decoder.total_bytes() > memory.all {
        return Err(refused(format!("it would take {} bytes", decoder.total_bytes())));
    }
    let taken = memory.take(decoder.total_bytes())?;
    Ok(Some(Opened { decoder, is_animated: animated || frames > 1, bytes: size, _taken: taken }))
}

fn check_pixels(decoder: &(impl ImageDecoder + ?Sized), max_pixels: u64) -> Result<(), Error> {
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > max_pixels {
        let reason = format!("{width}x{height} are more pixels than the {max_pixels} allowed");
        return Err(broken(MediaKind::Image, reason));
    }
    Ok(())
}

fn decode(
    source: &Source,
    mime: &'static str,
    max_pixels: u64,
    memory: &Memory,
) -> Result<Option<Facts>, Error> {
    let content = content(source, mime)?;
    if let Content::Memory(bytes) = &content
        && mime == JPEG
        && let Some(examined) = examine_plain(bytes, mime, max_pixels)
    {
        return examined.map(Some);
    }
    let Some(opened) = open_content(content, mime, max_pixels, memory)? else { return Ok(None) };
    let Opened { mut decoder, is_animated, bytes, _taken } = opened;
    let facts = facts(&mut *decoder, mime, bytes, is_animated);
    let mut pixels = vec![0; usize::try_from(decoder.total_bytes()).unwrap_or_default()];
    let read = known(decoder.read_image_boxed(&mut pixels), mime)?;
    Ok(read.map(|()| facts))
}

fn facts(
    decoder: &mut (impl ImageDecoder + ?Sized),
    mime: &'static str,
    bytes: u64,
    is_animated: bool,
) -> Facts {
    let name = format(mime).map_or(mime, |(_, name)| name);
    let (width, height) = decoder.dimensions();
    // What is not said is upright.
    let orientation = decoder.orientation().map_or(1, image::metadata::Orientation::to_exif);
    let color = decoder.color_type();
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
    Facts {
        kind: MediaKind::Image,
        mime: mime.to_owned(),
        duration: None,
        upright: Some(upright),
        format: name.to_owned(),
        technical,
    }
}

fn bit_depth(color: ColorType) -> u32 {
    u32::from(color.bits_per_pixel()) / u32::from(color.channel_count()).max(1)
}

/// A decoder with its limits set, and whether the format says it moves.
fn open(
    file: impl BufRead + Seek + 'static,
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
