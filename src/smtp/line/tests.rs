use proptest::prelude::*;

use super::{FLOOD, LineDecoder, LineError};
use crate::smtp::segments::cut;

type Found = Result<Vec<u8>, LineError>;

/// Everything that a decoder finds in `segments`.
fn decode<'a>(max: usize, segments: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Found>, LineDecoder) {
    let mut decoder = LineDecoder::new(max);
    let mut found = Vec::new();
    for mut segment in segments {
        while let Some(line) = decoder.decode(&mut segment) {
            found.push(line);
        }
        assert!(segment.is_empty(), "the decoder takes all that it can");
    }
    (found, decoder)
}

fn line(text: &str) -> Found {
    Ok(text.as_bytes().to_vec())
}

#[test]
fn only_crlf_ends_a_line() {
    use LineError::{BareCr, BareLf, Nul, TooLong};
    let rows: &[(&str, &[Found])] = &[
        ("", &[]),
        ("NOOP", &[]),
        ("NOOP\r", &[]),
        ("NOOP\r\n", &[line("NOOP")]),
        ("\r\n", &[line("")]),
        ("A\r\nB\r\nC", &[line("A"), line("B")]),
        ("A\n", &[Err(BareLf)]),
        ("A\nB\r\nC\r\n", &[Err(BareLf), line("C")]),
        ("A\nB\nC\nD\r\nE\r\n", &[Err(BareLf), line("E")]),
        ("A\rB\r\nC\r\n", &[Err(BareCr), line("C")]),
        ("A\r\r\nB\r\n", &[Err(BareCr), line("B")]),
        ("A\r\rB\r\r\nC\r\n", &[Err(BareCr), line("C")]),
        ("A\0B\r\nC\r\n", &[Err(Nul), line("C")]),
        ("A\r\0\r\nC\r\n", &[Err(BareCr), line("C")]),
        ("\n\r\nC\r\n", &[Err(BareLf), line("C")]),
        ("\u{85}\u{2028}\u{b}\u{c}\r\n", &[line("\u{85}\u{2028}\u{b}\u{c}")]),
        ("12345678\r\n", &[line("12345678")]),
        ("123456789\r\nB\r\n", &[Err(TooLong), line("B")]),
        ("1234567890", &[Err(TooLong)]),
        ("1234567890\nB\r\nC\r\n", &[Err(TooLong), line("C")]),
        ("123456789\n\r\nC\r\n", &[Err(BareLf), line("C")]),
    ];
    for (bytes, expected) in rows {
        let whole = decode(10, [bytes.as_bytes()]).0;
        assert_eq!(&whole, expected, "{bytes:?}");
        let bytewise = decode(10, bytes.as_bytes().chunks(1)).0;
        assert_eq!(&bytewise, expected, "{bytes:?}, byte by byte");
    }
}

#[test]
fn what_is_kept_is_not_shown_and_grows_without_a_trace() {
    let mut decoder = LineDecoder::new(512);
    for piece in [&b"AUTH PLAIN AHN1"[..], b"emllAGh1bnRlcjI"] {
        assert_eq!(decoder.decode(&mut &piece[..]), None);
        let shown = format!("{decoder:?}");
        assert!(!shown.contains("AHN1") && !shown.contains("65, 72, 78, 49"), "{shown}");
    }
    let line = decoder.decode(&mut &b"=\r\n"[..]).unwrap().unwrap();
    assert_eq!(line, b"AUTH PLAIN AHN1emllAGh1bnRlcjI=");
}

#[test]
fn takes_one_line_and_leaves_the_rest() {
    let mut decoder = LineDecoder::new(512);
    let mut input: &[u8] = b"DATA\r\nbody";
    assert_eq!(decoder.decode(&mut input), Some(line("DATA")));
    assert_eq!(input, b"body");
    assert!(decoder.is_empty());
}

#[test]
fn a_line_without_end_is_one_error_then_a_flood() {
    let bytes = vec![b'A'; 100_000];
    let mut decoder = LineDecoder::new(512);
    let mut input = bytes.get(..FLOOD - 1).unwrap();
    assert_eq!(decoder.decode(&mut input), Some(Err(LineError::TooLong)));
    assert_eq!(decoder.decode(&mut input), None);
    assert!(!decoder.is_flood());
    let mut input = bytes.as_slice();
    assert_eq!(decoder.decode(&mut input), None);
    assert!(decoder.is_flood());
    assert!(decoder.kept.capacity() <= FLOOD);
    decoder.reset();
    assert!(!decoder.is_flood());
}

#[test]
fn a_flood_is_seen_with_the_error_when_the_limit_is_as_high() {
    let (found, decoder) = decode(FLOOD, [vec![b'A'; FLOOD].as_slice()]);
    assert_eq!(found, [Err(LineError::TooLong)]);
    assert!(decoder.is_flood());
    let (found, decoder) = decode(FLOOD, [[vec![b'A'; FLOOD - 2], b"\r\n".to_vec()].concat().as_slice()]);
    assert_eq!(found.len(), 1);
    assert!(!decoder.is_flood());
}

#[test]
fn reset_forgets_half_a_line_and_half_an_error() {
    for (half, found) in [("MAIL FR", 0), ("A\nB", 1), ("A\r", 0)] {
        let (before, mut decoder) = decode(512, [half.as_bytes()]);
        assert_eq!(before.len(), found);
        assert!(!decoder.is_empty(), "{half:?}");
        decoder.reset();
        assert!(decoder.is_empty());
        assert_eq!(decoder.decode(&mut b"NOOP\r\n".as_slice()), Some(line("NOOP")));
    }
}

#[test]
fn errors_answer_500() {
    let mut wire = Vec::new();
    LineError::BareLf.reply().encode(&mut wire);
    assert_eq!(wire, b"500 5.5.2 bare LF in a command; lines end with CRLF\r\n");
}

proptest! {
    #[test]
    fn segments_change_nothing(
        bytes in "[\r\n\0AB]{0,80}",
        cuts in proptest::collection::vec(1usize..9, 1..40),
    ) {
        let whole = decode(12, [bytes.as_bytes()]).0;
        prop_assert_eq!(decode(12, cut(bytes.as_bytes(), &cuts)).0, whole);
    }
}
