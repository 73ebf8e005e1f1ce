//! What the fuzzers call: bytes in, and what must hold of them whatever they are.

use std::io::Cursor;

use crate::{
    facts,
    hls::{CopyCodec, Index, master_playlist, sealed},
    process::Probe,
    sniff,
};

/// Longer than anything whose duration is believed, in seconds.
const NOTHING_LASTS: f64 = 1e10;

/// A file as an MP4: where its tables are believed, each answer is finite, inside the file, and the same once kept.
pub fn mp4_index(data: &[u8]) {
    let len = data.len() as u64;
    let Ok(Ok(index)) = Index::read(&mut Cursor::new(data), len, &[CopyCodec::Hevc, CopyCodec::Av1]) else {
        return;
    };
    let kept = index.to_bytes();
    assert_eq!(Index::from_bytes(&kept).as_ref(), Some(&index), "kept, it is something else");
    answers(&index, len);
}

/// An index as it is kept, but for its checksum: a damaged one is none, or answers.
pub fn kept_index(data: &[u8]) {
    if let Some(index) = Index::from_bytes(&sealed(data)) {
        answers(&index, u64::MAX);
    }
}

fn answers(index: &Index, len: u64) {
    assert!(master_playlist(&[("main", index)]).starts_with("#EXTM3U"));
    for rendition in 0..index.rendition_count() {
        assert!(index.media_playlist(rendition).is_some() && index.init_segment(rendition).is_some());
        for n in 0..index.segment_count(rendition).unwrap_or(0) {
            let Some(segment) = index.segment(rendition, n) else { continue };
            let inside = |range: &std::ops::Range<u64>| range.start <= range.end && range.end <= len;
            assert!(segment.ranges.iter().all(inside), "{:?} of {len}", segment.ranges);
        }
    }
}

/// An answer of a child: what is believed of it can be written down.
pub fn child_facts(data: &[u8]) {
    let (head, json) = data.split_at(data.len().min(16));
    let Ok(probe) = serde_json::from_slice::<Probe>(json) else { return };
    if let Ok(facts) = facts::read(&probe, &sniff(head)) {
        assert!(facts.duration.is_none_or(|seconds| seconds > 0.0 && seconds < NOTHING_LASTS));
        assert!(facts.upright.is_none_or(|size| size.width > 0 && size.height > 0));
        let rates =
            facts.technical.video_streams.iter().flatten().flat_map(|stream| [stream.fps, stream.avg_fps]);
        assert!(rates.flatten().all(|rate| rate > 0.0), "others divide by it");
        let text = serde_json::to_string(&facts.technical).unwrap_or_default();
        assert!(!text.is_empty(), "it cannot be written");
    }
}

#[cfg(test)]
#[path = "../../../fuzz/mutated.rs"]
mod mutated;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::mutated::mutated;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn mp4_index(data in mutated("mp4_index")) {
            super::mp4_index(&data);
        }

        #[test]
        fn kept_index(data in mutated("kept_index")) {
            super::kept_index(&data);
        }

        #[test]
        fn child_facts(data in mutated("child_facts")) {
            super::child_facts(&data);
        }
    }
}
