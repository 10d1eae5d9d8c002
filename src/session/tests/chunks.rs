//! BDAT, by itself.

use super::*;

/// Everything up to an accepted recipient.
fn at_bdat() -> Talk {
    let mut talk = Talk::new();
    talk.says(b"EHLO a.example\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<b@example.org>\r\n");
    talk
}

#[test]
fn each_chunk_is_answered_and_the_last_by_the_upstream() {
    let mut talk = at_bdat();
    talk.upstream = reply(251);
    assert_eq!(talk.says(b"BDAT 4\r\nab"), [""; 0]);
    assert_eq!(talk.says(b"c\r"), ["250 2.0.0"]);
    assert_eq!(talk.says(b"BDAT 0\r\nBDAT 2\r\n\n."), ["250 2.0.0", "250 2.0.0"]);
    assert_eq!(talk.says(b"BDAT 4 LAST\r\n\r\n."), [""; 0]);
    assert_eq!(
        talk.says(b"\rQUIT\r\n"),
        ["550 5.5.2", "rejected", "221 2.0.0", "close"],
        "it ends with a CR"
    );

    let mut talk = at_bdat();
    assert_eq!(
        talk.says(b"BDAT 3\r\na\r\nBDAT 5 LAST\r\n\r\n.\r\nQUIT\r\n"),
        ["250 2.0.0", "250 2.0.0", "accepted", "221 2.0.0", "close"]
    );
    assert_eq!(talk.stored, b"a\r\n\r\n.\r\n");
}

