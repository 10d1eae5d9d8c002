use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 256 * 1024;

fn scan(message: &[u8], piece: usize) -> (Scanned, usize, ScanState) {
    let mut scanner = HeaderScanner::new(LIMIT);
    let mut taken = 0;
    let mut state = ScanState::More;
    for chunk in message.chunks(piece.max(1)) {
        let scan = scanner.push(chunk);
        taken += scan.taken;
        state = scan.state;
        if scan.taken < chunk.len() {
            break;
        }
    }
    (scanner.finish(), taken, state)
}

/// Message, fields (name, unfolded value), separator, body.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static str);

const CASES: &[Case] = &[
    ("", &[], "", ""),
    ("\r\n", &[], "\r\n", ""),
    ("\r\nbody\r\n", &[], "\r\n", "body\r\n"),
    ("A: b\r\n\r\nbody", &[("a", "b")], "\r\n", "body"),
    ("A: b\r\n", &[("a", "b")], "", ""),
    ("A: b", &[("a", "b")], "", ""),
    ("A: b\r", &[("a", "b")], "", ""),
    ("A:\r\n", &[("a", "")], "", ""),
    ("A:b\r\nC \t: d\r\n\r\n", &[("a", "b"), ("c", "d")], "\r\n", ""),
    ("SUBJECT: x\r\n  folded\r\n\ttwice\r\n\r\n", &[("subject", "x  folded\ttwice")], "\r\n", ""),
    // A line of blanks continues the field (RFC 5322 4.2), it does not end the header.
    ("A: b\r\n \r\nC: d\r\n", &[("a", "b"), ("c", "d")], "", ""),
    // A value may look like anything.
    ("A: \r\n B: c\r\n.: x\r\n", &[("a", "B: c"), (".", "x")], "", ""),
    // Before the first line that cannot be a field, without an empty line.
    ("A: b\r\nno colon\r\nC: d\r\n\r\n", &[("a", "b")], "", "no colon\r\nC: d\r\n\r\n"),
    ("A: b\r\nnocolon\r\n\r\n", &[("a", "b")], "", "nocolon\r\n\r\n"),
    ("A: b\r\nnocolon", &[("a", "b")], "", "nocolon"),
    ("A: b\r\nname \t", &[("a", "b")], "", "name \t"),
    ("A: b\r\n: empty\r\n", &[("a", "b")], "", ": empty\r\n"),
    ("A: b\r\nT\u{e9}xt: c\r\n", &[("a", "b")], "", "T\u{e9}xt: c\r\n"),
    ("A: b\r\nC\x00: d\r\n", &[("a", "b")], "", "C\x00: d\r\n"),
    ("From someone Sat Nov 21 20:47:00\r\nA: b\r\n", &[], "", "From someone Sat Nov 21 20:47:00\r\nA: b\r\n"),
    ("Two words: c\r\n", &[], "", "Two words: c\r\n"),
    // Nothing above it to continue.
    (" A: b\r\nC: d\r\n", &[], "", " A: b\r\nC: d\r\n"),
    ("\tx\r\n\r\n", &[], "", "\tx\r\n\r\n"),
    // Only CRLF is an empty line.
    ("A: b\r\n\rC: d\r\n", &[("a", "b")], "", "\rC: d\r\n"),
    ("A: b\r\n\r", &[("a", "b")], "", "\r"),
    ("A: b\r\n\nC: d\r\n", &[("a", "b")], "", "\nC: d\r\n"),
    // And only CRLF ends a line.
    ("A: b\nC: d\re\r\n\r\n", &[("a", "b\nC: d\re")], "\r\n", ""),
];

#[test]
fn the_header_ends_where_it_ends() {
    for (message, fields, separator, body) in CASES {
        let (scanned, taken, _) = scan(message.as_bytes(), message.len());
        let header = &scanned.header;
        let found: Vec<(&str, String)> = header.fields().map(|f| (f.name(), f.unfolded())).collect();
        let found: Vec<(&str, &str)> = found.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(found, *fields, "{message:?}");
        assert_eq!(header.separator(), separator.as_bytes(), "{message:?}");
        assert_eq!(header.is_cut_short(), separator.is_empty() && !body.is_empty(), "{message:?}");
        assert_eq!(
            [&scanned.body_start, &message.as_bytes()[taken..]].concat(),
            body.as_bytes(),
            "{message:?}"
        );
    }
}

#[test]
fn one_octet_at_a_time_gives_the_same() {
    for (message, ..) in CASES {
        assert_same_at(message.as_bytes(), 1);
    }
}

#[test]
fn a_field_shows_its_name_and_its_value() {
    let header = Header::of_message(b"X-One \t:  a\r\n b \r\nTWO:c", LIMIT).unwrap();
    let fields: Vec<Field<'_>> = header.fields().collect();
    assert_eq!(fields[0].name(), "x-one");
    assert_eq!(fields[0].whole(), b"X-One \t:  a\r\n b \r\n");
    assert_eq!(fields[0].raw_value(), b"  a\r\n b ");
    assert_eq!(fields[0].unfolded(), "a b");
    assert_eq!((fields[1].index(), fields[1].name()), (1, "two"));
    assert_eq!(fields[1].raw_value(), b"c");
    assert_eq!((header.count("Two"), header.count("three")), (1, 0));
}

