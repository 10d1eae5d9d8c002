//! The checks against messages and zones of others: RFC examples, the suites in tests/suites, and faults.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use data_encoding::BASE64;

use super::results::{CheckResult, DmarcPolicy, MessageResults, Spf};
use super::suites::{crlf, own, signed};
use super::*;
use crate::dns;
use crate::dns::responder::{Data, Fault, Responder, Zone};

/// 2026-11-20, when the suites were signed.
const NOW: u64 = 1_795_132_800;

struct World {
    responder: Responder,
    checker: Checker,
}

async fn world(zone: Zone) -> World {
    let responder = Responder::start(zone).await.unwrap();
    let settings = dns::Settings { timeout: Duration::from_millis(800), ..responder.settings() };
    let resolver = Resolver::new(settings, Arc::new(())).unwrap();
    let clock = Clock::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
    let settings = Settings { hostname: "mx.example".into(), ..Settings::default() };
    World { responder, checker: Checker::new(resolver, settings, clock) }
}

impl World {
    /// Checks a message that arrives in pieces of 7 bytes.
    async fn check(&self, message: &[u8], spf: &Spf) -> MessageResults {
        let end = message.windows(4).position(|w| w == b"\r\n\r\n").map_or(message.len(), |at| at + 4);
        let (header, body) = message.split_at(end);
        let mut check = MessageCheck::begin(Bytes::copy_from_slice(header));
        for piece in body.chunks(7) {
            check.body(piece);
        }
        self.checker.conclude(check, spf).await
    }

    async fn spf(&self, client: &str, helo: &str, sender: &str) -> Spf {
        let client: IpAddr = client.parse().unwrap();
        match sender.rsplit_once('@') {
            Some((local, domain)) => self.checker.spf_of(client, helo, local, domain).await,
            None => self.checker.spf_helo(client, helo).await,
        }
    }
}

#[tokio::test]
async fn signed_examples_of_the_rfcs_pass() {
    for (file, passed) in [
        ("dkim/001.txt", &["football.example.com", "football.example.com"] as &[&str]),
        ("dkim/002.txt", &["example.com"]),
        ("dkim/003.txt", &["ietf.org"]),
    ] {
        let (zone, message) = signed(file);
        let results = world(zone).await.check(&message, &Spf::default()).await;
        let passes: Vec<&str> = results
            .dkim
            .iter()
            .filter(|dkim| dkim.result == CheckResult::Pass)
            .map(|dkim| dkim.domain.as_str())
            .collect();
        assert!(passes.starts_with(passed), "{file}: {:?}", results.dkim);
    }
}

#[tokio::test]
async fn dkimpy_examples_pass() {
    let (zone, _) = signed("dkim/001.txt");
    let world = world(zone).await;
    for file in ["dkim/dkimpy-rfc6376.signed.msg", "dkim/dkimpy-rfc6376.signed.rsa.msg"] {
        let message = crlf(&String::from_utf8(suites::file(file)).unwrap());
        let results = world.check(&message, &Spf::default()).await;
        assert!(!results.dkim.is_empty());
        assert!(
            results.dkim.iter().all(|dkim| dkim.result == CheckResult::Pass),
            "{file}: {:?}",
            results.dkim
        );
    }
}

/// What is reported of several signatures is the best of them.
fn best(results: &MessageResults) -> CheckResult {
    let result = |wanted| results.dkim.iter().find(|dkim| dkim.result == wanted).map(|dkim| dkim.result);
    result(CheckResult::Pass)
        .or_else(|| result(CheckResult::TempError))
        .or_else(|| results.dkim.first().map(|dkim| dkim.result))
        .unwrap_or_default()
}

/// Where we decided otherwise than the suite allows.
const DECIDED: [&str; 1] = [
    // A signature with l= never counts.
    "l-zero",
];

