use proptest::prelude::*;

use super::*;

const LIMIT: usize = 256 * 1024;

fn header(message: &[u8]) -> Header {
    Header::of_message(message, LIMIT).unwrap()
}

fn field(name: &str, value: &str) -> NewField {
    NewField::new(name, value).unwrap()
}

/// Renders `message` with one field on top, one at the end and the fields of `removed` gone.
fn edited(message: &[u8], removed: &[usize], top: bool, end: bool) -> Vec<u8> {
    let mut edits = Edits::default();
    removed.iter().for_each(|&index| edits.remove(index));
    if top {
        edits.prepend(field("Top", "1"));
        edits.prepend(field("Second", "2"));
    }
    if end {
        edits.append(field("End", "3"));
    }
    let header = header(message);
    [&edits.render(&header, !message.is_empty()), &message[header.len()..]].concat()
}

#[test]
fn fields_come_and_go_where_they_are_declared() {
    let top = "Top: 1\r\nSecond: 2\r\n";
    let cases: &[(&str, &[usize], bool, bool, String)] = &[
        ("A: b\r\nC: d\r\n e\r\n\r\nx", &[], true, false, format!("{top}A: b\r\nC: d\r\n e\r\n\r\nx")),
        ("A: b\r\nC: d\r\n e\r\n\r\nx", &[], false, true, "A: b\r\nC: d\r\n e\r\nEnd: 3\r\n\r\nx".to_owned()),
        ("A: b\r\nC: d\r\n e\r\n\r\nx", &[1], false, false, "A: b\r\n\r\nx".to_owned()),
        ("A: b\r\nC: d\r\n e\r\n\r\nx", &[0, 1], true, true, format!("{top}End: 3\r\n\r\nx")),
        ("A: b\r\nC: d\r\n e\r\n\r\nx", &[0, 1, 7], false, false, "\r\nx".to_owned()),
        // No header at all: one empty line, so that the first line stays what it was.
        (" x: y\r\n", &[], true, false, format!("{top}\r\n x: y\r\n")),
        ("no field\r\n", &[], false, true, "End: 3\r\n\r\nno field\r\n".to_owned()),
        ("no field\r\n", &[3], false, false, "no field\r\n".to_owned()),
        // Nothing at all: there is no line to keep apart.
        ("", &[], true, false, top.to_owned()),
        // An empty line is there already.
        ("\r\nx", &[], true, true, format!("{top}End: 3\r\n\r\nx")),
        // A header that ends before a line that is no field: none is invented.
        ("A: b\r\nno field\r\n", &[], true, true, format!("{top}A: b\r\nEnd: 3\r\nno field\r\n")),
        ("A: b\r\nno field\r\n", &[0], true, false, format!("{top}no field\r\n")),
        // A message that is all header.
        ("A: b\r\n", &[], true, true, format!("{top}A: b\r\nEnd: 3\r\n")),
        ("A: b", &[], true, false, format!("{top}A: b")),
        ("A: b", &[], false, true, "A: b\r\nEnd: 3\r\n".to_owned()),
        ("A: b\r", &[], false, true, "A: b\r\nEnd: 3\r\n".to_owned()),
        ("A: b", &[0], false, true, "End: 3\r\n".to_owned()),
    ];
    for (message, removed, on_top, at_end, expected) in cases {
        let out = edited(message.as_bytes(), removed, *on_top, *at_end);
        assert_eq!(
            out.escape_ascii().to_string(),
            expected.as_bytes().escape_ascii().to_string(),
            "{message:?}"
        );
    }
}

#[test]
fn without_edits_the_header_is_not_even_copied() {
    let header = header(b"A: b\r\n\r\n");
    assert_eq!(Edits::default().render(&header, true).as_ptr(), header.as_bytes().as_ptr());
}

#[test]
fn bad_fields_are_refused() {
    let long = "x".repeat(998);
    let huge = "x ".repeat(8193);
    let cases = [
        ("", "x", FieldError::Name(String::new())),
        ("A b", "x", FieldError::Name("A b".to_owned())),
        ("A:", "x", FieldError::Name("A:".to_owned())),
        ("A\r\nB", "x", FieldError::Name("A\r\nB".to_owned())),
        ("Gr\u{fc}n", "x", FieldError::Name("Gr\u{fc}n".to_owned())),
        ("A", "x\r\nB: y", FieldError::Control { offset: 1, character: '\r' }),
        ("A", "x\n y", FieldError::Control { offset: 1, character: '\n' }),
        ("A", "\u{e9}\0", FieldError::Control { offset: 2, character: '\0' }),
        ("A", "\x1b[1m", FieldError::Control { offset: 0, character: '\x1b' }),
        ("A", "x\x7f", FieldError::Control { offset: 1, character: '\x7f' }),
        ("A", "x\u{85}y", FieldError::Control { offset: 1, character: '\u{85}' }),
        ("A", &long, FieldError::Unfoldable(998)),
        ("A", &huge, FieldError::TooLong(16386)),
    ];
    for (name, value, error) in cases {
        assert_eq!(NewField::new(name, value), Err(error.clone()), "{name:?}");
        if !matches!(error, FieldError::Name(_)) && !value.is_ascii() {
            assert!(NewField::text(name, value).is_err(), "{value:?}");
        }
    }
    assert!(NewField::new(&"N".repeat(77), "x").is_err());
    assert!(NewField::new(&"N".repeat(76), "x").is_ok());
}

