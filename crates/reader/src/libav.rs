//! A thin safe layer over libav: what the media process needs of it and nothing else. The one place of this program that is
//! not checked by the compiler; whatever goes wrong here goes wrong in a jailed child that knows one file.

#![expect(unsafe_code, reason = "libav is C; each call keeps to what its header asks for")]

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    marker::PhantomData,
    ptr,
};

use ffmpeg_sys_next as sys;
use reelhouse_api::Resolution;
use reelhouse_media::process;

/// A file that has more tracks is none that can be read.
const MAX_TRACKS: &str = "1000";
/// Bytes that are read at once.
const BLOCK: usize = 32 << 10;
/// `SWS_BICUBIC`: before FFmpeg 8 a number, since then of an enum.
const BICUBIC: c_int = 4;

// Numbers of colours and formats come from files: as Rust's enums they could hold what those must not.
unsafe extern "C" {
    fn av_get_pix_fmt_name(format: c_int) -> *const c_char;
    fn av_pix_fmt_desc_get(format: c_int) -> *const sys::AVPixFmtDescriptor;
    fn av_color_range_name(range: c_int) -> *const c_char;
    fn av_color_space_name(space: c_int) -> *const c_char;
    fn av_color_transfer_name(transfer: c_int) -> *const c_char;
    fn av_color_primaries_name(primaries: c_int) -> *const c_char;
    fn sws_getCachedContext(
        context: *mut sys::SwsContext,
        width: c_int,
        height: c_int,
        format: c_int,
        to_width: c_int,
        to_height: c_int,
        to_format: c_int,
        flags: c_int,
        from_filter: *mut c_void,
        to_filter: *mut c_void,
        parameters: *const f64,
    ) -> *mut sys::SwsContext;
}

/// What libav says of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Error(c_int);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = [0u8; 128];
        // SAFETY: the buffer is as long as is said, and gets a final zero.
        unsafe { sys::av_strerror(self.0, text.as_mut_ptr().cast(), text.len()) };
        f.write_str(CStr::from_bytes_until_nul(&text).unwrap_or_default().to_string_lossy().as_ref())
    }
}

impl Error {
    pub(crate) const NO_TRACK: Self = Self(sys::AVERROR_STREAM_NOT_FOUND);
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

fn checked(code: c_int) -> Result<c_int> {
    if code < 0 { Err(Error(code)) } else { Ok(code) }
}

/// For allocations, which fail by being null.
fn allocated<T>(pointer: *mut T) -> Result<*mut T> {
    if pointer.is_null() { Err(Error(sys::AVERROR(sys::ENOMEM))) } else { Ok(pointer) }
}

fn text(pointer: *const c_char) -> Option<String> {
    // SAFETY: libav's names are constants that end with a zero.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}

/// Nobody reads what libav would print.
pub(crate) fn be_quiet() {
    // SAFETY: sets a number.
    unsafe { sys::av_log_set_level(sys::AV_LOG_QUIET) };
}

/// Has tables made that decoders share, once instead of in each child. No file is read.
pub(crate) fn warm_up() {
    use sys::AVCodecID::*;
    for id in [
        AV_CODEC_ID_H264,
        AV_CODEC_ID_HEVC,
        AV_CODEC_ID_VP9,
        AV_CODEC_ID_MPEG4,
        AV_CODEC_ID_MPEG2VIDEO,
        AV_CODEC_ID_AAC,
        AV_CODEC_ID_MP3,
        AV_CODEC_ID_OPUS,
        AV_CODEC_ID_VORBIS,
        AV_CODEC_ID_AC3,
    ] {
        // Without parameters some do not open; their tables are made before they notice.
        drop(Decoder::open(id, |_| Ok(())));
    }
}

/// Its version, for people.
pub(crate) fn version() -> String {
    // SAFETY: returns a constant.
    text(unsafe { sys::av_version_info() }).unwrap_or_default()
}

/// A fraction as libav has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ratio {
    pub(crate) num: c_int,
    pub(crate) den: c_int,
}

impl Ratio {
    fn of(ratio: sys::AVRational) -> Self {
        Self { num: ratio.num, den: ratio.den }
    }