#[tokio::test]
async fn own_dkim_suite() {
    let (zone, cases) = own("own/dkim-own-dev.json");
    let world = world(zone).await;
    let mut failed = Vec::new();
    for case in cases {
        let results = world.check(&case.message, &Spf::default()).await;
        let decided = DECIDED.contains(&case.id.as_str());
        if case.results.iter().any(|result| result == best(&results).name()) == decided {
            failed.push(format!("{}: {:?}", case.id, results.dkim));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[tokio::test]
async fn own_dmarc_suite() {
    let (zone, cases) = own("own/dmarc-dev.json");
    let world = world(zone).await;
    let mut failed = Vec::new();
    for case in cases {
        let spf = world.spf(&case.envelope["ip"], &case.envelope["helo"], &case.envelope["mail_from"]).await;
        let results = world.check(&case.message, &spf).await;
        if !case.results.iter().any(|result| result == results.dmarc.result.name()) {
            failed.push(format!("{} {:?}: {results:?} {spf:?}", case.id, case.results));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

const SIGNED: &str = "dkim/001.txt";

/// A signature over `body` in the relaxed form, with a header hash that matches nothing.
fn unsound_signature(selector: &str, body: &[u8]) -> String {
    let mut hasher = body::BodyHasher::new(body::Canonicalization::Relaxed);
    hasher.write(body);
    let hash = BASE64.encode(hasher.finish().as_ref());
    format!(
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s={selector}; h=from; bh={hash}; b=AAAA\r\n"
    )
}

#[tokio::test]
async fn a_second_author_spoils_every_signature() {
    // 002 does not sign the absence of further From fields.
    let (mut zone, message) = signed("dkim/002.txt");
    zone.txt("_dmarc.example.com", "v=DMARC1; p=reject");
    let world = world(zone).await;
    let honest = world.check(&message, &Spf::default()).await;
    assert_eq!(honest.dmarc.result, CheckResult::Pass);
    for forged in
        ["From: a@bank.example\r\n", "From : a@bank.example\r\n", "from: joe@football.example.com\r\n"]
    {
        let results = world.check(&[forged.as_bytes(), &message].concat(), &Spf::default()).await;
        assert_eq!(
            (results.dkim[0].result, results.dkim[0].reason),
            (CheckResult::PermError, "several_from"),
            "{forged}"
        );
        assert_eq!(
            (results.dmarc.result, results.dmarc.domain.as_str()),
            (CheckResult::PermError, ""),
            "{forged}"
        );
    }
}

#[tokio::test]
async fn tampering_is_noticed() {
    let (zone, message) = signed(SIGNED);
    let world = world(zone).await;
    let text = String::from_utf8(message).unwrap();
    for (changed, reason) in [
        (text.replace("lost the game", "won the game"), "body_changed"),
        (format!("{text}PS\r\n"), "body_changed"),
        (text.replace("dinner", "supper"), "signature_mismatch"),
        (text.replace("b=/gCr", "b=/gCs").replace("b=F45d", "b=F45e"), "signature_mismatch"),
        (text.replace("bh=2jUS", "bh=2jUT"), "body_changed"),
    ] {
        let results = world.check(changed.as_bytes(), &Spf::default()).await;
        for dkim in &results.dkim {
            assert_eq!((dkim.result, dkim.reason), (CheckResult::Fail, reason), "{changed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn dead_name_servers_are_temporary_errors_within_the_budget() {
    for fault in [Fault::ServFail, Fault::Drop, Fault::Refused] {
        let (_, message) = signed(SIGNED);
        let mut zone = Zone::new();
        for name in [
            "brisbane._domainkey.football.example.com",
            "test._domainkey.football.example.com",
            "_dmarc.football.example.com",
            "football.example.com",
        ] {
            zone.fault(name, fault);
        }
        let world = world(zone).await;
        let started = tokio::time::Instant::now();
        let spf = world.spf("192.0.2.1", "football.example.com", "joe@football.example.com").await;
        let results = world.check(&message, &spf).await;
        assert_eq!(spf.result, CheckResult::TempError, "{fault:?}");
        assert!(results.dkim.iter().all(|dkim| dkim.result == CheckResult::TempError), "{:?}", results.dkim);
        assert!(results.dkim.iter().all(|dkim| dkim.reason == "key_lookup"));
        assert_eq!(results.dmarc.result, CheckResult::TempError, "{fault:?}");
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_ends_with_its_budget() {
    let mut zone = Zone::new();
    let mut policy = String::from("v=spf1");
    for i in 0..9 {
        policy.push_str(&format!(" include:i{i}.example"));
        zone.txt(&format!("i{i}.example"), "v=spf1 ?all");
        zone.fault(&format!("i{i}.example"), Fault::Delay(Duration::from_millis(300)));
    }
    zone.txt("slow.example", &policy);
    let mut world = world(zone).await;
    world.checker.settings.spf_budget = Duration::from_secs(2);
    let started = tokio::time::Instant::now();
    let spf = world.spf("192.0.2.1", "slow.example", "").await;
    assert_eq!(spf.result, CheckResult::TempError);
    assert_eq!(spf.record, policy);
    assert_eq!(started.elapsed().as_secs(), 2);
}

#[tokio::test]
async fn signatures_expire_by_our_clock() {
    let (mut zone, message) = signed(SIGNED);
    zone.txt("x", "x");
    let world = world(zone).await;
    let text = String::from_utf8(message).unwrap();
    for (expiry, reason) in [(NOW - 1, "expired"), (NOW + 1, "signature_mismatch")] {
        let changed = text.replace("t=1528637909;", &format!("t=1528637909; x={expiry};"));
        let results = world.check(changed.as_bytes(), &Spf::default()).await;
        assert!(results.dkim.iter().all(|dkim| dkim.reason == reason), "{expiry}: {:?}", results.dkim);
    }
}

#[tokio::test]
async fn only_so_many_keys_are_looked_up() {
    let world = world(Zone::new()).await;
    let body = b"hello\r\n";
    let mut message = Vec::new();
    for i in 0..30 {
        message.extend(unsound_signature(&format!("s{i}"), if i < 3 { b"other" } else { body }).bytes());
    }
    message.extend(b"From: a@example.org\r\n\r\nhello\r\n");
    let results = world.check(&message, &Spf::default()).await;
    let reasons = |wanted| results.dkim.iter().filter(|dkim| dkim.reason == wanted).count();
    assert_eq!(results.dkim.len(), 20);
    assert_eq!((reasons("body_changed"), reasons("no_key"), reasons("too_many")), (3, 8, 9));
    let asked =
        (0..30).filter(|i| world.responder.queries(&format!("s{i}._domainkey.example.org")) > 0).count();
    assert_eq!(asked, 8);
}

#[tokio::test]
async fn a_second_message_costs_no_query() {
    let (mut zone, message) = signed(SIGNED);
    zone.txt("football.example.com", "v=spf1 a mx a:gone.example include:i.example -all");
    zone.txt("i.example", "v=spf1 exists:%{i}.no.example ?all");
    let world = world(zone).await;
    let mut queries = Vec::new();
    for _ in 0..2 {
        world.spf("192.0.2.1", "mail.football.example.com", "").await;
        let spf = world.spf("192.0.2.1", "mail.football.example.com", "joe@football.example.com").await;
        let results = world.check(&message, &spf).await;
        assert_eq!((results.dkim[0].result, results.dmarc.result), (CheckResult::Pass, CheckResult::None));
        queries.push(world.responder.total_queries());
    }
    assert_eq!(queries[0], queries[1]);
}

#[tokio::test]
async fn a_warmed_check_costs_no_query() {
    let (mut zone, message) = signed(SIGNED);
    zone.txt("_dmarc.example.com", "v=DMARC1; p=reject; sp=quarantine");
    let world = world(zone).await;
    let header = Bytes::copy_from_slice(&message);
    world.checker.warm(&header).await;
    let queries = world.responder.total_queries();
    let results = world.check(&message, &Spf::default()).await;
    assert_eq!(results.dmarc.result, CheckResult::Pass);
    assert_eq!(world.responder.total_queries(), queries);
}

#[tokio::test]
async fn messages_without_anything() {
    let world = world(Zone::new()).await;
    for (message, dmarc) in [
        ("", CheckResult::PermError),
        ("\r\nbody", CheckResult::PermError),
        ("Subject: x\r\n\r\n", CheckResult::PermError),
        ("From: a@example.org\r\n\r\n", CheckResult::None),
    ] {
        let results = world.check(message.as_bytes(), &Spf::default()).await;
        assert_eq!((results.dkim.len(), results.dmarc.result), (0, dmarc), "{message:?}");
    }
}

#[tokio::test]
async fn a_record_in_test_mode_asks_for_less() {
    let mut zone = Zone::new();
    zone.txt("_dmarc.example.org", "v=DMARC1; p=reject; t=y");
    zone.txt("_dmarc.example.net", "v=DMARC1; p=reject; np=none");
    let world = world(zone).await;
    for (from, policy, testing) in [
        ("a@example.org", DmarcPolicy::Quarantine, true),
        ("a@example.net", DmarcPolicy::Reject, false),
        ("a@nowhere.example.net", DmarcPolicy::None, false),
    ] {
        let dmarc = world.check(format!("From: {from}\r\n\r\n").as_bytes(), &Spf::default()).await.dmarc;
        assert_eq!(
            (dmarc.result, dmarc.policy, dmarc.testing),
            (CheckResult::Fail, policy, testing),
            "{from}"
        );
    }
}

fn spf_zone() -> Zone {
    let mut zone = Zone::new();
    for (name, policy) in [
        ("ip.example", "v=spf1 ip4:192.0.2.0/28 ip6:2001:db8::/32 ~all"),
        ("none.example", "hello"),
        ("closed.example", "v=spf1 -all"),
        ("neutral.example", "v=spf1 ?all"),
        ("host.example", "v=spf1 a -all"),
        ("mx.example", "v=spf1 mx -all"),
        ("ptr.example", "v=spf1 ptr -all"),
        ("exists.example", "v=spf1 exists:%{i}.list.example -all"),
        ("exists6.example", "v=spf1 exists:six.example -all"),
        ("exists46.example", "v=spf1 exists:host.example -all"),
        ("voids.example", "v=spf1 a:v1.gone a:v2.gone a:v3.gone +all"),
        ("two-voids.example", "v=spf1 a:v1.gone a:v2.gone +all"),
        ("broken.example", "v=spf1 a:sf.example +all"),
        ("broken-include.example", "v=spf1 include:sf.example +all"),
        ("lost-include.example", "v=spf1 include:gone.example +all"),
        ("loop.example", "v=spf1 include:loop.example +all"),
        ("twice.example", "v=spf1 +all"),
        ("mail.example", "v=spf1 redirect=ip.example"),
        ("local.example", "v=spf1 exists:%{l}.user.example -all"),
        ("fan.example", "v=spf1 mx:f1.example mx:f2.example mx:f3.example mx:f4.example mx:f5.example +all"),
    ] {
        zone.txt(name, policy);
    }
    zone.txt("twice.example", "v=spf1 -all")
        .fault("sf.example", Fault::ServFail)
        .add("host.example", Data::A([192, 0, 2, 1].into()))
        .add("host.example", Data::Aaaa("2001:db8::1".parse().unwrap()))
        .add("mx.example", Data::Mx(10, "host.example".into()))
        .add("www.ptr.example", Data::A([192, 0, 2, 1].into()))
        .add("1.2.0.192.in-addr.arpa", Data::Ptr("www.ptr.example".into()))
        .add("192.0.2.1.list.example", Data::A([127, 0, 0, 2].into()))
        .add("192.0.2.3.list.example", Data::Aaaa("::1".parse().unwrap()))
        .add("six.example", Data::Aaaa("::1".parse().unwrap()))
        .add("alice.user.example", Data::A([127, 0, 0, 2].into()));
    for i in 1..=5 {
        for host in 0..10 {
            zone.add(&format!("f{i}.example"), Data::Mx(10, format!("h{host}.f{i}.example")));
            zone.add(&format!("h{host}.f{i}.example"), Data::A([198, 51, 100, 1].into()));
        }
    }
    zone
}

#[tokio::test]
async fn spf_of_senders() {
    use CheckResult::{Fail, Neutral, None, Pass, PermError, SoftFail, TempError};
    let world = world(spf_zone()).await;
    for (client, domain, result) in [
        ("192.0.2.1", "ip.example", Pass),
        ("::ffff:192.0.2.1", "ip.example", Pass),
        ("2001:db8::1", "ip.example", Pass),
        ("192.0.2.99", "ip.example", SoftFail),
        ("192.0.2.1", "IP.Example.", Pass),
        ("192.0.2.1", "none.example", None),
        ("192.0.2.1", "gone.example", None),
        ("192.0.2.1", "localhost", None),
        ("192.0.2.1", "closed.example", Fail),
        ("192.0.2.1", "neutral.example", Neutral),
        ("192.0.2.1", "host.example", Pass),
        ("192.0.2.2", "host.example", Fail),
        ("2001:db8::1", "host.example", Pass),
        ("192.0.2.1", "mx.example", Pass),
        ("192.0.2.2", "mx.example", Fail),
        ("192.0.2.1", "ptr.example", Pass),
        ("192.0.2.2", "ptr.example", Fail),
        ("192.0.2.1", "exists.example", Pass),
        ("192.0.2.2", "exists.example", Fail),
        ("192.0.2.3", "exists.example", Fail),
        ("2001:db8::9", "exists6.example", Fail),
        ("2001:db8::9", "exists46.example", Pass),
        ("192.0.2.1", "two-voids.example", Pass),
        ("192.0.2.1", "voids.example", PermError),
        ("192.0.2.1", "broken.example", TempError),
        ("192.0.2.1", "broken-include.example", TempError),
        ("192.0.2.1", "lost-include.example", PermError),
        ("192.0.2.1", "loop.example", PermError),
        ("192.0.2.1", "twice.example", PermError),
        ("192.0.2.1", "sf.example", TempError),
        ("192.0.2.1", "mail.example", Pass),
        ("192.0.2.1", "local.example", Pass),
    ] {
        let spf = world.spf(client, "helo.example", &format!("alice@{domain}")).await;
        assert_eq!(spf.result, result, "{client} {domain}");
    }
}

#[tokio::test]
async fn spf_shows_its_domain_and_record() {
    let world = world(spf_zone()).await;
    let spf = world.spf("192.0.2.1", "", "a@Closed.example").await;
    assert_eq!((spf.domain.as_str(), spf.record.as_str()), ("closed.example", "v=spf1 -all"));
    let spf = world.spf("192.0.2.1", "none.example", "").await;
    assert_eq!((spf.domain.as_str(), spf.record.as_str()), ("none.example", ""));
    assert_eq!(world.spf("192.0.2.1", "[192.0.2.1]", "").await, Spf::default());
}

#[tokio::test]
async fn spf_knows_in_which_names_the_local_part_is() {
    let mut zone = Zone::new();
    zone.txt(
        "a.example",
        "v=spf1 include:i.example include:%{l1r-}.%{o} a:%{s}.a.example -all exp=%{l}.exp.a.example",
    )
    .txt("i.example", "v=spf1 ?all")
    .txt("strong.a.example", "v=spf1 exists:%{d}.e.example ?all")
    .txt("strong-bad.exp.a.example", "%{L} may not send from %{i}");
    let world = world(zone).await;
    let spf = world.spf("192.0.2.1", "helo.example", "strong-bad@a.example").await;
    assert_eq!(
        (spf.result, &*spf.explanation),
        (CheckResult::Fail, "strong-bad may not send from 192.0.2.1")
    );
    assert_eq!(spf.explanation_less.as_deref(), Some("%5Bredacted%5D may not send from 192.0.2.1"));
    let names: Vec<_> = spf.lookups.iter().map(|asked| (&*asked.name, asked.name_less.as_deref())).collect();
    let expected = [
        ("a.example", None),
        ("i.example", None),
        ("strong.a.example", Some("[redacted].a.example")),
        ("strong.a.example.e.example", Some("[redacted].a.example.e.example")),
        ("strong-bad@a.example.a.example", Some("[redacted]@a.example.a.example")),
        ("strong-bad.exp.a.example", Some("[redacted].exp.a.example")),
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn spf_asks_for_a_bounded_number_of_names() {
    let world = world(spf_zone()).await;
    let before = world.responder.total_queries();
    let spf = world.spf("192.0.2.1", "", "a@fan.example").await;
    assert_eq!(spf.result, CheckResult::PermError);
    assert!(world.responder.total_queries() - before <= 40);
}

/// A message of the suite with a chain of its own.
async fn chained(file: &str) -> (World, String) {
    let (zone, message) = signed(file);
    let mut world = world(zone).await;
    world.checker.settings.trusted_sealers = vec!["google.com".into(), ".ietf.org".into(), "ietf.org".into()];
    (world, String::from_utf8(message).unwrap())
}

#[tokio::test]
async fn chains_of_the_world_pass() {
    for file in ["arc/001.txt", "arc/002.txt"] {
        let (world, message) = chained(file).await;
        let arc = world.check(message.as_bytes(), &Spf::default()).await.arc;
        assert_eq!((arc.result, arc.reason), (CheckResult::Pass, ""), "{file}: {arc:?}");
        assert!(!arc.sealers.is_empty());
        println!("{file}: {arc:?}");
    }
}

#[tokio::test]
async fn a_chain_with_anything_wrong_says_nothing() {
    let (world, message) = chained("arc/001.txt").await;
    let seal = message.find("ARC-Seal:").unwrap();
    let without_a_seal = format!("{}X{}", &message[..seal], &message[seal..]);
    for (changed, reason) in [
        (format!("{message}PS\r\n"), "body_changed"),
        (message.replacen("Subject: ", "Subject: x", 1), "signature_mismatch"),
        (without_a_seal, "incomplete"),
        (message.replacen("cv=none", "cv=pass", 1), "chain_failed"),
        (message.replacen("i=1;", "i=2;", 1), "instance"),
        (message.replacen("a=rsa-sha256", "a=rsa-sha1", 1), "algorithm"),
        (message.replacen("cv=none", "cv=none; cv=none", 1), "duplicate_tag"),
        (message.replacen("cv=none", "cv=none; h=from", 1), "syntax"),
        (message.replacen("ARC-Seal:", "ARC-Seal : i=1; x\r\nARC-Seal:", 1), "incomplete"),
    ] {
        let arc = world.check(changed.as_bytes(), &Spf::default()).await.arc;
        assert_eq!(arc.result, CheckResult::Fail, "{reason}: {arc:?}");
        assert_eq!(arc.reason, reason, "{arc:?}");
        assert!(results::ArcChain::REASONS.contains(&arc.reason));
        assert!(!arc.trusted && arc.original_dmarc.is_empty());
    }
}

#[tokio::test]
async fn forged_chains_cost_little() {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"Hi.\r\n");
    let hash = BASE64.encode(hash.as_ref());
    let set = |i: usize| {
        format!(
            "ARC-Seal: i={i}; a=rsa-sha256; d=d{i}.example; s=s; cv={}; b=AAAA\r\nARC-Message-Signature: i={i}; a=rsa-sha256; \
             d=d{i}.example; s=s; h=from; bh={hash}; b=AAAA\r\nARC-Authentication-Results: i={i}; x; dmarc=pass\r\n",
            if i == 1 { "none" } else { "pass" }
        )
    };
    for (sets, reason, queries) in [(200, "too_long", 0), (51, "too_long", 0), (50, "no_key", 1)] {
        let world = world(Zone::new()).await;
        let chain: String = (1..=sets).map(set).collect();
        let message = format!("{chain}From: a@example.org\r\n\r\nHi.\r\n");
        let arc = world.check(message.as_bytes(), &Spf::default()).await.arc;
        assert_eq!((arc.result, arc.reason), (CheckResult::Fail, reason), "{sets}");
        let asked: u64 =
            (1..=sets).map(|i| world.responder.queries(&format!("s._domainkey.d{i}.example"))).sum();
        assert_eq!(asked, queries, "{sets}");
        assert!(world.responder.total_queries() < 20);
    }
}

mod names;
mod policies;
mod seals;
mod signatures;
