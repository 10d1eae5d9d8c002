//! No acknowledged mail is lost: Postfix and Gatepost are killed and ended under load, and what the clients were told is
//! held against what Postfix has (rows 176 and 177 of the catalogue of attacks).

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{AtTheDot, Client, Gatepost, Load, Plan, Postfix, SOON, Sink, until};

const CLIENTS: usize = 50;
const LIMIT: Duration = Duration::from_secs(150);

fn start() -> (Postfix, Gatepost) {
    let postfix = Postfix::holding();
    let gatepost = Plan::in_front_of(&postfix).listener("limits: { sessions_per_ip: 1000 }").start();
    (postfix, gatepost)
}

#[test]
fn nothing_acknowledged_is_lost_when_postfix_is_killed_and_restarted_under_load() {
    let (mut postfix, gatepost) = start();
    let load = Load::start(gatepost.address(), CLIENTS, 10_000, LIMIT);
    for acknowledged in [2_500, 5_000, 7_500] {
        load.await_acknowledged(acknowledged);
        postfix.kill();
        postfix.start_again();
    }
    let report = load.finish();
    assert_eq!(report.lost, 0, "a session was dropped, although Gatepost was there all the time");
    assert!(report.refused.keys().all(|reply| reply.starts_with('4')), "{:?}", report.refused);

    let surplus = report.surplus_in(&postfix.queued());
    let ambiguous = gatepost.metrics().sum("upstream_ambiguous_total", &[]);
    assert!(surplus as u64 <= ambiguous, "{surplus} copies too many, {ambiguous} counted as ambiguous");
    gatepost.end_well();
}

#[test]
fn nothing_acknowledged_is_lost_when_gatepost_is_killed_five_times_under_load() {
    let (postfix, mut gatepost) = start();
    let load = Load::start(gatepost.address(), CLIENTS, 1_800, LIMIT);
    for round in 1..=5 {
        load.await_acknowledged(round * 300);
        gatepost.kill();
        gatepost.start_again();
    }
    let report = load.finish();
    assert!(report.lost > 0, "the kills came when nothing was under way");
    report.surplus_in(&postfix.queued());
    gatepost.end_well();
}

#[test]
fn sigterm_under_load_ends_within_the_limit_and_loses_nothing() {
    let (postfix, mut gatepost) = start();
    let load = Load::start(gatepost.address(), CLIENTS, 100_000, LIMIT);
    load.await_acknowledged(500);
    // As long as this one is within its message, the metrics can be asked.
    let mut last = within_a_message(&gatepost);
    gatepost.signal(Signal::TERM);
    let begin = Instant::now();
    let report = load.stop();
    gatepost.balanced();
    last.send(b"\r\n.\r\n").unwrap();
    last.expect(250);
    let status = gatepost.exit(Duration::from_secs(10));
    let took = begin.elapsed();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    // Who was within a message got an answer to it; the others were told to come back.
    let unexpected: Vec<_> = report.refused.keys().filter(|reply| !reply.starts_with("421 4.3.2")).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    let surplus = report.surplus_in(&postfix.queued());
    assert_eq!(surplus, 0, "a message was taken and its client was not told");
    gatepost.left_well();
}

/// A client whose message has begun and does not end.
fn within_a_message(gatepost: &Gatepost) -> Client {
    let mut client = gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    assert_eq!(client.ask("RCPT TO:<load@example.org>").code, 250);
    assert_eq!(client.ask("DATA").code, 354);
    client.send(b"From: <joe@sender.example>\r\nSubject: [last.0]\r\n").unwrap();
    client
}

#[test]
fn a_client_that_does_not_end_its_message_hears_421_within_the_limit() {
    let sink = Sink::start(AtTheDot::SayNothing);
    let mut gatepost = Plan::in_front_of_server(sink.address()).section("shutdown: { drain: 4s }").start();
    // Whose message is at the upstream is waited for a second longer, and so long the metrics can be asked.
    let mut waiting = within_a_message(&gatepost);
    waiting.send(b"\r\n.\r\n").unwrap();
    until("the message to be at the upstream", SOON, || (sink.taken().len() == 1).then_some(()));
    let mut client = within_a_message(&gatepost);
    gatepost.signal(Signal::TERM);
    let begin = Instant::now();
    let reply = client.expect(421);
    assert!(reply.text().starts_with("4.3.2 "), "{reply}");
    gatepost.balanced();
    assert!(gatepost.exit(Duration::from_secs(10)).success());
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    // It has its line in the log like every other.
    gatepost.logged(&["\"outcome\":\"aborted\"", "\"rule\":\"shutdown\""]);
    gatepost.left_well();
}

/// A client that is not offered 8BITMIME re-encodes its mail, and breaks its signatures.
#[test]
fn the_first_client_is_offered_what_a_slow_upstream_can_do() {
    let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = upstream.local_addr().unwrap();
    thread::spawn(move || {
        let mut stream = upstream.accept().unwrap().0;
        // Slow is the point: as long as it says nothing, Gatepost does not know.
        thread::sleep(Duration::from_millis(500));
        stream.write_all(b"220 slow\r\n").unwrap();
        let mut heard = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut heard).unwrap();
        stream.write_all(b"250-slow\r\n250-SIZE 1000000\r\n250 8BITMIME\r\n").unwrap();
    });
    let gatepost = Plan::in_front_of_server(address).start();
    let mut client = Client::connect(gatepost.address()).unwrap();
    client.expect(220);
    let offered = client.ask("EHLO client.example").text();
    assert!(offered.contains("8BITMIME") && offered.contains("SIZE 983616"), "{offered}");
    gatepost.end_well();
}