#[test]
fn octets_that_are_not_utf8_stay_in_the_raw_value() {
    let header = Header::of_message(b"A: \xe9\xff\r\n\r\n", LIMIT).unwrap();
    let field = header.fields().next().unwrap();
    assert_eq!(field.raw_value(), b" \xe9\xff");
    assert_eq!(field.unfolded(), "\u{fffd}\u{fffd}");
}

#[test]
fn the_limit_is_on_the_octets_with_the_separator() {
    let message = b"A: b\r\n\r\nbody";
    for (limit, state) in [(8, ScanState::Complete), (7, ScanState::TooLarge), (0, ScanState::TooLarge)] {
        for piece in [1, 3, message.len()] {
            let mut scanner = HeaderScanner::new(limit);
            let scans: Vec<Scan> = message.chunks(piece).map(|chunk| scanner.push(chunk)).collect();
            let taken: usize = scans.iter().map(|scan| scan.taken).sum();
            assert_eq!(scans.last().unwrap().state, state, "{limit} {piece}");
            assert_eq!(
                taken,
                if state == ScanState::Complete { 8 } else { message.len() },
                "{limit} {piece}"
            );
            assert!(message[..limit].starts_with(scanner.finish().header.as_bytes()), "{limit} {piece}");
        }
    }
}

#[test]
fn an_endless_line_is_too_large_and_costs_no_memory() {
    let mut scanner = HeaderScanner::new(1000);
    scanner.push(b"Subject: ");
    for _ in 0..1000 {
        let scan = scanner.push(&[b'x'; 1000]);
        assert_eq!(scan.taken, 1000);
    }
    assert_eq!(scanner.push(b"\r\n\r\n").state, ScanState::TooLarge);
    assert!(scanner.raw.capacity() <= 4096);
}

#[test]
fn an_endless_name_ends_the_header_and_is_not_held_back() {
    let message = [b"A: b\r\n".as_slice(), &[b'x'; 5000], b": y\r\n"].concat();
    let (scanned, taken, state) = scan(&message, 100);
    assert_eq!(state, ScanState::Complete);
    assert_eq!(scanned.header.as_bytes().as_ref(), b"A: b\r\n");
    assert_eq!((scanned.body_start.len(), taken), (998, 6 + 998));
    assert_same_at(&message, 1);
}

#[test]
fn too_many_fields_are_too_large() {
    let fields = |count: usize| [b"a:\r\n".repeat(count), b"\r\n".to_vec()].concat();
    let state = |message: &[u8]| HeaderScanner::new(usize::MAX).push(message).state;
    assert_eq!(state(&fields(MAX_FIELDS)), ScanState::Complete);
    assert_eq!(state(&fields(MAX_FIELDS + 1)), ScanState::TooLarge);
}

/// The bound is generous: quadratic work here would take minutes.
#[test]
fn header_bombs_take_bounded_time() {
    let begin = Instant::now();
    let folds = [b"A: b\r\n".to_vec(), b" c\r\n".repeat(100_000), b"\r\n".to_vec()].concat();
    for bomb in [b"a:\r\n".repeat(200_000), folds, b"A:".repeat(500_000), b"A: \n".repeat(200_000)] {
        for piece in [1, 1000, bomb.len()] {
            let mut scanner = HeaderScanner::new(16 << 20);
            for chunk in bomb.chunks(piece) {
                scanner.push(chunk);
            }
            let header = scanner.finish().header;
            let longest = header.fields().map(|field| field.unfolded().len()).max();
            assert!(longest.is_some() && header.fields().len() <= MAX_FIELDS);
        }
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

fn assert_same_at(message: &[u8], piece: usize) {
    let (whole, whole_taken, whole_state) = scan(message, message.len());
    let (pieces, taken, state) = scan(message, piece);
    assert_eq!((taken, state), (whole_taken, whole_state));
    assert_eq!(pieces.header.as_bytes(), whole.header.as_bytes());
    assert_eq!(pieces.body_start, whole.body_start);
    assert!(pieces.header.fields().eq(whole.header.fields()));
    assert_eq!([pieces.header.as_bytes(), &pieces.body_start, &message[taken..]].concat(), message);
}

/// Octets that look like a message often enough.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => "[A-Za-z-]{1,12}[ \t]{0,2}:[ -~]{0,40}\r\n".prop_map(String::into_bytes),
        2 => "[ \t][ -~]{0,40}\r\n".prop_map(String::into_bytes),
        1 => Just(b"\r\n".to_vec()),
        1 => "[ -~]{0,20}\r\n".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => "[\r\n:a ]{0,8}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn all_pieces_give_the_same_header(message in messages(), piece in 1..40_usize) {
        assert_same_at(&message, piece);
    }

    #[test]
    fn nothing_is_lost_between_the_fields(message in messages()) {
        let (scanned, _, _) = scan(&message, message.len());
        let header = &scanned.header;
        let mut all: Vec<u8> = header.fields().flat_map(|field| field.whole().to_vec()).collect();
        all.extend_from_slice(header.separator());
        prop_assert_eq!(&all, header.as_bytes());
        for field in header.fields() {
            let written = &field.whole()[..field.name().len()];
            prop_assert_eq!(field.name().as_bytes(), written.to_ascii_lowercase());
            prop_assert!(field.whole().ends_with(b"\r\n") || field.index() + 1 == header.fields().len());
        }
    }
}
