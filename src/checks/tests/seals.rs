//! ARC: what we seal is good for our own verifier, for mail-auth, and for the next one who seals.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, RsaKeyPair};
use mail_auth::{AuthenticatedMessage, DkimResult};

use super::*;
use crate::checks::results::Sealable;
use crate::checks::seal::{KeyError, Sealer};
use crate::message::header::Header;

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}

fn rsa() -> String {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    pem("PRIVATE KEY", AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref())
}

fn ed25519() -> String {
    pem("PRIVATE KEY", Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap().as_ref())
}

const LETTER: &str = "Received: from x by y; Thu, 01 Jan 2026 00:00:00 +0000\r\nFrom: Ann <a@example.org>\r\nTo: b@example.net,\r\n \
                      c@example.net\r\nSubject: a  \t subject\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n\r\nHello,\r\n\r\nbye \
                      \r\n\r\n";

/// A world where this domain publishes the key of this sealer, who seals.
async fn sealing(domain: &str, pem: &str, zone: &mut Zone) -> Sealer {
    let sealer = Sealer::new(domain, "arc", pem.as_bytes()).unwrap();
    zone.txt(&format!("arc._domainkey.{domain}"), &sealer.record());
    sealer
}

impl World {
    /// Checks the message, and puts a seal on its top.
    async fn seal(&self, message: &str) -> String {
        let end = message.find("\r\n\r\n").unwrap() + 4;
        let mut check = MessageCheck::begin(Bytes::copy_from_slice(&message.as_bytes()[..end]));
        check.for_sealing();
        check.body(&message.as_bytes()[end..]);
        let results = self.checker.conclude(check, &Spf::default()).await;
        let state = results.sealable.unwrap_or_else(|| panic!("{:?}", results.arc));
        let fields = self.fields(message, &state).unwrap();
        fields + message
    }

    fn fields(&self, message: &str, state: &Sealable) -> Option<String> {
        let header = Header::of_message(message.as_bytes(), 1 << 20).unwrap();
        let results = "mx.example; spf=pass smtp.mailfrom=a@example.org; dmarc=pass (p=reject dis=none) header.from=example.org";
        let fields = self.checker.seal(&header, state, results)?;
        Some(fields.iter().map(|field| String::from_utf8(field.as_bytes().to_vec()).unwrap()).collect())
    }
}

#[tokio::test]
async fn seals_hold() {
    let mut zone = Zone::new();
    let sealers = [
        sealing("first.example", &rsa(), &mut zone).await,
        sealing("second.example", &ed25519(), &mut zone).await,
        sealing("third.example", &rsa(), &mut zone).await,
    ];
    let mut world = world(zone).await;
    world.checker.settings.trusted_sealers = vec![".example".into()];
    let mut message = LETTER.to_owned();
    let mut names: Vec<String> = Vec::new();
    for sealer in sealers {
        world.checker.settings.seal = Some(Arc::new(sealer));
        message = world.seal(&message).await;
        names = message.lines().filter(|line| !line.starts_with([' ', '\t'])).map(str::to_owned).collect();
        let arc = world.check(message.as_bytes(), &Spf::default()).await.arc;
        assert_eq!((arc.result, arc.reason), (CheckResult::Pass, ""), "{arc:?}\n{message}");
        assert!(arc.trusted && arc.original_dmarc == "pass", "{arc:?}");
        // By mail-auth alone, which hashes the body itself.
        let parsed = AuthenticatedMessage::parse_with_opts(message.as_bytes(), None, false).unwrap();
        let output = world.checker.mail_auth.verify_arc(&parsed).await;
        assert_eq!(*output.result(), DkimResult::Pass, "{message}");
    }
    let arc = world.check(message.as_bytes(), &Spf::default()).await.arc;
    assert_eq!(arc.sealers, ["first.example", "second.example", "third.example"]);
    let names: Vec<&str> = names.iter().filter_map(|line| line.split(':').next()).take(4).collect();
    assert_eq!(names, ["ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results", "ARC-Seal"]);
    assert!(message.lines().all(|line| line.len() <= 100), "{message}");
    for (changed, reason) in [
        (message.replacen("Hello", "Hallo", 1), "body_changed"),
        (message.replacen("Subject: a", "Subject: b", 1), "signature_mismatch"),
        (message.replacen("dmarc=pass", "dmarc=fail", 1), "signature_mismatch"),
        (message.replacen("From: Ann", "From: b@bank.example\r\nFrom: Ann", 1), "signature_mismatch"),
    ] {
        let arc = world.check(changed.as_bytes(), &Spf::default()).await.arc;
        assert_eq!((arc.result, arc.reason), (CheckResult::Fail, reason), "{changed}");
    }
    // Space at the ends of lines may change on the way.
    let refolded =
        message.replace("Subject: a  \t subject", "Subject:  a subject ").replace("bye \r\n\r\n", "bye\r\n");
    assert_eq!(world.check(refolded.as_bytes(), &Spf::default()).await.arc.result, CheckResult::Pass);
}

