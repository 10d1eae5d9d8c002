//! The session by itself: bytes and answers in, actions out. Dialogues as a whole are transcripts.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::smtp::reply::{Code, EnhancedCode};

mod chunks;

/// A session with a policy and an upstream that say what the test wants, and a record of what it did.
struct Talk {
    session: Session,
    now: Instant,
    /// What policy says, stage by stage; "pass" where nothing is set.
    verdicts: Vec<(Stage, Verdict)>,
    /// What the upstream says to a recipient and to the message.
    upstream: Reply,
    /// Replies as lines, and other actions as words.
    heard: Vec<String>,
    /// Why it refused, each time.
    reasons: Vec<Reason>,
    stored: Vec<u8>,
    /// Answers are given only while this holds.
    answering: bool,
}

impl Talk {
    fn new() -> Self {
        Self::arriving(Arrival::default(), b"")
    }

    /// A client that is received so, and has said this before anybody looked.
    fn arriving(arrival: Arrival, early: &'static [u8]) -> Self {
        let terms = Terms {
            auth: AuthTerms::default(),
            hostname: "mx.example.org".to_owned(),
            limits: Limits {
                message_size: 1000,
                recipients: 3,
                errors: 3,
                auth_failures: 3,
                junk_commands: 5,
                transactions: 4,
                ..Limits::default()
            },
            timeouts: Timeouts::default(),
            tls_required: false,
            inquiries: Inquiries::default(),
            quarantine_address: None,
        };
        let offers = Offers {
            starttls: true,
            size: Some(1000),
            eight_bit_mime: true,
            chunking: true,
            binary_mime: true,
            ..Offers::default()
        };
        let now = Instant::now();
        let mut talk = Self {
            session: Session::new(terms, false, offers, now),
            now,
            verdicts: Vec::new(),
            upstream: reply(250),
            heard: Vec::new(),
            stored: Vec::new(),
            reasons: Vec::new(),
            answering: true,
        };
        talk.session.receive_as(arrival);
        talk.session.begin();
        talk.session.receive(Bytes::from_static(early));
        talk.settle();
        talk
    }

    fn says(&mut self, bytes: &[u8]) -> Vec<String> {
        let before = self.heard.len();
        self.session.receive(Bytes::copy_from_slice(bytes));
        self.settle();
        self.heard[before..].to_vec()
    }

    fn settle(&mut self) {
        while let Some(action) = self.session.poll(self.now) {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Heard(_) => {}
            Action::Reply(reply, why) => {
                self.hear(&reply);
                self.reasons.extend(why.map(|grounds| grounds.reason));
            }
            Action::Decide(stage) if self.answering => {
                let verdict = self.verdicts.iter().find(|(at, _)| *at == stage);
                let verdict = verdict.map_or(Verdict::Pass, |(_, verdict)| verdict.clone());
                self.session.decided(verdict);
            }
            Action::Decide(stage) => self.heard.push(format!("decide {stage}")),
            Action::AskUpstream => self.session.rcpt_answered(Ok(self.upstream.clone())),
            Action::BeginMessage => self.stored.clear(),
            Action::Store(bytes) => self.stored.extend_from_slice(&bytes),
            Action::Deliver => {
                let answer = Receipt::from_final_reply(self.upstream.clone());
                self.session.delivered(
                    answer.map_err(|reply| Refusal {
                        reply,
                        reason: Reason::new(Source::Upstream, "upstream"),
                    }),
                );
            }
            Action::Quarantine => self.session.delivered(Ok(Receipt::from_durable_store("q"))),
            Action::Finish(finished) => {
                if let Some(reply) = &finished.reply {
                    self.hear(reply);
                }
                self.reasons.extend(finished.reason);
                self.heard.push(finished.outcome.map_or("nothing", Outcome::name).to_owned());
            }
            Action::SpeakFor(_) => self.heard.push("another client".to_owned()),
            Action::Authenticate(_) | Action::AuthEnded(..) | Action::LeaveUpstream => {}
            Action::StartTls => self.heard.push("tls".to_owned()),
            Action::Close => self.heard.push("close".to_owned()),
        }
    }

