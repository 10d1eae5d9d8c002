use proptest::prelude::*;

use super::{Command, Facts, Problem, TABLE, Verb};
use crate::smtp::path::{Domain, ForwardPath, ReversePath};

/// The wire form of what was understood, or the codes of the refusal.
fn judge(line: &[u8], smtputf8: bool) -> String {
    match Command::parse(line, smtputf8) {
        Ok(command) => command.to_string(),
        Err(error) => {
            let reply = error.reply();
            format!("{} {}", reply.code().get(), reply.enhanced().unwrap())
        }
    }
}

#[test]
fn reads_commands_and_writes_them_again() {
    let rows = [
        ("HELO mx.example.org", "HELO mx.example.org"),
        ("helo mx.example.org", "HELO mx.example.org"),
        ("HELO [192.0.2.1]", "HELO [192.0.2.1]"),
        ("EHLO mx.example.org", "EHLO mx.example.org"),
        ("eHlO   mx.example.org", "EHLO mx.example.org"),
        ("EHLO mx.example.org  ", "EHLO mx.example.org"),
        ("EHLO mx.example.org\t", "EHLO mx.example.org"),
        ("EHLO [IPv6:2001:db8::1]", "EHLO [IPv6:2001:db8::1]"),
        ("EHLO 192.0.2.1", "EHLO 192.0.2.1"),
        ("EHLO WORKSTATION_7", "EHLO WORKSTATION_7"),
        ("EHLO !?$", "EHLO !?$"),
        ("STARTTLS", "STARTTLS"),
        ("starttls ", "STARTTLS"),
        ("DATA", "DATA"),
        ("data ", "DATA"),
        ("RSET", "RSET"),
        ("QUIT", "QUIT"),
        ("NOOP", "NOOP"),
        ("NOOP anything at all", "NOOP"),
        ("HELP", "HELP"),
        ("HELP mail", "HELP"),
        ("VRFY user", "VRFY user"),
        ("VRFY Some Body <x@y>", "VRFY Some Body <x@y>"),
        ("VRFY \u{fc}@b.c SMTPUTF8", "VRFY \u{fc}@b.c SMTPUTF8"),
        ("expn staff", "EXPN staff"),
        ("MAIL FROM:<>", "MAIL FROM:<>"),
        ("mail from:<a@b.c>", "MAIL FROM:<a@b.c>"),
        ("MAIL FROM: <a@b.c>", "MAIL FROM:<a@b.c>"),
        ("MAIL  FROM:  <a@b.c>  ", "MAIL FROM:<a@b.c>"),
        ("MAIL FROM:<a@b.c> SIZE=5", "MAIL FROM:<a@b.c> SIZE=5"),
        ("MAIL FROM:<a@b.c> body=8bitmime size=05", "MAIL FROM:<a@b.c> SIZE=5 BODY=8BITMIME"),
        ("MAIL FROM:<> BODY=7BIT", "MAIL FROM:<> BODY=7BIT"),
        ("MAIL FROM:<\"a b>\\\"\"@b.c> SIZE=5", "MAIL FROM:<\"a b>\\\"\"@b.c> SIZE=5"),
        (
            "MAIL FROM:<a@b.c> requiretls by=120;rt mt-priority=-9 auth=<> envid=QQ+2B1 ret=hdrs smtputf8",
            "MAIL FROM:<a@b.c> SMTPUTF8 RET=HDRS ENVID=QQ+2B1 AUTH=<> BY=120;rt MT-PRIORITY=-9 REQUIRETLS",
        ),
        ("MAIL FROM:<a@b.c> HOLDFOR=0060", "MAIL FROM:<a@b.c> HOLDFOR=0060"),
        ("MAIL FROM:<a@b.c> body=binarymime", "MAIL FROM:<a@b.c> BODY=BINARYMIME"),
        ("MAIL FROM:<.a..b.@b.c>", "MAIL FROM:<.a..b.@b.c>"),
        ("RCPT TO:<a@b.c>", "RCPT TO:<a@b.c>"),
        (
            "RCPT TO:<a@b.c> orcpt=rfc822;A+2B1@b.c notify=success,Delay",
            "RCPT TO:<a@b.c> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;A+2B1@b.c",
        ),
        ("rcpt to: <A@B.c>", "RCPT TO:<A@B.c>"),
        ("RCPT TO:<postmaster>", "RCPT TO:<postmaster>"),
        ("RCPT TO:<POSTMASTER>", "RCPT TO:<POSTMASTER>"),
        ("RCPT TO:<a@[ipv6:2001:DB8::1]>", "RCPT TO:<a@[IPv6:2001:db8::1]>"),
        ("RCPT TO:<a%b.c@d.e>", "RCPT TO:<a%b.c@d.e>"),
        ("BDAT 5", "BDAT 5"),
        ("BDAT 5 LAST", "BDAT 5 LAST"),
        ("bdat 0 last", "BDAT 0 LAST"),
        ("BDAT 18446744073709551615", "BDAT 18446744073709551615"),
        ("BDAT 005", "BDAT 5"),
    ];
    for (line, expected) in rows {
        assert_eq!(judge(line.as_bytes(), false), expected, "{line:?}");
    }
}

