//! Messages that are made to cost much: rows 190 to 195 of the catalogue of attacks. Each is answered in good time, costs little memory,
//! and harms nobody else.

use std::time::{Duration, Instant};

use crate::harness::{AtTheDot, Client, Gatepost, Plan, Sink, Taken, letter};

/// How long a message may take; a parser whose work grows with the square of it would take minutes.
const PATIENCE: Duration = Duration::from_secs(8);
/// KiB of memory that it may cost.
const MEMORY: u64 = 60 * 1024;
/// What it may cost the next message.
const PROMPT: Duration = Duration::from_secs(1);

const FIELDS: &str =
    "To: suzie@example.org\r\nDate: Fri, 11 Jul 2025 21:00:37 -0700\r\nMessage-ID: <1@sender.example>\r\n";
const AUTHOR: &str = "From: Joe <joe@sender.example>\r\n";

struct Target {
    sink: Sink,
    gatepost: Gatepost,
}

impl Target {
    fn start() -> Self {
        let sink = Sink::start(AtTheDot::Take);
        let gatepost = Plan::in_front_of_server(sink.address()).start();
        let target = Self { sink, gatepost };
        // What it needs for a first message does not count.
        target.next_is_served();
        target
    }

    /// The answer to a message, which came in time and cost little.
    #[track_caller]
    fn answer(&self, name: &str, message: &[u8]) -> String {
        let before = self.gatepost.peak_memory();
        let mut client = Client::introduced(self.gatepost.address());
        let begin = Instant::now();
        let reply = client.deliver("joe@sender.example", "suzie@example.org", message).to_string();
        assert!(begin.elapsed() < PATIENCE, "{name}: {:?}", begin.elapsed());
        let grown = self.gatepost.peak_memory().saturating_sub(before);
        assert!(grown < MEMORY, "{name}: {grown} KiB");
        self.next_is_served();
        reply
    }

    #[track_caller]
    fn next_is_served(&self) {
        let begin = Instant::now();
        let mut client = Client::introduced(self.gatepost.address());
        let reply = client.deliver("joe@sender.example", "suzie@example.org", &letter("next"));
        assert_eq!(reply.code, 250, "{reply}");
        assert!(begin.elapsed() < PROMPT, "{:?}", begin.elapsed());
    }

    /// What came of the last message but one, which is the one that is looked at.
    fn taken(&self) -> Taken {
        let taken = self.sink.taken();
        taken[taken.len() - 2].clone()
    }
}

fn message(more: &str, body: &str) -> Vec<u8> {
    format!("{AUTHOR}{FIELDS}{more}\r\n{body}").into_bytes()
}

/// Row 190.
#[test]
fn header_bombs_are_refused_or_pass_as_they_are() {
    let target = Target::start();
    for (name, more) in [
        ("1,000 fields and more", "X-a: b\r\n".repeat(1000)),
        ("10,000 fields", "X-a: b\r\n".repeat(10_000)),
        ("200,000 fields", "X-a: b\r\n".repeat(200_000)),
        ("100,000 lines of one field", format!("X-a: b\r\n{}", " c\r\n".repeat(100_000))),
    ] {
        let reply = target.answer(name, &message(&more, "text\r\n"));
        assert!(reply.starts_with("552 5.3.4 "), "{name}: {reply}");
    }
    for (name, more) in [
        ("900 fields", "X-a: b\r\n".repeat(900)),
        ("20,000 lines of one field", format!("X-a: b\r\n{}", " c\r\n".repeat(20_000))),
        ("eight bits", "Subject: Gr\u{fc}\u{df}e\r\n".to_owned()),
    ] {
        let sent = message(&more, "text\r\n");
        let reply = target.answer(name, &sent);
        assert!(reply.starts_with("250 "), "{name}: {reply}");
        let stored = target.taken();
        assert!(stored.size > sent.len() as u64, "{name}: the fields on top, and nothing else");
    }
    // The name of a field is ASCII (RFC 5322 2.2): to some readers the header ends there, to others it does not.
    let reply = target.answer("eight bits in a name", &message("X-\u{fc}: b\r\n", "text\r\n"));
    assert!(reply.starts_with("550 "), "{reply}");
    target.gatepost.end_well();
}