    fn hear(&mut self, reply: &Reply) {
        let mut wire = Vec::new();
        reply.encode(&mut wire);
        let clean = |line: &[u8]| line.iter().all(|octet| (b' '..=b'~').contains(octet));
        let lines = wire.strip_suffix(b"\r\n").map(|lines| lines.split(|octet| *octet == b'\n'));
        let mut lines = lines.into_iter().flatten().map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        assert!(lines.all(clean), "{}", wire.escape_ascii());
        let enhanced = reply.enhanced().map(|enhanced| format!(" {enhanced}")).unwrap_or_default();
        self.heard.push(format!("{}{enhanced}", reply.code().get()));
    }
}

fn reply(code: u16) -> Reply {
    Reply::new(Code::new(code).unwrap(), None, "said the upstream")
}

fn refusal(code: u16) -> Refusal {
    let enhanced = EnhancedCode::new((code / 100) as u8, 7, 1);
    Refusal {
        reply: Reply::new(Code::new(code).unwrap(), Some(enhanced), "said policy"),
        reason: Reason::new(Source::Policy, "test.rule"),
    }
}

/// Everything up to and including the 354.
fn at_data() -> Talk {
    let mut talk = Talk::new();
    talk.says(b"EHLO a.example\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<b@example.org>\r\n");
    assert_eq!(talk.says(b"DATA\r\n"), ["354"]);
    talk
}

/// The operator reads what was seen, what is allowed, and whose limit it is.
#[test]
fn limits_are_told_with_their_figures() {
    let mut talk = Talk::new();
    talk.says(b"EHLO a.example\r\nMAIL FROM:<a@a.example> SIZE=2000\r\n");
    talk.session.offer(Offers { size: Some(500), ..Offers::default() });
    talk.says(b"MAIL FROM:<a@a.example> SIZE=2000\r\nMAIL FROM:<a@a.example>\r\n");
    for _ in 0..4 {
        talk.says(b"RCPT TO:<b@example.org>\r\n");
    }
    talk.says(b"DATA\r\n");
    talk.says(&[&b"x".repeat(1500)[..], b"\r\n.\r\n"].concat());
    let told: Vec<_> = talk.reasons.iter().map(|why| (&*why.rule, why.detail.as_str())).collect();
    assert_eq!(
        told,
        [
            ("message_size", "the client declared 2000 octets, and 1000 are taken"),
            ("upstream_size", "the client declared 2000 octets, and 500 are taken"),
            ("recipients", "3 had been taken, as many as a message may have"),
            ("message_size", "the message has 1502 octets or more, and 1000 are taken"),
        ]
    );
}

/// What cannot hold a secret is kept as it was said.
#[test]
fn a_command_that_breaks_the_grammar_is_told() {
    let mut talk = Talk::new();
    talk.says(b"EHLO a b\r\nEHLO a.example\r\nMAIL FROM:<a b>\r\nAUTH secret\r\nhunter2 secret\r\n");
    let told: Vec<_> = talk.reasons.iter().map(|why| why.command().unwrap_or_default()).collect();
    assert_eq!(told, ["EHLO a b", "MAIL FROM:<a b>", "", ""]);
}

#[test]
fn a_message_goes_through() {
    let mut talk = Talk::new();
    assert_eq!(talk.heard, ["220"]);
    assert_eq!(talk.says(b"EHLO a.example\r\n"), ["250"]);
    assert_eq!(talk.says(b"MAIL FROM:<a@a.example>\r\n"), ["250 2.1.0"]);
    assert_eq!(
        talk.says(b"RCPT TO:<b@example.org>\r\n"),
        ["250 2.1.5"],
        "the upstream's own words, with a code"
    );
    assert_eq!(talk.says(b"DATA\r\n"), ["354"]);
    assert_eq!(talk.says(b"Subject: x\r\n\r\n..\r\n.\r\n"), ["250 2.0.0", "accepted"]);
    assert_eq!(talk.stored, b"Subject: x\r\n\r\n.\r\n");
    assert_eq!(talk.says(b"QUIT\r\n"), ["221 2.0.0", "close"]);
}

