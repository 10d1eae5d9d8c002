//! XFORWARD (<https://www.postfix.org/XFORWARD_README.html>): before each MAIL. The upstream records the client and goes on
//! to judge us.

use super::attributes::{Value, address, lines, name, protocol};
use super::{Client, fault};
use crate::upstream::connection::{Connection, Exchange};
use crate::upstream::fault::{Failure, one_line};

/// Says on whose behalf the next transaction is, which our log knows as `ident`. Everything that the upstream asks for is said
/// each time, so that nothing of another client's stays on a connection that is shared.
///
/// # Errors
/// [`FaultKind::Identity`](super::FaultKind::Identity) when the upstream does not take what it offers.
pub(in super::super) async fn announce(
    connection: &mut Connection,
    client: &Client,
    ident: &str,
) -> Result<(), Failure> {
    let offered = connection.extensions();
    for line in lines("XFORWARD", &attributes(client, ident), &offered.xforward) {
        let reply = connection.ask(Exchange::XForward, &line).await?;
        if !reply.is_completed() {
            return Err(fault(format!("XFORWARD was answered {}", one_line(&reply))).into());
        }
    }
    Ok(())
}

fn attributes(client: &Client, ident: &str) -> [(&'static str, Value); 7] {
    let source = if client.is_local() { "LOCAL" } else { "REMOTE" };
    [
        ("NAME", name(client)),
        ("ADDR", address(client.ip)),
        ("PORT", Value::Text(client.port.to_string())),
        ("PROTO", protocol(client)),
        ("HELO", Value::Text(client.helo.clone())),
        ("IDENT", Value::Text(ident.to_owned())),
        ("SOURCE", Value::Text(source.to_owned())),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::{ClientName, example};
    use super::*;

    fn said(change: impl FnOnce(&mut Client), list: &str) -> String {
        let offered: Vec<String> = list.split(' ').map(str::to_owned).collect();
        let mut client = example();
        change(&mut client);
        lines("XFORWARD", &attributes(&client, "abc234"), &offered).join("|")
    }

    #[test]
    fn says_what_is_asked_for() {
        let all = "NAME ADDR PORT PROTO HELO IDENT SOURCE";
        let plain = "XFORWARD NAME=mail.example.org ADDR=192.0.2.1 PORT=40112 PROTO=ESMTP HELO=mail.example.org IDENT=abc234 SOURCE=REMOTE";
        assert_eq!(said(|_| (), all), plain);
        assert_eq!(
            said(|_| (), "NAME ADDR PROTO HELO"),
            plain.replace(" PORT=40112", "").replace(" IDENT=abc234 SOURCE=REMOTE", "")
        );
        assert_eq!(said(|c| c.name = ClientName::Unavailable, "NAME"), "XFORWARD NAME=[TEMPUNAVAIL]");
    }

    #[test]
    fn a_client_on_this_host_is_local() {
        for (ip, local) in [
            ("127.0.0.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("198.51.100.25", true),
            ("192.0.2.1", false),
        ] {
            let source = said(|client| client.ip = ip.parse().unwrap(), "SOURCE");
            assert_eq!(source == "XFORWARD SOURCE=LOCAL", local, "{ip}: {source}");
        }
    }
}
