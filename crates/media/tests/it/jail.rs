//! Children that were taken over: each attempt fails, and is that file's clean error. The list is printed in SECURITY.md.

use std::{
    fs,
    net::TcpListener,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    time::Duration,
};

use reelhouse_api::MediaKind;
use reelhouse_media::{Config, Error, Jail, Media, Sniffed};

use crate::clips::{X264, facts, made, of_bytes};

/// What is tried, and how SECURITY.md says it. `FOLDER` is one with other assets and a database.
const ATTEMPTS: [(&str, &str, &str); 32] = [
    ("read", "FOLDER/asset", "read another asset"),
    ("read", "FOLDER/reelhouse.db", "read the database"),
    ("read", "/etc/passwd", "read `/etc`"),
    ("list", "FOLDER", "list a folder"),
    ("reopen", "", "open its own file again, to write"),
    ("create", "FOLDER/new", "create a file"),
    ("create", "/dev/shm/reelhouse-hostile", "create a file in shared memory"),
    ("remove", "FOLDER/asset", "remove a file"),
    ("truncate", "", "cut its own file"),
    ("write", "", "write into its own file"),
    ("chmod", "", "change its own file's mode"),
    ("connect", "PORT", "connect to a port of this machine"),
    ("connect-local", "FOLDER/socket", "connect to a local socket"),
    ("listen", "", "listen on a port"),
    ("listen-local", "FOLDER/other-socket", "listen on a local socket"),
    ("fork", "", "fork"),
    ("fork-3", "", "fork by another call"),
    ("thread", "", "start a thread"),
    ("execute", "", "execute a program"),
    ("kill", "", "kill its parent"),
    ("leave-group", "", "leave its process group"),
    ("trace", "", "trace its parent"),
    ("peek", "", "read its parent's memory"),
    ("mount", "", "mount"),
    ("namespace", "", "make a namespace"),
    ("keys", "", "reach the kernel's keys"),
    ("bpf", "", "load a program into the kernel"),
    ("ring", "", "make an io_uring"),
    ("execute-memory", "", "make memory executable"),
    ("raise-limits", "", "raise its limits"),
    ("allocate", "", "take more memory than it may"),
    ("descriptors", "", "find a descriptor that was not handed to it"),
];

/// What is done instead of reading, and how it ends.
const DEEDS: [(&str, &[&str], &str); 6] = [
    ("eat-memory", &["signal"], "eat memory"),
    ("eat-time", &["it took too long"], "eat CPU"),
    ("hang", &["it took too long"], "hang"),
    ("talk", &["it wrote too much"], "answer without end"),
    ("lie", &["exit status 0"], "lie"),
    ("crash", &["signal"], "crash"),
];

async fn hostile() -> Media {
    // Examples lie beside the folder of tests.
    let own = std::env::current_exe().unwrap();
    let reader = own.ancestors().nth(2).unwrap().join("examples/hostile-reader");
    Media::start(Config {
        reader,
        reader_memory: 256 << 20,
        // More than a busy machine takes to start a program.
        probe_timeout: Duration::from_secs(5),
        ..Config::default()
    })
    .await
    .unwrap()
}

async fn broken(media: &Media, file: &Path) -> String {
    let sniffed = Sniffed::Media { kind: MediaKind::Video, mime: "video/mp4" };
    match media.examine(file, sniffed).await {
        Err(Error::Broken { kind: MediaKind::Video, reason }) => reason,
        other => panic!("{other:?}"),
    }
}

fn folder() -> (tempfile::TempDir, UnixListener) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("asset"), "another's").unwrap();
    fs::write(folder.path().join("reelhouse.db"), "everyone's").unwrap();
    let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
    (folder, listener)
}

