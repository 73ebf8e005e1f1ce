//! The commands of docs/operations.md that back up and restore, run as they stand there, while uploads come in.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Output},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    harness::{Folder, KEY, TestServer, client, command, database, direct, eventually, expect, reelhouse},
    media,
};

/// The blocks of commands of the section: three that back up, two that restore.
fn blocks() -> Vec<String> {
    let docs = include_str!("../../../../docs/operations.md");
    let section = docs.split("\n## Back up\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    let blocks: Vec<String> = blocks.collect();
    assert_eq!(blocks.len(), 5);
    blocks
}

/// Runs a block as it stands, with the settings of a server over `folder`.
fn run(block: &str, folder: &Path, variables: &[(&str, &str)]) -> Output {
    let mut shell = command("sh");
    shell.args(["-euc", block]).envs(settings(&reelhouse(folder)));
    let programs = Path::new(env!("CARGO_BIN_EXE_reelhouse")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    shell.env("PATH", path).envs(variables.iter().copied()).current_dir(folder);
    shell.output().unwrap()
}

/// What a command of the harness is told by its environment.
fn settings(command: &Command) -> BTreeMap<String, String> {
    let text = |text: &std::ffi::OsStr| text.to_str().unwrap().to_owned();
    command.get_envs().filter_map(|(name, value)| Some((text(name), text(value?)))).collect()
}

fn assert_well(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out.into_owned()
}

/// Uploads until it is told that it is enough; the ids and the bytes that were answered with 201.
struct Load {
    done: Arc<AtomicBool>,
    taken: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    workers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(server: &TestServer) -> Self {
        let done = Arc::<AtomicBool>::default();
        let taken = Arc::<Mutex<BTreeMap<String, Vec<u8>>>>::default();
        let files = [media::mp4(), media::mp3(), media::png()];
        let worker = |path: std::path::PathBuf| {
            let (url, done, taken) = (server.url.clone(), Arc::clone(&done), Arc::clone(&taken));
            tokio::spawn(async move {
                while !done.load(Relaxed) {
                    let form = direct(&path).text("enable_hls", "true").text("enable_thumbnail", "true");
                    let form =
                        if path.extension().is_some_and(|end| end == "mp4") { form } else { direct(&path) };
                    let request = client().post(format!("{url}/v1.3/assets")).header("x-api-key", KEY);
                    let asset: Value = expect(201, request.multipart(form).send().await.unwrap()).await;
                    let id = asset["_id"].as_str().unwrap().to_owned();
                    taken.lock().unwrap().insert(id, std::fs::read(&path).unwrap());
                }
            })
        };
        Self { workers: files.into_iter().map(worker).collect(), done: done.clone(), taken: taken.clone() }
    }

    fn taken(&self) -> BTreeMap<String, Vec<u8>> {
        self.taken.lock().unwrap().clone()
    }

    async fn end(self) {
        self.done.store(true, Relaxed);
        for worker in self.workers {
            worker.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_whole() {
    let [of_folder, of_postgres, of_bucket, restore, restore_of_postgres] = blocks().try_into().unwrap();
    let server = TestServer::start();
    let folder = server.dir.path();
    let root = TempDir::new().unwrap();
    let (backup, restored) = (root.path().join("backup"), root.path().join("restored"));
    let (backup, restored) = (backup.to_str().unwrap(), restored.to_str().unwrap());
    let (database, blobs) = (database::url(folder), database::blob_url(folder));
    let second = match database.rsplit_once('/').and_then(|_| database.split_once('?')) {
        Some((url, host)) => format!("{}/reelhouse_backup?{host}", url.rsplit_once('/').unwrap().0),
        None => String::new(),
    };
    let variables = [("BACKUP", backup), ("RESTORED", restored), ("BACKUP_DATABASE_URL", second.as_str())];

    let load = Load::start(&server);
    eventually("some are there", async || load.taken().len() >= 6).await;
    let before = load.taken();
    let block = match (database.is_empty(), blobs.is_empty()) {
        (true, true) => &of_folder,
        (false, true) => &of_postgres,
        (_, false) => &of_bucket,
    };
    assert_well(&run(block, folder, &variables));
    let between = load.taken().len();
    eventually("they go on", async || load.taken().len() > between).await;
    load.end().await;
    assert!(between > before.len(), "nothing was uploaded meanwhile");

    let home = match (database.is_empty(), blobs.is_empty()) {
        (true, true) => restored.to_owned(),
        (false, true) => restored.to_owned(),
        (_, false) => format!("{backup}/home"),
    };
    if blobs.is_empty() {
        let restore = if database.is_empty() { &restore } else { &restore_of_postgres };
        let said = assert_well(&run(restore, folder, &variables));
        assert!(said.contains("all is well"), "{said}");
    }
    // What was there before the backup is in it, and all that is in it is whole.
    let plain = |folder: &Path| {
        let mut command = reelhouse(folder);
        command.env_remove("REELHOUSE_DATABASE_URL").env_remove("REELHOUSE_BLOB_URL");
        command
    };
    let home = Path::new(&home);
    assert_well(&plain(home).arg("doctor").output().unwrap());
    let again = TestServer::spawn(plain(home), Folder::Lent(home.to_owned()), &[]);
    assert!(again.total().await >= before.len() as u64);
    for (id, bytes) in before {
        let asset = expect(200, again.get(&format!("/v1.3/assets/{id}")).send().await.unwrap()).await;
        assert_eq!(asset["status"], "ready");
        let content = again.get(&format!("/v1.3/assets/{id}/content")).send().await.unwrap();
        assert!(content.bytes().await.unwrap() == bytes, "{id}");
    }
    again.create(&media::png()).await;

    if database.is_empty() {
        // A server on the folder of the backup itself: nothing of what its rows know is missing.
        let straight = TestServer::spawn(plain(Path::new(backup)), Folder::Lent(backup.into()), &[]);
        assert_eq!(straight.total().await + 1, again.total().await);
        let said = plain(Path::new(backup)).arg("doctor").output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let strange = |line: &&str| {
            line.starts_with("asset ")
                || line.contains(": ") && !line.contains(": no asset knows") && !line.starts_with("the jail")
        };
        assert_eq!(said.lines().find(strange), None, "{said}");
    }
}
