//! The shipped policies, rule by rule.

use std::collections::HashSet;

use super::*;

const HEADER: &str = "From: a@sender.test\nTo: b@example.org\nSubject: x\nDate: Sat, 21 Nov 2026 20:00:00 +0100\nMessage-ID: <1@sender.test>";

fn mail_hosts(domain: &str) -> Question {
    Question::MailHosts(domain.to_owned())
}

/// What rules in shadow said.
fn softly(judgement: &Judgement) -> String {
    let soft: Vec<_> = events(judgement).into_iter().filter(|event| event.starts_with("would_")).collect();
    soft.join(" ")
}

#[test]
fn an_ordinary_mail_passes_without_a_word() {
    let mut rig = Rig::shipped();
    let helo = Question::Dns(RecordType::A, "client.sender.test".to_owned());
    rig.knows_lookup(helo.clone(), "ok", &["192.0.2.1"]);
    let stages = [
        rig.judge(Moment::Connect),
        rig.helo(),
        rig.mail(),
        rig.rcpt("b@example.org"),
        rig.data(),
        rig.message(HEADER),
    ];
    for judgement in stages {
        assert_eq!(
            (told(&judgement).as_str(), events(&judgement), judgement.errors),
            ("pass", vec![], vec![])
        );
    }
    let asked: Vec<_> = rig.asked.iter().filter(|question| question.is_pure()).cloned().collect();
    assert_eq!(
        asked,
        [
            helo,
            Question::Fcrdns,
            mail_hosts("sender.test"),
            Question::Spf,
            Question::Dmarc,
            Question::Contents
        ],
        "and what counts is in the transcripts"
    );
    assert_eq!(rig.memory.size_limit(&rig.mail).unwrap().octets, 50 << 20);
}

#[test]
fn relay() {
    let mut rig = Rig::shipped();
    assert_eq!(told(&rig.rcpt("x@far.test")), "550 5.7.1 relaying denied [relay.denied]");
    rig.session.trusted = true;
    assert_eq!(told(&rig.rcpt("x@far.test")), "pass");
    rig.session.trusted = false;
    rig.session.auth.mechanism = "plain".to_owned();
    assert_eq!(told(&rig.rcpt("x@far.test")), "pass");
    rig.session.auth.mechanism = String::new();
    rig.session.client.ip = IpAddr::from([127, 0, 0, 1]);
    assert_eq!(
        told(&rig.rcpt("x@far.test")),
        "550 5.7.1 relaying denied [relay.denied]",
        "loopback is not trusted by itself"
    );
}

#[test]
fn protocol() {
    let mut rig = Rig::shipped();
    for event in Violation::ALL {
        let judgement = rig.violation(event);
        if event == Violation::EarlyCommands {
            assert_eq!(softly(&judgement), "would_disconnect manners.early-commands");
            continue;
        }
        if event == Violation::AuthFailed {
            assert_eq!((told(&judgement).as_str(), softly(&judgement).as_str()), ("pass", ""));
            continue;
        }
        let rule = format!("protocol.{}]", event.name().replace('_', "-"));
        assert!(
            told(&judgement).starts_with("close ") && told(&judgement).ends_with(&rule),
            "{}",
            told(&judgement)
        );
    }
}

#[test]
fn helo() {
    let table = [
        ("192.0.2.1", "550 5.5.2 HELO must not be a bare IP address [helo.bare-ip]", ""),
        ("2001:db8::1", "550 5.5.2 HELO must not be a bare IP address [helo.bare-ip]", ""),
        (
            "localhost",
            "550 5.5.2 HELO must be a fully qualified host name or an address literal [helo.not-fqdn]",
            "",
        ),
        ("a$b.test", "550 5.5.2 HELO must be a host name or an address literal [helo.syntax]", ""),
        ("mx.example.org", "550 5.7.1 that is my name, not yours [helo.our-name]", ""),
        ("[192.0.2.1]", "pass", ""),
        ("[192.0.2.2]", "pass", "would_defer helo.unresolved"),
        ("elsewhere.test", "pass", "would_defer helo.unresolved"),
        ("client_1.sender.test", "pass", ""),
    ];
    for (name, expected, event) in table {
        let mut rig = Rig::shipped();
        rig.knows_lookup(Question::Dns(RecordType::A, "elsewhere.test".to_owned()), "ok", &["192.0.2.99"]);
        rig.session.helo = name.to_owned();
        let judgement = rig.helo();
        assert_eq!(told(&judgement), expected, "{name}");
        assert_eq!(softly(&judgement), event, "{name}");
        rig.session.trusted = true;
        assert_eq!(told(&rig.helo()), "pass", "{name} from a trusted network");
    }
}

