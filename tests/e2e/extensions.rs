//! Extensions in front of a real Postfix: what it is told of an envelope, and what clients are told of it.

use crate::harness::{Client, Gatepost, Plan, Postfix, Program, letter};

/// The queue id in `Ok: queued as ID`.
fn queue_id(text: &str) -> &str {
    let (_, id) = text.rsplit_once("queued as ").unwrap_or_else(|| panic!("no queue id: {text}"));
    id.split(|char: char| !char.is_ascii_alphanumeric()).next().unwrap_or_default()
}

fn in_front_of(postfix: &Postfix) -> Gatepost {
    Plan::in_front_of(postfix).start()
}

#[test]
fn postfix_hears_of_every_wish_for_notifications() {
    let postfix = Postfix::holding();
    let gatepost = in_front_of(&postfix);
    let mut client = gatepost.introduced();
    for (command, code) in [
        ("MAIL FROM:<joe@example.net> RET=HDRS ENVID=QQ314159+2B", 250),
        ("RCPT TO:<suzie@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Suzie+2Bold@Example.org", 250),
        ("RCPT TO:<joe@example.org> NOTIFY=NEVER", 250),
        ("RCPT TO:<joe@example.org> NOTIFY=NEVER,DELAY", 501),
        ("DATA", 354),
    ] {
        assert_eq!(client.ask(command).code, code, "{command}");
    }
    client.send(&crate::harness::stuffed(&letter("dsn"))).unwrap();
    let said = client.expect(250).text();

    let envelope = postfix.envelope(queue_id(&said));
    for record in [
        "sender: joe@example.net",
        "envelope_id=QQ314159+\n",
        // HDRS; SUCCESS and DELAY; NEVER.
        "ret_flags=2\n",
        "notify_flags=10\nnamed_attribute: dsn_orig_rcpt=rfc822;Suzie+old@Example.org\n",
        "notify_flags=1\n",
    ] {
        assert!(envelope.contains(record), "{record} is not in\n{envelope}");
    }
    gatepost.end_well();
}

#[test]
fn mail_with_addresses_in_utf_8_from_smtplib_arrives() {
    const SCRIPT: &str = r#"
import smtplib, sys
from email.message import EmailMessage
from email.policy import SMTPUTF8
message = EmailMessage(policy=SMTPUTF8)
message["From"] = "Jürgen <jürgen@bücher.example>"
message["To"] = "suzie@example.org"
message["Subject"] = "Grüße"
message["Date"] = "Fri, 2 Jan 2026 03:04:05 +0000"
message["Message-ID"] = "<1@example.net>"
message.set_content("schöne Grüße\n", cte="8bit")
with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), local_hostname="client.example.net") as server:
    server.send_message(message, "jürgen@bücher.example", ["suzie@example.org"])
"#;
    let postfix = Postfix::delivering();
    let gatepost = in_front_of(&postfix);
    let address = gatepost.address();
    let python = Program::new("python3").words("-X utf8 -").arg(address.ip().to_string());
    python.arg(address.port().to_string()).input(SCRIPT).succeed();

    let stored = String::from_utf8(postfix.delivered("suzie", 1).remove(0)).unwrap();
    for part in [
        "From: Jürgen <jürgen@bücher.example>\n",
        "Subject: Grüße\n",
        "\nschöne Grüße\n",
        "Return-Path: <jürgen@bücher.example>\n",
        " with UTF8SMTP ",
    ] {
        assert!(stored.contains(part), "{part} is not in\n{stored}");
    }
    gatepost.end_well();
}

/// What EHLO offers, in order.
fn offered(to: std::net::SocketAddr) -> Vec<String> {
    let mut client = Client::connect(to).unwrap();
    client.expect(220);
    let mut lines = client.ask("EHLO client.example.net").lines;
    lines.remove(0);
    lines.sort();
    lines
}

#[test]
fn clients_are_offered_what_postfix_offers_but_for_what_is_known_to_differ() {
    let postfix = Postfix::delivering();
    let gatepost = in_front_of(&postfix);
    let (direct, through) = (offered(postfix.address()), offered(gatepost.address()));
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).cloned().collect()
    };
    let missing = only(&direct, &through);
    // VRFY and ETRN are not the sender's business, XCLIENT and XFORWARD are ours, SIZE leaves room for fields.
    let known = ["CHUNKING", "ETRN", "SIZE 104857600", "VRFY"];
    let unknown: Vec<&String> =
        missing.iter().filter(|line| !known.contains(&line.as_str()) && !line.starts_with('X')).collect();
    assert!(unknown.is_empty(), "not offered: {unknown:?}");
    assert_eq!(only(&through, &direct), ["HELP", "LIMITS MAILMAX=1000 RCPTMAX=1000", "SIZE 52428800"]);
    gatepost.end_well();
}