#[test]
fn a_refused_chunk_is_read_to_its_end_and_then_refused() {
    let greeted = b"EHLO a.example\r\n".as_slice();
    let with_mail = b"EHLO a.example\r\nMAIL FROM:<>\r\n".as_slice();
    let with_rcpt = b"EHLO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\n".as_slice();
    let by_helo = b"HELO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\n".as_slice();
    let cases: &[(&[u8], &[u8], &[&str])] = &[
        (b"", b"BDAT 6\r\nQUIT\r\nNOOP\r\n", &["503 5.5.1", "250 2.0.0"]),
        (greeted, b"BDAT 6\r\nQUIT\r\nNOOP\r\n", &["503 5.5.1", "250 2.0.0"]),
        (with_mail, b"BDAT 6\r\nQUIT\r\nRCPT TO:<b@example.org>\r\n", &["503 5.5.1", "503 5.5.1"]),
        (with_mail, b"BDAT 6 LAST\r\nQUIT\r\nRCPT TO:<b@example.org>\r\n", &["503 5.5.1", "250 2.1.5"]),
        (by_helo, b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", &["503 5.5.1", "250 2.0.0"]),
        (with_rcpt, b"BDAT 6\r\nQUIT\n\nNOOP\r\n", &["550 5.5.2", "rejected", "250 2.0.0"]),
        (with_rcpt, b"BDAT 6\r\n\0UIT\r\nMAIL FROM:<>\r\n", &["550 5.5.2", "rejected", "503 5.5.1"]),
        (with_rcpt, b"BDAT 6 LAST\r\n\0UIT\r\nMAIL FROM:<>\r\n", &["550 5.5.2", "rejected", "250 2.1.0"]),
    ];
    for (before, bytes, expected) in cases {
        for size in [1000, 1] {
            let mut talk = Talk::new();
            talk.says(before);
            let heard: Vec<String> = bytes.chunks(size).flat_map(|piece| talk.says(piece)).collect();
            assert_eq!(heard, *expected, "{}, in pieces of {size}", bytes.escape_ascii());
        }
    }
}

#[test]
fn what_cannot_be_read_as_a_size_ends_the_session() {
    for line in [
        &b"BDAT\r\n"[..],
        b"BDAT LAST\r\n",
        b"BDAT -1\r\n",
        b"BDAT 5 FIRST\r\n",
        b"BDAT\t5\r\n",
        b"BDAT5\r\n",
        b"bdat 5\n",
        b"BDAT 5\r",
        b"BDAT 5\0\r\n",
        b"BDAT 99999999999999999999\r\n",
    ] {
        let mut talk = at_bdat();
        let heard = talk.says(&[line, b"NOOP\r\nQUIT\r\n"].concat());
        assert_eq!(heard.len(), 3, "{}: {heard:?}", line.escape_ascii());
        assert_eq!((heard[0].as_str(), heard[2].as_str()), ("nothing", "close"), "{}", line.escape_ascii());
        assert!(heard[1].starts_with("50"), "{}: {heard:?}", line.escape_ascii());
    }
}

#[test]
fn after_a_refused_chunk_only_rset_a_greeting_or_last_helps() {
    let refused = |talk: &mut Talk| assert_eq!(talk.says(b"BDAT 1\r\n\0"), ["550 5.5.2", "rejected"]);
    for (way_out, heard) in
        [(&b"RSET\r\n"[..], "250 2.0.0"), (b"EHLO b.example\r\n", "250"), (b"BDAT 2 LAST\r\nxx", "503 5.5.1")]
    {
        let mut talk = at_bdat();
        refused(&mut talk);
        assert_eq!(talk.says(b"BDAT 4\r\nQUITMAIL FROM:<>\r\n"), ["503 5.5.1", "503 5.5.1"]);
        talk.session.counters.errors = 0;
        assert_eq!(talk.says(way_out), [heard]);
        assert_eq!(talk.says(b"MAIL FROM:<>\r\n"), ["250 2.1.0"], "{}", way_out.escape_ascii());
    }
}

#[test]
fn chunks_under_way_behind_a_refused_one_are_no_errors_and_have_an_end() {
    let mut talk = at_bdat();
    talk.says(b"BDAT 1\r\n\0");
    let heard = talk.says(&b"BDAT 4\r\nQUIT".repeat(9));
    assert_eq!(heard.len(), 7, "{heard:?}");
    assert!(heard[..5].iter().all(|line| line == "503 5.5.1"), "{heard:?}");
    assert_eq!(heard[5..], ["421 4.7.0", "close"]);
}

#[test]
fn a_message_in_chunks_is_not_mixed_with_others() {
    let mut talk = at_bdat();
    assert_eq!(talk.says(b"BDAT 3\r\na\r\n"), ["250 2.0.0"]);
    assert_eq!(talk.says(b"DATA\r\nMAIL FROM:<>\r\n"), ["503 5.5.1", "503 5.5.1"]);
    talk.session.counters.errors = 0;
    assert_eq!(talk.says(b"RCPT TO:<c@example.org>\r\nNOOP\r\n"), ["503 5.5.1", "250 2.0.0"]);
    assert_eq!(talk.says(b"RSET\r\n"), ["aborted", "250 2.0.0"], "a message was under way");
    assert_eq!(talk.says(b"BDAT 3 LAST\r\na\r\n"), ["503 5.5.1"], "and with it went its envelope");
}

#[test]
fn the_limit_counts_all_chunks() {
    let mut talk = at_bdat();
    let chunk = [b"BDAT 500\r\n".as_slice(), &[b'x'; 500]].concat();
    assert_eq!(talk.says(&chunk.repeat(2)), ["250 2.0.0", "250 2.0.0"]);
    assert_eq!(talk.says(b"BDAT 1 LAST\r\nxNOOP\r\n"), ["552 5.3.4", "rejected", "250 2.0.0"]);

    let mut talk = at_bdat();
    let most = [b"BDAT 4000\r\n".as_slice(), &[b'x'; 4000], b"NOOP\r\n"].concat();
    assert_eq!(talk.says(&most), ["552 5.3.4", "rejected", "250 2.0.0"], "read and dropped");
    let mut talk = at_bdat();
    assert_eq!(talk.says(b"BDAT 4001\r\nNOOP\r\n"), ["552 5.3.4", "rejected", "close"], "too much to read");
    let mut talk = at_bdat();
    talk.says(b"BDAT 1\r\nx");
    assert_eq!(talk.says(b"BDAT 18446744073709551615\r\nNOOP\r\n"), ["552 5.3.4", "rejected", "close"]);
}

#[test]
fn policy_speaks_before_the_first_chunk_and_is_heard_behind_it() {
    let mut talk = at_bdat();
    talk.verdicts = vec![(Stage::Data, Verdict::Refuse(refusal(451)))];
    assert_eq!(talk.says(b"BDAT 6\r\nQUIT"), [""; 0]);
    assert_eq!(talk.says(b"\r\nNOOP\r\n"), ["451 4.7.1", "250 2.0.0"]);

    let mut talk = at_bdat();
    talk.verdicts = vec![(Stage::Data, Verdict::Disconnect(refusal(421)))];
    assert_eq!(talk.says(b"BDAT 6\r\nQUIT\r\n"), ["nothing", "421 4.7.1", "close"]);

    let mut talk = at_bdat();
    talk.upstream = reply(554);
    talk.verdicts = vec![(Stage::Data, Verdict::Discard(Reason::new(Source::Policy, "test.rule")))];
    assert_eq!(talk.says(b"BDAT 1 LAST\r\nx"), ["250 2.0.0", "discarded"]);
}

#[test]
fn a_spoilt_chunk_is_answered_at_its_end() {
    let mut talk = at_bdat();
    talk.says(b"BDAT 10\r\nsome");
    talk.session.spoil(refusal(452));
    assert_eq!(talk.says(b"more\r\nNOOP\r\n"), ["452 4.7.1", "deferred", "250 2.0.0"]);
    assert_eq!(talk.stored, b"some");
}

#[test]
fn a_binary_message_comes_by_bdat_only() {
    let mut talk = Talk::new();
    talk.says(b"EHLO a.example\r\nMAIL FROM:<> BODY=BINARYMIME\r\nRCPT TO:<b@example.org>\r\n");
    assert_eq!(talk.says(b"DATA\r\n"), ["503 5.5.1"]);
    assert_eq!(talk.says(b"BDAT 6 LAST\r\n\0\n.\n\r\r"), ["250 2.0.0", "accepted"]);
    assert_eq!(talk.stored, b"\0\n.\n\r\r");

    let mut talk = Talk::new();
    talk.session.offer(Offers { size: Some(1000), ..Offers::default() });
    talk.says(b"EHLO a.example\r\n");
    assert_eq!(talk.says(b"MAIL FROM:<> BODY=BINARYMIME\r\n"), ["555 5.5.4"]);
}

#[test]
fn time_is_counted_within_a_chunk_and_between_two() {
    let mut talk = at_bdat();
    talk.says(b"BDAT 5\r\nab");
    assert_eq!(talk.session.deadline().unwrap(), talk.now + Duration::from_secs(180));
    talk.says(b"cde");
    assert_eq!(talk.session.deadline().unwrap(), talk.now + Duration::from_secs(180));
    talk.now += Duration::from_secs(100);
    talk.says(b"BDAT 1\r\nf");
    let left = talk.session.deadline().unwrap() - talk.now;
    assert_eq!(left.as_secs(), 80, "nine octets earn a tenth of a second");
    talk.session.timed_out(talk.now);
    talk.settle();
    assert_eq!(talk.heard[talk.heard.len() - 3..], ["aborted", "421 4.4.2", "close"]);

    let mut talk = Talk::new();
    talk.says(b"EHLO a.example\r\nMAIL FROM:<>\r\nBDAT 5\r\nab");
    talk.session.hung_up();
    talk.settle();
    assert_eq!(talk.heard[talk.heard.len() - 2..], ["nothing", "close"], "no message had begun");
}

/// What a client might send, good and bad.
fn talk_like() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("EHLO a.example\r\n".to_owned()),
        Just("MAIL FROM:<a@a.example>\r\n".to_owned()),
        Just("RCPT TO:<b@example.org>\r\n".to_owned()),
        Just("DATA\r\n".to_owned()),
        Just("RSET\r\n".to_owned()),
        Just("BDAT 10\r\n".to_owned()),
        Just("BDAT 3 LAST\r\n".to_owned()),
        Just(".\r\n".to_owned()),
        "[\\x00-\\xff]{0,6}\r\n",
        "[A-Z]{4} [\\x00-\\xff]{0,6}\r\n",
        "\\PC{0,10}",
    ];
    proptest::collection::vec(word, 0..12).prop_map(|words| words.concat().into_bytes())
}

