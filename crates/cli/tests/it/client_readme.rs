//! The example of the SDK's README, as pasted.

use std::process::Stdio;

use crate::{
    client_cli::base_url,
    harness::{KEY, TestServer, command},
    media,
};

mod pasted {
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../client/examples/readme/pasted.rs"));

    /// Run by the other test, in a process of its own: it reads the environment and the current folder.
    #[test]
    #[ignore = "needs a server and two files"]
    fn as_pasted() {
        main().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_is_the_readmes_and_runs() {
    let example = include_str!("../../../client/examples/readme/pasted.rs");
    let readme = include_str!("../../../client/README.md");
    assert!(readme.contains(&format!("```rust,no_run\n{example}```\n")), "README and example differ");

    let server = TestServer::start();
    let folder = tempfile::TempDir::new().unwrap();
    for name in ["clip.mp4", "film.mp4"] {
        std::fs::copy(media::mp4(), folder.path().join(name)).unwrap();
    }
    let mut run = command(std::env::current_exe().unwrap());
    run.args(["--ignored", "--exact", "client_readme::pasted::as_pasted", "--nocapture"]);
    run.env("TWELVE_LABS_API_KEY", KEY)
        .env("TWELVELABS_BASE_URL", base_url(&server))
        .current_dir(folder.path());
    let child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = crate::client_cli::ended(child).await.done();
    assert!(
        ended.out.contains("1 passed") && ended.out.contains("film.mp4 plays at Some(\"http://"),
        "{ended:?}"
    );
    let copy = std::fs::read(folder.path().join("copy.mp4")).unwrap();
    assert_eq!(copy, std::fs::read(media::mp4()).unwrap());
}
