use std::{fmt, str::FromStr};

use url::{Host, Url};

/// Longest URL, in bytes: what presigned URLs need, and room.
const MAX_BYTES: usize = 8192;

/// A URL that anyone could have: http or https, a host, no credentials. Whether its host may be dialled is judged when it
/// is. Its `Debug` leaves out the query, which may hold a signature.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicUrl(Url);

/// Why a text is no [`PublicUrl`], in a sentence for whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Longer than 8192 bytes.
    #[error("It has {0} bytes, at most {MAX_BYTES} are allowed.")]
    TooLong(usize),
    /// Some other scheme, or none.
    #[error("It must begin with http:// or https://.")]
    Scheme,
    /// `user:password@`.
    #[error("It must not hold a user name or a password.")]
    UserInfo,
    /// Not by the URL standard.
    #[error("It is not a valid URL: {0}.")]
    Syntax(#[from] url::ParseError),
}

impl PublicUrl {
    /// Reads an absolute URL; white space around it and a fragment are dropped.
    ///
    /// # Errors
    /// [`UrlError`], a sentence.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        // The URL standard would take `http:host` and `http:\\host`, too.
        let begins =
            |prefix: &str| text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        if text.len() > MAX_BYTES {
            return Err(UrlError::TooLong(text.len()));
        }
        if !begins("http://") && !begins("https://") {
            return Err(UrlError::Scheme);
        }
        Self::admit(Url::parse(text)?)
    }

    /// What a reference found there means: a `Location`, or a URI of a playlist.
    ///
    /// # Errors
    /// Like [`PublicUrl::parse`].
    pub fn join(&self, reference: &str) -> Result<Self, UrlError> {
        if reference.len() > MAX_BYTES {
            return Err(UrlError::TooLong(reference.len()));
        }
        Self::admit(self.0.join(reference)?)
    }

    fn admit(mut url: Url) -> Result<Self, UrlError> {
        url.set_fragment(None);
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::UserInfo);
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(url::ParseError::EmptyHost.into());
        }
        // Escaping makes it longer.
        if url.as_str().len() > MAX_BYTES {
            return Err(UrlError::TooLong(url.as_str().len()));
        }
        Ok(Self(url))
    }

    /// The whole of it, query and all: not for logs.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn as_url(&self) -> &Url {
        &self.0
    }

    /// What the end of its path calls it, decoded; not judged.
    pub fn filename(&self) -> Option<String> {
        let name = percent_encoding::percent_decode_str(self.last_segment()).decode_utf8_lossy().into_owned();
        Some(name).filter(|name| !name.is_empty())
    }

    pub(crate) fn host(&self) -> Option<Host<&str>> {
        self.0.host()
    }

    /// The last segment of the path, as it is spelled there.
    pub(crate) fn last_segment(&self) -> &str {
        self.0.path().rsplit('/').next().unwrap_or_default()
    }
}

impl FromStr for PublicUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::parse(text)
    }
}