    /// Seconds of so many ticks.
    fn seconds(self, ticks: i64) -> Option<f64> {
        (ticks != sys::AV_NOPTS_VALUE && self.den != 0)
            .then(|| ticks as f64 * f64::from(self.num) / f64::from(self.den))
    }
}

/// Microseconds as libav counts them, in seconds.
fn of_microseconds(time: i64) -> Option<f64> {
    Ratio { num: 1, den: sys::AV_TIME_BASE }.seconds(time)
}

/// Where bytes come from.
struct Source {
    file: process::Input,
    len: u64,
    at: u64,
}

unsafe extern "C" fn read_source(source: *mut c_void, buffer: *mut u8, len: c_int) -> c_int {
    // SAFETY: the pointer is the one that was given with this function, and lives as long as its context.
    let source = unsafe { &mut *source.cast::<Source>() };
    // SAFETY: libav gives a buffer of so many bytes.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer, usize::try_from(len).unwrap_or(0)) };
    match source.file.read_at(buffer, source.at) {
        Ok(0) => sys::AVERROR_EOF,
        Ok(read) => {
            source.at += read as u64;
            c_int::try_from(read).unwrap_or(c_int::MAX)
        }
        Err(error) => sys::AVERROR(error.raw_os_error().unwrap_or(sys::EIO)),
    }
}

unsafe extern "C" fn seek_source(source: *mut c_void, offset: i64, whence: c_int) -> i64 {
    // SAFETY: as above.
    let source = unsafe { &mut *source.cast::<Source>() };
    let from = match whence {
        sys::AVSEEK_SIZE => return source.len as i64,
        0 => 0,
        1 => source.at,
        2 => source.len,
        _ => return i64::from(sys::AVERROR(sys::EINVAL)),
    };
    match from.checked_add_signed(offset) {
        Some(at) => {
            source.at = at;
            i64::try_from(at).unwrap_or(i64::MAX)
        }
        None => i64::from(sys::AVERROR(sys::EINVAL)),
    }
}

/// No file leads to another.
unsafe extern "C" fn open_nothing(
    _: *mut sys::AVFormatContext,
    _: *mut *mut sys::AVIOContext,
    _: *const c_char,
    _: c_int,
    _: *mut *mut sys::AVDictionary,
) -> c_int {
    sys::AVERROR(sys::EPERM)
}

/// Options, as libav takes them.
struct Options(*mut sys::AVDictionary);

impl Options {
    fn of(pairs: &[(&CStr, &str)]) -> Self {
        let mut options = Self(ptr::null_mut());
        for (name, value) in pairs {
            if let Ok(value) = CString::new(*value) {
                // SAFETY: both are copied.
                unsafe { sys::av_dict_set(&raw mut options.0, name.as_ptr(), value.as_ptr(), 0) };
            }
        }
        options
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: ours; null is fine.
        unsafe { sys::av_dict_free(&raw mut self.0) };
    }
}

/// An opened file.
pub(crate) struct Input {
    context: *mut sys::AVFormatContext,
    io: *mut sys::AVIOContext,
    source: *mut Source,
}

impl Input {
    /// Opens a file with one of the demuxers named. What its headers do not say is not known yet.
    pub(crate) fn open(file: process::Input, demuxers: &str) -> Result<Self> {
        let len =
            file.size().map_err(|error| Error(sys::AVERROR(error.raw_os_error().unwrap_or(sys::EIO))))?;
        // SAFETY: each thing is allocated, checked, and belongs to `input`, which frees it; a context that cannot be
        // opened is freed and nulled by libav.
        unsafe {
            let source = Box::into_raw(Box::new(Source { file, len, at: 0 }));
            let mut input = Self { context: ptr::null_mut(), io: ptr::null_mut(), source };
            let buffer = allocated(sys::av_malloc(BLOCK))?;
            let io = sys::avio_alloc_context(
                buffer.cast(),
                BLOCK as c_int,
                0,
                source.cast(),
                Some(read_source),
                None,
                Some(seek_source),
            );
            if io.is_null() {
                sys::av_free(buffer);
            }
            input.io = allocated(io)?;
            input.context = allocated(sys::avformat_alloc_context())?;
            (*input.context).pb = input.io;
            (*input.context).io_open = Some(open_nothing);
            let mut options = Options::of(&[
                (c"format_whitelist", demuxers),
                (c"protocol_whitelist", "none"),
                (c"max_streams", MAX_TRACKS),
            ]);
            checked(sys::avformat_open_input(
                &raw mut input.context,
                ptr::null(),
                ptr::null(),
                &raw mut options.0,
            ))?;
            Ok(input)
        }
    }

    /// Reads and decodes as much as it takes to know all tracks. The pixels do not matter, and are not worked out.
    pub(crate) fn find_tracks(&mut self) -> Result<()> {
        let tracks = self.context().nb_streams as usize;
        let quick = || Options::of(&[(c"skip_loop_filter", "all"), (c"skip_idct", "all")]);
        let mut options: Vec<Options> = (0..tracks).map(|_| quick()).collect();
        let mut pointers: Vec<*mut sys::AVDictionary> = options.iter().map(|options| options.0).collect();
        // SAFETY: opened; one dictionary for each track there is, which libav may replace.
        let code = unsafe { sys::avformat_find_stream_info(self.context, pointers.as_mut_ptr()) };
        for (options, pointer) in options.iter_mut().zip(pointers) {
            options.0 = pointer;
        }
        checked(code).map(drop)
    }

