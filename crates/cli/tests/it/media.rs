//! Clips made by the real ffmpeg, once for all tests.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use crate::harness::command;

/// A file of this name, made by ffmpeg with these arguments unless it is there.
pub(crate) fn made(name: &str, arguments: &[&str]) -> PathBuf {
    // Made anew when it is made differently.
    let mut hasher = DefaultHasher::new();
    arguments.hash(&mut hasher);
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("media").join(format!("{:016x}", hasher.finish()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    if !path.exists() {
        // Other tests run in other processes: whoever is done first, the file is whole.
        let partial = tempfile::Builder::new().suffix(&format!("-{name}")).tempfile_in(&folder).unwrap();
        let output = command("ffmpeg")
            .args(["-v", "error", "-nostdin", "-y"])
            .args(arguments)
            .arg(partial.path())
            .output()
            .expect("ffmpeg makes the tests' media");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        partial.persist(&path).unwrap();
    }
    path
}

/// H.264 of what a lavfi source shows.
pub(crate) fn video(name: &str, source: &str) -> PathBuf {
    let encode = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];
    made(name, &[&["-f", "lavfi", "-i", source][..], &encode].concat())
}

/// A tone of so many seconds.
pub(crate) fn sound(name: &str, seconds: &str, encode: &[&str]) -> PathBuf {
    made(name, &[&["-f", "lavfi", "-i", &format!("sine=duration={seconds}")][..], encode].concat())
}

/// 640x360, 5 s, H.264 and AAC, index in front.
pub(crate) fn mp4() -> PathBuf {
    let picture = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=5"];
    let sound = ["-f", "lavfi", "-i", "sine=duration=5"];
    let encode = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"];
    made("clip.mp4", &[&picture[..], &sound, &encode, &["-movflags", "+faststart"]].concat())
}

/// 5 s of sound.
pub(crate) fn mp3() -> PathBuf {
    sound("tone.mp3", "5", &["-c:a", "libmp3lame"])
}

pub(crate) fn png() -> PathBuf {
    made("picture.png", &["-f", "lavfi", "-i", "testsrc2=size=320x240", "-frames:v", "1"])
}
