//! The `Authentication-Results` field (RFC 8601) that tells the upstream what was found.

mod parse;
mod received;

use std::fmt::Write as _;
use std::net::IpAddr;

pub use self::parse::{AuthenticationResults, MethodResult, NotResults};
pub use self::received::received_spf;
use super::results::{ArcChain, CheckResult, Dkim, Dmarc, DmarcPolicy, MessageResults, Spf};
use crate::message::edit::{FieldError, NewField};
use crate::smtp::path::{Mailbox, ReversePath};

/// The name of the field.
pub const NAME: &str = "Authentication-Results";
/// No value that comes from the client is longer in the field. An address has at most 320 octets.
const MAX_VALUE: usize = 400;

/// What was found about one message. What is `None` was not checked and is not mentioned.
#[derive(Clone, Copy, Debug)]
pub struct Findings<'a> {
    /// Who connected.
    pub client: IpAddr,
    /// Its name in the DNS, if somebody found out that it leads back to the address; empty otherwise.
    pub client_name: &'a str,
    /// What the client said in HELO or EHLO.
    pub helo: &'a str,
    /// SPF of that name.
    pub helo_spf: Option<&'a Spf>,
    /// The sender. SPF of a null sender is that of the HELO name and is not mentioned a second time.
    pub sender: &'a ReversePath,
    /// SPF of the sender.
    pub spf: Option<&'a Spf>,
    /// DKIM and DMARC.
    pub results: Option<&'a MessageResults>,
    /// What was done on DMARC's account.
    pub disposition: DmarcPolicy,
    /// Why a policy did not follow DMARC: one of the reasons of RFC 9990.
    pub dmarc_override: Option<&'a str>,
}

/// The field for a message that is accepted. Nothing that came with the message or from the client can add a result to it:
/// such text is quoted, without controls and cut to a length.
///
/// # Errors
/// `authserv_id` cannot stand in a field: it has controls, or is longer than a line.
pub fn authentication_results(authserv_id: &str, findings: &Findings<'_>) -> Result<NewField, FieldError> {
    let mut value = pvalue(authserv_id);
    let head = value.len();
    if !findings.client_name.is_empty() {
        let (address, name) = (pvalue(&findings.client.to_string()), comment(findings.client_name));
        let _ = write!(value, "; iprev=pass policy.iprev={address} ({name})");
    }
    if let Some(spf) = findings.helo_spf {
        let _ = write!(value, "; spf={} smtp.helo={}", spf.result, pvalue(findings.helo));
    }
    if let (Some(spf), ReversePath::Mailbox(sender)) = (findings.spf, findings.sender) {
        let _ = write!(value, "; spf={} smtp.mailfrom={}", spf.result, address(sender));
    }
    if let Some(results) = findings.results {
        write_dkim(&mut value, &results.dkim);
        write_dmarc(&mut value, &results.dmarc, findings);
        write_arc(&mut value, &results.arc);
    }
    if value.len() == head {
        value.push_str("; none");
    }
    NewField::new(NAME, &value)
}

fn write_dkim(value: &mut String, signatures: &[Dkim]) {
    if signatures.is_empty() {
        value.push_str("; dkim=none");
    }
    for dkim in signatures {
        let _ = write!(value, "; dkim={}", dkim.result);
        if !dkim.reason.is_empty() {
            let _ = write!(value, " reason={}", pvalue(dkim.reason));
        }
        let properties = [
            ("header.d", dkim.domain.as_str()),
            ("header.s", &dkim.selector),
            ("header.a", dkim.algorithm),
            ("header.b", &dkim.signature),
        ];
        for (name, text) in properties.into_iter().filter(|(_, text)| !text.is_empty()) {
            let _ = write!(value, " {name}={}", pvalue(text));
        }
        if dkim.bits > 0 {
            let _ = write!(value, " ({} bits)", dkim.bits);
        }
    }
}

