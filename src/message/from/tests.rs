use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

fn header(message: &str) -> Header {
    Header::of_message(message.as_bytes(), 1 << 20).unwrap()
}

/// Display, address, local part, domain.
type Entry = (&'static str, &'static str, &'static str, &'static str);

fn entries(addresses: &Addresses) -> Vec<(&str, &str, &str, &str)> {
    addresses
        .list
        .iter()
        .map(|a| (a.display.as_str(), a.address.as_str(), a.local_part.as_str(), a.domain.as_str()))
        .collect()
}

#[test]
fn addresses_are_what_a_reader_sees() {
    let cases: &[(&str, &[Entry])] = &[
        ("", &[]),
        ("From:\r\n", &[]),
        ("From: a@example.org\r\n", &[("", "a@example.org", "a", "example.org")]),
        ("From: Ann <Ann.B@Example.ORG.>\r\n", &[("Ann", "Ann.B@Example.ORG.", "Ann.B", "example.org")]),
        (
            "From: =?utf-8?q?J=C3=BCrgen?=\r\n <j@b\u{fc}cher.example>\r\n",
            &[("J\u{fc}rgen", "j@b\u{fc}cher.example", "j", "xn--bcher-kva.example")],
        ),
        ("From: \"b@c.example\" <a@x.example>\r\n", &[("b@c.example", "a@x.example", "a", "x.example")]),
        ("From: a@x.example (b@c.example)\r\n", &[("b@c.example", "a@x.example", "a", "x.example")]),
        (
            "From: a@x.example, b@y.example\r\n",
            &[("", "a@x.example", "a", "x.example"), ("", "b@y.example", "b", "y.example")],
        ),
        // One author, whose name has a comma; and what only looks like one.
        ("From: Foo, Inc. (x) <a@x.example>\r\n", &[("Foo, Inc. (x)", "a@x.example", "a", "x.example")]),
        (
            "From: b@y.example, <a@x.example>\r\n",
            &[("", "b@y.example", "b", "y.example"), ("", "a@x.example", "a", "x.example")],
        ),
        (
            "From: Jane <\"jane doe\"@X.example>\r\n",
            &[("Jane", "\"jane doe\"@X.example", "\"jane doe\"", "x.example")],
        ),
        ("From: \"jane doe\"@x.example\r\n", &[("", "\"jane doe\"@x.example", "\"jane doe\"", "x.example")]),
        // Two fields count together.
        (
            "From: a@x.example\r\nfrom : b@y.example\r\n",
            &[("", "a@x.example", "a", "x.example"), ("", "b@y.example", "b", "y.example")],
        ),
        // No domain, or none that is one.
        ("From: Ann\r\n", &[("Ann", "", "", "")]),
        ("From: <ann>\r\n", &[("", "ann", "ann", "")]),
        ("From: <a@[192.0.2.1]>\r\n", &[("", "a@[192.0.2.1]", "a", "")]),
        ("From: <a@b@c.example>\r\n", &[("", "a@b@c.example", "a@b", "c.example")]),
        ("From: <a@xn--a>\r\n", &[("", "a@xn--a", "a", "")]),
        ("From: <a@ex\u{1}.example>\r\n", &[("", "a@ex\u{fffd}.example", "a", "")]),
        // Of an encoded word with CRLF nothing is left to inject.
        (
            "From: =?utf-8?q?a=0D=0AX:_y?= <a@x.example>\r\n",
            &[("a\u{fffd}\u{fffd}X: y", "a@x.example", "a", "x.example")],
        ),
    ];
    for (message, expected) in cases {
        let found = header(message).from_addresses();
        assert_eq!(entries(&found), *expected, "{message:?}");
        assert!(!found.more && !found.grouped, "{message:?}");
    }
}

#[test]
fn groups_are_dissolved_and_told() {
    let found = header("From: friends: a@x.example, b@y.example;\r\n").from_addresses();
    assert!(found.grouped);
    assert_eq!(found.list.len(), 2);
    assert!(header("From: nobody:;\r\n").from_addresses().grouped);
}

#[test]
fn the_number_of_addresses_is_bounded() {
    let many = |count: usize| format!("From: {}last@x.example\r\n", "a@x.example, ".repeat(count - 1));
    for (count, kept, more) in [(16, 16, false), (17, 16, true), (3000, 16, true)] {
        let found = header(&many(count)).from_addresses();
        assert_eq!((found.list.len(), found.more), (kept, more), "{count}");
    }
    let found = header(&"From: a@x.example\r\n".repeat(17)).from_addresses();
    assert_eq!((found.list.len(), found.more), (16, true));
    let to = header(&many(500).replace("From", "To")).addresses("To", MAX_ADDRESSES);
    assert_eq!((to.list.len(), to.more), (500, false));
}

