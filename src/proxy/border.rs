//! What is ours, and whom we trust: the two questions that decide whether mail may pass at all.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::smtp::domains::DomainSet;
use crate::smtp::path::ForwardPath;

/// Our recipients' domains and our networks.
#[derive(Clone, Debug, Default)]
pub struct Border {
    domains: DomainSet,
    trusted: Vec<IpNet>,
}

impl Border {
    /// `domains` in lower case and A-labels: `example.org` is itself, `.example.org` everything below it, `*` any domain at all.
    pub fn new(domains: impl IntoIterator<Item = String>, trusted: Vec<IpNet>) -> Self {
        Self { domains: domains.into_iter().collect(), trusted }
    }

    /// Whether mail for this recipient is for us. `<postmaster>` without a domain always is (RFC 5321 4.5.1); an address
    /// literal never is, as it would open a way around the list.
    pub fn is_ours(&self, path: &ForwardPath) -> bool {
        match path {
            ForwardPath::Postmaster(_) => true,
            ForwardPath::Mailbox(_) => self.domains.takes(path),
        }
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
    fn nothing_is_ours_until_somebody_says_so() {
        let border = Border::default();
        let path = ForwardPath::parse("<a@example.org>").unwrap();
        assert!(!border.is_ours(&path));
        assert!(!border.trusts(IpAddr::from([127, 0, 0, 1])));
    }
}
