use std::fs;

use reelhouse_media::{Config, Media, Storyboard};

use crate::clips::{X264, facts, made};

async fn storyboard(source: &std::path::Path, folder: &std::path::Path) -> Storyboard {
    let media = Media::start(Config::default()).await.unwrap();
    let facts = facts(&media, source).await.technical;
    media
        .storyboard(source, &facts, folder)
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", source.display()))
}

#[tokio::test]
async fn tiles_show_what_is_then() {
    // Dark at the start, bright at the end: a minute in which brightness tells the time.
    let source = |keyframes| {
        let arguments = format!(
            "-f lavfi -i nullsrc=size=320x180:rate=5:duration=60,geq=lum='16+200*T/60':cb=128:cr=128 {X264} -g {keyframes} -sc_threshold 0"
        );
        made(&format!("brighter-{keyframes}.mp4"), &arguments)
    };
    for keyframes in [10, 9999] {
        let folder = tempfile::tempdir().unwrap();
        let made = storyboard(&source(keyframes), folder.path()).await;
        assert_eq!(made.sheets.len(), 2, "{keyframes}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert_eq!(made.vtt.matches("storyboard-").count(), 30);
        let sheets: Vec<_> = made.sheets.iter().map(|path| image::open(path).unwrap().into_rgb8()).collect();
        assert_eq!((sheets[0].dimensions(), sheets[1].dimensions()), ((800, 450), (800, 90)));
        for n in 0..30u32 {
            let (sheet, tile) = (&sheets[(n / 25) as usize], n % 25);
            let pixel = sheet.get_pixel(tile % 5 * 160 + 80, tile / 5 * 90 + 45).0[0];
            // 60 s go from 0 to about 233.
            let time = f64::from(pixel) / 233.0 * 60.0;
            let expected = f64::from(n) * 2.0 + 1.0;
            // After the last keyframe its tile is seen again.
            let apart = if n == 29 { 4.0 } else { 2.6 };
            assert!((time - expected).abs() <= apart, "{keyframes}: tile {n} shows second {time}");
        }
    }
}

#[tokio::test]
async fn short_and_tall_ones() {
    let folder = tempfile::tempdir().unwrap();
    let source = made(
        "short.webm",
        "-f lavfi -i testsrc2=size=180x320:rate=10:duration=1 -c:v libvpx-vp9 -cpu-used 8",
    );
    let made = storyboard(&source, folder.path()).await;
    assert_eq!((made.sheets.len(), made.vtt.matches("-->").count()), (1, 1));
    assert_eq!(image::open(&made.sheets[0]).unwrap().to_rgb8().dimensions(), (800, 284));
}
