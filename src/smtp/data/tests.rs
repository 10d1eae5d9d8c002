use proptest::prelude::*;

use super::{DataDecoder, DataError, DotStuffer, Event, LineEnds};
use crate::smtp::segments::cut;

/// What became of some bytes: what the message holds, and how it ended.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Outcome {
    message: Vec<u8>,
    end: Option<Result<(u64, bool), DataError>>,
    /// What the decoder left for the command decoder.
    left: Vec<u8>,
}

fn decode<'a>(limit: u64, segments: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    run(DataDecoder::new(limit), segments)
}

/// The same from a client whose line ends are normalised.
fn normalise<'a>(segments: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    run(DataDecoder::with_line_ends(u64::MAX, LineEnds::Normalise), segments)
}

fn run<'a>(mut decoder: DataDecoder, segments: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut outcome = Outcome { message: Vec::new(), end: None, left: Vec::new() };
    for mut segment in segments {
        while let Some(event) = decoder.decode(&mut segment) {
            assert_eq!(outcome.end, None, "nothing comes behind the end");
            match event {
                Ok(Event::Bytes(bytes)) => {
                    assert!(!bytes.is_empty());
                    outcome.message.extend_from_slice(bytes);
                }
                Ok(Event::End { size, too_large }) => outcome.end = Some(Ok((size, too_large))),
                Err(error) => outcome.end = Some(Err(error)),
            }
        }
        outcome.left.extend_from_slice(segment);
    }
    outcome
}

fn stuff<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let (mut stuffer, mut wire) = (DotStuffer::new(), Vec::new());
    for chunk in chunks {
        stuffer.stuff(chunk, &mut wire);
    }
    stuffer.finish(&mut wire);
    wire
}

const fn cr(offset: u64) -> DataError {
    DataError::BareCr { offset }
}

const fn lf(offset: u64) -> DataError {
    DataError::BareLf { offset }
}

const fn nul(offset: u64) -> DataError {
    DataError::Nul { offset }
}

/// A message that ends: bytes, limit, message, too large, what is left for the commands.
#[test]
fn messages_end_at_crlf_dot_crlf_only() {
    let rows: &[(&str, u64, &str, bool, &str)] = &[
        (".\r\n", 100, "", false, ""),
        (".\r\nQUIT\r\n", 100, "", false, "QUIT\r\n"),
        ("\r\n.\r\n", 100, "\r\n", false, ""),
        ("hi\r\n.\r\n", 100, "hi\r\n", false, ""),
        ("hi\r\n.\r\n.\r\n", 100, "hi\r\n", false, ".\r\n"),
        ("hi\r\n.\r\nMAIL FROM:<a@b.c>\r\n", 100, "hi\r\n", false, "MAIL FROM:<a@b.c>\r\n"),
        ("a\r\nb\r\n\r\nc\r\n.\r\n", 100, "a\r\nb\r\n\r\nc\r\n", false, ""),
        ("..\r\n.\r\n", 100, ".\r\n", false, ""),
        (".a\r\n.\r\n", 100, "a\r\n", false, ""),
        ("a\r\n..\r\n.\r\n", 100, "a\r\n.\r\n", false, ""),
        ("a\r\n...b\r\n.\r\n", 100, "a\r\n..b\r\n", false, ""),
        ("a.\r\n.\r\n", 100, "a.\r\n", false, ""),
        ("a\r\n. \r\nb\r\n.\r\n", 100, "a\r\n \r\nb\r\n", false, ""),
        ("a\r\n .\r\nb\r\n.\r\n", 100, "a\r\n .\r\nb\r\n", false, ""),
        (
            "a\u{b}\u{c}\u{85}\u{2028}.\u{2028}\r\n.\r\n",
            100,
            "a\u{b}\u{c}\u{85}\u{2028}.\u{2028}\r\n",
            false,
            "",
        ),
        ("12345678\r\n.\r\n", 10, "12345678\r\n", false, ""),
        ("123456789\r\n.\r\nQUIT\r\n", 10, "123456789\r", true, "QUIT\r\n"),
        ("1234\r\n..67\r\n8\r\n.\r\n", 5, "1234\r", true, ""),
        ("1\r\n..\r\n.\r\n", 4, "1\r\n.", true, ""),
        (".\r\n", 0, "", false, ""),
        ("\r\n.\r\n", 0, "", true, ""),
    ];
    for &(bytes, limit, message, too_large, left) in rows {
        let full = decode(u64::MAX, [bytes.as_bytes()]).message.len() as u64;
        let expected = Outcome {
            message: message.as_bytes().to_vec(),
            end: Some(Ok((full, too_large))),
            left: left.as_bytes().to_vec(),
        };
        assert_eq!(decode(limit, [bytes.as_bytes()]), expected, "{bytes:?}");
        assert_eq!(decode(limit, bytes.as_bytes().chunks(1)), expected, "{bytes:?}, byte by byte");
    }
}

