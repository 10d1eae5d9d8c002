//! Who the client is and how it arrives: behind HAProxy, behind a hop that speaks XCLIENT, and talking before its turn (rows 45 and
//! 182 to 185 of the catalogue of attacks).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::harness::{
    AddedFields, AtTheDot, Authority, Client, Gatepost, HaProxy, Plan, Postfix, Program, Sink, folder,
    letter, until,
};

const BALANCER: &str = "proxy_protocol: [127.0.0.1]";
/// A client that is not Gatepost's, the balancer's or the test's own address.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// A session through the balancer that was greeted and has said EHLO.
#[track_caller]
fn introduced(balancer: SocketAddr, from: Ipv4Addr) -> Client {
    let mut client = Client::connect_from(from, balancer).unwrap();
    client.expect(220);
    assert_eq!(client.ask("EHLO client.example.net").code, 250);
    client
}

/// Mail that comes through a HAProxy with this word behind its server is the client's, from the connection to Postfix.
fn names_the_client(word: &str) {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).listener(BALANCER).start();
    let balancer = HaProxy::in_front_of(gatepost.address(), word);
    let sent = letter("balanced");
    let reply =
        introduced(balancer.address(), CLIENT).deliver("joe@sender.example", "suzie@example.org", &sent);
    assert_eq!(reply.code, 250, "{reply}");
    let added = AddedFields::of(&postfix.delivered("suzie", 1)[0], &sent);
    let received = added.all("received")[1].to_owned();
    assert!(received.contains("[127.0.0.9]) by mx.example.org"), "{received}");
    postfix.logged(&["client=unknown[127.0.0.9]"]);
    gatepost.logged(&["\"event\":\"transaction\"", "\"client\":\"127.0.0.9\""]);
    gatepost.end_well();
}

#[test]
fn haproxy_names_the_client_by_version_1() {
    names_the_client("send-proxy");
}

#[test]
fn haproxy_names_the_client_by_version_2_with_fields_behind_it() {
    names_the_client("send-proxy-v2 proxy-v2-options crc32c");
}

#[test]
fn tls_begins_behind_the_header() {
    let (folder, sink) = (folder("tls"), Sink::start(AtTheDot::Take));
    let authority = Authority::in_folder(folder.path());
    let gatepost = Plan::in_front_of_server(sink.address())
        .listener(BALANCER)
        .listener(format!("tls: {}", authority.setting("implicit")))
        .start();
    let balancer = HaProxy::in_front_of(gatepost.address(), "send-proxy-v2");
    let client = Client::connect_from(CLIENT, balancer.address()).unwrap();
    let mut client = client.encrypted(&authority.trust()).unwrap();
    client.expect(220);
    assert_eq!(client.ask("EHLO client.example.net").code, 250);
    assert_eq!(client.deliver("joe@sender.example", "suzie@example.org", &letter("tls")).code, 250);
    gatepost.logged(&["\"event\":\"transaction\"", "\"client\":\"127.0.0.9\""]);
    gatepost.end_well();
}

#[test]
fn the_limit_of_an_address_is_the_clients_and_not_the_balancers() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address())
        .listener(BALANCER)
        .listener("limits: { sessions_per_ip: 2 }")
        .start();
    let balancer = HaProxy::in_front_of(gatepost.address(), "send-proxy-v2");
    let to = balancer.address();
    let held = [introduced(to, CLIENT), introduced(to, CLIENT)];
    let mut third = Client::connect_from(CLIENT, to).unwrap();
    third.expect(421);
    let other = introduced(to, Ipv4Addr::new(127, 0, 0, 10));
    assert_eq!(gatepost.metrics().sum("connections_total", &[("outcome", "limit_per_ip")]), 1);
    drop((other, held));
    gatepost.end_well();
}

#[test]
fn a_connection_of_the_balancers_without_a_header_is_closed() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address()).listener(BALANCER).start();
    let mut plain = Client::connect(gatepost.address()).unwrap();
    plain.send(b"EHLO client.example.net\r\n").unwrap();
    assert!(plain.is_closed(), "not a word");
    let wrong = HaProxy::in_front_of(gatepost.address(), "");
    let mut client = Client::connect_from(CLIENT, wrong.address()).unwrap();
    client.send(b"EHLO client.example.net\r\n").unwrap();
    assert!(client.is_closed());
    gatepost.logged(&[
        "\"event\":\"no_proxy_header\"",
        "does not begin with a PROXY header",
        "\"hop\":\"127.0.0.1\"",
    ]);
    gatepost.counted("connections_total", &[("outcome", "no_proxy_header")], 2);
    // From elsewhere nobody has to send one.
    let mut stranger = Client::connect_from(CLIENT, gatepost.address()).unwrap();
    stranger.expect(220);
    drop(stranger);
    gatepost.end_well();
}