#[test]
fn order_of_commands() {
    let greeted = b"EHLO a.example\r\n".as_slice();
    let cases: &[(&[u8], &[u8], &str)] = &[
        (b"", b"MAIL FROM:<a@a.example>\r\n", "503 5.5.1"),
        (b"", b"RCPT TO:<b@example.org>\r\n", "503 5.5.1"),
        (b"", b"DATA\r\n", "503 5.5.1"),
        (greeted, b"RCPT TO:<b@example.org>\r\n", "503 5.5.1"),
        (greeted, b"DATA\r\n", "503 5.5.1"),
        (b"EHLO a.example\r\nMAIL FROM:<>\r\n", b"MAIL FROM:<>\r\n", "503 5.5.1"),
        (b"EHLO a.example\r\nMAIL FROM:<>\r\n", b"DATA\r\n", "503 5.5.1"),
        (b"EHLO a.example\r\nMAIL FROM:<>\r\nRSET\r\n", b"RCPT TO:<b@example.org>\r\n", "503 5.5.1"),
        (
            b"EHLO a.example\r\nMAIL FROM:<>\r\nEHLO b.example\r\n",
            b"RCPT TO:<b@example.org>\r\n",
            "503 5.5.1",
        ),
        (greeted, b"MAIL FROM:<> SIZE=1001\r\n", "552 5.3.4"),
        (greeted, b"MAIL FROM:<> SIZE=1000\r\n", "250 2.1.0"),
        (greeted, b"VRFY b\r\n", "252 2.1.5"),
        (greeted, b"NOOP\r\n", "250 2.0.0"),
        (greeted, b"HELP\r\n", "214 2.0.0"),
    ];
    for (before, line, expected) in cases {
        let mut talk = Talk::new();
        talk.says(before);
        assert_eq!(talk.says(line), [*expected], "{}", line.escape_ascii());
    }
}

#[test]
fn pipelined_commands_wait_for_the_open_question() {
    let mut talk = Talk::new();
    talk.answering = false;
    assert_eq!(talk.says(b"EHLO a.example\r\nMAIL FROM:<>\r\nNOOP\r\n"), ["decide helo"]);
    talk.answering = true;
    let before = talk.heard.len();
    talk.session.decided(Verdict::Pass);
    talk.settle();
    assert_eq!(talk.heard[before..], ["250", "250 2.1.0", "250 2.0.0"]);
}

#[test]
fn policy_refuses_at_every_stage() {
    let dialogue: &[u8] = b"EHLO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\n";
    let cases: &[(Stage, &[&str])] = &[
        (Stage::Helo, &["550 5.7.1", "503 5.5.1", "503 5.5.1"]),
        (Stage::Mail, &["250", "550 5.7.1", "503 5.5.1"]),
        (Stage::Rcpt, &["250", "250 2.1.0", "550 5.7.1"]),
    ];
    for (stage, expected) in cases {
        let mut talk = Talk::new();
        talk.verdicts = vec![(*stage, Verdict::Refuse(refusal(550)))];
        assert_eq!(talk.says(dialogue), *expected, "{stage}");
    }
}

#[test]
fn policy_disconnects() {
    let mut talk = Talk::new();
    talk.verdicts = vec![(Stage::Mail, Verdict::Disconnect(refusal(421)))];
    assert_eq!(talk.says(b"EHLO a.example\r\nMAIL FROM:<>\r\nNOOP\r\n"), ["250", "421 4.7.1", "close"]);
    assert!(talk.says(b"NOOP\r\n").is_empty(), "nothing after the end");
}

#[test]
fn policy_refuses_the_message_before_the_upstream_hears_of_it() {
    let mut talk = at_data();
    talk.verdicts = vec![(Stage::Message, Verdict::Refuse(refusal(451)))];
    assert_eq!(talk.says(b"x\r\n.\r\n"), ["451 4.7.1", "deferred"]);
}

#[test]
fn a_discard_is_said_without_a_receipt_and_only_then() {
    let mut talk = at_data();
    talk.upstream = reply(554);
    talk.verdicts = vec![(Stage::Message, Verdict::Discard(Reason::new(Source::Policy, "test.rule")))];
    assert_eq!(talk.says(b"x\r\n.\r\n"), ["250 2.0.0", "discarded"]);
}

#[test]
fn the_upstream_has_its_say() {
    let mut talk = Talk::new();
    talk.upstream = reply(550);
    assert_eq!(
        talk.says(b"EHLO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\n"),
        ["250", "250 2.1.0", "550 5.0.0"]
    );
    assert_eq!(talk.says(b"DATA\r\n"), ["554 5.5.1"], "every recipient was refused");

    let mut talk = at_data();
    talk.upstream = reply(452);
    assert_eq!(talk.says(b"x\r\n.\r\n"), ["452 4.3.1", "deferred"]);
}

