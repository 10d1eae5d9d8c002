//! XCLIENT (<https://www.postfix.org/XCLIENT_README.html>): once for each connection.

use super::attributes::{Value, address, lines, name, protocol, reverse_name};
use super::{Client, fault};
use crate::upstream::connection::{Connection, Exchange};
use crate::upstream::fault::{Failure, one_line};

/// Hands `client` over and greets again, now in the client's own words, so that the upstream judges and records the
/// client's HELO and not ours. `hostname` stands in for words that make no greeting.
///
/// # Errors
/// [`FaultKind::Identity`](super::FaultKind::Identity) when the upstream does not take what it offers. A refusal of the second EHLO is [`Failure::Refused`]: the upstream's own word on this client.
pub(in super::super) async fn introduce(
    connection: &mut Connection,
    client: &Client,
    hostname: &str,
) -> Result<(), Failure> {
    let offered = connection.extensions();
    for line in lines("XCLIENT", &attributes(client), &offered.xclient) {
        let reply = connection.ask(Exchange::XClient, &line).await?;
        if !reply.is_completed() {
            return Err(fault(format!("XCLIENT was answered {}", one_line(&reply))).into());
        }
    }
    let name = client.greeting(hostname);
    // The upstream may judge, and records, whether the client speaks ESMTP. One that does not asks for nothing that HELO lacks.
    if client.esmtp { connection.ehlo(name).await } else { connection.helo(name).await }
}

/// Every attribute that Postfix knows, those first that it judges by.
fn attributes(client: &Client) -> [(&'static str, Value); 9] {
    [
        ("NAME", name(client)),
        ("ADDR", address(client.ip)),
        ("PORT", Value::Text(client.port.to_string())),
        ("HELO", Value::Text(client.helo.clone())),
        ("PROTO", protocol(client)),
        ("REVERSE_NAME", reverse_name(client)),
        ("LOGIN", Value::known(client.login.as_deref())),
        ("DESTADDR", client.local.map_or(Value::Unknown, |local| address(local.ip()))),
        ("DESTPORT", client.local.map_or(Value::Unknown, |local| Value::Text(local.port().to_string()))),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::{ClientName, example};
    use super::*;

    const ALL: &str = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT REVERSE_NAME";

    fn offered(list: &str) -> Vec<String> {
        list.split(' ').map(str::to_owned).collect()
    }

    fn said(change: impl FnOnce(&mut Client), list: &str) -> String {
        let mut client = example();
        change(&mut client);
        lines("XCLIENT", &attributes(&client), &offered(list)).join("|")
    }

    #[test]
    fn says_what_is_asked_for() {
        let basic = "NAME ADDR PORT PROTO HELO";
        let plain =
            "XCLIENT NAME=mail.example.org ADDR=192.0.2.1 PORT=40112 HELO=mail.example.org PROTO=ESMTP";
        assert_eq!(said(|_| (), basic), plain);
        assert_eq!(said(|_| (), "ADDR PORT"), "XCLIENT ADDR=192.0.2.1 PORT=40112");
        assert_eq!(said(|_| (), "COLOUR"), "");
        let more = " REVERSE_NAME=mail.example.org LOGIN=[UNAVAILABLE] DESTADDR=198.51.100.25 DESTPORT=25";
        assert_eq!(said(|_| (), ALL), format!("{plain}{more}"));
    }

    #[test]
    fn odd_values() {
        for (change, wanted) in [
            ((|c| c.ip = "2001:db8::1".parse().unwrap()) as fn(&mut Client), " ADDR=IPV6:2001:db8::1 "),
            (|c| c.ip = "::ffff:192.0.2.1".parse().unwrap(), " ADDR=192.0.2.1 "),
            (
                |c| c.local = Some("[2001:db8::25]:2525".parse().unwrap()),
                "DESTADDR=IPV6:2001:db8::25 DESTPORT=2525",
            ),
            (|c| c.local = None, " DESTADDR=[UNAVAILABLE] DESTPORT=[UNAVAILABLE]"),
            (|c| c.login = Some("j=d\u{f6}".to_owned()), " LOGIN=j+3Dd+C3+B6 "),
            (|c| c.name = ClientName::Unknown, " NAME=[UNAVAILABLE] "),
            (|c| c.name = ClientName::Unknown, " REVERSE_NAME=[UNAVAILABLE] "),
            (|c| c.name = ClientName::Unavailable, " NAME=[TEMPUNAVAIL] "),
            (|c| c.name = ClientName::Unverified("x.example".to_owned()), " NAME=[UNAVAILABLE] "),
            (|c| c.name = ClientName::Unverified("x.example".to_owned()), " REVERSE_NAME=x.example "),
            (|c| c.name = ClientName::Verified("a b.example".to_owned()), " NAME=[UNAVAILABLE] "),
            (|c| c.name = ClientName::Verified("x.example.".to_owned()), " NAME=[UNAVAILABLE] "),
            (|c| c.helo = "a+b=c\u{e9} ADDR=1".to_owned(), " HELO=a+2Bb+3Dc+C3+A9+20ADDR+3D1 "),
            (|c| c.helo = "[192.0.2.1]".to_owned(), " HELO=[192.0.2.1] "),
            (|c| c.helo = "[UNAVAILABLE]".to_owned(), " HELO=+5BUNAVAILABLE] "),
            (|c| c.helo = "+".repeat(255), " HELO=[UNAVAILABLE] "),
            (|c| c.helo = "h".repeat(256), " HELO=[UNAVAILABLE] "),
            (|c| c.esmtp = false, " PROTO=SMTP "),
        ] {
            let line = said(change, ALL).replace('|', " | ");
            assert!(format!("{line} ").contains(wanted), "{line} / {wanted}");
        }
    }

    #[test]
    fn long_values_take_several_lines() {
        let long = |client: &mut Client| {
            let name = format!("{}.example", ["n".repeat(60), "m".repeat(60), "o".repeat(60)].join("."));
            client.name = ClientName::Verified(name);
            client.helo = "h".repeat(180) + "+".repeat(60).as_str();
        };
        let said = said(long, ALL);
        let lines: Vec<&str> = said.split('|').collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        for line in &lines {
            assert!(line.starts_with("XCLIENT ") && line.len() + 2 <= 512, "{line}");
        }
        for attribute in ALL.split(' ') {
            assert_eq!(said.matches(&format!(" {attribute}=")).count(), 1, "{attribute}");
        }
    }
}