/// Row 191: nobody here descends into a message as deeply as its sender likes. What is not seen to its end is refused by the
/// shipped policy; what nests as people do passes as it is.
#[test]
fn nobody_follows_nested_messages_to_their_end() {
    let target = Target::start();
    let multipart: String = (0..3000)
        .map(|depth| format!("--{depth}\r\nContent-Type: multipart/mixed; boundary={}\r\n\r\n", depth + 1))
        .collect();
    let attached = "Content-Type: message/rfc822\r\n\r\n";
    let parts = "--0\r\n\r\nx\r\n".repeat(100_000);
    let sent =
        |kind: &str, body: &str| message(&format!("MIME-Version: 1.0\r\nContent-Type: {kind}\r\n"), body);
    for (name, kind, body) in [
        ("3,000 levels", "multipart/mixed; boundary=0", multipart),
        ("3,000 messages within messages", "message/rfc822", attached.repeat(3000)),
        ("100,000 parts", "multipart/mixed; boundary=0", parts),
    ] {
        let reply = target.answer(name, &sent(kind, &body));
        assert!(reply.starts_with("554 5.6.0 "), "{name}: {reply}");
    }
    let attached = attached.repeat(20);
    let reply = target.answer("20 messages within messages", &sent("message/rfc822", &attached));
    assert!(reply.starts_with("250 "), "{reply}");
    let expected = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, attached.as_bytes());
    assert_eq!(target.taken().body, expected.as_ref(), "the body is as it was");
    target.gatepost.end_well();
}

/// Row 192: what the author's address is costs no more than its length.
#[test]
fn addresses_that_are_hard_to_read_cost_their_length() {
    let target = Target::start();
    for (name, from) in [
        ("nested comments", format!("{}joe@sender.example", "(".repeat(100_000))),
        ("closed comments", format!("{}{} joe@sender.example", "(".repeat(30_000), ")".repeat(30_000))),
        ("encoded words", format!("{} <joe@sender.example>", "=?utf-8?q?=41?=\r\n ".repeat(5_000))),
        ("half encoded words", format!("{} <joe@sender.example>", "=?utf-8?b?".repeat(9_000))),
        ("quotes", format!("{}\"joe\"@sender.example", "\"\\".repeat(40_000))),
        ("commas", format!("{}joe@sender.example", ",".repeat(100_000))),
        ("groups", format!("{}joe@sender.example;", "a:".repeat(40_000))),
        ("angles", format!("{}joe@sender.example", "<".repeat(100_000))),
    ] {
        let message = format!("From: {from}\r\n{FIELDS}\r\ntext\r\n");
        let reply = target.answer(name, message.as_bytes());
        assert!(reply.starts_with("250 ") || reply.starts_with("55"), "{name}: {reply}");
    }
    target.gatepost.end_well();
}

/// Row 195: of many signatures a few are looked at.
#[test]
fn a_message_of_many_signatures_costs_a_few() {
    let target = Target::start();
    let signatures = |count: usize, more: &str| -> String {
        (0..count)
            .map(|number| {
                format!("DKIM-Signature: v=1; a=rsa-sha256; d=s{number}.example; s=s; h=from; {more}bh=YQ==; b=YQ==\r\n")
            })
            .collect()
    };
    for (name, more) in [
        ("900 signatures", signatures(900, "")),
        ("900 lengths of the body", (0..900).map(|l| signatures(1, &format!("l={l}; "))).collect()),
    ] {
        let reply = target.answer(name, &message(&more, &"text\r\n".repeat(10_000)));
        assert!(reply.starts_with("250 "), "{name}: {reply}");
    }
    target.gatepost.end_well();
}