fn write_dmarc(value: &mut String, dmarc: &Dmarc, findings: &Findings<'_>) {
    let _ = write!(value, "; dmarc={}", dmarc.result);
    if !matches!(dmarc.result, CheckResult::None | CheckResult::PermError | CheckResult::TempError) {
        let testing = if dmarc.testing { " t=y" } else { "" };
        let reason = findings.dmarc_override.map_or_else(String::new, |reason| format!(" override={reason}"));
        let (policy, disposition) = (dmarc.policy.name(), findings.disposition.name());
        let _ = write!(value, " (p={policy}{testing} dis={disposition}{reason})");
    }
    if !dmarc.domain.is_empty() {
        let _ = write!(value, " header.from={}", pvalue(&dmarc.domain));
    }
}

/// Nothing about a message without a chain, as for most.
fn write_arc(value: &mut String, arc: &ArcChain) {
    if arc.result == CheckResult::None {
        return;
    }
    let _ = write!(value, "; arc={}", arc.result);
    if !arc.reason.is_empty() {
        let _ = write!(value, " reason={}", pvalue(arc.reason));
    }
    if !arc.sealers.is_empty() {
        let trusted = if arc.trusted { " trusted" } else { "" };
        let _ = write!(value, " (i={}{trusted})", arc.sealers.len());
    }
}

/// RFC 8601 2.2: an address stands as it is if both its parts are plain, else its whole is a quoted string.
fn address(mailbox: &Mailbox) -> String {
    let local = mailbox.local().unquoted();
    let domain = mailbox.domain().to_string();
    if is_plain(local) && is_plain(&domain) && local.len() + domain.len() < MAX_VALUE {
        format!("{local}@{domain}")
    } else {
        // Beyond ASCII only under SMTPUTF8, and then the header may hold it (RFC 8616 4).
        quoted(&format!("{}@{domain}", mailbox.local().original()), true)
    }
}

fn pvalue(text: &str) -> String {
    if is_plain(text) && text.len() <= MAX_VALUE { text.to_owned() } else { quoted(text, false) }
}

/// The text in a comment (RFC 5322 3.2.2), which it cannot end. Like a name in the DNS, or it is not that.
fn comment(text: &str) -> String {
    let in_place = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '?' };
    text.chars().map(in_place).take(MAX_VALUE).collect()
}

/// Whether the text is a token by RFC 2045 5.1, which can end nothing and begin nothing.
fn is_plain(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token)
}