    fn context(&self) -> &sys::AVFormatContext {
        // SAFETY: opened, and only ever changed through `&mut self`.
        unsafe { &*self.context }
    }

    /// Name of the demuxer.
    pub(crate) fn format(&self) -> String {
        // SAFETY: an opened context has a demuxer.
        text(unsafe { (*self.context().iformat).name }).unwrap_or_default()
    }

    pub(crate) fn start(&self) -> Option<f64> {
        of_microseconds(self.context().start_time)
    }

    pub(crate) fn seconds(&self) -> Option<f64> {
        of_microseconds(self.context().duration)
    }

    pub(crate) fn bit_rate(&self) -> i64 {
        self.context().bit_rate
    }

    /// A tag of the whole file.
    pub(crate) fn tag(&self, name: &CStr) -> Option<String> {
        tag(self.context().metadata, name)
    }

    pub(crate) fn tracks(&self) -> impl Iterator<Item = Track<'_>> {
        (0..self.context().nb_streams as usize).map(|index| Track {
            // SAFETY: libav keeps so many, each with parameters.
            stream: unsafe { *self.context().streams.add(index) },
            input: self.context,
            _of: PhantomData,
        })
    }

    pub(crate) fn track(&self, index: u32) -> Option<Track<'_>> {
        self.tracks().nth(index as usize)
    }

    /// From here on, packets of other tracks are not read; of this one, perhaps keyframes only.
    pub(crate) fn only(&mut self, index: u32, keyframes: bool) {
        for track in self.tracks() {
            let discard = if track.index() != index {
                sys::AVDiscard::AVDISCARD_ALL
            } else if keyframes {
                sys::AVDiscard::AVDISCARD_NONKEY
            } else {
                sys::AVDiscard::AVDISCARD_DEFAULT
            };
            // SAFETY: ours, and meant to be set by callers.
            unsafe { (*track.stream).discard = discard };
        }
    }

    /// To the keyframe before a moment in seconds, or, with `or_after`, the one nearest to it.
    pub(crate) fn seek(&mut self, seconds: f64, or_after: bool) -> Result<()> {
        let time = (seconds * f64::from(sys::AV_TIME_BASE)) as i64;
        let last = if or_after { i64::MAX } else { time };
        // SAFETY: opened.
        checked(unsafe { sys::avformat_seek_file(self.context, -1, i64::MIN, time, last, 0) }).map(drop)
    }

    /// The next packet; false at the end.
    pub(crate) fn read(&mut self, packet: &mut Packet) -> Result<bool> {
        // SAFETY: both are ours; the packet lets go of what it held.
        unsafe {
            sys::av_packet_unref(packet.0);
            match sys::av_read_frame(self.context, packet.0) {
                sys::AVERROR_EOF => Ok(false),
                code => checked(code).map(|_| true),
            }
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // SAFETY: ours, each once; libav frees neither what it was given to read with, nor the buffer it may have replaced.
        unsafe {
            sys::avformat_close_input(&raw mut self.context);
            if !self.io.is_null() {
                sys::av_freep((&raw mut (*self.io).buffer).cast());
                sys::avio_context_free(&raw mut self.io);
            }
            drop(Box::from_raw(self.source));
        }
    }
}

fn tag(tags: *const sys::AVDictionary, name: &CStr) -> Option<String> {
    // SAFETY: a dictionary of libav, or null; what is found lives as long as it.
    unsafe {
        let entry = sys::av_dict_get(tags, name.as_ptr(), ptr::null(), 0);
        if entry.is_null() { None } else { text((*entry).value) }
    }
}

/// One track of an opened file.
pub(crate) struct Track<'a> {
    stream: *mut sys::AVStream,
    input: *mut sys::AVFormatContext,
    _of: PhantomData<&'a Input>,
}

/// What a track holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Video,
    Audio,
    Other,
}

