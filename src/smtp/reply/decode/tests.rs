use proptest::prelude::*;

use super::{EnhancedCode, Reply, ReplyDecoder, ReplyError};
use crate::smtp::segments::cut;

fn decode<'a>(
    segments: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Result<Reply, ReplyError>>, ReplyDecoder) {
    let mut decoder = ReplyDecoder::default();
    let mut found = Vec::new();
    for mut segment in segments {
        while let Some(reply) = decoder.decode(&mut segment) {
            let failed = reply.is_err();
            found.push(reply);
            if failed {
                return (found, decoder);
            }
        }
    }
    (found, decoder)
}

fn wire(reply: &Reply) -> String {
    let mut wire = Vec::new();
    reply.encode(&mut wire);
    String::from_utf8(wire).unwrap()
}

/// The first reply in some bytes, as [`Reply`] shows itself in logs.
#[test]
fn reads_replies() {
    let rows: &[(&str, &str)] = &[
        ("250 ok\r\n", "250 ok"),
        ("250\r\n", "250 "),
        ("250 \r\n", "250 "),
        ("354 go on\r\n", "354 go on"),
        ("250 2.1.0 Ok\r\n", "250 2.1.0 Ok"),
        ("550 5.1.1 unknown user\r\n", "550 5.1.1 unknown user"),
        ("550 5.7.1\r\n", "550 5.7.1 "),
        ("550 5.7.26  two spaces\r\n", "550 5.7.26  two spaces"),
        ("451 5.7.1 class of another code\r\n", "451 5.7.1 class of another code"),
        (
            "250-mx.example.org\r\n250-SIZE 100\r\n250 8BITMIME\r\n",
            "250 mx.example.org / SIZE 100 / 8BITMIME",
        ),
        ("550-5.7.1 a\r\n550-5.7.1 b\r\n550 5.7.1 c\r\n", "550 5.7.1 a / b / c"),
        ("550-5.7.1 a\r\n550 b\r\n", "550 5.7.1 a / b"),
        ("550-5.7.1 a\r\n550 5.7.2 b\r\n", "550 5.7.1 a / 5.7.2 b"),
        ("250-\r\n250\r\n", "250  / "),
        ("250 a\x1b[31m\0\rb\x7f\r\n", "250 a?[31m??b?"),
        ("250 caf\u{e9}\r\n", "250 caf??"),
        ("421 4.3.0 bye\r\n", "421 4.3.0 bye"),
    ];
    for (bytes, shown) in rows {
        let (found, decoder) = decode([bytes.as_bytes()]);
        assert!(decoder.is_empty());
        let [Ok(reply)] = found.as_slice() else { panic!("{bytes:?} gave {found:?}") };
        assert_eq!(&reply.to_string(), shown, "{bytes:?}");
        assert_eq!(decode(bytes.as_bytes().chunks(1)).0, found, "{bytes:?}, byte by byte");
    }
}

#[test]
fn only_an_enhanced_code_that_every_line_has_leaves_the_text() {
    let (found, _) = decode([b"550-5.7.1 a\r\n550 b\r\n".as_slice()]);
    let reply = found.first().unwrap().as_ref().unwrap();
    assert_eq!(reply.enhanced(), None);
    assert_eq!(reply.lines(), ["5.7.1 a", "b"]);
    let (found, _) = decode([b"550-5.7.1 a\r\n550 5.7.1\r\n".as_slice()]);
    let reply = found.first().unwrap().as_ref().unwrap();
    assert_eq!(reply.enhanced(), Some(EnhancedCode::new(5, 7, 1)));
    assert_eq!(reply.lines(), ["a", ""]);
}

/// What is relayed is what came, octet by octet, if it was clean.
#[test]
fn replies_go_on_word_by_word() {
    for bytes in [
        "250 2.0.0 Ok: queued as 4XyZ\r\n",
        "550-5.7.1 a\r\n550 b\r\n",
        "550 5.7.1\r\n",
        "550-5.7.1 a\r\n550-5.7.1\r\n550 5.7.1 c\r\n",
        "450 4.7.1  odd   spaces \r\n",
        "250-mx\r\n250 SIZE\r\n",
        "250 2.0.0.1 no enhanced code\r\n",
        "550 5.07.1 nor this\r\n",
    ] {
        let (found, _) = decode([bytes.as_bytes()]);
        assert_eq!(wire(found.first().unwrap().as_ref().unwrap()), bytes);
    }
}

