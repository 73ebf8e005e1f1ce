//! HEIC and AVIF: what their item tables say, and the coded pictures, each by itself. libav's own demuxer knows neither HEIC
//! nor pictures made of tiles.
//!
//! ISO/IEC 23008-12 (items, properties), 14496-15 (`hvcC`), the AV1 Image File Format (`av1C`).

use std::{
    collections::BTreeMap,
    io::{self, Read, Seek, SeekFrom},
};

use image::{DynamicImage, RgbImage, imageops, metadata::Orientation};
use reelhouse_api::{Resolution, VideoStream};
use reelhouse_media::process::{
    CodedFormat, CodedImage, Fit, ImageBounds, Input, Refused, be16, be32, child, children, read_box,
    read_content, show,
};

use crate::{
    libav::{self, Bare, Decoder, Frame, Packet},
    picture::Looks,
};

/// Item tables of real files have a few kilobytes.
const MAX_TABLES: u64 = 4 << 20;
/// Tiles of one picture. A phone writes 48.
const MAX_TILES: usize = 4096;
/// Top-level boxes before the tables.
const MAX_BOXES: usize = 1000;

/// How pictures are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Hevc,
    Av1,
}

/// What the tables say of the main picture.
#[derive(Debug)]
struct Picture {
    codec: Codec,
    size: Resolution,
    /// EXIF orientation, 1 to 8.
    orientation: u32,
    channels: Option<u8>,
    bit_depth: Option<u8>,
    has_alpha: bool,
    is_animated: bool,
    /// Its tiles, each decodable alone.
    coded: Vec<Vec<u8>>,
    /// Tiles beside each other.
    columns: usize,
    /// Of the first tile.
    tile: Resolution,
    colors: Colors,
    /// The coded picture of its transparency, where it is one.
    alpha: Option<Vec<u8>>,
}

/// What the container says of colours; the coded pictures may say the same, or nothing.
#[derive(Debug, Default)]
struct Colors {
    profile: Option<Vec<u8>>,
    transfer: Option<u16>,
    matrix: Option<u16>,
    is_full_range: bool,
}

/// Reads the tables and decodes every tile.
pub(crate) fn examine(input: Input, bounds: ImageBounds) -> Result<CodedImage, Refused> {
    let (picture, bytes) = read_file(input, bounds)?;
    let decoded = decode(picture.codec, &picture.coded, |_| Some(()))?.len();
    if decoded != picture.coded.len() {
        return Err(Refused::Broken(format!("{decoded} of {} tiles decode", picture.coded.len())));
    }
    Ok(CodedImage {
        format: if picture.codec == Codec::Hevc { CodedFormat::Heic } else { CodedFormat::Avif },
        size: picture.size,
        orientation: picture.orientation,
        channels: picture.channels,
        bit_depth: picture.bit_depth,
        has_alpha: picture.has_alpha,
        is_animated: Some(picture.is_animated),
        bytes,
    })
}

/// The tables of a file, and its length.
fn read_file(input: Input, bounds: ImageBounds) -> Result<(Picture, u64), Refused> {
    let broken = |error: io::Error| Refused::Broken(error.to_string());
    let len = input.size().map_err(broken)?;
    let picture = read(&mut input.reader(), len, bounds.max_bytes).map_err(broken)?;
    let picture = picture.map_err(|reason| Refused::Broken(reason.to_owned()))?;
    let Resolution { width, height } = picture.size;
    if u64::from(width) * u64::from(height) > bounds.max_pixels {
        return Err(Refused::Broken(format!("{} are more pixels than are allowed", picture.size)));
    }
    Ok((picture, len))
}

