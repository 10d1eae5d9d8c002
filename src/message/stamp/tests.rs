use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::message::edit::Edits;

const ID: &str = "mx.example.org";

fn header(message: &str) -> Header {
    Header::of_message(message.as_bytes(), 1 << 20).unwrap()
}

fn claims_ours(field: &str) -> bool {
    let header = header(field);
    assert_eq!(header.fields().len(), 1, "{field:?} is one field");
    header.fields().all(|field| claims_authserv_id(&field, ID))
}

/// Our id as it may be spelled, and what sloppy readers would take for the same.
const OURS: &[&str] = &[
    "Authentication-Results: mx.example.org; dmarc=pass\r\n",
    "Authentication-Results:mx.example.org;dmarc=pass\r\n",
    "AUTHENTICATION-results: MX.Example.ORG; dmarc=pass\r\n",
    "Authentication-Results: mx.example.org 1; dmarc=pass\r\n",
    "Authentication-Results: mx.example.org/1; dmarc=pass\r\n",
    "Authentication-Results: mx.example.org\t(c) 1 (d); dmarc=pass\r\n",
    "Authentication-Results:\r\n mx.example.org; dmarc=pass\r\n",
    "Authentication-Results:\r\n \r\n\t mx.example.org;\r\n dmarc=pass\r\n",
    "Authentication-Results: mx.\r\n example.org; dmarc=pass\r\n",
    "Authentication-Results: mx.example.org\r\n ; dmarc=pass\r\n",
    "Authentication-Results: mx . example . org 1; dmarc=pass\r\n",
    "Authentication-Results: (a) mx.example.org; dmarc=pass\r\n",
    "Authentication-Results: (a (b (c)) \\) ;) mx.example.org; dmarc=pass\r\n",
    "Authentication-Results: mx.(a)example.org; dmarc=pass\r\n",
    "Authentication-Results: (\")mx.example.org; dmarc=pass\r\n",
    "Authentication-Results: \"mx.example.org\"; dmarc=pass\r\n",
    "Authentication-Results: \"mx\\.example.org\" 1; dmarc=pass\r\n",
    "Authentication-Results: \" mx.example.org \"; dmarc=pass\r\n",
    "Authentication-Results: mx.\"example\".org; dmarc=pass\r\n",
    "Authentication-Results: \"(\"mx.example.org; dmarc=pass\r\n",
    "Authentication-Results : mx.example.org; dmarc=pass\r\n",
    "Authentication-Results\t \t: mx.example.org; dmarc=pass\r\n",
    "Authentication-Results: mx.example.org.; dmarc=pass\r\n",
    "Authentication-Results: mx.example.org\r\n",
    "Authentication-Results: mx.example.org dmarc=pass\r\n",
    "Authentication-Results: mx.example.org, dmarc=pass\r\n",
    "Authentication-Results: ; mx.example.org; dmarc=pass\r\n",
    "Authentication-Results: : mx.example.org; dmarc=pass\r\n",
    "Authentication-Results: \u{b}mx.example.org\u{c}; dmarc=pass\r\n",
    "Authentication-Results: \u{a0}mx.example.org\u{a0}; dmarc=pass\r\n",
    "Authentication-Results: m\u{200b}x.example.org; dmarc=pass\r\n",
    "Authentication-Results: mx\u{ff0e}ex\u{ff41}mple.org; dmarc=pass\r\n",
    "Authentication-Results: =?utf-8?q?mx.example.org?=; dmarc=pass\r\n",
    "Authentication-Results: =?utf-8?b?bXguZXhhbXBsZS5vcmc=?= ; dmarc=pass\r\n",
    // Nobody can say where these ids begin or end.
    "Authentication-Results: (mx.example.org; dmarc=pass\r\n",
    "Authentication-Results: \"x; MX.example.org; dmarc=pass\r\n",
];

