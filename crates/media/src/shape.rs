//! How a video's pictures are shown: upright, with square pixels, progressive, SDR; and how ffmpeg's filters make them
//! so. Pure.

use reelhouse_api::{Resolution, TechnicalMetadata, VideoStream};

use crate::{ffmpeg::Abilities, still::Fit};

/// The video track that a player would choose. The facts keep its numbers, not its index.
pub(crate) fn main_video(facts: &TechnicalMetadata) -> Option<&VideoStream> {
    let streams = facts.video_streams.as_deref()?;
    let is_main = |stream: &&VideoStream| {
        (&stream.codec, stream.width, stream.height, stream.duration_seconds)
            == (&facts.video_codec, facts.video_width, facts.video_height, facts.video_duration_seconds)
    };
    streams.iter().find(is_main).or_else(|| streams.first())
}

/// As it is shown: upright, its pixels made square by growing one side.
pub(crate) fn shown(stream: &VideoStream) -> Option<Resolution> {
    let (width, height) = (f64::from(stream.width?), f64::from(stream.height?));
    let aspect = pixel_aspect(stream);
    let (width, height) = if aspect >= 1.0 { (width * aspect, height) } else { (width, height / aspect) };
    let size = Resolution { width: (width.round() as u32).max(1), height: (height.round() as u32).max(1) };
    Some(match stream.rotation {
        Some(90 | 270) => Resolution { width: size.height, height: size.width },
        _ => size,
    })
}

/// Width by height of a pixel; what is absurd counts as square, and so does what nobody sees.
pub(crate) fn pixel_aspect(stream: &VideoStream) -> f64 {
    let parse = |text: &str| {
        let (width, height) = text.split_once(':')?;
        Some(width.parse::<f64>().ok()? / height.parse::<f64>().ok()?)
    };
    let aspect = stream.pixel_aspect_ratio.as_deref().and_then(parse);
    let is_seen = |aspect: &f64| (0.125..=8.0).contains(aspect) && (aspect - 1.0).abs() > 0.01;
    aspect.filter(is_seen).unwrap_or(1.0)
}

/// Half pictures.
pub fn is_interlaced(stream: &VideoStream) -> bool {
    stream.scan_type.as_deref() == Some("interlaced")
}

/// Brighter than screens of old.
pub fn is_hdr(stream: &VideoStream) -> bool {
    matches!(stream.color_transfer.as_deref(), Some("smpte2084" | "arib-std-b67"))
}

/// The matrix of a track, in the scaler's words. Where it is not said, its size tells, as for every player.
pub fn matrix(stream: &VideoStream) -> &'static str {
    match stream.color_space.as_deref() {
        Some("bt709") => "bt709",
        Some("smpte170m" | "bt470bg") => "smpte170m",
        Some("fcc") => "fcc",
        Some("smpte240m") => "smpte240m",
        Some("bt2020nc" | "bt2020c") => "bt2020",
        _ if stream.height.unwrap_or_default() >= 720 => "bt709",
        _ => "smpte170m",
    }
}

/// From PQ or HLG to what any screen shows: BT.709, limited range. White paper (203 nits) stays nearly white; what is
/// brighter is pressed together, up to 1000 nits.
pub(crate) fn tone_map(stream: &VideoStream, abilities: Abilities) -> String {
    let hlg = stream.color_transfer.as_deref() == Some("arib-std-b67");
    if !abilities.zscale {
        return approximate_tone_map(hlg);
    }
    let transfer = if hlg { "arib-std-b67" } else { "smpte2084" };
    // Said explicitly: many files name the transfer and forget the rest.
    format!(
        "format=yuv444p10le,zscale=tin={transfer}:min=bt2020nc:pin=bt2020:rin={}:t=linear:npl=203,format=gbrpf32le,\
         zscale=p=bt709,tonemap=tonemap=mobius:param=0.5:peak=5:desat=0,zscale=t=bt709:m=bt709:p=bt709:r=tv,format=yuv420p",
        if stream.color_range.as_deref() == Some("pc") { "full" } else { "limited" }
    )
}

/// For builds without zscale: the same curve by tables for each channel, and a matrix for the primaries. Saturated
/// highlights shift a little.
fn approximate_tone_map(hlg: bool) -> String {
    let linear = if hlg {
        // In units of 203 nits, the white of paper, on a screen of 1000.
        "4.926*if(lte(val/maxval,0.5),pow(val/maxval,2)/3,(exp((val/maxval-0.55991073)/0.17883277)+0.28466892)/12)"
    } else {
        "49.26*pow(max(pow(val/maxval,1/78.84375)-0.8359375,0)/(18.8515625-18.6875*pow(val/maxval,1/78.84375)),1/0.1593017578125)"
    };
    // Stored, reused; Reinhard's curve with white at 1000 nits, then the gamma of a screen.
    let curve = format!("maxval*pow(min((st(0,{linear})*(1+ld(0)/25))/(1+ld(0)),1),1/2.2)");
    format!(
        "scale=in_color_matrix=bt2020,format=gbrp12le,lutrgb=r='{curve}':g='{curve}':b='{curve}',\
         colorchannelmixer=1.66:-0.59:-0.07:0:-0.12:1.13:-0.01:0:-0.02:-0.1:1.12:0,\
         scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
    )
}

/// The size of a picture to be encoded: even, within what H.264 decoders take, and as high as asked.
pub(crate) fn encoded(stream: &VideoStream, height: Option<u32>) -> Option<Resolution> {
    let shown = shown(stream)?;
    let (long, short) = (3840, 2160);
    let within = if shown.width >= shown.height {
        Resolution { width: long, height: short }
    } else {
        Resolution { width: short, height: long }
    };
    let mut size = shown.fitted(within);
    if let Some(height) = height {
        size = size.fitted(Resolution { width: u32::MAX, height });
    }
    let even = |side: u32| (side - side % 2).max(2);
    Some(Resolution { width: even(size.width), height: even(size.height) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(width: u32, height: u32, aspect: &str, rotation: i32) -> VideoStream {
        VideoStream {
            width: Some(width),
            height: Some(height),
            pixel_aspect_ratio: Some(aspect.to_owned()),
            rotation: Some(rotation),
            ..VideoStream::default()
        }
    }

    #[test]
    fn shown_upright_with_square_pixels() {
        for (width, height, aspect, rotation, expected) in [
            (1920, 1080, "1:1", 0, (1920, 1080)),
            (1920, 1080, "1:1", 90, (1080, 1920)),
            (720, 576, "64:45", 0, (1024, 576)),
            (720, 480, "8:9", 0, (720, 540)),
            (720, 576, "64:45", 270, (576, 1024)),
            (640, 360, "1:100000", 0, (640, 360)),
            (640, 360, "nonsense", 180, (640, 360)),
        ] {
            let shown = shown(&stream(width, height, aspect, rotation)).unwrap();
            assert_eq!((shown.width, shown.height), expected, "{width}x{height} {aspect} {rotation}");
        }
    }

    #[test]
    fn encoded_even_and_bounded() {
        for (width, height, ladder, expected) in [
            (641, 361, None, (640, 360)),
            (1, 1, None, (2, 2)),
            (7680, 4320, None, (3840, 2160)),
            (1080, 1920, None, (1080, 1920)),
            (1920, 1080, Some(720), (1280, 720)),
            (1920, 1080, Some(2160), (1920, 1080)),
            (854, 480, Some(360), (640, 360)),
        ] {
            let size = encoded(&stream(width, height, "1:1", 0), ladder).unwrap();
            assert_eq!((size.width, size.height), expected);
        }
    }
}
