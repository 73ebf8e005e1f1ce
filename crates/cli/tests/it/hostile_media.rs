//! Media that lies: each file is refused or taken with an answer that says so, memory stays bounded, nothing is left.

use serde_json::Value;

use crate::{
    harness::{TestServer, direct_bytes, files},
    hostile_files::{
        atom, avif_of, behind, black_png, edit, edited, elsewhere, id3, id3_text, jpeg_of, nested_boxes,
        nested_elements, png_of, read, table, tracks, with_u32,
    },
    media::made,
};

/// What came of a file: `ready`, or the code of its refusal.
pub(crate) async fn outcome(server: &TestServer, bytes: Vec<u8>) -> String {
    let answer = server.post(direct_bytes(bytes)).send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    assert!(matches!(status, 201 | 400), "{status}: {body}");
    body[if status == 201 { "status" } else { "code" }].as_str().unwrap().to_owned()
}

/// The most the server's process ever held, in MiB.
pub(crate) fn peak(server: &TestServer) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Asks for each, and tells all at once of those that came to something else.
async fn all_come_to(server: &TestServer, table: Vec<(&str, Vec<u8>, &str)>) {
    let mut wrong = Vec::new();
    let mut ready = 0;
    for (name, bytes, expected) in table {
        let came = outcome(server, bytes).await;
        ready += u64::from(came == "ready");
        if came != expected {
            wrong.push(format!("{name}: {came}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!((server.total().await, server.originals() as u64), (ready, ready));
    assert_eq!(files(&server.dir.path().join("work")), Vec::<std::path::PathBuf>::new());
    server.assert_healthy();
}

#[tokio::test]
async fn dimension_bombs() {
    let server = TestServer::start_with(&[("REELHOUSE_LIMITS", "permissive")]);
    let real = made(
        "twelve-thousand.png",
        &["-f", "lavfi", "-i", "color=size=12000x12000", "-frames:v", "1", "-pix_fmt", "monob"],
    );
    let palette = ["-frames:v", "1", "-pix_fmt", "pal8", "-compression_algo", "deflate"];
    let palette =
        made("palette.tiff", &[&["-f", "lavfi", "-i", "color=size=12000x12000"], &palette[..]].concat());
    let hour = made(
        "an-hour.gif",
        &["-f", "lavfi", "-i", "color=size=480x360:rate=1/2:duration=3600", "-gifflags", "0"],
    );
    assert!(real.metadata().unwrap().len() < 1 << 20);
    let table = vec![
        ("avif", avif_of(17_000), "parameter_invalid"),
        ("jpeg", jpeg_of(64_250), "parameter_invalid"),
        ("png", black_png(65_536, 1, 0, 1), "parameter_invalid"),
        ("png that says the most", png_of(u32::MAX >> 1), "parameter_invalid"),
        ("png of a megabyte", read(real), "parameter_invalid"),
        ("png of deep pixels", black_png(9000, 16, 6, 64), "parameter_invalid"),
        ("tiff of a palette", read(palette), "parameter_invalid"),
        ("gif", read(hour), "ready"),
    ];
    all_come_to(&server, table).await;
    assert!(peak(&server) < 700, "{} MiB", peak(&server));
}

#[tokio::test]
async fn lying_tables() {
    // Where headers and tables do not agree, it is that file's facts that are wrong; samples that are said to lie elsewhere are
    // looked for in the file itself.
    let server = TestServer::start();
    let clip = behind();
    let broken = "video_file_broken";
    let huge = [&1u32.to_be_bytes()[..], b"mdat", &(1u64 << 62).to_be_bytes(), &[0; 100]].concat();
    let table = vec![
        ("more samples than there are", with_u32(&clip, &table(b"stsz"), 8, u32::MAX), broken),
        ("samples of 4 GB", with_u32(&clip, &table(b"stsz"), 4, u32::MAX), broken),
        ("more times than there are", with_u32(&clip, &table(b"stts"), 4, u32::MAX), broken),
        ("a sample of years", with_u32(&clip, &table(b"stts"), 12, u32::MAX), "ready"),
        ("more chunks than there are", with_u32(&clip, &table(b"stco"), 4, u32::MAX), broken),
        ("chunks behind the end", with_u32(&clip, &table(b"stco"), 8, u32::MAX), broken),
        ("chunks of too many samples", with_u32(&clip, &table(b"stsc"), 12, u32::MAX), "ready"),
        (
            "years, says the movie",
            with_u32(&clip, &[b"moov", b"mvhd"], 16, u32::MAX),
            "video_duration_too_long",
        ),
        (
            "a century, says the movie",
            with_u32(&with_u32(&clip, &[b"moov", b"mvhd"], 12, 1), &[b"moov", b"mvhd"], 16, u32::MAX),
            "ready",
        ),
        (
            "years, says the track",
            with_u32(&clip, &[b"moov", b"trak", b"mdia", b"mdhd"], 16, u32::MAX),
            "ready",
        ),
        ("a timescale of nothing", with_u32(&clip, &[b"moov", b"trak", b"mdia", b"mdhd"], 12, 0), "ready"),
        ("a box of 4 EB", [atom(b"ftyp", b"isom\0\0\0\0isom"), huge].concat(), broken),
        ("no box at all", [atom(b"ftyp", b"isom\0\0\0\0isom"), vec![0; 1000]].concat(), broken),
        ("boxes in boxes", nested_boxes(100_000), broken),
        ("a table of tables", edit(&clip, &[b"moov"], &|moov| atom(b"moov", moov)), "ready"),
        ("edits without end", edited(400_000), "ready"),
        ("tags in tags", nested_elements(10_000), "ready"),
        ("ten thousand tracks", tracks(10_000), broken),
        ("a thousand tracks and one", tracks(1001), broken),
        ("samples elsewhere", elsewhere("file:///etc/passwd"), "ready"),
    ];
    all_come_to(&server, table).await;
    assert!(peak(&server) < 700, "{} MiB", peak(&server));
}

#[tokio::test]
async fn long_tags_and_locked_films() {
    let server = TestServer::start();
    let key = "76a6c65c5ea762046bd749a2e632ccbb";
    let locked = read(made(
        "locked.mp4",
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=640x360:rate=25:duration=5",
            "-c:v",
            "libx264",
            "-pix_fmt",
            "yuv420p",
            "-encryption_scheme",
            "cenc-aes-ctr",
            "-encryption_key",
            key,
            "-encryption_kid",
            key,
        ],
    ));
    let table = vec![
        ("a tag that ends behind the file", id3(200 << 20, 1000), "audio_file_broken"),
        ("a tag of 190 MB", id3(190 << 20, 190 << 20), "ready"),
        ("a tag of 210 MB", id3(210 << 20, 210 << 20), "audio_filesize_too_large"),
        ("a text of 190 MB", id3_text(190 << 20), "ready"),
        ("encrypted", locked, "video_file_broken"),
    ];
    all_come_to(&server, table).await;
    assert!(peak(&server) < 250, "{} MiB", peak(&server));
}
