//! What the operator sees: metrics that move, and sums that hold, in the eyes of a real Prometheus.

use std::fs;

use rustix::process::Signal;

use crate::harness::{
    AtTheDot, Authority, Client, Exposition, Gatepost, Plan, Postfix, Prometheus, SOON, Sink, folder, letter,
    until,
};

/// Families that a run as short as a test's may leave at 0.
const MAY_REST: [&str; 6] = [
    // Only when the disk or the thread that keeps decisions falls behind; moved by a test of its own.
    "gatepost_decisions_dropped_total",
    // Only while every look-up fails.
    "gatepost_dns_failing",
    // Tasks that wait for a worker at the very moment of the scrape.
    "gatepost_tokio_global_queue_depth",
    // Only while sessions are open; looked at below.
    "gatepost_sessions_active",
    // Likewise, with an upstream.
    "gatepost_upstream_sessions_active",
    // Only while a reply is being delayed.
    "gatepost_tarpits_active",
];

/// Families whose series appear with the first of their kind: which rule, or which protocol rule, refuses with which code, and which of
/// the results of DMARC go together, cannot be told before.
const APPEAR: [&str; 2] = ["gatepost_rejections_total", "gatepost_dmarc_results_total"];

const SIGNED: &str = include_str!("../suites/dkim/001.txt");

/// One of everything that a client can bring about.
fn tour(gatepost: &Gatepost, authority: &Authority) {
    let fine = letter("fine");
    let mut client = gatepost.introduced();
    assert_eq!(client.deliver("joe@sender.example", "suzie@example.org", &fine).code, 250);
    assert_eq!(client.deliver("joe@sender.example", "nobody@example.org", &fine).code, 550);
    assert_eq!(client.ask("RSET").code, 250);
    assert_eq!(client.deliver("joe@sender.example", "victim@elsewhere.example", &fine).code, 550);
    assert_eq!(client.ask("RSET").code, 250);
    assert_eq!(client.deliver("broken@sender.example", "suzie@example.org", &fine).code, 451);
    assert_eq!(
        client.deliver("joe@sender.example", "suzie@example.org", b"Subject: no From\r\n\r\n").code,
        550
    );
    assert_eq!(client.deliver("trap@sender.example", "suzie@example.org", &fine).code, 250);
    assert_eq!(client.deliver("kept@sender.example", "suzie@example.org", &fine).code, 250);
    assert_eq!(client.ask("NONSENSE").code, 500);
    assert_eq!(client.ask("RCPT TO:<suzie@example.org>").code, 503);

    let mut client = gatepost.introduced().start_tls(&authority.trust());
    assert_eq!(client.ask("EHLO client.example.net").code, 250);
    let (_, signed) = SIGNED.split_once("\n\n").unwrap();
    let signed = signed.replace('\n', "\r\n");
    assert_eq!(client.deliver("joe@football.example.com", "suzie@example.org", signed.as_bytes()).code, 250);

    let mut client = gatepost.introduced();
    client.ask("MAIL FROM:<joe@sender.example>");
    client.ask("RCPT TO:<suzie@example.org>");
    assert_eq!(client.ask("DATA").code, 354);
    client.reset();
    gatepost.counted("messages_total", &[("outcome", "aborted")], 1);
}

