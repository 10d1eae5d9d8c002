//! The resolver against the responder: answers, caches, failures, and the responder's own behaviour on the wire.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::responder::{Data, DataError, Fault, Responder, Zone};
use super::*;

#[derive(Debug, Default)]
struct Seen(Mutex<Vec<(Kind, Outcome, bool)>>);

impl Observe for Seen {
    fn looked_up(&self, lookup: &Lookup) {
        self.0.lock().unwrap().push((lookup.kind, lookup.outcome, lookup.cached));
    }
}

fn zone() -> Zone {
    let mut zone = Zone::new();
    zone.add("host.example", Data::A(Ipv4Addr::new(192, 0, 2, 1)))
        .add("host.example", Data::Aaaa("2001:db8::1".parse().unwrap()))
        .add("example", Data::Mx(20, "B.Example.".into()))
        .add("example", Data::Mx(10, "a.example".into()))
        .txt("example", "v=spf1 -all")
        .txt("long.example", &"x".repeat(700))
        .add("parts.example", Data::TxtParts(vec![b"one".to_vec(), b" two".to_vec()]))
        .add("1.2.0.192.in-addr.arpa", Data::Ptr("Host.Example.".into()))
        .add("alias.example", Data::Cname("host.example".into()))
        .add("nomail.example", Data::Mx(0, ".".into()))
        .add("a.b.deep.example", Data::A(Ipv4Addr::LOCALHOST));
    zone
}

async fn resolver(responder: &Responder) -> Resolver {
    let settings = Settings { timeout: Duration::from_millis(600), ..responder.settings() };
    Resolver::new(settings, Arc::new(())).unwrap()
}

#[tokio::test]
async fn records_of_every_kind() {
    let responder = Responder::start(zone()).await.unwrap();
    let resolver = resolver(&responder).await;
    for (kind, name, values) in [
        (Kind::A, "host.example", &["192.0.2.1"] as &[&str]),
        (Kind::A, "HOST.example.", &["192.0.2.1"]),
        (Kind::A, "alias.example", &["192.0.2.1"]),
        (Kind::Aaaa, "host.example", &["2001:db8::1"]),
        (Kind::Mx, "example", &["a.example", "b.example"]),
        (Kind::Txt, "example", &["v=spf1 -all"]),
        (Kind::Txt, "long.example", &["x".repeat(700).as_str()]),
        (Kind::Txt, "parts.example", &["one two"]),
        (Kind::Ptr, &reverse_name("192.0.2.1".parse().unwrap()), &["host.example"]),
    ] {
        let answers = resolver.lookup(kind, name).await.unwrap();
        assert_eq!(answers.records.to_texts(), values, "{kind:?} {name}");
        assert!(answers.ttl() <= Duration::from_secs(300));
    }
}

#[tokio::test]
async fn absence_and_its_kinds() {
    let responder = Responder::start(zone()).await.unwrap();
    let resolver = resolver(&responder).await;
    let long_label = format!("{}.example", "x".repeat(64));
    for (kind, name, failure) in [
        (Kind::A, "nowhere.example", Failure::NxDomain),
        (Kind::Mx, "host.example", Failure::NoData),
        (Kind::A, "deep.example", Failure::NoData),
        (Kind::Mx, "alias.example", Failure::NoData),
        (Kind::A, "with space.example", Failure::NxDomain),
        (Kind::A, "two..dots.example", Failure::NxDomain),
        (Kind::A, &long_label, Failure::NxDomain),
    ] {
        assert_eq!(resolver.lookup(kind, name).await.unwrap_err(), failure, "{kind:?} {name}");
    }
    assert_eq!(responder.queries("two..dots.example"), 0);
}

#[tokio::test]
async fn absence_is_cached_with_and_without_soa() {
    let mut zone = zone();
    zone.add("soa.test", Data::Soa(120)).add("zero.test", Data::Soa(0));
    let responder = Responder::start(zone).await.unwrap();
    let resolver = resolver(&responder).await;
    for (name, queries) in [("x.soa.test", 1), ("no.soa", 1), ("host.example", 1), ("x.zero.test", 1)] {
        for _ in 0..3 {
            resolver.lookup(Kind::Txt, name).await.unwrap_err();
        }
        assert_eq!(responder.queries(name), queries, "{name}");
    }
}

