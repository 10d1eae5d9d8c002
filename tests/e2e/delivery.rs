//! Mail that goes through: what Postfix stored is what was sent, and says who the client was.

use crate::harness::{AddedFields, Gatepost, Plan, Postfix, Program, letter, letter_of};

/// RFC 8463 appendix A: key records, an empty line, a message with an Ed25519 and an RSA signature.
const SIGNED: &str = include_str!("../suites/dkim/001.txt");

const FOOTBALL: &str = "
    football.example.com TXT v=spf1 ip4:127.0.0.7 -all
    client.football.example.com TXT v=spf1 ip4:127.0.0.7 -all
    _dmarc.football.example.com TXT v=DMARC1; p=reject
";

/// The records of the vector, in the form of the harness.
fn key_records() -> String {
    let records = SIGNED.lines().take_while(|line| !line.is_empty());
    records.map(|record| record.replacen(". ", " ", 1).replacen(' ', " TXT ", 1) + "\n").collect()
}

fn signed_message() -> Vec<u8> {
    let (_, message) = SIGNED.split_once("\n\n").unwrap();
    message.replace('\n', "\r\n").into_bytes()
}

/// The queue id in Postfix's `250 2.0.0 Ok: queued as ID`.
fn queue_id(text: &str) -> String {
    let (_, behind) = text.split_once("queued as ").unwrap_or_else(|| panic!("no queue id: {text}"));
    behind.split(|char: char| !char.is_ascii_alphanumeric()).next().unwrap().to_owned()
}

fn swaks(gatepost: &Gatepost) -> Program {
    Program::new("swaks").words("--server").arg(gatepost.address().to_string())
}

#[test]
fn a_signed_mail_from_swaks_arrives_as_it_was_with_its_results() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).dns(FOOTBALL).dns(&key_records()).start();
    let sent = signed_message();
    let session = swaks(&gatepost)
        .words("--local-interface 127.0.0.7 --ehlo client.football.example.com")
        .words("--from joe@football.example.com --to suzie@example.org --no-data-fixup --data -")
        .input([&sent[..], b"."].concat())
        .succeed();

    let id = queue_id(&session.output);
    postfix.logged(&[&id, "client=unknown[127.0.0.7]"]);
    let added = AddedFields::of(&postfix.delivered("suzie", 1)[0], &sent);
    assert_eq!(
        added.names(),
        ["return-path", "x-original-to", "delivered-to", "received", "received", "authentication-results"],
    );
    let received = added.all("received");
    assert!(
        received[0].starts_with("from client.football.example.com (unknown [127.0.0.7]) by mail."),
        "{received:?}"
    );
    assert!(received[1].starts_with("from client.football.example.com ("), "{received:?}");
    assert!(received[1].contains("[127.0.0.7]) by mx.example.org"), "{received:?}");
    let results = added.only("authentication-results");
    assert!(results.starts_with("mx.example.org;"), "{results}");
    for part in [
        "spf=pass smtp.mailfrom=joe@football.example.com",
        "spf=pass smtp.helo=client.football.example.com",
        "header.d=football.example.com",
        "header.s=brisbane",
        "header.s=test",
        "dmarc=pass",
        "header.from=football.example.com",
    ] {
        assert!(results.contains(part), "{part} is not in {results}");
    }
    assert_eq!(results.matches("dkim=pass").count(), 2, "{results}");

    gatepost.logged(&["\"event\":\"transaction\"", &id, "\"outcome\":\"accepted\"", "\"dmarc\":\"pass\""]);
    let metrics = gatepost.metrics();
    assert_eq!(metrics.sum("messages_total", &[("outcome", "accepted")]), 1);
    assert_eq!(metrics.sum("dkim_results_total", &[("result", "pass")]), 2);
    assert_eq!(metrics.sum("dmarc_results_total", &[("result", "pass")]), 1);
    assert_eq!(metrics.sum("spf_results_total", &[("identity", "helo"), ("result", "pass")]), 1);
    assert_eq!(metrics.sum("spf_results_total", &[("identity", "mailfrom"), ("result", "pass")]), 1);
    gatepost.end_well();
}

#[test]
fn a_mail_from_curl_arrives_as_it_was() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).start();
    let sent = letter("curl");
    let session = Program::new("curl")
        .words("-sSv --interface 127.0.0.8 --mail-from joe@sender.example --mail-rcpt suzie@example.org -T -")
        .arg(format!("smtp://{}/client.example.net", gatepost.address()))
        .input(&sent[..])
        .succeed();

    let id = queue_id(&session.errors);
    postfix.logged(&[&id, "client=unknown[127.0.0.8]"]);
    let added = AddedFields::of(&postfix.delivered("suzie", 1)[0], &sent);
    let results = added.only("authentication-results");
    for part in ["spf=none", "dkim=none", "dmarc=none"] {
        assert!(results.contains(part), "{part} is not in {results}");
    }
    gatepost.end_well();
}

#[test]
fn smtp_source_delivers_with_many_sessions_at_once() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).start();
    Program::new("smtp-source")
        .words("-s 10 -m 100 -l 5000 -M client.example.net -f joe@sender.example -t suzie@example.org")
        .arg(gatepost.address().to_string())
        .succeed();
    postfix.delivered("suzie", 100);
    assert_eq!(gatepost.metrics().sum("messages_total", &[("outcome", "accepted")]), 100);
    gatepost.end_well();
}