/// The main picture, small and ready to be shown: tiles are decoded, shrunk and put together.
pub(crate) fn shown(input: Input, bounds: ImageBounds, within: Resolution) -> Result<RgbImage, Refused> {
    let refused = |reason: &str| Refused::Broken(reason.to_owned());
    let (picture, _) = read_file(input, bounds)?;
    let Picture { size, tile, coded, columns, orientation, colors, codec, .. } = picture;
    let turned = size.turned(orientation).fitted(within).turned(orientation);
    // A lone picture is made as small as it shall be; tiles by a factor that leaves no seams.
    let (factor, small) = if coded.len() == 1 { (1, turned) } else { shrunk(tile, size, turned) };
    let all = Resolution { width: size.width / factor, height: size.height / factor };
    if u64::from(all.width) * u64::from(all.height) * 3 > bounds.max_bytes {
        return Err(refused("it would take too much memory"));
    }
    let stream = colors.as_stream(size);
    let mut looks = Looks::of(&stream, small);
    let shown = decode(codec, &coded, |frame| looks.show(frame))?;
    if shown.len() != coded.len() {
        return Err(Refused::Nothing(format!("{} of {} tiles", shown.len(), coded.len())));
    }
    let mut image = if let [whole] = &shown[..] {
        DynamicImage::from(whole.clone())
    } else {
        let mut whole = RgbImage::new(all.width.max(1), all.height.max(1));
        for (at, tile) in (0u32..).zip(shown) {
            let (x, y) = (at % columns as u32 * small.width, at / columns as u32 * small.height);
            // What stands out over the edge is cut.
            imageops::replace(&mut whole, &tile, x.into(), y.into());
        }
        whole.into()
    };
    if let Some(alpha) = picture.alpha.filter(|_| coded.len() == 1) {
        let alpha = decode(codec, &[alpha], |frame| looks.grey(frame))?;
        let mut with_alpha = image.into_rgba8();
        for (pixel, alpha) in with_alpha.pixels_mut().zip(alpha.into_iter().flatten()) {
            pixel.0[3] = alpha;
        }
        image = with_alpha.into();
    }
    let orientation = u8::try_from(orientation).ok().and_then(Orientation::from_exif);
    show(image, orientation.unwrap_or(Orientation::NoTransforms), colors.profile.as_deref(), within)
        .map_err(Refused::Broken)
}

/// The factor by which tiles can shrink, each for itself, and stay at least as large as asked in all.
fn shrunk(tile: Resolution, all: Resolution, asked: Resolution) -> (u32, Resolution) {
    let fits = |factor: &u32| {
        tile.width.is_multiple_of(*factor)
            && tile.height.is_multiple_of(*factor)
            && all.width / factor >= asked.width
            && all.height / factor >= asked.height
    };
    let factor = [32, 16, 8, 4, 2].into_iter().find(fits).unwrap_or(1);
    (factor, Resolution { width: tile.width / factor, height: tile.height / factor })
}

/// What becomes of each coded picture that decodes.
fn decode<T>(
    codec: Codec,
    coded: &[Vec<u8>],
    mut take: impl FnMut(&Frame) -> Option<T>,
) -> Result<Vec<T>, Refused> {
    let nothing = |error: libav::Error| Refused::Broken(error.to_string());
    let bare = match codec {
        Codec::Hevc => Bare::Hevc,
        Codec::Av1 => Bare::Av1,
    };
    let mut decoder = Decoder::bare(bare).map_err(nothing)?;
    let mut frame = Frame::new().map_err(nothing)?;
    let mut taken = Vec::new();
    for picture in coded {
        let packet = Packet::of(picture).map_err(nothing)?;
        // Each alone: it is its own beginning and end.
        decoder.start_over();
        let sent = decoder.send(Some(&packet)).and_then(|()| decoder.send(None));
        if sent.is_ok() && decoder.receive(&mut frame).unwrap_or(false) {
            taken.extend(take(&frame));
        }
    }
    Ok(taken)
}

impl Colors {
    fn read(items: &Items<'_>, item: u32) -> Self {
        let mut colors = Self::default();
        for (name, content) in items.properties_of(item) {
            match (&name, content.first_chunk::<4>()) {
                (b"colr", Some(b"nclx")) => {
                    colors.transfer = be16(content, 6);
                    colors.matrix = be16(content, 8);
                    colors.is_full_range = content.get(10).is_some_and(|flags| flags & 0x80 != 0);
                }
                (b"colr", Some(b"prof" | b"rICC")) => colors.profile = content.get(4..).map(<[u8]>::to_vec),
                _ => {}
            }
        }
        colors
    }

