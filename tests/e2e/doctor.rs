//! What the doctor sees: beside a Gatepost that serves in front of a real Postfix, and what ails configurations that are like its own but
//! for one thing.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::harness::{Authority, Gatepost, Plan, Postfix, command, folder, free_port, repository};

/// What the doctor found, and with which exit status it ended.
struct Examined {
    status: i32,
    found: Vec<Value>,
}

impl Examined {
    /// Of the configuration of `gatepost`, with `from` replaced by `to`.
    fn with(gatepost: &Gatepost, from: &str, to: &str) -> Self {
        let text = fs::read_to_string(gatepost.configuration()).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        let file = gatepost.path("other.yaml");
        fs::write(&file, text.replace(from, to)).unwrap();
        let mut doctor = command(gatepost.path("").as_path());
        let output = doctor.arg("-c").arg(file).args(["doctor", "--format", "json"]).output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        let found = answer["findings"].as_array().unwrap().clone();
        Self { status: output.status.code().unwrap(), found }
    }

    /// There is a finding of this level about `check` that says `words`, with something to do unless all is well.
    #[track_caller]
    fn says(&self, level: &str, check: &str, words: &str) -> &Self {
        let one = self.found.iter().find(|one| {
            one["level"] == level && one["check"] == check && one["message"].as_str().unwrap().contains(words)
        });
        let Some(one) = one else { panic!("no {level} of {check}: {words}\n{:#?}", self.found) };
        assert_eq!(one["advice"].is_string(), level != "ok", "{one}");
        self
    }

    /// Every other kind of look but `check` found nothing bad.
    #[track_caller]
    fn fails_only(&self, check: &str) {
        assert_eq!(self.status, 2);
        let others = self.found.iter().filter(|one| one["level"] == "fail" && one["check"] != check);
        assert_eq!(others.count(), 0, "{:#?}", self.found);
    }
}

const OUR_NAME: &str = "mx.example.org A 192.0.2.25\n25.2.0.192.in-addr.arpa PTR mx.example.org.\n";

fn plan(postfix: &Postfix) -> Plan {
    Plan::in_front_of(postfix).dns(OUR_NAME).admin("hosts: []").section("state: embedded:state")
}

#[test]
fn a_gatepost_that_serves_is_well() {
    let postfix = Postfix::delivering();
    let gatepost = plan(&postfix).start();
    let examined = Examined::with(&gatepost, "hostname", "hostname");
    assert!(
        examined.status < 2 && examined.found.iter().all(|one| one["level"] != "fail"),
        "{:#?}",
        examined.found
    );
    let served =
        format!("mx: {} is served by the running Gatepost (pid {})", gatepost.address(), gatepost.process());
    examined
        .says("ok", "ports", &served)
        .says("ok", "ports", &format!("admin: {} is served", gatepost.admin()))
        .says("ok", "descriptors", "enough for")
        .says("ok", "policies", "rules are in force")
        .says("ok", "dns", "the resolver answers")
        .says("ok", "hostname", "mx.example.org is 192.0.2.25, and 192.0.2.25 is mx.example.org")
        .says("ok", "upstream", "main: it answers, and offers")
        .says("ok", "identity", "takes our word on who the client is, and relays for no stranger: 554")
        .says("warn", "recipients", "refuses mail for postmaster@example.org")
        .says(
            "ok",
            "relay",
            &format!("mx: {} refuses a stranger's mail to strangers from 127.0.0.1: 550", gatepost.address()),
        )
        .says("ok", "relay", "mx: a stranger's mail to strangers is refused by relay.denied");
    // The Postfix heard of the stranger, and got no message.
    postfix.logged(&["NOQUEUE: reject: RCPT from unknown[192.0.2.1]", "gatepost-doctor@relay-probe.example"]);
    assert!(postfix.queued().is_empty() && !postfix.log().contains("queue active"));
    gatepost.end_well();
}

#[test]
fn who_wants_tls_is_asked_with_it() {
    let postfix = Postfix::delivering();
    let folder = folder("certificate");
    let authority = Authority::in_folder(folder.path());
    for mode in ["implicit", "required", "opportunistic"] {
        let gatepost = plan(&postfix).listener(format!("tls: {}", authority.setting(mode))).start();
        let examined = Examined::with(&gatepost, "hostname", "hostname");
        let refuses = "refuses a stranger's mail to strangers from 127.0.0.1: 550 5.7.1 relaying denied";
        examined.says("ok", "relay", &format!("mx: {} {refuses}", gatepost.address()));
        gatepost.end_well();
    }
}