const FOREIGN: &[&str] = &[
    "Authentication-Results: mx.example.com; dmarc=pass\r\n",
    "Authentication-Results: mx.example.org.example.com; dmarc=pass\r\n",
    "Authentication-Results: amx.example.org; dmarc=pass\r\n",
    "Authentication-Results: a.mx.example.org; dmarc=pass\r\n",
    "Authentication-Results: mx.example.org-a; dmarc=pass\r\n",
    "Authentication-Results: mx.example.org1; dmarc=pass\r\n",
    "Authentication-Results: mx2.example.org; dmarc=pass\r\n",
    "Authentication-Results: other; dmarc=pass (mx.example.org)\r\n",
    "Authentication-Results: other; mx.example.org; dmarc=pass\r\n",
    "Authentication-Results: (mx.example.org) other; dmarc=pass\r\n",
    "Authentication-Results: example.org; dmarc=pass\r\n",
    "Authentication-Results:\r\n",
    "Authentication-Results: (none)\r\n",
    "Authentication-Results: ;;;\r\n",
    "ARC-Authentication-Results: i=1; mx.example.org; dmarc=pass\r\n",
    "X-Authentication-Results: mx.example.org; dmarc=pass\r\n",
    "Received: mx.example.org; dmarc=pass\r\n",
];

#[test]
fn every_spelling_of_our_id_is_known() {
    for field in OURS {
        assert!(claims_ours(field), "{field:?}");
    }
    for field in FOREIGN {
        assert!(!claims_ours(field), "{field:?}");
    }
}

#[test]
fn an_international_id_is_known_in_both_forms() {
    for id in ["mx.b\u{fc}cher.example", "mx.xn--bcher-kva.example", "MX.B\u{dc}CHER.example."] {
        for claim in ["mx.b\u{fc}cher.example", "MX.XN--BCHER-KVA.example"] {
            let header = header(&format!("Authentication-Results: {claim}; spf=pass\r\n"));
            assert!(header.fields().all(|field| claims_authserv_id(&field, id)), "{id} {claim}");
        }
    }
    let header = header("Authentication-Results: gate@post; spf=pass\r\n");
    assert!(header.fields().all(|field| claims_authserv_id(&field, "GATE@post")));
}

#[test]
fn all_forged_fields_go_and_nothing_else() {
    let kept = "Received: x\r\nAuthentication-Results: other; spf=pass\r\nSubject: mx.example.org\r\n";
    let forged_part = OURS.concat().repeat(10) + "X-Gatepost-Tag: a\r\nx-gatepost-: b\r\n c\r\n";
    let header = header(&format!("{forged_part}{kept}{forged_part}\r\n"));
    let mut edits = Edits::default();
    forged(&header, ID).for_each(|index| edits.remove(index));
    assert_eq!(edits.render(&header, true), format!("{kept}\r\n"));
}

#[test]
fn only_our_prefix_is_ours() {
    for (name, own) in
        [("X-Gatepost-Id", true), ("x-GATEPOST-a \t", true), ("X-Gatepost", false), ("Gatepost-X-", false)]
    {
        let header = header(&format!("{name}: 1\r\n"));
        assert!(header.fields().all(|field| is_own_name(&field) == own), "{name}");
    }
}