proptest! {
    /// Whatever comes, replies are printable, and the same however it was cut.
    #[test]
    fn whatever_comes_the_answers_are_clean_and_the_same(bytes in talk_like(), size in 1usize..9) {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        let (whole, cut) = (run(&[&bytes]), run(&pieces));
        // DATA with something behind it in the same segment is a breach of the protocol, and with a pause is none.
        if !bytes.windows(6).any(|word| word == b"DATA\r\n") {
            prop_assert_eq!(whole, cut);
        }
    }

    /// However the bytes are cut, the session does the same.
    #[test]
    fn any_segmentation_gives_the_same_chunks(cuts in proptest::collection::vec(0usize..400, 0..12)) {
        let dialogue: &[u8] = b"EHLO a.example\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<b@example.org>\r\n\
            BDAT 12\r\nSubject: x\r\nBDAT 0\r\nBDAT 9\r\n\r\n.\r\n\r\n..BDAT 6 LAST\r\n.\r\nab\nMAIL FROM:<>\r\n\
            RCPT TO:<d@example.org>\r\nBDAT 4\r\nab\r\nBDAT 2 LAST\r\n\r\nRSET\r\nQUIT\r\n";
        let whole = run(&[dialogue]);
        let mut at: Vec<_> = cuts.iter().map(|cut| cut % dialogue.len()).collect();
        at.extend([0, dialogue.len()]);
        at.sort_unstable();
        let pieces: Vec<_> = at.windows(2).map(|pair| &dialogue[pair[0]..pair[1]]).collect();
        prop_assert_eq!(run(&pieces), whole);
    }

    /// A message is stored alike and judged alike, whether it comes by DATA or in chunks of any sizes.
    #[test]
    fn bdat_and_data_deliver_the_same_message(
        body in "(\r\n|\\.|[ -~]|\u{e9}){0,200}",
        chunks in proptest::collection::vec(1usize..40, 1..20),
    ) {
        let message = format!("Subject: x\r\n\r\n{body}\r\n").into_bytes();
        let mut by_data = at_data();
        let mut stuffer = crate::smtp::data::DotStuffer::new();
        let mut wire = Vec::new();
        stuffer.stuff(&message, &mut wire);
        stuffer.finish(&mut wire);
        let end_of_data = by_data.says(&wire);
        let mut by_bdat = at_bdat();
        let mut rest = message.as_slice();
        for chunk in chunks {
            let piece = rest.split_off(..chunk.min(rest.len())).unwrap();
            if piece.is_empty() {
                break;
            }
            by_bdat.says(&[format!("BDAT {}\r\n", piece.len()).as_bytes(), piece].concat());
        }
        let end_of_chunks = by_bdat.says(&[format!("BDAT {} LAST\r\n", rest.len()).as_bytes(), rest].concat());
        prop_assert_eq!(&by_data.stored, &message);
        prop_assert_eq!(&by_bdat.stored, &message);
        prop_assert_eq!(end_of_data, end_of_chunks);
    }
}