fn start(postfix: &Postfix, authority: &Authority) -> Gatepost {
    let odd = "/// One sender's mail fails, another's disappears.\nfn mail(session, mail) {\n    \
               if mail.sender.local_part == \"broken\" { throw \"no\"; }\n    \
               if mail.sender.local_part == \"trap\" { discard(\"trap\", \"nobody writes from there\"); }\n    \
               remember(\"sender\", mail.sender.address, \"1h\");\n    \
               greylist(session.client.ip, mail.sender, \"x@example.org\", \"1s\", \"1h\");\n    \
               dnsbl(session.client.ip, #{ \"list.test\": 1 });\n    http_get(\"http://127.0.0.1:1/\");\n    \
               if mail.sender.local_part == \"kept\" { tarpit(\"1ms\"); }\n}\n\
               /// And a third one's is kept.\nfn message(session, mail, message) {\n    \
               if mail.sender.local_part == \"kept\" { quarantine(\"kept\", \"somebody should look\"); }\n}\n";
    let keys = SIGNED.lines().take_while(|line| !line.is_empty());
    let keys: String = keys.map(|key| key.replacen(' ', " TXT ", 1) + "\n").collect();
    Plan::in_front_of(postfix)
        .policy("70-odd.rhai", odd)
        .section("policies: { dir: \"@POLICIES@\", http_hosts: [\"127.0.0.1:1\"] }")
        .section("quarantine: { dir: quarantine }")
        .dns(&keys)
        .dns("2.0.0.127.list.test A 127.0.0.2\n")
        .listener(format!("tls: {}", authority.setting("opportunistic")))
        .listener("limits: { message_size: 1MiB }")
        // Room for one of a kind, so that the second takes its place.
        .section("state: { at: embedded:state, max_records: 1 }")
        .start()
}

/// The families of Gatepost's own that moved in none of these scrapes.
fn resting(scrapes: &[Exposition]) -> Vec<String> {
    let families = scrapes[0].families().into_iter().filter(|family| family.starts_with("gatepost_"));
    let resting = families.filter(|family| !scrapes.iter().any(|scrape| scrape.moved(family)));
    resting.filter(|family| !MAY_REST.contains(family)).map(str::to_owned).collect()
}

#[test]
fn every_metric_moves() {
    let (folder, postfix) = (folder("tour"), Postfix::delivering());
    let authority = Authority::in_folder(folder.path());
    let gatepost = start(&postfix, &authority);
    tour(&gatepost, &authority);
    let mut client = gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example> SIZE=9000000").code, 552);
    until("the other sessions to end", SOON, || {
        (gatepost.metrics().sum("sessions_active", &[]) == 1).then_some(())
    });
    drop(client);
    gatepost.counted("store_flushes_total", &[("result", "ok")], 1);
    gatepost.counted("store_displaced_total", &[], 1);
    gatepost.signal(Signal::HUP);
    gatepost.counted("config_reloads_total", &[("outcome", "ok")], 1);

    // What Postfix does not do on demand, behind a second one.
    let sink = Sink::start(AtTheDot::HangUp);
    let second = Plan::in_front_of_server(sink.address()).start();
    let reply = second.introduced().deliver("joe@sender.example", "suzie@example.org", &letter("lost"));
    assert_eq!(reply.code, 451, "{reply}");

    // Nor has it STARTTLS to offer.
    let address = postfix.address();
    let third = Plan::with_upstream(&format!(
        "{{ address: \"{address}\", client_identity: none, tls: {{ mode: required, verify: false }} }}"
    ))
    .start();
    third.counted("upstream_starttls_missing_total", &[("mode", "required")], 1);

    let scrapes = [gatepost.metrics(), second.metrics(), third.metrics()];
    assert_eq!(resting(&scrapes), Vec::<String>::new());
    gatepost.end_well();
    second.end_well();
    third.end_well();
}

#[test]
fn known_series_exist_before_anything_happened() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).start();
    let metrics = gatepost.metrics();
    for series in [
        "gatepost_rejections_total{code=\"550\",listener=\"mx\",rule=\"relay.denied\",source=\"policy\",stage=\"rcpt\"} 0",
        "gatepost_messages_total{listener=\"mx\",outcome=\"accepted\"} 0",
        "gatepost_upstream_replies_total{class=\"2\",command=\"end_of_data\",upstream=\"main\"} 0",
        "gatepost_upstream_ambiguous_total{upstream=\"main\"} 0",
        "gatepost_sessions_limit{listener=\"mx\"} 2000",
    ] {
        assert!(!metrics.lines_with(series).is_empty(), "{series} is not there");
    }
    gatepost.end_well();
}

