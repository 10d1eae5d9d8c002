//! A thousand slow clients, one greedy one, and too few file descriptors (rows 197 and 200 to 205 of the catalogue of attacks).

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::harness::{
    AtTheDot, Authority, Client, Gatepost, Launch, Plan, SOON, Sink, folder, letter, until,
};

/// What the others may cost an ordinary message.
const PROMPT: Duration = Duration::from_secs(1);

/// The tests hold more connections than a shell's limit of descriptors allows.
fn many_connections() {
    static RAISED: Once = Once::new();
    RAISED.call_once(|| {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    });
}

/// As many addresses of this machine as there are networks to put them in.
fn address(number: usize) -> Ipv4Addr {
    let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
    Ipv4Addr::new(127, 1 + high, low, 1)
}

fn start(keys: &[&str]) -> (Sink, Gatepost) {
    // What is remembered of decisions has a bound of its own, and would be counted for the sessions' memory.
    start_keeping("{ memory: 0, file: decisions.jsonl }", keys)
}

fn start_keeping(decisions: &str, keys: &[&str]) -> (Sink, Gatepost) {
    many_connections();
    let sink = Sink::start(AtTheDot::Take);
    let plan = Plan::in_front_of_server(sink.address()).section(format!("decisions: {decisions}"));
    let plan = keys.iter().fold(plan, |plan, key| plan.listener(*key));
    (sink, plan.start())
}

/// One ordinary message, from its connection to its 250.
#[track_caller]
fn deliver_promptly(from: Ipv4Addr, to: SocketAddr) {
    let begin = Instant::now();
    let mut client = Client::connect_from(from, to).unwrap();
    client.expect(220);
    assert_eq!(client.ask("EHLO client.example.net").code, 250);
    let reply = client.deliver("joe@sender.example", "suzie@example.org", &letter("prompt"));
    assert_eq!(reply.code, 250, "{reply}");
    assert!(begin.elapsed() < PROMPT, "{:?}", begin.elapsed());
}

