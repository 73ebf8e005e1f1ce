//! Files made by the real tools, once for all tests.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use reelhouse_media::{Facts, Media, sniff};

#[expect(clippy::disallowed_methods, reason = "tests make their own files")]
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}

/// A file of this name, made by ffmpeg with these arguments unless it is there. Arguments are split at spaces.
pub(crate) fn made(name: &str, arguments: &str) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    arguments.hash(&mut hasher);
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("clips").join(format!("{:016x}", hasher.finish()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    if !path.exists() {
        // Other tests run in other processes: whoever is done first, the file is whole.
        let partial = tempfile::Builder::new().suffix(&format!("-{name}")).tempfile_in(&folder).unwrap();
        let mut command = command("ffmpeg");
        command
            .args(["-v", "error", "-nostdin", "-y"])
            .args(arguments.split_whitespace())
            .arg(partial.path());
        let output = command.output().expect("ffmpeg makes the tests' media");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        partial.persist(&path).unwrap();
    }
    path
}

/// A file of these bytes.
pub(crate) fn of_bytes(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// x264, quick.
pub(crate) const X264: &str = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";

/// What the service knows of a file.
pub(crate) async fn facts(media: &Media, path: &Path) -> Facts {
    let bytes = fs::read(path).unwrap();
    let sniffed = sniff(&bytes[..bytes.len().min(reelhouse_media::SNIFF_LEN)]);
    media.examine(path, sniffed).await.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What ffprobe prints for these options.
pub(crate) fn ffprobe(path: &Path, options: &str) -> String {
    let output =
        command("ffprobe").args(["-v", "error"]).args(options.split_whitespace()).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
