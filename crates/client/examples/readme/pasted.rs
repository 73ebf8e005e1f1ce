use std::path::Path;

use futures_util::TryStreamExt;
use reelhouse_client::{Client, Error};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?; // TWELVE_LABS_API_KEY, TWELVELABS_BASE_URL

    // In one request: small files.
    let asset = client.assets().create(Path::new("clip.mp4")).enable_thumbnail(true).await?;
    println!("{} is {}", asset.id, asset.status);

    // In chunks: large files. The same call goes on where another process was stopped.
    let film = client
        .assets()
        .upload("film.mp4")
        .state_dir(".uploads")
        .enable_hls(true)
        .renditions(true)
        .progress(|progress| eprint!("\r{} of {:?} bytes", progress.done, progress.total))
        .await?;
    println!(
        "\n{} plays at {:?}",
        film.filename,
        film.hls.as_ref().and_then(|hls| hls.manifest_url.as_ref())
    );

    // All pages, newest first.
    let mut films = client.assets().list().filename("film").stream();
    while let Some(asset) = films.try_next().await? {
        println!("{}  {}  {:?} bytes", asset.id, asset.filename, asset.size);
    }

    // The original back.
    client.assets().download(&film.id, "copy.mp4").await?;
    client.assets().delete(&asset.id, false).await
}