/// A thousand clients, each with an address of its own, that say this much and then nothing.
#[track_caller]
fn slow_clients(commands: &[&str], half: &[u8]) {
    const CLIENTS: usize = 1000;
    let (_sink, gatepost) = start(&[]);
    let to = gatepost.address();
    let slow = |number| {
        let mut client = Client::connect_from(address(number), to).unwrap();
        client.expect(220);
        for command in commands {
            let reply = client.ask(command);
            assert!(reply.class() < 4, "{command}: {reply}");
        }
        client.send(half).unwrap();
        client
    };
    let slow: Vec<Client> = thread::scope(|scope| {
        let parts: Vec<_> = (0..4)
            .map(|part| scope.spawn(move || (part..CLIENTS).step_by(4).map(slow).collect::<Vec<_>>()))
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    assert_eq!(gatepost.metrics().sum("sessions_active", &[]), CLIENTS as u64);
    for last in 1..6 {
        deliver_promptly(Ipv4Addr::new(127, 0, 0, last), to);
    }
    drop(slow);
    gatepost.end_well();
}

#[test]
fn a_thousand_that_connect_and_say_nothing_are_no_harm() {
    slow_clients(&[], b"");
}

#[test]
fn a_thousand_in_the_middle_of_helo_are_no_harm() {
    slow_clients(&[], b"EHLO cli");
}

#[test]
fn a_thousand_in_the_middle_of_mail_are_no_harm() {
    slow_clients(&["EHLO client.example.net"], b"MAIL FROM:<joe@send");
}

#[test]
fn a_thousand_in_the_middle_of_a_message_are_no_harm() {
    let commands =
        ["EHLO client.example.net", "MAIL FROM:<joe@sender.example>", "RCPT TO:<suzie@example.org>", "DATA"];
    slow_clients(&commands, b"Subject: slow\r\n\r\nword ");
}

/// Opens so many sessions and gives the KiB that each of them costs while it waits.
#[track_caller]
fn idle_cost(gatepost: &Gatepost, count: usize, open: impl Fn(Client) -> Client) -> f64 {
    let connect = |number| {
        let mut client = Client::connect_from(address(number), gatepost.address()).unwrap();
        client.expect(220);
        open(client)
    };
    // What the first sessions need, and the others need not again.
    let warm: Vec<Client> = (0..50).map(connect).collect();
    let before = gatepost.resident_memory();
    let idle: Vec<Client> = (50..50 + count).map(connect).collect();
    let cost = gatepost.resident_memory().saturating_sub(before) as f64 / count as f64;
    drop((warm, idle));
    cost
}

#[test]
fn an_idle_session_costs_little_memory() {
    let (_sink, gatepost) = start(&[]);
    let cost = idle_cost(&gatepost, 1500, |mut client| {
        assert_eq!(client.ask("EHLO client.example.net").code, 250);
        client
    });
    assert!(cost <= 16.0, "{cost} KiB");
    gatepost.end_well();
}

#[test]
fn a_session_that_has_sent_a_message_gives_its_buffers_back() {
    let message = [&letter("large")[..], &b"line\r\n".repeat(20_000)].concat();
    // Where decisions are written, those on their way to the disk belong to no session: over many they count little for each.
    for (decisions, count) in [("{ memory: 0 }", 200), ("{ memory: 0, file: decisions.jsonl }", 600)] {
        let (_sink, gatepost) = start_keeping(decisions, &[]);
        let cost = idle_cost(&gatepost, count, |mut client| {
            assert_eq!(client.ask("EHLO client.example.net").code, 250);
            assert_eq!(client.deliver("joe@sender.example", "suzie@example.org", &message).code, 250);
            client
        });
        assert!(cost <= 24.0, "{cost} KiB with {decisions}");
        gatepost.end_well();
    }
}

#[test]
fn an_idle_session_under_tls_costs_little_memory() {
    let folder = folder("idle");
    let authority = Authority::in_folder(folder.path());
    let (_sink, gatepost) = start(&[&format!("tls: {}", authority.setting("opportunistic"))]);
    let trust = authority.trust();
    let cost = idle_cost(&gatepost, 500, |mut client| {
        assert_eq!(client.ask("EHLO client.example.net").code, 250);
        let mut client = client.start_tls(&trust);
        assert_eq!(client.ask("EHLO client.example.net").code, 250);
        client
    });
    assert!(cost <= 64.0, "{cost} KiB");
    gatepost.end_well();
}

#[test]
fn four_hundred_from_one_address_are_capped_and_no_other_is_harmed() {
    let (_sink, gatepost) = start(&[]);
    let to = gatepost.address();
    let mut clients: Vec<Client> = (0..400).map(|_| Client::connect(to).unwrap()).collect();
    let codes: Vec<u16> = clients.iter_mut().map(|client| client.reply().unwrap().code).collect();
    assert_eq!(codes.iter().filter(|code| **code == 220).count(), 20);
    assert_eq!(codes.iter().filter(|code| **code == 421).count(), 380);
    deliver_promptly(Ipv4Addr::new(127, 9, 9, 9), to);
    let metrics = gatepost.metrics();
    assert_eq!(metrics.sum("connections_total", &[("outcome", "limit_per_ip")]), 380);
    assert_eq!(metrics.sum("limits_total", &[("limit", "sessions_per_ip")]), 380);
    let told = gatepost.log().lines().filter(|line| line.contains("sessions_per_ip")).count();
    assert!((1..380).contains(&told), "{told} lines for 380 refusals");
    drop(clients);
    until("a place to be free", SOON, || {
        (Client::connect(to).unwrap().reply().unwrap().code == 220).then_some(())
    });
    gatepost.end_well();
}

#[test]
fn a_network_and_the_rate_of_an_address_have_limits() {
    let (_sink, gatepost) =
        start(&["limits: { sessions_per_network: 3, connection_rate: 5/h, exempt: [127.7.0.0/16] }"]);
    let to = gatepost.address();
    let connect = |from: [u8; 4]| {
        let mut client = Client::connect_from(from.into(), to).unwrap();
        let code = client.reply().unwrap().code;
        (client, code)
    };
    let held: Vec<_> = (1..4).map(|last| connect([127, 5, 0, last])).collect();
    assert!(held.iter().all(|(_, code)| *code == 220));
    assert_eq!(connect([127, 5, 0, 9]).1, 421, "the network is full");
    assert_eq!(connect([127, 5, 1, 9]).1, 220, "and its neighbour is not");
    let codes: Vec<u16> = (0..7).map(|_| connect([127, 6, 0, 1]).1).collect();
    assert_eq!(codes.iter().filter(|code| **code == 421).count(), 2, "{codes:?}");
    let free: Vec<_> = (0..9).map(|_| connect([127, 7, 0, 1])).collect();
    assert!(free.iter().all(|(_, code)| *code == 220), "exempt");
    let metrics = gatepost.metrics();
    assert_eq!(metrics.sum("connections_total", &[("outcome", "limit_per_network")]), 1);
    assert_eq!(metrics.sum("connections_total", &[("outcome", "limit_connection_rate")]), 2);
    drop((held, free));
    gatepost.end_well();
}

#[test]
fn who_begins_too_many_handshakes_gets_no_connection() {
    let folder = folder("handshakes");
    let authority = Authority::in_folder(folder.path());
    let tls = format!("tls: {}", authority.setting("opportunistic"));
    let (_sink, gatepost) = start(&[&tls, "limits: { handshake_rate: 3/h }"]);
    for _ in 0..3 {
        let mut client = gatepost.introduced().start_tls(&authority.trust());
        assert_eq!(client.ask("EHLO client.example.net").code, 250);
        client.ask("QUIT");
    }
    let mut fourth = Client::connect(gatepost.address()).unwrap();
    let reply = fourth.expect(421);
    assert!(reply.text().starts_with("4.7.0 "), "{reply}");
    deliver_promptly(Ipv4Addr::new(127, 0, 0, 2), gatepost.address());
    assert_eq!(gatepost.metrics().sum("connections_total", &[("outcome", "limit_handshake_rate")]), 1);
    gatepost.end_well();
}

#[test]
fn with_few_descriptors_those_inside_are_served_and_it_recovers() {
    many_connections();
    let sink = Sink::start(AtTheDot::Take);
    let through = ["prlimit", "--nofile=256:256", "--"].map(str::to_owned).to_vec();
    let gatepost = Plan::in_front_of_server(sink.address()).start_by(Launch { through, ..Launch::default() });
    let to = gatepost.address();
    gatepost.logged(&["few_descriptors"]);
    let mut clients: Vec<Client> =
        (0..400).map(|number| Client::connect_from(address(number), to).unwrap()).collect();
    let codes: Vec<u16> = clients.iter_mut().map(|client| client.reply().unwrap().code).collect();
    let inside = codes.iter().filter(|code| **code == 220).count();
    assert!((40..85).contains(&inside), "{inside}");
    assert_eq!(codes.iter().filter(|code| **code == 421).count(), 400 - inside);
    assert_eq!(gatepost.metrics().sum("sessions_limit", &[]), inside as u64);
    // Everybody inside has what a message needs: connections to the upstream for all of them at once.
    let mut served: Vec<&mut Client> =
        clients.iter_mut().zip(&codes).filter(|(_, code)| **code == 220).map(|(client, _)| client).collect();
    for client in &mut served {
        assert_eq!(client.ask("EHLO client.example.net").code, 250);
        assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
        let reply = client.ask("RCPT TO:<suzie@example.org>");
        assert_eq!(reply.code, 250, "{reply}");
    }
    calm(&gatepost);
    drop(clients);
    until("a place to be free", SOON, || {
        (Client::connect(to).unwrap().reply().unwrap().code == 220).then_some(())
    });
    deliver_promptly(Ipv4Addr::new(127, 0, 0, 3), to);
    gatepost.end_well();
}

/// While it is full and more keep knocking, it uses little of the processor.
#[track_caller]
fn calm(gatepost: &Gatepost) {
    let (begin, used) = (Instant::now(), gatepost.processor_time());
    // A rate needs a span of time to be measured over.
    while begin.elapsed() < Duration::from_secs(2) {
        Client::connect_from(Ipv4Addr::new(127, 99, 0, 1), gatepost.address()).unwrap().expect(421);
        thread::sleep(Duration::from_millis(20));
    }
    let used = gatepost.processor_time() - used;
    assert!(used < begin.elapsed().mul_f64(0.6), "{used:?} in {:?}", begin.elapsed());
}

#[test]
fn three_thousand_that_connect_and_reset_leave_nothing_behind() {
    let (_sink, gatepost) = start(&[]);
    let to = gatepost.address();
    deliver_promptly(Ipv4Addr::LOCALHOST, to);
    let before = gatepost.open_files();
    for number in 0..3000 {
        Client::connect_from(address(number), to).unwrap().reset();
    }
    until("every session to be over", SOON, || {
        (gatepost.metrics().sum("sessions_active", &[]) == 0).then_some(())
    });
    until("their sockets to be closed", SOON, || (gatepost.open_files() <= before + 2).then_some(()));
    deliver_promptly(Ipv4Addr::LOCALHOST, to);
    gatepost.end_well();
}

#[test]
fn a_hundred_thousand_commands_without_mail_end_after_a_hundred() {
    let (_sink, gatepost) = start(&[]);
    let mut client = gatepost.introduced();
    // It hangs up long before it has read them all.
    _ = client.send(&b"NOOP\r\n".repeat(100_000));
    let mut codes = Vec::new();
    while let Ok(reply) = client.reply() {
        codes.push(reply.code);
    }
    assert!(codes.len() <= 101, "{} replies", codes.len());
    until("the limit to be counted", SOON, || {
        (gatepost.metrics().sum("commands_total", &[("command", "noop")]) <= 101).then_some(())
    });
    deliver_promptly(Ipv4Addr::new(127, 0, 0, 2), gatepost.address());
    gatepost.end_well();
}
