//! Several mail servers behind one Gatepost: routes, addresses that come and go, mailboxes by LMTP.

use std::net::{Ipv4Addr, SocketAddr};

use crate::harness::{
    AddedFields, Client, DovecotLmtp, Gatepost, Plan, Postfix, Reply, SOON, free_port, letter, letter_of,
    stuffed, until,
};

const FROM: &str = "joe@sender.example";

/// An upstream at these addresses, as in the configuration.
fn at(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
    format!(
        "{{ address: [{}], client_identity: none, tls: {{ mode: off }}, timeouts: {{ connect: 2s }} }}",
        addresses.join(", ")
    )
}

/// One message in a session of its own: the reply to the first thing that is not accepted, or to the message.
#[track_caller]
fn send(gatepost: &Gatepost, to: &str, message: &[u8]) -> Reply {
    let mut client = gatepost.introduced();
    let reply = client.deliver(FROM, to, message);
    client.ask("QUIT");
    reply
}

#[test]
fn each_domain_has_its_own_postfix_and_a_message_goes_to_one_of_them() {
    let (org, net) = (Postfix::delivering(), Postfix::of_example_net());
    let gatepost = Plan::in_front_of(&org).route("example.net", "net", &at(&[net.address()])).start();
    let (first, second) = (letter("to-org"), letter("to-net"));
    let mut client = gatepost.introduced();
    assert_eq!(client.ask(&format!("MAIL FROM:<{FROM}>")).code, 250);
    assert_eq!(client.ask("RCPT TO:<suzie@example.org>").code, 250);
    let reply = client.ask("RCPT TO:<suzie@Example.NET>");
    assert_eq!(reply.code, 451);
    assert!(reply.text().starts_with("4.5.3 ") && reply.text().contains("send separately (gp "), "{reply}");
    assert_eq!(client.ask("RCPT TO:<joe@example.org>").code, 250);
    assert_eq!(client.ask("DATA").code, 354);
    client.send(&stuffed(&first)).unwrap();
    client.expect(250);
    assert_eq!(client.deliver(FROM, "suzie@Example.NET", &second).code, 250);
    // Each server has its own opinion of who lives there.
    assert_eq!(client.deliver(FROM, "joe@example.net", &second).code, 550);
    client.ask("QUIT");

    for to in ["suzie", "joe"] {
        AddedFields::of(&org.delivered(to, 1)[0], &first);
    }
    AddedFields::of(&net.delivered("suzie", 1)[0], &second);
    let transaction =
        |upstream: &str| [format!("\"upstream\":\"{upstream}\""), "\"outcome\":\"accepted\"".into()];
    for upstream in ["main", "net"] {
        gatepost.logged(&transaction(upstream).each_ref().map(String::as_str));
        let taken = [("upstream", upstream), ("command", "end_of_data"), ("class", "2")];
        assert_eq!(gatepost.metrics().sum("upstream_replies_total", &taken), 1);
    }
    assert_eq!(gatepost.metrics().sum("rejections_total", &[("rule", "other_route"), ("code", "451")]), 1);
    assert_eq!(gatepost.metrics().sum("limits_total", &[("limit", "other_route")]), 1);
    gatepost.end_well();
}

#[test]
fn a_dead_first_address_keeps_nobody_waiting() {
    let postfix = Postfix::delivering();
    let dead: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let gatepost = Plan::with_upstream(&at(&[dead, postfix.address()])).start();
    for number in 1..=3 {
        assert_eq!(send(&gatepost, "suzie@example.org", &letter(&format!("n{number}"))).code, 250);
    }
    assert_eq!(postfix.delivered("suzie", 3).len(), 3);
    let up = |address: SocketAddr| {
        gatepost.metrics().sum("upstream_address_up", &[("address", &address.to_string())])
    };
    assert_eq!((up(dead), up(postfix.address())), (0, 1));
    assert_eq!(gatepost.metrics().sum("upstream_up", &[("upstream", "main")]), 1);
    gatepost.logged(&["\"event\":\"upstream_address_down\"", &dead.to_string()]);
    gatepost.end_well();
}

#[test]
fn mail_moves_to_the_second_postfix_while_the_first_is_away_and_comes_back() {
    let (mut first, second) = (Postfix::delivering(), Postfix::delivering());
    let gatepost = Plan::with_upstream(&at(&[first.address(), second.address()])).start();
    let up = |address: SocketAddr| {
        gatepost.metrics().sum("upstream_address_up", &[("address", &address.to_string())])
    };
    until("the first look at both", SOON, || {
        (up(first.address()) == 1 && up(second.address()) == 1).then_some(())
    });
    assert_eq!(send(&gatepost, "suzie@example.org", &letter("one")).code, 250);
    first.delivered("suzie", 1);
    first.kill();
    assert_eq!(send(&gatepost, "suzie@example.org", &letter("two")).code, 250);
    second.delivered("suzie", 1);
    assert_eq!(up(first.address()), 0);

    // Gatepost looks after it by itself, without mail.
    first.start_again();
    until("the return of the first", SOON, || (up(first.address()) == 1).then_some(()));
    gatepost.logged(&["\"event\":\"upstream_address_up\"", &first.address().to_string()]);
    // A connection that is still open to the second would be used again: none is kept for a new session for long, but
    // another client that speaks at the same time gets a new one.
    let mut busy = gatepost.introduced();
    assert_eq!(busy.ask(&format!("MAIL FROM:<{FROM}>")).code, 250);
    assert_eq!(busy.ask("RCPT TO:<suzie@example.org>").code, 250);
    assert!(gatepost.metrics().sum("upstream_sessions_active", &[("upstream", "main")]) >= 1);
    assert_eq!(send(&gatepost, "suzie@example.org", &letter("three")).code, 250);
    first.delivered("suzie", 2);
    busy.ask("QUIT");
    gatepost.end_well();
}

