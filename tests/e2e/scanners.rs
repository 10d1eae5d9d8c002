//! Scanners that policies ask, the real ones: what they find, what becomes of mail while they are away, and that they are asked
//! again when they are back.

use crate::harness::{AtTheDot, Clamd, Client, Gatepost, Plan, Rspamd, Sink, letter_of};

const SCAN: &str = "fn message(session, mail, message) {
    let scan = clamd(message);
    if scan.result == \"infected\" { reject(\"infected\", 554, \"5.7.0\", `there is ${scan.name} in it`); }
    if scan.result == \"error\" { defer(\"not-scanned\", 451, \"4.7.0\", \"it cannot be scanned now\"); }
}
";

const JUDGE: &str = "fn message(session, mail, message) {
    let found = rspamd(message);
    if found.result == \"error\" { defer(\"not-judged\", 451, \"4.7.0\", \"it cannot be judged now\"); }
    if found.action == \"reject\" && \"GTUBE\" in found.symbols && found.score >= 15 { reject(\"spam\", 554, \"5.7.1\", \"spam\"); }
}
";

fn in_front_of(sink: &Sink, section: String, policy: &str) -> Gatepost {
    Plan::in_front_of_server(sink.address())
        .listener("policies: { only: [relay, protocol, scan] }")
        .section(section)
        .policy("90-scan.rhai", policy)
        .start()
}

/// What a client hears about a message with this body.
fn told(gatepost: &Gatepost, body: &[u8]) -> (u16, String) {
    let mut client = gatepost.introduced();
    let reply = client.deliver("a@sender.example", "b@example.org", &letter_of("x", body));
    quit(client);
    (reply.code, reply.text())
}

fn quit(mut client: Client) {
    assert_eq!(client.ask("QUIT").code, 221);
}

#[test]
fn clamd_finds_what_it_knows_and_is_asked_again_when_it_is_back() {
    let (mut clamd, sink) = (Clamd::start(), Sink::start(AtTheDot::Take));
    let gatepost = in_front_of(&sink, format!("policies: {{ clamd: \"{}\" }}", clamd.address()), SCAN);
    let infected = format!("see {}\r\n", Clamd::VIRUS);

    assert_eq!(told(&gatepost, b"clean\r\n").0, 250);
    let (code, text) = told(&gatepost, infected.as_bytes());
    assert!(code == 554 && text.contains("there is Gatepost.Test.UNOFFICIAL in it"), "{code} {text}");
    // Behind much else, in several pieces.
    let late = [&b"line\r\n".repeat(100_000)[..], infected.as_bytes()].concat();
    assert_eq!(told(&gatepost, &late).0, 554);
    // More than it takes.
    let large = b"a line of some length, again and again\r\n".repeat(40_000);
    assert_eq!(told(&gatepost, &large).0, 451);
    gatepost.logged(&["clamd_failed", "INSTREAM size limit exceeded"]);

    clamd.kill();
    assert_eq!(told(&gatepost, b"clean\r\n").0, 451);
    clamd.start_again();
    assert_eq!(told(&gatepost, b"clean\r\n").0, 250);
    assert_eq!(sink.taken().len(), 2);
    gatepost.end_well();
}

#[test]
fn rspamd_judges_and_is_asked_again_when_it_is_back() {
    let (mut rspamd, sink) = (Rspamd::start(), Sink::start(AtTheDot::Take));
    let gatepost = in_front_of(&sink, format!("policies: {{ rspamd: \"{}\" }}", rspamd.url()), JUDGE);
    let spam = format!("{}\r\n", Rspamd::SPAM);

    assert_eq!(told(&gatepost, b"hello\r\n").0, 250);
    rspamd.logged(&["rspamd_task_write_log", "ip: 127.0.0.1", "from: <a@sender.example>", "b@example.org"]);
    assert_eq!(told(&gatepost, spam.as_bytes()).0, 554);

    rspamd.kill();
    assert_eq!(told(&gatepost, b"hello\r\n").0, 451);
    gatepost.logged(&["rspamd_failed"]);
    rspamd.start_again();
    assert_eq!(told(&gatepost, b"hello\r\n").0, 250);
    assert_eq!(sink.taken().len(), 2);
    gatepost.end_well();
}
