//! DKIM: what a signature may be, and what it may cost.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};

use super::*;
use crate::checks::results::Dkim;

/// Who signs in tests.
pub(in crate::checks) enum Signer {
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    pub(in crate::checks) fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub(in crate::checks) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    fn algorithm(&self) -> &'static str {
        if matches!(self, Self::Rsa(_)) { "rsa-sha256" } else { "ed25519-sha256" }
    }

    /// `k=` and `p=` of the key record.
    fn key(&self) -> String {
        match self {
            Self::Rsa(pair) => format!("k=rsa; p={}", BASE64.encode(pair.public_key().as_ref())),
            Self::Ed25519(pair) => format!("k=ed25519; p={}", BASE64.encode(pair.public_key().as_ref())),
        }
    }

    fn sign(&self, data: &[u8]) -> String {
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), data, &mut signature).unwrap();
                BASE64.encode(&signature)
            }
            // RFC 8463 3: the hash is what is signed.
            Self::Ed25519(pair) => {
                let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, data);
                BASE64.encode(pair.sign(hash.as_ref()).as_ref())
            }
        }
    }

    /// A signature of `From: a@example.org` and the body, with these tags beside `v`, `a`, `c`, `h`, `bh` and `b`.
    fn field(&self, tags: &str, body: &[u8]) -> String {
        let mut hasher = body::BodyHasher::new(body::Canonicalization::Relaxed);
        hasher.write(body);
        let hash = BASE64.encode(hasher.finish().as_ref());
        let value = format!("v=1; a={}; c=relaxed/relaxed; {tags}; h=from; bh={hash}; b=", self.algorithm());
        let signed = format!("from:a@example.org\r\ndkim-signature:{value}");
        format!("DKIM-Signature: {value}{}\r\n", self.sign(signed.as_bytes()))
    }
}

const BODY: &[u8] = b"hello\r\n";
const LETTER: &str = "From: a@example.org\r\n\r\nhello\r\n";

/// The result of a signature with these tags by a key with these tags.
async fn verified(signer: &Signer, tags: &str, key: &str) -> Dkim {
    let mut zone = Zone::new();
    zone.txt("sel._domainkey.example.org", &format!("v=DKIM1; {key}{}", signer.key()));
    let world = world(zone).await;
    let message = format!("{}{LETTER}", signer.field(tags, BODY));
    world.check(message.as_bytes(), &Spf::default()).await.dkim.remove(0)
}

#[tokio::test]
async fn keys_and_identities() {
    use CheckResult::{Fail, Neutral, Pass, PermError};
    let (rsa, ed25519) = (Signer::rsa(), Signer::ed25519());
    for signer in [&rsa, &ed25519] {
        for (tags, key, result, reason) in [
            ("d=example.org; s=sel", "", Pass, ""),
            ("d=Example.ORG; s=SEL", "", Pass, ""),
            ("d=example.org; s=sel; i=@example.org", "t=s; ", Pass, ""),
            ("d=example.org; s=sel; i=joe@EXAMPLE.org", "t=s:y; ", Pass, ""),
            ("d=example.org; s=sel; i=@sub.example.org", "", Pass, ""),
            ("d=example.org; s=sel; i=@sub.example.org", "t=s; ", Fail, "identity"),
            ("d=example.org; s=sel; i=@evilexample.org", "", Fail, "identity"),
            ("d=example.org; s=sel; i=@bank.example", "", Fail, "identity"),
            ("d=example.org; s=sel; i=@org", "", Fail, "identity"),
            ("d=example.org; s=sel; i=nobody", "", PermError, "syntax"),
            ("d=example.org; s=sel; l=7", "", Neutral, "partial_body"),
            ("d=example.org; s=sel; l=0", "", Neutral, "partial_body"),
            ("d=example.org; s=sel", "h=sha1; ", PermError, "key_unusable"),
            ("d=example.org; s=sel", "s=tlsrpt; ", PermError, "key_unusable"),
            ("d=example.org; d=bank.example; s=sel", "", PermError, "duplicate_tag"),
            ("d=example.org; s=sel; x=1", "", Fail, "expired"),
        ] {
            let found = verified(signer, tags, key).await;
            assert_eq!((found.result, found.reason), (result, reason), "{tags} {key}: {found:?}");
            assert!(found.reason.is_empty() || Dkim::REASONS.contains(&found.reason));
        }
    }
    assert_eq!(verified(&rsa, "d=example.org; s=sel", "").await.bits, 2048);
    assert_eq!(verified(&ed25519, "d=example.org; s=sel", "").await.bits, 256);
}