#[tokio::test]
async fn what_a_reader_that_was_taken_over_tries() {
    let media = hostile().await;
    let (folder, _listener) = folder();
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    for (what, on, _) in ATTEMPTS {
        let on = on
            .replace("FOLDER", folder.path().to_str().unwrap())
            .replace("PORT", &port.local_addr().unwrap().to_string());
        let file = of_bytes(folder.path(), "file", format!("{what}\n{on}\n").as_bytes());
        let reason = broken(&media, &file).await;
        assert!(reason.contains("denied"), "{what} {on}: {reason}");
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("{what}\n{on}\n"));
    }
    assert_eq!(fs::read_to_string(folder.path().join("asset")).unwrap(), "another's");
    assert!(!folder.path().join("new").exists());
    for (what, ends, _) in DEEDS {
        let file = of_bytes(folder.path(), "file", what.as_bytes());
        let reason = broken(&media, &file).await;
        assert!(ends.iter().any(|end| reason.contains(end)), "{what}: {reason}");
    }
    // And goes on with the next.
    let file = of_bytes(folder.path(), "file", b"read\n/etc/passwd");
    assert!(broken(&media, &file).await.contains("denied"));
}

#[tokio::test]
async fn without_a_jail_some_of_it_goes_well() {
    let reader = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/hostile-reader");
    let media = Media::start(Config { reader, jail: Jail::Off, ..Config::default() }).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    // So that the test above is known to be one.
    for (what, on) in [("read", "/etc/passwd"), ("list", "/"), ("listen", ""), ("execute-memory", "")] {
        let file = of_bytes(folder.path(), "file", format!("{what}\n{on}").as_bytes());
        assert!(broken(&media, &file).await.contains("it could"), "{what}");
    }
    // What is handed over is handed over by hand, jail or no jail.
    let file = of_bytes(folder.path(), "file", b"descriptors");
    assert!(broken(&media, &file).await.contains("denied"));
}

/// Words for a shell in ffmpeg's place, and how SECURITY.md says it.
const COMMANDS: [(&str, &str); 11] = [
    ("cat FOLDER/asset", "read another asset"),
    ("cat FOLDER/reelhouse.db", "read the database"),
    ("cat /etc/passwd", "read `/etc`"),
    ("ls FOLDER", "list a folder"),
    ("echo x > FOLDER/new", "create a file outside its own folder"),
    ("echo x >> SOURCE", "write into its input"),
    ("rm FOLDER/asset", "remove a file"),
    ("echo > /dev/tcp/ADDRESS/PORT", "connect to a port of this machine"),
    ("kill -9 $PPID", "kill its parent"),
    ("setsid true", "leave its process group"),
    ("unshare -U true", "make a namespace"),
];

#[tokio::test]
async fn what_an_ffmpeg_that_was_taken_over_tries() {
    let (folder, _listener) = folder();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let source = made("victim.avi", "-f lavfi -i testsrc2=size=64x64:rate=10:duration=1 -c:v mpeg4");
    let before = fs::read(&source).unwrap();
    // Without rules about files, those are open.
    let rules = Media::start(Config::default()).await.unwrap().jail().landlock;
    let has_rules = rules != reelhouse_media::process::Landlock::None;
    for (does, _) in COMMANDS {
        let about_files = does.contains("FOLDER") || does.contains("/etc") || does.contains("SOURCE");
        if about_files && !has_rules {
            continue;
        }
        let does = does
            .replace("FOLDER", folder.path().to_str().unwrap())
            .replace("SOURCE", source.to_str().unwrap())
            .replace("ADDRESS", "127.0.0.1")
            .replace("PORT", &port);
        let outcome = crate::hostile::run(&format!("if ({does}); then echo REACHED >&2; fi; exit 3")).await;
        let said = outcome.error.to_string();
        assert!(said.contains("exit status: 3") && !said.contains("REACHED"), "{does}: {said}");
    }
    assert_eq!(fs::read(&source).unwrap(), before);
    assert!(folder.path().join("asset").exists() && !folder.path().join("new").exists());
}

#[test]
fn all_of_it_is_printed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../SECURITY.md");
    let printed = fs::read_to_string(path).unwrap();
    let attempts = ATTEMPTS.iter().map(|(_, _, words)| *words);
    let deeds = DEEDS.iter().map(|(_, _, words)| *words);
    let commands = COMMANDS.iter().map(|(_, words)| *words);
    for words in attempts.chain(deeds).chain(commands) {
        assert!(printed.contains(words), "{words}");
    }
}

