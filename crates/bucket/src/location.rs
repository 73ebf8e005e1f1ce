use http::uri::{Authority, Scheme};

use crate::{Error, Result};

/// Where a bucket is, and what part of it is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Scheme and authority of every request.
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    /// The bucket's name.
    pub(crate) bucket: String,
    /// What paths begin with: nothing, or the bucket where it is not part of the host's name.
    pub(crate) root: String,
    pub(crate) region: String,
    /// Before every key; empty, or with a `/` at its end.
    pub(crate) prefix: String,
    /// As the setting said it.
    shown: String,
}

impl Location {
    /// Reads `s3://bucket/prefix`; region and endpoint come from the usual variables, which `variable` looks up.
    ///
    /// # Errors
    /// [`Error::Url`] for anything else.
    pub fn parse(url: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let wrong = |why: &str| Error::Url(format!("{why}: {url}"));
        let rest = url.strip_prefix("s3://").ok_or_else(|| wrong("it does not begin with s3://"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.' || c == '_';
        if bucket.len() < 3 || bucket.len() > 63 || !bucket.chars().all(is_name) {
            return Err(wrong("this is not the name of a bucket"));
        }
        let prefix = prefix.trim_matches('/');
        if prefix.split('/').any(|part| part.is_empty() || part == "." || part == "..") && !prefix.is_empty()
        {
            return Err(wrong("a prefix is names with a / between them"));
        }
        let first =
            |names: &[&str]| names.iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
        let region = first(&["AWS_REGION", "AWS_DEFAULT_REGION"]).unwrap_or_else(|| "us-east-1".to_owned());
        let (scheme, authority, root) = match first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]) {
            // Names of buckets in the host's name need a DNS of their own: stores elsewhere all know paths.
            Some(endpoint) => {
                let uri: http::Uri = endpoint.parse().map_err(|_| wrong("AWS_ENDPOINT_URL is no URL"))?;
                let parts = uri.into_parts();
                let scheme = parts.scheme.filter(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme));
                let scheme = scheme.ok_or_else(|| wrong("AWS_ENDPOINT_URL is neither http nor https"))?;
                let authority = parts.authority.ok_or_else(|| wrong("AWS_ENDPOINT_URL names no host"))?;
                let path = parts.path_and_query.map(|path| path.path().trim_end_matches('/').to_owned());
                (scheme, authority, format!("{}/{bucket}", path.unwrap_or_default()))
            }
            None => {
                let host = if bucket.contains('.') || bucket.contains('_') {
                    // Its certificate is for one name before the dot.
                    (format!("s3.{region}.amazonaws.com"), format!("/{bucket}"))
                } else {
                    (format!("{bucket}.s3.{region}.amazonaws.com"), String::new())
                };
                let authority = host.0.parse().map_err(|_| wrong("AWS_REGION is no region"))?;
                (Scheme::HTTPS, authority, host.1)
            }
        };
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self { scheme, authority, bucket: bucket.to_owned(), root, region, prefix, shown: url.to_owned() })
    }
}

impl Location {
    /// Scheme, host and port of the bucket's URLs.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str, variables: &[(&str, &str)]) -> Result<Location> {
        Location::parse(url, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_bucket_is_where_the_usual_variables_say() {
        let there = parse("s3://media/a/b/", &[("AWS_REGION", "eu-west-1")]).unwrap();
        assert_eq!(there.authority.as_str(), "media.s3.eu-west-1.amazonaws.com");
        assert_eq!((there.root.as_str(), there.prefix.as_str()), ("", "a/b/"));
        let there = parse("s3://media.example", &[]).unwrap();
        assert_eq!(there.authority.as_str(), "s3.us-east-1.amazonaws.com");
        assert_eq!((there.root.as_str(), there.prefix.as_str()), ("/media.example", ""));
        let there = parse("s3://media", &[("AWS_ENDPOINT_URL", "http://127.0.0.1:8333/")]).unwrap();
        assert_eq!((there.scheme.as_str(), there.authority.as_str()), ("http", "127.0.0.1:8333"));
        assert_eq!(there.root, "/media");
    }

    #[test]
    fn what_is_no_bucket_is_refused() {
        for bad in [
            "",
            "s3:",
            "s3://",
            "s3://ab",
            "s3://Caps",
            "s3://a b c",
            "https://media",
            "s3://media/a//b",
            "s3://media/../b",
        ] {
            assert!(matches!(parse(bad, &[]), Err(Error::Url(_))), "{bad}");
        }
        for endpoint in ["127.0.0.1:8333", "ftp://h", "http://"] {
            assert!(parse("s3://media", &[("AWS_ENDPOINT_URL", endpoint)]).is_err(), "{endpoint}");
        }
    }
}
