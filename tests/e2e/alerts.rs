//! The alerts of `grafana/alerts.yml` in a real Prometheus, fired by a real Gatepost that one thing after the other befalls. What takes hours
//! or days to fire is left to `promtool`, which has all of them.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;

use rustix::process::Signal;

use crate::harness::{
    AtTheDot, Authority, Client, Gatepost, Plan, Prometheus, SOON, Sink, folder, free_port, letter,
    repository, until,
};

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
    let fires = |expected: &BTreeSet<&str>| {
        until(&format!("these to fire: {expected:?}"), SOON, || {
            let firing = prometheus.firing();
            expected.iter().all(|alert| firing.contains(*alert)).then_some(firing)
        })
    };
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
    let firing = fires(&expected);
    assert!(eventful.iter().all(|alert| !firing.contains(*alert)), "{firing:?}");

    fs::rename(gatepost.path("decisions"), gatepost.path("gone")).unwrap();
    assert_eq!(deliver(&gatepost, "joe@sender.example"), 451, "lost at the dot");
    assert_eq!(deliver(&gatepost, "broken@sender.example"), 451);
    assert_eq!(deliver(&gatepost, "kept@sender.example"), 452);
    let open: Vec<Client> = (0..5).map(|_| gatepost.introduced()).collect();
    fs::write(gatepost.configuration(), "hostname: [\n").unwrap();
    gatepost.signal(Signal::HUP);
    expected.extend(eventful.iter().filter(|alert| **alert != "GatepostDown"));
    fires(&expected);
    drop(open);

    // The sums while there is somebody to ask; the decisions were lost on purpose.
    gatepost.balanced();
    gatepost.kill();
    fires(&["GatepostDown"].into());
}
