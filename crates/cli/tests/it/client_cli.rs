//! The command that the tests of the client half give.

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

use crate::harness::{KEY, TestServer, command};

/// `reelhouse` with nothing from outside, a server, and a folder to remember in.
pub(crate) fn reelhouse(base_url: &str, folder: &Path) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_reelhouse"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", folder);
    command.env("TWELVE_LABS_API_KEY", KEY).env("TWELVELABS_BASE_URL", base_url);
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn base_url(server: &TestServer) -> String {
    format!("{}/v1.3", server.url)
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ended {
    /// Each line of standard output, which must be JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }
}

/// Runs to its end beside a server whose runtime must go on meanwhile.
pub(crate) async fn run(mut command: Command, words: &[&str]) -> Ended {
    command.args(words);
    ended(command.spawn().unwrap()).await
}

pub(crate) async fn ended(child: Child) -> Ended {
    tokio::task::spawn_blocking(|| child.wait_with_output().unwrap().into()).await.unwrap()
}