#[tokio::test]
async fn what_is_left_out_of_the_body_never_counts_whatever_it_is_called() {
    let signer = Signer::ed25519();
    let mut zone = Zone::new();
    zone.txt("sel._domainkey.example.org", &format!("v=DKIM1; {}", signer.key()));
    let mut world = world(zone).await;
    world.checker.settings.partial_body = CheckResult::Policy;
    let message = format!("{}{LETTER}", signer.field("d=example.org; s=sel; l=7", BODY));
    let dkim = world.check(message.as_bytes(), &Spf::default()).await.dkim.remove(0);
    assert_eq!((dkim.result, dkim.reason), (CheckResult::Policy, "partial_body"));
}

#[tokio::test]
async fn keys_that_were_taken_back() {
    let signer = Signer::ed25519();
    for (record, result, reason) in [
        ("v=DKIM1; k=ed25519; p=", CheckResult::PermError, "key_revoked"),
        ("v=DKIM1; k=ed25519; p=; p=AAAA", CheckResult::PermError, "key_unusable"),
        ("", CheckResult::PermError, "key_unusable"),
    ] {
        let mut zone = Zone::new();
        zone.txt("sel._domainkey.example.org", record);
        let message = format!("{}{LETTER}", signer.field("d=example.org; s=sel", BODY));
        let dkim = world(zone).await.check(message.as_bytes(), &Spf::default()).await.dkim.remove(0);
        assert_eq!((dkim.result, dkim.reason, dkim.bits), (result, reason, 0), "{record}");
    }
}

/// Row 84 of the catalogue of attacks, and keys that are larger than anybody needs.
#[tokio::test]
async fn keys_that_are_too_weak_or_too_strong_are_told_and_do_not_count() {
    for (size, bits) in [(KeySize::Rsa2048, 2048), (KeySize::Rsa4096, 4096), (KeySize::Rsa8192, 8192)] {
        let signer = Signer::Rsa(RsaKeyPair::generate(size).unwrap());
        let found = verified(&signer, "d=example.org; s=sel", "").await;
        assert_eq!(found.bits, bits);
        let expected = if bits > 4096 { (CheckResult::Policy, "key_size") } else { (CheckResult::Pass, "") };
        assert_eq!((found.result, found.reason), expected, "{found:?}");
    }
}

/// Rows 46-64 and 74: what stands in `d=` and `s=` never becomes part of a name that DNS is asked for, unless it could be one.
#[tokio::test]
async fn no_name_is_made_of_odd_tags() {
    let signer = Signer::ed25519();
    let world = world(Zone::new()).await;
    for tags in [
        "d=legit.example(.evil.example; s=sel",
        "d=legit.example'; s=sel",
        "d=legit.example\"; s=sel",
        "d=legit.example.; s=sel",
        "d=legit.example\u{0}.evil.example; s=sel",
        "d=legit.example; s=sel._domainkey.evil.example\u{0}",
        "d=legit.example; s=a/../b",
        "d=legit.example; s=",
        "d=; s=sel",
        "d=legit.example; s=..",
        "d=legit.example, evil.example; s=sel",
    ] {
        let message = format!("{}{LETTER}", signer.field(tags, BODY));
        let results = world.check(message.as_bytes(), &Spf::default()).await;
        assert_eq!(results.dkim[0].result, CheckResult::PermError, "{tags}: {:?}", results.dkim);
    }
    // DMARC has asked for the author's domain; nobody asked for a key.
    assert!(world.responder.total_queries() <= 2, "{}", world.responder.total_queries());
}

