//! What the checks of a message cost, beside what they cannot do without: `cargo bench --bench checks`.
//!
//! All times are of the same run, and the goals are ratios, so that the machine makes no difference:
//!
//! - all checks of a message of 10 KB with one signature by an RSA key of 2048 bits, DNS cached, cost at most five times the bare
//!   verification of that signature;
//! - the body hash runs at half the speed of SHA-256 alone, or better, also over bodies that are written to be slow.
//!
//! A measurement: it prints, and ends with 1 if a goal is missed.

// It runs on what it made itself; a panic says which of it is wrong.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod measure;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use data_encoding::BASE64;
use gatepost::checks::body::{BodyHasher, Canonicalization};
use gatepost::checks::results::{CheckResult, MessageResults};
use gatepost::checks::{Checker, Clock, MessageCheck, Settings};
use gatepost::dns::responder::{Data, Responder, Zone};
use gatepost::dns::{Resolver, reverse_name};
use gatepost::smtp::command::Command;
use gatepost::smtp::path::ReversePath;
use measure::{Signed, best, both, say};
use tokio::runtime::{Builder, Runtime};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const HELO: &str = "mail.sender.test";
/// 2026-11-20.
const NOW: u64 = 1_795_132_800;
/// Pieces in which a body arrives.
const PIECE: usize = 16 << 10;

