//! What the resolver can be asked and what it answers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::time::Instant;

/// The record types that Gatepost asks for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail exchangers.
    Mx,
    /// Texts.
    Txt,
    /// Names, mostly of addresses.
    Ptr,
}

impl Kind {
    /// Every type.
    pub const ALL: [Self; 5] = [Self::A, Self::Aaaa, Self::Mx, Self::Txt, Self::Ptr];

    /// The type in lower case, as metrics know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::Aaaa => "aaaa",
            Self::Mx => "mx",
            Self::Txt => "txt",
            Self::Ptr => "ptr",
        }
    }
}

/// The records of one name and type; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answers {
    /// The records, in the order of the answer (MX: best first).
    pub records: Records,
    /// Until when they may be used.
    pub valid_until: Instant,
}

impl Answers {
    /// How long they may still be used.
    pub fn ttl(&self) -> Duration {
        self.valid_until.saturating_duration_since(Instant::now())
    }
}

/// Records of one type. Names are in lower case, in A-labels, without the trailing dot (the root is empty).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Records {
    /// Of [`Kind::A`].
    A(Vec<Ipv4Addr>),
    /// Of [`Kind::Aaaa`].
    Aaaa(Vec<Ipv6Addr>),
    /// Of [`Kind::Mx`], by preference.
    Mx(Vec<Exchange>),
    /// Of [`Kind::Txt`]: the strings of each record joined (RFC 7208 3.3). Any bytes.
    Txt(Vec<Vec<u8>>),
    /// Of [`Kind::Ptr`].
    Ptr(Vec<String>),
}

impl Records {
    /// The addresses, if these are addresses.
    pub fn addresses(&self) -> Vec<IpAddr> {
        match self {
            Self::A(found) => found.iter().copied().map(IpAddr::V4).collect(),
            Self::Aaaa(found) => found.iter().copied().map(IpAddr::V6).collect(),
            Self::Mx(_) | Self::Txt(_) | Self::Ptr(_) => Vec::new(),
        }
    }

    /// The texts, if these are texts.
    pub fn texts(&self) -> &[Vec<u8>] {
        match self {
            Self::Txt(texts) => texts,
            _ => &[],
        }
    }

    /// Each record as one line of text, for scripts and logs; bytes that are not UTF-8 are replaced.
    pub fn to_texts(&self) -> Vec<String> {
        match self {
            Self::A(found) => found.iter().map(ToString::to_string).collect(),
            Self::Aaaa(found) => found.iter().map(ToString::to_string).collect(),
            Self::Mx(found) => found.iter().map(|mx| mx.host.clone()).collect(),
            Self::Txt(found) => found.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect(),
            Self::Ptr(found) => found.clone(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::A(found) => found.is_empty(),
            Self::Aaaa(found) => found.is_empty(),
            Self::Mx(found) => found.is_empty(),
            Self::Txt(found) => found.is_empty(),
            Self::Ptr(found) => found.is_empty(),
        }
    }

    /// About how many bytes they take in memory.
    pub(super) fn weight(&self) -> usize {
        const PER_VALUE: usize = 32;
        match self {
            Self::A(found) => found.len() * 4,
            Self::Aaaa(found) => found.len() * 16,
            Self::Mx(found) => found.iter().map(|mx| mx.host.len() + PER_VALUE).sum(),
            Self::Txt(found) => found.iter().map(|text| text.len() + PER_VALUE).sum(),
            Self::Ptr(found) => found.iter().map(|name| name.len() + PER_VALUE).sum(),
        }
    }
}

/// One MX record.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Exchange {
    /// Smaller is better.
    pub preference: u16,
    /// The host; empty for the root, which means "no mail" (RFC 7505).
    pub host: String,
}

/// Why there are no records.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The name exists, without records of this type.
    #[error("no records of this type")]
    NoData,
    /// The name does not exist. So it is with names that DNS cannot carry at all (empty labels, labels above 63 octets).
    #[error("no such name")]
    NxDomain,
    /// Not to be known now; asking later may help.
    #[error("look-up failed: {0}")]
    Temporary(Trouble),
}

/// What went wrong with a look-up that may work later.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Trouble {
    /// No usable answer within the time allowed.
    Timeout,
    /// SERVFAIL and the like.
    ServFail,
    /// The server does not want to answer us.
    Refused,
    /// No server could be reached, or what it sent makes no sense.
    Network,
}

impl Trouble {
    /// A word for logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::ServFail => "servfail",
            Self::Refused => "refused",
            Self::Network => "network",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where mail for a domain goes (RFC 5321 5.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MailHosts {
    /// These hosts, best first: the targets of the MX records, or the domain itself if it has only addresses.
    Hosts(Vec<String>),
    /// The domain says that it takes no mail (RFC 7505).
    NullMx,
    /// The domain has neither MX nor address records, or does not exist.
    None,
    /// Not to be known now.
    Temporary(Trouble),
}

/// The name under which an address's PTR records are (RFC 1035 3.5, RFC 3596 2.5), without the trailing dot. An IPv4-mapped
/// IPv6 address counts as the IPv4 address that it is.
pub fn reverse_name(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(ip) => {
            let mut name = String::with_capacity(72);
            for octet in ip.octets().iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", octet & 0xf, octet >> 4));
            }
            name.push_str("ip6.arpa");
            name
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_names() {
        for (address, name) in [
            ("192.0.2.1", "1.2.0.192.in-addr.arpa"),
            ("::ffff:192.0.2.1", "1.2.0.192.in-addr.arpa"),
            ("2001:db8::25", "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"),
        ] {
            assert_eq!(reverse_name(address.parse().unwrap()), name);
        }
    }
}
