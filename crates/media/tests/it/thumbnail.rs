use std::{fs, path::Path};

use image::{Rgb, RgbImage};
use reelhouse_media::{Config, Media};

use crate::clips::{self, X264, facts, made};

async fn media() -> Media {
    Media::start(Config::default()).await.unwrap()
}

/// The thumbnail of a file, seen to be small enough.
async fn thumbnail(media: &Media, source: &Path) -> RgbImage {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("thumbnail.jpg");
    let facts = facts(media, source).await;
    media
        .thumbnail(source, facts.kind, &facts.technical, &out)
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let bytes = fs::read(&out).unwrap();
    assert!(bytes.starts_with(&[0xFF, 0xD8, 0xFF]) && bytes.len() < 100_000, "{}", bytes.len());
    if let Some(folder) = std::env::var_os("KEEP_THUMBNAILS") {
        let name = source.file_name().unwrap().to_str().unwrap();
        fs::copy(&out, Path::new(&folder).join(format!("{name}.jpg"))).unwrap();
    }
    image::load_from_memory(&bytes).unwrap().into_rgb8()
}

fn mean(image: &RgbImage) -> [f64; 3] {
    let count = image.pixels().len() as f64;
    [0, 1, 2].map(|channel| image.pixels().map(|pixel| f64::from(pixel.0[channel])).sum::<f64>() / count)
}

fn near(color: &Rgb<u8>, other: [u8; 3]) -> bool {
    color.0.iter().zip(other).all(|(a, b)| a.abs_diff(b) <= 40)
}

fn is_lit(image: &RgbImage) -> bool {
    let [red, green, blue] = mean(image);
    let luma = 0.3 * red + 0.59 * green + 0.11 * blue;
    (50.0..220.0).contains(&luma)
}

#[tokio::test]
async fn videos() {
    let media = media().await;
    let source = "-f lavfi -i testsrc2=size=1280x720:rate=25:duration=6";
    for (name, arguments, size) in [
        ("plain.mp4", format!("{source} {X264} -g 25"), (640, 360)),
        ("one-keyframe.mp4", format!("{source} {X264} -g 9999"), (640, 360)),
        ("anamorphic.mp4", format!("{source} -vf scale=720:576,setsar=64/45 {X264}"), (640, 360)),
        (
            "interlaced.mpg",
            format!(
                "{source} -vf scale=720:576,interlace,setsar=16/15 -c:v mpeg2video -flags +ildct+ilme -b:v 4M"
            ),
            (640, 480),
        ),
        ("tall.mkv", format!("{source} -vf transpose=1 {X264}"), (640, 1138)),
        (
            "small.webm",
            "-f lavfi -i testsrc2=size=320x180:rate=25:duration=2 -vf scale=161:91 -c:v libvpx-vp9 -cpu-used 8".to_owned(),
            (161, 91),
        ),
        ("full-range.avi", format!("{source} -t 1 -c:v mjpeg -pix_fmt yuvj422p"), (640, 360)),
        ("stream.ts", format!("{source} {X264} -g 50"), (640, 360)),
    ] {
        let image = thumbnail(&media, &made(name, &arguments)).await;
        assert_eq!(image.dimensions(), size, "{name}");
        assert!(is_lit(&image), "{name}: {:?}", mean(&image));
    }
}

#[tokio::test]
async fn not_the_black_half() {
    let media = media().await;
    let black = "-f lavfi -i color=black:size=640x360:rate=25:duration=5 -f lavfi -i testsrc2=size=640x360:rate=25:duration=5";
    for (name, keyframes) in [("half-black.mp4", 25), ("half-black-one-keyframe.mp4", 9999)] {
        let arguments =
            format!("{black} -filter_complex [0][1]concat=n=2 {X264} -g {keyframes} -sc_threshold 0");
        let image = thumbnail(&media, &made(name, &arguments)).await;
        assert!(is_lit(&image), "{name}: {:?}", mean(&image));
    }
}

#[tokio::test]
async fn a_turned_clip_stands_upright() {
    let media = media().await;
    // Red above, blue below; then said to lie on its side.
    let plain = made(
        "halves.mp4",
        &format!(
            "-f lavfi -i color=red:size=320x120:rate=10:duration=2 -f lavfi -i color=blue:size=320x120:rate=10:duration=2 -filter_complex vstack {X264}"
        ),
    );
    let turned = made("turned.mp4", &format!("-i {} -c copy -metadata:s:v:0 rotate=270", plain.display()));
    let facts = facts(&media, &turned).await;
    assert_eq!(facts.technical.video_streams.as_ref().unwrap()[0].rotation, Some(90));
    let image = thumbnail(&media, &turned).await;
    assert_eq!(image.dimensions(), (240, 320));
    // A quarter clockwise: what was above is at the right.
    assert!(near(image.get_pixel(220, 160), [254, 0, 0]), "{:?}", image.get_pixel(220, 160));
    assert!(near(image.get_pixel(20, 160), [0, 0, 254]), "{:?}", image.get_pixel(20, 160));
}