    /// In the words of a video track. What is not said is BT.601, as for JPEG.
    fn as_stream(&self, size: Resolution) -> VideoStream {
        let matrix = match self.matrix {
            Some(1) => "bt709",
            Some(9 | 10) => "bt2020nc",
            _ => "smpte170m",
        };
        let transfer = match self.transfer {
            Some(16) => Some("smpte2084"),
            Some(18) => Some("arib-std-b67"),
            _ => None,
        };
        VideoStream {
            width: Some(size.width),
            height: Some(size.height),
            color_space: Some(matrix.to_owned()),
            color_transfer: transfer.map(str::to_owned),
            color_range: self.is_full_range.then(|| "pc".to_owned()),
            ..VideoStream::default()
        }
    }
}

/// The main picture, or what is wrong.
fn read(
    file: &mut (impl Read + Seek),
    len: u64,
    max_bytes: u64,
) -> io::Result<Result<Picture, &'static str>> {
    let (mut at, mut tables, mut is_animated) = (0, None, false);
    for _ in 0..MAX_BOXES {
        let Some(found) = read_box(file, at, len)? else { break };
        match &found.name {
            b"meta" if found.end > len => return Ok(Err("its tables are cut")),
            b"meta" if found.end - found.content <= MAX_TABLES => tables = Some(read_content(file, &found)?),
            b"moov" => is_animated = true,
            _ => {}
        }
        at = found.end;
    }
    let Some(items) = tables.as_deref().and_then(|tables| Items::read(tables.get(4..)?)) else {
        return Ok(Err("no tables of items"));
    };
    let mut bytes = Bytes { file, len, idat: items.idat, left: max_bytes };
    Ok(picture(&items, &mut bytes)?.map(|picture| Picture { is_animated, ..picture }))
}

fn picture(
    items: &Items<'_>,
    bytes: &mut Bytes<'_, impl Read + Seek>,
) -> io::Result<Result<Picture, &'static str>> {
    let main = items.primary;
    let (tiles, columns) = match items.kind(main) {
        Some(b"grid") => match grid(items, main, bytes)? {
            Some(tiles) => tiles,
            None => return Ok(Err("its grid of tiles makes no sense")),
        },
        _ => (vec![main], 1),
    };
    let Some(size) = items.size(main) else { return Ok(Err("no dimensions")) };
    let Some(codec) = tiles.first().and_then(|tile| codec_of(items, *tile)) else {
        return Ok(Err("a way of coding that is not known"));
    };
    let mut coded = Vec::new();
    for tile in &tiles {
        let Some(data) = bytes.of(items, *tile)? else { return Ok(Err("its tables point behind its end")) };
        let mut stream = Vec::new();
        if push(&mut stream, codec, items, *tile, &data).is_none() {
            return Ok(Err("a coded picture that makes no sense"));
        }
        coded.push(stream);
    }
    let mut alpha = None;
    if let Some(item) = items.alpha(main).filter(|item| codec_of(items, *item) == Some(codec))
        && let Some(data) = bytes.of(items, item)?
    {
        let mut stream = Vec::new();
        alpha = push(&mut stream, codec, items, item, &data).map(|()| stream);
    }
    let first = tiles.first().copied().unwrap_or(main);
    let mut colors = Colors::read(items, main);
    if colors.matrix.is_none() && colors.profile.is_none() {
        colors = Colors::read(items, first);
    }
    // pixi: the number of channels, then the bits of each.
    let pixi = items.property(main, b"pixi").or_else(|| items.property(*tiles.first()?, b"pixi"));
    Ok(Ok(Picture {
        codec,
        size,
        orientation: items.orientation(main),
        channels: pixi.and_then(|pixi| pixi.get(4)).copied(),
        bit_depth: pixi.and_then(|pixi| pixi.get(5)).copied(),
        has_alpha: items.alpha(main).is_some(),
        is_animated: false,
        coded,
        columns,
        tile: items.size(first).unwrap_or(size),
        colors,
        alpha,
    }))
}

