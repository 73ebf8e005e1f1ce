//! Programs in ffmpeg's place that are up to no good: each is an error within its bounds, and nothing is left.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use reelhouse_media::{Config, Error, Failure, Media, Plan, because};
use tokio::sync::watch;

use crate::clips::{facts, made};

/// A script that says it is ffmpeg, and then does this.
fn script(folder: &Path, does: &str) -> PathBuf {
    let path = folder.join("ffmpeg");
    let text =
        format!("#!/bin/bash\nif [ \"$1\" = -version ]; then echo 'ffmpeg version 5.1'; exit; fi\n{does}\n");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

pub(crate) struct Outcome {
    pub(crate) error: Error,
    took: Duration,
    /// Command lines of processes that are still there.
    left: Vec<String>,
}

impl Outcome {
    fn killed(&self) -> &'static str {
        match &self.error {
            Error::Ffmpeg(Failure::Killed(reason)) => reason,
            other => panic!("{other}"),
        }
    }
}

/// Runs it in place of ffmpeg. What it starts carries the folder's name in its arguments, and so is found.
pub(crate) async fn run(does: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().file_name().unwrap().to_str().unwrap().to_owned();
    let program = script(folder.path(), &does.replace("MARK", &mark));
    let media = Media::start(Config {
        ffmpeg: program,
        ffmpeg_stall: Duration::from_secs(2),
        ffmpeg_memory: 1 << 30,
        picture_timeout: Duration::from_secs(3),
        ..Config::default()
    })
    .await
    .unwrap();
    let source = made("victim.avi", "-f lavfi -i testsrc2=size=64x64:rate=10:duration=1 -c:v mpeg4");
    let facts = facts(&media, &source).await.technical;
    let plan = Plan::transcode(&facts, because::AUDIO);
    let own = folder.path().join("own");
    fs::create_dir(&own).unwrap();
    let (progress, _seen) = watch::channel(0.0);
    let started = Instant::now();
    let error = media
        .prepare(&source, &facts, &plan, &own.join("out.mp4"), 8 << 20, &progress)
        .await
        .expect_err("it made nothing");
    let took = started.elapsed();
    assert_eq!(fs::read_dir(&own).unwrap().count(), 0, "{does}: files are left");
    // The dead need a moment to be buried by whom they were left to.
    for _ in 0..500 {
        if left(&mark).is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Outcome { error, took, left: left(&mark) }
}

fn left(mark: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned()).filter(|line| line.contains(mark)).collect()
}

#[tokio::test]
async fn it_hangs() {
    let outcome = run("exec -a MARK sleep 1000").await;
    assert_eq!(outcome.killed(), "it made no progress");
    assert!(outcome.took < Duration::from_secs(6) && outcome.left.is_empty(), "{:?}", outcome.left);
}

#[tokio::test]
async fn it_says_the_same_again_and_again() {
    let outcome = run("while true; do echo frame=1; echo progress=continue; sleep 0.1; done").await;
    assert_eq!(outcome.killed(), "it made no progress");
    assert!(outcome.took < Duration::from_secs(6) && outcome.left.is_empty(), "{:?}", outcome.left);
}

#[tokio::test]
async fn it_fills_the_disk() {
    for does in [
        // One large file, many small ones, a deep one.
        "exec -a MARK cat /dev/zero > large",
        "n=0; while true; do head -c 1000000 /dev/zero > small-$n; n=$((n+1)); echo frame=$n; done",
        "mkdir a; cd a; n=0; while true; do head -c 1000000 /dev/zero > small-$n; n=$((n+1)); echo frame=$n; done",
    ] {
        let outcome = run(does).await;
        match &outcome.error {
            Error::Ffmpeg(Failure::Killed("it wrote too much")) => {}
            // SIGXFSZ, or the shell's word for it.
            Error::Ffmpeg(Failure::Exited { .. }) => {}
            other => panic!("{does}: {other}"),
        }
        assert!(outcome.took < Duration::from_secs(10) && outcome.left.is_empty(), "{:?}", outcome.left);
    }
}

#[tokio::test]
async fn it_eats_memory() {
    let outcome = run("a=x; while true; do a=$a$a; done").await;
    assert!(
        matches!(outcome.error, Error::Ffmpeg(Failure::Exited { .. } | Failure::Killed(_))),
        "{}",
        outcome.error
    );
    assert!(outcome.took < Duration::from_secs(8) && outcome.left.is_empty());
}