#[test]
fn what_a_tour_counts_was_there_with_zero() {
    let (folder, postfix) = (folder("zero"), Postfix::delivering());
    let authority = Authority::in_folder(folder.path());
    let gatepost = start(&postfix, &authority);
    until("the list to be tested", SOON, || {
        (!gatepost.metrics().lines_with("gatepost_dnsbl_usable").is_empty()).then_some(())
    });
    let before = gatepost.metrics();
    tour(&gatepost, &authority);
    let after = gatepost.metrics();
    let new = after.series().difference(&before.series()).copied().collect::<Vec<_>>();
    let surprising = new.iter().filter(|series| !APPEAR.iter().any(|family| series.starts_with(family)));
    assert_eq!(surprising.collect::<Vec<_>>(), Vec::<&&str>::new());
    gatepost.end_well();
}

#[test]
fn strangers_cannot_make_new_series() {
    let postfix = Postfix::delivering();
    let gatepost =
        Plan::in_front_of(&postfix).listener("limits: { errors: 10000, junk_commands: 10000 }").start();
    let mut client = gatepost.introduced();
    client.ask("NONSENSE");
    client.ask("MAIL FROM:<nobody@nowhere.example> X=1");
    let before = gatepost.metrics();
    for number in 0..600 {
        assert_eq!(client.ask(&format!("EHLO host{number}.nowhere{number}.example")).code, 250);
        client.ask(&format!("NONSENSE{number}"));
        client.ask(&format!("MAIL FROM:<nobody{number}@nowhere{number}.example> X{number}=1"));
    }
    let after = gatepost.metrics();
    let new: Vec<_> = after.series().difference(&before.series()).copied().collect();
    assert!(new.is_empty(), "{new:?}");
    drop(client);
    gatepost.end_well();
}

#[test]
fn a_real_prometheus_sees_the_sums_hold() {
    let (folder, postfix) = (folder("prometheus"), Postfix::delivering());
    let authority = Authority::in_folder(folder.path());
    let gatepost = start(&postfix, &authority);
    let prometheus = Prometheus::scraping(gatepost.admin());
    tour(&gatepost, &authority);
    gatepost.balanced();
    let now = gatepost.metrics();
    let refused = now.sum("rejections_total", &[]);
    assert_eq!(refused, 6);
    prometheus.expect("up", 1.0);
    prometheus.expect("sum(gatepost_rejections_total)", refused as f64);
    prometheus.expect("sum(gatepost_replies_total{class=~\"[45]\"})", refused as f64);
    prometheus.expect("sum(gatepost_messages_total{outcome=\"accepted\"})", 2.0);
    prometheus.expect("sum(gatepost_upstream_replies_total{command=\"end_of_data\",class=\"2\"})", 2.0);
    prometheus.expect("sum(gatepost_rejections_total{rule=\"relay.denied\"})", 1.0);
    prometheus.expect("count(gatepost_build_info)", 1.0);
    gatepost.end_well();
}

#[test]
fn health_is_told_from_start_to_end() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).start();
    assert_eq!(gatepost.get("/healthz").unwrap().0, 200);
    assert_eq!(gatepost.get("/readyz").unwrap(), (200, "ready\n".to_owned()));
    // A session within a transaction is let finish, and new ones are not taken.
    let mut client = gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    assert_eq!(client.ask("RCPT TO:<suzie@example.org>").code, 250);
    assert_eq!(client.ask("DATA").code, 354);
    gatepost.signal(Signal::TERM);
    until("it to drain", SOON, || {
        let (status, text) = gatepost.get("/readyz")?;
        (status == 503 && text.contains("draining")).then_some(())
    });
    until("the listener to close", SOON, || Client::connect(gatepost.address()).is_err().then_some(()));
    client.send(&crate::harness::stuffed(&letter("last"))).unwrap();
    client.expect(250);
    postfix.delivered("suzie", 1);
    drop(client);
    let mut gatepost = gatepost;
    assert!(gatepost.exit(SOON).success());
    gatepost.left_well();
}

