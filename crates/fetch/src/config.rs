use std::{fmt, str::FromStr, time::Duration};

use url::Url;

use crate::Allow;

/// How a [`crate::Fetcher`] behaves. The defaults are for the internet.
#[derive(Debug, Clone)]
pub struct Config {
    /// What may be dialled although it is not public.
    pub allow: Vec<Allow>,
    /// The operator's name for [`Config::allow`], for what is logged of a refusal.
    pub allow_setting: &'static str,
    /// Who dials instead of us.
    pub proxy: Option<Proxy>,
    /// Longest time to look up a name, connect and agree on TLS.
    pub connect_timeout: Duration,
    /// Longest time from there to the end of the answer's head.
    pub first_byte_timeout: Duration,
    /// Longest time without a byte of the body.
    pub idle_timeout: Duration,
    /// Slowest body, in bytes per second, averaged over [`Config::rate_window`]; 0 is no floor. Time in which nobody
    /// asked for bytes does not count.
    pub min_rate: u64,
    /// See [`Config::min_rate`]. No body is called slow before one such window.
    pub rate_window: Duration,
    /// Most redirects of one fetch.
    pub max_redirects: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            allow_setting: "REELHOUSE_IMPORT_ALLOW",
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            min_rate: 10_000,
            rate_window: Duration::from_secs(60),
            max_redirects: 5,
        }
    }
}

/// A forward proxy: `http://[user:password@]host[:port]`, or https. Its `Debug` leaves out the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(Url);

/// Why a text is no [`Proxy`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// SOCKS, for instance.
    #[error("a proxy's URL must begin with http:// or https://")]
    Scheme,
    /// Not by the URL standard.
    #[error("not a valid URL: {0}")]
    Syntax(#[from] url::ParseError),
}

impl Proxy {
    pub(crate) fn url(&self) -> &Url {
        &self.0
    }
}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let url = Url::parse(text)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ProxyError::Scheme);
        }
        Ok(Self(url))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        if shown.password().is_some() {
            // Fails only for URLs without a host.
            let _ = shown.set_password(Some("..."));
        }
        f.write_str(shown.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies() {
        let proxy: Proxy = "http://me:secret@proxy.internal:3128".parse().unwrap();
        assert_eq!(format!("{proxy:?}"), "http://me:...@proxy.internal:3128/");
        assert_eq!("socks5://proxy:1080".parse::<Proxy>(), Err(ProxyError::Scheme));
        assert_eq!("proxy:3128".parse::<Proxy>(), Err(ProxyError::Scheme));
        assert!(matches!("http://".parse::<Proxy>(), Err(ProxyError::Syntax(_))));
    }
}