#[test]
fn bytes_arrive_as_they_were_sent() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).start();
    let long = [b'x'; 30_000];
    let bodies: [(&str, &[u8]); 7] = [
        ("eight-bit", b"caf\xc3\xa9 \xff\xfe\x80\r\n"),
        ("long-line", &[&long[..], b"\r\n"].concat()),
        ("dots", b".\r\n..\r\n.hidden\r\n...\r\n"),
        ("spaces", b"trailing \t \r\n \r\n\t\r\n\r\n\r\n"),
        ("controls", b"\x01\x07\x0b\x0c\x1b[31m\x7f\r\n"),
        ("from", b"From here on\r\n>From there\r\n"),
        ("empty", b""),
    ];
    let mut client = gatepost.introduced();
    for (number, (name, body)) in bodies.into_iter().enumerate() {
        let sent = letter_of(name, body);
        let reply = client.deliver("joe@sender.example", "suzie@example.org", &sent);
        assert_eq!(reply.code, 250, "{name}: {reply}");
        let stored = postfix.delivered("suzie", number + 1);
        let subject = format!("Subject: {name}\n");
        let stored = stored.iter().find(|stored| memchr::memmem::find(stored, subject.as_bytes()).is_some());
        AddedFields::of(stored.unwrap_or_else(|| panic!("{name} is not there")), &sent);
    }
    gatepost.end_well();
}

#[test]
fn a_mail_in_segments_of_one_byte_arrives_as_it_was() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).start();
    // What it offers follows what it has learnt of Postfix.
    gatepost.counted("upstream_up", &[], 1);
    let sent = letter_of("slowly", b".one\r\n..two\r\n.\xe9\r\n");
    let mut client = gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example> BODY=8BITMIME").code, 250);
    assert_eq!(client.ask("RCPT TO:<suzie@example.org>").code, 250);
    assert_eq!(client.ask("DATA").code, 354);
    for byte in crate::harness::stuffed(&sent) {
        client.send(&[byte]).unwrap();
    }
    client.expect(250);
    AddedFields::of(&postfix.delivered("suzie", 1)[0], &sent);
    gatepost.end_well();
}

#[test]
fn pipelined_commands_of_several_transactions_are_answered_in_order() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).start();
    let (first, second) = (letter("first"), letter("second"));
    let mut client = gatepost.introduced();
    let envelope = b"MAIL FROM:<joe@sender.example>\r\nRCPT TO:<nobody@example.org>\r\nRCPT TO:<suzie@example.org>\r\nDATA\r\n";
    client.send(envelope).unwrap();
    for code in [250, 550, 250, 354] {
        client.expect(code);
    }
    // The dot and the next transaction in one segment.
    client.send(&[&crate::harness::stuffed(&first)[..], envelope].concat()).unwrap();
    for code in [250, 250, 550, 250, 354] {
        client.expect(code);
    }
    client.send(&[&crate::harness::stuffed(&second)[..], b"QUIT\r\n"].concat()).unwrap();
    client.expect(250);
    client.expect(221);
    postfix.delivered("suzie", 2);
    gatepost.end_well();
}

#[test]
fn results_that_claim_to_be_ours_are_removed_and_others_stay() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).start();
    let forged = "Authentication-Results: mx.example.org; dkim=pass header.d=bank.example\r\n\
                  authentication-results : (trust me) MX.Example.ORG 1;\r\n\tspf=pass smtp.mailfrom=bank.example\r\n";
    let honest = [b"Authentication-Results: other.example; spf=fail\r\n".to_vec(), letter("forged")].concat();
    let sent = [forged.as_bytes(), &honest].concat();
    let reply = gatepost.introduced().deliver("joe@sender.example", "suzie@example.org", &sent);
    assert_eq!(reply.code, 250, "{reply}");
    let added = AddedFields::of(&postfix.delivered("suzie", 1)[0], &honest);
    assert!(!added.only("authentication-results").contains("bank.example"));
    gatepost.end_well();
}

#[test]
fn a_dns_that_fails_gives_temperror_and_never_a_pass() {
    let postfix = Postfix::delivering();
    let records = "sender.example SERVFAIL -\n_dmarc.sender.example DROP -\nclient.example.net DROP -\n";
    let gatepost = Plan::in_front_of(&postfix).dns(records).start();
    let sent = letter("dark");
    let begin = std::time::Instant::now();
    let reply = gatepost.introduced().deliver("joe@sender.example", "suzie@example.org", &sent);
    assert_eq!(reply.code, 250, "{reply}");
    // Row 101 of the catalogue of attacks.
    assert!(begin.elapsed() < std::time::Duration::from_secs(10), "{:?}", begin.elapsed());
    let added = AddedFields::of(&postfix.delivered("suzie", 1)[0], &sent);
    let results = added.only("authentication-results");
    assert_eq!(results.matches("spf=temperror").count(), 2, "{results}");
    assert!(results.contains("dmarc=temperror") && !results.contains("=pass"), "{results}");
    gatepost.end_well();
}