#[test]
fn lines_are_folded_in_front_of_blanks() {
    let cases = [
        ("A", "", "A:\r\n".to_owned()),
        ("A", " \t ", "A:\r\n".to_owned()),
        ("A", "  b  c\t", "A: b  c\r\n".to_owned()),
        ("A", &"x".repeat(75), format!("A: {}\r\n", "x".repeat(75))),
        ("A", &"x".repeat(200), format!("A: {}\r\n", "x".repeat(200))),
        ("A", &format!("{} y", "x".repeat(73)), format!("A: {} y\r\n", "x".repeat(73))),
        ("A", &format!("{}  y z", "x".repeat(73)), format!("A: {}\r\n  y z\r\n", "x".repeat(73))),
        ("A", &format!("b {}", "x".repeat(200)), format!("A: b\r\n {}\r\n", "x".repeat(200))),
        ("A", &"x".repeat(997), format!("A:\r\n {}\r\n", "x".repeat(997))),
    ];
    for (name, value, expected) in cases {
        let field = field(name, value);
        assert_eq!(field.as_bytes().escape_ascii().to_string(), expected.escape_debug().to_string());
        assert_eq!((field.name(), field.value().as_str()), (name, value.trim()));
    }
}

#[test]
fn text_is_encoded_only_where_it_must_be() {
    assert_eq!(NewField::text("Subject", "plain = text").unwrap().as_bytes(), b"Subject: plain = text\r\n");
    let text = "Gr\u{fc}\u{df}e = 5 \u{20ac}? ".repeat(10);
    let field = NewField::text("Subject", &text).unwrap();
    assert!(field.as_bytes().is_ascii());
    assert!(field.as_bytes().split(|&octet| octet == b'\n').all(|line| line.len() <= 77));
    let header = header(field.as_bytes());
    assert_eq!(header.subject(), text.trim());
}

proptest! {
    #[test]
    fn what_is_not_edited_goes_out_as_it_came(message in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(&edited(&message, &[], false, false), &message);
        prop_assert_eq!(&edited(&message, &[usize::MAX], false, false), &message);
    }

    #[test]
    fn what_was_added_can_be_taken_out_again(
        lines in prop::collection::vec("[A-Za-z]{1,4}:[ -~]{0,20}\r\n( [ -~\u{e9}]{0,9}\r\n)?", 0..6),
        body in prop::collection::vec(any::<u8>(), 0..60),
        removed in prop::collection::btree_set(0..6_usize, 0..4),
    ) {
        let message = [lines.concat().into_bytes(), b"\r\n".to_vec(), body.clone()].concat();
        let removed: Vec<usize> = removed.into_iter().collect();
        let kept = lines.iter().enumerate().filter(|(index, _)| !removed.contains(index));
        let kept: String = kept.map(|(_, line)| line.as_str()).collect();
        let out = edited(&message, &removed, true, true);
        let expected = [b"Top: 1\r\nSecond: 2\r\n", kept.as_bytes(), b"End: 3\r\n\r\n", &body].concat();
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn added_fields_read_back_as_they_were_meant(name in "[!-9;-~]{1,76}", value in "[ -~\t\u{a1}-\u{ff}]{0,300}") {
        let field = field(&name, &value);
        let header = header(field.as_bytes());
        prop_assert_eq!(header.fields().len(), 1);
        prop_assert_eq!(header.len(), field.as_bytes().len());
        let unfolded = header.fields().next().unwrap().unfolded();
        prop_assert_eq!(unfolded, value.trim_matches([' ', '\t']));
        for line in field.as_bytes().split(|&octet| octet == b'\n') {
            prop_assert!(line.len() <= 999);
            prop_assert!(line.is_empty() || line.iter().any(|octet| !b" \t\r".contains(octet)));
        }
    }

    #[test]
    fn text_reads_back_as_it_was_meant(text in "[ -~\u{a1}-\u{2fff}]{0,60}") {
        let field = NewField::text("Subject", &text);
        if let Ok(field) = field
            && !text.is_ascii()
        {
            prop_assert_eq!(header(field.as_bytes()).subject(), text.trim());
        }
    }
}