#[test]
fn refuses_what_is_no_reply() {
    use ReplyError::{BadCode, BadLine, CodeChanged};
    let rows: &[(&str, ReplyError)] = &[
        ("\r\n", BadCode),
        ("ok\r\n", BadCode),
        ("25\r\n", BadCode),
        ("25a ok\r\n", BadCode),
        ("+50 ok\r\n", BadCode),
        (" 250 ok\r\n", BadCode),
        ("150 wait\r\n", BadCode),
        ("099 no\r\n", BadCode),
        ("600 no\r\n", BadCode),
        ("999 no\r\n", BadCode),
        ("260 no\r\n", BadCode),
        ("\u{661}\u{662} no\r\n", BadCode),
        ("2500 no\r\n", BadLine),
        ("250ok\r\n", BadLine),
        ("250\tok\r\n", BadLine),
        ("250_ok\r\n", BadLine),
        ("250 ok\n", BadLine),
        ("250 ok\n250 ok\r\n", BadLine),
        ("250-a\r\n251 b\r\n", CodeChanged),
        ("250-a\r\n550 b\r\n", CodeChanged),
        ("250-a\r\nb\r\n", BadCode),
        ("\x16\x03\x01\r\n", BadCode),
        ("HTTP/1.1 200 OK\r\n", BadCode),
    ];
    for (bytes, error) in rows {
        assert_eq!(decode([bytes.as_bytes()]).0, [Err(*error)], "{bytes:?}");
        assert_eq!(decode(bytes.as_bytes().chunks(1)).0, [Err(*error)], "{bytes:?}, byte by byte");
    }
}

#[test]
fn half_a_reply_is_none() {
    for bytes in ["", "2", "250", "250 ok", "250 ok\r", "250-a\r\n", "250-a\r\n250", "ga"] {
        let (found, decoder) = decode([bytes.as_bytes()]);
        assert_eq!(found, [], "{bytes:?}");
        assert_eq!(decoder.is_empty(), bytes.is_empty());
    }
}

#[test]
fn leaves_what_stands_behind_a_reply() {
    let mut decoder = ReplyDecoder::default();
    let mut input: &[u8] = b"220 go ahead\r\n250-evil\r\n250 x\r\n";
    assert_eq!(decoder.decode(&mut input).unwrap().unwrap().code().get(), 220);
    assert_eq!(input, b"250-evil\r\n250 x\r\n");
}

#[test]
fn errors_stay() {
    let (found, mut decoder) = decode([b"garbage\r\n".as_slice()]);
    assert_eq!(found, [Err(ReplyError::BadCode)]);
    assert!(!decoder.is_empty());
    assert_eq!(decoder.decode(&mut b"250 ok\r\n".as_slice()), Some(Err(ReplyError::BadCode)));
}

#[test]
fn a_challenge_may_be_as_long_as_a_response() {
    let longest = format!("334 {}\r\n", "A".repeat(12_288 - 6));
    for segment in [1, 7, 12_288] {
        let found = decode(longest.as_bytes().chunks(segment)).0;
        let reply = found[0].as_ref().unwrap();
        let mut wire = Vec::new();
        reply.encode(&mut wire);
        assert_eq!(wire, longest.as_bytes(), "{segment}");
        let longer = format!("334 {}\r\n", "A".repeat(12_288 - 5));
        assert_eq!(decode(longer.as_bytes().chunks(segment)).0, [Err(ReplyError::LineTooLong)]);
    }
}

#[test]
fn lines_and_replies_are_bounded() {
    let longest = format!("250 {}\r\n", "x".repeat(2048 - 6));
    assert!(matches!(decode([longest.as_bytes()]).0.as_slice(), [Ok(_)]));
    for segment in [1, 100, 1_000_000] {
        let longer = format!("250 {}\r\n", "x".repeat(2048 - 5));
        assert_eq!(decode(longer.as_bytes().chunks(segment)).0, [Err(ReplyError::LineTooLong)]);
        let endless = vec![b'2'; 1_000_000];
        let (found, decoder) = decode(endless.chunks(segment));
        assert_eq!(found, [Err(ReplyError::LineTooLong)]);
        assert!(decoder.kept.capacity() <= 4096);
    }
    let most = format!("{}250 x\r\n", "250-x\r\n".repeat(127));
    assert!(matches!(decode([most.as_bytes()]).0.as_slice(), [Ok(_)]));
    let more = "250-x\r\n".repeat(129);
    assert_eq!(decode([more.as_bytes()]).0, [Err(ReplyError::TooManyLines)]);
}

#[test]
fn a_relayed_line_has_at_most_512_octets() {
    for length in [506, 507, 1500] {
        let long = format!("550 5.7.1 {}\r\n", "x".repeat(length - 6));
        let (found, _) = decode([long.as_bytes()]);
        let wire = wire(found.first().unwrap().as_ref().unwrap());
        assert_eq!(wire.len(), 512, "{length}");
        assert!(wire.starts_with("550 5.7.1 x"));
    }
}

proptest! {
    #[test]
    fn segments_change_nothing(
        bytes in "(250|251|550|150|[ -]|\r\n|\n|\r|5\\.7\\.1 |x){0,40}",
        cuts in proptest::collection::vec(1usize..7, 1..20),
    ) {
        let whole = decode([bytes.as_bytes()]).0;
        prop_assert_eq!(decode(cut(bytes.as_bytes(), &cuts)).0, whole);
    }

    #[test]
    fn what_is_relayed_is_clean(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let line = [b"250 ".as_slice(), &bytes, b"\r\n"].concat();
        for reply in decode([line.as_slice()]).0.into_iter().flatten() {
            let wire = wire(&reply);
            let text = wire.strip_suffix("\r\n").unwrap();
            prop_assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)), "{:?}", wire);
        }
    }
}