#[test]
fn messages_without_their_end_go_on() {
    for (bytes, message) in [
        ("", ""),
        (".", ""),
        (".\r", ""),
        ("hi", "hi"),
        ("hi\r", "hi"),
        ("hi\r\n", "hi\r\n"),
        ("hi\r\n.", "hi\r\n"),
        ("hi\r\n.\r", "hi\r\n"),
        ("hi\r\n..\r\n", "hi\r\n.\r\n"),
    ] {
        let expected = Outcome { message: message.as_bytes().to_vec(), end: None, left: Vec::new() };
        assert_eq!(decode(100, [bytes.as_bytes()]), expected, "{bytes:?}");
        assert_eq!(decode(100, bytes.as_bytes().chunks(1)), expected, "{bytes:?}, byte by byte");
    }
}

/// Every way to write an end that somebody might believe in, and what stood before it.
#[test]
fn smuggled_ends_are_errors() {
    let rows: &[(&str, &str, DataError)] = &[
        ("a\n.\nMAIL FROM:<x@y>\r\n.\r\n", "a", lf(1)),
        ("a\n.\r\nMAIL\r\n.\r\n", "a", lf(1)),
        ("a\r\n.\nMAIL\r\n.\r\n", "a\r\n", lf(4)),
        ("a\r.\rMAIL\r\n.\r\n", "a", cr(1)),
        ("a\r.\r\nMAIL\r\n.\r\n", "a", cr(1)),
        ("a\r\n.\rMAIL\r\n.\r\n", "a\r\n", cr(4)),
        ("a\n.\rMAIL\r\n.\r\n", "a", lf(1)),
        ("a\r.\nMAIL\r\n.\r\n", "a", cr(1)),
        ("a\r\n\0.\r\nMAIL\r\n.\r\n", "a\r\n", nul(3)),
        ("a\r\n.\0\r\nMAIL\r\n.\r\n", "a\r\n", nul(4)),
        ("a\r\n.\r\r\nMAIL\r\n.\r\n", "a\r\n", cr(4)),
        ("a\r\r\n.\r\r\nMAIL\r\n.\r\n", "a", cr(1)),
        ("a\r\r\n.\r\nMAIL\r\n.\r\n", "a", cr(1)),
        ("a\n\n.\r\nMAIL\r\n.\r\n", "a", lf(1)),
        ("a\r\n.\r\0\nMAIL\r\n.\r\n", "a\r\n", cr(4)),
        ("a\r\0\n.\r\n", "a", cr(1)),
        (".\nMAIL\r\n.\r\n", "", lf(1)),
        (".\rMAIL\r\n.\r\n", "", cr(1)),
        ("\n.\n", "", lf(0)),
        ("\r.\r", "", cr(0)),
        ("\0", "", nul(0)),
        ("..\n.\r\n", ".", lf(2)),
        ("a\r\n..\r.\r\n", "a\r\n.", cr(5)),
        ("abc\r\nd\0e\r\n.\r\n", "abc\r\nd", nul(6)),
        ("abc\r\ndef\n\r\n.\r\n", "abc\r\ndef", lf(8)),
    ];
    for &(bytes, message, error) in rows {
        let expected =
            Outcome { message: message.as_bytes().to_vec(), end: Some(Err(error)), left: Vec::new() };
        assert_eq!(decode(100, [bytes.as_bytes()]), expected, "{bytes:?}");
        assert_eq!(decode(100, bytes.as_bytes().chunks(1)), expected, "{bytes:?}, byte by byte");
        let behind_the_limit = decode(0, [bytes.as_bytes()]);
        assert_eq!(behind_the_limit.end, Some(Err(error)), "{bytes:?}");
    }
}

