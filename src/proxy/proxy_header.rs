//! The header in which a load balancer says for whom it connects: the PROXY protocol, versions 1 and 2
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).
//!
//! It is read octet by octet as far as it goes and not further: what stands behind it is the client's, TLS perhaps.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Header {
    /// The client, and where it connected to.
    Client {
        /// Its own address and port.
        from: SocketAddr,
        /// The address and port of the load balancer that it connected to.
        to: SocketAddr,
    },
    /// LOCAL, UNKNOWN, UNSPEC or a UNIX socket: nobody with an address. The ends of the connection are its own.
    Unnamed,
}

/// How far a header is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Progress {
    /// At least so many octets are missing; no more may be read at once.
    Wants(usize),
    /// It is complete.
    Done(Header),
}

/// Why there is no header.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum HeaderError {
    /// The connection begins with something else.
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    /// It begins as one and goes on in another way.
    #[error("the PROXY header is malformed: {0}")]
    Malformed(&'static str),
    /// It did not come in time.
    #[error("the PROXY header did not come in time")]
    Late,
    /// The connection ended before it.
    #[error("the connection ended before its PROXY header")]
    Closed,
}

/// The first octets of version 2 (2.2): no line of any protocol.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The fixed part of version 2: signature, version and command, family and protocol, length.
const FIXED: usize = 16;
/// The most that we read behind it: addresses take 216 octets at most, a few fields of TLS the rest.
const LONGEST_V2: usize = 4 << 10;
const V1: &[u8] = b"PROXY ";
/// The longest line of version 1, its CRLF included (2.1).
const LONGEST_V1: usize = 107;

/// What the octets so far, which were read as asked for, amount to.
pub(super) fn read(octets: &[u8]) -> Result<Progress, HeaderError> {
    let begins = |start: &[u8]| octets.iter().zip(start).all(|(octet, expected)| octet == expected);
    if begins(SIGNATURE) && octets.len() >= SIGNATURE.len() {
        version_2(octets)
    } else if begins(V1) && octets.len() >= SIGNATURE.len() {
        version_1(octets)
    } else if begins(SIGNATURE) || begins(V1) {
        // Neither version has a shorter header.
        Ok(Progress::Wants(SIGNATURE.len().saturating_sub(octets.len())))
    } else {
        Err(HeaderError::Missing)
    }
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 40112 25` and CRLF.
fn version_1(octets: &[u8]) -> Result<Progress, HeaderError> {
    let Some(line) = octets.strip_suffix(b"\r\n") else {
        return match octets {
            _ if octets.contains(&b'\n') => Err(HeaderError::Malformed("a line feed without its CR")),
            _ if octets.len() >= LONGEST_V1 => Err(HeaderError::Malformed("more than 107 octets")),
            [.., b'\r'] => Ok(Progress::Wants(1)),
            _ => Ok(Progress::Wants(2.min(LONGEST_V1.saturating_sub(octets.len())))),
        };
    };
    let text = str::from_utf8(line).map_err(|_| HeaderError::Malformed("it is not ASCII"))?;
    let words: Vec<&str> = text.split(' ').collect();
    let header = match *words.as_slice() {
        // What stands behind it has no meaning (2.1).
        ["PROXY", "UNKNOWN", ..] => Some(Header::Unnamed),
        ["PROXY", "TCP4", from, to, from_port, to_port] => ends::<Ipv4Addr>([from, to], [from_port, to_port]),
        ["PROXY", "TCP6", from, to, from_port, to_port] => ends::<Ipv6Addr>([from, to], [from_port, to_port]),
        _ => None,
    };
    header.map(Progress::Done).ok_or(HeaderError::Malformed("its words are not those of version 1"))
}

fn ends<Ip>([from, to]: [&str; 2], [from_port, to_port]: [&str; 2]) -> Option<Header>
where
    Ip: std::str::FromStr + Into<std::net::IpAddr>,
{
    let address = |ip: &str, port: &str| Some(SocketAddr::new(ip.parse::<Ip>().ok()?.into(), number(port)?));
    Some(Header::Client { from: address(from, from_port)?, to: address(to, to_port)? })
}

/// A port in decimal, without sign and leading zeros (2.1).
fn number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    let leading = text.len() > 1 && text.starts_with('0');
    if digits && !leading { text.parse().ok() } else { None }
}

/// Addresses in binary, and fields behind them that we do not look at.
fn version_2(octets: &[u8]) -> Result<Progress, HeaderError> {
    let Some(([command, family, high, low], rest)) =
        octets.get(SIGNATURE.len()..).and_then(|rest| rest.split_first_chunk::<4>())
    else {
        return Ok(Progress::Wants(FIXED.saturating_sub(octets.len())));
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length > LONGEST_V2 {
        return Err(HeaderError::Malformed("more than 4096 octets"));
    }
    let named = match command {
        0x20 => false,
        0x21 => true,
        _ => return Err(HeaderError::Malformed("neither LOCAL nor PROXY of version 2")),
    };
    if rest.len() < length {
        return Ok(Progress::Wants(length.saturating_sub(rest.len())));
    }
    // LOCAL: whatever follows has no meaning (2.2).
    let header = if named { addresses(*family, rest) } else { Some(Header::Unnamed) };
    header
        .map(Progress::Done)
        .ok_or(HeaderError::Malformed("its addresses are not those of a TCP connection"))
}

/// The addresses of a family and protocol (2.2): TCP over IPv4 or IPv6, a UNIX socket, or unspecified. A datagram cannot have
/// come over this connection.
fn addresses(family: u8, block: &[u8]) -> Option<Header> {
    match family {
        0x11 => {
            let (from, rest) = block.split_first_chunk::<4>()?;
            let (to, rest) = rest.split_first_chunk::<4>()?;
            Some(client(Ipv4Addr::from(*from), Ipv4Addr::from(*to), ports(rest)?))
        }
        0x21 => {
            let (from, rest) = block.split_first_chunk::<16>()?;
            let (to, rest) = rest.split_first_chunk::<16>()?;
            Some(client(Ipv6Addr::from(*from), Ipv6Addr::from(*to), ports(rest)?))
        }
        0x31 => block.get(..216).map(|_| Header::Unnamed),
        0x00 => Some(Header::Unnamed),
        _ => None,
    }
}

fn client(
    from: impl Into<std::net::IpAddr>,
    to: impl Into<std::net::IpAddr>,
    (from_port, to_port): (u16, u16),
) -> Header {
    Header::Client { from: SocketAddr::new(from.into(), from_port), to: SocketAddr::new(to.into(), to_port) }
}

fn ports(octets: &[u8]) -> Option<(u16, u16)> {
    let ([a, b, c, d], _fields) = octets.split_first_chunk::<4>()?;
    Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])))
}

#[cfg(test)]
mod tests;
