//! The header of the PROXY protocol, versions 1 and 2 (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>), in
//! front of everything else on a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Client;

/// The first octets of a header of version 2.
pub(in super::super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

const VERSION_2_LOCAL: u8 = 0x20;
const VERSION_2_PROXY: u8 = 0x21;
const UNSPEC: u8 = 0x00;
const TCP_OVER_V4: u8 = 0x11;
const TCP_OVER_V6: u8 = 0x21;

/// Which version is spoken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// The header for a connection on behalf of `client`, or on our own (`UNKNOWN`, `LOCAL`) without one.
///
/// The client's address is always said as what it is: where ours is of the other family, it is ours that is mapped to
/// IPv6, or left unspecified when IPv4 cannot hold it.
pub(in super::super) fn header(version: ProxyVersion, client: Option<&Client>) -> Vec<u8> {
    let ends = client.map(Ends::of);
    match version {
        ProxyVersion::V1 => v1(ends).into_bytes(),
        ProxyVersion::V2 => v2(ends),
    }
}

/// Both ends of the client's connection, of one family.
#[derive(Clone, Copy, Debug)]
enum Ends {
    V4((Ipv4Addr, u16), (Ipv4Addr, u16)),
    V6((Ipv6Addr, u16), (Ipv6Addr, u16)),
}

impl Ends {
    fn of(client: &Client) -> Self {
        let local = client.local.map(|local| (local.ip().to_canonical(), local.port()));
        let (ours, port) = local.unwrap_or((IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));
        match (client.ip.to_canonical(), ours) {
            (IpAddr::V4(ip), IpAddr::V4(ours)) => Self::V4((ip, client.port), (ours, port)),
            (IpAddr::V4(ip), IpAddr::V6(_)) => Self::V4((ip, client.port), (Ipv4Addr::UNSPECIFIED, port)),
            (IpAddr::V6(ip), IpAddr::V6(ours)) => Self::V6((ip, client.port), (ours, port)),
            (IpAddr::V6(ip), IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => {
                Self::V6((ip, client.port), (Ipv6Addr::UNSPECIFIED, port))
            }
            (IpAddr::V6(ip), IpAddr::V4(ours)) => Self::V6((ip, client.port), (ours.to_ipv6_mapped(), port)),
        }
    }
}

/// Section 2.1 of the specification.
fn v1(ends: Option<Ends>) -> String {
    match ends {
        None => "PROXY UNKNOWN\r\n".to_owned(),
        Some(Ends::V4((ip, port), (ours, our_port))) => {
            format!("PROXY TCP4 {ip} {ours} {port} {our_port}\r\n")
        }
        Some(Ends::V6((ip, port), (ours, our_port))) => {
            format!("PROXY TCP6 {ip} {ours} {port} {our_port}\r\n")
        }
    }
}

/// Section 2.2 of the specification.
fn v2(ends: Option<Ends>) -> Vec<u8> {
    let mut addresses = Vec::with_capacity(36);
    let (command, family) = match ends {
        None => (VERSION_2_LOCAL, UNSPEC),
        Some(Ends::V4((ip, port), (ours, our_port))) => {
            addresses.extend([ip.octets(), ours.octets()].concat());
            addresses.extend([port.to_be_bytes(), our_port.to_be_bytes()].concat());
            (VERSION_2_PROXY, TCP_OVER_V4)
        }
        Some(Ends::V6((ip, port), (ours, our_port))) => {
            addresses.extend([ip.octets(), ours.octets()].concat());
            addresses.extend([port.to_be_bytes(), our_port.to_be_bytes()].concat());
            (VERSION_2_PROXY, TCP_OVER_V6)
        }
    };
    let length = u16::try_from(addresses.len()).unwrap_or_default().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, &addresses].concat()
}

/// What a header of version 2 says, in the words of version 1; `None` for octets that are none. For the simulated
/// upstream, which shows what it was told.
pub(in super::super) fn read_v2(header: &[u8]) -> Option<String> {
    let rest = header.strip_prefix(&SIGNATURE)?;
    match rest {
        [VERSION_2_LOCAL, UNSPEC, 0, 0] => Some("LOCAL".to_owned()),
        [VERSION_2_PROXY, TCP_OVER_V4, 0, 12, addresses @ ..] => {
            let (ips, ports) = addresses.split_at_checked(8)?;
            let (ip, ours) = ips.split_first_chunk::<4>()?;
            let ours = <[u8; 4]>::try_from(ours).ok()?;
            words("TCP4", Ipv4Addr::from(*ip).into(), Ipv4Addr::from(ours).into(), ports)
        }
        [VERSION_2_PROXY, TCP_OVER_V6, 0, 36, addresses @ ..] => {
            let (ips, ports) = addresses.split_at_checked(32)?;
            let (ip, ours) = ips.split_first_chunk::<16>()?;
            let ours = <[u8; 16]>::try_from(ours).ok()?;
            words("TCP6", Ipv6Addr::from(*ip).into(), Ipv6Addr::from(ours).into(), ports)
        }
        _ => None,
    }
}

fn words(family: &str, ip: IpAddr, ours: IpAddr, ports: &[u8]) -> Option<String> {
    let [a, b, c, d] = <[u8; 4]>::try_from(ports).ok()?;
    let (port, our_port) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    Some(format!("{family} {ip} {ours} {port} {our_port}"))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proxy_header::{ParseConfig, ProxyHeader};

    use super::super::example;
    use super::*;

    fn between(client: &str, local: Option<&str>) -> Client {
        let client: SocketAddr = client.parse().unwrap();
        Client {
            ip: client.ip(),
            port: client.port(),
            local: local.map(|at| at.parse().unwrap()),
            ..example()
        }
    }

    const CASES: [(&str, Option<&str>, &str); 8] = [
        ("192.0.2.1:40112", Some("198.51.100.25:25"), "TCP4 192.0.2.1 198.51.100.25 40112 25"),
        ("[2001:db8::1]:40112", Some("[2001:db8::25]:25"), "TCP6 2001:db8::1 2001:db8::25 40112 25"),
        ("[::ffff:192.0.2.1]:1", Some("[::ffff:198.51.100.25]:25"), "TCP4 192.0.2.1 198.51.100.25 1 25"),
        ("192.0.2.1:65535", Some("[2001:db8::25]:465"), "TCP4 192.0.2.1 0.0.0.0 65535 465"),
        ("[2001:db8::1]:2", Some("198.51.100.25:25"), "TCP6 2001:db8::1 ::ffff:198.51.100.25 2 25"),
        ("192.0.2.1:3", None, "TCP4 192.0.2.1 0.0.0.0 3 0"),
        ("[2001:db8::1]:4", None, "TCP6 2001:db8::1 :: 4 0"),
        (
            "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
            Some("[2001:db8:ffff:ffff:ffff:ffff:ffff:fffe]:65535"),
            "TCP6 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 2001:db8:ffff:ffff:ffff:ffff:ffff:fffe 65535 65535",
        ),
    ];

    #[test]
    fn both_versions_say_the_same() {
        for (client, local, words) in CASES {
            let client = between(client, local);
            let v1 = header(ProxyVersion::V1, Some(&client));
            assert_eq!(v1, format!("PROXY {words}\r\n").into_bytes());
            assert!(v1.len() <= 107, "section 2.1: a receiver needs no more room");
            let v2 = header(ProxyVersion::V2, Some(&client));
            assert_eq!(read_v2(&v2).as_deref(), Some(words));
        }
        assert_eq!(header(ProxyVersion::V1, None), b"PROXY UNKNOWN\r\n");
        let local = header(ProxyVersion::V2, None);
        assert_eq!(local, b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00");
        assert_eq!(read_v2(&local).as_deref(), Some("LOCAL"));
        assert_eq!(read_v2(b"EHLO x"), None);
    }

    /// Read by somebody else's hand.
    #[test]
    fn others_read_the_same() {
        for (client, local, words) in CASES {
            let client = between(client, local);
            for version in [ProxyVersion::V1, ProxyVersion::V2] {
                let bytes = header(version, Some(&client));
                let (read, length) = ProxyHeader::parse(&bytes, ParseConfig::default()).unwrap();
                assert_eq!(length, bytes.len());
                let address = read.proxied_address().unwrap();
                let said = format!(
                    "{} {} {} {}",
                    address.source.ip(),
                    address.destination.ip(),
                    address.source.port(),
                    address.destination.port()
                );
                assert!(words.ends_with(&said), "{version:?} {words}: {said}");
            }
        }
        for version in [ProxyVersion::V1, ProxyVersion::V2] {
            let bytes = header(version, None);
            let (read, _) = ProxyHeader::parse(&bytes, ParseConfig::default()).unwrap();
            assert!(read.proxied_address().is_none());
        }
    }
}
