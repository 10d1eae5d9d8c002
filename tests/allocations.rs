//! What the checks allocate, counted by the allocator: it does not depend on the size of the body.
//!
//! A program of its own with one test: the counter counts for all threads.

// Functions that tests call are not tests to clippy; a panic is how they report.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::alloc::System;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use gatepost::checks::results::{CheckResult, MessageResults, Spf};
use gatepost::checks::{Checker, Clock, MessageCheck, Settings};
use gatepost::dns::responder::{Data, Fault, Responder, Zone};
use gatepost::dns::{Kind, Resolver};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[allow(dead_code)]
#[path = "suites/read.rs"]
mod read;

#[global_allocator]
static COUNTER: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Pieces in which a body arrives.
const PIECE: usize = 16 << 10;
/// More or less of this is chance: timers, and tables that grow by doubling.
const NOISE: usize = 16 << 10;

/// Checks a message whose body goes on for so many octets. What was found, and how many octets were allocated for it.
async fn check(checker: &Checker, header: &Bytes, start: &[u8], more: usize) -> (MessageResults, usize) {
    let line = b"one line  like\tthe other, with blanks behind it \t \r\n";
    let piece: Vec<u8> = line.iter().copied().cycle().take(PIECE).collect();
    let spf = Spf::default();
    let counted = Region::new(COUNTER);
    let mut check = MessageCheck::begin(header.clone());
    check.for_sealing();
    check.body(start);
    for _ in 0..more / PIECE {
        check.body(&piece);
    }
    let results = checker.conclude(check, &spf).await;
    (results, counted.change().bytes_allocated)
}

#[tokio::test]
async fn the_checks_allocate_nothing_in_proportion_to_the_body() {
    let (zone, message) = read::signed("dkim/001.txt");
    let end = message.windows(4).position(|octets| octets == b"\r\n\r\n").unwrap() + 4;
    let (header, body) = message.split_at(end);
    // Both canonical forms: one more signature, in the simple one.
    let simple =
        "DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=a.example; s=x; h=from; bh=AAAA; b=AAAA\r\n";
    let header = Bytes::from([simple.as_bytes(), header].concat());
    let responder = Responder::start(zone).await.unwrap();
    let resolver = Resolver::new(responder.settings(), Arc::new(())).unwrap();
    let clock = Clock::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_132_800));
    let checker = Checker::new(resolver, Settings::default(), clock);
    // DNS is cached from here on, and what is made once is there.
    let (results, _) = check(&checker, &header, body, 0).await;
    assert_eq!(results.dkim.iter().filter(|dkim| dkim.result == CheckResult::Pass).count(), 2);

    let (_, small) = check(&checker, &header, body, 64 << 10).await;
    let (_, large) = check(&checker, &header, body, 64 << 20).await;
    println!("64 KiB of body: {small} octets allocated, 64 MiB: {large}");
    assert!(small > 0, "the allocator counts");
    assert!(small.abs_diff(large) < NOISE, "64 KiB of body: {small} octets allocated, 64 MiB: {large}");
}
