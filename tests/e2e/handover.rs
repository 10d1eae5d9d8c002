//! How it ends and begins again: drain, sockets of systemd's, and what systemd is told.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{
    AtTheDot, Client, Gatepost, Launch, Load, Plan, SOON, Sink, command, folder, letter, until,
};

const SECOND: Duration = Duration::from_secs(1);

/// A client that is in the middle of a transaction.
fn in_transaction(gatepost: &Gatepost) -> Client {
    let mut client = gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    assert_eq!(client.ask("RCPT TO:<suzie@example.org>").code, 250);
    client
}

fn plan(sink: &Sink, drain: &str) -> Plan {
    Plan::in_front_of_server(sink.address()).section(format!("shutdown: {{ drain: {drain} }}"))
}

#[test]
fn idle_sessions_hear_so_at_once_and_a_transaction_is_finished() {
    let sink = Sink::start(AtTheDot::Take);
    let mut gatepost = plan(&sink, "60s").start();
    let mut fresh = Client::connect(gatepost.address()).unwrap();
    fresh.expect(220);
    let mut idle = gatepost.introduced();
    let mut busy = in_transaction(&gatepost);
    let begin = Instant::now();
    gatepost.signal(Signal::TERM);
    for client in [&mut fresh, &mut idle] {
        let reply = client.expect(421);
        assert!(reply.text().starts_with("4.3.2 "), "{reply}");
        assert!(client.is_closed());
    }
    assert!(begin.elapsed() < 2 * SECOND, "{:?}", begin.elapsed());
    assert_eq!(busy.ask("DATA").code, 354);
    busy.send(&[&letter("last")[..], b".\r\n"].concat()).unwrap();
    busy.expect(250);
    busy.expect(421);
    drop((fresh, idle, busy));
    assert!(gatepost.exit(10 * SECOND).success());
    gatepost.left_well();
    assert_eq!(sink.taken().len(), 1);
}

#[test]
fn the_drain_limit_ends_what_is_left() {
    let sink = Sink::start(AtTheDot::Take);
    let mut gatepost = plan(&sink, "1s").start();
    let mut busy = in_transaction(&gatepost);
    let begin = Instant::now();
    gatepost.signal(Signal::TERM);
    busy.expect(421);
    assert!(begin.elapsed() >= SECOND, "{:?}", begin.elapsed());
    drop(busy);
    assert!(gatepost.exit(5 * SECOND).success());
    gatepost.left_well();
}

#[test]
fn a_second_sigterm_does_not_wait() {
    let sink = Sink::start(AtTheDot::Take);
    let mut gatepost = plan(&sink, "10m").start();
    let mut busy = in_transaction(&gatepost);
    gatepost.signal(Signal::TERM);
    gatepost.logged(&["draining"]);
    gatepost.signal(Signal::TERM);
    busy.expect(421);
    drop(busy);
    assert!(gatepost.exit(5 * SECOND).success());
    gatepost.left_well();
}

/// Starts the program as systemd does: with an open socket as descriptor 3, and the name of it.
fn handed(socket: &TcpListener, name: &str) -> Launch {
    const EXEC: &str = "exec 3<&0 </dev/null; LISTEN_PID=$$ exec \"$@\"";
    let through = ["sh", "-c", EXEC, "sh"].map(str::to_owned).to_vec();
    let environment = [("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", name)];
    Launch {
        through,
        environment: environment.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
        socket: Some(socket.try_clone().unwrap()),
    }
}

/// A second listener, on the socket of that name.
fn activated(sink: &Sink) -> Plan {
    let section = "\n  activated:\n    listen: \"systemd:smtp\"\n    upstream: main\n    limits: { sessions_per_ip: 100 }";
    Plan::in_front_of_server(sink.address()).listener(section)
}

#[test]
fn a_restart_refuses_no_connection() {
    let sink = Sink::start(AtTheDot::Take);
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = socket.local_addr().unwrap();
    let mut gatepost = activated(&sink).start_by(handed(&socket, "smtp"));
    let load = Load::start(to, 4, 400, 60 * SECOND);
    for messages in [20, 60] {
        load.await_acknowledged(messages);
        gatepost.signal(Signal::TERM);
        assert!(gatepost.exit(20 * SECOND).success(), "{}", gatepost.log());
        waits_in_the_kernel(to);
        gatepost.start_again();
    }
    let report = load.finish();
    assert_eq!(report.lost, 0, "connections were refused or broken off");
    for refusal in report.refused.keys() {
        assert!(refusal.starts_with("421 4.3.2 "), "{refusal}");
    }
    assert_eq!(sink.taken().len(), 400);
    gatepost.end_well();
}

/// Nobody accepts, and nobody is refused.
#[track_caller]
fn waits_in_the_kernel(to: SocketAddr) {
    drop(Client::connect(to).unwrap());
}

#[test]
fn a_socket_that_was_not_handed_over_is_named() {
    let sink = Sink::start(AtTheDot::Take);
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let gatepost = activated(&sink).start_by(handed(&socket, "smtp"));
    let said = |names: Option<&str>| {
        let mut run = command(Path::new("/"));
        if let Some(name) = names {
            let launch = handed(&socket, name);
            run = std::process::Command::new(&launch.through[0]);
            run.args(&launch.through[1..]).arg(env!("CARGO_BIN_EXE_gatepost")).envs(launch.environment);
            run.stdin(Stdio::from(std::os::fd::OwnedFd::from(socket.try_clone().unwrap())));
        }
        // Another one runs with the same configuration, at the same port.
        let text = std::fs::read_to_string(gatepost.configuration()).unwrap();
        let port = gatepost.address().port().to_string();
        std::fs::write(gatepost.path("other.yaml"), text.replace(&port, "0").replace("admin:", "#")).unwrap();
        let output = run.args(["run", "-c"]).arg(gatepost.path("other.yaml")).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let alone = said(None);
    assert!(alone.contains("`activated`") && alone.contains("FileDescriptorName=smtp"), "{alone}");
    let other = said(Some("submission"));
    assert!(other.contains("no socket named `smtp`") && other.contains("`submission`"), "{other}");
    gatepost.end_well();
}

#[test]
fn systemd_is_told_what_goes_on() {
    let sink = Sink::start(AtTheDot::Take);
    let folder = folder("notify");
    let place = folder.path().join("notify");
    let manager = UnixDatagram::bind(&place).unwrap();
    manager.set_read_timeout(Some(SOON)).unwrap();
    let environment = vec![
        ("NOTIFY_SOCKET".to_owned(), place.display().to_string()),
        ("WATCHDOG_USEC".to_owned(), "200000".to_owned()),
    ];
    let mut gatepost = plan(&sink, "60s").start_by(Launch { environment, ..Launch::default() });
    let told = |what: &str| {
        until(what, SOON, || {
            let mut datagram = [0; 4096];
            let length = manager.recv(&mut datagram).unwrap();
            let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
            text.lines().any(|line| line == what).then_some(text)
        })
    };
    assert!(told("READY=1").contains("STATUS=serving"));
    told("WATCHDOG=1");
    let begin = Instant::now();
    told("WATCHDOG=1");
    assert!(begin.elapsed() < 2 * SECOND, "twice in each 200 ms");
    gatepost.signal(Signal::HUP);
    assert!(told("RELOADING=1").contains("MONOTONIC_USEC="));
    told("READY=1");
    let busy = in_transaction(&gatepost);
    gatepost.signal(Signal::TERM);
    assert!(told("STOPPING=1").contains("STATUS=draining"));
    told("WATCHDOG=1");
    drop(busy);
    assert!(gatepost.exit(10 * SECOND).success());
}
