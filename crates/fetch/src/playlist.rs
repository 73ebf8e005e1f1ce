//! What an HLS playlist (RFC 8216) is of, by its text.

/// What a playlist is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Playlist {
    /// Something that still goes on.
    Live,
    /// Something that has its end; also a list of files that is no HLS at all.
    Vod,
    /// Other playlists, of which each tells whether it is live.
    Master {
        /// The URI of the first, as it is spelled there.
        first: String,
    },
}

/// Judges the whole text of a playlist: an end that was cut off makes it look live.
pub fn judge(text: &str) -> Playlist {
    let lines = || text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let mut after_variant = lines().skip_while(|line| !is_tag(line, "#EXT-X-STREAM-INF")).skip(1);
    if let Some(first) = after_variant.find(|line| !line.is_empty() && !line.starts_with('#')) {
        return Playlist::Master { first: first.to_owned() };
    }
    let is_hls = lines().any(|line| line.starts_with("#EXT-X-"));
    let ends = lines().any(|line| {
        line == "#EXT-X-ENDLIST"
            || line.strip_prefix("#EXT-X-PLAYLIST-TYPE:").is_some_and(|kind| kind.trim() == "VOD")
    });
    // A master without variants plays nothing, and so nothing live.
    let is_master = lines().any(|line| is_tag(line, "#EXT-X-STREAM-INF") || is_tag(line, "#EXT-X-MEDIA"));
    if is_hls && !ends && !is_master { Playlist::Live } else { Playlist::Vod }
}

fn is_tag(line: &str, tag: &str) -> bool {
    line.strip_prefix(tag).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn playlists() {
        let master = |first: &str| Playlist::Master { first: first.to_owned() };
        for (text, judged) in [
            ("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\na.ts\n", Playlist::Live),
            ("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:6,\na.ts\n", Playlist::Live),
            (
                "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-PLAYLIST-TYPE:EVENT\n#EXTINF:6,\na.ts\n",
                Playlist::Live,
            ),
            ("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\na.ts\n#EXT-X-ENDLIST\n", Playlist::Vod),
            ("#EXTM3U\r\n#EXT-X-TARGETDURATION:6\r\n#EXTINF:6,\r\na.ts\r\n#EXT-X-ENDLIST", Playlist::Vod),
            ("#EXTM3U\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\na.ts\n", Playlist::Vod),
            (
                "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n\n# low\nlow/a.m3u8?x=1\n#EXT-X-STREAM-INF:BANDWIDTH=2\nhigh.m3u8\n",
                master("low/a.m3u8?x=1"),
            ),
            ("\u{feff}#EXTM3U\r\n#EXT-X-STREAM-INF:BANDWIDTH=1\r\na.m3u8\r\n", master("a.m3u8")),
            (
                "#EXTM3U\n#EXT-X-I-FRAME-STREAM-INF:URI=\"i.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8",
                master("a.m3u8"),
            ),
            ("#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,URI=\"a.m3u8\"\n", Playlist::Vod),
            ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", Playlist::Vod),
            ("#EXTM3U\n#EXTINF:200,A song\nsong.mp3\n", Playlist::Vod),
            ("#EXTM3U", Playlist::Vod),
            ("", Playlist::Vod),
        ] {
            assert_eq!(judge(text), judged, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "(?s).*") {
            judge(&text);
        }
    }
}
