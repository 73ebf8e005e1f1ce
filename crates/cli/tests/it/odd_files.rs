//! Odd files by the hundred, each to a real server with all that can be asked for: every one has an answer in time, ends in a
//! state that is an end, and leaves nothing. `make odd-files` takes all and writes docs/bench/odd-files.md; else a sample is taken.

use std::{
    collections::BTreeMap,
    fmt::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use crate::{
    harness::{TestServer, command, expect, files},
    hostile_files::{
        avif_of, behind, edited, elsewhere, id3, jpeg_of, nested_boxes, nested_elements, png_of, read, table,
        tracks, with_u32,
    },
    hostile_media::peak,
    media::made,
};

/// What every answer must come within.
const IN_TIME: Duration = Duration::from_secs(30);
/// The most the server's process may ever hold, in MiB.
const MOST_MEMORY: u64 = 1000;
/// Of all, how many are taken where not all are.
const SAMPLE: usize = 7;

struct Odd {
    name: String,
    bytes: Vec<u8>,
    /// Where it is known what must come of it.
    taken: Option<bool>,
}

/// xorshift: the same files each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most.max(1) as u64) as usize
    }
}

/// Whole files of every kind, small.
fn good() -> Vec<PathBuf> {
    let picture = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=10:duration=2"];
    let tone = ["-f", "lavfi", "-i", "sine=duration=2"];
    let h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "10"];
    let film = |name: &str, encode: &[&str]| made(name, &[&picture[..], &tone, encode].concat());
    let x264 = |name: &str, more: &[&str]| film(name, &[&h264[..], more].concat());
    let sound = |name: &str, encode: &[&str]| made(name, &[&tone[..], encode].concat());
    let still =
        |name: &str, encode: &[&str]| made(name, &[&picture[..], &["-frames:v", "1"], encode].concat());
    let vp8 = ["-c:v", "libvpx", "-cpu-used", "8", "-deadline", "realtime", "-c:a", "libopus"];
    let heif = |name: &str, more: &[&str]| {
        let png = still("odd-source.png", &[]);
        let path = png.with_file_name(name);
        let whole = path.with_file_name(format!("{}-{name}", std::process::id()));
        if !path.exists() {
            let output = command("heif-enc").args(more).arg("-o").arg(&whole).arg(&png).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            std::fs::rename(&whole, &path).unwrap();
        }
        path
    };
    vec![
        x264("odd-front.mp4", &["-movflags", "+faststart"]),
        x264("odd-behind.mp4", &["-bf", "2"]),
        x264("odd-fragments.mp4", &["-movflags", "+frag_keyframe+empty_moov"]),
        x264("odd.mov", &["-c:a", "pcm_s16le"]),
        x264("odd.mkv", &[]),
        x264("odd.ts", &[]),
        x264("odd.flv", &["-ar", "44100"]),
        film("odd.webm", &vp8),
        film("odd.avi", &["-c:v", "mpeg4", "-c:a", "libmp3lame"]),
        film("odd.mpg", &["-r", "25", "-c:v", "mpeg2video", "-c:a", "mp2"]),
        film("odd.wmv", &[]),
        sound("odd.wav", &[]),
        sound("odd.mp3", &["-c:a", "libmp3lame"]),
        sound("odd.flac", &[]),
        sound("odd.m4a", &["-c:a", "aac"]),
        sound("odd.opus", &["-c:a", "libopus"]),
        sound("odd.aiff", &[]),
        sound("odd.caf", &[]),
        still("odd.jpg", &[]),
        still("odd.png", &[]),
        still("odd.bmp", &[]),
        still("odd.tiff", &["-pix_fmt", "rgb24"]),
        still("odd.webp", &["-c:v", "libwebp"]),
        made("odd.gif", &picture),
        heif("odd.avif", &["-A"]),
        heif("odd.heic", &[]),
    ]
}

