//! Section D of the catalogue of attacks: records and name servers that want to cost much, or to be believed.

use super::*;
use crate::dns::Kind;

/// SPF of this domain for 192.0.2.1: the result, and how many queries it took.
async fn spf_of(zone: Zone, domain: &str) -> (Spf, u64) {
    let world = world(zone).await;
    let spf = world.spf("192.0.2.1", "helo.test", &format!("a@{domain}")).await;
    (spf, world.responder.total_queries())
}

/// Rows 94, 95, 96, 97 and 99.
#[tokio::test]
async fn records_that_want_to_cost_much() {
    let mut zone = Zone::new();
    for i in 0..30 {
        zone.txt(&format!("chain{i}.test"), &format!("v=spf1 include:chain{}.test +all", i + 1));
        zone.txt(&format!("redirect{i}.test"), &format!("v=spf1 redirect=redirect{}.test", (i + 1) % 30));
    }
    zone.txt("loop.test", "v=spf1 include:loop.test +all").txt("self.test", "v=spf1 redirect=self.test");
    let fan = |at: &str| (0..10).map(|i| format!(" include:f{i}{at}")).collect::<String>();
    zone.txt("fan.test", &format!("v=spf1{} +all", fan(".fan.test")));
    for i in 0..10 {
        zone.txt(&format!("f{i}.fan.test"), &format!("v=spf1{} ?all", fan(&format!(".f{i}.fan.test"))));
        for j in 0..10 {
            zone.txt(&format!("f{j}.f{i}.fan.test"), "v=spf1 ?all");
        }
    }
    let voids: String = (0..9).map(|i| format!(" a:v{i}.test")).collect();
    zone.txt("void.test", &format!("v=spf1{voids} +all"));
    zone.txt("mx100.test", "v=spf1 mx +all").txt("ptr100.test", "v=spf1 ptr ?all");
    for i in 0..100 {
        zone.add("mx100.test", Data::Mx(10, format!("h{i}.mx100.test")));
        zone.add("1.2.0.192.in-addr.arpa", Data::Ptr(format!("h{i}.ptr100.test")));
        zone.add(&format!("h{i}.ptr100.test"), Data::A([198, 51, 100, 1].into()));
    }
    zone.txt("two.test", "v=spf1 +all").txt("two.test", "v=spf1 -all");
    zone.txt("macro.test", "v=spf1 exists:%{x}.test +all").txt("percent.test", "v=spf1 exists:%.test +all");
    use CheckResult::{Neutral, PermError};
    for (row, domain, result, most) in [
        ("94", "chain0.test", PermError, 22),
        ("94", "redirect0.test", PermError, 22),
        ("94", "loop.test", PermError, 22),
        ("94", "self.test", PermError, 22),
        ("95", "fan.test", PermError, 26),
        ("96", "void.test", PermError, 10),
        ("97", "mx100.test", PermError, 26),
        ("97", "ptr100.test", Neutral, 26),
        ("99", "two.test", PermError, 1),
        ("99", "macro.test", PermError, 1),
        ("99", "percent.test", PermError, 1),
    ] {
        let (spf, queries) = spf_of(zone.clone(), domain).await;
        assert_eq!(spf.result, result, "{row} {domain}: {spf:?}");
        assert!(queries <= most, "{row} {domain}: {queries} queries");
        assert!(spf.lookups.len() <= 64, "{row} {domain}");
    }
}

