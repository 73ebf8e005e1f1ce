//! Files as ffmpeg makes them, served as HLS and decoded again: the pictures must be the source's own, bit by bit and each
//! at its time.

#![expect(clippy::unwrap_used, reason = "in a test it is the assertion")]

use std::{
    fs,
    io::{self, Cursor, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use reelhouse_media::hls::{CopyCodec, Index, Reason, master_playlist};
use tempfile::TempDir;

#[expect(clippy::disallowed_methods, reason = "tests start the real tools")]
fn run(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A file made by ffmpeg, in a folder of its own.
struct Clip {
    folder: TempDir,
    path: PathBuf,
    /// What is taken besides H.264.
    copy: Vec<CopyCodec>,
}

const VIDEO: &str = "-f lavfi -i testsrc2=s=160x90:r=30:d=20";
const SOUND: &str = "-f lavfi -i sine=f=440:r=48000:d=20";
const X264: &str = "-c:v libx264 -preset veryfast -g 60 -pix_fmt yuv420p -threads 2";
const AAC: &str = "-c:a aac -b:a 128k -ac 2";

impl Clip {
    /// `args` are separated by blanks.
    fn make(name: &str, args: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none");
        Self { folder, path, copy: Vec::new() }.remade(name, args)
    }

    fn both(name: &str, args: &str) -> Self {
        Self::make(name, &format!("{VIDEO} {SOUND} {X264} {AAC} {args}"))
    }

    fn copied(mut self, codec: CopyCodec) -> Self {
        self.copy.push(codec);
        self
    }

    /// Made of what it was, which `args` call `SOURCE`.
    fn remade(mut self, name: &str, args: &str) -> Self {
        let source = self.path.to_str().unwrap();
        let path = self.folder.path().join(name);
        let args = args.split_whitespace().map(|arg| if arg == "SOURCE" { source } else { arg });
        let args: Vec<_> =
            ["-v", "error", "-y"].into_iter().chain(args).chain([path.to_str().unwrap()]).collect();
        run("ffmpeg", &args);
        self.path = path;
        self
    }

    fn index(&self) -> Result<Index, Reason> {
        let mut file = fs::File::open(&self.path).unwrap();
        let len = file.metadata().unwrap().len();
        Index::read(&mut file, len, &self.copy).unwrap()
    }

    fn refusal(&self) -> Reason {
        self.index().unwrap_err()
    }

    /// Everything written out, as a player would fetch it.
    fn served(&self) -> Served {
        let read = self.index().unwrap();
        let bytes = read.to_bytes();
        let index = Index::from_bytes(&bytes).unwrap();
        assert_eq!(index, read);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("master.m3u8"), master_playlist(&[("", &index)])).unwrap();
        self.write(&index, folder.path());
        let source_len = self.path.metadata().unwrap().len();
        Served { folder, index, index_len: bytes.len() as u64, source_len }
    }

    /// Writes what an index of it names, besides the multivariant playlist.
    fn write(&self, index: &Index, folder: &Path) {
        let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
        let mut source = fs::File::open(&self.path).unwrap();
        for rendition in 0..index.rendition_count() {
            let stem = if rendition == 0 { "main".to_owned() } else { format!("audio-{rendition}") };
            write(&format!("{stem}.m3u8"), index.media_playlist(rendition).unwrap().as_bytes());
            write(&format!("{stem}-init.mp4"), &index.init_segment(rendition).unwrap());
            for n in 0..index.segment_count(rendition).unwrap() {
                let segment = index.segment(rendition, n).unwrap();
                let mut bytes = segment.head.clone();
                for range in &segment.ranges {
                    source.seek(SeekFrom::Start(range.start)).unwrap();
                    (&mut source).take(range.end - range.start).read_to_end(&mut bytes).unwrap();
                }
                assert_eq!(bytes.len() as u64, segment.len());
                write(&format!("{stem}-{n}.m4s"), &bytes);
            }
        }
    }
}

struct Served {
    folder: TempDir,
    index: Index,
    index_len: u64,
    source_len: u64,
}

impl Served {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn master(&self) -> String {
        master_playlist(&[("", &self.index)])
    }

    fn playlist(&self) -> String {
        self.index.media_playlist(0).unwrap()
    }

    /// Seconds of the segments.
    fn lasting(&self, rendition: usize) -> Vec<f64> {
        let playlist = self.index.media_playlist(rendition).unwrap();
        let seconds = playlist.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
        seconds.map(|seconds| seconds.trim_end_matches(',').parse().unwrap()).collect()
    }
}

/// Hashes of the decoded pictures.
fn pictures(path: &Path) -> Vec<String> {
    pictures_of(path, "0:v:0")
}

fn pictures_of(path: &Path, stream: &str) -> Vec<String> {
    let path = path.to_str().unwrap();
    let args =
        ["-v", "warning", "-i", path, "-map", stream, "-fps_mode", "passthrough", "-f", "framemd5", "-"];
    let output = run("ffmpeg", &args);
    let lines = String::from_utf8(output.stdout).unwrap();
    let hashes = lines.lines().filter(|line| !line.starts_with('#'));
    hashes.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

/// When the frames of a stream are shown.
fn times(path: &Path, stream: &str) -> Vec<f64> {
    let path = path.to_str().unwrap();
    let args =
        ["-v", "error", "-select_streams", stream, "-show_entries", "frame=pts_time", "-of", "csv=p=0", path];
    let output = String::from_utf8(run("ffprobe", &args).stdout).unwrap();
    output.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect()
}

/// Samples of one channel.
fn heard(path: &Path, stream: &str) -> usize {
    let stream = format!("0:{stream}");
    let args = ["-v", "error", "-i", path.to_str().unwrap(), "-map", &stream, "-ac", "1", "-f", "s16le", "-"];
    run("ffmpeg", &args).stdout.len() / 2
}

/// Serves a clip, and sees that it is what it was.
fn check(clip: &Clip, sounds: usize) -> Served {
    let served = clip.served();
    let master = served.path("master.m3u8");
    let args = ["-v", "warning", "-i", master.to_str().unwrap(), "-map", "0", "-f", "null", "-"];
    let messages = run("ffmpeg", &args).stderr;
    assert_eq!(String::from_utf8_lossy(&messages), "", "{}", served.master());

    let mut video_start = (0.0, 0.0);
    if served.master().contains("RESOLUTION") {
        let (source, ours) = (pictures(&clip.path), pictures(&master));
        assert_eq!(source.len(), ours.len());
        assert_eq!(source, ours);
        let (source, ours) = (times(&clip.path, "v:0"), times(&master, "v:0"));
        assert_eq!(source.len(), ours.len());
        for (source, ours) in source.iter().zip(&ours) {
            assert!((source - ours).abs() < 0.002, "{source} became {ours}");
        }
        video_start = (source[0], ours[0]);
    }
    for sound in 0..sounds {
        let stream = format!("a:{sound}");
        let (source, ours) = (heard(&clip.path, &stream), heard(&master, &stream));
        assert!(source.abs_diff(ours) <= 1024, "{source} samples became {ours}");
        let (source, ours) = (times(&clip.path, &stream)[0], times(&master, &stream)[0]);
        let skew = (ours - video_start.1) - (source.max(0.0) - video_start.0);
        assert!(skew.abs() < 0.040, "sound is {skew} s late");
    }
    println!("index {} of {}", served.index_len, served.source_len);
    served
}

#[test]
fn index_at_the_end_and_at_the_beginning() {
    let clip = Clip::both("plain.mp4", "");
    let served = check(&clip, 1);
    assert_eq!(served.lasting(0), [6.0, 6.0, 6.0, 2.0]);
    let playlist = served.playlist();
    let head = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:0\n\
                #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"main-init.mp4\"\n\
                #EXTINF:6.000000,\nmain-0.m4s\n";
    assert!(playlist.starts_with(head), "{playlist}");
    assert!(playlist.ends_with("main-3.m4s\n#EXT-X-ENDLIST\n"));
    let master = served.master();
    assert!(master.contains("CODECS=\"avc1.640"), "{master}");
    assert!(master.contains(",mp4a.40.2\",RESOLUTION=160x90,FRAME-RATE=30.000\nmain.m3u8\n"), "{master}");
    // Both tracks in one piece, nearly.
    for n in 0..4 {
        assert!(served.index.segment(0, n).unwrap().ranges.len() <= 10);
    }
    assert_eq!(served.index.segment(0, 4), None);
    assert_eq!(served.index.segment(1, 0), None);

    let first = check(&clip.remade("first.mp4", "-i SOURCE -c copy -movflags +faststart"), 1);
    assert_eq!(first.master(), master);
    assert_eq!(first.playlist(), playlist);
}

#[test]
fn rates_that_are_no_whole_number() {
    let video = VIDEO.replace("r=30", "r=30000/1001");
    let served = check(&Clip::make("ntsc.mp4", &format!("{video} {SOUND} {X264} {AAC} -bf 3")), 1);
    assert!(served.master().contains("FRAME-RATE=29.970"));
    assert!(served.playlist().contains("TARGETDURATION:7\n"));
    assert!(served.playlist().contains("#EXTINF:6.006000,\n"));
}

#[test]
fn variable_frame_rate() {
    let drop = "-vf select=not(mod(n\\,3))+gt(mod(n\\,7)\\,4) -fps_mode vfr";
    check(&Clip::both("vfr.mp4", drop), 1);
}

#[test]
fn fragments() {
    let remade = "-i SOURCE -c copy -movflags +frag_keyframe+empty_moov+default_base_moof";
    check(&Clip::both("plain.mp4", "").remade("fragments.mp4", remade), 1);
    check(&Clip::both("short.mp4", "-movflags +frag_keyframe -frag_duration 1500000"), 1);
    check(&Clip::both("delayed.mp4", "-movflags +frag_keyframe+empty_moov+delay_moov+omit_tfhd_offset"), 1);
}

#[test]
fn negative_composition_offsets() {
    check(&Clip::both("negative.mp4", "-movflags +negative_cts_offsets"), 1);
}

#[test]
fn trims_at_whole_groups() {
    let clip = Clip::both("whole.mp4", "-bf 0").remade("late.mp4", "-ss 4 -i SOURCE -c copy");
    check(&clip, 1);
    let clip = Clip::both("whole.mp4", "").remade("early.mp4", "-t 9 -i SOURCE -c copy");
    check(&clip, 1);
}

#[test]
fn pictures_are_upright() {
    let turned = "-i SOURCE -c copy -metadata:s:v rotate=90";
    let served = check(&Clip::both("lying.mp4", "").remade("turned.mov", turned), 1);
    assert!(served.master().contains("RESOLUTION=90x160"), "{}", served.master());
}

#[test]
fn pixels_that_are_not_square() {
    let served = check(&Clip::both("wide.mp4", "-vf setsar=4/3"), 1);
    assert!(served.master().contains("RESOLUTION=213x90"));
}

#[test]
fn quicktime() {
    check(&Clip::both("plain.mov", ""), 1);
    check(&Clip::both("first.mov", "-movflags +faststart -bf 0"), 1);
}

#[test]
fn video_alone() {
    let served = check(&Clip::make("silent.mp4", &format!("{VIDEO} {X264}")), 0);
    assert!(!served.master().contains("mp4a"));
    assert_eq!(served.index.rendition_count(), 1);
}

#[test]
fn sound_alone() {
    let served = check(&Clip::make("sound.m4a", &format!("{SOUND} {AAC}")), 1);
    assert!(served.master().contains("CODECS=\"mp4a.40.2\"\n"));
    let lasting = served.lasting(0);
    assert_eq!(lasting.len(), 4);
    assert!(lasting[..3].iter().all(|seconds| (seconds - 6.0).abs() < 0.04), "{lasting:?}");
    assert!((lasting.iter().sum::<f64>() - 20.0).abs() < 0.04);
}

#[test]
fn two_sounds() {
    let other = "-f lavfi -i sine=f=880:r=44100:d=20";
    let maps = "-map 0:v -map 1:a -map 2:a -metadata:s:a:0 language=ger -metadata:s:a:1 language=eng";
    let served = check(&Clip::make("two.mp4", &format!("{VIDEO} {SOUND} {other} {maps} {X264} {AAC}")), 2);
    assert_eq!(served.index.rendition_count(), 3);
    let master = served.master();
    let sound = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=";
    let german = "\"de\",LANGUAGE=\"de\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"audio-1.m3u8\"\n";
    let english = "\"en\",LANGUAGE=\"en\",DEFAULT=NO,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"audio-2.m3u8\"\n";
    assert!(master.contains(&[sound, german, sound, english].concat()), "{master}");
    assert!(master.contains(",AUDIO=\"audio\"\nmain.m3u8"), "{master}");
    for rendition in 0..3 {
        assert_eq!(served.lasting(rendition).len(), 4);
    }
}

#[test]
fn two_sounds_alone() {
    let other = SOUND.replace("440", "880");
    let served = check(&Clip::make("two.m4a", &format!("{SOUND} {other} -map 0 -map 1 {AAC}")), 2);
    let master = served.master();
    assert!(master.contains("NAME=\"Audio 1\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"main.m3u8\""));
    assert!(
        master.contains("NAME=\"Audio 2\",DEFAULT=NO,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"audio-1.m3u8\"")
    );
    let other = SOUND.replace("48000", "44100");
    let clip = Clip::make("two.m4a", &format!("{SOUND} {other} -map 0 -map 1 {AAC}"));
    assert_eq!(clip.refusal(), Reason::SeveralSounds);
}

#[test]
fn tracks_that_begin_apart() {
    check(&Clip::make("sound.mp4", &format!("{VIDEO} -itsoffset 1.5 {SOUND} {X264} {AAC}")), 1);
    check(&Clip::make("video.mp4", &format!("-itsoffset 1.5 {VIDEO} {SOUND} {X264} {AAC}")), 1);
}

#[test]
fn tracks_that_end_apart() {
    let ending = |video: &str, sound: &str| {
        let (video, sound) = (VIDEO.replace("d=20", video), SOUND.replace("d=20", sound));
        Clip::make("apart.mp4", &format!("{video} {sound} {X264} {AAC}"))
    };
    let lasting = check(&ending("d=10", "d=24"), 1).lasting(0);
    assert!(lasting[0] == 6.0 && (lasting[1] - 18.0).abs() < 0.05, "{lasting:?}");
    assert_eq!(check(&ending("d=20", "d=7"), 1).lasting(0), [6.0, 14.0]);
    assert_eq!(ending("d=10", "d=40").refusal(), Reason::TracksEndApart);
    assert_eq!(ending("d=40", "d=10").refusal(), Reason::TracksEndApart);
}

#[test]
fn few_places_to_cut_and_many() {
    let every = |pictures: u32, seconds: &str| {
        let video = VIDEO.replace("d=20", seconds);
        let group = format!("-g {pictures} -keyint_min {pictures} -sc_threshold 0");
        Clip::make("cut.mp4", &format!("{video} -c:v libx264 -preset ultrafast -pix_fmt yuv420p {group}"))
    };
    assert_eq!(check(&every(300, "d=25"), 0).lasting(0), [10.0, 10.0, 5.0]);
    assert_eq!(every(9999, "d=25").refusal(), Reason::SegmentTooLong);
    assert_eq!(check(&every(1, "d=10"), 0).lasting(0), [6.0, 4.0]);
    // What is left behind the last keyframe is no segment of its own, if it is short.
    assert_eq!(check(&every(60, "d=12.1"), 0).lasting(0), [6.0, 6.1]);
    assert_eq!(check(&every(60, "d=13.1"), 0).lasting(0), [6.0, 6.0, 1.1]);
}

const X265: &str = "-c:v libx265 -preset ultrafast -threads 2 -tag:v hvc1 -x265-params";
const CLOSED: &str = "log-level=none:keyint=60:min-keyint=60:scenecut=0:open-gop=0:bframes=3";
const SVT_AV1: &str = "-c:v libsvtav1 -preset 12 -g 60";
const HDR10: &str = "-pix_fmt yuv420p10le -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc";

#[test]
fn hevc_that_is_copied() {
    let clip = Clip::make("hevc.mp4", &format!("{VIDEO} {SOUND} {X265} {CLOSED} -pix_fmt yuv420p {AAC}"));
    assert_eq!(clip.refusal(), Reason::VideoCodec("hvc1".to_owned()));
    let served = check(&clip.copied(CopyCodec::Hevc), 1);
    assert_eq!(served.lasting(0), [6.0, 6.0, 6.0, 2.0]);
    let master = served.master();
    assert!(master.contains("CODECS=\"hvc1.1.6.L30.90,mp4a.40.2\",RESOLUTION=160x90"), "{master}");
    assert!(!master.contains("VIDEO-RANGE"), "{master}");
}

#[test]
fn hevc_in_other_containers() {
    let clip = Clip::make("hevc.mov", &format!("{VIDEO} {SOUND} {X265} {CLOSED} -pix_fmt yuv420p {AAC}"))
        .copied(CopyCodec::Hevc);
    check(&clip, 1);
    let fragments = "-i SOURCE -c copy -tag:v hvc1 -movflags +frag_keyframe+empty_moov+default_base_moof";
    check(&clip.remade("fragments.mp4", fragments), 1);
}

#[test]
fn hevc_of_high_dynamic_range() {
    let params = "hdr10=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc";
    let args = format!("{VIDEO} {SOUND} {X265} {CLOSED}:{params} {HDR10} {AAC}");
    for more in ["", "-movflags -write_colr"] {
        let clip = Clip::make("hdr.mp4", &format!("{args} {more}")).copied(CopyCodec::Hevc);
        let served = check(&clip, 1);
        let master = served.master();
        assert!(master.contains("CODECS=\"hvc1.2.4.L30.90,"), "{master}");
        assert!(master.contains(",VIDEO-RANGE=PQ\n"), "{master}");
    }
}

#[test]
fn hevc_whose_parameters_are_among_the_pictures() {
    let args = format!("{VIDEO} {X265} {CLOSED}:repeat-headers=1 -pix_fmt yuv420p -tag:v hev1");
    let clip = Clip::make("hev1.mp4", &args).copied(CopyCodec::Hevc);
    // They are those of the sample entry.
    let served = check(&clip, 0);
    let init = served.index.init_segment(0).unwrap();
    let has = |name: &[u8]| init.windows(4).any(|found| found == name);
    assert!(has(b"hvc1") && !has(b"hev1"));
    // Others than it has.
    let mut bytes = fs::read(&clip.path).unwrap();
    let at = bytes.windows(4).rposition(|found| found == b"hvcC").unwrap();
    bytes[at + 4 + 23 + 5 + 8] ^= 1;
    let read = Index::read(&mut Cursor::new(&bytes), bytes.len() as u64, &[CopyCodec::Hevc]);
    assert_eq!(read.unwrap().unwrap_err(), Reason::InBandParameters);
}

#[test]
fn hevc_of_open_groups() {
    let open = "log-level=none:keyint=60:min-keyint=60:scenecut=0:bframes=3";
    let args = format!("{VIDEO} {} {open} -pix_fmt yuv420p", X265.replace("ultrafast", "veryfast"));
    let clip = Clip::make("open.mp4", &args).copied(CopyCodec::Hevc);
    assert_eq!(clip.refusal(), Reason::OpenGop);
}

#[test]
fn uncommon_hevc_is_not_copied() {
    let args = format!("{VIDEO} {X265} log-level=none -pix_fmt yuv444p");
    let clip = Clip::make("uncommon.mp4", &args.replace("d=20", "d=2")).copied(CopyCodec::Hevc);
    assert_eq!(clip.refusal(), Reason::NotCommonVideo(CopyCodec::Hevc));
}

#[test]
fn av1_that_is_copied() {
    let clip = Clip::make("av1.mp4", &format!("{VIDEO} {SOUND} {SVT_AV1} -pix_fmt yuv420p {AAC}"));
    assert_eq!(clip.refusal(), Reason::VideoCodec("av01".to_owned()));
    let served = check(&clip.copied(CopyCodec::Av1), 1);
    let lasting = served.lasting(0);
    assert_eq!(lasting.len(), 4, "{lasting:?}");
    let master = served.master();
    assert!(master.contains("CODECS=\"av01.0.00M.08,mp4a.40.2\",RESOLUTION=160x90"), "{master}");
    assert!(!master.contains("VIDEO-RANGE"), "{master}");

    let aom = "-c:v libaom-av1 -cpu-used 8 -row-mt 1 -g 60 -pix_fmt yuv420p";
    let video = VIDEO.replace("d=20", "d=5");
    let fragments = "-movflags +frag_keyframe+delay_moov";
    check(&Clip::make("aom.mp4", &format!("{video} {aom} {fragments}")).copied(CopyCodec::Av1), 0);

    let hlg = HDR10.replace("smpte2084", "arib-std-b67");
    let clip = Clip::make("hlg.mp4", &format!("{VIDEO} {SVT_AV1} {hlg}")).copied(CopyCodec::Av1);
    let master = check(&clip, 0).master();
    assert!(master.contains("CODECS=\"av01.0.00M.10\""), "{master}");
    assert!(master.contains(",VIDEO-RANGE=HLG\n"), "{master}");
}

/// Of every program that ffprobe finds, the codecs of its streams.
fn programs(master: &Path) -> Vec<Vec<String>> {
    let entries = "program_stream=codec_name";
    let args = ["-v", "warning", "-show_entries", entries, "-of", "default=nk=1", master.to_str().unwrap()];
    let output = run("ffprobe", &args);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let told = String::from_utf8(output.stdout).unwrap();
    let streams = |program: &str| {
        let mut codecs: Vec<_> = program
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('['))
            .map(str::to_owned)
            .collect();
        codecs.sort_unstable();
        codecs
    };
    told.split("[PROGRAM]").skip(1).map(streams).collect()
}

#[test]
fn several_variants() {
    let other = SOUND.replace("440", "880");
    let maps = "-map 0:v -map 1:a -map 2:a";
    let main = Clip::make("main.mp4", &format!("{VIDEO} {SOUND} {other} {maps} {X264} {AAC}"));
    let small = Clip::make("small.mp4", &format!("{VIDEO} -vf scale=160:90 {X264}"));
    let both = Clip::make("both.mp4", &format!("{VIDEO} {SOUND} {X265} {CLOSED} -pix_fmt yuv420p {AAC}"))
        .copied(CopyCodec::Hevc);
    let clips = [("", &main), ("90/", &small), ("hevc/", &both)];
    let indices: Vec<_> = clips.iter().map(|(_, clip)| clip.index().unwrap()).collect();
    let folder = tempfile::tempdir().unwrap();
    for ((prefix, clip), index) in clips.iter().zip(&indices) {
        let folder = folder.path().join(prefix);
        fs::create_dir_all(&folder).unwrap();
        clip.write(index, &folder);
    }
    let variants: Vec<_> = clips.iter().map(|(prefix, _)| *prefix).zip(&indices).collect();
    let text = master_playlist(&variants);
    let streams: Vec<_> = text.lines().skip_while(|line| !line.starts_with("#EXT-X-STREAM")).collect();
    let [first, "main.m3u8", second, "90/main.m3u8", third, "hevc/main.m3u8"] = streams[..] else {
        panic!("{text}")
    };
    for stream in [first, second] {
        assert!(stream.contains("CODECS=\"avc1.") && stream.contains(",mp4a.40.2\""), "{text}");
        assert!(stream.ends_with(",AUDIO=\"audio\""), "{text}");
    }
    assert!(third.contains("CODECS=\"hvc1.1.6.L30.90,mp4a.40.2\"") && !third.contains("AUDIO="), "{text}");
    assert_eq!(text.matches("#EXT-X-MEDIA:").count(), 2);
    assert!(!text.contains("VIDEO-RANGE"));

    let master = folder.path().join("master.m3u8");
    fs::write(&master, &text).unwrap();
    assert_eq!(programs(&master), [&["aac", "aac", "h264"][..], &["aac", "aac", "h264"], &["aac", "hevc"]]);
    for (program, clip) in [(0, &main), (1, &small), (2, &both)] {
        let video = format!("0:p:{program}:v");
        assert_eq!(pictures_of(&master, &video), pictures(&clip.path));
    }
    // Each has its own sounds to choose from, and its own range.
    let hdr =
        Clip::make("hlg.mp4", &format!("{VIDEO} {SVT_AV1} {}", HDR10.replace("smpte2084", "arib-std-b67")))
            .copied(CopyCodec::Av1);
    let (main, hdr) = (&indices[0], hdr.index().unwrap());
    let text = master_playlist(&[("", main), ("again/", main), ("av1/", &hdr)]);
    let group = [
        "GROUP-ID=\"audio-2\",",
        "URI=\"again/audio-1.m3u8\"",
        ",VIDEO-RANGE=SDR,AUDIO=\"audio-2\"\nagain/main",
    ];
    assert!(group.iter().all(|part| text.contains(part)), "{text}");
    assert!(text.ends_with(",VIDEO-RANGE=HLG,AUDIO=\"audio\"\nav1/main.m3u8\n"), "{text}");
    assert!(text.contains("CODECS=\"av01.0.00M.10,mp4a.40.2\""), "{text}");
}

#[test]
fn what_cannot_be_served_says_why() {
    let (video, sound) = (VIDEO.replace("d=20", "d=2"), SOUND.replace("d=20", "d=2"));
    let refusal = |args: &str| Clip::make("refused.mp4", &format!("{video} {args}")).refusal();
    let hevc = "-c:v libx265 -preset ultrafast -x265-params log-level=none -tag:v hvc1";
    assert_eq!(refusal(hevc), Reason::VideoCodec("hvc1".to_owned()));
    let x264 = "-c:v libx264 -preset veryfast";
    for uncommon in
        ["-pix_fmt yuv420p10le", "-pix_fmt yuv444p", "-pix_fmt yuv420p -s 160x96 -flags +ildct+ilme"]
    {
        assert_eq!(refusal(&format!("{x264} {uncommon}")), Reason::NotCommonH264);
    }
    assert_eq!(refusal(&format!("{sound} {X264} -c:a ac3")), Reason::AudioCodec("ac-3".to_owned()));
    assert_eq!(refusal(&format!("{sound} {X264} -c:a libmp3lame")), Reason::AudioCodec("mp3".to_owned()));
    let open = "-pix_fmt yuv420p -x264opts keyint=30:min-keyint=30:open-gop=1:bframes=3:scenecut=0";
    assert_eq!(Clip::make("open.mp4", &format!("{VIDEO} {x264} {open}")).refusal(), Reason::OpenGop);
    let trimmed = Clip::both("whole.mp4", "").remade("trimmed.mp4", "-ss 1.1 -i SOURCE -c copy");
    assert_eq!(trimmed.refusal(), Reason::TrimInsideGop);
    let noise = vec![7; 5000];
    assert_eq!(Index::read(&mut Cursor::new(&noise), 5000, &[]).unwrap().unwrap_err(), Reason::NotMp4);
    assert_eq!(Reason::NotMp4.as_str(), "not_mp4");
}

/// What a receiver writes when the programme changes its size: copied, the second half has other parameters than it says.
#[test]
fn parameters_that_change_are_found_out_in_every_container() {
    let half = |size: &str| {
        let args = format!("-f lavfi -i testsrc2=s={size}:r=30:d=8 {X264}");
        fs::read(Clip::make("half.ts", &args).path).unwrap()
    };
    let clip = Clip::make("first.ts", &format!("-f lavfi -i testsrc2=s=160x90:r=30:d=1 {X264}"));
    fs::write(&clip.path, [half("160x90"), half("320x180")].concat()).unwrap();
    let clip = clip.remade("both.mp4", "-fflags +genpts -i SOURCE -c copy");
    assert_eq!(clip.refusal(), Reason::ParametersChange);
    assert_eq!(clip.remade("both.mov", "-i SOURCE -c copy").refusal(), Reason::ParametersChange);
    // The same size twice is one stream.
    let clip = Clip::make("first.ts", &format!("-f lavfi -i testsrc2=s=160x90:r=30:d=1 {X264}"));
    fs::write(&clip.path, [half("160x90"), half("160x90")].concat()).unwrap();
    assert!(clip.remade("both.mp4", "-fflags +genpts -i SOURCE -c copy").index().is_ok());
}

#[test]
fn a_file_that_shrank_is_an_error_of_reading() {
    let bytes = fs::read(Clip::both("plain.mp4", "-movflags +faststart").path).unwrap();
    let read = Index::read(&mut Cursor::new(&bytes[..bytes.len() / 2]), bytes.len() as u64, &[]);
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}
