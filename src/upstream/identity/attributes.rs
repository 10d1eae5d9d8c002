//! What XCLIENT and XFORWARD have in common: attributes with values in xtext, on lines of bounded length.

use std::fmt::Write;
use std::net::IpAddr;

use super::{Client, ClientName};
use crate::smtp::path::DomainName;

/// The longest command line, its CRLF included (RFC 5321 4.5.3.1.4).
const LINE: usize = 512;

/// The longest value that Postfix takes, before its encoding.
const VALUE: usize = 255;

/// The value of an attribute that is not known.
pub(super) const UNAVAILABLE: &str = "[UNAVAILABLE]";
/// The value of an attribute that is not known for now.
const TEMPUNAVAIL: &str = "[TEMPUNAVAIL]";

/// A value before its encoding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Value {
    /// This text. Without any, or with one that no line can hold, nothing is known.
    Text(String),
    /// Not known.
    Unknown,
    /// Not known for now.
    Unavailable,
}

impl Value {
    /// The text, or that there is none.
    pub(super) fn known(text: Option<&str>) -> Self {
        text.map_or(Self::Unknown, |text| Self::Text(text.to_owned()))
    }

    fn encoded(&self, room: usize) -> String {
        match self {
            Self::Text(text) if !text.is_empty() && text.len() <= VALUE => {
                Some(xtext(text)).filter(|encoded| encoded.len() <= room)
            }
            Self::Unavailable => Some(TEMPUNAVAIL.to_owned()),
            Self::Text(_) | Self::Unknown => None,
        }
        .unwrap_or_else(|| UNAVAILABLE.to_owned())
    }
}

/// The lines `verb ATTRIBUTE=value ...` that say those of `attributes` that `offered` asks for, each of at most 512 octets
/// with its CRLF. None if nothing of them is asked for.
pub(super) fn lines(verb: &str, attributes: &[(&str, Value)], offered: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let asked = attributes.iter().filter(|(name, _)| offered.iter().any(|offer| offer == name));
    for (name, value) in asked {
        let room = LINE.saturating_sub(verb.len() + name.len() + " =\r\n".len());
        let pair = format!(" {name}={}", value.encoded(room));
        match lines.last_mut().filter(|line| line.len() + pair.len() + "\r\n".len() <= LINE) {
            Some(line) => line.push_str(&pair),
            None => lines.push(format!("{verb}{pair}")),
        }
    }
    lines
}

/// An address, as both commands write it.
pub(super) fn address(ip: IpAddr) -> Value {
    Value::Text(match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("IPV6:{ip}"),
    })
}

/// The verified name. Postfix answers 501 to a name that is no host name.
pub(super) fn name(client: &Client) -> Value {
    match &client.name {
        ClientName::Verified(name) if is_host_name(name) => Value::Text(name.clone()),
        ClientName::Unavailable => Value::Unavailable,
        ClientName::Verified(_) | ClientName::Unverified(_) | ClientName::Unknown => Value::Unknown,
    }
}

/// The name that the address has, whether it leads back or not.
pub(super) fn reverse_name(client: &Client) -> Value {
    match &client.name {
        ClientName::Verified(name) | ClientName::Unverified(name) if is_host_name(name) => {
            Value::Text(name.clone())
        }
        ClientName::Unavailable => Value::Unavailable,
        _ => Value::Unknown,
    }
}

/// `SMTP` or `ESMTP`: neither command knows more words (`ESMTPS` and the like).
pub(super) fn protocol(client: &Client) -> Value {
    Value::Text(if client.esmtp { "ESMTP" } else { "SMTP" }.to_owned())
}

/// RFC 3461 4: what is not printable ASCII, and `+` and `=`, as `+XX`. So is the bracket of a value that would
/// otherwise be one of the commands' own words.
fn xtext(value: &str) -> String {
    let reserved = [UNAVAILABLE, TEMPUNAVAIL].iter().any(|word| word.eq_ignore_ascii_case(value));
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        let plain = byte.is_ascii_graphic() && !matches!(byte, b'+' | b'=') && !(reserved && byte == b'[');
        if plain {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "+{byte:02X}");
        }
    }
    encoded
}

fn is_host_name(name: &str) -> bool {
    name.is_ascii() && DomainName::parse(name).is_ok()
}
