//! Networks as sorted ranges of addresses.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// A set of networks: ranges without overlaps, in order, so that a look-up is a search by halves.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in super::super) struct Networks {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// First and last addresses apart: a search reads the first ones only.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Ranges<T> {
    first: Vec<T>,
    last: Vec<T>,
}

impl Networks {
    /// The set of these networks. IPv4-mapped ones are IPv4.
    pub(in super::super) fn new(networks: Vec<IpNet>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match (network.network(), network.broadcast()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((u32::from(first), u32::from(last))),
                (IpAddr::V6(first), IpAddr::V6(last)) => match mapped(first, last) {
                    Some(range) => v4.push(range),
                    None => v6.push((u128::from(first), u128::from(last))),
                },
                _ => {}
            }
        }
        Self { v4: Ranges::new(v4), v6: Ranges::new(v6) }
    }

    /// Whether `ip` is in one of them.
    pub(in super::super) fn contains(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.contains(&u32::from(ip)),
            IpAddr::V6(ip) => self.v6.contains(&u128::from(ip)),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.v4.first.is_empty() && self.v6.first.is_empty()
    }
}

/// The range of IPv4 that a range of IPv4-mapped addresses (RFC 4291 2.5.5.2) stands for.
fn mapped(first: Ipv6Addr, last: Ipv6Addr) -> Option<(u32, u32)> {
    Some((first.to_ipv4_mapped()?.into(), last.to_ipv4_mapped()?.into()))
}

impl<T: Copy + Ord> Ranges<T> {
    /// Sorted, and what overlaps made one.
    fn new(mut ranges: Vec<(T, T)>) -> Self {
        ranges.sort_unstable();
        let (mut first, mut last): (Vec<T>, Vec<T>) = (Vec::new(), Vec::new());
        for (from, to) in ranges {
            match last.last_mut() {
                Some(end) if from <= *end => *end = to.max(*end),
                _ => {
                    first.push(from);
                    last.push(to);
                }
            }
        }
        first.shrink_to_fit();
        last.shrink_to_fit();
        Self { first, last }
    }

    fn contains(&self, address: &T) -> bool {
        let behind = self.first.partition_point(|first| first <= address);
        let last = behind.checked_sub(1).and_then(|index| self.last.get(index));
        last.is_some_and(|last| address <= last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(entries: &[&str]) -> Networks {
        Networks::new(entries.iter().map(|entry| entry.parse().unwrap()).collect())
    }

    #[test]
    fn the_ends_of_a_network_are_in_it_and_their_neighbours_are_not() {
        let set = networks(&[
            "192.0.2.0/24",
            "192.0.2.128/25",
            "10.0.0.0/8",
            "10.1.0.0/16",
            "198.51.100.7/32",
            "255.255.255.255/32",
            "2001:db8::/32",
            "2001:db8:1::/48",
            "::ffff:203.0.113.0/120",
        ]);
        for (ip, inside) in [
            ("192.0.2.0", true),
            ("192.0.2.255", true),
            ("192.0.1.255", false),
            ("192.0.3.0", false),
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("9.255.255.255", false),
            ("11.0.0.0", false),
            ("198.51.100.6", false),
            ("198.51.100.7", true),
            ("198.51.100.8", false),
            ("255.255.255.255", true),
            ("0.0.0.0", false),
            ("203.0.113.9", true),
            ("::ffff:203.0.113.9", true),
            ("::ffff:192.0.2.1", true),
            ("2001:db8::", true),
            ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("2001:db9::", false),
            ("::1", false),
        ] {
            assert_eq!(set.contains(ip.parse().unwrap()), inside, "{ip}");
        }
        assert!(!networks(&[]).contains("192.0.2.1".parse().unwrap()));
        for all in ["0.0.0.0/0", "::/0"] {
            let set = networks(&[all]);
            let first = all.split('/').next().unwrap();
            assert!(set.contains(first.parse().unwrap()) && !set.is_empty(), "{all}");
        }
    }
}
