//! URLs that open one asset's media to whoever has them: no API key, nothing to guess, an end if one is set.

use reelhouse_api::AssetId;

use crate::signer::Signer;

/// What a media URL opens. Each opens nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaScope {
    /// Playlists and segments.
    Hls,
    /// The picture.
    Thumbnail,
    /// Many small pictures.
    Storyboard,
    /// What was uploaded.
    Original,
}

impl MediaScope {
    /// As it stands in the URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hls => "hls",
            Self::Thumbnail => "thumbnail",
            Self::Storyboard => "storyboard",
            Self::Original => "original",
        }
    }

    /// Reads it back.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Hls, Self::Thumbnail, Self::Storyboard, Self::Original]
            .into_iter()
            .find(|scope| scope.as_str() == text)
    }
}

/// Makes and checks the tokens of media URLs.
#[derive(Debug, Clone)]
pub(crate) struct MediaUrls {
    signer: Signer,
    /// Seconds; 0 for no end.
    ttl: u64,
}

impl MediaUrls {
    pub(crate) fn new(signer: Signer, ttl: u64) -> Self {
        Self { signer, ttl }
    }

    /// A token that lives for one to two lifetimes: it changes only once in a lifetime, so that caches can hold on to it.
    pub(crate) fn token(&self, scope: MediaScope, asset: AssetId, now: i64) -> String {
        let end = now.unsigned_abs().checked_div(self.ttl).map_or(0, |period| (period + 2) * self.ttl);
        self.signer.token(&what(scope, asset), end)
    }

    /// Seconds for which a token opens this from now on, `u64::MAX` for ever; `None` when it does not.
    pub(crate) fn opens(&self, scope: MediaScope, asset: AssetId, token: &str, now: i64) -> Option<u64> {
        self.signer.opens(&what(scope, asset), token, now)
    }
}

/// What a token opens.
fn what(scope: MediaScope, asset: AssetId) -> String {
    format!("{}/{asset}", scope.as_str())
}

#[cfg(test)]
mod tests {
    use reelhouse_api::IdMaker;

    use super::*;

    #[test]
    fn a_scope_has_a_name() {
        for scope in [MediaScope::Hls, MediaScope::Thumbnail, MediaScope::Storyboard, MediaScope::Original] {
            assert_eq!(MediaScope::parse(scope.as_str()), Some(scope));
        }
        assert_eq!(MediaScope::parse("HLS"), None);
    }

    #[test]
    fn a_token_opens_what_it_was_made_for_and_nothing_else() {
        let ids = IdMaker::default();
        let (asset, other): (AssetId, AssetId) = (ids.next(1, [1; 4]), ids.next(2, [2; 4]));
        let urls = MediaUrls::new(Signer::new("secret"), 0);
        let token = urls.token(MediaScope::Hls, asset, 1000);
        assert!(urls.opens(MediaScope::Hls, asset, &token, i64::MAX).is_some());
        assert!(urls.opens(MediaScope::Original, asset, &token, 1000).is_none());
        assert!(urls.opens(MediaScope::Hls, other, &token, 1000).is_none());
        assert!(
            MediaUrls::new(Signer::new("another"), 0).opens(MediaScope::Hls, asset, &token, 1000).is_none()
        );
        assert!(urls.opens(MediaScope::Hls, asset, &format!("0{token}"), 1000).is_none());
        // Every bit counts.
        for at in 0..token.len() {
            for bit in 0..7 {
                let mut bytes = token.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let altered = String::from_utf8(bytes).unwrap();
                assert!(urls.opens(MediaScope::Hls, asset, &altered, 1000).is_none(), "{altered}");
            }
        }
        for nonsense in ["", "-", "0-", "x-y", &token[1..]] {
            assert!(urls.opens(MediaScope::Hls, asset, nonsense, 1000).is_none());
        }
    }

    #[test]
    fn a_token_ends() {
        let asset: AssetId = IdMaker::default().next(1, [1; 4]);
        let urls = MediaUrls::new(Signer::new("secret"), 100);
        let token = urls.token(MediaScope::Hls, asset, 1050);
        assert_eq!(token, urls.token(MediaScope::Hls, asset, 1099));
        assert!(urls.opens(MediaScope::Hls, asset, &token, 1199).is_some());
        assert!(urls.opens(MediaScope::Hls, asset, &token, 1200).is_none());
    }
}
