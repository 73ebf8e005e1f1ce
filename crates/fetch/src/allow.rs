use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;
use url::Host;

/// What may be dialled although it is not public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allow {
    /// These addresses.
    Block(IpNet),
    /// This name, whatever it resolves to; in ASCII and lower case, without a final dot.
    Name(String),
}

/// Why a text is no [`Allow`], in a sentence for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowError {
    /// Neither an address, nor a block, nor a name.
    #[error(
        "{0:?} is neither a CIDR block (10.0.0.0/8), nor an address (::1), nor a host name (media.internal)"
    )]
    Nonsense(String),
    /// Its address has bits beyond its length.
    #[error("{text:?} is no CIDR block: the one that holds it is {block}")]
    NotABlock {
        /// As given.
        text: String,
        /// What may have been meant.
        block: IpNet,
    },
}

impl Allow {
    /// Reads a list separated by commas or white space: `10.0.0.0/8, ::1, media.internal`. Empty is none.
    ///
    /// # Errors
    /// [`AllowError`] of the first entry that means nothing.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, AllowError> {
        text.split([',', ' ', '\t', '\n']).filter(|entry| !entry.is_empty()).map(Self::from_str).collect()
    }
}

impl FromStr for Allow {
    type Err = AllowError;

    fn from_str(text: &str) -> Result<Self, AllowError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Block(address.into()));
        }
        if let Ok(block) = text.parse::<IpNet>() {
            let whole = block.trunc();
            return if whole == block {
                Ok(Self::Block(block))
            } else {
                Err(AllowError::NotABlock { text: text.to_owned(), block: whole })
            };
        }
        match Host::parse(text) {
            Ok(Host::Domain(name)) if !name.contains('*') && !name.trim_end_matches('.').is_empty() => {
                Ok(Self::Name(name.trim_end_matches('.').to_owned()))
            }
            _ => Err(AllowError::Nonsense(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_as_operators_write_them() {
        let block = |text: &str| Allow::Block(text.parse().unwrap());
        let name = |text: &str| Allow::Name(text.to_owned());
        for (text, list) in [
            ("", vec![]),
            (" , ", vec![]),
            (
                "10.0.0.0/8, ::1, media.internal",
                vec![block("10.0.0.0/8"), block("::1/128"), name("media.internal")],
            ),
            ("127.0.0.1 fd00::/8", vec![block("127.0.0.1/32"), block("fd00::/8")]),
            ("Bücher.Example.,localhost", vec![name("xn--bcher-kva.example"), name("localhost")]),
            ("0.0.0.0/0", vec![block("0.0.0.0/0")]),
        ] {
            assert_eq!(Allow::parse_list(text).unwrap(), list, "{text}");
        }
    }

    #[test]
    fn nonsense_is_named() {
        for text in [
            "10.0.0.0/33",
            "10.0.0/8",
            "http://a",
            "*.internal",
            "a b/c",
            "10.0.0.1:80",
            "::1/200",
            "0x7f.1",
            ".",
        ] {
            let entry = text.split(' ').next_back().unwrap();
            assert_eq!(Allow::parse_list(text), Err(AllowError::Nonsense(entry.to_owned())), "{text}");
        }
        assert_eq!(
            Allow::parse_list("10.0.0.1/8").unwrap_err().to_string(),
            "\"10.0.0.1/8\" is no CIDR block: the one that holds it is 10.0.0.0/8"
        );
    }
}
