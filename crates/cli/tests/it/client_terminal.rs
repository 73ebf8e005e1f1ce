//! What is seen on a real pseudo-terminal.

use std::{
    fs::{self, File},
    io::Read,
    num::NonZero,
    process::Stdio,
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use tempfile::TempDir;

use crate::{
    client_cli::{base_url, reelhouse},
    client_kill::film,
    harness::TestServer,
    media,
};

const ROWS: u16 = 24;

/// What a terminal showed: every state of its screen that somebody could have seen, and the last one.
struct Shown {
    screens: Vec<Vec<String>>,
    raw: String,
    code: Option<i32>,
}

impl Shown {
    fn last(&self) -> &[String] {
        self.screens.last().unwrap()
    }

    fn rows(&self) -> impl Iterator<Item = &String> {
        self.screens.iter().flatten()
    }
}

/// Runs in a terminal of so many columns.
async fn shown(server: &TestServer, folder: &TempDir, columns: u16, words: &[&str]) -> Shown {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    tcsetwinsize(&terminal, Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
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
        let of = |size| NonZero::new(size).unwrap();
        let mut parser = vt100::Parser::new(of(ROWS), of(columns), 0);
        let (mut screens, mut raw, mut piece) = (Vec::new(), Vec::new(), [0; 64 * 1024]);
        // Ends with an error when the other side is closed.
        while let Ok(length @ 1..) = terminal.read(&mut piece) {
            parser.process(&piece[..length]);
            raw.extend(&piece[..length]);
            let rows = parser.screen().rows(0, columns).map(|row| row.trim_end().to_owned());
            screens.push(rows.filter(|row| !row.is_empty()).collect());
        }
        Shown { screens, raw: String::from_utf8(raw).unwrap(), code: child.wait().unwrap().code() }
    })
    .await
    .unwrap()
}

fn scene() -> (TestServer, TempDir) {
    let folder = TempDir::new().unwrap();
    // Long enough on its way to be seen.
    film(folder.path(), 48);
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
        let upload = shown(&server, &folder, columns, &["upload", "--thumbnail", "--wait", "."]).await;
        assert_eq!(upload.code, Some(1));
        // Whatever stands at the begin of a row belongs there: nothing was too long for the row before.
        let begins = [
            "film.mp4 ",
            "a holid",
            "torn.mp4 ",
            "reelhouse: torn.mp4: Unable to process video file.",
            "  valid and",
            "01",
        ];
        for row in upload.rows() {
            assert!(begins.iter().any(|begin| row.starts_with(begin)), "{columns}: {row:?}");
        }
        assert!(
            upload
                .rows()
                .any(|row| row.starts_with("film.mp4 ") && row.contains('━') && row.ends_with(" left"))
        );
        assert!(upload.rows().any(|row| row.contains("the server makes it visible")));
        let whole_name = "a holiday with the whole family and all of their dogs.mp4";
        let results = |rows: &[String]| rows.iter().filter(|row| row.starts_with("01")).count();
        assert_eq!((results(upload.last()), upload.last().len()), (2, if columns == 80 { 4 } else { 3 }));
        assert_eq!(upload.last().iter().any(|row| row.ends_with(whole_name)), columns == 200);

        let list = shown(&server, &folder, columns, &["list"]).await;
        assert_eq!(list.code, Some(0));
        assert_eq!(list.last()[0].contains("CREATED"), columns == 200, "{:?}", list.last());
        assert_eq!(list.last().iter().any(|row| row.ends_with(whole_name)), columns == 200);
        assert_eq!(results(list.last()) + 1, list.last().len());
        fs::remove_dir_all(folder.path().join(".local")).unwrap();
    }
}

/// Names come from others; on a terminal they are nothing but names.
#[tokio::test(flavor = "multi_thread")]
async fn names_cannot_draw() {
    let (server, folder) = scene();
    let name = "clip\u{1b}[2J\u{1b}]0;title\u{7}.mp4";
    fs::copy(media::mp4(), folder.path().join(name)).unwrap();
    let upload = shown(&server, &folder, 80, &["upload", name]).await;
    assert_eq!(upload.code, Some(0), "{}", upload.raw);
    let list = shown(&server, &folder, 80, &["list"]).await;
    assert!(!(upload.raw + &list.raw).contains("\u{1b}[2J\u{1b}]0;title"));
}