#[test]
fn a_message_comes_in_slices_of_its_segments() {
    let body = "A line of ordinary text.\r\n".repeat(1000);
    let mut decoder = DataDecoder::new(u64::MAX);
    let mut input = body.as_bytes();
    let Some(Ok(Event::Bytes(bytes))) = decoder.decode(&mut input) else { panic!("bytes expected") };
    assert_eq!(bytes.as_ptr(), body.as_ptr(), "borrowed, not copied");
    assert_eq!(bytes.len(), body.len());
    assert!(input.is_empty());
}

#[test]
fn says_early_that_a_message_is_too_large() {
    let mut decoder = DataDecoder::new(3);
    decoder.decode(&mut b"abc".as_slice());
    assert!(!decoder.is_too_large());
    decoder.decode(&mut b"d".as_slice());
    assert!(decoder.is_too_large());
}

#[test]
fn errors_answer_550() {
    let mut wire = Vec::new();
    lf(7).reply().encode(&mut wire);
    assert_eq!(wire, b"550 5.5.2 bare LF in the message at octet 7\r\n");
}

/// From a client whose line ends are normalised: the message, and whether it ended.
#[test]
fn line_ends_are_made_crlf_and_no_other_end_of_the_message_is_seen() {
    let rows = [
        ("a\nb\r\n.\r\n", "a\r\nb\r\n", true),
        ("a\rb\r\n.\r\n", "a\r\nb\r\n", true),
        ("a\r\r\n.\r\n", "a\r\n\r\n", true),
        ("\n\n\r\n.\r\n", "\r\n\r\n\r\n", true),
        // Every spelling of an end that is none: the dot stays, on a line of its own.
        ("a\n.\nb", "a\r\n.\r\nb", false),
        ("a\n.\r\nb", "a\r\n.\r\nb", false),
        ("a\r\n.\nb", "a\r\n.\r\nb", false),
        ("a\r.\rb", "a\r\n.\r\nb", false),
        ("a\r.\r\nb", "a\r\n.\r\nb", false),
        ("a\r\n.\rb", "a\r\n.\r\nb", false),
        ("a\n.\rb", "a\r\n.\r\nb", false),
        ("a\r.\nb", "a\r\n.\r\nb", false),
        ("a\r\n.\r\r\nb", "a\r\n.\r\n\r\nb", false),
        (".\nb", ".\r\nb", false),
        // One that comes behind such a line is an end.
        ("a\n.\r\n.\r\n", "a\r\n.\r\n", true),
        // Dots of transparency, behind any line end.
        ("a\n..b\n.c\r\n..\r\n.\r\n", "a\r\n.b\r\nc\r\n.\r\n", true),
    ];
    for (wire, message, ended) in rows {
        let outcome = normalise([wire.as_bytes()]);
        assert_eq!(String::from_utf8_lossy(&outcome.message), message, "{wire:?}");
        assert_eq!(matches!(outcome.end, Some(Ok(_))), ended, "{wire:?}: {:?}", outcome.end);
        assert_eq!(normalise(wire.as_bytes().chunks(1)), outcome, "{wire:?}, byte by byte");
    }
    assert_eq!(normalise(["a\nb\0".as_bytes()]).end, Some(Err(nul(3))), "a NUL is never a line end");
}

#[test]
fn stuffs_dots_at_line_starts_and_ends_the_message() {
    let rows = [
        ("", ".\r\n"),
        ("\r\n", "\r\n.\r\n"),
        ("hi\r\n", "hi\r\n.\r\n"),
        ("hi", "hi\r\n.\r\n"),
        (".", "..\r\n.\r\n"),
        (".\r\n", "..\r\n.\r\n"),
        ("..\r\n", "...\r\n.\r\n"),
        ("a\r\n.b\r\n.\r\n\r\n.c", "a\r\n..b\r\n..\r\n\r\n..c\r\n.\r\n"),
        ("a.b\r\nc.\r\n", "a.b\r\nc.\r\n.\r\n"),
        ("a \r\n .\r\n", "a \r\n .\r\n.\r\n"),
    ];
    for (message, wire) in rows {
        assert_eq!(stuff([message.as_bytes()]), wire.as_bytes(), "{message:?}");
        assert_eq!(stuff(message.as_bytes().chunks(1)), wire.as_bytes(), "{message:?}, byte by byte");
    }
}

