//! Who may be dialled.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
};

use ipnet::IpNet;
use url::Host;

use crate::{Allow, address};

/// Why something is not dialled, in the operator's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused: {what} is {kind}; {setting} could allow it")]
pub(crate) struct Refused {
    what: String,
    kind: &'static str,
    setting: &'static str,
}

#[derive(Debug)]
pub(crate) struct Guard {
    setting: &'static str,
    blocks: Vec<IpNet>,
    names: HashSet<String>,
}

impl Guard {
    pub(crate) fn new(allow: &[Allow], setting: &'static str) -> Self {
        let (mut blocks, mut names) = (Vec::new(), HashSet::new());
        for allowed in allow.iter().cloned() {
            match allowed {
                Allow::Block(block) => blocks.push(block),
                Allow::Name(name) => {
                    names.insert(name);
                }
            }
        }
        Self { setting, blocks, names }
    }

    /// Judges a URL's host before anything is dialled: literals for good; of names, those that mean this machine
    /// (RFC 6761, 6.3).
    pub(crate) fn admit_host(&self, host: Host<&str>) -> Result<(), Refused> {
        match host {
            Host::Ipv4(address) => self.admit_address(address.into()),
            Host::Ipv6(address) => self.admit_address(address.into()),
            Host::Domain(name) if self.allows_name(name) || !is_localhost(name) => Ok(()),
            Host::Domain(name) => self
                .admit_address(Ipv4Addr::LOCALHOST.into())
                .map_err(|refused| Refused { what: name.to_owned(), ..refused }),
        }
    }

    pub(crate) fn admit_address(&self, address: IpAddr) -> Result<(), Refused> {
        match address::special(address) {
            Some(kind) if !self.blocks.iter().any(|block| block.contains(&address)) => {
                Err(Refused { what: address.to_string(), kind, setting: self.setting })
            }
            _ => Ok(()),
        }
    }

    /// Of what a name resolves to, what may be dialled. A name with a private address beside a public one is reached at
    /// the public one.
    pub(crate) fn admit_resolved(&self, name: &str, addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, Refused> {
        if self.allows_name(name) {
            return Ok(addresses);
        }
        let mut refused = None;
        let admitted: Vec<IpAddr> = addresses
            .into_iter()
            .filter(|address| self.admit_address(*address).map_err(|why| refused = Some(why)).is_ok())
            .collect();
        match refused {
            Some(why) if admitted.is_empty() => {
                Err(Refused { what: format!("{name} ({})", why.what), ..why })
            }
            _ => Ok(admitted),
        }
    }

    fn allows_name(&self, name: &str) -> bool {
        self.names.contains(name.trim_end_matches('.').to_ascii_lowercase().as_str())
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allow: &str) -> Guard {
        Guard::new(&Allow::parse_list(allow).unwrap(), "REELHOUSE_IMPORT_ALLOW")
    }

    fn addresses(text: &str) -> Vec<IpAddr> {
        text.split_whitespace().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn private_addresses_are_dropped_and_none_left_is_a_refusal() {
        let plain = guard("");
        let resolve = |guard: &Guard, text| guard.admit_resolved("a.example", addresses(text));
        assert_eq!(resolve(&plain, "10.0.0.1 8.8.8.8 ::1"), Ok(addresses("8.8.8.8")));
        assert_eq!(resolve(&plain, ""), Ok(vec![]));
        assert_eq!(
            resolve(&plain, "10.0.0.1").unwrap_err().to_string(),
            "refused: a.example (10.0.0.1) is private; REELHOUSE_IMPORT_ALLOW could allow it"
        );
        assert_eq!(resolve(&guard("10.0.0.0/24"), "10.0.0.1 10.0.1.1"), Ok(addresses("10.0.0.1")));
        assert_eq!(resolve(&guard("a.example"), "10.0.0.1 ::1"), Ok(addresses("10.0.0.1 ::1")));
        // A name allows itself only, neither what is under it nor its address.
        assert!(guard("example").admit_resolved("a.example", addresses("10.0.0.1")).is_err());
        assert!(guard("a.example").admit_address("10.0.0.1".parse().unwrap()).is_err());
        // An IPv4 block does not allow what embeds its addresses.
        assert!(guard("0.0.0.0/0").admit_address("::ffff:10.0.0.1".parse().unwrap()).is_err());
    }

    #[test]
    fn names_of_this_machine() {
        for name in ["localhost", "LOCALHOST", "localhost.", "a.localhost", "a.b.localhost."] {
            let refused = guard("").admit_host(Host::Domain(name)).unwrap_err();
            assert_eq!(refused.what, name);
            assert!(guard("127.0.0.0/8").admit_host(Host::Domain(name)).is_ok(), "{name}");
        }
        assert!(guard("localhost").admit_host(Host::Domain("localhost.")).is_ok());
        assert!(guard("localhost").admit_host(Host::Domain("a.localhost")).is_err());
        assert!(guard("").admit_host(Host::Domain("localhost.example")).is_ok());
        assert!(guard("").admit_host(Host::Domain("mylocalhost")).is_ok());
    }
}
