//! One entry of a list, told apart by what it looks like.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;

use super::super::sources::ListKind;

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
        if let Some(parent) = text.strip_prefix('.') {
            return domain(parent).map(|parent| Self::Below(parent.into_owned()));
        }
        match text.rsplit_once('@') {
            Some(("", name)) => domain(name).map(|name| Self::Domain(name.into_owned())),
            Some((local_part, name)) => Ok(Self::Address(address(local_part, name)?)),
            None => domain(text).map(|name| Self::Domain(name.into_owned())),
        }
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

/// An address in the form in which scripts see it.
pub(super) fn address(local_part: &str, name: &str) -> Result<String, String> {
    if local_part.is_empty() || local_part.chars().any(char::is_control) {
        return Err(format!("`{}@{name}` is no address", local_part.escape_debug()));
    }
    Ok(format!("{}@{}", local_part.to_lowercase(), domain(name)?))
}

/// A domain in the form in which scripts see it: lower case, A-labels, no dot at its end.
pub(in super::super) fn domain(name: &str) -> Result<Cow<'_, str>, String> {
    let name = name.trim_end_matches('.');
    if is_domain(name) && !name.bytes().any(|b| b.is_ascii_uppercase()) && !name.contains("xn--") {
        return Ok(name.into());
    }
    let ascii = idna::domain_to_ascii(name).unwrap_or_default();
    if is_domain(&ascii) {
        Ok(ascii.into())
    } else {
        Err(format!("`{}` is no address, domain or network", name.escape_debug()))
    }
}

fn is_domain(ascii: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    ascii.len() <= 253 && ascii.split('.').all(is_label)
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