#[tokio::test]
async fn faults_are_temporary_and_cached_for_a_while() {
    let mut zone = zone();
    zone.fault("sf.example", Fault::ServFail)
        .fault("rf.example", Fault::Refused)
        .fault("drop.example", Fault::Drop)
        .fault("garbage.example", Fault::Garbage)
        .fault("id.example", Fault::WrongId)
        .fault("cut.example", Fault::Truncate { tcp: false })
        .fault_for("host.example", Kind::Aaaa, Fault::ServFail);
    let responder = Responder::start(zone).await.unwrap();
    let resolver = resolver(&responder).await;
    for (name, trouble) in [
        ("sf.example", Some(Trouble::ServFail)),
        ("rf.example", Some(Trouble::Refused)),
        ("drop.example", Some(Trouble::Timeout)),
        ("garbage.example", None),
        ("id.example", None),
        ("cut.example", None),
        ("host.example", Some(Trouble::ServFail)),
    ] {
        let started = Instant::now();
        let Err(Failure::Temporary(found)) = resolver.lookup(Kind::Aaaa, name).await else {
            panic!("{name} is no temporary failure");
        };
        assert!(started.elapsed() < Duration::from_millis(900), "{name}: {:?}", started.elapsed());
        assert!(trouble.is_none_or(|trouble| trouble == found), "{name}: {found:?}");
        let before = responder.queries(name);
        resolver.lookup(Kind::Aaaa, name).await.unwrap_err();
        assert_eq!(responder.queries(name), before, "{name} is asked again");
    }
    resolver.lookup(Kind::A, "host.example").await.unwrap();
}

#[tokio::test]
async fn a_healed_name_is_found_once_the_failure_is_forgotten() {
    let mut zone = zone();
    zone.fault("host.example", Fault::ServFail);
    let responder = Responder::start(zone).await.unwrap();
    let settings = Settings { failure_ttl: Duration::ZERO, ..responder.settings() };
    let resolver = Resolver::new(settings, Arc::new(())).unwrap();
    resolver.lookup(Kind::A, "host.example").await.unwrap_err();
    responder.change(|zone| {
        zone.heal("host.example");
    });
    resolver.lookup(Kind::A, "host.example").await.unwrap();
}

