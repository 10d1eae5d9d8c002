//! Memory does not grow with the size of messages (row 188 of the catalogue of attacks).

use std::net::SocketAddr;
use std::thread;

use aws_lc_rs::digest::{SHA256, digest};

use crate::harness::{AddedFields, AtTheDot, Client, Gatepost, Plan, Postfix, SOON, Sink, letter_of, until};

const MIB: usize = 1024 * 1024;

/// A body of exactly so many octets, no two lines the same, some of them with dots in front, some with eight bits.
fn body(size: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(size + 80);
    let mut number = 0_u64;
    while body.len() < size {
        let dots = if number.is_multiple_of(100) { ".." } else { "" };
        body.extend_from_slice(format!("{dots}{number:072} \u{e9}\r\n").as_bytes());
        number += 1;
    }
    body.truncate(size - 2);
    body.extend_from_slice(b"\r\n");
    body
}

/// Limits that let 50 MiB and a header pass.
fn generous(plan: Plan) -> Gatepost {
    plan.listener("limits: { message_size: 64MiB }")
        .section("policies: { dir: \"@POLICIES@\", settings: { size: { max_size: 64MiB } } }")
        .start()
}

#[track_caller]
fn send(to: SocketAddr, message: &[u8]) {
    let reply = Client::introduced(to).deliver("joe@sender.example", "suzie@example.org", message);
    assert_eq!(reply.code, 250, "{reply}");
}

#[test]
fn a_message_of_50_mib_passes_as_it_is_in_less_than_64_mib_of_memory() {
    let postfix = Postfix::delivering();
    let gatepost = generous(Plan::in_front_of(&postfix));
    let sent = letter_of("large", &body(50 * MIB));
    send(gatepost.address(), &sent);
    AddedFields::of(&postfix.delivered("suzie", 1)[0], &sent);
    let peak = gatepost.peak_memory();
    assert!(peak < 64 * 1024, "{peak} KiB");
    gatepost.end_well();
}

#[test]
fn ten_messages_of_50_mib_at_once_pass_in_less_than_128_mib_of_memory() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = generous(Plan::in_front_of_server(sink.address()));
    let sent = letter_of("large", &body(50 * MIB));
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| send(gatepost.address(), &sent));
        }
    });
    let expected = digest(&SHA256, &body(50 * MIB));
    let taken = sink.taken();
    assert_eq!(taken.len(), 10);
    assert!(taken.iter().all(|taken| taken.body == expected.as_ref()), "a body was changed");
    let peak = gatepost.peak_memory();
    assert!(peak < 128 * 1024, "{peak} KiB");
    // The files in the spool have no name, and are gone with their messages.
    until("its files to be closed", SOON, || (gatepost.open_files() < 50).then_some(()));
    gatepost.end_well();
}
