//! A set of domains, as operators write them.

use std::collections::HashSet;

use super::path::{Domain, ForwardPath};

/// Domains in lower case and A-labels: `example.org` is itself, `.example.org` everything below it, `*` any domain at all.
#[derive(Clone, Debug, Default)]
pub struct DomainSet {
    domains: HashSet<String>,
    parents: HashSet<String>,
    any: bool,
}

impl DomainSet {
    /// Whether the domain, in lower case and A-labels, is in the set.
    pub fn contains(&self, domain: &str) -> bool {
        self.any || self.names(domain)
    }

    /// Whether the domain is in the set, and not only because every domain is.
    pub fn names(&self, domain: &str) -> bool {
        let below =
            |(at, _): (usize, char)| domain.get(at + 1..).is_some_and(|rest| self.parents.contains(rest));
        self.domains.contains(domain) || domain.char_indices().filter(|(_, c)| *c == '.').any(below)
    }

    /// Whether the set has any domain that `pattern` means, which is written as the set's own are: `example.org` or `.example.org`.
    pub fn meets(&self, pattern: &str) -> bool {
        let Some(parent) = pattern.strip_prefix('.') else { return self.contains(pattern) };
        let is_below = |name: &String| name.ends_with(pattern);
        self.any
            || self.parents.contains(parent)
            || self.domains.iter().chain(&self.parents).any(is_below)
            || self.names(&format!("x{pattern}"))
    }

    /// Whether there is none in it.
    pub fn is_empty(&self) -> bool {
        !self.any && self.domains.is_empty() && self.parents.is_empty()
    }

    /// The domains of the set that stand for themselves, in no order.
    pub fn singles(&self) -> impl ExactSizeIterator<Item = &str> {
        self.domains.iter().map(String::as_str)
    }

    /// Whether the path leads to a domain of the set. An address literal never does, as it would open a way around the set.
    pub fn takes(&self, path: &ForwardPath) -> bool {
        match path {
            ForwardPath::Postmaster(_) => false,
            ForwardPath::Mailbox(mailbox) => match mailbox.domain() {
                Domain::Name(name) => self.contains(name.ascii()),
                Domain::Literal(_) => false,
            },
        }
    }
}

impl Extend<String> for DomainSet {
    fn extend<I: IntoIterator<Item = String>>(&mut self, domains: I) {
        for domain in domains {
            match domain.strip_prefix('.') {
                _ if domain == "*" => self.any = true,
                Some(parent) => {
                    self.parents.insert(parent.to_owned());
                }
                None => {
                    self.domains.insert(domain);
                }
            }
        }
    }
}

impl FromIterator<String> for DomainSet {
    fn from_iter<I: IntoIterator<Item = String>>(domains: I) -> Self {
        let mut set = Self::default();
        set.extend(domains);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_meets_what_it_means() {
        let set: DomainSet = ["example.org", ".sub.example.net"].map(str::to_owned).into_iter().collect();
        for (pattern, meets) in [
            ("example.org", true),
            (".example.org", false),
            (".org", true),
            ("sub.example.net", false),
            ("a.sub.example.net", true),
            (".sub.example.net", true),
            (".a.sub.example.net", true),
            (".example.net", true),
            (".xsub.example.net", false),
            ("example.net", false),
            (".", false),
        ] {
            assert_eq!(set.meets(pattern), meets, "{pattern}");
        }
        let all: DomainSet = ["*".to_owned()].into_iter().collect();
        assert!(all.meets("any.example") && all.meets(".any.example") && !all.is_empty());
        assert!(DomainSet::default().is_empty() && !DomainSet::default().meets(".org"));
    }

    #[test]
    fn domains_and_what_is_below_them() {
        let set: DomainSet = ["example.org", ".sub.example.net"].map(str::to_owned).into_iter().collect();
        let cases = [
            ("example.org", true),
            ("mail.example.org", false),
            ("sub.example.net", false),
            ("a.sub.example.net", true),
            ("a.b.sub.example.net", true),
            ("evilsub.example.net", false),
            ("", false),
            (".", false),
        ];
        for (domain, inside) in cases {
            assert_eq!(set.contains(domain), inside, "{domain}");
        }
    }

    #[test]
    fn only_names_are_in_a_set() {
        let set: DomainSet = ["*".to_owned()].into_iter().collect();
        for (path, inside) in [("<a@example.org>", true), ("<a@[192.0.2.1]>", false), ("<postmaster>", false)]
        {
            assert_eq!(set.takes(&ForwardPath::parse(path).unwrap()), inside, "{path}");
        }
    }
}