#[test]
fn broken_framing_ends_the_session() {
    for body in [&b"a\nb\r\n.\r\n"[..], b"a\rb\r\n.\r\n", b"a\0b\r\n.\r\n", b"a\n.\nMAIL FROM:<>\r\n"] {
        let mut talk = at_data();
        assert_eq!(talk.says(body), ["550 5.5.2", "rejected", "close"], "{}", body.escape_ascii());
    }
}

#[test]
fn a_message_beyond_the_limit_is_read_to_its_end() {
    let mut talk = at_data();
    let mut body = b"x".repeat(990);
    body.extend_from_slice(b"\r\n0123456789\r\n.\r\nNOOP\r\n");
    assert_eq!(talk.says(&body), ["552 5.3.4", "rejected", "250 2.0.0"]);
}

#[test]
fn a_policy_can_lower_the_limit() {
    let mut talk = Talk::new();
    talk.says(b"EHLO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\n");
    talk.session.limit_size(5, Reason::new(Source::Policy, "size.streamed"));
    talk.session.limit_size(500, Reason::new(Source::Policy, "size.other"));
    talk.says(b"DATA\r\n");
    assert_eq!(talk.says(b"123456\r\n.\r\n"), ["552 5.3.4", "rejected"]);
}

#[test]
fn a_spoilt_message_is_answered_at_its_end() {
    let mut talk = at_data();
    talk.says(b"some\r\n");
    talk.session.spoil(refusal(452));
    assert_eq!(talk.says(b"more\r\n.\r\nNOOP\r\n"), ["452 4.7.1", "deferred", "250 2.0.0"]);
    assert_eq!(talk.stored, b"some\r\n");
}

#[test]
fn too_many_errors_end_the_session() {
    let mut talk = Talk::new();
    assert_eq!(
        talk.says(b"X\r\nY\r\nZ\r\nNOOP\r\n"),
        ["500 5.5.2", "500 5.5.2", "500 5.5.2", "421 4.7.0", "close"]
    );
}

#[test]
fn junk_ends_the_session() {
    let mut talk = Talk::new();
    let heard = talk.says(&b"NOOP\r\n".repeat(9));
    assert_eq!(heard.len(), 7, "{heard:?}");
    assert_eq!(heard[5..], ["421 4.7.0", "close"]);
}

#[test]
fn another_protocol_is_shown_the_door() {
    for line in [&b"GET / HTTP/1.1\r\n"[..], b"POST /x HTTP/1.1\r\n", b"Host: mx.example.org\r\n"] {
        let mut talk = Talk::new();
        assert_eq!(talk.says(line), ["554 5.5.1", "close"], "{}", line.escape_ascii());
    }
}

#[test]
fn recipients_have_a_limit() {
    let mut talk = Talk::new();
    talk.says(b"EHLO a.example\r\nMAIL FROM:<>\r\n");
    let heard = talk.says(&b"RCPT TO:<b@example.org>\r\n".repeat(4));
    assert_eq!(heard, ["250 2.1.5", "250 2.1.5", "250 2.1.5", "452 4.5.3"]);
}

#[test]
fn starttls_forgets_everything() {
    let mut talk = Talk::new();
    talk.says(b"EHLO a.example\r\nMAIL FROM:<>\r\n");
    let heard = talk.says(b"STARTTLS\r\nRCPT TO:<evil@example.org>\r\n");
    assert_eq!(heard, ["nothing", "220 2.0.0", "tls"]);
    talk.session.tls_established();
    talk.settle();
    assert_eq!(
        talk.says(b"MAIL FROM:<>\r\n"),
        ["503 5.5.1"],
        "what came in the clear is gone, HELO included"
    );
    assert_eq!(talk.says(b"STARTTLS\r\n"), ["503 5.5.1"]);
}

#[test]
fn data_must_be_the_last_of_its_group() {
    let mut talk = Talk::new();
    talk.says(b"EHLO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\n");
    assert_eq!(talk.says(b"DATA\r\nSubject: early\r\n"), ["nothing", "554 5.5.0", "close"]);

    let mut talk = Talk::new();
    talk.upstream = reply(550);
    talk.says(b"EHLO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\n");
    assert_eq!(talk.says(b"DATA\r\nRSET\r\n"), ["554 5.5.1", "nothing", "250 2.0.0"]);
}

