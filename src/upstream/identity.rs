//! Who the client is, told to the upstream by XCLIENT (<https://www.postfix.org/XCLIENT_README.html>).

use std::fmt::Write;
use std::net::IpAddr;

use super::connection::{Connection, Exchange};
use super::fault::{Failure, Fault, FaultKind, one_line};
use crate::smtp::path::DomainName;

/// The client of a session, as the upstream is to know it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// Its name, where the reverse look-up gave one that leads back to the address.
    pub name: Option<String>,
    /// What it called itself in HELO or EHLO.
    pub helo: String,
    /// Whether it greeted with EHLO.
    pub esmtp: bool,
}

/// The longest command line, its CRLF included (RFC 5321 4.5.3.1.4).
const LINE: usize = 512;

const UNAVAILABLE: &str = "[UNAVAILABLE]";

/// Hands `client` over and greets again, now in the client's own words, so that the upstream judges and records the
/// client's HELO and not ours. `hostname` stands in for words that make no greeting.
///
/// # Errors
/// [`FaultKind::Identity`] when the upstream does not offer XCLIENT with at least ADDR, or does not take it. A refusal
/// of the second EHLO is [`Failure::Refused`]: the upstream's own word on this client.
pub(super) async fn introduce(
    connection: &mut Connection,
    client: &Client,
    hostname: &str,
) -> Result<(), Failure> {
    let offered = connection.extensions();
    if !offered.xclient.iter().any(|attribute| attribute == "ADDR") {
        return Err(Fault::new(FaultKind::Identity, "the upstream does not offer XCLIENT with ADDR").into());
    }
    for line in lines(client, &offered.xclient) {
        let reply = connection.ask(Exchange::XClient, &line).await?;
        if !reply.is_completed() {
            let detail = format!("XCLIENT was answered {}", one_line(&reply));
            return Err(Fault::new(FaultKind::Identity, detail).into());
        }
    }
    connection.ehlo(client.greeting(hostname)).await
}

impl Client {
    /// The word for EHLO on the client's behalf; `hostname` where its own makes no greeting.
    pub(super) fn greeting<'a>(&'a self, hostname: &'a str) -> &'a str {
        let is_word = !self.helo.is_empty() && self.helo.bytes().all(|byte| byte.is_ascii_graphic());
        if is_word { &self.helo } else { hostname }
    }
}

/// The XCLIENT commands that say all of `client` that `offered` asks for, each of at most 512 octets with its CRLF.
fn lines(client: &Client, offered: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::from("XCLIENT");
    for (attribute, value) in attributes(client) {
        if !offered.iter().any(|name| name == attribute) {
            continue;
        }
        let pair = pair(attribute, &value);
        if line.len().saturating_add(pair.len()).saturating_add(2) > LINE {
            lines.push(std::mem::replace(&mut line, String::from("XCLIENT")));
        }
        line.push_str(&pair);
    }
    lines.push(line);
    lines
}

/// Attributes and values before their encoding, an empty value for one that is not known.
fn attributes(client: &Client) -> [(&'static str, String); 5] {
    let name = client.name.as_deref().filter(|name| is_host_name(name)).unwrap_or_default();
    let protocol = if client.esmtp { "ESMTP" } else { "SMTP" };
    let address = match client.ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("IPV6:{ip}"),
    };
    [
        ("NAME", name.to_owned()),
        ("ADDR", address),
        ("PORT", client.port.to_string()),
        ("HELO", client.helo.clone()),
        ("PROTO", protocol.to_owned()),
    ]
}

/// ` ATTRIBUTE=value`; a value that no line could hold is not sent.
fn pair(attribute: &str, value: &str) -> String {
    let encoded = xtext(value);
    let too_long = encoded.len() > LINE.saturating_sub("XCLIENT HELO=\r\n".len());
    let value = if value.is_empty() || too_long { UNAVAILABLE } else { &encoded };
    format!(" {attribute}={value}")
}

/// RFC 3461 4: what is not printable ASCII, and `+` and `=`, as `+XX`. So is the bracket of a value that would
/// otherwise be one of XCLIENT's own words.
fn xtext(value: &str) -> String {
    let reserved = [UNAVAILABLE, "[TEMPUNAVAIL]"].iter().any(|word| word.eq_ignore_ascii_case(value));
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

/// Postfix answers 501 to a name that is no host name, and whoever owns a reverse zone chooses the name.
fn is_host_name(name: &str) -> bool {
    name.is_ascii() && DomainName::parse(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client {
            ip: "192.0.2.1".parse().unwrap(),
            port: 40112,
            name: Some("mail.example.org".to_owned()),
            helo: "mail.example.org".to_owned(),
            esmtp: true,
        }
    }

    fn offered(list: &str) -> Vec<String> {
        list.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn says_what_is_asked_for() {
        let all = offered("NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT");
        let plain =
            "XCLIENT NAME=mail.example.org ADDR=192.0.2.1 PORT=40112 HELO=mail.example.org PROTO=ESMTP";
        let with = |change: fn(&mut Client)| {
            let mut client = client();
            change(&mut client);
            lines(&client, &all).join("|")
        };
        assert_eq!(with(|_| ()), plain);
        assert_eq!(lines(&client(), &offered("ADDR PORT")).join("|"), "XCLIENT ADDR=192.0.2.1 PORT=40112");
        for (change, wanted) in [
            ((|c| c.ip = "2001:db8::1".parse().unwrap()) as fn(&mut Client), " ADDR=IPV6:2001:db8::1 "),
            (|c| c.ip = "::ffff:192.0.2.1".parse().unwrap(), " ADDR=192.0.2.1 "),
            (|c| c.name = None, " NAME=[UNAVAILABLE] "),
            (|c| c.name = Some("a b.example".to_owned()), " NAME=[UNAVAILABLE] "),
            (|c| c.name = Some("x.example.".to_owned()), " NAME=[UNAVAILABLE] "),
            (|c| c.helo = "a+b=c\u{e9} ADDR=1".to_owned(), " HELO=a+2Bb+3Dc+C3+A9+20ADDR+3D1 "),
            (|c| c.helo = "[192.0.2.1]".to_owned(), " HELO=[192.0.2.1] "),
            (|c| c.helo = "[UNAVAILABLE]".to_owned(), " HELO=+5BUNAVAILABLE] "),
            (|c| c.helo = "+".repeat(255), " HELO=[UNAVAILABLE] "),
            (|c| c.esmtp = false, " PROTO=SMTP"),
        ] {
            let line = with(change);
            assert!(line.contains(wanted), "{line} / {wanted}");
        }
    }

    #[test]
    fn long_values_take_several_lines() {
        let mut client = client();
        client.name = Some(format!("{}.example", ["n".repeat(60), "m".repeat(60), "o".repeat(60)].join(".")));
        client.helo = "h".repeat(200) + "+".repeat(60).as_str();
        let lines = lines(&client, &offered("NAME ADDR PORT PROTO HELO"));
        assert_eq!(lines.len(), 2, "{lines:?}");
        for line in &lines {
            assert!(line.starts_with("XCLIENT ") && line.len() + 2 <= 512, "{line}");
        }
        let joined = lines.concat();
        for attribute in ["NAME=", "ADDR=", "PORT=", "HELO=", "PROTO="] {
            assert_eq!(joined.matches(attribute).count(), 1, "{attribute}");
        }
    }
}
