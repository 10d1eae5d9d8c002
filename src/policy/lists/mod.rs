//! Lists of addresses, domains and networks, and tables from keys to values, as fast sets.

mod entry;
mod line;
mod networks;
mod table;
mod texts;

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;

use super::sources::ListKind;
use entry::Entry;
use texts::Texts;

pub(super) use entry::domain as normal_domain;
pub(super) use entry::domain_of;
pub(super) use line::{Line, day, without_comment};
pub(super) use networks::Networks;
pub(super) use table::Table;

/// One list, ready to be asked.
#[derive(Clone, Debug, Default)]
pub(super) struct EntrySet {
    addresses: Texts,
    domains: Texts,
    /// Without their dot in front.
    parents: Texts,
    networks: Networks,
}

/// A list while its entries are collected.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// The only kind that it takes; any without one.
    kind: Option<ListKind>,
    set: EntrySet,
    networks: Vec<IpNet>,
}

impl Entries {
    /// An empty list of this kind; of any without one.
    pub(super) fn of_kind(kind: Option<ListKind>) -> Self {
        Self { kind, ..Self::default() }
    }

    /// Adds the entry, or says what is wrong with it. An entry with `@` is an address (`@example.org` is the domain), an IP
    /// address or CIDR is a network, all else is a domain: `example.org` means itself, `.example.org` everything below it.
    pub(super) fn add(&mut self, text: &str) -> Result<(), String> {
        let entry = Entry::parse(text)?;
        if let Some(kind) = self.kind.filter(|kind| *kind != entry.kind()) {
            let text = text.escape_debug();
            return Err(format!("`{text}` is {}, and this is a list of {}", entry.kind().one(), kind.name()));
        }
        // Twice is as good as once.
        match entry {
            Entry::Address(address) => _ = self.set.addresses.insert(&address, ""),
            Entry::Domain(domain) => _ = self.set.domains.insert(&domain, ""),
            Entry::Below(parent) => _ = self.set.parents.insert(&parent, ""),
            Entry::Network(network) => self.networks.push(network),
        }
        Ok(())
    }

    /// The list, complete.
    pub(super) fn into_set(self) -> EntrySet {
        EntrySet { networks: Networks::new(self.networks), ..self.set }
    }
}

impl EntrySet {
    /// The kinds of entries that it has.
    pub(super) fn kinds(&self) -> Vec<ListKind> {
        let found = [
            (ListKind::Addresses, !self.addresses.is_empty()),
            (ListKind::Domains, !self.domains.is_empty() || !self.parents.is_empty()),
            (ListKind::Networks, !self.networks.is_empty()),
        ];
        found.into_iter().filter(|(_, has)| *has).map(|(kind, _)| kind).collect()
    }

    /// Whether an address (or its domain), a domain or an IP address is in the list.
    pub(super) fn contains(&self, text: &str) -> bool {
        if let Some(ip) = ip(text) {
            return !self.networks.is_empty() && self.networks.contains(ip);
        }
        let text = lower_case(text);
        match text.rsplit_once('@') {
            Some((_, domain)) => self.addresses.contains(&text) || self.contains_domain(domain),
            None => self.contains_domain(&text),
        }
    }

    fn contains_domain(&self, domain: &str) -> bool {
        let domain = domain.trim_end_matches('.');
        let parents = domain.match_indices('.').filter_map(|(at, _)| domain.get(at + 1..));
        let is_below = || parents.into_iter().any(|parent| self.parents.contains(parent));
        self.domains.contains(domain) || (!self.parents.is_empty() && is_below())
    }
}

/// The IP address that `text` is.
fn ip(text: &str) -> Option<IpAddr> {
    let may_be = text.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':');
    if may_be { text.parse().ok() } else { None }
}

fn lower_case(text: &str) -> Cow<'_, str> {
    let is_lower = text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase());
    if is_lower { text.into() } else { text.to_lowercase().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> EntrySet {
        let mut list = Entries::default();
        for entry in entries {
            list.add(entry).unwrap();
        }
        list.into_set()
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
        let whole = "is no network: write a whole one, such as `192.0.2.0/24` or `2001:db8::/32`";
        let nothing = "is no address, domain or network";
        let each = "is no address, domain or network: each stands by itself, in a file on a line of its own";
        let all_of = "is no address, domain or network: write `example.org` for all addresses of the domain";
        let below = "is no address, domain or network: write `.example.org` for all below the domain";
        let outer = "is an address in a network, not a network: write `192.0.2.0/24`";
        for (entries, why) in [
            (
                &["", ".", "@", "x@", "-", "a..b", "..example.org", "@.example.org", "example.org.."][..],
                nothing,
            ),
            (&["a@b@c", "a@b@", "<jane@example.org>", "http://example.org", "example.org/24"], nothing),
            (&["a\u{1f}b@example.org", "jane@192.0.2", "\"a\"b@example.org"], nothing),
            (&["jane*@example.org", "\"*\"@example.org", "*@", "*", "mail.*.example.org"], nothing),
            (&["jane@example.org, joe@example.org", "a.example; b.example", "a b", "exa mple.org"], each),
            (&["jane@example.org;joe@example.org", "jane@example.org,", "Jane Doe <jane@example.org>"], each),
            (&["*@example.org", "*@Example.org."], all_of),
            (&["*.example.org"], below),
            (
                &[
                    "192.0.2",
                    "192.0.2.",
                    "10",
                    "10.",
                    "192.0.2.0/33",
                    "192.0.2/24",
                    "192.0.2.256",
                    "192.0.2.*",
                ],
                whole,
            ),
            (
                &[
                    "192.0.2.0-192.0.2.9",
                    "192.0.2.0-9",
                    "2001:db8:",
                    "2001:db8::/129",
                    "2001:db8::1-2001:db8::9",
                ],
                whole,
            ),
            (&["192.0.2.1/24"], outer),
        ] {
            for entry in entries {
                let found = Entries::default().add(entry).unwrap_err();
                assert_eq!(found, format!("`{}` {why}", entry.escape_debug()));
            }
        }
    }

    #[test]
    fn odd_entries_that_are_some() {
        for (entry, text) in [
            ("bücher.example", "xn--bcher-kva.example"),
            ("@example.org.", "example.org"),
            ("_spf.example.org", "_spf.example.org"),
            ("-r3---sn.example.org", "-r3---sn.example.org"),
            ("0.example.org", "0.example.org"),
            ("localhost", "localhost"),
            ("a..b.@example.org", "a..b.@example.org"),
            (".jane@example.org", ".jane@example.org"),
            ("\"Jane\"@example.org", "jane@example.org"),
            ("\"jane@home, or not\"@example.org", "\"jane@home, or not\"@example.org"),
            ("jane+list=a#b@example.org", "jane+list=a#b@example.org"),
            ("jäne@example.org", "JÄNE@example.org"),
        ] {
            assert!(list(&[entry]).contains(text), "{entry}");
        }
    }

    #[test]
    fn a_list_of_one_kind_takes_no_other() {
        for (kind, good, bad) in [
            (ListKind::Addresses, "a@example.org", "example.org"),
            (ListKind::Domains, "@example.org", "192.0.2.1"),
            (ListKind::Domains, ".example.org", "a@example.org"),
            (ListKind::Networks, "2001:db8::1", "example.org"),
        ] {
            let mut list = Entries::of_kind(Some(kind));
            assert_eq!(list.add(good), Ok(()), "{good}");
            let problem = list.add(bad).unwrap_err();
            assert!(problem.ends_with(&format!("and this is a list of {}", kind.name())), "{problem}");
        }
    }
}
