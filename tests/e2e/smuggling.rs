//! One message in, one message out: every spelling of the smuggling attacks, through real sockets, in front of a real
//! Postfix (rows 1 to 24 of the catalogue of attacks).

use std::collections::BTreeSet;

use crate::harness::{Client, Gatepost, Plan, Postfix, letter};

/// What another server might take for the end of a message. None of them may go on in any form.
const NO_LINE_ENDS: [&[u8]; 20] = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r.\n",
    b"\n\n.\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\r\n.\r\n",
    b"\r\0\n.\r\n",
    b"\r\n.\r\0\n",
    b"\r",
    b"\n",
    b"\0",
    b"\n\r",
];

/// What only looks like an end: plain text.
const TEXT: [&[u8]; 8] = [
    b"\r\n. \r\n",
    b"\r\n .\r\n",
    b"\r\n..\r\n",
    b"\r\n.x\r\n",
    b"\x0b.\x0b",
    b"\x0c.\x0c",
    b"\xc2\x85.\xc2\x85",
    b"\xe2\x80\xa8.\xe2\x80\xa8",
];

const SMUGGLED: &[u8] = b"MAIL FROM:<evil@sender.example>\r\nRCPT TO:<load@example.org>\r\nDATA\r\n\
    From: evil@sender.example\r\nSubject: [smuggled]\r\n\r\nread me\r\n.\r\n";

#[test]
fn a_false_end_of_a_message_is_refused_and_nothing_behind_it_is_obeyed() {
    let (postfix, gatepost) = start();
    for (number, end) in NO_LINE_ENDS.into_iter().enumerate() {
        for split in [false, true] {
            let mut client = begin(&gatepost);
            let attack = [&letter(&format!("[refused{number}]"))[..], b"x", end, SMUGGLED].concat();
            send(&mut client, &attack, split);
            let name = end.escape_ascii();
            let reply = client.reply().unwrap_or_else(|error| panic!("{name}, split {split}: {error}"));
            assert!(reply.to_string().starts_with("550 5.5.2 "), "{name}, split {split}: {reply}");
            assert_eq!(client.rest(), "", "{name}, split {split}");
        }
    }
    assert_eq!(held(&postfix, &gatepost), ["last"].map(str::to_owned).into());
    gatepost.end_well();
}

#[test]
fn what_only_looks_like_an_end_is_text_of_one_message() {
    let (postfix, gatepost) = start();
    let mut expected = BTreeSet::from(["last".to_owned()]);
    for (number, text) in TEXT.into_iter().enumerate() {
        for split in [false, true] {
            let mut client = begin(&gatepost);
            let id = format!("text{number}{split}");
            let attack = [&letter(&format!("[{id}]"))[..], b"x", text, SMUGGLED].concat();
            send(&mut client, &attack, split);
            let reply = client.reply().unwrap();
            assert_eq!(reply.code, 250, "{}: {reply}", text.escape_ascii());
            assert_eq!(client.ask("QUIT").code, 221, "one reply to one message");
            expected.insert(id);
        }
    }
    assert_eq!(held(&postfix, &gatepost), expected);
    gatepost.end_well();
}

#[test]
fn a_true_end_ends_the_message_and_commands_follow() {
    let (postfix, gatepost) = start();
    let mut client = begin(&gatepost);
    let pipelined = [&letter("[first]")[..], b".\r\n", SMUGGLED].concat();
    client.send(&pipelined).unwrap();
    client.expect(250);
    // The second transaction is a transaction like any other; its message came before the 354, which is not allowed.
    client.expect(250);
    client.expect(250);
    let reply = client.reply().unwrap();
    assert!(reply.code == 354 || reply.class() == 5, "{reply}");
    drop(client);
    let held = held(&postfix, &gatepost);
    assert!(held.contains("first") && held.contains("last") && held.len() <= 3, "{held:?}");
    gatepost.end_well();
}

#[test]
fn line_ends_within_commands_never_reach_postfix() {
    let (postfix, gatepost) = start();
    gatepost.counted("upstream_connects_total", &[], 1);
    for attack in [
        &b"MAIL FROM:<joe@sender.example>\nRCPT TO:<load@example.org>\r\n"[..],
        b"MAIL FROM:<joe@sender.example>\rRCPT TO:<load@example.org>\r\n",
        b"MAIL FROM:<joe@sender.example\0>\r\n",
        b"MAIL FROM:<\"joe\rX\"@sender.example>\r\n",
        b"MAIL FROM:<joe@sender.example> SIZE=10\nX\r\n",
        b"MAIL FROM:<joe@sender.example> BOGUS=1\r\n",
        b"MAIL FROM:<joe@sender.example> SIZE=abc\r\n",
        b"MAIL FROM:<joe@sender.example> SIZE=1 SIZE=1\r\n",
        b"XCLIENT ADDR=192.0.2.1\r\n",
        b"XFORWARD ADDR=192.0.2.1\r\n",
    ] {
        let mut client = gatepost.introduced();
        client.send(attack).unwrap();
        let reply = client.reply().unwrap();
        assert_eq!(reply.class(), 5, "{}: {reply}", attack.escape_ascii());
    }
    assert_eq!(gatepost.metrics().sum("upstream_connects_total", &[]), 1, "the probe at the start only");
    gatepost.end_well();
    assert!(!postfix.log().contains(" mail="), "Postfix was asked: {}", postfix.log());
}

fn start() -> (Postfix, Gatepost) {
    let postfix = Postfix::holding();
    let gatepost = Plan::in_front_of(&postfix).listener("limits: { sessions_per_ip: 1000 }").start();
    (postfix, gatepost)
}

/// A session that was told to send its message.
fn begin(gatepost: &Gatepost) -> Client {
    let mut client = gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    assert_eq!(client.ask("RCPT TO:<load@example.org>").code, 250);
    assert_eq!(client.ask("DATA").code, 354);
    client
}

/// Sends an attack, in one piece or byte by byte.
fn send(client: &mut Client, attack: &[u8], split: bool) {
    let pieces = attack.chunks(if split { 1 } else { attack.len() });
    for piece in pieces {
        // The server may have had enough already.
        if client.send(piece).is_err() {
            return;
        }
    }
}

/// The marks of the messages that Postfix took, after a last honest one.
fn held(postfix: &Postfix, gatepost: &Gatepost) -> BTreeSet<String> {
    let reply = gatepost.introduced().deliver("joe@sender.example", "load@example.org", &letter("[last]"));
    assert_eq!(reply.code, 250, "{reply}");
    // Nobody else speaks to Postfix any more once every session was ended on its side.
    crate::harness::until("the end of all sessions", crate::harness::SOON, || {
        let log = postfix.log();
        let count = |word: &str| log.lines().filter(|line| line.contains(word)).count();
        (count(": connect from") == count(": disconnect from")).then_some(())
    });
    let queued = postfix.queued();
    let marks: BTreeSet<String> = queued.iter().map(|(_, mark)| mark.clone()).collect();
    assert_eq!(marks.len(), queued.len(), "{queued:?}");
    marks
}