/// Ten ways to spoil each.
fn spoiled(good: &[(String, Vec<u8>)]) -> Vec<Odd> {
    let mut dice = Dice(0x5EED_0F0D_D000_0001);
    let mut odd = Vec::new();
    for (n, (name, bytes)) in good.iter().enumerate() {
        let other = &good[(n + 7) % good.len()].1;
        let len = bytes.len();
        let strewn = |dice: &mut Dice, count: usize, within: usize| {
            let mut bytes = bytes.clone();
            for _ in 0..count {
                bytes[dice.below(within)] = dice.below(256) as u8;
            }
            bytes
        };
        let mut numbers = bytes.clone();
        for _ in 0..8 {
            let at = dice.below(len - 4);
            numbers[at..at + 4].copy_from_slice(&[u32::MAX, 0, 1 << 31, 1][dice.below(4)].to_be_bytes());
        }
        let (a, b) = (dice.below(len), dice.below(len));
        let (from, to) = (a.min(b), a.max(b));
        let hole = [&bytes[..from], &vec![0; to - from], &bytes[to..]].concat();
        let again = [&bytes[..to], &bytes[from..to], &bytes[to..]].concat();
        let ways = [
            ("first bytes", strewn(&mut dice, 8, len.min(512)), None),
            ("head", strewn(&mut dice, 24, len.min(4096)), None),
            ("anywhere", strewn(&mut dice, 64, len), None),
            ("numbers", numbers, None),
            ("hole", hole, None),
            ("part again", again, None),
            ("half", bytes[..len / 2].to_vec(), None),
            // A program stream says nowhere how much there is: what is there may be all.
            (
                "first kilobyte",
                bytes[..len.min(1024) - 1].to_vec(),
                (!name.ends_with(".mpg")).then_some(false),
            ),
            ("behind zeros", [&[0; 4096][..], bytes].concat(), None),
            ("goes on as another", [&bytes[..len / 3], &other[other.len() / 3..]].concat(), None),
        ];
        odd.extend(ways.into_iter().map(|(way, bytes, taken)| Odd {
            name: format!("{name}, {way}"),
            bytes,
            taken,
        }));
    }
    odd
}

