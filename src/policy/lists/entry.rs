//! One entry of a list, told apart by what it looks like.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;

use super::super::scene::comparable;
use super::super::sources::ListKind;
use crate::smtp::path::LocalPart;

/// What one entry means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Entry {
    /// `boss@example.org`, in the form in which scripts compare addresses.
    Address(String),
    /// `example.org`, or `@example.org`.
    Domain(String),
    /// Everything below this domain: `.example.org`, here without its dot.
    Below(String),
    /// A CIDR, or one IP address alone.
    Network(IpNet),
}

impl Entry {
    /// Reads an entry: one with `@` is an address, an IP address or CIDR is a network, all else is a domain.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(network) = network(text) {
            return network.map(Self::Network);
        }
        let parsed = match text.rsplit_once('@') {
            Some(("", name)) => domain(name).map(|name| Self::Domain(name.into_owned())),
            Some((local_part, name)) => address(local_part, name).map(Self::Address),
            None => match text.strip_prefix('.') {
                Some(parent) => domain(parent).map(|parent| Self::Below(parent.into_owned())),
                None => domain(text).map(|name| Self::Domain(name.into_owned())),
            },
        };
        parsed.ok_or_else(|| format!("`{}` {}", text.escape_debug(), instead(text)))
    }

    /// The kind of list that it belongs into.
    pub(super) const fn kind(&self) -> ListKind {
        match self {
            Self::Address(_) => ListKind::Addresses,
            Self::Domain(_) | Self::Below(_) => ListKind::Domains,
            Self::Network(_) => ListKind::Networks,
        }
    }
}

/// The domain of an entry that is an address or a domain, `.example.org` for all below one; `None` for a network.
///
/// # Errors
/// It is no entry.
pub(in super::super) fn domain_of(text: &str) -> Result<Option<String>, String> {
    Ok(match Entry::parse(text)? {
        Entry::Address(address) => address.rsplit_once('@').map(|(_, domain)| domain.to_owned()),
        Entry::Domain(domain) => Some(domain),
        Entry::Below(parent) => Some(format!(".{parent}")),
        Entry::Network(_) => None,
    })
}

/// What the text that is no entry is instead, and what was probably meant.
fn instead(text: &str) -> String {
    let is_of = |letters: &str| text.chars().all(|c| c.is_ascii_hexdigit() || letters.contains(c));
    let has_digit = text.contains(|c: char| c.is_ascii_digit());
    let like_v4 = has_digit && !text.contains(|c: char| c.is_ascii_alphabetic()) && is_of(".-/*");
    if like_v4 || (text.contains(':') && is_of(":.-/*")) {
        return "is no network: write a whole one, such as `192.0.2.0/24` or `2001:db8::/32`".to_owned();
    }
    let is_list = text.contains([',', ';', ' ', '\t']) && !text.starts_with('"');
    let all_of = text
        .strip_prefix("*@")
        .and_then(domain)
        .map(|domain| format!("`{domain}` for all addresses of the domain"));
    let below = text
        .strip_prefix("*.")
        .and_then(domain)
        .map(|domain| format!("`.{domain}` for all below the domain"));
    match all_of.or(below) {
        Some(meant) => format!("is no address, domain or network: write {meant}"),
        None if is_list => {
            "is no address, domain or network: each stands by itself, in a file on a line of its own"
                .to_owned()
        }
        None => "is no address, domain or network".to_owned(),
    }
}

/// An address in the form in which scripts see it; `None` when it is none. A `*` could stand in one (RFC 5322 3.2.3), but whoever
/// writes it means all of them, and would wait for good.
pub(super) fn address(local_part: &str, name: &str) -> Option<String> {
    let name = domain(name)?;
    Some([&*normal_local_part(local_part)?, "@", &name].concat())
}

fn normal_local_part(text: &str) -> Option<Cow<'_, str>> {
    // Nearly all of a million are like this.
    let is_plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'+');
    if text.bytes().next().is_some_and(is_plain) && text.bytes().all(|b| is_plain(b) || b == b'.') {
        return Some(text.into());
    }
    let parsed = LocalPart::parse(text).ok().filter(|parsed| !parsed.unquoted().contains('*'))?;
    Some(comparable(parsed.unquoted(), parsed.original()).into())
}

/// A domain in the form in which scripts see it: lower case, A-labels, no dot at its end. `None` when it is none.
pub(in super::super) fn domain(name: &str) -> Option<Cow<'_, str>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if is_domain(name) && !name.bytes().any(|b| b.is_ascii_uppercase()) && !name.contains("xn--") {
        return Some(name.into());
    }
    let ascii = idna::domain_to_ascii(name).ok()?;
    is_domain(&ascii).then(|| ascii.into())
}

/// No top-level domain is a number (RFC 3696 2): what ends in one is a part of an address, or a range of them.
fn is_domain(ascii: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && label.bytes().any(|b| b != b'-')
    };
    let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    ascii.len() <= 253 && ascii.split('.').all(is_label) && !ascii.rsplit('.').next().is_some_and(is_number)
}

/// The network that `text` is; `None` when it does not even look like one.
fn network(text: &str) -> Option<Result<IpNet, String>> {
    if !text.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':') {
        return None;
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(Ok(ip.to_canonical().into()));
    }
    let network = text.parse::<IpNet>().ok()?;
    let outer = network.trunc();
    if outer == network {
        return Some(Ok(network));
    }
    Some(Err(format!("`{network}` is an address in a network, not a network: write `{outer}`")))
}
