//! What is seen on a real pseudo-terminal.

use std::{
    fs::{self, File},
    io::Read,
    process::Stdio,
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use tempfile::TempDir;

use crate::{
    client_cli::{base_url, reelhouse},
    harness::TestServer,
    media,
};

/// Runs in a terminal of so many columns; gives all that it drew, and the exit code.
async fn drawn(server: &TestServer, folder: &TempDir, columns: u16, words: &[&str]) -> (String, Option<i32>) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    tcsetwinsize(&terminal, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let side = || File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let mut command = reelhouse(&base_url(server), folder.path());
    command.env("TERM", "xterm-256color").args(words);
    command.stdin(Stdio::from(side())).stdout(Stdio::from(side())).stderr(Stdio::from(side()));
    let mut child = command.spawn().unwrap();
    // Its sides of the terminal close when it ends, not before.
    drop(command);
    let mut terminal = File::from(terminal);
    tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        // Ends with an error when the other side is closed.
        let _ = terminal.read_to_end(&mut bytes);
        (String::from_utf8(bytes).unwrap(), child.wait().unwrap().code())
    })
    .await
    .unwrap()
}

/// Lines without colours and movements of the cursor.
fn lines(drawn: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut chars = drawn.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                chars
                    .by_ref()
                    .take_while(|c| *c == '[' || *c == ';' || *c == '?' || c.is_ascii_digit())
                    .for_each(drop);
                plain.push('\n');
            }
            c => plain.push(c),
        }
    }
    plain.split(['\r', '\n']).map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn scene() -> (TestServer, TempDir) {
    let folder = TempDir::new().unwrap();
    fs::copy(media::mp4(), folder.path().join("clip.mp4")).unwrap();
    fs::copy(media::mp4(), folder.path().join("a holiday with the whole family and all of their dogs.mp4"))
        .unwrap();
    let whole = fs::read(media::mp4()).unwrap();
    fs::write(folder.path().join("torn.mp4"), &whole[..whole.len() / 2]).unwrap();
    (TestServer::start(), folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_and_lists_fit_the_terminal() {
    let (server, folder) = scene();
    for columns in [80, 200] {
        let (upload, code) =
            drawn(&server, &folder, columns, &["upload", "--thumbnail", "--wait", "."]).await;
        assert_eq!(code, Some(1));
        let (list, code) = drawn(&server, &folder, columns, &["list"]).await;
        assert_eq!(code, Some(0));
        for line in lines(&upload).iter().chain(&lines(&list)) {
            assert!(line.chars().count() <= usize::from(columns), "{columns}: {line:?}");
        }
        assert!(upload.contains('━') && upload.contains("left"), "there is a bar: {upload}");
        assert!(upload.contains("reelhouse: ./torn.mp4: Unable to process video file."), "{upload}");
        let titles = &lines(&list)[0];
        assert_eq!(titles.contains("CREATED"), columns == 200, "{titles}");
        let whole_name = list.contains("a holiday with the whole family and all of their dogs.mp4");
        assert_eq!(whole_name, columns == 200, "{list}");
        fs::remove_dir_all(folder.path().join(".local")).unwrap();
    }
}

/// Names come from others; on a terminal they are nothing but names.
#[tokio::test(flavor = "multi_thread")]
async fn names_cannot_draw() {
    let (server, folder) = scene();
    let name = "clip\u{1b}[2J\u{1b}]0;title\u{7}.mp4";
    fs::rename(folder.path().join("clip.mp4"), folder.path().join(name)).unwrap();
    let (upload, code) = drawn(&server, &folder, 80, &["upload", name]).await;
    assert_eq!(code, Some(0), "{upload}");
    let (list, _) = drawn(&server, &folder, 80, &["list"]).await;
    assert!(!(upload + &list).contains("\u{1b}[2J\u{1b}]0;title"));
}