#[test]
fn what_was_cut_off_is_no_address() {
    let padding = " ".repeat(MAX_DECODED - 20);
    let found = header(&format!("From: a@x.example,{padding}b@y.example\r\n")).from_addresses();
    assert!(found.more);
    assert_eq!(entries(&found), [("", "a@x.example", "a", "x.example")]);
    let found = header(&format!("From: b@y.exa{}mple\r\n", " ".repeat(MAX_DECODED))).from_addresses();
    assert_eq!((found.list.len(), found.more), (0, true));
}

#[test]
fn the_subject_is_decoded() {
    let cases = [
        ("", ""),
        ("Subject:\r\n", ""),
        ("Subject: plain\r\n  and folded\r\n", "plain  and folded"),
        ("subject : =?utf-8?b?R3LDvMOfZQ==?=\r\n =?iso-8859-1?q?_=FC?= x\r\n", "Gr\u{fc}\u{df}e \u{fc} x"),
        ("Subject: =?utf-8?q?a=0D=0ABcc:_b=00?=\r\n", "a\u{fffd}\u{fffd}Bcc: b\u{fffd}"),
        ("Subject: first\r\nSubject: second\r\n", "first"),
        ("Subject: =?utf-8?q?no end\r\n", "=?utf-8?q?no end"),
    ];
    for (message, subject) in cases {
        assert_eq!(header(message).subject(), subject, "{message:?}");
    }
}

#[test]
fn date_and_message_id_are_read() {
    let cases = [
        ("Date: Sat, 21 Nov 2026 12:00:00 +0100 (CET)\r\n", Some("2026-11-21T11:00:00Z")),
        ("Date: 21 Nov 2026\r\n 12:00 -0000\r\n", Some("2026-11-21T12:00:00Z")),
        ("Date: 21 Nov 2026\r\n 12:00:30 -0000\r\n", Some("2026-11-21T12:00:30Z")),
        ("Date: yesterday\r\n", None),
        ("Date: 99 Nov 2026 12:00:00 +0000\r\n", None),
        ("", None),
    ];
    for (message, date) in cases {
        let expected = date.map(|date| date.parse::<jiff::Timestamp>().unwrap());
        assert_eq!(header(message).date(), expected, "{message:?}");
    }
    assert_eq!(header("Message-ID: <a@b>\r\n").message_id().as_deref(), Some("a@b"));
    assert_eq!(header("message-id:\r\n <a@b> <c@d>\r\n").message_id().as_deref(), Some("a@b"));
    assert_eq!(header("Message-ID:\r\n").message_id(), None);
    assert_eq!(header("").message_id(), None);
}

/// Unterminated encoded words, comments and lists. Without the bounds on octets and encoded words this takes 13 s.
#[test]
fn decoding_takes_bounded_time() {
    let begin = Instant::now();
    for unit in [
        "=?ab?q?x ",
        "=?",
        "=?utf-8?b?A",
        "=?ab?q?=20 ",
        "(",
        "(\\",
        "\"",
        "<",
        ",",
        "a@b,",
        ":;",
        "a:b;",
        "\\",
        ")",
        "\u{e9}",
    ] {
        for name in ["From", "Subject", "Date", "Message-ID"] {
            let header = header(&format!("{name}: {}\r\n", unit.repeat(256 * 1024 / unit.len())));
            let _ = (header.from_addresses(), header.subject(), header.date(), header.message_id());
        }
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

proptest! {
    #[test]
    fn no_octets_make_the_decoders_fall_over(
        value in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            r#"([=?:;,<>()@" \\+-]|\?=|=\?|utf-8|\*|[bq]|[0-9]{1,5}|Nov|[A-Z]|a){0,40}"#.prop_map(String::into_bytes),
        ],
    ) {
        for name in ["From", "Subject", "Date", "Message-ID"] {
            let message = [name.as_bytes(), b":", &value, b"\r\n"].concat();
            let header = Header::of_message(&message, 1 << 20).unwrap();
            let addresses = header.from_addresses();
            for address in &addresses.list {
                prop_assert!(address.domain.is_ascii() && address.domain == address.domain.to_lowercase());
            }
            let shown = [header.subject(), header.message_id().unwrap_or_default()];
            prop_assert!(!shown.iter().any(|text| text.chars().any(char::is_control)));
            header.date();
        }
    }
}