#[test]
fn all_addresses_away_is_451_until_one_is_back() {
    let (mut first, mut second) = (Postfix::delivering(), Postfix::delivering());
    let gatepost = Plan::with_upstream(&at(&[first.address(), second.address()])).start();
    assert_eq!(send(&gatepost, "suzie@example.org", &letter("before")).code, 250);
    first.kill();
    second.kill();
    let reply = send(&gatepost, "suzie@example.org", &letter("lost"));
    assert_eq!(reply.code, 451, "{reply}");
    gatepost.counted("upstream_connects_total", &[("outcome", "refused")], 2);
    // Until nobody even tries.
    until("the circuit to open", SOON, || {
        let reply = send(&gatepost, "suzie@example.org", &letter("lost"));
        assert_eq!(reply.code, 451, "{reply}");
        (gatepost.metrics().sum("upstream_connects_total", &[("outcome", "circuit_open")]) > 0).then_some(())
    });
    assert_eq!(gatepost.metrics().sum("upstream_up", &[("upstream", "main")]), 0);
    second.start_again();
    until("mail to pass again", SOON, || {
        (send(&gatepost, "suzie@example.org", &letter("after")).code == 250).then_some(())
    });
    assert_eq!(gatepost.metrics().sum("upstream_up", &[("upstream", "main")]), 1);
    gatepost.end_well();
}

/// Through the socket: one recipient a message, unknown and full mailboxes in Dovecot's own words.
#[test]
fn dovecot_stores_by_lmtp_and_answers_for_each_recipient() {
    let dovecot = DovecotLmtp::start();
    let socket = dovecot.socket();
    let gatepost = Plan::with_upstream(&format!("{{ address: \"lmtp://{}\" }}", socket.display())).start();
    let body = b".\r\n..dots\r\nbl\xc3\xbcten \xff and a long line \r\n\r\n".repeat(20);
    let sent = letter_of("by-lmtp", &body);
    let mut client = gatepost.introduced();
    assert_eq!(client.ask(&format!("MAIL FROM:<{FROM}>")).code, 250);
    let unknown = client.ask("RCPT TO:<nobody@example.org>");
    assert!(unknown.code == 550 && unknown.text().contains("User doesn't exist"), "{unknown}");
    assert_eq!(client.ask("RCPT TO:<suzie@example.org>").code, 250);
    let second = client.ask("RCPT TO:<joe@example.org>");
    assert!(
        second.code == 452 && second.text().starts_with("4.5.3 this server takes one recipient"),
        "{second}"
    );
    assert_eq!(client.ask("DATA").code, 354);
    client.send(&stuffed(&sent)).unwrap();
    let saved = client.expect(250);
    assert!(saved.text().contains("<suzie@example.org>") && saved.text().ends_with("Saved"), "{saved}");
    assert_eq!(client.deliver(FROM, "joe@example.org", &sent).code, 250);
    let full = client.deliver(FROM, "joe@example.org", &letter_of("large", &b"x\r\n".repeat(50_000)));
    assert!(full.code == 552 && full.text().contains("Quota exceeded"), "{full}");
    client.ask("QUIT");

    for to in ["suzie", "joe"] {
        let added = AddedFields::of(&dovecot.delivered(to, 1)[0], &sent);
        assert_eq!(
            added.names(),
            ["return-path", "delivered-to", "received", "received", "authentication-results"]
        );
        assert!(added.all("received")[1].contains("by mx.example.org"), "{added:?}");
    }
    let rejected = |rule: &str| gatepost.metrics().sum("rejections_total", &[("rule", rule)]);
    assert_eq!((rejected("one_recipient"), rejected("end-of-data")), (1, 1));
    gatepost.end_well();
}

#[test]
fn dovecot_hears_who_the_client_is_and_may_go_away() {
    let mut dovecot = DovecotLmtp::start();
    let address = format!("{{ address: \"lmtp://{}\", client_identity: xclient }}", dovecot.address());
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).route("example.net", "boxes", &address).start();
    let sent = letter("introduced");
    let local = Ipv4Addr::new(127, 0, 0, 9);
    let mut client = Client::connect_from(local, gatepost.address()).unwrap();
    client.expect(220);
    assert_eq!(client.ask("EHLO client.example.com").code, 250);
    assert_eq!(client.deliver(FROM, "suzie@example.net", &sent).code, 250);
    let added = AddedFields::of(&dovecot.delivered("suzie", 1)[0], &sent);
    assert!(added.all("received")[0].contains(&format!("([{local}])")), "{added:?}");

    dovecot.kill();
    let reply = send(&gatepost, "suzie@example.net", &sent);
    assert!(reply.code == 451 && reply.text().starts_with("4.4.1 "), "{reply}");
    assert_eq!(send(&gatepost, "suzie@example.org", &sent).code, 250, "the other server is there");
    dovecot.start_again();
    until("mail to pass again", SOON, || {
        (send(&gatepost, "suzie@example.net", &sent).code == 250).then_some(())
    });
    client.ask("QUIT");
    gatepost.end_well();
}