#[test]
fn refuses_with_the_right_codes() {
    let rows: &[(&str, &str)] = &[
        ("", "500 5.5.2"),
        (" ", "500 5.5.2"),
        (" NOOP", "500 5.5.2"),
        ("FOO", "500 5.5.2"),
        ("UNKNOWN", "500 5.5.2"),
        ("EHLOO x", "500 5.5.2"),
        ("MAILFROM:<a@b.c>", "500 5.5.2"),
        ("XCLIENT addr=192.0.2.1", "XCLIENT"),
        ("XCLIENT", "501 5.5.4"),
        ("XCLIENT ADDR=nobody", "501 5.5.4"),
        ("XFORWARD ADDR=192.0.2.1", "500 5.5.2"),
        ("SSH-2.0-client", "500 5.5.2"),
        ("PRI * HTTP/2.0", "500 5.5.2"),
        ("XFORWARD NAME=x", "500 5.5.2"),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2", "500 5.5.2"),
        ("ETRN x", "500 5.5.2"),
        ("TURN", "500 5.5.2"),
        ("GET / HTTP/1.1", "500 5.5.2"),
        ("F\u{e9}", "500 5.5.2"),
        ("AUTH", "501 5.5.4"),
        ("AUTH PLAIN=", "501 5.5.4"),
        ("AUTH ABCDEFGHIJKLMNOPQRSTU", "501 5.5.4"),
        ("AUTH PLAIN AGEAYg", "501 5.5.2"),
        ("AUTH PLAIN AGEA Yg==", "501 5.5.2"),
        ("AUTH PLAIN *", "501 5.5.2"),
        ("BDAT", "501 5.5.4"),
        ("BDAT LAST", "501 5.5.4"),
        ("BDAT -1", "501 5.5.4"),
        ("BDAT +1", "501 5.5.4"),
        ("BDAT 0x10", "501 5.5.4"),
        ("BDAT 1e3", "501 5.5.4"),
        ("BDAT 5 FIRST", "501 5.5.4"),
        ("BDAT 5  LAST", "501 5.5.4"),
        ("BDAT 5LAST", "501 5.5.4"),
        ("BDAT 5 LAST 5", "501 5.5.4"),
        ("BDAT 18446744073709551616", "501 5.5.4"),
        ("BDAT 000000000000000000005", "501 5.5.4"),
        ("EXPN", "501 5.5.4"),
        ("VRFY \u{fc}@b.c", "553 5.6.7"),
        ("VRFY SMTPUTF8 \u{fc}@b.c", "553 5.6.7"),
        ("HELO", "501 5.5.4"),
        ("EHLO", "501 5.5.4"),
        ("EHLO  ", "501 5.5.4"),
        ("EHLO a b", "501 5.5.4"),
        ("EHLO a\tb", "501 5.5.2"),
        ("EHLO\tmx.example.org", "500 5.5.2"),
        ("EHLO b\u{fc}cher.example", "501 5.5.2"),
        ("STARTTLS x", "501 5.5.4"),
        ("DATA x", "501 5.5.4"),
        ("RSET x", "501 5.5.4"),
        ("QUIT x", "501 5.5.4"),
        ("VRFY", "501 5.5.4"),
        ("NOOP \x07", "501 5.5.2"),
        ("MAIL", "501 5.5.4"),
        ("MAIL a@b.c", "501 5.5.4"),
        ("MAIL FROM", "501 5.5.4"),
        ("MAIL FROM <a@b.c>", "501 5.5.4"),
        ("MAIL FROM :<a@b.c>", "501 5.5.4"),
        ("MAIL TO:<a@b.c>", "501 5.5.4"),
        ("MAIL FROM:", "501 5.1.7"),
        ("MAIL FROM:a@b.c", "501 5.1.7"),
        ("MAIL FROM:<a@b.c", "501 5.1.7"),
        ("MAIL FROM:a@b.c>", "501 5.1.7"),
        ("MAIL FROM:<a>", "501 5.1.7"),
        ("MAIL FROM:<postmaster>", "501 5.1.7"),
        ("MAIL FROM:<a@>", "501 5.1.7"),
        ("MAIL FROM:<@b.c>", "501 5.1.7"),
        ("MAIL FROM:<a@b.c.>", "501 5.1.7"),
        ("MAIL FROM:<a@b@c>", "501 5.1.7"),
        ("MAIL FROM:<a b@c.d>", "501 5.1.7"),
        ("MAIL FROM:<a@[tag:x]>", "501 5.1.7"),
        ("MAIL FROM:<@a,@b:user@c>", "553 5.1.7"),
        ("MAIL FROM:<a@b.c>SIZE=5", "501 5.5.4"),
        ("MAIL FROM:<a@b.c>>", "501 5.5.4"),
        ("MAIL FROM:<a@b.c> SIZE=x", "501 5.5.4"),
        ("MAIL FROM:<a@b.c> SIZE=-1", "501 5.5.4"),
        ("MAIL FROM:<a@b.c> SIZE=1 SIZE=2", "501 5.5.4"),
        ("MAIL FROM:<a@b.c> SIZE=99999999999999999999", "552 5.3.4"),
        ("MAIL FROM:<a@b.c> SIZE=999999999999999999999", "501 5.5.4"),
        ("MAIL FROM:<a@b.c> BOGUS=1", "555 5.5.4"),
        ("MAIL FROM:<a@b.c> AUTH=<x", "501 5.5.4"),
        ("MAIL FROM:<a@b.c> ENVID=a+0D+0Ab", "501 5.5.4"),
        ("MAIL FROM:<a@b.c> NOTIFY=NEVER", "555 5.5.4"),
        ("MAIL FROM:<a@b.c> x", "555 5.5.4"),
        ("MAIL FROM:<a@b.c> =", "501 5.5.4"),
        ("MAIL FROM:<a\0@b.c>", "501 5.5.2"),
        ("MAIL FROM:<a\r@b.c>", "501 5.5.2"),
        ("MAIL FROM:<\"a\rb\"@b.c>", "501 5.5.2"),
        ("MAIL FROM:<\"a\\\rb\"@b.c>", "501 5.5.2"),
        ("MAIL FROM:<a@b.c>\n", "501 5.5.2"),
        ("MAIL FROM:<a@b.c>\r\nRCPT TO:<x@y.z>", "501 5.5.2"),
        ("MAIL FROM:<\u{fc}@b.c>", "553 5.6.7"),
        ("MAIL FROM:<a@b\u{fc}cher.example> BODY=8BITMIME", "553 5.6.7"),
        ("RCPT TO:<\u{fc}@b.c>", "553 5.6.7"),
        ("RCPT TO:<a@b.c> ORCPT=utf-8;\u{fc}@b.c", "501 5.5.4"),
        ("MAIL FROM:<a\u{85}@b.c>", "501 5.5.2"),
        ("MAIL FROM:<a\x7f@b.c>", "501 5.5.2"),
        ("RCPT", "501 5.5.4"),
        ("RCPT FROM:<a@b.c>", "501 5.5.4"),
        ("RCPT TO:", "501 5.1.3"),
        ("RCPT TO:<>", "501 5.1.3"),
        ("RCPT TO:a@b.c", "501 5.1.3"),
        ("RCPT TO:<abuse>", "501 5.1.3"),
        ("RCPT TO:<a@b.c@d.e>", "501 5.1.3"),
        ("RCPT TO:<@relay.example:a@b.c>", "553 5.1.3"),
        ("RCPT TO:<a@b..c>", "501 5.1.3"),
        ("RCPT TO:<a@[192.0.2.300]>", "501 5.1.3"),
        ("RCPT TO:<a@b.c> NOTIFY=NEVER,SUCCESS", "501 5.5.4"),
        ("RCPT TO:<a@b.c> ORCPT=x", "501 5.5.4"),
        ("RCPT TO:<a@b.c> SIZE=5", "555 5.5.4"),
        ("RCPT TO:<a@b.c> x=", "501 5.5.4"),
        ("RCPT TO:<a@b.c><d@e.f>", "501 5.5.4"),
    ];
    for (line, expected) in rows {
        assert_eq!(&judge(line.as_bytes(), false), expected, "{line:?}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    assert_eq!(judge(b"MAIL FROM:<\xff@b.c>", false), "501 5.5.2");
    assert_eq!(judge(b"MAIL FROM:<\xff@b.c>", true), "501 5.5.2");
    assert_eq!(judge(b"\x16\x03\x01\x02", false), "500 5.5.2");
}

#[test]
fn smtputf8_opens_addresses_only() {
    let rows = [
        ("MAIL FROM:<\u{fc}@b\u{fc}cher.example>", "553 5.6.7"),
        (
            "MAIL FROM:<\u{fc}@b\u{fc}cher.example> SMTPUTF8",
            "MAIL FROM:<\u{fc}@b\u{fc}cher.example> SMTPUTF8",
        ),
        (
            "RCPT TO:<\u{fc}@b\u{fc}cher.example> ORCPT=utf-8;\u{fc}@b.c",
            "RCPT TO:<\u{fc}@b\u{fc}cher.example> ORCPT=utf-8;\u{fc}@b.c",
        ),
        ("EHLO b\u{fc}cher.example", "501 5.5.2"),
        ("NOOP b\u{fc}cher.example", "501 5.5.2"),
        ("MAIL FROM:<a\u{85}@b.c>", "501 5.5.2"),
        ("MAIL FROM:<a\u{2028}@b.c>", "501 5.5.2"),
        ("MAIL FROM:<a@b.c> X=\u{fc}", "501 5.5.4"),
    ];
    for (line, expected) in rows {
        assert_eq!(judge(line.as_bytes(), true), expected, "{line:?}");
    }
}

#[test]
fn another_protocol_is_told_from_a_slip() {
    for (line, problem) in [
        ("GET / HTTP/1.1", Problem::Foreign),
        ("POST /x HTTP/1.0", Problem::Foreign),
        ("CONNECT mx:25 HTTP/1.1", Problem::Foreign),
        ("Host: mx.example.org", Problem::Foreign),
        ("Content-Length: 7", Problem::Foreign),
        ("Subject:hello", Problem::Foreign),
        ("GETX", Problem::Unknown),
        ("get", Problem::Unknown),
        (": x", Problem::Unknown),
        ("a_b: x", Problem::Unknown),
        ("HELLO mx", Problem::Unknown),
        ("", Problem::Unknown),
    ] {
        let error = Command::parse(line.as_bytes(), false).unwrap_err();
        assert_eq!((error.verb, error.problem), (Verb::Unknown, problem), "{line:?}");
    }
}

#[test]
fn lines_have_the_length_of_their_command() {
    let noop = |length: usize| format!("NOOP {}", "x".repeat(length - 7));
    assert_eq!(judge(noop(512).as_bytes(), false), "NOOP");
    assert_eq!(judge(noop(513).as_bytes(), false), "500 5.5.2");
    let mail = |length: usize| {
        let front = "MAIL FROM:<a@b.c>";
        let back = "SIZE=00000000000000000007 BODY=8BITMIME";
        format!("{front}{}{back}", " ".repeat(length - 2 - front.len() - back.len()))
    };
    assert_eq!(judge(mail(1260).as_bytes(), false), "MAIL FROM:<a@b.c> SIZE=7 BODY=8BITMIME");
    assert_eq!(judge(mail(1261).as_bytes(), false), "500 5.5.2");
    let rcpt = |length: usize| {
        let front = "RCPT TO:<a@b.c> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;";
        format!("{front}{}{}", "x".repeat(493), " ".repeat(length - 2 - 493 - front.len()))
    };
    assert_eq!(judge(rcpt(1048).as_bytes(), false).len(), 551);
    assert_eq!(judge(rcpt(1049).as_bytes(), false), "500 5.5.2");
    let unknown = "x".repeat(600);
    assert_eq!(judge(unknown.as_bytes(), false), "500 5.5.2");
    let hello = |length: usize| format!("EHLO {}", "x".repeat(length));
    assert_eq!(judge(hello(255).as_bytes(), false), hello(255));
    assert_eq!(judge(hello(256).as_bytes(), false), "501 5.5.4");
}

#[test]
fn a_greeting_is_kept_as_written_and_as_understood() {
    let rows = [
        ("mx.Example.org", Some("mx.example.org")),
        ("my_host", Some("my_host")),
        ("localhost", Some("localhost")),
        ("mx.example.org.", None),
        ("[192.0.2.1", None),
        ("!?$", None),
    ];
    for (text, ascii) in rows {
        let Ok(Command::Ehlo(greeting)) = Command::parse(format!("EHLO {text}").as_bytes(), false) else {
            panic!("{text:?} is a greeting")
        };
        assert_eq!(greeting.text, text);
        match (greeting.domain, ascii) {
            (Some(Domain::Name(name)), Some(ascii)) => assert_eq!(name.ascii(), ascii),
            (None, None) => {}
            (domain, _) => panic!("{text:?} gave {domain:?}"),
        }
    }
}

#[test]
fn replies_say_how_it_is_written_and_never_what_was_sent() {
    let error = Command::parse(b"MAIL evil", false).unwrap_err();
    assert_eq!(
        error.reply().to_string(),
        "501 5.5.4 malformed command; syntax: MAIL FROM:<address> [parameters]"
    );
    let error = Command::parse(b"RCPT TO:<@evil:a@b.c>", false).unwrap_err();
    assert_eq!(error.reply().to_string(), "553 5.1.3 source routes are not accepted");
}

#[test]
fn the_table_has_one_row_for_each_verb() {
    for (n, facts) in TABLE.iter().enumerate() {
        assert_eq!(facts.verb as usize, n, "in the order of Verb");
        assert_eq!(facts.verb.facts(), *facts);
    }
    let last: Vec<Facts> = TABLE.into_iter().filter(|facts| facts.last_in_group).collect();
    let names: Vec<&str> = last.iter().map(|facts| facts.name).collect();
    assert_eq!(
        names,
        ["HELO", "EHLO", "STARTTLS", "DATA", "VRFY", "EXPN", "NOOP", "QUIT", "AUTH", "XCLIENT"]
    );
}

#[test]
fn commands_know_their_verbs() {
    for line in [
        "HELO a",
        "EHLO a",
        "STARTTLS",
        "MAIL FROM:<>",
        "RCPT TO:<a@b>",
        "DATA",
        "BDAT 5 LAST",
        "RSET",
        "VRFY a",
        "EXPN a",
        "HELP",
        "NOOP",
        "QUIT",
    ] {
        let command = Command::parse(line.as_bytes(), false).unwrap();
        assert_eq!(command.verb(), Verb::of(line.as_bytes()));
    }
}

/// Lines that look like commands, so that the interesting parts are reached.
fn command_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("MAIL FROM:".to_owned()),
        Just("RCPT TO:".to_owned()),
        Just("EHLO ".to_owned()),
        Just("VRFY ".to_owned()),
        Just("<a@b.c>".to_owned()),
        Just(" SIZE=1".to_owned()),
        Just(" SMTPUTF8".to_owned()),
        Just(" ORCPT=utf-8;".to_owned()),
        "[<>@\"\\\\ .:\\[\\]=a1\r\n\0\u{e9}-]{1,4}",
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What goes upstream is one printable line, and means upstream what it meant here.
    #[test]
    fn what_is_understood_is_written_clean(line in prop_oneof![command_like(), proptest::collection::vec(any::<u8>(), 0..40)]) {
        if let Ok(command) = Command::parse(&line, false) {
            let written = command.to_string();
            let utf8 = written.contains(" SMTPUTF8");
            let clean = |c: char| (' '..='~').contains(&c) || (utf8 && !c.is_ascii() && !c.is_control());
            prop_assert!(written.chars().all(clean), "{:?}", written);
            prop_assert_eq!(Command::parse(written.as_bytes(), false), Ok(command));
        }
    }

    #[test]
    fn every_refusal_is_a_5yz_with_an_enhanced_code(line in command_like(), smtputf8: bool) {
        if let Err(error) = Command::parse(&line, smtputf8) {
            let reply = error.reply();
            prop_assert_eq!(reply.code().get() / 100, 5);
            prop_assert_eq!(reply.enhanced().map(|code| code.class), Some(5));
        }
    }

    #[test]
    fn quoted_local_parts_come_back(meaning in "[ -~]{0,30}") {
        let quoted = meaning.replace('\\', "\\\\").replace('"', "\\\"");
        let path = format!("<\"{quoted}\"@b.c>");
        if quoted.len() <= 62 {
            let Ok(ReversePath::Mailbox(mailbox)) = ReversePath::parse(&path) else { panic!("{path:?}") };
            prop_assert_eq!(mailbox.local().unquoted(), meaning);
            prop_assert_eq!(ForwardPath::parse(&path).unwrap().to_string(), path);
        }
    }
}
