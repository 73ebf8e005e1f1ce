//! Text that reaches the prober all the same: it knows no demuxer for it.

use reelhouse_media::{Config, Error, Media, Sniffed};

use crate::clips::of_bytes;

#[tokio::test]
async fn the_prober_takes_no_text_for_media() {
    let media = Media::start(Config::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a picture", "#define a_width 8\n#define a_height 2\nstatic char a_bits[] = { 0xff, 0x01 };\n"),
        ("another", "P1\n8 2\n1 0 1 0 1 0 1 0\n0 1 0 1 0 1 0 1\n"),
        ("subtitles", "1\n00:00:00,000 --> 00:00:10,000\nhello\n"),
        ("a playlist", "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\na.ts\n#EXT-X-ENDLIST\n"),
        ("a script", "ffconcat version 1.0\nfile a.ts\n"),
        ("a session", "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n"),
    ] {
        let file = of_bytes(folder.path(), "file", text.as_bytes());
        let examined = media.examine(&file, Sniffed::Unknown).await;
        assert!(matches!(examined, Err(Error::NotMedia { .. })), "{name}: {examined:?}");
    }
}