fn codec_of(items: &Items<'_>, item: u32) -> Option<Codec> {
    match items.kind(item)? {
        b"hvc1" => Some(Codec::Hevc),
        b"av01" => Some(Codec::Av1),
        _ => None,
    }
}

/// One coded picture more; `None` when it makes no sense.
fn push(stream: &mut Vec<u8>, codec: Codec, items: &Items<'_>, item: u32, data: &[u8]) -> Option<()> {
    match codec {
        Codec::Hevc => push_hevc(stream, items.property(item, b"hvcC")?, data),
        Codec::Av1 => {
            push_av1(stream, data);
            Some(())
        }
    }
}

/// The tiles of a picture that is a grid, row by row, and how many make a row.
fn grid(
    items: &Items<'_>,
    item: u32,
    bytes: &mut Bytes<'_, impl Read + Seek>,
) -> io::Result<Option<(Vec<u32>, usize)>> {
    let Some(data) = bytes.of(items, item)? else { return Ok(None) };
    let tiles = items.references.get(&(*b"dimg", item)).cloned().unwrap_or_default();
    let count = data.get(2..4).map(|sides| (usize::from(sides[0]) + 1) * (usize::from(sides[1]) + 1));
    let columns = data.get(3).map_or(1, |columns| usize::from(*columns) + 1);
    Ok(Some((tiles, columns)).filter(|(tiles, _)| Some(tiles.len()) == count && tiles.len() <= MAX_TILES))
}

/// NAL units with lengths become NAL units with start codes; the parameter sets go first.
fn push_hevc(stream: &mut Vec<u8>, hvcc: &[u8], data: &[u8]) -> Option<()> {
    const START: [u8; 4] = [0, 0, 0, 1];
    let mut push = |unit: &[u8]| {
        stream.extend_from_slice(&START);
        stream.extend_from_slice(unit);
    };
    let mut at = 23;
    for _ in 0..*hvcc.get(22)? {
        let units = be16(hvcc, at + 1)?;
        at += 3;
        for _ in 0..units {
            let len = usize::from(be16(hvcc, at)?);
            push(hvcc.get(at + 2..at + 2 + len)?);
            at += 2 + len;
        }
    }
    let width = usize::from(hvcc.get(21)? & 3) + 1;
    let mut rest = data;
    while !rest.is_empty() {
        let len = rest.get(..width)?.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
        push(rest.get(width..)?.get(..len)?);
        rest = rest.get(width + len..)?;
    }
    Some(())
}

/// An item is a temporal unit without the delimiter that a stream has.
fn push_av1(stream: &mut Vec<u8>, data: &[u8]) {
    stream.extend_from_slice(&[0x12, 0x00]);
    stream.extend_from_slice(data);
}

/// Where an item's bytes lie.
#[derive(Debug, Default)]
struct Location {
    in_idat: bool,
    /// Offset and length.
    extents: Vec<(u64, u64)>,
}

/// What an item refers to, by kind of reference and the item.
type References = BTreeMap<([u8; 4], u32), Vec<u32>>;

/// The tables of items.
#[derive(Debug)]
struct Items<'a> {
    primary: u32,
    kinds: BTreeMap<u32, [u8; 4]>,
    locations: BTreeMap<u32, Location>,
    references: References,
    properties: Vec<([u8; 4], &'a [u8])>,
    /// Indices into the properties, from 0.
    associations: BTreeMap<u32, Vec<usize>>,
    idat: &'a [u8],
}