/// What is made by hand, and what is no media at all.
fn made_by_hand() -> Vec<Odd> {
    let clip = behind();
    let odd = |name: &str, bytes: Vec<u8>, taken| Odd { name: name.to_owned(), bytes, taken };
    let mut all = vec![
        odd("bomb.avif", avif_of(17_000), Some(false)),
        odd("bomb.jpg", jpeg_of(64_250), Some(false)),
        odd("bomb.png", png_of(65_536), Some(false)),
        odd("boxes in boxes.mp4", nested_boxes(50_000), Some(false)),
        odd("tags in tags.mkv", nested_elements(5000), None),
        odd("edits.mp4", edited(100_000), None),
        odd("tracks.mp4", tracks(1500), None),
        odd("elsewhere.mp4", elsewhere("file:///etc/passwd"), None),
        odd("long tag.mp3", id3(20 << 20, 20 << 20), Some(true)),
        odd("tag without end.mp3", id3(200 << 20, 1000), Some(false)),
    ];
    for (kind, at) in
        [(b"stsz", 8), (b"stts", 4), (b"stts", 12), (b"stco", 4), (b"stco", 8), (b"stsc", 4), (b"stsc", 12)]
    {
        for value in [0, 1, 1 << 31, u32::MAX] {
            let name = format!("{} {at} {value:x}.mp4", String::from_utf8_lossy(kind));
            all.push(odd(&name, with_u32(&clip, &table(kind), at, value), None));
        }
    }
    for (name, text) in [
        ("empty.mp4", ""),
        ("list.m3u8", "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"),
        ("script.ffconcat", "ffconcat version 1.0\nfile /etc/passwd\n"),
        ("drawing.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("page.html", "<!doctype html><video src=a>"),
        ("words.srt", "1\n00:00:00,000 --> 00:00:10,000\nhello\n"),
        ("data.webp", "{\"a\": 1}"),
        ("document.pdf", "%PDF-1.7\n"),
        ("archive.zip", "PK\x03\x04\x14\0\0\0\x08\0"),
        ("program", "\x7FELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0"),
    ] {
        all.push(odd(name, text.into(), Some(false)));
    }
    all.push(odd("zeros.mp4", vec![0; 1 << 20], Some(false)));
    all
}

/// Names for files that have a dull one.
const NAMES: [&str; 10] = [
    "-i",
    "a\n.mp4",
    "../../etc/passwd",
    "%00",
    "\u{202E}4pm.exe",
    "$(id)",
    "\"; filename=\"b",
    "🎬",
    " ",
    "con:|<>?*",
];

struct Came {
    answer: String,
    hls: String,
    thumbnail: String,
    took: Duration,
    /// Until nothing was under way.
    settled: Duration,
}

/// Sends one, and waits until nothing of it is under way; `Err` says what must not be.
async fn send(server: &TestServer, n: usize, odd: &Odd) -> Result<Came, String> {
    let part = Part::bytes(odd.bytes.clone()).file_name(NAMES[n % NAMES.len()]);
    let form =
        Form::new().text("method", "direct").text("enable_hls", "true").text("enable_thumbnail", "true");
    let began = Instant::now();
    let answer = tokio::time::timeout(IN_TIME, server.post(form.part("file", part)).send()).await;
    let answer = answer.map_err(|_| "no answer in time".to_owned())?.map_err(|error| error.to_string())?;
    let took = began.elapsed();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.map_err(|error| error.to_string())?;
    let none = || "–".to_owned();
    match status {
        400 => {
            Ok(Came { answer: body["code"].to_string(), hls: none(), thumbnail: none(), took, settled: took })
        }
        201 => {
            let path = format!("/v1.3/assets/{}", body["_id"].as_str().unwrap());
            let until = Instant::now() + IN_TIME * 4;
            loop {
                let asset = expect(200, server.get(&path).send().await.unwrap()).await;
                let state = |what: &str| asset[what]["status"].as_str().map_or_else(none, str::to_owned);
                let (hls, thumbnail) = (state("hls"), state("thumbnail"));
                if [&hls, &thumbnail].iter().all(|state| !matches!(state.as_str(), "pending" | "processing"))
                {
                    let settled = began.elapsed();
                    return Ok(Came { answer: "ready".to_owned(), hls, thumbnail, took, settled });
                }
                if Instant::now() > until {
                    return Err(format!("HLS is {hls}, the thumbnail {thumbnail}, and nothing moves"));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        other => Err(format!("{other}: {body}")),
    }
}

/// What came of all.
struct Outcome {
    rows: String,
    counts: BTreeMap<String, usize>,
    /// Until an answer was there.
    slowest: Duration,
    /// The most the server's process held, in MiB.
    memory: u64,
}

impl Outcome {
    /// Writes `docs/bench/{name}.md`.
    fn write(&self, name: &str, title: &str, made: &str) {
        let Self { rows, counts, slowest, memory } = self;
        let files: usize = counts.values().sum();
        let counts: Vec<String> = counts.iter().map(|(answer, count)| format!("{count} {answer}")).collect();
        let page = format!(
            "# {title}\n\n{files} files, {made}, each sent directly with HLS and a thumbnail asked for, to a server\nwith \
             permissive limits: {}. The slowest answer took {:.1} s; the server's process held {memory} MiB at most. \
             Nothing was left\nbehind. `make odd-files` writes this page.\n\n| file | bytes | answer | HLS | thumbnail | seconds \
             |\n|---|---|---|---|---|---|\n{rows}",
            counts.join(", "),
            slowest.as_secs_f64(),
        );
        let path = format!("{}/../../docs/bench/{name}.md", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, page).unwrap();
    }
}

/// Sends all to a server of their own, and sees to it that nothing stays.
async fn send_all(odd: &[Odd]) -> Outcome {
    let server =
        TestServer::start_with(&[("REELHOUSE_LIMITS", "permissive"), ("REELHOUSE_RATE_UPLOAD_RPM", "0")]);
    let sent = stream::iter(odd.iter().enumerate()).map(|(n, odd)| {
        let server = &server;
        async move { (n, odd, send(server, n, odd).await) }
    });
    let mut came: Vec<_> = sent.buffer_unordered(4).collect().await;
    came.sort_by_key(|(n, ..)| *n);

    let mut wrong = Vec::new();
    let mut rows = String::new();
    let mut counts = BTreeMap::<String, usize>::new();
    let mut slowest = Duration::ZERO;
    for (_, odd, outcome) in &came {
        match outcome {
            Err(why) => wrong.push(format!("{}: {why}", odd.name)),
            Ok(Came { answer, hls, thumbnail, took, settled }) => {
                if odd.taken.is_some_and(|taken| taken != (answer == "ready")) {
                    wrong.push(format!("{}: {answer}", odd.name));
                }
                slowest = slowest.max(*took);
                *counts.entry(answer.trim_matches('"').to_owned()).or_default() += 1;
                let answer = answer.trim_matches('"');
                writeln!(
                    rows,
                    "| {} | {} | {answer} | {hls} | {thumbnail} | {:.1} |",
                    odd.name,
                    odd.bytes.len(),
                    settled.as_secs_f64()
                )
                .unwrap();
            }
        }
    }
    println!("{rows}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.assert_healthy();
    let memory = peak(&server);
    assert!(memory < MOST_MEMORY, "{memory} MiB");

    // All of it goes again, and nothing stays.
    while server.total().await > 0 {
        let page = expect(200, server.get("/v1.3/assets?page_limit=50").send().await.unwrap()).await;
        for asset in page["data"].as_array().unwrap() {
            let path = format!("/v1.3/assets/{}", asset["_id"].as_str().unwrap());
            expect(200, server.delete(&path).send().await.unwrap()).await;
        }
    }
    for tree in ["originals", "derived"] {
        assert_eq!(server.blobs().list(tree), Vec::<String>::new(), "{tree}");
    }
    for folder in ["work", "incoming", "staging"] {
        assert_eq!(files(&server.dir.path().join(folder)), Vec::<PathBuf>::new(), "{folder}");
    }
    server.assert_healthy();
    Outcome { rows, counts, slowest, memory }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_files_have_an_answer_and_leave_nothing() {
    let all = std::env::var_os("REELHOUSE_ODD_FILES").is_some();
    let whole: Vec<(String, Vec<u8>)> = good()
        .into_iter()
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), read(path)))
        .collect();
    let mut odd: Vec<Odd> = spoiled(&whole);
    odd.extend(made_by_hand());
    if !all {
        odd = odd.into_iter().step_by(SAMPLE).collect();
    }
    odd.extend(whole.into_iter().map(|(name, bytes)| Odd { name, bytes, taken: Some(true) }));
    let outcome = send_all(&odd).await;
    if all {
        outcome.write("odd-files", "Odd files", "made by code (`crates/cli/tests/it/odd_files.rs`)");
    }
}

/// What other projects test their readers with, below `REELHOUSE_ODD_FOLDER`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a folder of them: make odd-files"]
async fn odd_files_of_packages() {
    let folder = PathBuf::from(std::env::var_os("REELHOUSE_ODD_FOLDER").unwrap());
    let mut paths = files(&folder);
    paths.sort();
    assert!(!paths.is_empty(), "{}", folder.display());
    let named = |path: PathBuf| {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        Odd { name, bytes: read(path), taken: None }
    };
    let odd: Vec<Odd> = paths.into_iter().map(named).collect();
    let made = "test media of the packages that `scripts/odd_packages.py` names";
    send_all(&odd).await.write("odd-files-of-packages", "Odd files of packages", made);
}
