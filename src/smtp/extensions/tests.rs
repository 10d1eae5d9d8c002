use super::Extensions;
use crate::smtp::reply::{Reply, ReplyDecoder};

fn ehlo(lines: &str) -> Reply {
    let wire = lines.split('\n').collect::<Vec<_>>();
    let mut bytes = String::new();
    for (n, line) in wire.iter().enumerate() {
        let separator = if n + 1 == wire.len() { ' ' } else { '-' };
        bytes.push_str(&format!("250{separator}{line}\r\n"));
    }
    ReplyDecoder::default().decode(&mut bytes.as_bytes()).unwrap().unwrap()
}

#[test]
fn reads_what_postfix_offers() {
    let reply = ehlo(
        "mx.example.org\nPIPELINING\nSIZE 10240000\nVRFY\nETRN\nSTARTTLS\nXCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\n\
         ENHANCEDSTATUSCODES\n8BITMIME\nDSN\nSMTPUTF8\nCHUNKING",
    );
    let expected = Extensions {
        size: Some(Some(10_240_000)),
        eight_bit_mime: true,
        pipelining: true,
        starttls: true,
        enhanced_status_codes: true,
        chunking: true,
        binary_mime: false,
        smtputf8: true,
        dsn: true,
        help: false,
        xclient: ["NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT"]
            .map(String::from)
            .into(),
        unknown: ["VRFY", "ETRN"].map(String::from).into(),
    };
    assert_eq!(Extensions::from_ehlo(&reply), expected);
}

#[test]
fn reads_odd_lines() {
    let rows = [
        ("mx", Extensions::default()),
        ("SIZE 5\nhelp", Extensions { help: true, ..Extensions::default() }),
        ("mx\nsize", Extensions { size: Some(None), ..Extensions::default() }),
        ("mx\nSIZE 0", Extensions { size: Some(None), ..Extensions::default() }),
        ("mx\nSIZE x", Extensions { size: Some(None), ..Extensions::default() }),
        ("mx\nSIZE 99999999999999999999999", Extensions { size: Some(None), ..Extensions::default() }),
        ("mx\n\n  \nPipeLining  ", Extensions { pipelining: true, ..Extensions::default() }),
        ("mx\nXCLIENT", Extensions::default()),
        ("mx\nXCLIENT name", Extensions { xclient: vec!["NAME".to_owned()], ..Extensions::default() }),
        ("mx\nPIPELININGX", Extensions { unknown: vec!["PIPELININGX".to_owned()], ..Extensions::default() }),
    ];
    for (lines, expected) in rows {
        assert_eq!(Extensions::from_ehlo(&ehlo(lines)), expected, "{lines:?}");
    }
}

#[test]
fn unknown_extensions_are_bounded() {
    let lines = (0..120).map(|n| format!("\nX{n}")).collect::<String>();
    assert_eq!(Extensions::from_ehlo(&ehlo(&format!("mx{lines}"))).unknown.len(), 64);
}