/// A quoted string (RFC 5322 3.2.4). Controls, line ends first of all, become `?`, as does what is no ASCII without `utf8`: only
/// messages under SMTPUTF8 may have that in their header.
fn quoted(text: &str, utf8: bool) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars().take(MAX_VALUE) {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            ' ' => quoted.push(' '),
            _ if character.is_ascii_graphic() => quoted.push(character),
            _ if utf8 && !character.is_ascii() && !character.is_control() => quoted.push(character),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::command::Command;

    fn sender(path: &str) -> ReversePath {
        match Command::parse(format!("MAIL FROM:{path} SMTPUTF8").as_bytes(), false) {
            Ok(Command::Mail(mail)) => mail.path,
            other => panic!("{path}: {other:?}"),
        }
    }

    fn findings<'a>(sender: &'a ReversePath, helo: &'a str) -> Findings<'a> {
        Findings {
            client: [192, 0, 2, 1].into(),
            client_name: "",
            helo,
            helo_spf: None,
            sender,
            spf: None,
            results: None,
            disposition: DmarcPolicy::None,
            dmarc_override: None,
        }
    }

    fn value(findings: &Findings<'_>) -> String {
        authentication_results("mx.example", findings).unwrap().value()
    }

    fn spf(result: CheckResult) -> Spf {
        Spf { result, ..Spf::default() }
    }

    #[test]
    fn everything_that_was_found() {
        let sender = sender("<alice@example.org>");
        let (helo_spf, spf) = (spf(CheckResult::None), spf(CheckResult::SoftFail));
        let good = Dkim {
            result: CheckResult::Pass,
            domain: "example.org".into(),
            selector: "sel".into(),
            algorithm: "rsa-sha256",
            bits: 2048,
            signature: "abc+/def".into(),
            ..Dkim::default()
        };
        let bad = Dkim {
            result: CheckResult::Fail,
            algorithm: "",
            bits: 0,
            reason: "body_changed",
            ..good.clone()
        };
        let dmarc = Dmarc {
            result: CheckResult::Pass,
            policy: DmarcPolicy::Reject,
            domain: "example.org".into(),
            testing: false,
            reason: "dkim",
            ..Dmarc::default()
        };
        let arc =
            ArcChain { result: CheckResult::Pass, sealers: vec!["x.example".into()], ..ArcChain::default() };
        let results = MessageResults { dkim: vec![good, bad], dmarc, arc, ..MessageResults::default() };
        let findings = Findings {
            helo_spf: Some(&helo_spf),
            spf: Some(&spf),
            results: Some(&results),
            ..findings(&sender, "mail.example.org")
        };
        assert_eq!(
            value(&findings),
            "mx.example; spf=none smtp.helo=mail.example.org; spf=softfail smtp.mailfrom=alice@example.org; dkim=pass \
             header.d=example.org header.s=sel header.a=rsa-sha256 header.b=\"abc+/def\" (2048 bits); dkim=fail reason=body_changed \
             header.d=example.org header.s=sel header.b=\"abc+/def\"; dmarc=pass (p=reject dis=none) \
             header.from=example.org; arc=pass (i=1)"
        );
    }

    #[test]
    fn a_verified_name_is_told() {
        let sender = sender("<alice@example.org>");
        for (client, name, written) in [
            ("192.0.2.1", "mail.example.org", "iprev=pass policy.iprev=192.0.2.1 (mail.example.org)"),
            ("2001:db8::1", "mail.example.org", "iprev=pass policy.iprev=\"2001:db8::1\" (mail.example.org)"),
            ("192.0.2.1", "x); dkim=pass (", "iprev=pass policy.iprev=192.0.2.1 (x???dkim?pass??)"),
        ] {
            let findings =
                Findings { client: client.parse().unwrap(), client_name: name, ..findings(&sender, "x") };
            assert_eq!(value(&findings), format!("mx.example; {written}"));
            let read = AuthenticationResults::parse(&value(&findings)).unwrap();
            assert_eq!(read.results[0].properties, [("policy.iprev".to_owned(), client.to_owned())]);
        }
    }

    #[test]
    fn a_policy_that_does_not_follow_dmarc_says_why() {
        let sender = sender("<alice@example.org>");
        let dmarc = Dmarc { result: CheckResult::Fail, policy: DmarcPolicy::Reject, ..Dmarc::default() };
        let results = MessageResults { dmarc, ..MessageResults::default() };
        let findings = Findings {
            results: Some(&results),
            dmarc_override: Some("trusted_forwarder"),
            ..findings(&sender, "mail.example.org")
        };
        assert_eq!(
            value(&findings),
            "mx.example; dkim=none; dmarc=fail (p=reject dis=none override=trusted_forwarder)"
        );
    }

    #[test]
    fn nothing_is_none() {
        let sender = ReversePath::Null;
        assert_eq!(value(&findings(&sender, "x")), "mx.example; none");
        let results = MessageResults::default();
        let findings = Findings { results: Some(&results), ..findings(&sender, "x") };
        assert_eq!(value(&findings), "mx.example; dkim=none; dmarc=none");
    }

    #[test]
    fn a_null_sender_is_the_helo_name() {
        let spf = spf(CheckResult::Pass);
        let findings = Findings {
            helo_spf: Some(&spf),
            spf: Some(&spf),
            ..findings(&ReversePath::Null, "mail.example")
        };
        assert_eq!(value(&findings), "mx.example; spf=pass smtp.helo=mail.example");
    }

    #[test]
    fn text_of_the_client_adds_no_result() {
        let pass = spf(CheckResult::Pass);
        for (path, helo, written) in [
            ("<\"a; dmarc=pass\"@example.org>", "x", "smtp.mailfrom=\"\\\"a; dmarc=pass\\\"@example.org\""),
            ("<\"a b\"@example.org>", "x", "smtp.mailfrom=\"\\\"a b\\\"@example.org\""),
            ("<a=b@example.org>", "x", "smtp.mailfrom=\"a=b@example.org\""),
            ("<\u{fc}@b\u{fc}cher.example>", "x", "smtp.mailfrom=\"\u{fc}@b\u{fc}cher.example\""),
            ("<a@[192.0.2.1]>", "x", "smtp.mailfrom=\"a@[192.0.2.1]\""),
            (
                "<a@b.example>",
                "x; dkim=pass header.d=bank.example",
                "smtp.helo=\"x; dkim=pass header.d=bank.example\"",
            ),
            ("<a@b.example>", "x\"; dkim=pass", "smtp.helo=\"x\\\"; dkim=pass\""),
            ("<a@b.example>", "x\\", "smtp.helo=\"x\\\\\""),
            ("<a@b.example>", "x\r\nSubject: y", "smtp.helo=\"x??Subject: y\""),
            ("<a@b.example>", "[192.0.2.1]", "smtp.helo=\"[192.0.2.1]\""),
            ("<a@b.example>", "b\u{fc}cher.example", "smtp.helo=\"b?cher.example\""),
            ("<a@b.example>", "", "smtp.helo=\"\""),
        ] {
            let sender = sender(path);
            let findings = Findings { helo_spf: Some(&pass), spf: Some(&pass), ..findings(&sender, helo) };
            let value = value(&findings);
            assert!(value.contains(written), "{value}");
            assert_eq!(outside_quotes(&value).matches("=pass").count(), 2, "{value}");
        }
    }

    fn outside_quotes(value: &str) -> String {
        let (mut outside, mut quoted, mut escaped) = (String::new(), false, false);
        for character in value.chars() {
            match character {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ if !quoted => outside.push(character),
                _ => {}
            }
        }
        outside
    }

    proptest::proptest! {
        /// What a reader finds is what was written, whatever the client calls itself.
        #[test]
        fn readers_find_what_was_written(helo in "\\PC{0,60}", selector in "\\PC{0,40}", local in "[a-z0-9.+=]{1,20}") {
            let sender = sender(&format!("<x{}y@sender.example>", local.replace('.', "-")));
            let (helo_spf, spf) = (spf(CheckResult::Fail), spf(CheckResult::SoftFail));
            let dkim = Dkim { selector: selector.clone(), reason: "no_key", ..Dkim::default() };
            let dmarc = Dmarc { result: CheckResult::Fail, domain: "sender.example".into(), ..Dmarc::default() };
            let results = MessageResults { dkim: vec![dkim], dmarc, ..MessageResults::default() };
            let findings = Findings {
                helo_spf: Some(&helo_spf), spf: Some(&spf), results: Some(&results), ..findings(&sender, &helo)
            };
            let field = authentication_results("mx.example", &findings).unwrap();
            let read = AuthenticationResults::parse(&field.value()).unwrap();
            let plain = |text: &str| text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect::<String>();
            let methods: Vec<_> = read.results.iter().map(|found| (found.method.as_str(), found.result.as_str())).collect();
            proptest::prop_assert_eq!(&methods, &[("spf", "fail"), ("spf", "softfail"), ("dkim", "none"), ("dmarc", "fail")]);
            proptest::prop_assert_eq!(&read.results[0].properties, &[("smtp.helo".to_owned(), plain(&helo))]);
            let said = read.results[2].properties.iter().find(|(name, _)| name == "header.s").map(|(_, value)| value.clone());
            proptest::prop_assert_eq!(said, (!selector.is_empty()).then(|| plain(&selector)));
        }
    }

    #[test]
    fn signatures_cannot_add_results_and_the_field_has_an_end() {
        let dkim = Dkim {
            result: CheckResult::PermError,
            domain: "a; dmarc=pass".repeat(18),
            selector: "\r\n".repeat(60),
            algorithm: "",
            bits: 0,
            signature: "\"(\"".into(),
            reason: "syntax",
            ..Dkim::default()
        };
        let results = MessageResults { dkim: vec![dkim; 20], ..MessageResults::default() };
        let findings = Findings { results: Some(&results), ..findings(&ReversePath::Null, "x") };
        assert!(!outside_quotes(&value(&findings)).contains("dmarc=pass"));
    }
}