#[test]
fn a_mail_server_that_does_not_go_by_the_client_is_found() {
    let postfix = Postfix::delivering();
    let gatepost = plan(&postfix).start();
    let main = postfix.address().to_string();
    let deaf = Postfix::configured("smtpd_authorized_xclient_hosts =\n");
    let examined = Examined::with(&gatepost, &main, &deaf.address().to_string());
    examined.says("fail", "identity", "does not offer XCLIENT").fails_only("identity");
    let open = Postfix::configured(
        "mynetworks = 192.0.2.0/24\nsmtpd_relay_restrictions = permit_mynetworks, reject\n",
    );
    let examined = Examined::with(&gatepost, &main, &open.address().to_string());
    examined.says("fail", "identity", "it relays for a stranger that we named: 250").fails_only("identity");
    assert!(open.queued().is_empty());
    let nobody = format!("127.0.0.1:{}", free_port());
    let examined = Examined::with(&gatepost, &main, &nobody);
    examined.says("fail", "upstream", "Connection refused").fails_only("upstream");
    gatepost.end_well();
}

#[test]
fn what_listens_in_our_place_is_named() {
    let postfix = Postfix::delivering();
    let gatepost = plan(&postfix).start();
    let smtp = gatepost.address().to_string();
    let squatter = Postfix::delivering();
    let taken = squatter.address().to_string();
    let examined =
        Examined::with(&gatepost, &format!("listen: [\"{smtp}\"]"), &format!("listen: [\"{taken}\"]"));
    examined.says("fail", "ports", &format!("mx: {taken} is taken: who listens there says \"220 "));
    assert_eq!(examined.status, 2);
    let free = format!("127.0.0.1:{}", free_port());
    let examined =
        Examined::with(&gatepost, &format!("listen: [\"{smtp}\"]"), &format!("listen: [\"{free}\"]"));
    examined.says("ok", "ports", &format!("mx: {free} is free"));
    assert!(examined.status < 2);
    gatepost.end_well();
}

#[test]
fn an_open_relay_is_found_before_anybody_else_finds_it() {
    let postfix = Postfix::delivering();
    let gatepost = plan(&postfix).start();
    let examined = Examined::with(&gatepost, "hostname:", "trusted_networks: [0.0.0.0/0]\nhostname:");
    examined
        .says("fail", "relay", "mx: a stranger's mail to strangers is accepted: this is an open relay")
        .fails_only("relay");
    gatepost.end_well();
}

#[test]
fn lists_that_lie_and_resolvers_that_are_silent_are_found() {
    let postfix = Postfix::delivering();
    let records = "2.0.0.127.good.test A 127.0.0.2\n\
        2.0.0.127.shy.test A 127.255.255.254\n1.0.0.127.shy.test A 127.255.255.254\n\
        2.0.0.127.all.test A 127.0.0.2\n1.0.0.127.all.test A 127.0.0.2\n";
    let lists = "policies: { dir: \"@POLICIES@\", settings: { dnsbl: { zones: [good.test, shy.test, all.test, gone.test] } } }";
    let gatepost = plan(&postfix).dns(records).section(lists).start();
    let examined = Examined::with(&gatepost, "hostname", "hostname");
    examined
        .says("ok", "dnsbl", "good.test lists its test entry")
        .says("fail", "dnsbl", "shy.test cannot be relied on: the answer 127.255.255.254 is no listing; public resolvers are often refused")
        .says("fail", "dnsbl", "all.test cannot be relied on: it lists what no list may list")
        .says("fail", "dnsbl", "gone.test cannot be relied on: its test entries are missing")
        .fails_only("dnsbl");
    let servers = fs::read_to_string(gatepost.configuration()).unwrap();
    let servers = servers.split("dns: { servers: [\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let nobody = format!("127.0.0.1:{}", free_port());
    let examined = Examined::with(&gatepost, &servers, &nobody);
    examined.says("fail", "dns", "the resolver does not answer").fails_only("dns");
    gatepost.end_well();
}

#[test]
fn a_configuration_that_cannot_be_used_is_a_finding_too() {
    let postfix = Postfix::delivering();
    let gatepost = plan(&postfix).start();
    Examined::with(&gatepost, "hostname:", "hostnam:")
        .says("fail", "configuration", "1 error")
        .fails_only("configuration");
    gatepost.end_well();
}

#[test]
fn a_store_that_is_away_and_a_certificate_that_is_over_are_found() {
    let postfix = Postfix::delivering();
    let gatepost = plan(&postfix).start();
    let redis = format!("state: redis://127.0.0.1:{}/0", free_port());
    let examined = Examined::with(&gatepost, "state: embedded:state", &redis);
    examined.says("fail", "state", "the server does not answer").fails_only("state");
    for name in ["expired.pem", "mx.key"] {
        let copied = gatepost.path(name);
        fs::copy(repository().join("tests/config/tls").join(name), &copied).unwrap();
        fs::set_permissions(copied, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let tls = "upstream: main\n    tls: { certificates: [{ cert: expired.pem, key: mx.key }] }";
    let examined = Examined::with(&gatepost, "upstream: main", tls);
    examined
        .says("warn", "configuration", "is good, with warnings")
        .says("fail", "certificates", "expired.pem expired on ")
        .fails_only("certificates");
    gatepost.end_well();
}
