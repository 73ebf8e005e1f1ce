use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::ensure;
use futures_util::{StreamExt, stream};
use reelhouse_client::{AssetDetail, Client, Error};

use super::{
    connect::ConnectArgs, failure, files, journal::Journal, make::MakeArgs, progress::Board, text::plain,
};

/// Larger files go in chunks: what breaks off, costs no more than a chunk.
const CHUNKS_FROM: u64 = 32 << 20;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Files, folders (media below them) or quoted patterns such as "takes/**/*.mov"
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    #[command(flatten)]
    make: MakeArgs,
    /// What the asset is called; with one file only
    #[arg(long, value_name = "NAME")]
    filename: Option<String>,
    /// The most files at once
    #[arg(long, value_name = "N", default_value_t = 3)]
    parallel: usize,
    /// Where interrupted uploads are remembered [default: reelhouse/uploads below XDG_STATE_HOME or ~/.local/state]
    #[arg(long, env = "REELHOUSE_STATE_DIR", value_name = "FOLDER", hide_env_values = true)]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = args.connect.client()?;
    let files = files::meant(&args.files)?;
    ensure!(
        args.filename.is_none() || files.len() == 1,
        "--filename names one file, and these are {}",
        files.len()
    );
    let state_dir = args.state_dir.clone().or_else(default_state_dir);
    let wishes =
        (args.make.hls, args.make.thumbnail, format!("{:?}", args.make.user_metadata()), &args.filename);
    let journal = Journal::open(state_dir.as_deref(), &(client.base_url(), &args.files, wishes));
    let work = Work { client, args: &args, state_dir, journal, board: Board::new() };

    let mut codes = stream::iter(&files).map(|file| work.upload(file)).buffer_unordered(args.parallel.max(1));
    let mut first_failure = None;
    while let Some(code) = codes.next().await.transpose()? {
        if code != 0 {
            first_failure.get_or_insert(code);
        }
    }
    drop(codes);
    if first_failure.is_none() {
        work.journal.remove();
    }
    Ok(first_failure.unwrap_or_default().into())
}

struct Work<'a> {
    client: Client,
    args: &'a Args,
    state_dir: Option<PathBuf>,
    journal: Journal,
    board: Board,
}

impl Work<'_> {
    /// One file, and what became of it: the exit code.
    async fn upload(&self, file: &Path) -> anyhow::Result<u8> {
        let name = file.display().to_string();
        let make = &self.args.make;
        let outcome = match self.uploaded(file).await {
            Some(asset) => {
                self.board.complain(&format!("{}: uploaded before", plain(&name)));
                Ok(asset)
            }
            None => self.send(file).await,
        };
        make.tell(&self.board, ("file", &name), &outcome)?;
        Ok(match outcome {
            Ok(asset) => {
                self.journal.write(file, &asset.id);
                0
            }
            Err(error) => failure::exit_code(&error),
        })
    }

    /// What the same command made of the file before it was interrupted, if that is still there.
    async fn uploaded(&self, file: &Path) -> Option<AssetDetail> {
        let asset = self.client.assets().retrieve(&self.journal.asset_of(file)?).await.ok()?;
        (asset.status != reelhouse_client::Status::Failed).then_some(asset)
    }

    async fn send(&self, file: &Path) -> Result<AssetDetail, Error> {
        let length = tokio::fs::metadata(file).await;
        let length = length.map_err(|source| Error::File { path: file.to_owned(), source })?.len();
        match length >= CHUNKS_FROM {
            true => self.in_chunks(file, length).await,
            false => self.in_one(file, length).await,
        }
    }

    async fn in_one(&self, file: &Path, length: u64) -> Result<AssetDetail, Error> {
        let make = &self.args.make;
        let row = self.board.row(&plain(&file.display().to_string()), Some(length));
        let mut create = self.client.assets().create(file);
        create = create.idempotent();
        if let Some(metadata) = make.user_metadata() {
            create = create.user_metadata(&metadata);
        }
        if let Some(name) = &self.args.filename {
            create = create.filename(name);
        }
        let created = create
            .enable_hls(make.hls)
            .enable_thumbnail(make.thumbnail)
            .progress(row.follow(make.awaited()))
            .await?;
        make.finish(&self.client, created, &row).await
    }

    async fn in_chunks(&self, file: &Path, length: u64) -> Result<AssetDetail, Error> {
        let make = &self.args.make;
        let row = self.board.row(&plain(&file.display().to_string()), Some(length));
        let mut upload =
            self.client.assets().upload(file).enable_hls(make.hls).enable_thumbnail(make.thumbnail);
        if let Some(metadata) = make.user_metadata() {
            upload = upload.user_metadata(&metadata);
        }
        if let Some(name) = &self.args.filename {
            upload = upload.filename(name);
        }
        if let Some(folder) = &self.state_dir {
            upload = upload.state_dir(folder);
        }
        upload.wait(make.wait).renditions(make.wait).progress(row.follow(make.awaited())).await
    }
}

fn default_state_dir() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    Some(state.join("reelhouse/uploads"))
}