#[tokio::test]
async fn hdr_is_mapped() {
    let media = media().await;
    // Half grey in PQ is about 100 nits, white on paper: neither dark nor pale.
    let arguments = "-f lavfi -i testsrc2=size=640x360:rate=10:duration=2 -vf zscale=tin=bt709:min=bt709:pin=bt709:rin=limited:t=smpte2084:m=bt2020nc:p=bt2020:npl=203,format=yuv420p10le \
                     -c:v libx265 -preset ultrafast -x265-params log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc -tag:v hvc1";
    let source = made("hdr10.mp4", arguments);
    assert_eq!(facts(&media, &source).await.technical.is_hdr, Some(true));
    let image = thumbnail(&media, &source).await;
    let plain = thumbnail(
        &media,
        &made("sdr.mp4", &format!("-f lavfi -i testsrc2=size=640x360:rate=10:duration=2 {X264}")),
    )
    .await;
    let (mapped, plain) = (mean(&image), mean(&plain));
    for (a, b) in mapped.iter().zip(plain) {
        assert!((a - b).abs() < 40.0, "{mapped:?} {plain:?}");
    }
}

#[tokio::test]
async fn sounds() {
    let media = media().await;
    let bare = made("bare.mp3", "-f lavfi -i sine=duration=5 -af afade=d=3 -c:a libmp3lame");
    let image = thumbnail(&media, &bare).await;
    assert_eq!(image.dimensions(), (640, 360));
    assert!(is_lit(&image), "{:?}", mean(&image));

    let cover = made("cover.png", "-f lavfi -i color=0x20a040:size=700x700 -frames:v 1");
    for (name, codec) in [
        ("covered.mp3", "-c:a libmp3lame -c:v copy"),
        ("covered.m4a", "-c:a aac -c:v copy"),
        ("covered.flac", "-c:a flac -c:v copy"),
    ] {
        let arguments = format!(
            "-f lavfi -i sine=duration=2 -i {} -map 0 -map 1 {codec} -disposition:v attached_pic",
            cover.display()
        );
        let image = thumbnail(&media, &made(name, &arguments)).await;
        assert_eq!(image.dimensions(), (640, 640), "{name}");
        assert!(
            near(image.get_pixel(320, 320), [0x20, 0xa0, 0x40]),
            "{name}: {:?}",
            image.get_pixel(320, 320)
        );
    }
}

#[tokio::test]
async fn images() {
    let media = media().await;
    let folder = tempfile::tempdir().unwrap();
    let source = "-f lavfi -i testsrc2=size=1280x720:rate=5:duration=1";
    for (name, arguments, size) in [
        ("deep.png", format!("{source} -frames:v 1 -pix_fmt rgb48be"), (640, 360)),
        ("grey.png", format!("{source} -frames:v 1 -pix_fmt gray"), (640, 360)),
        ("moving.gif", format!("{source} -vf scale=320:-1"), (320, 180)),
        ("picture.webp", format!("{source} -frames:v 1"), (640, 360)),
        ("picture.bmp", format!("{source} -frames:v 1"), (640, 360)),
        ("picture.tiff", format!("{source} -frames:v 1 -pix_fmt rgb24"), (640, 360)),
        (
            "noise.jpg",
            "-f lavfi -i nullsrc=size=2000x2000,geq=random(1)*255:128:128 -frames:v 1".to_owned(),
            (640, 640),
        ),
    ] {
        let image = thumbnail(&media, &made(name, &arguments)).await;
        assert_eq!(image.dimensions(), size, "{name}");
        assert!(is_lit(&image), "{name}: {:?}", mean(&image));
    }

    // Left half clear, right half red.
    let mut clear = image::RgbaImage::from_pixel(800, 400, image::Rgba([0, 0, 0, 0]));
    for (x, _, pixel) in clear.enumerate_pixels_mut() {
        if x >= 400 {
            *pixel = image::Rgba([255, 0, 0, 255]);
        }
    }
    let path = folder.path().join("alpha.png");
    clear.save(&path).unwrap();
    let image = thumbnail(&media, &path).await;
    assert!(near(image.get_pixel(100, 100), [255; 3]) && near(image.get_pixel(540, 100), [255, 0, 0]));
    for (program, name) in [("heif-enc", "alpha.heic"), ("heif-enc", "alpha.avif")] {
        let arguments = if name.ends_with("avif") { "-A" } else { "" };
        let coded = folder.path().join(name);
        let output = clips::command(program)
            .args(arguments.split_whitespace())
            .arg(&path)
            .arg("-o")
            .arg(&coded)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let image = thumbnail(&media, &coded).await;
        assert_eq!(image.dimensions(), (640, 320), "{name}");
        assert!(near(image.get_pixel(100, 100), [255; 3]), "{name} {:?}", image.get_pixel(100, 100));
        assert!(near(image.get_pixel(540, 100), [255, 0, 0]), "{name} {:?}", image.get_pixel(540, 100));
    }
}