#[tokio::test]
async fn truncated_and_late_answers_arrive() {
    let mut zone = zone();
    zone.txt("tc.example", "text").fault("tc.example", Fault::Truncate { tcp: true });
    zone.txt("late.example", "text").fault("late.example", Fault::Delay(Duration::from_millis(100)));
    zone.txt("huge.example", &"y".repeat(20_000));
    let responder = Responder::start(zone).await.unwrap();
    let resolver = resolver(&responder).await;
    for name in ["tc.example", "late.example", "huge.example"] {
        assert!(resolver.lookup(Kind::Txt, name).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn equal_questions_become_one_query() {
    let mut zone = zone();
    zone.fault("host.example", Fault::Delay(Duration::from_millis(50)));
    let responder = Responder::start(zone).await.unwrap();
    let resolver = resolver(&responder).await;
    let asked: Vec<_> = (0..50)
        .map(|_| {
            let resolver = resolver.clone();
            tokio::spawn(async move { resolver.lookup(Kind::A, "host.example").await })
        })
        .collect();
    for answer in asked {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(responder.queries("host.example"), 1);
}

#[tokio::test]
async fn records_without_time_to_live_are_asked_again() {
    let mut zone = Zone::new();
    zone.add_with_ttl("zero.example", 0, Data::A(Ipv4Addr::LOCALHOST));
    let responder = Responder::start(zone).await.unwrap();
    let resolver = resolver(&responder).await;
    for _ in 0..2 {
        resolver.lookup(Kind::A, "zero.example").await.unwrap();
    }
    assert_eq!(responder.queries("zero.example"), 2);
}

#[tokio::test]
async fn the_cache_is_bounded_by_bytes() {
    let mut zone = Zone::new();
    for i in 0..100 {
        zone.txt(&format!("n{i}.example"), &"z".repeat(1000));
    }
    let responder = Responder::start(zone).await.unwrap();
    let settings = Settings { cache_bytes: 20_000, ..responder.settings() };
    let resolver = Resolver::new(settings, Arc::new(())).unwrap();
    for i in 0..100 {
        resolver.lookup(Kind::Txt, &format!("n{i}.example")).await.unwrap();
    }
    let kept = (0..100).filter(|i| resolver.cached(Kind::Txt, &format!("n{i}.example")).is_some()).count();
    assert!((1..=18).contains(&kept), "{kept} kept");
}

#[tokio::test]
async fn mail_hosts_of_a_domain() {
    let mut zone = zone();
    zone.fault("sf.example", Fault::ServFail)
        .fault_for("half.example", Kind::Aaaa, Fault::ServFail)
        .txt("half.example", "here")
        .add("odd.example", Data::Mx(0, ".".into()))
        .add("odd.example", Data::Mx(5, "mx.example".into()));
    let responder = Responder::start(zone).await.unwrap();
    let resolver = resolver(&responder).await;
    for (domain, hosts) in [
        ("example", MailHosts::Hosts(vec!["a.example".into(), "b.example".into()])),
        ("HOST.example", MailHosts::Hosts(vec!["host.example".into()])),
        ("nomail.example", MailHosts::NullMx),
        ("odd.example", MailHosts::Hosts(vec!["mx.example".into()])),
        ("parts.example", MailHosts::None),
        ("nowhere.example", MailHosts::None),
        ("sf.example", MailHosts::Temporary(Trouble::ServFail)),
        ("half.example", MailHosts::Temporary(Trouble::ServFail)),
    ] {
        assert_eq!(resolver.mail_hosts(domain).await, hosts, "{domain}");
    }
}

#[tokio::test]
async fn every_lookup_is_observed_once() {
    let responder = Responder::start(zone()).await.unwrap();
    let seen = Arc::new(Seen::default());
    let resolver = Resolver::new(responder.settings(), Arc::clone(&seen) as Arc<dyn Observe>).unwrap();
    for name in ["host.example", "host.example", "nowhere.example", "nowhere.example"] {
        let _ = resolver.lookup(Kind::A, name).await;
    }
    assert_eq!(
        *seen.0.lock().unwrap(),
        [
            (Kind::A, Outcome::Ok, false),
            (Kind::A, Outcome::Ok, true),
            (Kind::A, Outcome::NxDomain, false),
            (Kind::A, Outcome::NxDomain, true)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn answers_age_with_the_clock() {
    let responder = Responder::start(zone()).await.unwrap();
    let resolver = resolver(&responder).await;
    resolver.lookup(Kind::A, "host.example").await.unwrap();
    tokio::time::advance(Duration::from_secs(200)).await;
    assert!(resolver.cached(Kind::A, "host.example").is_some());
    tokio::time::advance(Duration::from_secs(101)).await;
    assert!(resolver.cached(Kind::A, "host.example").is_none());
}

#[test]
fn records_are_read_from_text() {
    assert_eq!(Data::parse("a", "192.0.2.1"), Ok(Data::A(Ipv4Addr::new(192, 0, 2, 1))));
    assert_eq!(Data::parse("MX", "0 ."), Ok(Data::Mx(0, ".".into())));
    assert_eq!(Data::parse("TXT", "v=spf1 -all"), Ok(Data::Txt(b"v=spf1 -all".to_vec())));
    assert_eq!(Data::parse("SRV", "x"), Err(DataError::Type("SRV".into())));
    assert_eq!(Data::parse("A", "x"), Err(DataError::Data { kind: "A", data: "x".into() }));
}

/// Transcripts run on a stopped clock that jumps when all wait: it must not jump while an answer is on its way.
#[tokio::test(start_paused = true)]
async fn answers_arrive_on_a_stopped_clock() {
    let mut zone = Zone::new();
    for i in 0..50 {
        zone.txt(&format!("n{i}.example"), "x");
    }
    zone.txt("tc.example", "text").fault("tc.example", Fault::Truncate { tcp: true });
    zone.txt("late.example", "text").fault("late.example", Fault::Delay(Duration::from_millis(300)));
    zone.fault("drop.example", Fault::Drop);
    let responder = Responder::start(zone).await.unwrap();
    let resolver = Resolver::new(responder.settings(), Arc::new(())).unwrap();
    let started = tokio::time::Instant::now();
    for i in 0..50 {
        resolver.lookup(Kind::Txt, &format!("n{i}.example")).await.unwrap();
    }
    resolver.lookup(Kind::Txt, "tc.example").await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
    resolver.lookup(Kind::Txt, "late.example").await.unwrap();
    assert_eq!(started.elapsed().as_millis(), 300);
    assert_eq!(
        resolver.lookup(Kind::Txt, "drop.example").await.unwrap_err(),
        Failure::Temporary(Trouble::Timeout)
    );
    assert!(started.elapsed() <= Duration::from_millis(3400));
}
