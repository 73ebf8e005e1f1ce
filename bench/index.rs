//! Reads a file's own tables into an index for HLS; prints microseconds, and the bytes to be kept.
//!
//!     cargo run --release -p reelhouse-media --example bench-index -- clip.mp4

#![expect(clippy::unwrap_used, reason = "a benchmark that fails may say so in any way")]

use std::{fs::File, time::Instant};

use reelhouse_media::hls::Index;

fn main() {
    let path = std::env::args().nth(1).unwrap();
    let begun = Instant::now();
    let mut file = File::open(path).unwrap();
    let len = file.metadata().unwrap().len();
    let bytes = Index::read(&mut file, len, &[]).unwrap().unwrap().to_bytes();
    println!("{} {}", begun.elapsed().as_micros(), bytes.len());
}