impl<'a> Items<'a> {
    fn read(meta: &'a [u8]) -> Option<Self> {
        let pitm = child(meta, b"pitm")?;
        let iprp = child(meta, b"iprp")?;
        Some(Self {
            primary: if version(pitm)? == 0 { be16(pitm, 4)?.into() } else { be32(pitm, 4)? },
            kinds: kinds(child(meta, b"iinf")?)?,
            locations: locations(child(meta, b"iloc")?)?,
            references: child(meta, b"iref").and_then(references).unwrap_or_default(),
            properties: children(child(iprp, b"ipco")?).collect(),
            associations: associations(child(iprp, b"ipma")?)?,
            idat: child(meta, b"idat").unwrap_or_default(),
        })
    }

    fn kind(&self, item: u32) -> Option<&[u8; 4]> {
        self.kinds.get(&item)
    }

    fn properties_of(&self, item: u32) -> impl Iterator<Item = ([u8; 4], &'a [u8])> {
        let indices = self.associations.get(&item).map(Vec::as_slice).unwrap_or_default();
        indices.iter().filter_map(|index| self.properties.get(*index).copied())
    }

    fn property(&self, item: u32, name: &[u8; 4]) -> Option<&'a [u8]> {
        self.properties_of(item).find(|(found, _)| found == name).map(|(_, content)| content)
    }

    /// Turns and mirrors, in the order they stand, as the EXIF orientation of the same effect.
    fn orientation(&self, item: u32) -> u32 {
        // Quarter turns counter-clockwise, after a left-right mirror or none.
        let (mut mirrored, mut turns) = (false, 0);
        for (name, content) in self.properties_of(item) {
            let value = content.first().copied().unwrap_or_default();
            match &name {
                b"irot" => turns += value & 3,
                // Across the vertical axis (1), or the horizontal one: that is half a turn more.
                b"imir" => {
                    (mirrored, turns) = (!mirrored, 4 - turns % 4 + if value & 1 == 1 { 0 } else { 2 });
                }
                _ => {}
            }
        }
        match (mirrored, turns % 4) {
            (false, 0) => 1,
            (false, 1) => 8,
            (false, 2) => 3,
            (false, _) => 6,
            (true, 0) => 2,
            (true, 1) => 5,
            (true, 2) => 4,
            (true, _) => 7,
        }
    }

    /// The item that is its transparency.
    fn alpha(&self, item: u32) -> Option<u32> {
        let auxiliary =
            self.references.iter().filter(|((kind, _), to)| kind == b"auxl" && to.contains(&item));
        auxiliary.map(|((_, from), _)| *from).find(|from| {
            self.property(*from, b"auxC").is_some_and(|aux| {
                [&b"urn:mpeg:hevc:2015:auxid:1"[..], b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"]
                    .iter()
                    .any(|name| aux.get(4..).is_some_and(|rest| rest.starts_with(name)))
            })
        })
    }

    fn size(&self, item: u32) -> Option<Resolution> {
        let ispe = self.property(item, b"ispe")?;
        Some(Resolution { width: be32(ispe, 4)?, height: be32(ispe, 8)? })
            .filter(|size| size.width > 0 && size.height > 0)
    }
}

fn version(full_box: &[u8]) -> Option<u8> {
    full_box.first().copied()
}

fn kinds(iinf: &[u8]) -> Option<BTreeMap<u32, [u8; 4]>> {
    let entries = iinf.get(if version(iinf)? == 0 { 6 } else { 8 }..)?;
    let entries = children(entries).filter(|(name, _)| name == b"infe");
    let kind = |infe: &[u8]| {
        let (item, at) = match version(infe)? {
            2 => (u32::from(be16(infe, 4)?), 8),
            3 => (be32(infe, 4)?, 10),
            _ => return None,
        };
        Some((item, *infe.get(at..)?.first_chunk()?))
    };
    Some(entries.filter_map(|(_, infe)| kind(infe)).collect())
}

fn references(iref: &[u8]) -> Option<References> {
    let wide = version(iref)? != 0;
    let width = if wide { 4 } else { 2 };
    let id = |bytes: &[u8], at| if wide { be32(bytes, at) } else { be16(bytes, at).map(u32::from) };
    let one = |(kind, content): ([u8; 4], &[u8])| {
        let count = usize::from(be16(content, width)?);
        let to: Option<Vec<u32>> = (0..count).map(|n| id(content, width * (n + 1) + 2)).collect();
        Some(((kind, id(content, 0)?), to?))
    };
    Some(children(iref.get(4..)?).filter_map(one).collect())
}

