//! Headers good and bad, and another implementation's opinion of them.

use proptest::prelude::*;
use proxy_header::{ParseConfig, ProxiedAddress, ProxyHeader};

use super::*;

/// Reads `wire` as a connection would: never more at once than was asked for. What is left behind the header.
fn read_from(wire: &[u8]) -> (Result<Header, HeaderError>, usize) {
    let mut taken = 0;
    loop {
        match read(&wire[..taken]) {
            Ok(Progress::Done(header)) => return (Ok(header), wire.len() - taken),
            Ok(Progress::Wants(wanted)) => {
                assert!(wanted > 0, "no progress behind {taken} octets");
                if taken == wire.len() {
                    return (Err(HeaderError::Closed), 0);
                }
                taken = (taken + wanted).min(wire.len());
            }
            Err(error) => return (Err(error), wire.len() - taken),
        }
    }
}

fn header(wire: &[u8]) -> Result<Header, HeaderError> {
    read_from(wire).0
}

fn named(from: &str, to: &str) -> Result<Header, HeaderError> {
    Ok(Header::Client { from: from.parse().unwrap(), to: to.parse().unwrap() })
}

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, block].concat()
}

const V4: &[u8] = b"\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x67\x00\x19";

#[test]
fn version_1_in_all_its_forms() {
    for (line, expected) in [
        ("PROXY TCP4 192.0.2.7 198.51.100.1 4711 25", named("192.0.2.7:4711", "198.51.100.1:25")),
        ("PROXY TCP6 2001:db8::7 2001:db8::1 4711 25", named("[2001:db8::7]:4711", "[2001:db8::1]:25")),
        ("PROXY TCP6 ::ffff:192.0.2.7 ::1 65535 0", named("[::ffff:192.0.2.7]:65535", "[::1]:0")),
        ("PROXY UNKNOWN", Ok(Header::Unnamed)),
        ("PROXY UNKNOWN 192.0.2.7 198.51.100.1 4711 25", Ok(Header::Unnamed)),
        ("PROXY UNKNOWN what ever\x07 it is", Ok(Header::Unnamed)),
    ] {
        let wire = format!("{line}\r\nEHLO x\r\n");
        assert_eq!(read_from(wire.as_bytes()), (expected, 8), "{line}");
    }
}

#[test]
fn version_1_spoilt() {
    let malformed = |line: &str| matches!(header(line.as_bytes()), Err(HeaderError::Malformed(_)));
    for line in [
        "PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 4711 25 x\r\n",
        "PROXY TCP4  192.0.2.7 198.51.100.1 4711 25\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 4711 25 \r\n",
        "PROXY TCP4 192.0.2.07 198.51.100.1 4711 25\r\n",
        "PROXY TCP4 2001:db8::7 2001:db8::1 4711 25\r\n",
        "PROXY TCP6 192.0.2.7 198.51.100.1 4711 25\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 04711 25\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 +4711 25\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1  25\r\n",
        "PROXY tcp4 192.0.2.7 198.51.100.1 4711 25\r\n",
        "PROXY UDP4 192.0.2.7 198.51.100.1 4711 25\r\n",
        "PROXY TCP4 localhost 198.51.100.1 4711 25\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\n",
    ] {
        assert!(malformed(line), "{line:?}: {:?}", header(line.as_bytes()));
    }
    let fits = |fill: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(fill));
    assert_eq!(fits(91).len(), LONGEST_V1);
    assert_eq!(header(fits(91).as_bytes()), Ok(Header::Unnamed));
    assert!(malformed(&fits(92)));
    assert!(malformed(&format!("PROXY {}", "x".repeat(10_000))));
    assert!(matches!(header(b"PROXY TCP4 \xff\xfe\r\n"), Err(HeaderError::Malformed(_))));
}

#[test]
fn version_2_in_all_its_forms() {
    let v6 = [&[0x20, 1, 0x0d, 0xb8], &[0; 11][..], &[7], &[0; 15], &[1], b"\x12\x67\x00\x19"].concat();
    let fields = [V4, b"\x02\x00\x0amx.example", b"\x20\xff\xff broken on purpose"].concat();
    for (wire, expected) in [
        (v2(0x21, 0x11, V4), named("192.0.2.7:4711", "198.51.100.1:25")),
        (v2(0x21, 0x21, &v6), named("[2001:db8::7]:4711", "[::1]:25")),
        (v2(0x21, 0x11, &fields), named("192.0.2.7:4711", "198.51.100.1:25")),
        (v2(0x20, 0x00, b""), Ok(Header::Unnamed)),
        (v2(0x20, 0x11, V4), Ok(Header::Unnamed)),
        (v2(0x20, 0x77, b"what ever"), Ok(Header::Unnamed)),
        (v2(0x21, 0x00, b""), Ok(Header::Unnamed)),
        (v2(0x21, 0x00, b"\x04\x00\x01x"), Ok(Header::Unnamed)),
        (v2(0x21, 0x31, &[b'/'; 216]), Ok(Header::Unnamed)),
        (v2(0x20, 0x00, &[0; LONGEST_V2]), Ok(Header::Unnamed)),
    ] {
        let wire = [&wire[..], b"EHLO x\r\n"].concat();
        assert_eq!(read_from(&wire), (expected, 8), "{wire:?}");
    }
}

