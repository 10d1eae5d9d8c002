//! Who the client is, as real mail servers see it.

mod transparent;

use std::net::Ipv4Addr;

use crate::harness::{AddedFields, Client, Exim, Gatepost, Plan, Postfix, letter, stuffed};

/// The client's address, which is not Gatepost's.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 7);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 8);

fn plan(upstream: std::net::SocketAddr, identity: &str) -> Plan {
    Plan::with_upstream(&format!(
        "{{ address: \"{upstream}\", client_identity: {identity}, tls: {{ mode: off }} }}"
    ))
}

/// A session from `from` that is past MAIL.
#[track_caller]
fn begin(gatepost: &Gatepost, from: Ipv4Addr) -> Client {
    let mut client = Client::connect_from(from, gatepost.address()).unwrap();
    client.expect(220);
    assert_eq!(client.ask("EHLO client.example.net").code, 250);
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    client
}

/// Sends a message from `from` to suzie, in a session of its own; gives what was sent.
#[track_caller]
fn send(gatepost: &Gatepost, from: Ipv4Addr, about: &str) -> Vec<u8> {
    let mut client = begin(gatepost, from);
    assert_eq!(client.ask("RCPT TO:<suzie@example.org>").code, 250);
    assert_eq!(client.ask("DATA").code, 354);
    let message = letter(about);
    client.send(&stuffed(&message)).unwrap();
    client.expect(250);
    client.ask("QUIT");
    message
}

/// What the client hears at RCPT from a Gatepost that cannot hand its identity over.
#[track_caller]
fn fails_closed(gatepost: &Gatepost) {
    let reply = begin(gatepost, CLIENT).ask("RCPT TO:<suzie@example.org>");
    assert!(reply.to_string().starts_with("451 4.3.5 "), "{reply}");
    gatepost.counted("upstream_connects_total", &[("outcome", "identity")], 1);
}

/// Every attribute that this Postfix lists is taken by it.
#[test]
fn postfix_hears_all_attributes_of_xclient() {
    let postfix = Postfix::configured("smtpd_client_port_logging = yes\n");
    let gatepost = plan(postfix.address(), "xclient").start();
    let mut client = begin(&gatepost, CLIENT);
    assert_eq!(client.ask("RCPT TO:<suzie@example.org>").code, 250);
    let port = client.local_port();
    assert_eq!(client.ask("DATA").code, 354);
    client.send(&stuffed(&letter("all of it"))).unwrap();
    client.expect(250);
    postfix.logged(&[&format!("client=unknown[127.0.0.7]:{port}")]);
    assert!(!postfix.log().contains("warning: "), "{}", postfix.log());
    gatepost.end_well();
}

/// Two clients share one connection, and Postfix tells them apart.
#[test]
fn postfix_logs_the_original_client_by_xforward() {
    let postfix = Postfix::configured("smtpd_authorized_xforward_hosts = 127.0.0.1\n");
    let gatepost = plan(postfix.address(), "xforward").start();
    for (from, about) in [(CLIENT, "first"), (OTHER, "second")] {
        send(&gatepost, from, about);
        let line = postfix.logged(&[&format!("orig_client=unknown[{from}]")]);
        assert!(
            line.contains("client=localhost[127.0.0.1]") || line.contains("client=unknown[127.0.0.1]"),
            "{line}"
        );
        // The id by which Postfix knows the message before is that of our own log.
        let (_, id) = line.split_once("orig_queue_id=").unwrap_or_else(|| panic!("no id: {line}"));
        let id: String = id.chars().take_while(char::is_ascii_alphanumeric).collect();
        gatepost.logged(&["\"event\":\"transaction\"", &id, "\"outcome\":\"accepted\""]);
    }
    postfix.delivered("suzie", 2);
    let metrics = gatepost.metrics();
    assert_eq!(metrics.sum("upstream_connects_total", &[("outcome", "reused")]), 1);
    assert_eq!(metrics.sum("upstream_replies_total", &[("command", "xforward"), ("class", "2")]), 2);
    gatepost.end_well();
}