fn associations(ipma: &[u8]) -> Option<BTreeMap<u32, Vec<usize>>> {
    let (wide_ids, wide_indices) = (version(ipma)? >= 1, ipma.get(3)? & 1 == 1);
    let mut at = 8;
    let mut found = BTreeMap::new();
    for _ in 0..be32(ipma, 4)? {
        let item = if wide_ids { be32(ipma, at)? } else { be16(ipma, at)?.into() };
        at += if wide_ids { 4 } else { 2 };
        let count = *ipma.get(at)?;
        at += 1;
        let mut indices = Vec::new();
        for _ in 0..count {
            // The top bit says "essential"; 0 is no property.
            let index =
                if wide_indices { be16(ipma, at)? & 0x7FFF } else { u16::from(*ipma.get(at)? & 0x7F) };
            at += if wide_indices { 2 } else { 1 };
            indices.extend(usize::from(index).checked_sub(1));
        }
        found.insert(item, indices);
    }
    Some(found)
}

fn locations(iloc: &[u8]) -> Option<BTreeMap<u32, Location>> {
    let version = version(iloc)?;
    let mut cursor = Cursor { bytes: iloc, at: 4 };
    let (sizes, base) = (cursor.number(1)?, cursor.number(1)?);
    let (offset_size, length_size) = (sizes >> 4, sizes & 15);
    let (base_size, index_size) = (base >> 4, if version == 0 { 0 } else { base & 15 });
    let id_size = if version < 2 { 2 } else { 4 };
    let mut found = BTreeMap::new();
    for _ in 0..cursor.number(id_size)? {
        let item = u32::try_from(cursor.number(id_size)?).ok()?;
        let method = if version == 0 { 0 } else { cursor.number(2)? & 15 };
        let data_reference = cursor.number(2)?;
        let base = cursor.number(base_size)?;
        let mut extents = Vec::new();
        for _ in 0..cursor.number(2)? {
            cursor.number(index_size)?;
            let offset = base.checked_add(cursor.number(offset_size)?)?;
            extents.push((offset, cursor.number(length_size)?));
        }
        // Of this file, or of the tables themselves; other files and items are not ours to read.
        if data_reference == 0 && method <= 1 {
            found.insert(item, Location { in_idat: method == 1, extents });
        }
    }
    Some(found)
}

/// Numbers of 0 to 8 bytes, one after the other.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn number(&mut self, width: u64) -> Option<u64> {
        let width = usize::try_from(width).ok().filter(|width| *width <= 8)?;
        let digits = self.bytes.get(self.at..self.at + width)?;
        self.at += width;
        Some(digits.iter().fold(0, |number, digit| number << 8 | u64::from(*digit)))
    }
}

/// The bytes that items point at, up to a bound in all.
struct Bytes<'a, F> {
    file: &'a mut F,
    len: u64,
    idat: &'a [u8],
    left: u64,
}