impl Track<'_> {
    fn stream(&self) -> &sys::AVStream {
        // SAFETY: lives as long as its file.
        unsafe { &*self.stream }
    }

    fn parameters(&self) -> &sys::AVCodecParameters {
        // SAFETY: every track has some.
        unsafe { &*self.stream().codecpar }
    }

    pub(crate) fn index(&self) -> u32 {
        u32::try_from(self.stream().index).unwrap_or_default()
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.parameters().codec_type {
            sys::AVMediaType::AVMEDIA_TYPE_VIDEO => Kind::Video,
            sys::AVMediaType::AVMEDIA_TYPE_AUDIO => Kind::Audio,
            _ => Kind::Other,
        }
    }

    /// Short and long name of the codec.
    pub(crate) fn codec(&self) -> Option<(String, Option<String>)> {
        // SAFETY: returns a constant, or null.
        let descriptor = unsafe { sys::avcodec_descriptor_get(self.parameters().codec_id).as_ref() }?;
        Some((text(descriptor.name)?, text(descriptor.long_name)))
    }

    pub(crate) fn size(&self) -> (i64, i64) {
        (self.parameters().width.into(), self.parameters().height.into())
    }

    /// Whether its headers say enough to decode it.
    pub(crate) fn is_clear(&self) -> bool {
        let (width, height) = self.size();
        width > 0
            && height > 0
            && (self.parameters().extradata_size > 0
                || self.codec().is_some_and(|(name, _)| {
                    matches!(name.as_str(), "vp8" | "vp9" | "mjpeg" | "png" | "prores" | "dvvideo")
                }))
    }

    /// Width by height of a pixel, where it is said.
    pub(crate) fn pixel_aspect(&self) -> Option<Ratio> {
        // SAFETY: without a frame, what the container and the codec say counts.
        let ratio = unsafe { sys::av_guess_sample_aspect_ratio(self.input, self.stream, ptr::null_mut()) };
        Some(Ratio::of(ratio)).filter(|ratio| ratio.num != 0)
    }

    /// Width by height of the whole picture, given its pixels'.
    pub(crate) fn picture_aspect(&self, pixel: Ratio) -> Ratio {
        let (width, height) = self.size();
        let (mut num, mut den) = (0, 0);
        // SAFETY: writes two numbers.
        unsafe {
            sys::av_reduce(
                &raw mut num,
                &raw mut den,
                width * i64::from(pixel.num),
                height * i64::from(pixel.den),
                1 << 20,
            );
        }
        Ratio { num, den }
    }

    pub(crate) fn pixel_format(&self) -> Option<String> {
        // SAFETY: takes any number; returns a constant, or null.
        text(unsafe { av_get_pix_fmt_name(self.parameters().format) })
    }

    pub(crate) fn field_order(&self) -> &'static str {
        match self.parameters().field_order as u32 {
            1 => "progressive",
            2 => "tt",
            3 => "bb",
            4 => "tb",
            5 => "bt",
            _ => "unknown",
        }
    }

    pub(crate) fn color_range(&self) -> Option<String> {
        // SAFETY: read as a number, for it may be any; the functions take any number.
        text(unsafe {
            av_color_range_name((&raw const self.parameters().color_range).cast::<c_int>().read())
        })
    }

    pub(crate) fn color_space(&self) -> Option<String> {
        // SAFETY: as above.
        text(unsafe {
            av_color_space_name((&raw const self.parameters().color_space).cast::<c_int>().read())
        })
    }

    pub(crate) fn color_transfer(&self) -> Option<String> {
        // SAFETY: as above.
        text(unsafe {
            av_color_transfer_name((&raw const self.parameters().color_trc).cast::<c_int>().read())
        })
    }

    pub(crate) fn color_primaries(&self) -> Option<String> {
        // SAFETY: as above.
        text(unsafe {
            av_color_primaries_name((&raw const self.parameters().color_primaries).cast::<c_int>().read())
        })
    }

    /// Frames a second of the grid that its times stand on.
    pub(crate) fn base_rate(&self) -> Ratio {
        Ratio::of(self.stream().r_frame_rate)
    }

    pub(crate) fn average_rate(&self) -> Ratio {
        Ratio::of(self.stream().avg_frame_rate)
    }

    pub(crate) fn start(&self) -> Option<f64> {
        Ratio::of(self.stream().time_base).seconds(self.stream().start_time)
    }

    pub(crate) fn seconds(&self) -> Option<f64> {
        Ratio::of(self.stream().time_base).seconds(self.stream().duration)
    }

    pub(crate) fn bit_rate(&self) -> i64 {
        self.parameters().bit_rate
    }

    pub(crate) fn frame_count(&self) -> i64 {
        self.stream().nb_frames
    }

    pub(crate) fn raw_bits(&self) -> i64 {
        self.parameters().bits_per_raw_sample.into()
    }

    /// Of codecs where it is fixed.
    pub(crate) fn bits_per_sample(&self) -> i64 {
        // SAFETY: a look into a table.
        unsafe { sys::av_get_bits_per_sample(self.parameters().codec_id) }.into()
    }

    pub(crate) fn sample_rate(&self) -> i64 {
        self.parameters().sample_rate.into()
    }

    pub(crate) fn channels(&self) -> i64 {
        self.parameters().ch_layout.nb_channels.into()
    }

    pub(crate) fn channel_layout(&self) -> Option<String> {
        let mut name = [0u8; 128];
        let layout = &self.parameters().ch_layout;
        if layout.order == sys::AVChannelOrder::AV_CHANNEL_ORDER_UNSPEC {
            return None;
        }
        // SAFETY: the buffer is as long as is said.
        let len = unsafe { sys::av_channel_layout_describe(layout, name.as_mut_ptr().cast(), name.len()) };
        checked(len).ok()?;
        Some(CStr::from_bytes_until_nul(&name).ok()?.to_string_lossy().into_owned())
    }

    pub(crate) fn is_default(&self) -> bool {
        self.stream().disposition & sys::AV_DISPOSITION_DEFAULT != 0
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.stream().disposition & sys::AV_DISPOSITION_ATTACHED_PIC != 0
    }

    pub(crate) fn tag(&self, name: &CStr) -> Option<String> {
        tag(self.stream().metadata, name)
    }

    /// What the container says of this kind beside the track, and how many bytes of it.
    #[cfg(side_data_of_parameters)]
    fn side_data(&self, kind: sys::AVPacketSideDataType) -> (*const u8, usize) {
        let parameters = self.parameters();
        // SAFETY: as many as the parameters say; one that is found is alive as long as they are.
        unsafe {
            let found =
                sys::av_packet_side_data_get(parameters.coded_side_data, parameters.nb_coded_side_data, kind);
            found.as_ref().map_or((std::ptr::null(), 0), |found| (found.data.cast_const(), found.size))
        }
    }

    /// The same, of an FFmpeg before 6.1.
    #[cfg(not(side_data_of_parameters))]
    fn side_data(&self, kind: sys::AVPacketSideDataType) -> (*const u8, usize) {
        let mut len = 0;
        // SAFETY: a track that is open.
        let found = unsafe { sys::av_stream_get_side_data(self.stream, kind, &raw mut len) };
        (found.cast_const(), len)
    }

    /// Degrees by which the container turns the picture, counter-clockwise.
    pub(crate) fn rotation(&self) -> Option<f64> {
        let (matrix, len) = self.side_data(sys::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX);
        // SAFETY: a matrix of nine numbers, where there is one that long; libav aligns what it allocates.
        let degrees =
            unsafe { (!matrix.is_null() && len >= 36).then(|| sys::av_display_rotation_get(matrix.cast())) };
        degrees.filter(|degrees| degrees.is_finite())
    }

    /// A picture that the container keeps beside the tracks.
    pub(crate) fn attached(&self) -> Option<Vec<u8>> {
        let packet = &self.stream().attached_pic;
        let len = usize::try_from(packet.size).ok().filter(|len| *len > 0 && !packet.data.is_null())?;
        // SAFETY: a packet has as many bytes as it says.
        Some(unsafe { std::slice::from_raw_parts(packet.data, len) }.to_vec())
    }

    /// A decoder for it, on this thread alone.
    pub(crate) fn decoder(&self) -> Result<Decoder> {
        Decoder::open(self.parameters().codec_id, |context| {
            // SAFETY: parameters are copied.
            unsafe { checked(sys::avcodec_parameters_to_context(context, self.stream().codecpar))? };
            context.pkt_timebase = self.stream().time_base;
            Ok(())
        })
    }
}