/// Row 25 of the attacks: line ends and dots on every edge of common buffers.
#[test]
fn dots_on_buffer_edges_survive() {
    for edge in [1024usize, 1460, 4096, 8192, 16_384, 65_536] {
        for shift in 0..6 {
            let mut message = vec![b'x'; edge - shift];
            message.extend_from_slice(b"\r\n..\r\n.\r\ny\r\n");
            let wire = stuff(message.chunks(edge));
            let outcome = decode(u64::MAX, wire.chunks(edge));
            assert_eq!(outcome.message, message, "edge {edge}, shift {shift}");
            assert_eq!(outcome.end, Some(Ok((message.len() as u64, false))));
        }
    }
}

proptest! {
    #[test]
    fn segments_change_no_verdict(
        bytes in "[\r\n.\0a]{0,60}|(\r\n|\\.|a){0,60}",
        cuts in proptest::collection::vec(1usize..7, 1..30),
        limit in prop_oneof![Just(u64::MAX), 0u64..40],
    ) {
        let whole = decode(limit, [bytes.as_bytes()]);
        prop_assert_eq!(decode(limit, cut(bytes.as_bytes(), &cuts)), whole);
    }

    /// Normalised, a message ends at the first CRLF, dot, CRLF on the wire and nowhere else, and has no line end but CRLF.
    #[test]
    fn normalised_messages_end_where_a_strict_reader_ends_them(
        bytes in "[\r\n.a]{0,60}|(\r\n|\\.|a|\n){0,60}",
        cuts in proptest::collection::vec(1usize..7, 1..30),
    ) {
        let outcome = normalise([bytes.as_bytes()]);
        prop_assert_eq!(&normalise(cut(bytes.as_bytes(), &cuts)), &outcome);
        let framed = [b"\r\n".as_slice(), bytes.as_bytes()].concat();
        let end = memchr::memmem::find(&framed, b"\r\n.\r\n").map(|at| framed[at + 5..].to_vec());
        prop_assert_eq!(matches!(outcome.end, Some(Ok(_))), end.is_some());
        prop_assert_eq!(&outcome.left, &end.unwrap_or_default());
        let lines = String::from_utf8(outcome.message).unwrap().replace("\r\n", "");
        prop_assert!(!lines.contains(['\r', '\n']), "{:?}", lines);
    }

    #[test]
    fn what_was_stuffed_comes_out_again(
        message in "(\r\n|\\.|[ -~]|\u{e9}){0,200}",
        cuts in proptest::collection::vec(1usize..12, 1..30),
        other_cuts in proptest::collection::vec(1usize..12, 1..30),
    ) {
        let mut expected = message.clone().into_bytes();
        if !expected.is_empty() && !expected.ends_with(b"\r\n") {
            expected.extend_from_slice(b"\r\n");
        }
        let wire = stuff(cut(message.as_bytes(), &cuts));
        let outcome = decode(u64::MAX, cut(&wire, &other_cuts));
        prop_assert_eq!(outcome.end, Some(Ok((expected.len() as u64, false))));
        prop_assert_eq!(outcome.message, expected);
        prop_assert!(outcome.left.is_empty());
    }

    /// Whoever takes only CRLF for a line end sees one end on the wire, and it is the last thing there.
    #[test]
    fn the_wire_has_one_end(message in "(\r\n|\\.|a|\n|\r){0,100}") {
        let wire = stuff([message.as_bytes()]);
        let framed = [b"\r\n".as_slice(), &wire].concat();
        let ends: Vec<usize> = memchr::memmem::find_iter(&framed, b"\r\n.\r\n").collect();
        prop_assert_eq!(ends, [framed.len() - 5]);
    }
}