#[test]
fn version_2_spoilt() {
    for wire in [
        v2(0x11, 0x11, V4),
        v2(0x22, 0x11, V4),
        v2(0x31, 0x11, V4),
        v2(0x21, 0x12, V4),
        v2(0x21, 0x41, V4),
        v2(0x21, 0x10, V4),
        v2(0x21, 0x01, V4),
        v2(0x21, 0x11, &V4[..11]),
        v2(0x21, 0x21, V4),
        v2(0x21, 0x31, &[b'/'; 215]),
        v2(0x20, 0x00, &[0; LONGEST_V2 + 1]),
    ] {
        assert!(matches!(header(&wire), Err(HeaderError::Malformed(_))), "{wire:?}");
    }
    let whole = v2(0x21, 0x11, V4);
    for cut in 0..whole.len() {
        assert_eq!(header(&whole[..cut]), Err(HeaderError::Closed), "{cut}");
    }
    for other in [
        &b"EHLO x\r\n"[..],
        b"\r\nEHLO",
        b"\x16\x03\x01\x02",
        b"proxy TCP4",
        b"PROXYTCP4",
        b"\r\n\r\n\0\r\nQUIX",
    ] {
        assert_eq!(header(other), Err(HeaderError::Missing), "{other:?}");
    }
}

/// The other implementation's view of a whole header.
fn oracle(wire: &[u8]) -> Option<Option<(SocketAddr, SocketAddr)>> {
    let (header, _) = ProxyHeader::parse(wire, ParseConfig::default()).ok()?;
    Some(header.proxied_address().map(|ends| (ends.source, ends.destination)))
}

fn ours(wire: &[u8]) -> Option<Option<(SocketAddr, SocketAddr)>> {
    match header(wire).ok()? {
        Header::Client { from, to } => Some(Some((from, to))),
        Header::Unnamed => Some(None),
    }
}

fn any_address(v6: bool) -> impl Strategy<Value = SocketAddr> {
    (any::<u128>(), any::<u16>()).prop_map(move |(bits, port)| {
        let v4 = Ipv4Addr::from_bits((bits & u128::from(u32::MAX)) as u32);
        if v6 { (Ipv6Addr::from_bits(bits), port).into() } else { (v4, port).into() }
    })
}

proptest! {
    #[test]
    fn what_another_implementation_writes_is_read_the_same(
        (from, to) in any::<bool>().prop_flat_map(|v6| (any_address(v6), any_address(v6))),
        version_1 in any::<bool>(),
    ) {
        let written = ProxyHeader::with_address(ProxiedAddress::stream(from, to));
        let mut wire = Vec::new();
        if version_1 { written.encode_v1(&mut wire).unwrap() } else { written.encode_v2(&mut wire).unwrap() }
        prop_assert_eq!(ours(&wire), Some(Some((from, to))));
    }

    /// A header with a few octets changed names the client that the other implementation reads, or none at all.
    #[test]
    fn no_spoilt_header_names_another_client(
        (from, to) in any::<bool>().prop_flat_map(|v6| (any_address(v6), any_address(v6))),
        version_1 in any::<bool>(),
        changes in proptest::collection::vec((0usize..60, any::<u8>()), 1..4),
    ) {
        let written = ProxyHeader::with_address(ProxiedAddress::stream(from, to));
        let mut wire = Vec::new();
        if version_1 { written.encode_v1(&mut wire).unwrap() } else { written.encode_v2(&mut wire).unwrap() }
        let length = wire.len();
        for (at, octet) in changes {
            wire[at % length] = octet;
        }
        if let Some(Some(named)) = ours(&wire) {
            prop_assert_eq!(oracle(&wire), Some(Some(named)));
        }
    }

    #[test]
    fn no_octets_break_it(octets in proptest::collection::vec(any::<u8>(), 0..300), v2 in any::<bool>()) {
        let start: &[u8] = if v2 { SIGNATURE } else { V1 };
        let _ = header(&[start, &octets].concat());
        let _ = header(&octets);
    }
}
