//! What scripts can read, and the plain functions.

use super::*;

/// Runs `expression` at `message`, where everything can be seen, and gives its value as text.
fn value_of(rig: &mut Rig, expression: &str, header: &str) -> String {
    let script = format!(
        "const SETTINGS = #{{ n: 5, f: 1.5, t: \"text\", on: true, all: [\"a\", \"b\"] }};
         fn message(session, mail, message) {{ let rcpt = if mail.recipients.is_empty() {{ () }} else {{ mail.recipients[0] }}; note(\"v\", `${{{expression}}}`); reject(\"r\", noted(\"x.v\")); }}"
    );
    let files = [("10-x.rhai", script.as_str())];
    let fresh = Rig::with(&files, |sources| {
        sources.settings.insert("x".to_owned(), [("f".to_owned(), Setting::Integer(2))].into());
        let list = ["boss@example.org", "partner.test", "198.51.100.0/24"].map(str::to_owned).to_vec();
        sources.lists.insert("l".to_owned(), EntrySource::Inline(list).into());
    });
    rig.policies = fresh.policies;
    let judgement = rig.message(header);
    match judgement.verdict {
        Verdict::Refuse(refusal) if judgement.errors.is_empty() => refusal.reply.lines().join("|"),
        _ => format!("{:?}", judgement.errors),
    }
}

fn check(table: &[(&str, &str)], header: &str) {
    let mut rig = Rig::new(&[]);
    rig.session.tls = Some(TlsScene {
        version: "TLSv1.3".to_owned(),
        group: "X25519".to_owned(),
        client_subject: "CN=a".to_owned(),
        client_fingerprint: "c0de".to_owned(),
        ..TlsScene::default()
    });
    rig.session.client.ip = "2001:db8:1:2:3::4".parse().unwrap();
    rig.mail.recipients.push(Arc::new(RcptScene {
        address: recipient("Boss@Example.Org"),
        is_ours: true,
        ..RcptScene::default()
    }));
    for (expression, expected) in table {
        assert_eq!(value_of(&mut rig, expression, header), *expected, "{expression}");
    }
}

#[test]
fn session_mail_and_rcpt() {
    let table = [
        ("session.id", "s1"),
        ("session.listener", "mx"),
        ("session.hostname", "mx.example.org"),
        ("session.helo", "client.sender.test"),
        ("session.helo_verb", "EHLO"),
        ("session.inside", "false"),
        ("session.trusted", "false"),
        ("session.client.ip", "2001:db8:1:2:3::4"),
        ("session.client.port", "40112"),
        ("session.client.network", "2001:db8:1:2::/64"),
        ("session.client.name == \"\"", "true"),
        ("session.auth.user == \"\"", "true"),
        ("session.tls.active", "true"),
        ("session.tls.version", "TLSv1.3"),
        ("session.tls.group", "X25519"),
        ("session.tls.client_subject", "CN=a"),
        ("session.tls.client_fingerprint", "c0de"),
        ("session.tls.verified", "false"),
        ("session.recipients_refused + session.errors + session.transactions", "1"),
        ("mail.id", "m1"),
        ("mail.sender", "sender@sender.test"),
        ("mail.sender.domain", "sender.test"),
        ("mail.sender.is_null", "false"),
        ("mail.size", "0"),
        ("mail.body", "7bit"),
        ("mail.smtputf8", "false"),
        ("mail.parameters.len()", "0"),
        ("mail.discarded.len()", "0"),
        ("mail.spf.result", "pass"),
        ("mail.helo_spf.result", "pass"),
        ("rcpt.address", "boss@example.org"),
        ("rcpt.original", "Boss@example.org"),
        ("rcpt.local_part", "boss"),
        ("rcpt.domain", "example.org"),
        ("rcpt.is_ours", "true"),
        ("rcpt", "boss@example.org"),
        ("rcpt == \"boss@example.org\"", "true"),
        ("rcpt != \"boss@example.org\"", "false"),
        ("\"boss@example.org\" == rcpt", "true"),
        ("rcpt == address(\"BOSS@example.org\")", "true"),
        ("rcpt in [\"a@b.test\", \"boss@example.org\"]", "true"),
        ("rcpt in list(\"l\")", "true"),
        ("mail.sender in list(\"l\")", "false"),
        ("mail.sender !in list(\"l\")", "true"),
        ("\"x@partner.test\" in list(\"l\")", "true"),
        ("\"198.51.100.9\" in list(\"l\")", "true"),
        ("setting(\"n\") + rcpt.setting(\"n\")", "10"),
        ("setting(\"f\")", "2.0"),
        ("setting(\"t\") + setting(\"all\").len() + setting(\"on\")", "text2true"),
        ("noted(\"x.\" + \"nothing\") == \"\"", "true"),
        ("noted(\"x.\" + \"nothing\") == 5", "false"),
        ("noted(\"x.\" + \"nothing\") != true", "true"),
        ("noted(\"x.\" + \"nothing\") > 5", "false"),
        ("#{ a: 1 }.b == 5", "false"),
        ("#{ a: 1 }.b == \"\"", "false"),
        ("now()", "1800000000"),
        ("random()", "0.5"),
        ("fcrdns(session).result", "pass"),
    ];
    check(&table, "From: a@b.test");
}

#[test]
fn the_message() {
    let header = "Received: one\nReceived: two\nFrom: =?utf-8?q?J=C3=B6rg?= <Joerg@B\u{fc}cher.Example>\nTo: a@b.test, c@d.test\nSubject: =?utf-8?b?SGk=?=\n there\nX-A: 1\nx-a:\t2\n folded\nDate: Sat, 21 Nov 2026 20:00:00 +0100\nMessage-ID: <id@b.test>";
    let table = [
        ("message.from.len()", "1"),
        ("message.from[0]", "joerg@xn--bcher-kva.example"),
        ("message.from[0].display.len()", "4"),
        ("message.from[0].is_ours", "false"),
        ("address(\"a@ours.test\").is_ours", "true"),
        ("address(\"a@below.ours.test\").is_ours", "false"),
        ("message.from[0].domain", "xn--bcher-kva.example"),
        ("message.from_is_group", "false"),
        ("message.to.len()", "2"),
        ("message.to[1].domain", "d.test"),
        ("message.cc.len() + message.reply_to.len()", "0"),
        ("message.subject", "Hi there"),
        ("message.date", "2026-11-21T19:00:00Z"),
        ("message.message_id", "id@b.test"),
        ("message.header(\"X-A\")", "1"),
        ("message.header(\"x-none\") == \"\"", "true"),
        ("message.headers(\"x-a\")[1]", "2 folded"),
        ("message.raw_headers(\"x-a\").len()", "2"),
        ("message.raw_headers(\"x-a\")[0]", " 1"),
        ("message.header_count(\"X-A\")", "2"),
        ("message.header_count(\"x-none\")", "0"),
        ("message.repeated_headers([\"x-none\", \"X-A\", \"subject\"])", "[\"X-A\"]"),
        ("join(message.header_names, \" \")", "received from to subject x-a date message-id"),
        ("message.received_count", "2"),
        ("message.header_size > 100", "true"),
        ("message.size > 100", "true"),
        ("message.spf.result", "pass"),
        ("message.dkim[0].result", "none"),
        ("message.dmarc.result", "pass"),
        ("message.dmarc.policy", "none"),
        ("message.dmarc.testing", "false"),
    ];
    check(&table, header);
    check(
        &[("message.date == \"\" && message.message_id == \"\" && message.from.is_empty()", "true")],
        "X: y",
    );
    check(&[("message.from_is_group", "true"), ("message.from.len()", "1")], "From: g: a@b.test;");
}

#[test]
fn plain_functions() {
    let table = [
        ("bytes(\"25MiB\")", "26214400"),
        ("bytes(\"25MB\")", "25000000"),
        ("bytes(\"7B\")", "7"),
        ("seconds(\"10m\") + seconds(\"1s\") + seconds(\"1h\") + seconds(\"1d\")", "90601"),
        ("is_ip(\"192.0.2.1\")", "true"),
        ("is_ip(\"2001:db8::1\")", "true"),
        ("is_ip(\"[192.0.2.1]\")", "false"),
        ("is_ip(\"192.0.2\")", "false"),
        (
            "is_private_ip(\"10.0.0.1\") && is_private_ip(\"127.0.0.1\") && is_private_ip(\"fe80::1\") && is_private_ip(\"fd00::1\")",
            "true",
        ),
        (
            "is_loopback_ip(\"127.1.2.3\") && is_loopback_ip(\"::1\") && is_loopback_ip(\"::ffff:127.0.0.1\")",
            "true",
        ),
        (
            "is_loopback_ip(\"10.0.0.1\") || is_loopback_ip(\"::2\") || is_loopback_ip(\"local\" + \"host\")",
            "false",
        ),
        ("is_private_ip(\"100.64.0.1\") && is_private_ip(\"::ffff:192.168.0.1\")", "true"),
        (
            "is_private_ip(\"192.0.2.1\") || is_private_ip(\"100.128.0.1\") || is_private_ip(\"x\" + \"y\")",
            "false",
        ),
        (
            "is_fqdn(\"mail.example.org\") && is_fqdn(\"a_b.example.org\") && is_fqdn(\"example.org.\")",
            "true",
        ),
        (
            "is_fqdn(\"localhost\") || is_fqdn(\"192.0.2.1\") || is_fqdn(\"-a.example.org\") || is_fqdn(\"a..b\") || is_fqdn(\"\") || is_fqdn(\".\")",
            "false",
        ),
        ("is_address_literal(\"[192.0.2.1]\") && is_address_literal(\"[ipv6:2001:db8::1]\")", "true"),
        (
            "is_address_literal(\"[2001:db8::1]\") || is_address_literal(\"192.0.2.1\") || is_address_literal(\"[]\")",
            "false",
        ),
        ("in_network(\"192.0.2.77\", \"192.0.2.0/24\")", "true"),
        ("in_network(\"::ffff:192.0.2.77\", \"192.0.2.77\")", "true"),
        ("in_network(\"non\" + \"sense\", \"192.0.2.0/24\")", "false"),
        ("network(\"192.0.2.77\", 24, 64)", "192.0.2.0/24"),
        ("network(\"2001:db8::1\", 24, 48)", "2001:db8::/48"),
        ("network(\"non\" + \"sense\", 24, 48) == \"\"", "true"),
        (
            "is_subdomain(\"a.Example.org\", \"example.org\") && is_subdomain(\"example.org\", \"example.org.\")",
            "true",
        ),
        (
            "is_subdomain(\"a.example.org\", \".example.org\") && !is_subdomain(\"example.org\", \".example.org\")",
            "true",
        ),
        (
            "is_subdomain(\"badexample.org\", \".example.org\") || is_subdomain(\"a\", \".\" + \"\") || is_subdomain(\"\", \".\" + \"\")",
            "false",
        ),
        ("is_subdomain(\"badexample.org\", \"example.org\") || is_subdomain(\"a\", \"\" + \"\")", "false"),
        (
            "glob(\"*.example.*\", \"mail.example.org\") && glob(\"a?c\", \"abc\") && glob(\"*\", \"\") && glob(\"a*b*c\", \"aXbYbZc\")",
            "true",
        ),
        (
            "glob(\"a?c\", \"ac\") || glob(\"a\", \"ab\") || glob(\"a*b\", \"a\") || glob(\"\", \"x\")",
            "false",
        ),
        ("matches(\"^a+$\", \"aaa\")", "true"),
        ("matches(\"^a+$\", \"aab\")", "false"),
        ("join([\"a\", 1, true], \", \")", "a, 1, true"),
        ("sha256(\"abc\")", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("address(\"A@B.Test\").address + address(\"x\").domain", "a@b.test"),
    ];
    check(&table, "From: a@b.test");
}

/// What attackers like to write must not look like another address.
#[test]
fn addresses_are_compared_in_one_form() {
    let reverse =
        |text: &str| Address::from(&ReversePath::Mailbox(crate::smtp::path::Mailbox::parse(text).unwrap()));
    let table = [
        ("John@Example.ORG", "john@example.org", "john", "example.org"),
        ("\"john\"@example.org", "john@example.org", "john", "example.org"),
        ("\"a@b\"@example.org", "\"a@b\"@example.org", "a@b", "example.org"),
        ("\"a b\"@example.org", "\"a b\"@example.org", "a b", "example.org"),
        ("a@[192.0.2.1]", "a@[192.0.2.1]", "a", "[192.0.2.1]"),
        ("a@[IPv6:2001:db8::1]", "a@[ipv6:2001:db8::1]", "a", "[ipv6:2001:db8::1]"),
    ];
    for (text, address, local_part, domain) in table {
        let it = reverse(text);
        assert_eq!((it.address(), it.local_part(), it.domain()), (address, local_part, domain));
        assert!(!it.is_null());
    }
    let postmaster = Address::from(&ForwardPath::Postmaster("Postmaster".to_owned()));
    assert_eq!((postmaster.address(), postmaster.domain()), ("postmaster", ""));
    let null = Address::from(&ReversePath::Null);
    assert!(null.is_null() && null.address().is_empty());
}
