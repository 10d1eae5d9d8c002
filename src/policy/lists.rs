//! Lists of addresses, domains and networks, as fast sets.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::units;

/// One list. An entry with `@` is an address (`@example.org` is the domain), an IP address or CIDR is a network, all else is a
/// domain: `example.org` means itself, `.example.org` everything below it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct EntrySet {
    addresses: HashSet<String>,
    domains: HashSet<String>,
    /// Without their dot in front.
    parents: HashSet<String>,
    networks: HashSet<IpNet>,
    /// The prefix lengths that occur, so that a look-up tries no others.
    prefixes: BTreeSet<u8>,
}

impl EntrySet {
    /// Adds the entry, or says what is wrong with it.
    pub(super) fn add(&mut self, entry: &str) -> Result<(), String> {
        if let Some(network) = units::network(entry) {
            self.prefixes.insert(network.prefix_len());
            self.networks.insert(network);
        } else if let Some(parent) = entry.strip_prefix('.') {
            self.parents.insert(domain(parent)?);
        } else {
            match entry.rsplit_once('@') {
                Some(("", name)) => self.domains.insert(domain(name)?),
                Some((local_part, name)) => {
                    self.addresses.insert(format!("{}@{}", local_part.to_lowercase(), domain(name)?))
                }
                None => self.domains.insert(domain(entry)?),
            };
        }
        Ok(())
    }

    /// Whether an address (or its domain), a domain or an IP address is in the list.
    pub(super) fn contains(&self, text: &str) -> bool {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return self.contains_ip(ip);
        }
        let text = text.to_lowercase();
        match text.rsplit_once('@') {
            Some((_, domain)) => self.addresses.contains(&text) || self.contains_domain(domain),
            None => self.contains_domain(&text),
        }
    }

    fn contains_domain(&self, domain: &str) -> bool {
        let domain = domain.trim_end_matches('.');
        let parents = domain.match_indices('.').filter_map(|(at, _)| domain.get(at + 1..));
        self.domains.contains(domain) || parents.into_iter().any(|parent| self.parents.contains(parent))
    }

    fn contains_ip(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let networks = self.prefixes.iter().filter_map(|prefix| IpNet::new(ip, *prefix).ok());
        networks.map(|network| network.trunc()).any(|network| self.networks.contains(&network))
    }
}

/// A domain in the form in which scripts see it: lower case, A-labels.
fn domain(name: &str) -> Result<String, String> {
    let ascii = idna::domain_to_ascii(name.trim_end_matches('.')).unwrap_or_default();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if ascii.len() <= 253 && ascii.split('.').all(is_label) {
        Ok(ascii)
    } else {
        Err(format!("`{}` is no address, domain or network", name.escape_debug()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> EntrySet {
        let mut set = EntrySet::default();
        for entry in entries {
            set.add(entry).unwrap();
        }
        set
    }

    #[test]
    fn an_entry_means_itself_and_nothing_near_it() {
        let set = list(&[
            "Boss@Example.org",
            "example.net",
            ".sub.test",
            "192.0.2.0/24",
            "2001:db8::/32",
            "198.51.100.7",
        ]);
        let inside = [
            "boss@example.org",
            "example.net",
            "anyone@example.net",
            "EXAMPLE.NET",
            "a.sub.test",
            "x@a.b.sub.test",
            "192.0.2.200",
            "::ffff:192.0.2.1",
            "2001:db8:1::1",
            "198.51.100.7",
        ];
        for text in inside {
            assert!(set.contains(text), "{text}");
        }
        let outside = [
            "",
            "example.org",
            "clerk@example.org",
            "a.example.net",
            "notexample.net",
            "sub.test",
            "192.0.3.1",
            "198.51.100.8",
            "2001:db9::1",
            "org",
            "@",
        ];
        for text in outside {
            assert!(!set.contains(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for entry in
            ["", ".", "@", "a b", "exa mple.org", "a@b@", "192.0.2.0/33", "x@", "a..b", "http://example.org"]
        {
            assert!(EntrySet::default().add(entry).is_err(), "{entry}");
        }
        for entry in ["bücher.example", "@example.org", "_spf.example.org"] {
            assert!(EntrySet::default().add(entry).is_ok(), "{entry}");
        }
    }
}