#[test]
fn helo_over_ipv6_and_without_dns() {
    let mut rig = Rig::shipped();
    rig.session.client.ip = "2001:db8::7".parse().unwrap();
    let question = Question::Dns(RecordType::Aaaa, "client.sender.test".to_owned());
    rig.knows_lookup(question.clone(), "ok", &["2001:db8::7"]);
    assert!(events(&rig.helo()).is_empty());
    assert_eq!(rig.asked, std::slice::from_ref(&question));
    rig.memory = Memory::default();
    rig.knows_lookup(question, "error", &[]);
    assert!(events(&rig.helo()).is_empty(), "what cannot be looked up is not held against anyone");
    rig.session.helo = "[ipv6:2001:db8::7]".to_owned();
    assert!(events(&rig.helo()).is_empty());
}

#[test]
fn sender() {
    let table = [
        ("a@sender.test", "ok", "pass"),
        (
            "a@sender.test",
            "null_mx",
            "550 5.7.27 sender.test takes no mail, so it cannot send any [sender.null-mx]",
        ),
        (
            "a@sender.test",
            "none",
            "550 5.1.8 sender.test does not exist or has no mail server [sender.no-such-domain]",
        ),
        ("a@sender.test", "error", "450 4.1.8 sender.test cannot be looked up now [sender.unresolved]"),
        ("a@localhost", "ok", "550 5.1.8 the sender's domain must be fully qualified [sender.not-fqdn]"),
        ("", "none", "pass"),
        ("a@[192.0.2.1]", "none", "pass"),
    ];
    for (sender, result, expected) in table {
        let mut rig = Rig::shipped();
        rig.mail = mail(sender);
        rig.knows_lookup(mail_hosts("sender.test"), result, &[]);
        assert_eq!(told(&rig.mail()), expected, "{sender} {result}");
    }
    let mut rig = Rig::shipped();
    rig.knows_lookup(mail_hosts("sender.test"), "none", &[]);
    rig.session.client.ip = IpAddr::from([127, 0, 0, 1]);
    assert_eq!(told(&rig.mail()), "pass", "loopback has no public DNS");
    assert!(!rig.asked.iter().any(Question::is_pure));
}

#[test]
fn our_own_domain_is_not_for_strangers() {
    let mut rig = Rig::shipped();
    rig.rcpt("b@example.org");
    rig.knows_dmarc(CheckResult::Fail, DmarcPolicy::None, "example.org");
    assert_eq!(
        told(&rig.message(&HEADER.replace("a@sender.test", "boss@example.org"))),
        "550 5.7.1 mail from example.org does not come from you [sender.own-domain]"
    );
    rig.memory.end_transaction();
    rig.knows_dmarc(CheckResult::Fail, DmarcPolicy::None, "sender.test");
    assert_eq!(told(&rig.message(HEADER)), "pass");
}

#[test]
fn bounce_and_recipients() {
    let mut rig = Rig::shipped();
    rig.mail = mail("");
    rig.rcpt("a@example.org");
    assert_eq!(told(&rig.data()), "pass");
    rig.rcpt("b@example.org");
    assert_eq!(told(&rig.data()), "550 5.5.3 a bounce has one recipient [bounce.several-recipients]");

    let mut rig = Rig::shipped();
    for n in 0..100 {
        assert_eq!(told(&rig.rcpt(&format!("r{n}@example.org"))), "pass");
    }
    assert_eq!(
        told(&rig.rcpt("more@example.org")),
        "452 4.5.3 too many recipients, send the rest in another transaction [recipients.too-many]"
    );
    rig.session.recipients_refused = 10;
    assert_eq!(
        told(&rig.rcpt("x@example.org")),
        "close 421 4.7.0 too many recipients were refused [recipients.guessing]"
    );
    rig.session.trusted = true;
    assert_eq!(told(&rig.rcpt("x@example.org")), "pass");
}