/// Row 98: 60 KB of text under one name.
#[tokio::test]
async fn giant_answers() {
    let mut zone = Zone::new();
    for i in 0..60 {
        zone.txt("giant.test", &format!("{i} {}", "x".repeat(990)));
    }
    zone.txt("giant-policy.test", &format!("v=spf1{} +all", " ip4:198.51.100.1".repeat(2500)));
    for i in 0..100 {
        zone.txt("many-texts.test", &format!("some-site-verification={i:080}"));
    }
    zone.txt("many-texts.test", "v=spf1 ip4:192.0.2.1 -all");
    zone.txt("giant-spf.test", &format!("v=spf1 -all {}", "x".repeat(60_000)));
    for (domain, results) in [
        ("giant.test", [CheckResult::PermError, CheckResult::TempError]),
        ("giant-spf.test", [CheckResult::PermError, CheckResult::TempError]),
        ("giant-policy.test", [CheckResult::PermError, CheckResult::TempError]),
        ("many-texts.test", [CheckResult::Pass, CheckResult::Pass]),
    ] {
        let (spf, queries) = spf_of(zone.clone(), domain).await;
        assert!(results.contains(&spf.result), "{domain}: {:?}", spf.result);
        assert!(queries <= 6, "{domain}: {queries} queries");
        assert!(spf.lookups.iter().all(|asked| asked.answer.len() <= 256));
    }
}

/// Rows 100 to 103: whatever a server does, there is an end, and never a pass.
#[tokio::test(start_paused = true)]
async fn servers_that_are_broken() {
    let mut zone = Zone::new();
    zone.add("cname.test", Data::Cname("cname2.test".into()));
    zone.add("cname2.test", Data::Cname("cname.test".into()));
    zone.add("self-cname.test", Data::Cname("self-cname.test".into()));
    let faults = [
        ("servfail.test", Fault::ServFail),
        ("refused.test", Fault::Refused),
        ("drop.test", Fault::Drop),
        ("garbage.test", Fault::Garbage),
        ("wrong-id.test", Fault::WrongId),
        ("other-question.test", Fault::OtherQuestion),
        ("looped-name.test", Fault::LoopedName),
        ("bad-length.test", Fault::BadLength),
        ("tc-no-tcp.test", Fault::Truncate { tcp: false }),
        ("tc-always.test", Fault::TruncateAlways),
    ];
    for (name, fault) in faults {
        let policy = format!("_dmarc.{name}");
        zone.txt(name, "v=spf1 +all").fault(name, fault);
        zone.txt(&policy, "v=DMARC1; p=reject").fault(&policy, fault);
    }
    for domain in faults.map(|(name, _)| name).into_iter().chain(["cname.test", "self-cname.test"]) {
        let world = world(zone.clone()).await;
        let begin = tokio::time::Instant::now();
        let spf = world.spf("192.0.2.1", "helo.test", &format!("a@{domain}")).await;
        let dmarc = world.check(format!("From: a@{domain}\r\n\r\n").as_bytes(), &spf).await.dmarc;
        let queries = world.responder.total_queries();
        // An alias that leads nowhere has no records.
        let expected = if domain.contains("cname") {
            [CheckResult::None, CheckResult::TempError]
        } else {
            [CheckResult::TempError; 2]
        };
        assert!(expected.contains(&spf.result), "{domain}: {spf:?}");
        assert!(expected.contains(&dmarc.result), "{domain}: {dmarc:?}");
        assert!(queries <= 60, "{domain}: {queries} queries");
        assert!(begin.elapsed() < Duration::from_secs(10), "{domain}: {:?}", begin.elapsed());
    }
}

/// Row 104: what comes first is not what is believed.
#[tokio::test]
async fn answers_of_somebody_else() {
    let mut zone = Zone::new();
    zone.txt("forged.test", "v=spf1 -all").fault("forged.test", Fault::Forged);
    zone.txt("addresses.test", "v=spf1 a -all").add("addresses.test", Data::A([198, 51, 100, 1].into()));
    zone.fault_for("addresses.test", Kind::A, Fault::Forged);
    for domain in ["forged.test", "addresses.test"] {
        let (spf, _) = spf_of(zone.clone(), domain).await;
        assert!(matches!(spf.result, CheckResult::Fail | CheckResult::TempError), "{domain}: {spf:?}");
    }
}

