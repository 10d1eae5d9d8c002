//! The configuration changes while mail flows: listeners, upstreams, limits, domains.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{AtTheDot, Client, Gatepost, Plan, Sink, free_port, letter, until};

/// How soon a change has to be in effect.
const LIMIT: Duration = Duration::from_secs(2);

/// Changes the text of the configuration at once, as an editor does.
fn edit(gatepost: &Gatepost, change: impl FnOnce(&str) -> String) {
    let file = gatepost.configuration();
    let text = change(&fs::read_to_string(&file).unwrap());
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, file).unwrap();
}

/// As [`edit`], with one text in place of another that must be there.
fn replace(gatepost: &Gatepost, from: &str, to: &str) {
    edit(gatepost, |text| {
        assert!(text.contains(from), "{text}");
        text.replace(from, to)
    });
}

fn connects(address: SocketAddr) -> bool {
    Client::connect(address).is_ok_and(|mut client| client.reply().is_ok_and(|reply| reply.code == 220))
}

#[test]
fn a_listener_moves_and_its_sessions_stay() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address()).start();
    let mut old = gatepost.introduced();
    assert_eq!(old.ask("MAIL FROM:<joe@sender.example>").code, 250);
    let elsewhere: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    replace(
        &gatepost,
        &format!("listen: [\"{}\"]", gatepost.address()),
        &format!("listen: [\"{elsewhere}\"]"),
    );
    until("the new address", LIMIT, || connects(elsewhere).then_some(()));
    until("the old address to be closed", LIMIT, || {
        Client::connect(gatepost.address()).is_err().then_some(())
    });
    assert_eq!(old.ask("RCPT TO:<joe@example.org>").code, 250, "a session goes on where it began");
    assert_eq!(old.ask("QUIT").code, 221);
    let line = gatepost.logged(&["configuration reloaded"]);
    let change = format!("listeners.mx.listen: [{}] -> [{elsewhere}]", gatepost.address());
    assert!(line.contains(&change) && line.contains("no longer listens"), "{line}");
    gatepost.end_well();
}

/// Who can change the configuration decides about all mail, and so what everybody can change is not taken.
#[test]
fn a_configuration_that_everybody_can_change_is_not_taken() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address()).start();
    let mode =
        |mode| fs::set_permissions(gatepost.configuration(), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o666);
    let text = fs::read_to_string(gatepost.configuration()).unwrap();
    fs::write(gatepost.configuration(), text.replace("hostname: mx.", "hostname: mine.")).unwrap();
    gatepost
        .logged(&["reload_refused", "everybody on this machine can change this file (mode 0666); chmod o-w"]);
    // Nothing but the mode is mended.
    mode(0o664);
    gatepost.logged(&["configuration reloaded", "hostname: mx.example.org -> mine.example.org"]);
    assert_eq!(gatepost.get("/readyz").unwrap(), (200, "ready\n".to_owned()));
    gatepost.end_well();
}

#[test]
fn mail_goes_to_the_new_upstream_and_limits_hold_at_once() {
    let (first, second) = (Sink::start(AtTheDot::Take), Sink::start(AtTheDot::Take));
    let gatepost = Plan::in_front_of_server(first.address())
        .listener("limits: { recipients: 5, message_size: 1MiB }")
        .start();
    let deliver = |text: &str| {
        gatepost.introduced().deliver("joe@sender.example", "load@example.org", &letter(text)).code
    };
    assert_eq!(deliver("one"), 250);
    edit(&gatepost, |text| {
        let text = text.replace(&first.address().to_string(), &second.address().to_string());
        text.replace("recipients: 5", "recipients: 1").replace("domains: [", "domains: [example.net, ")
    });
    let upstream = format!("upstreams.main.address: {} -> {}", first.address(), second.address());
    let domains = "domains: [example.org] -> [example.net, example.org]";
    gatepost.logged(&["configuration reloaded", &upstream, domains]);
    assert_eq!(deliver("two"), 250);
    assert_eq!((first.taken().len(), second.taken().len()), (1, 1));
    let mut client = gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    assert_eq!(client.ask("RCPT TO:<a@example.net>").code, 250, "a new domain of ours");
    assert_eq!(client.ask("RCPT TO:<b@example.net>").code, 452, "the new limit");
    assert_eq!(client.ask("QUIT").code, 221);
    assert_eq!(gatepost.metrics().sum("config_reloads_total", &[("kind", "config"), ("outcome", "ok")]), 1);
    gatepost.end_well();
}

#[test]
fn what_cannot_be_used_changes_nothing() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address()).start();
    let good = fs::read_to_string(gatepost.configuration()).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let with_taken = good.replace(&gatepost.address().to_string(), &taken.local_addr().unwrap().to_string());
    for (text, complaint) in
        [(good.replace("domains:", "domainz:"), "unknown key `domainz`"), (with_taken, "cannot listen on")]
    {
        edit(&gatepost, |_| text);
        gatepost.logged(&["reload_refused", complaint]);
        let (status, ready) = gatepost.get("/readyz").unwrap();
        assert!(status == 200 && ready.contains("reload of config was refused"), "{status} {ready}");
        assert_eq!(gatepost.metrics().sum("config_last_reload_successful", &[("kind", "config")]), 0);
        assert!(connects(gatepost.address()), "{complaint}");
        edit(&gatepost, |_| good.clone());
        until("the good one", LIMIT, || (gatepost.get("/readyz").unwrap().1 == "ready\n").then_some(()));
    }
    gatepost.end_well();
}

/// The address was another process's.
#[test]
fn what_was_refused_for_a_reason_elsewhere_is_taken_when_that_is_gone() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address()).start();
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = occupied.local_addr().unwrap();
    replace(&gatepost, &gatepost.address().to_string(), &address.to_string());
    gatepost.logged(&["reload_refused", "cannot listen on"]);
    drop(occupied);
    // The more rarely it is tried, the longer that takes.
    until("the new address", LIMIT * 10, || connects(address).then_some(()));
    assert_eq!(gatepost.log().matches("reload_refused").count(), 1, "{}", gatepost.log());
    gatepost.end_well();
}

#[test]
fn files_of_the_configuration_are_watched_and_sighup_reloads_all() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address())
        .file("domains.txt", "example.org\n")
        .domains_file("domains.txt")
        .start();
    let code = || {
        let mut client = gatepost.introduced();
        assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
        client.ask("RCPT TO:<a@example.net>").code
    };
    assert_eq!(code(), 550);
    fs::write(gatepost.path("domains.txt"), "example.org\nexample.net\n").unwrap();
    until("the domain", LIMIT, || (code() == 250).then_some(()));
    gatepost.signal(Signal::HUP);
    gatepost.counted("config_reloads_total", &[("kind", "policies")], 1);
    gatepost.end_well();
}