#[test]
fn deadlines() {
    let mut talk = Talk::new();
    let command = talk.session.deadline().unwrap();
    assert_eq!(command, talk.now + Duration::from_secs(300));
    talk.now += Duration::from_secs(100);
    talk.says(b"NO");
    assert_eq!(talk.session.deadline().unwrap(), command, "half a command is not progress");
    talk.says(b"OP\r\n");
    assert_eq!(talk.session.deadline().unwrap(), talk.now + Duration::from_secs(300));
    talk.session.timed_out(talk.now);
    talk.settle();
    assert_eq!(talk.heard[2..], ["421 4.4.2", "close"]);

    let mut talk = at_data();
    assert_eq!(talk.session.deadline().unwrap(), talk.now + Duration::from_secs(180));
    talk.session.timed_out(talk.now);
    talk.settle();
    assert_eq!(talk.heard[talk.heard.len() - 3..], ["aborted", "421 4.4.2", "close"]);
}

#[test]
fn draining_waits_for_the_transaction() {
    let mut talk = at_data();
    talk.session.drain();
    talk.settle();
    assert_eq!(talk.says(b"x\r\n.\r\n"), ["250 2.0.0", "accepted", "421 4.3.2", "close"]);

    let mut talk = Talk::new();
    talk.session.drain();
    assert_eq!(talk.says(b""), ["421 4.3.2", "close"]);
}

#[test]
fn a_retired_transaction_ends_at_the_next_command() {
    let mut talk = at_data();
    talk.session.retire();
    assert_eq!(talk.says(b"x\r\n.\r\n"), ["250 2.0.0", "accepted"], "a message under way is answered");
    assert_eq!(talk.says(b"NOOP\r\n"), ["250 2.0.0"], "the next transaction is another one");

    let mut talk = Talk::new();
    talk.session.retire();
    assert_eq!(talk.says(b"NOOP\r\n"), ["250 2.0.0"], "there is no transaction");
    talk.says(b"EHLO client.example.net\r\nMAIL FROM:<a@example.net>\r\n");
    talk.session.retire();
    assert_eq!(talk.says(b"RSET\r\n"), ["nothing", "250 2.0.0"], "which ends it in good order");
    talk.says(b"MAIL FROM:<a@example.net>\r\n");
    talk.session.retire();
    assert_eq!(talk.says(b"RCPT TO:<b@example.org>\r\n"), ["nothing", "421 4.3.2", "close"]);
}

#[test]
fn a_client_that_vanishes_in_its_message_aborts_it() {
    let mut talk = at_data();
    talk.says(b"half a mess");
    talk.session.hung_up();
    talk.settle();
    assert_eq!(talk.heard[talk.heard.len() - 2..], ["aborted", "close"]);
}

#[test]
fn an_answer_that_comes_too_late_wakes_nobody() {
    let mut talk = Talk::new();
    talk.says(b"EHLO a.example\r\n");
    talk.answering = false;
    assert_eq!(talk.says(b"MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\n"), ["decide mail"]);
    talk.session.hung_up();
    talk.session.decided(Verdict::Pass);
    talk.settle();
    assert_eq!(talk.heard.last().map(String::as_str), Some("close"));
    assert!(talk.session.is_closed());
}

fn tested(delay: u64) -> Arrival {
    Arrival { greet_delay: Some(Duration::from_secs(delay)), xclient: false }
}

#[test]
fn the_banner_waits_for_clients_that_talk_first() {
    let mut talk = Talk::arriving(tested(5), b"");
    assert_eq!((talk.heard.len(), talk.session.is_listening()), (0, true));
    assert_eq!(talk.session.deadline(), Some(talk.now + Duration::from_secs(5)));
    talk.session.timed_out(talk.now + Duration::from_secs(5));
    assert_eq!(talk.says(b"EHLO a.example\r\n"), ["220", "250"]);

    let mut talk = Talk::arriving(tested(5), b"");
    talk.answering = false;
    assert_eq!(talk.says(b"E"), ["decide violation"]);
    talk.session.decided(Verdict::Disconnect(refusal(554)));
    talk.settle();
    assert_eq!(talk.heard[1..], ["554 5.7.1", "close"]);
}

#[test]
fn without_a_delay_what_is_there_already_counts() {
    let mut talk = Talk::arriving(tested(0), b"");
    assert_eq!(talk.session.deadline(), Some(talk.now), "one look");
    talk.session.timed_out(talk.now);
    assert_eq!(talk.says(b""), ["220"]);

    let talk = Talk::arriving(tested(0), b"EHLO a.example\r\n");
    assert_eq!(talk.heard, ["220", "250"], "policy let it pass");
    let mut talk = Talk::arriving(tested(0), b"\x16\x03\x01\x00");
    assert_eq!(talk.heard, ["554 5.5.1", "close"], "no policy can let TLS pass");
    assert_eq!(talk.says(b"x"), [""; 0]);
}

