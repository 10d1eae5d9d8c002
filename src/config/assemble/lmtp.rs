//! Upstreams that speak LMTP (RFC 2033).

use std::net::{IpAddr, SocketAddr};

use crate::upstream::{Identity, Protocol, Remote, Timeouts, TlsMode};

use super::super::raw;
use super::super::read::Placed;
use super::super::report::Report;
use super::upstream::{host_and_port, timeouts};

/// What an address of LMTP begins with. Behind it stands a host and a port, or the path of a socket.
const SCHEME: &str = "lmtp://";

/// The longest path of a socket, in octets (`sun_path` on Linux, with its end).
const LONGEST_PATH: usize = 107;

/// Whether the address is meant to be one of LMTP, well written or not.
pub(super) fn is_meant(address: &str) -> bool {
    address.starts_with("lmtp:")
}

/// What stands behind the scheme.
pub(super) fn without_scheme(address: &str) -> &str {
    address.strip_prefix(SCHEME).unwrap_or(address)
}

/// The server behind `addresses`, of which at least one is meant to speak LMTP.
pub(super) fn remote(
    raw: &raw::Upstream,
    addresses: &[Placed<String>],
    report: &mut Report,
) -> Option<Remote> {
    if let Some(other) = addresses.iter().find(|address| !is_meant(&address.value)) {
        let help = "make two upstreams of them, or write `lmtp://` before each";
        report.error_with_help(other.place, "one upstream speaks either SMTP or LMTP", help);
        return None;
    }
    if let Some(tls) = &raw.tls {
        report.error_with_help(tls.place, "LMTP has no `tls` here", "remove the key");
    }
    let identity = raw.client_identity.as_ref();
    if let Some(wrong) =
        identity.filter(|identity| !matches!(identity.value, Identity::None | Identity::XClient))
    {
        let help = "take `xclient`, which Dovecot understands, or `none`";
        report.error_with_help(wrong.place, "LMTP has no such identity", help);
    }
    let checked: Vec<_> = addresses.iter().map(|address| address_of(address, report)).collect();
    Some(Remote {
        addresses: checked.into_iter().collect::<Option<_>>()?,
        balance: raw.balance.as_ref().map_or_else(Default::default, |balance| balance.value),
        protocol: Protocol::Lmtp,
        identity: identity.map_or(Identity::None, |identity| identity.value),
        tls: TlsMode::Off,
        timeouts: raw.timeouts.as_ref().map_or_else(Timeouts::default, |raw| timeouts(&raw.value, report)),
    })
}

/// `lmtp://HOST:PORT` as `HOST:PORT`, `lmtp:///PATH` as `unix:/PATH`.
fn address_of(address: &Placed<String>, report: &mut Report) -> Option<String> {
    let help = "write `lmtp://127.0.0.1:24`, or `lmtp:///run/dovecot/lmtp` for a socket";
    let Some(place) = address.value.strip_prefix(SCHEME) else {
        report.error_with_help(address.place, "expected an address of LMTP", help);
        return None;
    };
    if let Ok(ip) = place.trim_matches(['[', ']']).parse::<IpAddr>() {
        let help = format!("write `{SCHEME}{}`", SocketAddr::new(ip, 24));
        report.error_with_help(address.place, "the address has no port", help);
        return None;
    }
    if !place.starts_with('/') {
        let place = Placed { value: place.to_owned(), place: address.place };
        return host_and_port(&place, help, report);
    }
    if place.len() > LONGEST_PATH || place.contains('\0') {
        let message = format!("the path of a socket has at most {LONGEST_PATH} octets");
        report.error(address.place, message);
        return None;
    }
    Some(format!("unix:{place}"))
}