#[tokio::test]
async fn a_program_that_is_not_the_media_process() {
    for reader in ["/nowhere/reelhouse-media", "/bin/true", "/bin/false", "/bin/cat"] {
        let started = Media::start(Config {
            reader: PathBuf::from(reader),
            probe_timeout: Duration::from_secs(2),
            ..Config::default()
        })
        .await;
        assert!(matches!(started, Err(Error::NotInstalled { .. })), "{reader}: {started:?}");
    }
}

/// Processes below this one, by name of the program.
fn below(name: &str) -> Vec<(i32, u32)> {
    let status = |pid: i32| fs::read_to_string(format!("/proc/{pid}/status")).ok();
    let field = |status: &str, name: &str| -> Option<u32> {
        status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    };
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let found = pids.filter_map(|pid| {
        let status = status(pid)?;
        let is_named = status.lines().next()?.contains(name);
        Some((pid, field(&status, "PPid:")?)).filter(|_| is_named)
    });
    found.collect()
}

/// The media process of this test process.
fn zygote() -> Option<i32> {
    below("reelhouse-media").into_iter().find(|(_, parent)| *parent == std::process::id()).map(|(pid, _)| pid)
}

#[tokio::test]
async fn killed_again_and_again_and_no_request_fails() {
    let media = Media::start(Config::default()).await.unwrap();
    let source = made("short.mp4", &format!("-f lavfi -i testsrc2=size=320x180:rate=10:duration=2 {X264}"));
    let expected = facts(&media, &source).await;
    let load = async {
        let mut asked = 0;
        let mut killed = 0;
        while killed < 100 {
            // The one that dies is in the middle of one of these.
            let (a, b, ()) = tokio::join!(facts(&media, &source), facts(&media, &source), async {
                tokio::task::yield_now().await;
                let Some(pid) = zygote() else { return };
                let pid = rustix::process::Pid::from_raw(pid).unwrap();
                killed +=
                    usize::from(rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok());
            });
            assert!(a == expected && b == expected);
            asked += 2;
        }
        asked
    };
    assert!(load.await >= 200);
    // What it left was buried by whom it was left to.
    assert!(facts(&media, &source).await == expected);
}

#[tokio::test]
async fn many_files_leave_nothing() {
    let media = Media::start(Config::default()).await.unwrap();
    let source = made("short.mp4", &format!("-f lavfi -i testsrc2=size=320x180:rate=10:duration=2 {X264}"));
    let garbage = of_bytes(
        Path::new(env!("CARGO_TARGET_TMPDIR")),
        "garbage.mp4",
        &[b"\0\0\0\x18ftypisom".to_vec(), vec![7; 5000]].concat(),
    );
    let sniffed = || Sniffed::Media { kind: MediaKind::Video, mime: "video/mp4" };
    let count = |pid: &str| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        (descriptors, memory.split_whitespace().next().unwrap().parse::<u64>().unwrap())
    };
    let files = std::env::var("MANY_FILES").map_or(200, |files| files.parse().unwrap());
    let mut first = None;
    for n in 0..files {
        if n % 2 == 0 {
            media.examine(&source, sniffed()).await.unwrap();
        } else {
            assert!(matches!(media.examine(&garbage, sniffed()).await, Err(Error::Broken { .. })));
        }
        if n == 50 {
            first = Some((count("self"), count(&zygote().unwrap().to_string())));
        }
    }
    let (ours, its) = first.unwrap();
    // The ends of the last children are told in this moment.
    for _ in 0..500 {
        if count(&zygote().unwrap().to_string()).0 <= its.0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (ours_now, its_now) = (count("self"), count(&zygote().unwrap().to_string()));
    assert!(ours_now.0 <= ours.0 + 2 && its_now.0 <= its.0 + 2, "{ours:?} {ours_now:?} {its:?} {its_now:?}");
    assert!(
        its_now.1 <= its.1 + 1024 && ours_now.1 <= ours.1 + 16_384,
        "{ours:?} {ours_now:?} {its:?} {its_now:?}"
    );
    let pid = zygote().unwrap() as u32;
    // The last ones are buried in this moment.
    for _ in 0..100 {
        if below("reelhouse-media").iter().all(|(_, parent)| *parent != pid) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}", below("reelhouse-media"));
}