#[tokio::test]
async fn it_forks_and_they_try_to_get_away() {
    for does in [
        "for n in 1 2 3 4 5 6 7 8; do (exec -a MARK sleep 1000) & done; wait",
        "(exec -a MARK sleep 1000) & exit 0",
        "(exec -a MARK setsid sleep 1000) & (setsid bash -c 'exec -a MARK sleep 1000') & wait; exec -a MARK sleep 1000",
        "set -m; (exec -a MARK sleep 1000) & set +m; wait",
        "nohup bash -c 'exec -a MARK sleep 1000' > /dev/null 2>&1 & disown; exit 1",
        "bash -c '(bash -c \"exec -a MARK sleep 1000\" <&- >&- 2>&- &)'; exit 1",
    ] {
        let outcome = run(does).await;
        assert!(outcome.left.is_empty(), "{does}: {:?}", outcome.left);
        assert!(outcome.took < Duration::from_secs(6), "{does}: {:?}", outcome.took);
    }
}

#[tokio::test]
async fn it_ignores_signals() {
    let outcome = run("trap '' TERM INT HUP XCPU XFSZ; while true; do sleep 0.1; done").await;
    assert_eq!(outcome.killed(), "it made no progress");
    assert!(outcome.left.is_empty(), "{:?}", outcome.left);
}

#[tokio::test]
async fn it_kills_its_parent() {
    let outcome =
        run("kill -9 $PPID; kill -TERM $PPID; kill -9 -1; kill -9 0; kill -9 -- -$PPID; exit 3").await;
    assert!(matches!(&outcome.error, Error::Ffmpeg(Failure::Exited { .. })), "{}", outcome.error);
    assert!(outcome.error.to_string().contains("not permitted"), "{}", outcome.error);
}

#[tokio::test]
async fn it_says_that_all_is_well() {
    for does in [
        "exit 0",
        "for out; do :; done; echo nothing > \"${out#file:}\"",
        "for out; do :; done; ln -s /etc/passwd \"${out#file:}\"",
        "for out; do :; done; ln -s $PWD/../victim.mp4 \"${out#file:}\"",
        "for out; do :; done; mkdir \"${out#file:}\"",
    ] {
        let outcome = run(does).await;
        assert!(matches!(outcome.error, Error::Ffmpeg(Failure::NoResult(_))), "{does}: {}", outcome.error);
    }
}

#[tokio::test]
async fn it_talks_without_end() {
    for does in ["exec -a MARK yes", "exec -a MARK yes >&2", "exec -a MARK cat /dev/zero"] {
        let outcome = run(does).await;
        assert_eq!(outcome.killed(), "it made no progress", "{does}");
        assert!(outcome.left.is_empty(), "{:?}", outcome.left);
    }
}

#[tokio::test]
async fn who_stops_waiting_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().file_name().unwrap().to_str().unwrap().to_owned();
    let does = format!("(exec -a {mark} sleep 1000) & exec -a {mark} sleep 1000");
    let media =
        Media::start(Config { ffmpeg: script(folder.path(), &does), ..Config::default() }).await.unwrap();
    let source = made("victim.avi", "-f lavfi -i testsrc2=size=64x64:rate=10:duration=1 -c:v mpeg4");
    let facts = facts(&media, &source).await.technical;
    let plan = Plan::transcode(&facts, because::AUDIO);
    let own = folder.path().join("own");
    fs::create_dir(&own).unwrap();
    let (progress, _seen) = watch::channel(0.0);
    let out = own.join("out.mp4");
    let work = media.prepare(&source, &facts, &plan, &out, 1 << 20, &progress);
    assert!(tokio::time::timeout(Duration::from_secs(2), work).await.is_err());
    for _ in 0..100 {
        if left(&mark).is_empty() && fs::read_dir(&own).unwrap().count() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}", left(&mark));
}

#[tokio::test]
async fn it_is_not_ffmpeg() {
    let config = |ffmpeg: &str| Config { ffmpeg: ffmpeg.into(), ..Config::default() };
    for program in ["/nowhere/ffmpeg", "/bin/true", "/bin/false", "ffprobe"] {
        let started = Media::start(config(program)).await;
        assert!(matches!(started, Err(Error::NotInstalled { .. })), "{program}");
    }
}