/// Coded bytes.
pub(crate) struct Packet(*mut sys::AVPacket);

impl Packet {
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: checked.
        allocated(unsafe { sys::av_packet_alloc() }).map(Self)
    }

    /// One that holds these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self> {
        let packet = Self::new()?;
        let len = c_int::try_from(bytes.len()).map_err(|_| Error(sys::AVERROR(sys::ENOMEM)))?;
        // SAFETY: the packet gets a buffer of that length, and padding that libav sets to zero.
        unsafe {
            checked(sys::av_new_packet(packet.0, len))?;
            ptr::copy_nonoverlapping(bytes.as_ptr(), (*packet.0).data, bytes.len());
        }
        Ok(packet)
    }

    fn packet(&self) -> &sys::AVPacket {
        // SAFETY: allocated.
        unsafe { &*self.0 }
    }

    pub(crate) fn track(&self) -> u32 {
        u32::try_from(self.packet().stream_index).unwrap_or(u32::MAX)
    }

    pub(crate) fn is_key(&self) -> bool {
        self.packet().flags & sys::AV_PKT_FLAG_KEY != 0
    }

    /// Whether a part of it is missing.
    pub(crate) fn is_damaged(&self) -> bool {
        self.packet().flags & sys::AV_PKT_FLAG_CORRUPT != 0
    }

    pub(crate) fn shown(&self, track: &Track<'_>) -> Option<f64> {
        Ratio::of(track.stream().time_base).seconds(self.packet().pts)
    }

    pub(crate) fn decoded(&self, track: &Track<'_>) -> Option<f64> {
        Ratio::of(track.stream().time_base).seconds(self.packet().dts)
    }

    /// How long it is shown. libav counts what Ogg trims off a last packet in 32 bits without a sign: one that is trimmed by more
    /// than it has is shown for less than nothing, not for a day.
    pub(crate) fn seconds(&self, track: &Track<'_>) -> Option<f64> {
        let ticks = self.packet().duration;
        let signed = match u32::try_from(ticks) {
            Ok(ticks) if track.kind() == Kind::Audio => i64::from(ticks.cast_signed()),
            _ => ticks,
        };
        Ratio::of(track.stream().time_base).seconds(signed)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match usize::try_from(self.packet().size) {
            // SAFETY: a packet has as many bytes as it says.
            Ok(len) if !self.packet().data.is_null() => unsafe {
                std::slice::from_raw_parts(self.packet().data, len)
            },
            _ => &[],
        }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        // SAFETY: ours.
        unsafe { sys::av_packet_free(&raw mut self.0) };
    }
}