#[test]
fn headers_that_never_come_are_bounded_and_end() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address())
        .listener(BALANCER)
        .listener("limits: { sessions: 5, sessions_per_ip: 2 }")
        .start();
    let begin = Instant::now();
    let mut silent: Vec<Client> = (0..5).map(|_| Client::connect(gatepost.address()).unwrap()).collect();
    silent[0].send(b"PROXY TCP4 192.0.2.7").unwrap();
    until("the room to be full", Duration::from_secs(5), || {
        let mut next = Client::connect(gatepost.address()).unwrap();
        matches!(next.reply(), Ok(reply) if reply.code == 421).then_some(())
    });
    assert!(silent.iter_mut().all(Client::is_closed));
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(15), "{took:?}");
    let mut client = Client::connect(gatepost.address()).unwrap();
    client.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n").unwrap();
    client.expect(220);
    drop(client);
    gatepost.end_well();
}

#[test]
fn swaks_speaks_for_a_client_by_xclient() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix)
        .listener("xclient: [127.0.0.1]")
        .dns("sender.example MX 10 mail.sender.example\nmail.sender.example A 192.0.2.7")
        .start();
    let swaks = |from: &str| {
        Program::new("swaks")
            .words("--xclient-addr 192.0.2.7 --xclient-name mail.sender.example --xclient-port 4711")
            .words("--ehlo mail.sender.example --from joe@sender.example --to suzie@example.org")
            .words(&format!("--local-interface {from} --server {}", gatepost.address()))
    };
    swaks("127.0.0.1").succeed();
    let stored = postfix.delivered("suzie", 1);
    let text = String::from_utf8_lossy(&stored[0]);
    assert!(text.contains("from mail.sender.example (mail.sender.example [192.0.2.7])"), "{text}");
    postfix.logged(&["client=mail.sender.example[192.0.2.7]"]);
    gatepost.logged(&["\"event\":\"xclient\"", "\"hop\":\"127.0.0.1\"", "\"client\":\"192.0.2.7\""]);

    let stranger = swaks("127.0.0.9").run();
    assert!(stranger.errors.contains("did not advertise XCLIENT"), "{stranger}");
    let mut stranger = Client::connect_from(CLIENT, gatepost.address()).unwrap();
    stranger.expect(220);
    assert_eq!(stranger.ask("XCLIENT ADDR=127.0.0.1").code, 550);
    drop(stranger);
    assert_eq!(gatepost.metrics().sum("commands_total", &[("command", "xclient")]), 2);
    gatepost.end_well();
}

/// How often a rule of the protocol gate has spoken.
fn spoken(gatepost: &Gatepost, rule: &str) -> u64 {
    gatepost.metrics().sum("policy_decisions_total", &[("rule", rule)])
}

#[test]
fn a_client_that_talks_first_is_told_so_and_a_patient_one_is_served() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address()).listener("greet_delay: 1s").start();
    let mut hasty = Client::connect(gatepost.address()).unwrap();
    hasty.send(b"EHLO spam.example\r\nMAIL FROM:<a@spam.example>\r\n").unwrap();
    hasty.expect(554);
    assert!(hasty.is_closed());
    assert_eq!(spoken(&gatepost, "protocol.pregreet"), 1);
    let begin = Instant::now();
    let mut patient = gatepost.introduced();
    assert!(begin.elapsed() >= Duration::from_millis(900), "{:?}", begin.elapsed());
    assert_eq!(patient.deliver("joe@sender.example", "suzie@example.org", &letter("patient")).code, 250);
    drop(patient);
    gatepost.end_well();
}

#[test]
fn without_a_delay_what_is_there_before_the_banner_counts() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address()).listener(BALANCER).start();
    for round in 1..=20 {
        // With the header in the same segment, what is behind it is there before anything can be said.
        let mut hasty = Client::connect(gatepost.address()).unwrap();
        hasty.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\nEHLO spam.example\r\n").unwrap();
        hasty.expect(554);
        assert_eq!(spoken(&gatepost, "protocol.pregreet"), round);
        let mut patient = Client::connect(gatepost.address()).unwrap();
        patient.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n").unwrap();
        patient.expect(220);
    }
    gatepost.end_well();
}

#[test]
fn tls_on_a_plaintext_port_ends_at_once_and_the_log_says_why() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address()).start();
    let address = gatepost.address().to_string();
    let session = Program::new("openssl").words("s_client -connect").arg(&address).run();
    assert!(!session.status.success(), "{session}");
    gatepost.logged(&["protocol.foreign-command", "TLS on a plaintext port"]);
    assert_eq!(spoken(&gatepost, "protocol.foreign-command"), 1);
    let browser =
        Program::new("curl").words("--http0.9 --max-time 10").arg(format!("http://{address}/evil")).run();
    assert!(!browser.output.contains("evil"), "{browser}");
    until("the browser to be sent away", Duration::from_secs(10), || {
        let rules = ["protocol.foreign-command", "protocol.pregreet"];
        (rules.iter().map(|rule| spoken(&gatepost, rule)).sum::<u64>() == 2).then_some(())
    });
    gatepost.end_well();
}