#[test]
fn size() {
    let mut rig = Rig::shipped();
    rig.mail.size = 50 << 20;
    assert_eq!(told(&rig.rcpt("a@example.org")), "pass");
    rig.mail.size += 1;
    assert_eq!(told(&rig.rcpt("b@example.org")), "552 5.3.4 message too big for example.org [size.declared]");
}

#[test]
fn spf() {
    let table = [
        (
            CheckResult::Fail,
            "v=spf1 -all",
            "550 5.7.23 sender.test says that it sends no mail [spf.no-mail-domain]",
            "",
        ),
        (
            CheckResult::Fail,
            "V=SPF1  -ALL ",
            "550 5.7.23 sender.test says that it sends no mail [spf.no-mail-domain]",
            "",
        ),
        (CheckResult::Fail, "v=spf1 mx -all", "pass", "would_reject spf.fail"),
        (CheckResult::SoftFail, "v=spf1 ~all", "pass", ""),
        (CheckResult::TempError, "", "pass", ""),
        (CheckResult::PermError, "v=spf1 -all", "pass", ""),
    ];
    for (result, record, expected, event) in table {
        let mut rig = Rig::shipped();
        rig.knows_spf(result, record);
        let judgement = rig.mail();
        assert_eq!(told(&judgement), expected, "{result} {record}");
        assert_eq!(softly(&judgement), event, "{result} {record}");
    }
}

#[test]
fn dmarc() {
    let refused = "550 5.7.26 sender.test asks to refuse mail that fails DMARC [dmarc.reject]";
    let table = [
        (CheckResult::Fail, DmarcPolicy::Reject, refused, 0),
        (CheckResult::Fail, DmarcPolicy::Quarantine, "pass", 1),
        (CheckResult::Fail, DmarcPolicy::None, "pass", 0),
        (
            CheckResult::TempError,
            DmarcPolicy::None,
            "451 4.7.0 DMARC cannot be checked now [dmarc.temperror]",
            0,
        ),
        (CheckResult::None, DmarcPolicy::None, "pass", 0),
        (CheckResult::Pass, DmarcPolicy::Reject, "pass", 0),
    ];
    for (result, policy, expected, tags) in table {
        let mut rig = Rig::shipped();
        rig.knows_dmarc(result, policy, "sender.test");
        assert_eq!(told(&rig.message(HEADER)), expected, "{result} {policy:?}");
        assert_eq!(rig.memory.tags(&rig.mail).len(), tags, "{result} {policy:?}");
        rig.session.client.ip = "::1".parse().unwrap();
        assert_eq!(told(&rig.message(HEADER)), "pass");
    }
}

#[test]
fn a_trusted_chain_speaks_for_mail_that_fails_dmarc() {
    for (trusted, original, passes) in [(true, "pass", true), (true, "fail", false), (false, "pass", false)] {
        for author in ["a@sender.test", "boss@example.org"] {
            let mut rig = Rig::shipped();
            rig.rcpt("b@example.org");
            let (_, domain) = author.split_once('@').unwrap();
            rig.knows_dmarc(CheckResult::Fail, DmarcPolicy::Reject, domain);
            let (result, original_dmarc) = (CheckResult::Pass, original.to_owned());
            let chain = ArcChain { result, trusted, original_dmarc, ..ArcChain::default() };
            rig.knows(Question::Arc, chain.into());
            let judgement = rig.message(&HEADER.replace("a@sender.test", author));
            assert_eq!(told(&judgement) == "pass", passes, "{author} {trusted} {original}");
            assert_eq!(judgement.effects.dmarc_override.as_deref(), passes.then_some("trusted_forwarder"));
        }
    }
}