/// What an attacker can put into 256 KiB; quadratic work would take minutes.
#[test]
fn claims_take_bounded_time() {
    let begin = Instant::now();
    let size = 256 * 1024;
    for unit in ["\u{e9} ", "a ", "(", "\"", "=?ab?q?x ", "\\", "\u{fc}", "()", "x=", "=?utf-8?b?"] {
        claims_ours(&format!("Authentication-Results: {}\r\n", unit.repeat(size / unit.len())));
        let field = format!("Authentication-Results: {}\r\n", unit.repeat(300));
        let many = header(&field.repeat(size / field.len()));
        assert!(forged(&many, ID).count() <= many.fields().len());
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

fn received<'a>(helo: &'a str, at: &'a jiff::Zoned) -> Received<'a> {
    Received {
        helo: Some(helo),
        client_ip: "192.0.2.1".parse().unwrap(),
        client_name: Some("client.example"),
        by: "mx.example.org",
        protocol: Protocol::Esmtps,
        id: "7f3k2a7q4d",
        recipient: None,
        tls: None,
        at,
    }
}

fn noon() -> jiff::Zoned {
    "2026-11-21T12:00:00+01:00[+01:00]".parse().unwrap()
}

#[test]
fn received_says_what_rfc_5321_wants() {
    let at = noon();
    let plain = received("client.example", &at);
    let postmaster = ForwardPath::Postmaster("postmaster".to_owned());
    let tls =
        Some(Tls { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384", group: Some("X25519MLKEM768") });
    let v6 = "2001:db8::1".parse().unwrap();
    let mapped = "::ffff:192.0.2.9".parse().unwrap();
    let cases = [
        (
            plain.clone(),
            "from client.example (client.example [192.0.2.1]) by mx.example.org with ESMTPS id 7f3k2a7q4d; \
             Sat, 21 Nov 2026 12:00:00 +0100",
        ),
        (
            Received {
                client_name: None,
                client_ip: v6,
                helo: None,
                protocol: Protocol::Smtp,
                ..plain.clone()
            },
            "from unknown (unknown [IPv6:2001:db8::1]) by mx.example.org with SMTP id 7f3k2a7q4d; \
             Sat, 21 Nov 2026 12:00:00 +0100",
        ),
        (
            Received {
                helo: Some("[192.0.2.9]"),
                client_ip: mapped,
                tls,
                recipient: Some(&postmaster),
                ..plain
            },
            "from [192.0.2.9] (client.example [192.0.2.9]) by mx.example.org with ESMTPS \
             (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 group X25519MLKEM768) id 7f3k2a7q4d for <postmaster>; \
             Sat, 21 Nov 2026 12:00:00 +0100",
        ),
    ];
    for (received, expected) in cases {
        let field = received.field();
        assert_eq!((field.name(), field.value().as_str()), ("Received", expected));
        assert!(field.as_bytes().split(|&octet| octet == b'\n').all(|line| line.len() <= 79));
    }
}

#[test]
fn a_helo_cannot_write_the_field() {
    let at = noon();
    let cases = [
        ("a) by evil with ESMTP id 1; (", "a??by?evil?with?ESMTP?id?1???"),
        ("a\r\nX: y", "a??X??y"),
        ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
        ("[a][b]", "[a??b]"),
        ("a:b", "a?b"),
        ("", "unknown"),
        ("b\u{fc}cher", "b?cher"),
    ];
    for (helo, written) in cases {
        let value = received(helo, &at).field().value();
        assert!(value.starts_with(&format!("from {written} (client.example [")), "{value}");
    }
    let long = "x".repeat(2000);
    assert!(received(&long, &at).field().value().starts_with(&format!("from {} (", "x".repeat(255))));
}

proptest! {
    #[test]
    fn whatever_the_client_says_received_is_one_field_with_one_date(
        helo in "\\PC{0,300}|[\r\n\t;()\\[\\]a ]{0,20}",
        name in "\\PC{0,30}",
    ) {
        let at = noon();
        let field = Received { client_name: Some(&name), ..received(&helo, &at) }.field();
        let header = Header::of_message(field.as_bytes(), 1 << 20).unwrap();
        prop_assert_eq!(header.fields().len(), 1);
        prop_assert_eq!(header.len(), field.as_bytes().len());
        let value = field.value();
        prop_assert_eq!(value.matches(';').count(), 1);
        prop_assert_eq!(value.matches(" by ").count(), 1);
        prop_assert!(value.ends_with("; Sat, 21 Nov 2026 12:00:00 +0100"));
    }

    #[test]
    fn no_octets_make_the_reader_fall_over(value in prop::collection::vec(any::<u8>(), 0..80)) {
        let message = [b"Authentication-Results:".as_slice(), &value, b"\r\n"].concat();
        let header = Header::of_message(&message, 1 << 20).unwrap();
        forged(&header, ID).for_each(drop);
    }
}