/// Row 105: a name that is too long loses labels from its left.
#[tokio::test]
async fn names_that_macros_make_too_long() {
    let mut zone = Zone::new();
    zone.txt(
        "long.test",
        &format!("v=spf1 exists:%{{l}}.%{{l}}.%{{l}}.%{{l}}.%{{l}}.{}.long.test -all", "y".repeat(60)),
    );
    let world = world(zone).await;
    for local in ["a".repeat(63), "a.".repeat(30) + "a", "%".repeat(64), "\u{fc}".repeat(30)] {
        let spf = world.spf("192.0.2.1", "helo.test", &format!("{local}@long.test")).await;
        assert_eq!(spf.result, CheckResult::Fail, "{local}: {spf:?}");
        assert!(spf.lookups.iter().all(|asked| asked.name.len() <= 253), "{local}");
    }
}

/// Row 106: who waits for a dead server keeps nobody else waiting.
#[tokio::test]
async fn dead_servers_hold_up_nobody_else() {
    let mut zone = Zone::new();
    for i in 0..20 {
        zone.fault(&format!("dead{i}.test"), Fault::Drop);
    }
    zone.txt("alive.test", "v=spf1 ip4:192.0.2.1 -all");
    let world = Arc::new(world(zone).await);
    let waiting: Vec<_> = (0..20)
        .map(|i| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.spf("192.0.2.1", "h.test", &format!("a@dead{i}.test")).await })
        })
        .collect();
    let begin = std::time::Instant::now();
    let spf = world.spf("192.0.2.1", "helo.test", "a@alive.test").await;
    assert_eq!(spf.result, CheckResult::Pass);
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
    for dead in waiting {
        assert_eq!(dead.await.unwrap().result, CheckResult::TempError);
    }
}

/// Row 107: the cache has an end in bytes, and failures are not kept for long.
#[tokio::test]
async fn many_names_are_not_all_kept() {
    let world = world(Zone::new()).await;
    let dns = dns::Settings { cache_bytes: 64 << 10, ..world.responder.settings() };
    let resolver = Resolver::new(dns, Arc::new(())).unwrap();
    for i in 0..3000 {
        let _ = resolver.lookup(Kind::Txt, &format!("n{i}.{}.test", "x".repeat(60))).await;
    }
    assert!(resolver.cache_entries() < 600, "{}", resolver.cache_entries());
}

#[tokio::test]
async fn what_was_asked_can_be_seen() {
    let mut zone = Zone::new();
    zone.txt("seen.test", "v=spf1 include:i.test a:gone.test a:broken.test -all")
        .txt("i.test", "v=spf1 ip4:198.51.100.0/24 ?all");
    zone.fault("broken.test", Fault::ServFail).txt("_dmarc.seen.test", "v=DMARC1; p=none");
    let world = world(zone).await;
    let spf = world.spf("192.0.2.1", "helo.test", "a@seen.test").await;
    let seen = |asked: &[results::Asked]| -> Vec<String> {
        asked
            .iter()
            .map(|asked| format!("{} {} {} {}", asked.kind, asked.name, asked.result, asked.answer))
            .collect()
    };
    assert_eq!(
        seen(&spf.lookups),
        [
            "txt seen.test ok v=spf1 include:i.test a:gone.test a:broken.test -all",
            "txt i.test ok v=spf1 ip4:198.51.100.0/24 ?all",
            "a gone.test nxdomain ",
            "a broken.test error servfail",
        ]
    );
    assert!(spf.lookups.iter().any(|asked| !asked.took.is_zero()));
    // Of both records; hosts that were not found count all the same.
    assert_eq!((spf.result, spf.breadth), (CheckResult::TempError, 258));
    let results = world.check(b"From: a@seen.test\r\n\r\n", &spf).await;
    assert_eq!(results.dmarc.record, "v=DMARC1; p=none");
    let asked = seen(&results.dmarc.lookups);
    assert!(asked.contains(&"txt _dmarc.seen.test ok v=DMARC1; p=none".to_owned()), "{asked:?}");
}
