use super::{Code, EnhancedCode, Reply};

fn wire(reply: &Reply) -> String {
    let mut wire = Vec::new();
    reply.encode(&mut wire);
    String::from_utf8(wire).unwrap()
}

#[test]
fn enhanced_codes() {
    for (text, code) in [
        ("5.7.1", Some((5, 7, 1))),
        ("2.0.0", Some((2, 0, 0))),
        ("4.999.999", Some((4, 999, 999))),
        ("5.7.1000", None),
        ("5.07.1", None),
        ("5.7.00", None),
        ("3.0.0", None),
        ("55.7.1", None),
        ("5.7", None),
        ("5.7.1.1", None),
        ("5.7.", None),
        ("5..1", None),
        ("5.+7.1", None),
        ("", None),
        ("5.7.1 ", None),
    ] {
        let expected = code.map(|(class, subject, detail)| EnhancedCode::new(class, subject, detail));
        assert_eq!(EnhancedCode::parse(text), expected, "{text:?}");
    }
}

#[test]
fn replies_of_our_own_cannot_be_split() {
    let reply =
        Reply::new(Code::literal::<550>(), Some(EnhancedCode::new(5, 7, 1)), "no\r\n250 yes\x1b\u{e9}")
            .with_suffix("(gp\r\n250 x)");
    assert_eq!(wire(&reply), "550-5.7.1 no?\r\n550 5.7.1 250 yes?? (gp??250 x)\r\n");
    assert_eq!(reply.to_string(), "550 5.7.1 no? / 250 yes?? (gp??250 x)");
}

#[test]
fn an_enhanced_code_makes_no_line_longer_than_512_octets() {
    for (text, ours) in [("x", "5.0.0 x"), ("5.1.1 ", "5.1.1 ")] {
        let long = format!("550-{}\r\n550 {}\r\n", "x".repeat(600), text.repeat(100));
        let reply = super::ReplyDecoder::default().decode(&mut long.as_bytes()).unwrap().unwrap();
        let wire = wire(&reply.with_enhanced(EnhancedCode::new(5, 0, 0)));
        let lines: Vec<&str> = wire.split_inclusive("\r\n").collect();
        assert!(lines.iter().all(|line| line.len() <= 512), "{wire}");
        assert_eq!(lines[0].len(), 512, "and takes no more away than it has to");
        assert!(lines[1].starts_with(&format!("550 {ours}")), "{wire}");
    }
}
