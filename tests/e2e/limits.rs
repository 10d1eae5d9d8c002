//! Clients choose no resource bound (rows 187, 189, 197, 201 and 204 of the catalogue of attacks).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::harness::{AtTheDot, Client, Gatepost, Plan, SOON, Sink, free_port, letter, letter_of, until};

/// KiB of memory that an attack may cost.
const MEMORY: u64 = 16 * 1024;

fn start(limits: &str) -> (Sink, Gatepost) {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost =
        Plan::in_front_of_server(sink.address()).listener(format!("limits: {{ {limits} }}")).start();
    // What it needs for a first message does not count.
    let reply = gatepost.introduced().deliver("joe@sender.example", "suzie@example.org", &letter("warm"));
    assert_eq!(reply.code, 250, "{reply}");
    (sink, gatepost)
}

/// Sends `chunk` until `total` bytes went out or the server had enough; what it said then.
fn flood(client: &mut Client, chunk: &[u8], total: usize) -> String {
    for _ in 0..total.div_ceil(chunk.len()) {
        if client.send(chunk).is_err() {
            break;
        }
    }
    client.reply().map_or_else(|error| error.to_string(), |reply| reply.to_string())
}

/// Whatever happened, the next client is served at once.
#[track_caller]
fn still_serves(gatepost: Gatepost, before: u64) {
    let begin = std::time::Instant::now();
    let reply = gatepost.introduced().deliver("joe@sender.example", "suzie@example.org", &letter("next"));
    assert_eq!(reply.code, 250, "{reply}");
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    let grown = gatepost.peak_memory().saturating_sub(before);
    assert!(grown < MEMORY, "{grown} KiB more");
    gatepost.end_well();
}

#[test]
fn one_address_has_so_many_sessions_and_another_is_not_harmed() {
    let (_sink, gatepost) = start("sessions_per_ip: 3");
    let to = gatepost.address();
    until("the first session to be over", SOON, || {
        (gatepost.metrics().sum("sessions_active", &[]) == 0).then_some(())
    });
    let sessions: Vec<Client> = (0..3).map(|_| gatepost.introduced()).collect();
    let mut fourth = Client::connect(to).unwrap();
    let reply = fourth.expect(421);
    assert!(reply.text().starts_with("4.7.0 "), "{reply}");
    assert!(fourth.is_closed());
    let mut other = Client::connect_from(Ipv4Addr::new(127, 0, 0, 2), to).unwrap();
    other.expect(220);
    drop(sessions);
    until("a place to be free", SOON, || {
        (Client::connect(to).unwrap().reply().unwrap().code == 220).then_some(())
    });
    assert!(gatepost.metrics().sum("connections_total", &[("outcome", "limit_per_ip")]) > 0);
    drop(other);
    gatepost.end_well();
}

#[test]
fn the_addresses_of_a_listener_share_its_limits() {
    let ports = [free_port(), free_port()];
    let listen = format!("[\"127.0.0.1:{}\", \"127.0.0.1:{}\"]", ports[0], ports[1]);
    let [first, second] = ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let sink = Sink::start(AtTheDot::Take);
    let section =
        format!("\n  more:\n    listen: {listen}\n    upstream: main\n    limits: {{ sessions_per_ip: 2 }}");
    let gatepost = Plan::in_front_of_server(sink.address()).listener(section).start();
    let mut one = Client::connect(first).unwrap();
    one.expect(220);
    let mut two = Client::connect(second).unwrap();
    two.expect(220);
    Client::connect(first).unwrap().expect(421);
    Client::connect(second).unwrap().expect(421);
    drop((one, two));
    gatepost.end_well();
}

#[test]
fn so_many_sessions_and_no_more_are_open_at_once() {
    let (_sink, gatepost) = start("sessions: 3, sessions_per_ip: 3");
    until("the first session to be over", SOON, || {
        (gatepost.metrics().sum("sessions_active", &[]) == 0).then_some(())
    });
    let address = |last| Ipv4Addr::new(127, 0, 0, last);
    let mut sessions = Vec::new();
    for last in 2..5 {
        let mut client = Client::connect_from(address(last), gatepost.address()).unwrap();
        client.expect(220);
        sessions.push(client);
    }
    Client::connect_from(address(5), gatepost.address()).unwrap().expect(421);
    drop(sessions);
    gatepost.end_well();
}

#[test]
fn a_command_line_without_an_end_costs_nothing() {
    let (_sink, gatepost) = start("sessions: 100");
    let before = gatepost.peak_memory();
    let mut client = Client::connect(gatepost.address()).unwrap();
    client.expect(220);
    let answer = flood(&mut client, &[b'A'; 64 * 1024], 20 << 20);
    assert!(
        answer.starts_with("500 ") || answer.starts_with("421 ") || answer.starts_with("521 "),
        "{answer}"
    );
    assert!(client.is_closed());
    still_serves(gatepost, before);
}