fn main() -> ExitCode {
    let goals = [checks(), hashes()];
    if goals.iter().all(|held| *held) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

// === the checks of a message

/// A message that is signed, and who sent it.
struct Letter {
    header: Bytes,
    body: Vec<u8>,
    signed: Signed,
    sender: ReversePath,
}

impl Letter {
    fn new() -> Self {
        let line = b"The quick brown fox jumps over the lazy dog, and then some more text.\r\n";
        let body: Vec<u8> = line.iter().copied().cycle().take(line.len() * 136).collect();
        let fields = [
            ("from", "Joe <joe@sender.test>"),
            ("to", "Suzie <suzie@example.org>"),
            ("subject", "What it costs"),
            ("date", "Fri, 20 Nov 2026 12:00:00 +0000"),
            ("message-id", "<1@sender.test>"),
        ];
        let hash = BASE64.encode(digest(&SHA256, &body).as_ref());
        let value = format!(
            "v=1; a=rsa-sha256; c=relaxed/relaxed; d=sender.test; s=sel; t={NOW}; \
             h=from:to:subject:date:message-id; bh={hash}; b="
        );
        let canonical: String = fields.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect();
        let signed = Signed::new(format!("{canonical}dkim-signature:{value}").into_bytes());
        let received =
            "Received: from a.test by b.test with ESMTP; Fri, 20 Nov 2026 12:00:00 +0000\r\n".repeat(3);
        let header = format!(
            "{received}DKIM-Signature: {value}{}\r\n{canonical}\r\n",
            BASE64.encode(signed.signature())
        );
        let Ok(Command::Mail(mail)) = Command::parse(b"MAIL FROM:<joe@sender.test>", false) else {
            unreachable!("it is a command")
        };
        Self { header: header.into(), body, signed, sender: mail.path }
    }

    fn zone(&self) -> Zone {
        let mut zone = Zone::new();
        let key = format!("v=DKIM1; k=rsa; p={}", BASE64.encode(self.signed.public_key()));
        zone.txt("sel._domainkey.sender.test", &key)
            .txt("sender.test", "v=spf1 mx include:spf.sender.test -all")
            .txt("spf.sender.test", "v=spf1 ip4:198.51.100.0/24 ip4:192.0.2.0/24 -all")
            .txt(HELO, "v=spf1 a -all")
            .txt("_dmarc.sender.test", "v=DMARC1; p=reject; rua=mailto:dmarc@sender.test")
            .add("sender.test", Data::Mx(10, "mx.sender.test".into()))
            .add("mx.sender.test", Data::A(Ipv4Addr::new(198, 51, 100, 9)))
            .add(HELO, Data::A(Ipv4Addr::new(192, 0, 2, 1)))
            .add(&reverse_name(CLIENT), Data::Ptr(HELO.into()));
        zone
    }

    /// Everything that is checked about a message, from the client's name on.
    async fn check(&self, checker: &Checker) -> MessageResults {
        black_box(checker.iprev(CLIENT).await);
        black_box(checker.spf_helo(CLIENT, HELO).await);
        let spf = checker.spf_mail(CLIENT, HELO, &self.sender).await;
        assert!(spf.result == CheckResult::Pass);
        checker.warm(&self.header).await;
        let mut check = MessageCheck::begin(self.header.clone());
        self.body.chunks(PIECE).for_each(|piece| check.body(piece));
        checker.conclude(check, &spf).await
    }
}

fn checks() -> bool {
    let (letter, runtime) = (Letter::new(), Builder::new_current_thread().enable_all().build().unwrap());
    let responder = runtime.block_on(Responder::start(letter.zone())).unwrap();
    let resolver = Resolver::new(responder.settings(), Arc::new(())).unwrap();
    let clock = Clock::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
    let checker = Checker::new(resolver, Settings::default(), clock);
    let results = runtime.block_on(letter.check(&checker));
    assert!(results.dkim.iter().all(|dkim| dkim.result == CheckResult::Pass), "{:?}", results.dkim);
    assert!(results.dmarc.result == CheckResult::Pass, "{:?}", results.dmarc);
    let queries = responder.total_queries();

    let everything = || drop(black_box(runtime.block_on(letter.check(&checker))));
    let (bare, all) = both(100, || letter.signed.verify(), everything);
    assert_eq!(responder.total_queries(), queries, "nothing is asked twice");
    println!("checks of a message of {} octets", letter.header.len() + letter.body.len());
    println!("  bare verification {bare:>10.2?}\n  all checks        {all:>10.2?}");
    parts(&letter, &checker, &runtime);
    let ratio = all.as_secs_f64() / bare.as_secs_f64();
    say("all checks to bare verification, at most 5", ratio, ratio <= 5.0)
}

/// Where the time goes.
fn parts(letter: &Letter, checker: &Checker, runtime: &Runtime) {
    let spf = runtime.block_on(checker.spf_mail(CLIENT, HELO, &letter.sender));
    let begun = || {
        let mut check = MessageCheck::begin(letter.header.clone());
        letter.body.chunks(PIECE).for_each(|piece| check.body(piece));
        check
    };
    let tell = |part: &str, took: Duration| println!("    {part:<15} {took:>10.2?}");
    tell("iprev", best(100, || drop(black_box(runtime.block_on(checker.iprev(CLIENT))))));
    tell("SPF of HELO", best(100, || drop(black_box(runtime.block_on(checker.spf_helo(CLIENT, HELO))))));
    let sender = || drop(black_box(runtime.block_on(checker.spf_mail(CLIENT, HELO, &letter.sender))));
    tell("SPF of sender", best(100, sender));
    tell("warming", best(100, || runtime.block_on(checker.warm(&letter.header))));
    tell("header, hash", best(100, || drop(black_box(begun()))));
    let whole = best(100, || drop(black_box(runtime.block_on(checker.conclude(begun(), &spf)))));
    tell("and conclusion", whole);
}

// === body hashes

/// A body of its own kind: its name, and what it repeats.
const BODIES: [(&str, &[u8]); 9] = [
    ("text", b"Dear Suzie, the game is lost. Are you hungry yet? I am, and so is Joe.\r\n"),
    ("base64", b"JVBERi0xLjcKJeLjz9MKMSAwIG9iago8PC9UeXBlL0NhdGFsb2cvUGFnZXMgMiAwIFIvTGFu\r\n"),
    ("columns", b"a  column\tand\tanother  one \r\n  indented\r\n"),
    ("blanks", b" "),
    ("words of one letter", b"a "),
    ("blanks to reduce", b"a  "),
    ("one double blank in 64", b"0123456789012345678901234567890123456789012345678901234567890  1"),
    ("lines of blanks", b" \t\r\n"),
    ("line ends", b"\r\n"),
];

fn hashes() -> bool {
    let rows = BODIES.iter().flat_map(|(name, unit)| {
        println!("body hash of 1 MiB of {name}");
        let body: Vec<u8> = unit.iter().copied().cycle().take(1 << 20).collect();
        [Canonicalization::Simple, Canonicalization::Relaxed].map(|form| hash(&body, form))
    });
    // Not `all`, which would stop at the first one that is missed.
    rows.fold(true, |held, row| held & row)
}

fn hash(body: &[u8], form: Canonicalization) -> bool {
    let alone = || {
        black_box(digest(&SHA256, body));
    };
    let canonical = || {
        let mut hasher = BodyHasher::new(form);
        body.chunks(PIECE).for_each(|piece| hasher.write(piece));
        black_box(hasher.finish());
    };
    let (bare, hashed) = both(3, alone, canonical);
    println!("  SHA-256 alone {bare:>10.2?}, {form:?} {hashed:>10.2?}");
    let ratio = bare.as_secs_f64() / hashed.as_secs_f64();
    say("speed to SHA-256 alone, at least 0.5", ratio, ratio >= 0.5)
}
