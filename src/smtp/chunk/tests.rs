use proptest::prelude::*;

use super::{ChunkDecoder, Event};
use crate::smtp::data::{DataDecoder, DataError, DotStuffer};
use crate::smtp::segments::cut;

/// What became of some chunks: what the message holds, and how it ended.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Outcome {
    message: Vec<u8>,
    end: Result<(), DataError>,
    /// What the decoder left for the command decoder.
    left: Vec<u8>,
}

/// Takes chunks of these sizes from `wire`, which comes in pieces of the sizes in `cuts`.
fn decode(binary: bool, sizes: &[usize], wire: &[u8], cuts: &[usize]) -> Outcome {
    let mut decoder = ChunkDecoder::new(binary);
    let (mut message, mut end) = (Vec::new(), Ok(()));
    let mut segments = cut(wire, cuts).into_iter();
    let mut segment: &[u8] = &[];
    for size in sizes {
        decoder.begin(*size as u64);
        loop {
            match decoder.decode(&mut segment) {
                Some(Ok(Event::Bytes(bytes))) => {
                    assert!(!bytes.is_empty());
                    assert_eq!(end, Ok(()), "nothing comes of a message that is bad");
                    message.extend_from_slice(bytes);
                }
                Some(Ok(Event::End)) => break,
                Some(Err(error)) => {
                    assert_eq!(end, Ok(()), "an error is told once");
                    end = Err(error);
                }
                None => segment = segments.next().expect("the chunk goes on"),
            }
        }
    }
    let left = segments.fold(segment.to_vec(), |left, segment| [&left, segment].concat());
    Outcome { message, end: end.and_then(|()| decoder.finish()), left }
}

#[test]
fn the_announced_octets_are_the_chunk() {
    let rows: &[(&[usize], &str, &str, &str)] = &[
        (&[0], "QUIT\r\n", "", "QUIT\r\n"),
        (&[4], "abcdRSET\r\n", "abcd", "RSET\r\n"),
        (&[2, 0, 2], "abcdRSET\r\n", "abcd", "RSET\r\n"),
        (&[5], "\r\n.\r\nMAIL", "\r\n.\r\n", "MAIL"),
        (&[1, 1, 1, 2], "\r\n.\r\nMAIL", "\r\n.\r\n", "MAIL"),
        (&[3], ".\r\n.\r\n", ".\r\n", ".\r\n"),
        (&[12], "BDAT 5 LAST\nabc", "BDAT 5 LAST\n", "abc"),
    ];
    for (sizes, wire, message, left) in rows {
        let binary = wire.contains("LAST\n");
        let expected =
            Outcome { message: message.as_bytes().into(), end: Ok(()), left: left.as_bytes().into() };
        assert_eq!(decode(binary, sizes, wire.as_bytes(), &[100]), expected, "{wire:?}");
        assert_eq!(decode(binary, sizes, wire.as_bytes(), &[1]), expected, "{wire:?}, byte by byte");
    }
}

#[test]
fn a_bad_chunk_is_taken_to_its_end_and_not_beyond() {
    use DataError::{BareCr, BareLf, Nul};
    let rows: &[(&[usize], &str, DataError)] = &[
        (&[6], "ab\ncd\nQUIT\r\n", BareLf { offset: 2 }),
        (&[6], "ab\rcd\rQUIT\r\n", BareCr { offset: 2 }),
        (&[6], "ab\0cd\0QUIT\r\n", Nul { offset: 2 }),
        (&[3, 3], "ab\rcd\rQUIT\r\n", BareCr { offset: 2 }),
        (&[3], "ab\rQUIT\r\n", BareCr { offset: 2 }),
        (&[3, 1], "ab\r\rQUIT\r\n", BareCr { offset: 2 }),
        (&[1], "\nQUIT\r\n", BareLf { offset: 0 }),
        (&[4], "\r\n\n\nQUIT\r\n", BareLf { offset: 2 }),
    ];
    for (sizes, wire, error) in rows {
        for cuts in [&[100][..], &[1]] {
            let outcome = decode(false, sizes, wire.as_bytes(), cuts);
            assert_eq!((outcome.end, outcome.left.as_slice()), (Err(*error), &b"QUIT\r\n"[..]), "{wire:?}");
            let binary = decode(true, sizes, wire.as_bytes(), cuts);
            assert_eq!((binary.end, binary.left.as_slice()), (Ok(()), &b"QUIT\r\n"[..]), "{wire:?}");
        }
    }
}

#[test]
fn huge_chunks_do_not_overflow() {
    let mut decoder = ChunkDecoder::new(true);
    for _ in 0..2 {
        decoder.begin(u64::MAX);
        assert_eq!(decoder.decode(&mut &b"abc"[..]), Some(Ok(Event::Bytes(b"abc"))));
        assert_eq!(decoder.decode(&mut &b""[..]), None);
    }
    assert_eq!(decoder.size(), 6);
}

/// The sizes of the chunks, of `len` octets in all.
fn sizes(len: usize, cuts: &[usize]) -> Vec<usize> {
    cut(&vec![0; len], cuts).iter().map(|chunk| chunk.len()).collect()
}

proptest! {
    #[test]
    fn neither_segments_nor_chunks_change_the_verdict(
        message in "[\r\n.\0a]{0,60}|(\r\n|\\.|a){0,60}",
        behind in "[\r\n.\0A]{0,5}",
        chunks in proptest::collection::vec(1usize..9, 1..30),
        cuts in proptest::collection::vec(1usize..7, 1..30),
        binary: bool,
    ) {
        let wire = [message.as_bytes(), behind.as_bytes()].concat();
        let whole = decode(binary, &[message.len()], &wire, &[1000]);
        let parts = decode(binary, &sizes(message.len(), &chunks), &wire, &cuts);
        prop_assert_eq!(parts.end, whole.end);
        prop_assert_eq!(&parts.left, &whole.left);
        prop_assert_eq!(&whole.left, behind.as_bytes());
        if whole.end.is_ok() {
            prop_assert_eq!(&parts.message, &whole.message);
            prop_assert_eq!(&whole.message, message.as_bytes());
        }
    }

    /// A message says the same by either way, and is bad by either way; only DATA needs a line end at its end.
    #[test]
    fn bdat_and_data_carry_the_same_message(
        message in "([\r\n.\0a]|\r\n){0,60}",
        chunks in proptest::collection::vec(1usize..9, 1..30),
    ) {
        let by_bdat = decode(false, &sizes(message.len(), &chunks), message.as_bytes(), &[3]);
        let (mut stuffer, mut wire) = (DotStuffer::new(), Vec::new());
        stuffer.stuff(message.as_bytes(), &mut wire);
        stuffer.finish(&mut wire);
        let (mut input, mut decoder, mut by_data) = (wire.as_slice(), DataDecoder::new(u64::MAX), Vec::new());
        let bad = loop {
            match decoder.decode(&mut input) {
                Some(Ok(crate::smtp::data::Event::Bytes(bytes))) => by_data.extend_from_slice(bytes),
                Some(Err(error)) => break Some(error.name()),
                Some(Ok(crate::smtp::data::Event::End { .. })) | None => break None,
            }
        };
        prop_assert_eq!(by_bdat.end.err().map(|error| error.name()).is_some(), bad.is_some() || message.ends_with('\r'));
        if by_bdat.end.is_ok() {
            let mut expected = message.clone().into_bytes();
            if !expected.is_empty() && !expected.ends_with(b"\r\n") {
                expected.extend_from_slice(b"\r\n");
            }
            prop_assert_eq!(by_data, expected);
            prop_assert_eq!(by_bdat.message, message.as_bytes());
        }
    }
}