/// Row 195: a thousand signatures, valid, broken or of odd bodies, cost no more than a few.
#[tokio::test]
async fn a_thousand_signatures_cost_no_more_than_a_few() {
    let signer = Signer::ed25519();
    let mut zone = Zone::new();
    zone.txt("sel._domainkey.example.org", &format!("v=DKIM1; {}", signer.key()));
    let world = world(zone).await;
    let good = signer.field("d=example.org; s=sel", BODY);
    type Field<'a> = Box<dyn Fn(usize) -> String + 'a>;
    let kinds: [(&str, Field<'_>); 3] = [
        ("valid", Box::new(|_| good.clone())),
        ("each with a key of its own", Box::new(|i| unsound_signature(&format!("s{i}"), BODY))),
        ("each with a length of its own", Box::new(|i| good.replace("h=from", &format!("h=from; l={i}")))),
    ];
    for (what, field) in kinds {
        let message = format!("{}{LETTER}", (0..1000).map(field).collect::<String>());
        let (queries, begin) = (world.responder.total_queries(), std::time::Instant::now());
        let results = world.check(message.as_bytes(), &Spf::default()).await;
        assert_eq!(results.dkim.len(), 20, "{what}");
        assert!(world.responder.total_queries() - queries <= 10, "{what}");
        assert!(begin.elapsed() < Duration::from_secs(2), "{what}: {:?}", begin.elapsed());
    }
}

/// Each name in `h=` is looked for among all fields, before anybody knows whether the signature is good.
#[tokio::test]
async fn long_lists_of_signed_fields_cost_no_more_than_a_few() {
    let signer = Signer::ed25519();
    let mut zone = Zone::new();
    zone.txt("sel._domainkey.example.org", &format!("v=DKIM1; {}", signer.key()));
    let world = world(zone).await;
    let good = signer.field("d=example.org; s=sel", BODY);
    let fields: String = (0..9000).map(|i| format!("x{i}: y\r\n")).collect();
    for (names, reason) in [(254, "signature_mismatch"), (20_000, "too_many")] {
        let list: String = (0..names).map(|i| format!(":n{i}")).collect();
        let long = good.replace("h=from", &format!("h=from{list}"));
        let message = format!("{}{fields}{LETTER}", long.repeat(8));
        let begin = cpu_time();
        let results = world.check(message.as_bytes(), &Spf::default()).await;
        let took = cpu_time() - begin;
        assert!(
            results.dkim.iter().all(|dkim| dkim.reason == reason),
            "{names}: {:?}",
            results.dkim[0].reason
        );
        assert!(took < Duration::from_secs(5), "{names}: {took:?}");
    }
}

/// What this thread has worked, whatever else the machine does.
fn cpu_time() -> Duration {
    rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).try_into().unwrap()
}

/// What DMARC has to find out about each signature's domain is bounded too, for the check and for the message.
#[tokio::test]
async fn many_good_signatures_of_deep_domains_cost_no_more_than_a_few() {
    let signer = Signer::ed25519();
    let mut zone = Zone::new();
    zone.txt("_dmarc.example.org", "v=DMARC1; p=reject");
    let mut message = LETTER.to_owned();
    for i in 0..8 {
        let domain = format!("a{i}.b{i}.c{i}.d{i}.e{i}.f{i}.example.org");
        zone.txt(&format!("sel._domainkey.{domain}"), &format!("v=DKIM1; {}", signer.key()));
        zone.txt(&format!("_dmarc.f{i}.example.org"), "v=DMARC1; p=none; psd=n");
        message = signer.field(&format!("d={domain}; s=sel"), BODY) + message.as_str();
    }
    let world = world(zone).await;
    let results = world.check(message.as_bytes(), &Spf::default()).await;
    assert!(results.dkim.iter().all(|dkim| dkim.result == CheckResult::Pass), "{:?}", results.dkim);
    assert_eq!(results.dmarc.result, CheckResult::TempError, "{:?}", results.dmarc);
    assert!(world.responder.total_queries() <= 64, "{}", world.responder.total_queries());
}

#[tokio::test(start_paused = true)]
async fn all_checks_of_a_message_end_with_its_budget() {
    let signer = Signer::ed25519();
    let mut zone = Zone::new();
    zone.txt("sel._domainkey.example.org", &format!("v=DKIM1; {}", signer.key()));
    zone.txt("_dmarc.example.org", "v=DMARC1; p=reject");
    for name in ["sel._domainkey.example.org", "_dmarc.example.org"] {
        zone.fault(name, Fault::Delay(Duration::from_millis(300)));
    }
    let message = format!("{}{LETTER}", signer.field("d=example.org; s=sel", BODY));
    for (budget, dkim, dmarc) in [
        (1000, CheckResult::Pass, CheckResult::Pass),
        (400, CheckResult::Pass, CheckResult::TempError),
        (200, CheckResult::TempError, CheckResult::TempError),
    ] {
        let mut world = world(zone.clone()).await;
        world.checker.settings.message_budget = Duration::from_millis(budget);
        let begin = tokio::time::Instant::now();
        let results = world.check(message.as_bytes(), &Spf::default()).await;
        assert_eq!((results.dkim[0].result, results.dmarc.result), (dkim, dmarc), "{budget}");
        assert!(begin.elapsed().as_millis() <= u128::from(budget) + 5, "{:?}", begin.elapsed());
    }
}
