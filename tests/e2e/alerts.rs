//! The alerts of `grafana/alerts.yml` in a real Prometheus, fired by a real Gatepost that one thing after the other befalls. `promtool` has
//! all of them with their true times.
//!
//! Acceptance mismatch is for `promtool` alone: for it to fire, Gatepost would have to lie to a client.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{
    AtTheDot, Authority, Client, Gatepost, Plan, Prometheus, SOON, Sink, folder, free_port, letter,
    repository, until,
};

/// Longer than an upstream may take for a command until its alert fires.
const SLOW: Duration = Duration::from_millis(5_200);

/// One sender's mail fails, another's is to be kept.
const POLICY: &str = r#"
fn mail(session, mail) {
    remember("sender", mail.sender.address, "1h");
    if mail.sender.local_part == "broken" { throw "no"; }
}
fn message(session, mail, message) {
    if mail.sender.local_part == "kept" { quarantine("kept", "somebody should look"); }
}
"#;

/// The rules as they are, but none waits: whether it lasts is not the question here.
fn rules() -> String {
    let text = fs::read_to_string(repository().join("grafana/alerts.yml")).unwrap();
    let impatient = |line: &str| {
        let (indent, _) = line.split_once("for: ")?;
        indent.trim().is_empty().then(|| format!("{indent}for: 0s"))
    };
    let lines: Vec<_> = text.lines().map(|line| impatient(line).unwrap_or_else(|| line.to_owned())).collect();
    lines.join("\n") + "\n"
}

/// The same, with seconds in the place of the minutes and of the day that they look back.
fn short_sighted(rules: &str) -> String {
    let shorter = [
        ("[30m])", "[5s])"),
        ("[15m]", "[5s]"),
        ("offset 15m", "offset 5s"),
        ("build_info offset 1d", "build_info offset 2s"),
    ];
    shorter.iter().fold(rules.to_owned(), |rules, (long, short)| {
        assert!(rules.contains(long), "{long}");
        rules.replace(long, short)
    })
}

/// Waits until all of these fire at the same time; gives whatever fires then.
#[track_caller]
fn fires(prometheus: &Prometheus, expected: &BTreeSet<&str>) -> BTreeSet<String> {
    until(&format!("these to fire: {expected:?}"), SOON, || {
        let firing = prometheus.firing();
        expected.iter().all(|alert| firing.contains(*alert)).then_some(firing)
    })
}

/// One whose state is a server that is not there, whose certificate is over, whose list in the DNS has no test entries, whose quarantine has
/// no room, and one of whose upstreams is away.
fn unfortunate(upstream: SocketAddr, authority: &Authority) -> Gatepost {
    let nobody = || format!("127.0.0.1:{}", free_port());
    let lost = format!("{{ address: \"{}\", client_identity: none, tls: {{ mode: off }} }}", nobody());
    Plan::in_front_of_server(upstream)
        .route("example.net", "lost", &lost)
        .policy("70-odd.rhai", POLICY)
        .section(format!("state: redis://{}/0", nobody()))
        .section("quarantine: { dir: quarantine, max_size: 1MiB }")
        .section("policies: { dir: \"@POLICIES@\", settings: { dnsbl: { zones: [gone.test] } } }")
        .section("decisions: { file: decisions/lines }")
        .file("decisions/lines", "")
        .listener(format!("tls: {}", authority.setting("opportunistic")))
        .listener("limits: { sessions: 5 }")
        .start()
}

/// A message with more in it than the quarantine has room for.
fn deliver(gatepost: &Gatepost, from: &str) -> u16 {
    let mut message = letter("unfortunate");
    message.extend_from_slice(&b"A line that takes room.\r\n".repeat(60_000));
    gatepost.introduced().deliver(from, "suzie@example.org", &message).code
}

#[test]
fn what_befalls_a_gatepost_fires_its_alerts() {
    let (folder, sink) = (folder("alerts"), Sink::start(AtTheDot::HangUp));
    let mut gatepost = unfortunate(sink.address(), &Authority::expired(folder.path()));
    let prometheus = Prometheus::watching(gatepost.admin(), &rules());
    prometheus.expect("up", 1.0);
    // What has to happen first has not happened yet.
    let mut expected: BTreeSet<&str> =
        ["GatepostCertificateExpiring", "GatepostDnsblBlocked", "GatepostUpstreamDown"].into();
    let eventful = [
        "GatepostAmbiguousDelivery",
        "GatepostPolicyErrors",
        "GatepostStoreDown",
        "GatepostQuarantineRefuses",
        "GatepostDecisionsDropped",
        "GatepostSessionsNearLimit",
        "GatepostReloadFailed",
        "GatepostDown",
    ];
    let firing = fires(&prometheus, &expected);
    assert!(eventful.iter().all(|alert| !firing.contains(*alert)), "{firing:?}");

    fs::rename(gatepost.path("decisions"), gatepost.path("gone")).unwrap();
    assert_eq!(deliver(&gatepost, "joe@sender.example"), 451, "lost at the dot");
    assert_eq!(deliver(&gatepost, "broken@sender.example"), 451);
    assert_eq!(deliver(&gatepost, "kept@sender.example"), 452);
    let open: Vec<Client> = (0..5).map(|_| gatepost.introduced()).collect();
    fs::write(gatepost.configuration(), "hostname: [\n").unwrap();
    gatepost.signal(Signal::HUP);
    expected.extend(eventful.iter().filter(|alert| **alert != "GatepostDown"));
    fires(&prometheus, &expected);
    drop(open);

    // The sums while there is somebody to ask; the decisions were lost on purpose.
    gatepost.balanced();
    gatepost.kill();
    fires(&prometheus, &["GatepostDown"].into());
}

