use proptest::prelude::*;

use super::*;

fn author(fields: &str) -> Result<String, NoAuthor> {
    let header = Header::of_message(format!("{fields}\r\n\r\n").as_bytes(), 1 << 20).unwrap();
    header.author().map(|author| format!("{}@{}", author.local_part, author.domain))
}

#[test]
fn authors_whom_everybody_sees() {
    for (field, seen) in [
        ("From: a@Example.org", "a@example.org"),
        ("from:a@example.org", "a@example.org"),
        ("From: A B <a@example.org>", "a@example.org"),
        ("From: John Q. Public <a@example.org>", "a@example.org"),
        ("From: \"x@evil.example\" <a@example.org>", "a@example.org"),
        ("From: \"A, B\" (sales) <a@example.org> (x)", "a@example.org"),
        ("From: A\r\n B\r\n\t<a@example.org>", "a@example.org"),
        ("From: a@example.org.", "a@example.org"),
        ("From: a@b\u{fc}cher.example", "a@xn--bcher-kva.example"),
        ("From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>", "j@example.org"),
        ("From: a@example.org (Ann (the) boss)", "a@example.org"),
        ("From: a@Example.org <a@example.org>", "a@example.org"),
        ("From: <a+b=c@example.org>", "a+b=c@example.org"),
        ("From : a@example.org", "a@example.org"),
        ("From \t: A <a@example.org>", "a@example.org"),
        ("From: Foo < a@example.org >", "a@example.org"),
        ("From: Foo <\r\n a@example.org\t>", "a@example.org"),
        ("From: Foo <a@example.org (work)>", "a@example.org"),
        ("From: Foo <\"jane doe\"@example.org>", "jane doe@example.org"),
        ("From: \"jane doe\"@example.org", "jane doe@example.org"),
    ] {
        assert_eq!(author(field).as_deref(), Ok(seen), "{field:?}");
    }
}

#[test]
fn authors_as_people_write_them() {
    for field in [
        "From: Name (Company) <a@example.org>",
        "From: =?UTF-8?B?SsO8cmdlbg==?= =?UTF-8?Q?M=C3=BCller?= <a@example.org>",
        "From: 'Name' <a@example.org>",
        "From: Name [bot] - Dept./2 <a@example.org>",
        "From: [EXT] Name<a@example.org>",
        "From: 'a@example.org' <a@example.org>",
        "From: \"'a@other.example' via List\" <a@example.org>",
        "From: \"A \\\"B\\\" C\" <a@example.org>",
        "From: \u{1f600} Na\u{ef}ve <a@example.org>",
        "From: \"\u{1f600}\"<a@example.org>",
        "From: Dr. A. B. C <a@example.org> ",
        "From: <a@example.org> (Name)",
        "From:\ta@example.org",
        "From: \"A\"\r\n\t<a@example.org>",
        "From: =?utf-8?Q?a=2C_b?=\r\n =?utf-8?Q?_c?= <a@example.org>",
        "From: A & B | C <a@example.org>",
        "From: !%*+-/{}~ <a@example.org>",
        "From: Foo, Inc. <a@example.org>",
        "From: Foo, Bar, and Co., Ltd. (sales) <a@example.org>",
        "From: =?utf-8?q?M=C3=BCller?=, Inc. <a@example.org>",
        "From: Doe, Jane <a@example.org>",
        "From: \"Foo\", Inc. <a@example.org>",
        "From: Foo @ Bar <a@example.org>",
        "From: Foo@Bar <a@example.org>",
        "From: @foo <a@example.org>",
    ] {
        assert_eq!(author(field).as_deref(), Ok("a@example.org"), "{field:?}");
    }
    for (field, seen) in [
        ("From: a..b.@example.org", "a..b.@example.org"),
        ("From: \"a..b.\"@example.org", "a..b.@example.org"),
        ("From: <.a@example.org>", ".a@example.org"),
        ("From: <a/b=c@example.org>", "a/b=c@example.org"),
    ] {
        assert_eq!(author(field).as_deref(), Ok(seen), "{field:?}");
    }
    let latin1 = b"From: J\xfcrgen <a@example.org>\r\n\r\n";
    assert!(Header::of_message(latin1, 1 << 20).unwrap().author().is_ok());
}

#[test]
fn no_authors() {
    for field in [
        "Subject: x",
        "From:",
        "From: nobody",
        "From: <a>",
        "From: a@[192.0.2.1]",
        "From: a@xn--a",
        "From: a@",
    ] {
        assert_eq!(author(field), Err(NoAuthor::None), "{field:?}");
    }
}

#[test]
fn several_authors() {
    for field in [
        "From: a@example.org\r\nFrom: b@example.org",
        "From: a@example.org\r\nFrom : b@example.net",
        "From: a@example.org, b@example.org",
        "From: a@example.org, b@example.net",
        "From: a@example.org, (x) b@example.net",
    ] {
        assert_eq!(author(field), Err(NoAuthor::Several), "{field:?}");
    }
}