#[test]
fn a_header_line_without_an_end_costs_nothing() {
    let (sink, gatepost) = start("sessions: 100");
    let before = gatepost.peak_memory();
    let mut client = gatepost.introduced();
    client.ask("MAIL FROM:<joe@sender.example>");
    client.ask("RCPT TO:<suzie@example.org>");
    assert_eq!(client.ask("DATA").code, 354);
    client.send(b"Subject: ").unwrap();
    for _ in 0..100 {
        if client.send(&[b'A'; 1 << 20]).is_err() {
            break;
        }
    }
    _ = client.send(b"\r\n\r\n.\r\n");
    let reply = client.reply().unwrap();
    assert!(reply.to_string().starts_with("552 5.3.4 "), "{reply}");
    assert_eq!(sink.taken().len(), 1, "the warm one only");
    still_serves(gatepost, before);
}

#[test]
fn a_message_larger_than_it_said_and_than_allowed_is_refused() {
    let (sink, gatepost) = start("message_size: 1MiB");
    let before = gatepost.peak_memory();
    let mut client = gatepost.introduced();
    assert!(client.ask("MAIL FROM:<joe@sender.example> SIZE=2000000").to_string().starts_with("552 5.3.4 "));
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example> SIZE=10").code, 250);
    assert_eq!(client.ask("RCPT TO:<suzie@example.org>").code, 250);
    assert_eq!(client.ask("DATA").code, 354);
    client.send(&letter("lie")).unwrap();
    let line = [&[b'x'; 998][..], b"\r\n"].concat();
    for _ in 0..70_000 {
        client.send(&line).unwrap();
    }
    client.send(b".\r\n").unwrap();
    let reply = client.reply().unwrap();
    assert!(reply.to_string().starts_with("552 5.3.4 "), "{reply}");
    // The session is as good as before.
    assert_eq!(client.deliver("joe@sender.example", "suzie@example.org", &letter("after")).code, 250);
    assert_eq!(sink.taken().len(), 2);
    still_serves(gatepost, before);
}

#[test]
fn a_client_that_talks_without_sending_mail_is_sent_away() {
    let (_sink, gatepost) = start("sessions: 100");
    let before = gatepost.peak_memory();
    let mut client = gatepost.introduced();
    let mut said = 0;
    let last = loop {
        match client.try_ask("NOOP") {
            Ok(reply) if reply.code == 250 => said += 1,
            Ok(reply) => break reply,
            Err(error) => panic!("no last word after {said}: {error}"),
        }
        assert!(said < 10_000, "it goes on and on");
    };
    assert!(last.to_string().starts_with("421 4.7.0 "), "{last}");
    let mut client = gatepost.introduced();
    let codes: Vec<u16> =
        (0..30).map_while(|_| client.try_ask("NONSENSE").ok()).map(|reply| reply.code).collect();
    assert!(codes.len() < 30 && codes.last() == Some(&421), "{codes:?}");
    still_serves(gatepost, before);
}

#[test]
fn a_client_that_never_reads_does_not_keep_replies_in_memory() {
    let (_sink, gatepost) = start("sessions: 100");
    let before = gatepost.peak_memory();
    let mut client = gatepost.introduced();
    client.patience(Duration::from_secs(1));
    // Lines that are answered, far more than any buffer holds answers.
    let lines = b"RSET\r\n".repeat(10_000);
    for _ in 0..200 {
        if client.send(&lines).is_err() {
            break;
        }
    }
    client.reset();
    still_serves(gatepost, before);
}

#[test]
fn recipients_beyond_the_limit_are_deferred() {
    let (_sink, gatepost) = start("recipients: 120");
    let mut client = gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    for number in 0..100 {
        assert_eq!(client.ask(&format!("RCPT TO:<r{number}@example.org>")).code, 250);
    }
    let reply = client.ask("RCPT TO:<onemore@example.org>");
    assert!(reply.to_string().starts_with("452 4.5.3 "), "{reply}");
    drop(client);
    gatepost.end_well();
}

/// What `limit_size` would refuse is counted while it is in shadow, and not what would pass.
#[test]
fn a_size_limit_in_shadow_is_counted_by_the_messages_that_are_larger() {
    let sink = Sink::start(AtTheDot::Take);
    let script =
        "const MODES = #{ \"big\": \"shadow\" };\nfn data(session, mail) { limit_size(\"big\", 2000); }\n";
    let gatepost = Plan::in_front_of_server(sink.address()).policy("50-small.rhai", script).start();
    let counted = || {
        let labels = [("rule", "small.big"), ("action", "would_limit_size"), ("stage", "message")];
        gatepost.metrics().sum("policy_decisions_total", &labels)
    };
    let mut client = gatepost.introduced();
    for (message, larger) in
        [(letter("small"), 0), (letter_of("large", &b"more\r\n".repeat(1_000)), 1), (letter("small"), 1)]
    {
        let reply = client.deliver("joe@sender.example", "suzie@example.org", &message);
        assert_eq!((reply.code, counted()), (250, larger), "{reply}");
    }
    drop(client);
    gatepost.end_well();
}
