//! Messages in chunks (RFC 3030), in front of a real Postfix, which offers CHUNKING: what it stored is what was sent, whichever way the
//! message came.

use crate::harness::{AddedFields, Client, Gatepost, Plan, Postfix, letter_of};

const MIB: usize = 1024 * 1024;

/// MAIL and RCPT, accepted.
#[track_caller]
fn envelope(client: &mut Client, parameters: &str) {
    assert_eq!(client.ask(&format!("MAIL FROM:<joe@sender.example>{parameters}")).code, 250);
    assert_eq!(client.ask("RCPT TO:<suzie@example.org>").code, 250);
}

/// Sends `message` in chunks of at most `size` octets, without waiting, and reads all the replies.
#[track_caller]
fn send_in_chunks(client: &mut Client, message: &[u8], size: usize) {
    let chunks: Vec<&[u8]> = message.chunks(size).collect();
    for (number, chunk) in chunks.iter().enumerate() {
        let last = if number + 1 == chunks.len() { " LAST" } else { "" };
        client.send(&[format!("BDAT {}{last}\r\n", chunk.len()).as_bytes(), chunk].concat()).unwrap();
    }
    for chunk in 1..=chunks.len() {
        let reply = client.reply().unwrap();
        assert_eq!(reply.code, 250, "chunk {chunk} of {}: {reply}", chunks.len());
        assert_eq!(reply.text().contains("queued as"), chunk == chunks.len(), "{reply}");
    }
}

/// Name, body, and what Postfix' mailbox adds at its end: a line end where there was none.
fn bodies() -> Vec<(&'static str, Vec<u8>, &'static [u8])> {
    let mut large = Vec::with_capacity(5 * MIB + 80);
    for number in 0.. {
        large.extend_from_slice(format!(".{number:060} \u{e9}\r\n").as_bytes());
        if large.len() > 5 * MIB {
            break;
        }
    }
    vec![
        ("plain", b"Hi.\r\n".to_vec(), b""),
        ("without-line-end", b"Hi.\r\nno line end".to_vec(), b"\r\n"),
        ("dots", b".\r\n..\r\n.x\r\n\r\n.\r\nMAIL FROM:<evil@sender.example>\r\n.\r\n".to_vec(), b""),
        ("dot-at-the-end", b"a\r\n.".to_vec(), b"\r\n"),
        ("eight-bit", b"\xc3\xa9 \xff\xfe \x80\r\n".to_vec(), b""),
        ("large", large, b""),
    ]
}

/// The stored message with this subject holds what was sent.
#[track_caller]
fn assert_stored(stored: &[Vec<u8>], name: &str, sent: &[u8], line_end: &[u8]) {
    let subject = format!("\nSubject: {name}\n").into_bytes();
    let found: Vec<&Vec<u8>> =
        stored.iter().filter(|message| memchr::memmem::find(message, &subject).is_some()).collect();
    assert_eq!(found.len(), 1, "{name}");
    AddedFields::of(found[0], &[sent, line_end].concat());
}

fn start() -> (Postfix, Gatepost) {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).start();
    gatepost.counted("upstream_connects_total", &[], 1);
    (postfix, gatepost)
}

#[test]
fn what_came_in_chunks_is_stored_as_it_was_sent() {
    let (postfix, gatepost) = start();
    let mut client = gatepost.introduced();
    let bodies = bodies();
    let sent: Vec<Vec<u8>> = bodies.iter().map(|(name, body, _)| letter_of(name, body)).collect();
    for (number, message) in sent.iter().enumerate() {
        envelope(&mut client, " BODY=8BITMIME");
        send_in_chunks(&mut client, message, [message.len(), 7 * MIB, 100_000][number % 3]);
    }
    let stored = postfix.delivered("suzie", sent.len());
    for ((name, _, line_end), message) in bodies.iter().zip(&sent) {
        assert_stored(&stored, name, message, line_end);
    }
    let metrics = gatepost.metrics();
    let answered = |command| metrics.sum("upstream_replies_total", &[("command", command), ("class", "2")]);
    assert_eq!(answered("end_of_data"), 6);
    assert_eq!(answered("bdat"), 5, "the large one goes in chunks of a MiB");
    assert_eq!(metrics.sum("upstream_replies_total", &[("command", "data")]), 0);
    gatepost.end_well();
}

#[test]
fn what_came_by_data_goes_on_in_chunks() {
    let (postfix, gatepost) = start();
    let mut client = gatepost.introduced();
    let bodies: Vec<_> = bodies().into_iter().filter(|(_, _, line_end)| line_end.is_empty()).collect();
    let sent: Vec<Vec<u8>> = bodies.iter().map(|(name, body, _)| letter_of(name, body)).collect();
    for message in &sent {
        let reply = client.deliver("joe@sender.example", "suzie@example.org", message);
        assert_eq!(reply.code, 250, "{reply}");
    }
    let stored = postfix.delivered("suzie", sent.len());
    for ((name, ..), message) in bodies.iter().zip(&sent) {
        assert_stored(&stored, name, message, b"");
    }
    assert_eq!(gatepost.metrics().sum("upstream_replies_total", &[("command", "data")]), 0);
    gatepost.end_well();
}

#[test]
fn commands_in_a_chunk_are_text_and_a_refused_chunk_is_none() {
    let (postfix, gatepost) = start();
    let mut client = gatepost.introduced();
    envelope(&mut client, "");
    let smuggled =
        b"x\n.\r\nMAIL FROM:<evil@sender.example>\r\nRCPT TO:<suzie@example.org>\r\nBDAT 3 LAST\r\na\r\n";
    let attack = letter_of("attack", smuggled);
    client.send(&[format!("BDAT {}\r\n", attack.len()).as_bytes(), &attack].concat()).unwrap();
    let reply = client.reply().unwrap();
    assert!(reply.to_string().starts_with("550 5.5.2 bare LF"), "{reply}");
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 503);
    assert_eq!(client.ask("RSET").code, 250);
    envelope(&mut client, "");
    let text: Vec<u8> = smuggled.iter().copied().skip(2).collect();
    let message = letter_of("text", &text);
    send_in_chunks(&mut client, &message, 50);
    assert_eq!(client.ask("QUIT").code, 221);
    assert_stored(&postfix.delivered("suzie", 1), "text", &message, b"");
    assert!(!postfix.log().contains("evil@"), "{}", postfix.log());
    gatepost.end_well();
}

#[test]
fn an_upstream_that_dies_within_the_chunks_leaves_the_message_with_its_sender() {
    let (mut postfix, gatepost) = start();
    let mut client = gatepost.introduced();
    envelope(&mut client, "");
    let message = letter_of("kept", b"Hi.\r\n");
    let (first, last) = message.split_at(20);
    client.send(&[b"BDAT 20\r\n", first].concat()).unwrap();
    client.expect(250);
    postfix.kill();
    client.send(&[format!("BDAT {} LAST\r\n", last.len()).as_bytes(), last].concat()).unwrap();
    let reply = client.reply().unwrap();
    assert!(reply.to_string().starts_with("451 4.4."), "{reply}");
    postfix.start_again();
    envelope(&mut client, "");
    send_in_chunks(&mut client, &message, 20);
    assert_stored(&postfix.delivered("suzie", 1), "kept", &message, b"");
    gatepost.end_well();
}