/// A decoder.
pub(crate) struct Decoder(*mut sys::AVCodecContext);

/// Codecs that are decoded without a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bare {
    Hevc,
    Av1,
    JpegXl,
    Jpeg2000,
    Tiff,
    Bmp,
}

impl Bare {
    fn id(self) -> sys::AVCodecID {
        match self {
            Self::Hevc => sys::AVCodecID::AV_CODEC_ID_HEVC,
            Self::Av1 => sys::AVCodecID::AV_CODEC_ID_AV1,
            Self::JpegXl => sys::AVCodecID::AV_CODEC_ID_JPEGXL,
            Self::Jpeg2000 => sys::AVCodecID::AV_CODEC_ID_JPEG2000,
            Self::Tiff => sys::AVCodecID::AV_CODEC_ID_TIFF,
            Self::Bmp => sys::AVCodecID::AV_CODEC_ID_BMP,
        }
    }
}

impl Decoder {
    /// For pictures that come without a container.
    pub(crate) fn bare(codec: Bare) -> Result<Self> {
        Self::open(codec.id(), |_| Ok(()))
    }

    /// The same, for what must be whole and within a bound.
    pub(crate) fn strict(codec: Bare, max_pixels: u64) -> Result<Self> {
        Self::open(codec.id(), |context| {
            context.max_pixels = i64::try_from(max_pixels).unwrap_or(i64::MAX);
            context.err_recognition = (sys::AV_EF_CRCCHECK | sys::AV_EF_BUFFER | sys::AV_EF_EXPLODE) as c_int;
            Ok(())
        })
    }

    fn open(id: sys::AVCodecID, set: impl FnOnce(&mut sys::AVCodecContext) -> Result<()>) -> Result<Self> {
        // SAFETY: the decoder is looked for, the context allocated, both checked.
        unsafe {
            let codec = sys::avcodec_find_decoder(id);
            if codec.is_null() {
                return Err(Error(sys::AVERROR_DECODER_NOT_FOUND));
            }
            let decoder = Self(allocated(sys::avcodec_alloc_context3(codec))?);
            set(&mut *decoder.0)?;
            (*decoder.0).thread_count = 1;
            let mut options = Options::of(&[(c"threads", "1")]);
            checked(sys::avcodec_open2(decoder.0, codec, &raw mut options.0))?;
            Ok(decoder)
        }
    }

    /// From here on, only keyframes are decoded.
    pub(crate) fn only_keyframes(&mut self) {
        // SAFETY: meant to be set by callers, at any time.
        unsafe { (*self.0).skip_frame = sys::AVDiscard::AVDISCARD_NONKEY };
    }

    /// From here on, pixels are not worked out: only whether it decodes is asked.
    pub(crate) fn only_try(&mut self) {
        // SAFETY: meant to be set by callers, at any time.
        unsafe {
            (*self.0).skip_loop_filter = sys::AVDiscard::AVDISCARD_ALL;
            (*self.0).skip_idct = sys::AVDiscard::AVDISCARD_ALL;
        }
    }

    /// Gives it a packet, or, with `None`, the end.
    pub(crate) fn send(&mut self, packet: Option<&Packet>) -> Result<()> {
        let packet = packet.map_or(ptr::null(), |packet| packet.0.cast_const());
        // SAFETY: the packet stays ours.
        checked(unsafe { sys::avcodec_send_packet(self.0, packet) }).map(drop)
    }

    /// The next frame; false when it needs more packets, or has none any more.
    pub(crate) fn receive(&mut self, frame: &mut Frame) -> Result<bool> {
        // SAFETY: the frame lets go of what it held.
        match unsafe { sys::avcodec_receive_frame(self.0, frame.0) } {
            code if code == sys::AVERROR_EOF || code == sys::AVERROR(sys::EAGAIN) => Ok(false),
            code => checked(code).map(|_| true),
        }
    }

