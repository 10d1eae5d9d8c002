//! Sizes, durations and networks as scripts take them.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::units;

/// Octets: `25MiB`, `25MB`, `512B`.
pub(super) fn bytes(text: &str) -> Option<i64> {
    units::parse_size(text).ok()?.try_into().ok()
}

/// Whole seconds: `30s`, `10m`, `24h`, `7d`; parts of one are dropped.
pub(super) fn seconds(text: &str) -> Option<i64> {
    units::parse_duration(text).ok()?.as_secs().try_into().ok()
}

/// A network, or a single address as a network of its own. IPv4-mapped addresses are IPv4.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let single = || text.parse::<IpAddr>().ok().map(|ip| IpNet::from(ip.to_canonical()));
    text.parse::<IpNet>().ok().map(|network| network.trunc()).or_else(single)
}