#[test]
fn a_postfix_that_offers_no_xforward_gets_no_mail() {
    let postfix = Postfix::delivering();
    let gatepost = plan(postfix.address(), "xforward").start();
    gatepost.logged(&["identity_not_offered", "XFORWARD"]);
    fails_closed(&gatepost);
    gatepost.end_well();
}

#[test]
fn postfix_takes_both_versions_of_the_proxy_header() {
    for version in ["proxy-v1", "proxy-v2"] {
        let postfix = Postfix::configured("smtpd_upstream_proxy_protocol = haproxy\n");
        let gatepost = plan(postfix.address(), version).start();
        // The probe has no client: Postfix takes it for what it is, a connection from Gatepost.
        assert_eq!(gatepost.metrics().sum("upstream_up", &[]), 1, "{version}");
        postfix.logged(&[" connect from ", "[127.0.0.1]"]);
        let sent = send(&gatepost, CLIENT, version);
        postfix.logged(&["client=unknown[127.0.0.7]"]);
        let added = AddedFields::of(&postfix.delivered("suzie", 1)[0], &sent);
        let received = added.all("received");
        assert!(
            received[0].starts_with("from client.example.net (unknown [127.0.0.7]) by mail."),
            "{received:?}"
        );
        gatepost.end_well();
    }
}

/// It takes the header for commands.
#[test]
fn a_postfix_that_expects_no_proxy_header_gets_no_mail() {
    for version in ["proxy-v1", "proxy-v2"] {
        let postfix = Postfix::delivering();
        let gatepost = plan(postfix.address(), version).start();
        fails_closed(&gatepost);
        assert!(!postfix.log().contains("client="), "{}", postfix.log());
        gatepost.end_well();
    }
}

#[test]
fn exim_takes_both_versions_of_the_proxy_header() {
    for version in ["proxy-v1", "proxy-v2"] {
        let exim = Exim::behind_proxy();
        let gatepost = plan(exim.address(), version).start();
        assert_eq!(gatepost.metrics().sum("upstream_up", &[]), 1, "{version}: {}", exim.log());
        let sent = send(&gatepost, CLIENT, version);
        exim.logged(&["<= joe@sender.example", "[127.0.0.7]", "PRX=127.0.0.1"]);
        let added = AddedFields::of(&exim.delivered("suzie", 1)[0], &sent);
        let received = added.all("received");
        assert!(received[0].starts_with("from [127.0.0.7]"), "{received:?}");
        let mut client = begin(&gatepost, OTHER);
        let reply = client.ask("RCPT TO:<nobody@example.org>");
        assert_eq!(reply.to_string(), "550 5.0.0 unknown user", "Exim's own words");
        gatepost.end_well();
    }
}

/// Exim finds fault with who talks before its banner, and has no XCLIENT.
#[test]
fn an_exim_that_expects_no_identity_gets_no_mail() {
    for identity in ["proxy-v1", "proxy-v2", "xclient"] {
        let exim = Exim::plain();
        let gatepost = plan(exim.address(), identity).start();
        fails_closed(&gatepost);
        assert!(!exim.log().contains("<="), "{}", exim.log());
        gatepost.end_well();
    }
}

#[test]
fn exim_takes_mail_without_an_identity() {
    let exim = Exim::plain();
    let gatepost = plan(exim.address(), "none").start();
    let sent = send(&gatepost, CLIENT, "none");
    exim.logged(&["<= joe@sender.example", "[127.0.0.1]"]);
    let added = AddedFields::of(&exim.delivered("suzie", 1)[0], &sent);
    assert!(added.all("received")[1].contains("[127.0.0.7]) by mx.example.org"), "{added:?}");
    gatepost.end_well();
}