impl fmt::Debug for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        if shown.query().is_some() {
            shown.set_query(Some("…"));
        }
        f.write_str(&shown.as_str().replace("%E2%80%A6", "…"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_taken() {
        for (text, kept) in [
            ("http://example.com", "http://example.com/"),
            ("HTTPS://Example.COM:443/a b.mp4#t=3", "https://example.com/a%20b.mp4"),
            (" https://example.com/ä?x=1\n", "https://example.com/%C3%A4?x=1"),
            ("http://bücher.example/", "http://xn--bcher-kva.example/"),
            ("http://[2606:4700::1111]:8080/", "http://[2606:4700::1111]:8080/"),
        ] {
            assert_eq!(PublicUrl::parse(text).unwrap().as_str(), kept);
        }
    }

    #[test]
    fn what_is_refused_and_why() {
        let long = format!("http://example.com/{}", "a".repeat(MAX_BYTES));
        let grows = format!("http://example.com/{}", " a".repeat(MAX_BYTES / 3));
        for (text, why) in [
            ("", "must begin with http://"),
            ("example.com/a.mp4", "must begin with http://"),
            ("file:///etc/passwd", "must begin with http://"),
            ("ftp://example.com/a", "must begin with http://"),
            ("http:example.com", "must begin with http://"),
            ("http:\\\\example.com", "must begin with http://"),
            ("data:text/plain,x", "must begin with http://"),
            ("http://", "empty host"),
            ("http:///", "empty host"),
            ("http://?x", "empty host"),
            ("http://a:b@example.com/", "user name or a password"),
            ("http://a@example.com/", "user name or a password"),
            ("http://:b@example.com/", "user name or a password"),
            ("http://example.com:99999/", "invalid port"),
            ("http://exa mple.com/", "not a valid URL"),
            ("http://256.256.256.256/", "not a valid URL"),
            (&long, "at most 8192"),
            (&grows, "at most 8192"),
        ] {
            let says = PublicUrl::parse(text).unwrap_err().to_string();
            assert!(says.contains(why), "{text}: {says}");
        }
    }

    #[test]
    fn references_are_resolved_and_judged_alike() {
        let base = PublicUrl::parse("https://example.com/a/b.m3u8?x=1").unwrap();
        for (reference, kept) in [
            ("c.mp4", "https://example.com/a/c.mp4"),
            ("/c.mp4?y", "https://example.com/c.mp4?y"),
            ("//other.example/c", "https://other.example/c"),
            ("http://other.example", "http://other.example/"),
            ("", "https://example.com/a/b.m3u8?x=1"),
        ] {
            assert_eq!(base.join(reference).unwrap().as_str(), kept);
        }
        assert_eq!(base.join("file:///etc/passwd"), Err(UrlError::Scheme));
        assert_eq!(base.join("http://a:b@c/"), Err(UrlError::UserInfo));
        assert_eq!(base.join(&"a".repeat(MAX_BYTES + 1)), Err(UrlError::TooLong(MAX_BYTES + 1)));
    }

    #[test]
    fn the_longest_is_taken() {
        let origin = "http://example.com/";
        let longest = format!("{origin}{}", "a".repeat(MAX_BYTES - origin.len()));
        let base = PublicUrl::parse(&longest).unwrap();
        assert_eq!(base.join(&longest), Ok(base));
        assert_eq!(PublicUrl::parse(&format!("{longest}a")), Err(UrlError::TooLong(MAX_BYTES + 1)));
        // As it came, not as what is left of it.
        let begins = PublicUrl::parse(origin).unwrap();
        assert_eq!(begins.join(&format!("{longest}#")), Err(UrlError::TooLong(MAX_BYTES + 1)));
        let far = PublicUrl::parse(&format!("{origin}{}/b", "a".repeat(100))).unwrap();
        assert!(far.join(&"a".repeat(MAX_BYTES - 10)).is_err());
    }

    #[test]
    fn a_signature_is_not_logged() {
        let url = PublicUrl::parse("https://example.com/a.mp4?X-Signature=secret").unwrap();
        assert_eq!(format!("{url:?}"), "https://example.com/a.mp4?…");
    }

    proptest! {
        #[test]
        fn any_text_is_judged(
            text in "\\PC*",
            tail in r#"(\PC*)|([a-z0-9.:@/\?\#%\[\]|^{}`"<> ä\-_~!$&'()*+,;=]{0,40})"#,
        ) {
            for text in [text, format!("http://{tail}")] {
                if let Ok(url) = PublicUrl::parse(&text) {
                    // The client has a parser of its own: it must not find another host to dial.
                    if let Ok(uri) = url.as_str().parse::<http::Uri>() {
                        prop_assert_eq!(uri.host(), url.as_url().host_str());
                    }
                    prop_assert_eq!(PublicUrl::parse(url.as_str()), Ok(url));
                }
            }
        }
    }
}
