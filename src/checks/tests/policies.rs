//! DMARC by RFC 9989: which record counts, what it asks for, and who is aligned with whom.

use super::*;
use crate::checks::results::Dmarc;

/// SPF that passed for this domain.
fn spf_of(domain: &str) -> Spf {
    Spf { result: CheckResult::Pass, domain: domain.to_owned(), ..Spf::default() }
}

async fn with(records: &[(&str, &str)]) -> World {
    let mut zone = Zone::new();
    for (name, record) in records {
        zone.txt(name, record);
    }
    world(zone).await
}

impl World {
    async fn dmarc(&self, from: &str, spf: &str) -> Dmarc {
        let spf = if spf.is_empty() { Spf::default() } else { spf_of(spf) };
        let dmarc = self.check(format!("From: {from}\r\n\r\n").as_bytes(), &spf).await.dmarc;
        assert!(Dmarc::REASONS.contains(&dmarc.reason), "{dmarc:?}");
        dmarc
    }
}

/// RFC 9989 4.10: the author's own record, else that of the organisation above, of which `psd` says where it ends.
#[tokio::test]
async fn the_record_that_counts() {
    let world = with(&[
        ("_dmarc.example.com", "v=DMARC1; p=reject; sp=quarantine"),
        ("_dmarc.own.example.com", "v=DMARC1; p=none"),
        ("_dmarc.com", "v=DMARC1; p=none; psd=y"),
        ("_dmarc.bank.example", "v=DMARC1; p=reject; psd=n"),
        ("_dmarc.example", "v=DMARC1; p=none"),
        ("_dmarc.uni.example", "v=DMARC1; p=none"),
        ("_dmarc.dep.uni.example", "v=DMARC1; p=quarantine; psd=n"),
        ("x.example.com", "exists"),
        ("x.dep.uni.example", "exists"),
        ("x.other.com", "exists"),
    ])
    .await;
    use DmarcPolicy::{None, Quarantine, Reject};
    for (from, policy) in [
        ("a@example.com", Reject),
        ("a@x.example.com", Quarantine),
        ("a@own.example.com", None),
        ("a@EXAMPLE.com.", Reject),
        ("a@bank.example", Reject),
        ("a@x.dep.uni.example", Quarantine),
    ] {
        let found = world.dmarc(from, "").await;
        assert_eq!(
            (found.result, found.policy, found.reason),
            (CheckResult::Fail, policy, "nothing_passed"),
            "{from}"
        );
    }
    // A record of a public suffix holds for the names below that have none of their own.
    assert_eq!(world.dmarc("a@x.other.com", "").await.result, CheckResult::Fail);
    for from in ["a@nowhere.test", "a@test"] {
        let found = world.dmarc(from, "nowhere.test").await;
        assert_eq!((found.result, found.reason), (CheckResult::None, "no_record"), "{from}");
    }
}

/// RFC 9989 4.10.2 and 5.3.5.
#[tokio::test]
async fn alignment() {
    let world = with(&[
        ("_dmarc.example.com", "v=DMARC1; p=reject"),
        ("_dmarc.strict.example", "v=DMARC1; p=reject; aspf=s; adkim=s"),
        ("_dmarc.com", "v=DMARC1; p=none; psd=y"),
        ("_dmarc.split.example", "v=DMARC1; p=reject; psd=n"),
        ("_dmarc.b.split.example", "v=DMARC1; p=reject; psd=n"),
        ("_dmarc.xn--bcher-kva.example", "v=DMARC1; p=reject"),
    ])
    .await;
    use CheckResult::{Fail, Pass};
    for (from, spf, result) in [
        ("a@example.com", "example.com", Pass),
        ("a@example.com", "EXAMPLE.com", Pass),
        ("a@Example.Com", "bounce.example.com", Pass),
        ("a@news.example.com", "bounce.example.com", Pass),
        ("a@news.example.com", "example.com", Pass),
        ("a@example.com", "evilexample.com", Fail),
        ("a@example.com", "example.com.evil.test", Fail),
        ("a@example.com", "other.com", Fail),
        ("a@example.com", "com", Fail),
        ("a@strict.example", "strict.example", Pass),
        ("a@strict.example", "x.strict.example", Fail),
        ("a@x.strict.example", "strict.example", Fail),
        ("a@x.strict.example", "x.strict.example", Pass),
        // Each of the two is an organisation of its own.
        ("a@split.example", "b.split.example", Fail),
        ("a@b.split.example", "split.example", Fail),
        ("a@x.b.split.example", "b.split.example", Pass),
        ("a@b\u{fc}cher.example", "xn--bcher-kva.example", Pass),
        ("a@B\u{dc}CHER.example", "mail.xn--bcher-kva.example", Pass),
        ("a@example.com.", "example.com", Pass),
    ] {
        let found = world.dmarc(from, spf).await;
        let reason = if result == Pass { "spf" } else { "not_aligned" };
        assert_eq!((found.result, found.reason), (result, reason), "{from} {spf}");
    }
}