/// A postmaster searches the log for an address, and goes on from there.
#[test]
fn the_log_names_whom_each_refusal_was_about() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix)
        .dns("sender.example A 192.0.2.9\n")
        .listener("limits: { message_size: 1MiB, recipients: 1 }")
        .listener("xclient: [127.0.0.0/8]")
        .start();
    let mut client = gatepost.introduced();
    assert_eq!(client.ask("XCLIENT NAME=client.example.net ADDR=192.0.2.9").code, 220);
    assert_eq!(client.ask("EHLO client.example.net").code, 250);
    client.ask("MAIL FROM:<early@sender.example> SIZE=9000000");
    client.ask("MAIL FROM:<joe@sender.example>");
    client.ask("RCPT TO:<relayed@elsewhere.example>");
    client.ask("RCPT TO:<nobody@example.org>");
    client.ask("RCPT TO:<suzie@example.org>");
    client.ask("RCPT TO:<second@example.org>");
    assert_eq!(client.ask("DATA").code, 354);
    client.send(&crate::harness::stuffed(&letter("seen"))).unwrap();
    client.expect(250);
    client.ask("RCPT TO:<late@example.org>");
    client.ask("QUIT");
    gatepost.balanced();
    let line =
        |words: &[&str]| -> serde_json::Value { serde_json::from_str(&gatepost.logged(words)).unwrap() };
    let message = line(&["\"transaction\"", "joe@sender.example", "accepted"]);
    assert_eq!(
        (&message["client_name"], &message["decision"]),
        (&"client.example.net".into(), &message["id"])
    );
    assert!(message["reply"].as_str().unwrap().contains(message["queue_id"].as_str().unwrap()), "{message}");
    let nothing = serde_json::Value::Null;
    for (recipient, rule, sender, transaction) in [
        ("<relayed@elsewhere.example>", "relay.denied", &"<joe@sender.example>".into(), &message["id"]),
        ("<nobody@example.org>", "rcpt", &"<joe@sender.example>".into(), &message["id"]),
        ("<second@example.org>", "recipients", &"<joe@sender.example>".into(), &message["id"]),
        ("<late@example.org>", "need-mail", &nothing, &nothing),
    ] {
        let refused = line(&["\"refused\"", recipient]);
        assert_eq!((refused["recipient"].as_str(), &refused["rule"]), (Some(recipient), &rule.into()));
        assert_eq!((&refused["sender"], &refused["transaction"]), (sender, transaction), "{refused}");
        let told = refused["reply"].as_str().unwrap().contains("(gp ");
        assert_eq!(told.then_some(&refused["decision"]), refused.get("id"), "{refused}");
    }
    let early = line(&["\"refused\"", "early@sender.example"]);
    assert_eq!(
        (&early["sender"], &early["transaction"]),
        (&"<early@sender.example>".into(), &nothing),
        "{early}"
    );
    gatepost.end_well();
}

#[test]
fn the_log_is_one_json_object_a_line_and_strangers_cannot_forge_one() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).start();
    let mut client = gatepost.introduced();
    client.ask("EHLO \u{1b}[31mred\u{202e}.example.net");
    client.ask("MAIL FROM:<\"a\\\"b{\\\"event\\\":\\\"forged\\\"}\"@sender.example>");
    assert_eq!(client.ask("QUIT").code, 221);
    let mut gatepost = gatepost;
    gatepost.balanced();
    gatepost.signal(Signal::TERM);
    assert!(gatepost.exit(SOON).success());
    gatepost.left_well();
    let log = fs::read_to_string(gatepost.path("log")).unwrap();
    for line in log.lines() {
        let object: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_ne!(object["event"], "forged");
        assert!(!line.chars().any(char::is_control) && !line.contains('\u{202e}'), "{line:?}");
    }
}