/// RFC 8617 4.2.1: as many sets as there may be, each by somebody else, with a key of its own.
#[tokio::test]
async fn fifty_sealers_are_followed() {
    let mut zone = Zone::new();
    let mut sealers = Vec::new();
    for i in 1..=50 {
        sealers.push(sealing(&format!("d{i}.example"), &ed25519(), &mut zone).await);
    }
    let mut sealing_world = world(zone.clone()).await;
    let mut message = LETTER.to_owned();
    for sealer in sealers {
        sealing_world.checker.settings.seal = Some(Arc::new(sealer));
        message = sealing_world.seal(&message).await;
    }
    // Nothing is known beforehand, so that the chain has to ask for all of its keys.
    let mut world = world(zone).await;
    world.checker.settings.seal = sealing_world.checker.settings.seal.clone();
    let arc = world.check(message.as_bytes(), &Spf::default()).await.arc;
    assert_eq!((arc.result, arc.reason, arc.sealers.len()), (CheckResult::Pass, "", 50), "{arc:?}");
    assert_eq!(arc.lookups.len(), 50);
    assert!(arc.lookups.iter().all(|asked| asked.name.starts_with("arc._domainkey.d")), "{arc:?}");
    let changed = message.replacen("Subject: a", "Subject: b", 1);
    let arc = world.check(changed.as_bytes(), &Spf::default()).await.arc;
    assert_eq!((arc.result, arc.reason), (CheckResult::Fail, "signature_mismatch"));
    // Nobody may add to it.
    assert!(world.fields(&message, &Sealable { body_hash: vec![0; 32], sets: 50 }).is_none());
    let more = "ARC-Seal: i=51; a=ed25519-sha256; d=d1.example; s=arc; cv=pass; b=AAAA\r\nARC-Message-Signature: i=51; \
                a=ed25519-sha256; d=d1.example; s=arc; h=from; bh=AAAA; b=AAAA\r\nARC-Authentication-Results: i=51; x\r\n";
    let arc = world.check((more.to_owned() + message.as_str()).as_bytes(), &Spf::default()).await.arc;
    assert_eq!((arc.result, arc.reason), (CheckResult::Fail, "too_long"));
}

#[tokio::test]
async fn a_chain_that_failed_is_not_sealed() {
    let mut zone = Zone::new();
    let sealer = sealing("first.example", &ed25519(), &mut zone).await;
    let mut world = world(zone).await;
    world.checker.settings.seal = Some(Arc::new(sealer));
    let sealed = world.seal(LETTER).await;
    for (changed, arc) in [
        (sealed.replacen("Hello", "Hallo", 1), true),
        (sealed.replacen("ARC-Seal", "X-Seal", 1), true),
        (sealed.clone(), false),
    ] {
        world.checker.settings.arc = arc;
        let (header, body) = changed.split_at(changed.find("\r\n\r\n").unwrap() + 4);
        let mut check = MessageCheck::begin(Bytes::copy_from_slice(header.as_bytes()));
        check.for_sealing();
        check.body(body.as_bytes());
        assert_eq!(world.checker.conclude(check, &Spf::default()).await.sealable, None, "{arc} {changed}");
    }
    // A policy has removed a field of the chain; or there are more sets than anybody may add to.
    let state = Sealable { body_hash: vec![0; 32], sets: 1 };
    assert!(world.fields(&sealed, &state).is_some());
    assert!(world.fields(&sealed.replacen("ARC-Seal", "X-Seal", 1), &state).is_none());
    assert!(world.fields(LETTER, &state).is_none());
    assert!(world.fields(&sealed, &Sealable { sets: 0, ..state.clone() }).is_none());
    assert!(world.fields(&sealed, &Sealable { sets: 50, ..state }).is_none());
}

#[test]
fn keys() {
    let weak = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (pem, error) in [("", KeyError::Empty), ("no key", KeyError::Empty), (weak, KeyError::Unusable)] {
        assert_eq!(Sealer::new("example.org", "arc", pem.as_bytes()).unwrap_err(), error, "{pem}");
    }
    let (one, other) = (rsa(), ed25519());
    let sealer = |pem: &str| Sealer::new("example.org", "arc", pem.as_bytes()).unwrap();
    assert_eq!(sealer(&one), sealer(&one));
    assert_ne!(sealer(&one), sealer(&other));
    assert!(sealer(&one).record().starts_with("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0B"));
    assert!(!format!("{:?}", sealer(&one)).contains("key"));
}