/// RFC 9989 4.7 and 4.8; the first ones are what KumoMTA had to learn (its pull request 505).
#[tokio::test]
async fn records_as_people_write_them() {
    use DmarcPolicy::{None, Quarantine, Reject};
    for (record, policy) in [
        ("v=DMARC1; p=reject;", Reject),
        ("v=DMARC1;p=REJECT ; ", Reject),
        ("v=DMARC1; p=reject; adkim=R; aspf=r;", Reject),
        ("v=DMARC1; p=quarantine; pct=0", Quarantine),
        ("v=DMARC1; p=reject; t=y", Quarantine),
        ("v=DMARC1; p=quarantine; t=y", None),
        ("v=DMARC1; p=reject; t=n", Reject),
        ("v=DMARC1; p=reject; t=yes", Reject),
        ("v=DMARC1; p=reject; np=bogus; sp=bogus; psd=maybe; fo=9", Reject),
        ("v=DMARC1; p=bogus; rua=mailto:r@example.com", None),
        ("v=DMARC1; rua=mailto:r@example.com", None),
    ] {
        let world = with(&[("_dmarc.example.com", record)]).await;
        let failed = world.dmarc("a@example.com", "").await;
        assert_eq!((failed.result, failed.policy), (CheckResult::Fail, policy), "{record}");
        let passed = world.dmarc("a@Example.com", "news.example.com").await;
        assert_eq!((passed.result, passed.reason), (CheckResult::Pass, "spf"), "{record}");
        assert_eq!(failed.testing, record.contains("t=y") && !record.contains("t=yes"), "{record}");
    }
    for record in [
        "v=DMARC1; p=bogus",
        "v=DMARC1",
        "v=DMARC2; p=reject",
        "p=reject",
        "V=DMARC1; p=reject",
        "v=dmarc1; p=reject",
    ] {
        let world = with(&[("_dmarc.example.com", record)]).await;
        assert_eq!(world.dmarc("a@example.com", "example.com").await.result, CheckResult::None, "{record}");
    }
}

/// RFC 9989 4.7: `np` for names that do not exist, else `sp`, else `p`.
#[tokio::test]
async fn subdomains_that_exist_and_that_do_not() {
    use DmarcPolicy::{None, Quarantine, Reject};
    for (record, existing, absent) in [
        ("v=DMARC1; p=reject", Reject, Reject),
        ("v=DMARC1; p=none; sp=quarantine", Quarantine, Quarantine),
        ("v=DMARC1; p=none; np=reject", None, Reject),
        ("v=DMARC1; p=none; sp=quarantine; np=reject", Quarantine, Reject),
        ("v=DMARC1; p=reject; sp=none; np=quarantine; t=y", None, None),
    ] {
        let mut zone = Zone::new();
        zone.txt("_dmarc.example.com", record).add("host.example.com", Data::A([192, 0, 2, 1].into()));
        zone.txt("text.example.com", "no address, but there");
        let world = world(zone).await;
        for (from, policy) in [("host", existing), ("text", existing), ("gone", absent)] {
            let found = world.dmarc(&format!("a@{from}.example.com"), "").await;
            assert_eq!((found.result, found.policy), (CheckResult::Fail, policy), "{record} {from}");
        }
    }
}

/// Row 90 of the catalogue of attacks.
#[tokio::test]
async fn several_records_are_none() {
    let world = with(&[
        ("_dmarc.example.com", "v=DMARC1; p=reject"),
        ("_dmarc.example.com", "v=DMARC1; p=none"),
        ("_dmarc.example.net", "v=spf1 -all"),
        ("_dmarc.example.net", "v=DMARC1; p=reject"),
    ])
    .await;
    assert_eq!(world.dmarc("a@example.com", "example.com").await.result, CheckResult::None);
    assert_eq!(world.dmarc("a@example.net", "example.net").await.result, CheckResult::Pass);
}

/// Row 91: what cannot be looked up is not "no record", wherever on the way up it stands.
#[tokio::test]
async fn faults_of_dns_are_temporary() {
    for fault in [Fault::ServFail, Fault::Refused] {
        for broken in ["_dmarc.a.example.com", "_dmarc.example.com", "_dmarc.com"] {
            let mut zone = Zone::new();
            zone.fault(broken, fault);
            let found = world(zone).await.dmarc("x@a.example.com", "a.example.com").await;
            assert_eq!(
                (found.result, found.reason),
                (CheckResult::TempError, "lookup"),
                "{fault:?} {broken}"
            );
        }
    }
}

/// Rows 65, 70, 73 and 77.
#[tokio::test]
async fn nobody_is_spoken_for_by_accident() {
    let world =
        with(&[("_dmarc.legit.example", "v=DMARC1; p=reject"), ("_dmarc.com", "v=DMARC1; p=reject")]).await;
    let many = format!("{}b@legit.example", "a@evil.example, ".repeat(2999));
    for (from, spf, result, reason) in [
        ("b@legit.example", "", CheckResult::Fail, "nothing_passed"),
        ("b@legit.example", "evil.example", CheckResult::Fail, "not_aligned"),
        ("b@legit.example", "legit.example", CheckResult::Pass, "spf"),
        ("", "legit.example", CheckResult::PermError, "no_author"),
        ("legit", "legit.example", CheckResult::PermError, "no_author"),
        (&many, "legit.example", CheckResult::PermError, "several_authors"),
        ("a@evil.example, b@legit.example", "evil.example", CheckResult::PermError, "several_authors"),
        ("<a@evil.example>, <b@legit.example>", "legit.example", CheckResult::PermError, "several_authors"),
        ("\"b@legit.example\"@evil.example", "legit.example", CheckResult::PermError, "ambiguous_author"),
        ("x: b@legit.example;", "legit.example", CheckResult::PermError, "ambiguous_author"),
    ] {
        let found = world.dmarc(from, spf).await;
        assert_eq!((found.result, found.reason), (result, reason), "{}", &from[..from.len().min(60)]);
    }
    let two = "From: b@legit.example\r\nFrom: a@evil.example\r\n\r\n";
    let found = world.check(two.as_bytes(), &spf_of("legit.example")).await.dmarc;
    assert_eq!((found.result, found.reason), (CheckResult::PermError, "several_authors"));
}