impl<F: Read + Seek> Bytes<'_, F> {
    /// `None` when they are not all there.
    fn of(&mut self, items: &Items<'_>, item: u32) -> io::Result<Option<Vec<u8>>> {
        let Some(location) = items.locations.get(&item) else { return Ok(None) };
        let all = if location.in_idat { self.idat.len() as u64 } else { self.len };
        let mut data = Vec::new();
        for (offset, len) in &location.extents {
            // No length means: to the end.
            let end = if *len == 0 { Some(all) } else { offset.checked_add(*len) };
            let Some(end) = end.filter(|end| *end <= all && offset <= end) else { return Ok(None) };
            let Some(left) = self.left.checked_sub(end - offset) else { return Ok(None) };
            self.left = left;
            if location.in_idat {
                let range =
                    usize::try_from(*offset).unwrap_or_default()..usize::try_from(end).unwrap_or_default();
                data.extend_from_slice(self.idat.get(range).unwrap_or_default());
            } else {
                self.file.seek(SeekFrom::Start(*offset))?;
                (&mut *self.file).take(end - offset).read_to_end(&mut data)?;
            }
        }
        Ok(Some(data).filter(|data| !data.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor as Seekable;

    use proptest::prelude::*;
    use reelhouse_api::MediaKind;
    use reelhouse_media::{Config, Media, Sniffed};

    use super::*;

    fn put(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&u32::try_from(content.len() + 8).unwrap().to_be_bytes()[..], name, content].concat()
    }

    /// A grid of two AV1 tiles of 64x48, turned a quarter clockwise, with an alpha plane.
    fn file() -> Vec<u8> {
        file_of(b"tile1", b"tile2")
    }

    fn file_of(left: &[u8], right: &[u8]) -> Vec<u8> {
        let infe =
            |id: u8, kind: &[u8; 4]| put(b"infe", &[&[2, 0, 0, 0, 0, id, 0, 0][..], kind, b"\0"].concat());
        let items = [infe(1, b"grid"), infe(2, b"av01"), infe(3, b"av01"), infe(4, b"av01")].concat();
        let references =
            [put(b"dimg", &[0, 1, 0, 2, 0, 2, 0, 3]), put(b"auxl", &[0, 4, 0, 1, 0, 1])].concat();
        let properties = [
            put(b"ispe", &[0, 0, 0, 0, 0, 0, 0, 128, 0, 0, 0, 48]),
            put(b"pixi", &[0, 0, 0, 0, 3, 10, 10, 10]),
            put(b"irot", &[3]),
            put(b"ispe", &[0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 48]),
            put(b"auxC", b"\0\0\0\0urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"),
        ]
        .concat();
        let associations = [0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 3, 1, 2, 0x83, 0, 2, 1, 4, 0, 3, 1, 4, 0, 4, 1, 5];
        let iprp = [put(b"ipco", &properties), put(b"ipma", &associations)].concat();
        // The grid's own bytes lie in idat, the tiles' at the file's end.
        let location = |id: u8, method: u8, offset: u32, len: usize| {
            let len = u32::try_from(len).unwrap();
            [&[0, id, 0, method, 0, 0, 0, 1][..], &offset.to_be_bytes(), &len.to_be_bytes()].concat()
        };
        let meta = |end: u32| {
            let locations = [
                &[1, 0, 0, 0, 0x44, 0, 0, 3][..],
                &location(1, 1, 0, 8),
                &location(2, 0, end, left.len()),
                &location(3, 0, end + u32::try_from(left.len()).unwrap(), right.len()),
            ]
            .concat();
            let boxes = [
                put(b"pitm", &[0, 0, 0, 0, 0, 1]),
                put(b"iinf", &[&[0, 0, 0, 0, 0, 4][..], &items].concat()),
                put(b"iref", &[&[0; 4][..], &references].concat()),
                put(b"iprp", &iprp),
                put(b"iloc", &locations),
                put(b"idat", &[0, 0, 0, 1, 0, 128, 0, 48]),
            ]
            .concat();
            put(b"meta", &[&[0; 4][..], &boxes].concat())
        };
        let len = meta(0).len();
        [meta(u32::try_from(len).unwrap()), left.to_vec(), right.to_vec()].concat()
    }

    fn read_bytes(bytes: &[u8]) -> Result<Picture, &'static str> {
        read(&mut Seekable::new(bytes), bytes.len() as u64, 1 << 20).unwrap()
    }

    #[test]
    fn tables_are_read() {
        let picture = read_bytes(&file()).unwrap();
        assert_eq!((picture.codec, picture.columns, picture.orientation), (Codec::Av1, 2, 6));
        assert_eq!(picture.size, Resolution { width: 128, height: 48 });
        assert_eq!((picture.channels, picture.bit_depth, picture.has_alpha), (Some(3), Some(10), true));
        assert_eq!(picture.coded, [b"\x12\0tile1", b"\x12\0tile2"]);
        let cut = &file()[..file().len() - 1];
        assert_eq!(read_bytes(cut).unwrap_err(), "its tables point behind its end");
    }

    #[test]
    fn what_is_read_is_bounded() {
        let read_of = |bytes: &[u8], most| {
            let picture = read(&mut Seekable::new(bytes), bytes.len() as u64, most).unwrap();
            picture.map(|picture| picture.size.width)
        };
        // The grid's own bytes and both tiles': items may name the same ones again and again.
        assert_eq!(read_of(&file(), 8 + 5 + 5), Ok(128));
        assert_eq!(read_of(&file(), 8 + 5 + 4), Err("its tables point behind its end"));
        let cut = |boxes| {
            let file = [put(b"free", &[]).repeat(boxes), put(b"meta", &[0; 4])].concat();
            read_of(&file[..file.len() - 1], 0)
        };
        assert_eq!(
            (cut(MAX_BOXES - 1), cut(MAX_BOXES)),
            (Err("its tables are cut"), Err("no tables of items"))
        );
        let padded = |more: usize| {
            let file = file();
            let (meta, media) = file.split_at(file.len() - 10);
            let padding = put(b"free", &vec![0; more - 8]);
            read_of(&[&put(b"meta", &[&meta[8..], &padding].concat()), media].concat(), u64::MAX)
        };
        let rest = usize::try_from(MAX_TABLES).unwrap() - (file().len() - 10 - 8);
        assert_eq!((padded(rest), padded(rest + 1)), (Ok(128), Err("no tables of items")));
    }

    #[expect(clippy::disallowed_methods, reason = "tests make their own files")]
    fn coded(color: &str, size: &str) -> Vec<u8> {
        let source = format!("color={color}:size={size}");
        let output = std::process::Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", &source, "-frames:v", "1"])
            .args(["-c:v", "libaom-av1", "-cpu-used", "8", "-pix_fmt", "yuv420p", "-f", "obu", "pipe:1"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // An item has no delimiter.
        output.stdout[2..].to_vec()
    }

    #[tokio::test]
    async fn tiles_become_one_picture() {
        let folder = tempfile::tempdir().unwrap();
        let (source, out) = (folder.path().join("grid.avif"), folder.path().join("out.jpg"));
        let file = file_of(&coded("red", "64x48"), &coded("blue", "64x48"));
        std::fs::write(&source, file).unwrap();
        let media = Media::start(Config::default()).await.unwrap();
        let sniffed = Sniffed::Media { kind: MediaKind::Image, mime: "image/avif" };
        let facts = media.examine(&source, sniffed).await.unwrap();
        media.thumbnail(&source, facts.kind, &facts.technical, &out).await.unwrap();
        let image = image::open(&out).unwrap().into_rgb8();
        // Turned a quarter clockwise, what was left is above.
        assert_eq!(image.dimensions(), (48, 128));
        let (above, below) = (image.get_pixel(24, 30).0, image.get_pixel(24, 100).0);
        assert!(above[0] > 200 && above[2] < 60 && below[2] > 200 && below[0] < 60, "{above:?} {below:?}");
    }

    #[test]
    fn tiles_shrink_without_seams() {
        let size = |width, height| Resolution { width, height };
        // A phone's: 4032x3024 in tiles of 512.
        let (factor, tile) = shrunk(size(512, 512), size(4032, 3024), size(640, 480));
        assert_eq!((factor, tile), (4, size(128, 128)));
        assert_eq!(shrunk(size(500, 500), size(4000, 3000), size(640, 480)).0, 4);
        assert_eq!(shrunk(size(511, 511), size(4032, 3024), size(640, 480)).0, 1);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut file = file();
            for (at, byte) in changes {
                let at = at.index(file.len());
                file[at] = byte;
            }
            file.truncate(cut.index(file.len() + 1));
            let _ = read_bytes(&file);
        }
    }
}