/// A server that takes its time for MAIL.
fn slow_server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // The client went away: that concerns this session alone.
            thread::spawn(move || drop(answer_slowly(stream)));
        }
    });
    address
}

fn answer_slowly(mut stream: TcpStream) -> io::Result<()> {
    let lines = BufReader::new(stream.try_clone()?).lines();
    stream.write_all(b"220 slow.example ESMTP\r\n")?;
    for line in lines.map_while(Result::ok) {
        if line.starts_with("MAIL") {
            // Slow is the point.
            thread::sleep(SLOW);
        }
        stream.write_all(b"250 slow.example\r\n")?;
    }
    Ok(())
}

/// A message waits for two answers of the DNS, one after the other.
const CURIOUS: &str = r#"
fn message(session, mail, message) {
    if dns_a("one.example").result == "ok" || dns_a("two.example").result == "ok" { score("known", 1); }
}
"#;

/// One whose DNS says nothing, and of whose upstreams one has an address that is away, one is slow and one has lost its STARTTLS.
fn hindered(dns: SocketAddr) -> Gatepost {
    let sink = Sink::start(AtTheDot::Take).address();
    let away = free_port();
    let upstream = |addresses: &str, tls: &str| {
        format!("{{ address: [{addresses}], client_identity: none, tls: {{ {tls} }} }}")
    };
    Plan::with_upstream(&upstream(&format!("\"{sink}\", \"127.0.0.1:{away}\""), "mode: off"))
        .route("example.net", "slow", &upstream(&format!("\"{}\"", slow_server()), "mode: off"))
        .route("example.com", "plain", &upstream(&format!("\"{sink}\""), "mode: required, verify: false"))
        .section(format!("dns: {{ servers: [\"{dns}\"], timeout: 2s }}"))
        .policy("09-curious.rhai", CURIOUS)
        .start()
}

#[test]
fn what_hinders_mail_fires_its_alerts() {
    let dns = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let gatepost = hindered(dns.local_addr().unwrap());
    let prometheus = Prometheus::watching(gatepost.admin(), &rules());
    prometheus.expect("up", 1.0);
    let eventful = ["GatepostUpstreamSlow", "GatepostAddedLatency", "GatepostDnsFailing"];
    let mut expected: BTreeSet<&str> = ["GatepostUpstreamAddressDown"].into();
    let firing = fires(&prometheus, &expected);
    assert!(eventful.iter().all(|alert| !firing.contains(*alert)), "{firing:?}");

    let mut waiting = gatepost.introduced();
    waiting.send(b"MAIL FROM:<joe@sender.example>\r\nRCPT TO:<suzie@example.net>\r\n").unwrap();
    let mut refused = gatepost.introduced();
    assert_eq!(refused.ask("MAIL FROM:<joe@sender.example>").code, 250);
    assert_eq!(refused.ask("RCPT TO:<suzie@example.com>").code, 451);
    let kept = gatepost.introduced().deliver("joe@sender.example", "suzie@example.org", &letter("late"));
    assert!([250, 451].contains(&kept.code), "{kept}");
    waiting.expect(250);
    expected.extend(eventful.iter().chain(&["GatepostStarttlsMissing"]));
    fires(&prometheus, &expected);
    drop((waiting, refused));
    gatepost.end_well();
}

#[test]
fn mail_that_stops_fires_its_alerts() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address()).start();
    let prometheus = Prometheus::watching(gatepost.admin(), &short_sighted(&rules()));
    prometheus.expect("up", 1.0);
    let mut client = gatepost.introduced();
    for _ in 0..60 {
        assert_eq!(client.deliver("joe@sender.example", "suzie@example.org", &letter("fine")).code, 250);
    }
    prometheus.expect("sum(gatepost_messages_total{outcome=\"accepted\"})", 60.0);
    prometheus.expect("sum(increase(gatepost_messages_total{outcome=\"accepted\"}[5s]))", 0.0);
    let expected: BTreeSet<&str> = ["GatepostNothingAccepted", "GatepostRejectionJump"].into();
    let firing = prometheus.firing();
    assert!(expected.iter().all(|alert| !firing.contains(*alert)), "{firing:?}");

    // Then nobody is served any more, as after a mistake in `domains`.
    until("both to fire", SOON, || {
        for _ in 0..10 {
            let mut client = gatepost.introduced();
            assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
            assert_eq!(client.ask("RCPT TO:<suzie@elsewhere.example>").code, 550);
        }
        let firing = prometheus.firing();
        expected.iter().all(|alert| firing.contains(*alert)).then_some(())
    });
    gatepost.end_well();
}
