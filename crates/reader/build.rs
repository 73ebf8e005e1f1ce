//! Tells the code what the FFmpeg it is built with has.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(side_data_of_parameters)");
    // Said by ffmpeg-sys-next of the headers it found: 6.1 moved what a container says beside a track into the codec's parameters, 8.0
    // took the old way away.
    if std::env::var("DEP_FFMPEG_FFMPEG_6_1").is_ok_and(|is_so| is_so == "true") {
        println!("cargo::rustc-cfg=side_data_of_parameters");
    }
}
