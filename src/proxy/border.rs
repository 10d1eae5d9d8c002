//! What is ours, and whom we trust: the two questions that decide whether mail may pass at all.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::smtp::path::{Domain, ForwardPath};

/// Our recipients' domains and our networks.
#[derive(Clone, Debug, Default)]
pub struct Border {
    domains: HashSet<String>,
    parents: HashSet<String>,
    any_domain: bool,
    trusted: Vec<IpNet>,
}

impl Border {
    /// `domains` in lower case and A-labels: `example.org` is itself, `.example.org` everything below it, `*` any domain at all.
    pub fn new(domains: impl IntoIterator<Item = String>, trusted: Vec<IpNet>) -> Self {
        let mut border = Self { trusted, ..Self::default() };
        for domain in domains {
            match domain.strip_prefix('.') {
                _ if domain == "*" => border.any_domain = true,
                Some(parent) => {
                    border.parents.insert(parent.to_owned());
                }
                None => {
                    border.domains.insert(domain);
                }
            }
        }
        border
    }

    /// Whether mail for this recipient is for us. `<postmaster>` without a domain always is (RFC 5321 4.5.1); an address
    /// literal never is, as it would open a way around the list.
    pub fn is_ours(&self, path: &ForwardPath) -> bool {
        match path {
            ForwardPath::Postmaster(_) => true,
            ForwardPath::Mailbox(mailbox) => match mailbox.domain() {
                Domain::Name(name) => self.is_our_domain(name.ascii()),
                Domain::Literal(_) => false,
            },
        }
    }

    /// The same for a domain in lower case and A-labels.
    pub fn is_our_domain(&self, domain: &str) -> bool {
        let below =
            |(at, _): (usize, char)| domain.get(at + 1..).is_some_and(|rest| self.parents.contains(rest));
        self.any_domain
            || self.domains.contains(domain)
            || domain.char_indices().filter(|(_, c)| *c == '.').any(below)
    }

    /// Whether the client belongs to one of our networks.
    pub fn trusts(&self, client: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_and_what_is_below_them() {
        let border = Border::new(["example.org", ".sub.example.net"].map(str::to_owned), Vec::new());
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
        for (domain, ours) in cases {
            assert_eq!(border.is_our_domain(domain), ours, "{domain}");
        }
    }

    #[test]
    fn nothing_is_ours_until_somebody_says_so() {
        let border = Border::default();
        assert!(!border.is_our_domain("example.org"));
        assert!(!border.trusts(IpAddr::from([127, 0, 0, 1])));
    }
}