/// What safe Rust does not decode is shown alike.
#[tokio::test]
async fn images_of_c_decoders_are_shown_alike() {
    let media = media().await;
    let folder = tempfile::tempdir().unwrap();
    // Above red, below clear.
    let mut image = image::RgbaImage::from_pixel(800, 400, image::Rgba([255, 0, 0, 255]));
    for (_, y, pixel) in image.enumerate_pixels_mut() {
        if y >= 200 {
            *pixel = image::Rgba([0, 0, 0, 0]);
        }
    }
    let png = folder.path().join("image.png");
    image.save(&png).unwrap();
    let png = png.to_str().unwrap();
    let coded = |name: &str, encode: &[&str]| {
        let path = folder.path().join(name);
        let output = clips::command("ffmpeg")
            .args(["-v", "error", "-nostdin", "-i", png, "-frames:v", "1"])
            .args(encode)
            .arg(&path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        path
    };
    let jxl = thumbnail(&media, &coded("image.jxl", &["-c:v", "libjxl", "-distance", "0"])).await;
    assert_eq!(jxl.dimensions(), (640, 320));
    assert!(near(jxl.get_pixel(320, 40), [255, 0, 0]) && near(jxl.get_pixel(320, 280), [255; 3]));
    let jp2 = thumbnail(&media, &coded("image.jp2", &["-pix_fmt", "rgb24"])).await;
    assert!(near(jp2.get_pixel(320, 40), [255, 0, 0]) && near(jp2.get_pixel(320, 280), [0; 3]));

    // The entry that names the program that wrote it says then how it is turned: a quarter, clockwise.
    let mut bytes = fs::read(coded("image.tiff", &["-pix_fmt", "pal8"])).unwrap();
    let software = [0x31, 1, 2, 0];
    let at = bytes.windows(4).rposition(|entry| entry == software).unwrap();
    bytes[at..at + 12].copy_from_slice(&[0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0]);
    let turned = clips::of_bytes(folder.path(), "turned.tiff", &bytes);
    assert_eq!(facts(&media, &turned).await.technical.image_orientation, Some(6));
    let shown = thumbnail(&media, &turned).await;
    assert_eq!(shown.dimensions(), (400, 800));
    assert!(near(shown.get_pixel(380, 400), [255, 0, 0]) && !near(shown.get_pixel(20, 400), [255, 0, 0]));
}

#[tokio::test]
async fn a_turned_photograph_stands_upright() {
    let media = media().await;
    let folder = tempfile::tempdir().unwrap();
    // Red above, blue below; then said to lie on its side.
    let mut image = RgbImage::from_pixel(900, 600, Rgb([255, 0, 0]));
    for (_, y, pixel) in image.enumerate_pixels_mut() {
        if y >= 300 {
            *pixel = Rgb([0, 0, 255]);
        }
    }
    let plain = folder.path().join("plain.jpg");
    image.save(&plain).unwrap();
    let bytes = fs::read(&plain).unwrap();
    let exif = [
        &[0xFF, 0xE1, 0, 34][..],
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
    ]
    .concat();
    let turned = clips::of_bytes(folder.path(), "turned.jpg", &[&bytes[..2], &exif, &bytes[2..]].concat());
    assert_eq!(facts(&media, &turned).await.technical.image_orientation, Some(6));
    let shown = thumbnail(&media, &turned).await;
    assert_eq!(shown.dimensions(), (600, 900));
    assert!(near(shown.get_pixel(580, 450), [255, 0, 0]) && near(shown.get_pixel(20, 450), [0, 0, 255]));
}