#[test]
fn headers() {
    let one_from =
        "550 5.6.0 a message has exactly one From field with exactly one address [headers.one-from]";
    let no_address = "550 5.6.0 the From field has no valid address [headers.from-address]";
    let table = [
        (HEADER.replace("From: a@sender.test\n", ""), one_from, ""),
        (format!("From: b@other.test\n{HEADER}"), one_from, ""),
        (HEADER.replace("a@sender.test", "a@sender.test, b@other.test"), one_from, ""),
        (HEADER.replace("a@sender.test", "friends: a@sender.test;"), one_from, ""),
        (HEADER.replace("a@sender.test", "nobody"), no_address, ""),
        (HEADER.replace("a@sender.test", "a@[192.0.2.1]"), no_address, ""),
        (
            format!("{}{HEADER}", "Received: x\n".repeat(26)),
            "554 5.4.6 this message has been travelling in a loop [headers.loop]",
            "",
        ),
        (format!("{}{HEADER}", "Received: x\n".repeat(25)), "pass", ""),
        (
            format!("{}{HEADER}", format!("X-Filler: {}\n", "x".repeat(500)).repeat(270)),
            "552 5.3.4 the header is too large [headers.too-large]",
            "",
        ),
        (HEADER.replace("Date:", "X-Date:"), "pass", "would_reject headers.no-date"),
        (HEADER.replace("Message-ID:", "X-Id:"), "pass", "would_reject headers.no-message-id"),
        (format!("Subject: y\n{HEADER}"), "pass", "would_reject headers.duplicate-field"),
    ];
    for (header, expected, event) in table {
        let mut rig = Rig::shipped();
        let judgement = rig.message(&header);
        assert_eq!(told(&judgement), expected, "{header}");
        assert_eq!(softly(&judgement), event, "{header}");
    }
}

/// A row of the handbook names each rule of its policy, with its code, under what its mode is.
/// Whoever asks why a mail was refused is told by each rule that is shipped.
#[test]
fn each_rule_says_why_what_else_and_what_to_do() {
    let rig = Rig::shipped();
    let named = rig.policies.rules().iter().filter(|rule| rule.rule != rule.policy);
    let silent = named.filter(|rule| {
        let words = rule.words.as_deref().cloned().unwrap_or_default();
        [words.why, words.otherwise, words.advice].iter().any(String::is_empty)
    });
    let silent: Vec<_> = silent.map(|rule| &*rule.rule).collect();
    assert!(silent.is_empty(), "RULES of their policies say too little of {silent:?}");
}

#[test]
fn the_handbook_tells_each_rule_with_its_mode_and_reply() {
    let page = include_str!("../../../policies/README.md");
    let rig = Rig::shipped();
    let mut missing = Vec::new();
    for rule in rig.policies.rules() {
        let Some((_, name)) = rule.rule.split_once('.') else { continue };
        let file = rule.file.trim_end_matches(".rhai");
        let is_row = |line: &&str| line.strip_prefix("| ").is_some_and(|row| row.starts_with(file));
        let row = page.lines().find(is_row).unwrap_or_default();
        let column = if rule.mode == Mode::Enforce { 2 } else { 3 };
        let cell = row.split('|').nth(column).unwrap_or_default();
        let behind = cell.split_once(&format!("`{name}`")).map(|(_, behind)| behind);
        let is_told =
            behind.is_some_and(|behind| rule.code == 250 || behind.contains(&rule.code.to_string()));
        if !is_told {
            missing.push(format!("{} ({}, {})", rule.rule, rule.mode.name(), rule.code));
        }
    }
    missing.dedup();
    assert!(missing.is_empty(), "policies/README.md does not tell of {missing:?}");
}

/// The last line of what a file says about itself.
#[test]
fn each_shipped_file_states_its_mode() {
    let rig = Rig::shipped();
    for policy in rig.policies.policies() {
        let rules = rig.policies.rules().iter().filter(|rule| rule.policy == policy.name);
        let softer: HashSet<_> = rules
            .filter(|rule| rule.mode != policy.mode)
            .map(|rule| (rule.mode, rule.rule.split_once('.').unwrap().1))
            .collect();
        let stated = policy.doc.lines().last().unwrap();
        let named: Vec<_> = stated.split('`').skip(1).step_by(2).collect();
        assert_eq!(softer, named.iter().map(|name| (Mode::Shadow, *name)).collect(), "{}", policy.name);
        let rest = match named.as_slice() {
            [] if policy.gate => "; a gate knows no other".to_owned(),
            [] => String::new(),
            named => format!(", but `{}` in shadow", named.join("`, `")),
        };
        assert_eq!(stated, format!("Mode: {}{rest}.", policy.mode.name()), "{}", policy.name);
    }
}