/// Numbers are of the catalogue of attacks.
#[test]
fn authors_of_whom_readers_may_disagree() {
    for (row, field) in [
        ("46-64 fold before the colon", "From\r\n : a@legit.example"),
        ("46-64 source route", "From: <@evil.example:a@legit.example>"),
        ("46-64 source route", "From: <@evil.example,@x.example:a@legit.example>"),
        ("46-64 quoted pair", "From: <b@legit.example>\\,<a@evil.example>"),
        ("46-64 precedence", "From: <a@evil.example><b@legit.example>"),
        ("46-64 trailing", "From: <b@legit.example> a@evil.example"),
        ("46-64 leading", "From: b@legit.example <a@evil.example>"),
        ("46-64 encoded", "From: =?utf-8?b?YUBsZWdpdC5leGFtcGxl?=@evil.example"),
        ("46-64 encoded, cut by NUL", "From: =?utf-8?q?a=40legit.example=00?= <a@evil.example>"),
        ("66 group", "From: legit.example: a@evil.example;"),
        ("66 group", "From: x: a@legit.example, b@evil.example;"),
        ("67 comment", "From: a@evil.example (b@legit.example)"),
        ("67 comment", "From: a(x)@legit.example"),
        ("67 comment", "From: <b@legit.example(>a@evil.example)"),
        ("68 quoted @", "From: \"b@legit.example\"@evil.example"),
        ("68 quoted @", "From: \"b@legit.example,\"@evil.example"),
        ("68 encoded in quotes", "From: \"=?utf-8?q?b=40legit.example,?=\"@evil.example"),
        ("68 quoted @ in brackets", "From: A <\"b@legit.example\"@evil.example>"),
        ("a name with an address", "From: b @ legit.example <a@evil.example>"),
        ("a name with an address", "From: b@legit . example <a@evil.example>"),
        ("a name with an address", "From: b @ legit\u{3002}example <a@evil.example>"),
        ("a name with an address", "From: b @ =?utf-8?q?legit=2Eexample?= <a@evil.example>"),
        ("a name with an address", "From: \"b@legit.example\" @ Bar <a@evil.example>"),
        ("a name with an address", "From: b@legit.example, Inc. <a@evil.example>"),
        ("a name with an address", "From: \"b@legit.example\", Inc. <a@evil.example>"),
        ("a name with an address", "From: Inc., \"b@legit.example\" <a@evil.example>"),
        ("a name with an address", "From: =?utf-8?q?b=40legit.example?=, Inc. <a@evil.example>"),
        ("a name with a route", "From: x, @legit:b <a@evil.example>"),
        ("two addresses", "From: x, <b@legit.example>, <a@evil.example>"),
        ("a comment with a domain", "From: <b@legit.example (.evil.example)>"),
        ("a comment in the address", "From: <b(x)@legit.example>"),
        ("a blank in the domain", "From: <b@legit. example>"),
        ("68 two @", "From: b@legit.example@evil.example"),
        ("72 blank in the address", "From: b@ legit.example"),
        ("76 CRLF encoded", "From: =?utf-8?q?x=0D=0AFrom:_b@legit.example?= <a@evil.example>"),
        ("a fold of blanks", "From: <b@legit.example>\r\n \r\n <a@evil.example>"),
        ("a backslash", "From: b\\@legit.example"),
    ] {
        let found = author(field);
        assert!(found.is_err(), "{row}: {field:?}: {found:?}");
    }
    let many = format!("From: {}last@legit.example", "a@evil.example, ".repeat(2999));
    assert_eq!(author(&many), Err(NoAuthor::Several), "77");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    /// Whoever passes for an author is the one that mail-parser sees, and the only one.
    #[test]
    fn mail_parser_sees_the_same(
        value in r#"((a@x\.example|b@y\.example|<a@x\.example>|<b@y\.example>)|["(),:;<>@\\ .=?]|[ab]|=\?utf-8\?q\?[a=@<>,0]{0,6}\?=|\r\n ){0,7}"#,
    ) {
        let header = Header::of_message(format!("From:{value}\r\n\r\n").as_bytes(), 1 << 20).unwrap();
        if let Ok(author) = header.author() {
            let seen = header.from_addresses();
            prop_assert_eq!(seen.list.len(), 1);
            prop_assert!(!seen.grouped && !seen.more);
            prop_assert_eq!(&seen.list[0].domain, &author.domain);
            // And no other address can be read out of what is left.
            let text = value.replace("\r\n", "");
            let outside = text.split('"').step_by(2).collect::<String>();
            prop_assert!(outside.matches('@').count() <= 2, "{:?}", value);
            prop_assert!(outside.matches('<').count() <= 1, "{:?}", value);
        }
    }

    #[test]
    fn no_octets_make_it_fall_over(value in prop::collection::vec(any::<u8>(), 0..80)) {
        let message = [b"From:", &value[..], b"\r\n"].concat();
        if let Some(header) = Header::of_message(&message, 1 << 20)
            && let Ok(author) = header.author()
        {
            prop_assert!(author.domain.is_ascii());
        }
    }
}
