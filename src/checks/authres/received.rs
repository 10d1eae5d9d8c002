//! The `Received-SPF` field (RFC 7208 9.1), for programs that read no other.

use std::fmt::Write as _;

use super::{Findings, quoted};
use crate::message::edit::NewField;
use crate::smtp::path::ReversePath;

const NAME: &str = "Received-SPF";

/// The result for the sender, or for the HELO name of a null sender. `None` if SPF was not checked.
pub fn received_spf(receiver: &str, findings: &Findings<'_>) -> Option<NewField> {
    let (spf, identity, sender) = match findings.sender {
        ReversePath::Null => (findings.helo_spf?, "helo", String::new()),
        ReversePath::Mailbox(mailbox) => (findings.spf?, "mailfrom", mailbox.to_string()),
    };
    let mut value = spf.result.name().to_owned();
    let client = findings.client.to_string();
    let pairs = [
        ("receiver", receiver),
        ("identity", identity),
        ("client-ip", &client),
        ("envelope-from", &sender),
        ("helo", findings.helo),
        ("mechanism", &spf.mechanism),
    ];
    for (nth, (key, text)) in pairs.into_iter().filter(|(_, text)| !text.is_empty()).enumerate() {
        let separator = if nth == 0 { "" } else { ";" };
        let _ = write!(value, "{separator} {key}={}", pair_value(text));
    }
    NewField::new(NAME, &value).ok()
}

/// A dot-atom as it is, all else quoted.
fn pair_value(text: &str) -> String {
    let is_atext = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(is_atext);
    if text.len() <= 255 && text.split('.').all(is_part) { text.to_owned() } else { quoted(text, false) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::results::{CheckResult, DmarcPolicy, Spf};
    use crate::smtp::command::Command;

    fn field(path: &str, helo: &str, client: &str, spf: &Spf) -> Option<String> {
        let sender = match Command::parse(format!("MAIL FROM:{path}").as_bytes(), false) {
            Ok(Command::Mail(mail)) => mail.path,
            other => panic!("{path}: {other:?}"),
        };
        let findings = Findings {
            client: client.parse().unwrap(),
            client_name: "",
            helo,
            helo_spf: Some(spf),
            sender: &sender,
            spf: Some(spf),
            results: None,
            disposition: DmarcPolicy::None,
            dmarc_override: None,
        };
        received_spf("mx.example", &findings).map(|field| field.value())
    }

    #[test]
    fn fields() {
        let spf = Spf { result: CheckResult::Pass, mechanism: "ip4:192.0.2.0/24".into(), ..Spf::default() };
        for (path, helo, client, written) in [
            (
                "<a@b.example>",
                "mail.b.example",
                "192.0.2.1",
                "pass receiver=mx.example; identity=mailfrom; client-ip=192.0.2.1; envelope-from=\"a@b.example\"; \
                 helo=mail.b.example; mechanism=\"ip4:192.0.2.0/24\"",
            ),
            (
                "<>",
                "mail.b.example",
                "2001:db8::1",
                "pass receiver=mx.example; identity=helo; client-ip=\"2001:db8::1\"; helo=mail.b.example; \
                 mechanism=\"ip4:192.0.2.0/24\"",
            ),
            (
                "<a@b.example>",
                "x\"; identity=none\r\ny",
                "192.0.2.1",
                "pass receiver=mx.example; identity=mailfrom; client-ip=192.0.2.1; envelope-from=\"a@b.example\"; \
                 helo=\"x\\\"; identity=none??y\"; mechanism=\"ip4:192.0.2.0/24\"",
            ),
        ] {
            assert_eq!(field(path, helo, client, &spf).as_deref(), Some(written));
        }
        let unchecked = Spf::default();
        assert!(field("<a@b.example>", "x", "192.0.2.1", &unchecked).unwrap().starts_with("none receiver="));
    }
}