    /// Forgets all it was given.
    pub(crate) fn start_over(&mut self) {
        // SAFETY: opened.
        unsafe { sys::avcodec_flush_buffers(self.0) };
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: ours.
        unsafe { sys::avcodec_free_context(&raw mut self.0) };
    }
}

/// A decoded picture, or a piece of sound.
pub(crate) struct Frame(*mut sys::AVFrame);

impl Frame {
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: checked.
        allocated(unsafe { sys::av_frame_alloc() }).map(Self)
    }

    fn frame(&self) -> &sys::AVFrame {
        // SAFETY: allocated.
        unsafe { &*self.0 }
    }

    /// Seconds at which it is shown.
    pub(crate) fn shown(&self, track: &Track<'_>) -> Option<f64> {
        Ratio::of(track.stream().time_base).seconds(self.frame().best_effort_timestamp)
    }

    /// As it lies.
    pub(crate) fn size(&self) -> Resolution {
        let side = |side: c_int| u32::try_from(side).unwrap_or(0);
        Resolution { width: side(self.frame().width), height: side(self.frame().height) }
    }

    /// Whether the decoder had to make something up.
    pub(crate) fn is_damaged(&self) -> bool {
        self.frame().decode_error_flags != 0 || self.frame().flags & sys::AV_FRAME_FLAG_CORRUPT as c_int != 0
    }

    /// Channels but for transparency, the bits of one, and whether there is transparency. Colours of a palette are opaque.
    pub(crate) fn channels(&self) -> Option<(u8, u8, bool)> {
        // SAFETY: a look into a table; what it does not know is null.
        let format = unsafe { av_pix_fmt_desc_get(self.frame().format).as_ref() }?;
        let has = |flag: c_int| format.flags & flag as u64 != 0;
        if has(sys::AV_PIX_FMT_FLAG_PAL as c_int) {
            return Some((3, 8, false));
        }
        let has_alpha = has(sys::AV_PIX_FMT_FLAG_ALPHA as c_int);
        let depth = u8::try_from(format.comp[0].depth).ok()?;
        Some((format.nb_components.saturating_sub(has_alpha.into()), depth, has_alpha))
    }

    /// The ICC profile that came with it.
    pub(crate) fn profile(&self) -> Option<Vec<u8>> {
        // SAFETY: side data belongs to the frame, and has as many bytes as it says.
        unsafe {
            let kind = sys::AVFrameSideDataType::AV_FRAME_DATA_ICC_PROFILE;
            let found = sys::av_frame_get_side_data(self.0, kind).as_ref()?;
            (!found.data.is_null()).then(|| std::slice::from_raw_parts(found.data, found.size).to_vec())
        }
    }

    /// Whether all values of a byte are used.
    pub(crate) fn is_full_range(&self) -> bool {
        // SAFETY: read as a number.
        let range = unsafe { (&raw const self.frame().color_range).cast::<c_int>().read() };
        range == sys::AVColorRange::AVCOL_RANGE_JPEG as c_int
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        // SAFETY: ours.
        unsafe { sys::av_frame_free(&raw mut self.0) };
    }
}

/// The matrix of a picture's colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Matrix {
    Bt709 = 1,
    Fcc = 4,
    Bt601 = 5,
    Smpte240 = 7,
    Bt2020 = 9,
}

/// What pixels become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pixels {
    /// Three bytes.
    Rgb,
    /// Four, the last for transparency.
    Rgba,
    /// Three numbers of 16 bits, in this machine's order.
    DeepRgb,
    /// One byte.
    Gray,
}

impl Pixels {
    fn format(self) -> c_int {
        let format = match self {
            Self::Rgb => sys::AVPixelFormat::AV_PIX_FMT_RGB24,
            Self::Rgba => sys::AVPixelFormat::AV_PIX_FMT_RGBA,
            Self::DeepRgb if cfg!(target_endian = "big") => sys::AVPixelFormat::AV_PIX_FMT_RGB48BE,
            Self::DeepRgb => sys::AVPixelFormat::AV_PIX_FMT_RGB48LE,
            Self::Gray => sys::AVPixelFormat::AV_PIX_FMT_GRAY8,
        };
        format as c_int
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Rgba => 4,
            Self::DeepRgb => 6,
            Self::Gray => 1,
        }
    }
}

/// How a picture is scaled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scaling {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) pixels: Pixels,
    pub(crate) matrix: Matrix,
    pub(crate) full_range: bool,
    /// Every second line is left out: the other half of an interlaced picture.
    pub(crate) half: bool,
}

/// Scales pictures; quicker when they are alike.
pub(crate) struct Scaler(*mut sys::SwsContext);

impl Scaler {
    pub(crate) fn new() -> Self {
        Self(ptr::null_mut())
    }