#[test]
fn a_client_that_is_not_tested_has_its_banner_at_once() {
    let talk = Talk::arriving(Arrival::default(), b"EHLO a.example\r\n");
    assert_eq!(talk.heard, ["220", "250"]);
}

#[test]
fn draining_and_hanging_up_end_the_wait() {
    let mut talk = Talk::arriving(tested(5), b"");
    talk.session.drain();
    talk.settle();
    assert_eq!(talk.heard, ["421 4.3.2", "close"]);
    let mut talk = Talk::arriving(tested(5), b"");
    talk.session.hung_up();
    talk.settle();
    assert_eq!(talk.heard, ["close"]);
}

#[test]
fn commands_behind_one_that_ends_a_group_are_reported_once() {
    let mut talk = Talk::new();
    talk.verdicts = vec![(Stage::Violation, Verdict::Disconnect(refusal(554)))];
    assert_eq!(talk.says(b"EHLO a.example\r\nMAIL FROM:<>\r\n"), ["250", "554 5.7.1", "close"]);

    let mut talk = Talk::new();
    assert_eq!(
        talk.says(b"HELO a.example\r\nMAIL FROM:<>\r\nRSET\r\n"),
        ["250", "250 2.1.0", "nothing", "250 2.0.0"]
    );
    assert_eq!(talk.session.patience, Patience::Reported);

    let mut talk = Talk::new();
    talk.says(b"EHLO a.example\r\n");
    talk.says(b"MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nRSET\r\n");
    assert_eq!(talk.session.patience, Patience::Kept, "a group is what PIPELINING is for");
    talk.says(b"NOOP\r\nQUIT\r\n");
    assert_eq!(talk.session.patience, Patience::Reported);
}

#[test]
fn xclient_begins_again() {
    let mut talk = Talk::arriving(Arrival { xclient: true, greet_delay: None }, b"");
    talk.says(b"EHLO a.example\r\n");
    let again = ["another client", "220"];
    assert_eq!(talk.says(b"XCLIENT ADDR=192.0.2.7\r\n"), again);
    assert_eq!(talk.says(b"MAIL FROM:<>\r\n"), ["503 5.5.1"], "the greeting is forgotten");
    talk.says(b"EHLO b.example\r\nMAIL FROM:<>\r\n");
    assert_eq!(talk.says(b"XCLIENT ADDR=192.0.2.7\r\n"), ["503 5.5.1"]);
    assert_eq!(talk.says(b"RSET\r\nXCLIENT LOGIN=joe\r\n")[2..], again);

    let mut talk = Talk::new();
    assert_eq!(talk.says(b"XCLIENT ADDR=192.0.2.7\r\nXCLIENT what\r\n"), ["550 5.7.0", "550 5.7.0"]);
}

proptest! {
    /// However the bytes are cut, the session does the same.
    #[test]
    fn any_segmentation_gives_the_same_session(cuts in proptest::collection::vec(0usize..400, 0..12)) {
        let dialogue: &[u8] = b"EHLO a.example\r\nBOGUS\r\nMAIL FROM:<a@a.example> SIZE=100\r\nRCPT TO:<b@example.org>\r\n\
            RCPT TO:<c@example.org>\r\nDATA\r\n";
        let body: &[u8] = b"Subject: x\r\n\r\n..dot\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<d@example.org>\r\nRSET\r\nQUIT\r\n";
        let whole = run(&[dialogue, body]);
        let mut pieces = Vec::new();
        for part in [dialogue, body] {
            let mut at: Vec<_> = cuts.iter().map(|cut| cut % part.len()).collect();
            at.extend([0, part.len()]);
            at.sort_unstable();
            pieces.extend(at.windows(2).map(|pair| &part[pair[0]..pair[1]]));
        }
        prop_assert_eq!(run(&pieces), whole);
    }
}

fn run(pieces: &[&[u8]]) -> (Vec<String>, Vec<u8>) {
    let mut talk = Talk::new();
    for piece in pieces {
        talk.says(piece);
    }
    (talk.heard, talk.stored)
}