    /// A picture's pixels, row by row.
    pub(crate) fn scale(&mut self, frame: &Frame, how: &Scaling) -> Result<Vec<u8>> {
        let invalid = || Error(sys::AVERROR(sys::EINVAL));
        let frame = frame.frame();
        let (step, lines) =
            if how.half && frame.height > 1 { (2, frame.height / 2) } else { (1, frame.height) };
        let side = |side: u32| c_int::try_from(side).map_err(|_| invalid());
        let (width, height) = (side(how.width)?, side(how.height)?);
        let row = how.width as usize * how.pixels.bytes();
        // The scaler writes whole vectors, past the end of a row.
        let stride = row.next_multiple_of(64) + 64;
        let mut scaled = vec![0u8; stride * how.height as usize + 64];
        // SAFETY: the frame's planes belong to its format and size, which the context is made for; with every second line,
        // there are half as many. The target has room for each row and for what is written past it.
        unsafe {
            self.0 = sws_getCachedContext(
                self.0,
                frame.width,
                lines,
                frame.format,
                width,
                height,
                how.pixels.format(),
                BICUBIC,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null(),
            );
            let context = allocated(self.0)?;
            let (from, to) = (
                sys::sws_getCoefficients(how.matrix as c_int),
                sys::sws_getCoefficients(Matrix::Bt601 as c_int),
            );
            // What has no matrix refuses one.
            sys::sws_setColorspaceDetails(context, from, how.full_range.into(), to, 1, 0, 1 << 16, 1 << 16);
            let strides = frame.linesize.map(|stride| stride * step);
            let planes = frame.data.map(<*mut u8>::cast_const);
            let targets = [scaled.as_mut_ptr(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut()];
            let target_strides = [c_int::try_from(stride).map_err(|_| invalid())?, 0, 0, 0];
            checked(sys::sws_scale(
                context,
                planes.as_ptr(),
                strides.as_ptr(),
                0,
                lines,
                targets.as_ptr(),
                target_strides.as_ptr(),
            ))?;
        }
        Ok(scaled
            .chunks_exact(stride)
            .take(how.height as usize)
            .flat_map(|line| &line[..row])
            .copied()
            .collect())
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        // SAFETY: ours; null is fine.
        unsafe { sys::sws_freeContext(self.0) };
    }
}

/// Sound of any kind as one channel of 16-bit samples at a rate.
pub(crate) struct Mixer {
    context: *mut sys::SwrContext,
    mixed: Frame,
    rate: c_int,
}

impl Mixer {
    pub(crate) fn new(rate: u32) -> Result<Self> {
        let rate = c_int::try_from(rate).map_err(|_| Error(sys::AVERROR(sys::EINVAL)))?;
        // SAFETY: checked; it learns of its input with the first frame.
        Ok(Self { context: allocated(unsafe { sys::swr_alloc() })?, mixed: Frame::new()?, rate })
    }

    /// The samples that are ready once this frame, or with `None` the end, is known.
    pub(crate) fn mix(&mut self, frame: Option<&Frame>) -> Result<Vec<i16>> {
        let mixed = self.mixed.0;
        // SAFETY: the output's format is set before each call, and its buffer is made by libav to fit it.
        unsafe {
            sys::av_frame_unref(mixed);
            (*mixed).format = sys::AVSampleFormat::AV_SAMPLE_FMT_S16 as c_int;
            (*mixed).sample_rate = self.rate;
            sys::av_channel_layout_default(&raw mut (*mixed).ch_layout, 1);
            let input = frame.map_or(ptr::null_mut(), |frame| frame.0);
            if !input.is_null() && (*input).ch_layout.order == sys::AVChannelOrder::AV_CHANNEL_ORDER_UNSPEC {
                let channels = (*input).ch_layout.nb_channels;
                sys::av_channel_layout_default(&raw mut (*input).ch_layout, channels);
            }
            let code = sys::swr_convert_frame(self.context, mixed, input);
            if [sys::AVERROR_INPUT_CHANGED, sys::AVERROR_OUTPUT_CHANGED].contains(&code) {
                // Another kind of sound from here on.
                sys::swr_close(self.context);
                checked(sys::swr_convert_frame(self.context, mixed, input))?;
            } else {
                checked(code)?;
            }
            let len = usize::try_from((*mixed).nb_samples).unwrap_or(0);
            let samples = (*mixed).data[0].cast::<i16>();
            Ok(if samples.is_null() { Vec::new() } else { std::slice::from_raw_parts(samples, len).to_vec() })
        }
    }
}

impl Drop for Mixer {
    fn drop(&mut self) {
        // SAFETY: ours.
        unsafe { sys::swr_free(&raw mut self.context) };
    }
}
