//! What scripts allocate, counted by the allocator: every bomb ends at its bound, long before the memory is gone.
//!
//! That a bomb ends with 451 shows nothing: it does so too where it was found to be too large after it had been made. A program of
//! its own with one test: the counter counts for all threads.

// It runs on scripts of its own; a panic says which of them is wrong.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::alloc::System;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepost::policy::scene::{Moment, Scene};
use gatepost::policy::sources::Selection;
use gatepost::policy::{Memory, Policies, Sources};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[allow(dead_code)]
#[path = "../benches/measure/ordinary.rs"]
mod ordinary;

#[global_allocator]
static COUNTER: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const GATE: &str =
    "const GATE = true;\nfn rcpt(session, mail, rcpt) { reject(\"denied\", \"relaying denied\"); }\n";
/// What scripts have at hand: a long array, another one, a text, a map, all within the limits.
const STORES: &str = "let big = []; big.pad(4000, 0); let other = []; other.pad(4000, 0); \
     let text = \"a\"; text.pad(16384, \"a\"); \
     let map = #{}; for i in 0..1000 { map[`k${i}`] = i; }";
/// More than a machine that is ten times as fast as a small one takes for 10 ms of CPU.
const SOON: Duration = Duration::from_secs(5);

/// Bombs, with the MiB that they may allocate in all before they are found out.
const BOMBS: &[(&str, usize)] = &[
    // What a closure gives, once for each entry.
    ("other.map(|x| big)", 4),
    ("other.map(|x, i| big)", 4),
    ("other.map(|x| text + \"b\")", 4),
    ("other.map(|x| map)", 4),
    ("other.map(|x| [text])", 4),
    ("other.map(|x| #{ a: big })", 4),
    ("other.zip(other, |x, y| big)", 4),
    ("other.zip(other, |x, y, i| text + \"b\")", 4),
    ("other.reduce(|sum, x| sum + big, [])", 4),
    ("other.reduce(|sum, x| sum + text, \"\")", 32),
    // The product of two sizes.
    ("let by = text; text.replace(\"a\", by)", 4),
    ("let by = text; text.replace(\"aa\", by + \"b\")", 4),
    ("join(other, text)", 4),
    ("let all = []; all.pad(4000, big)", 4),
    ("let all = []; all.pad(4000, text)", 4),
    ("let all = []; all.pad(4000, map)", 4),
    ("let long = \"\"; long.pad(1000000, text)", 4),
    ("[big, big, big, big]", 4),
    ("#{ a: big, b: big }", 4),
    // Twice as much each time, or a little more, and what was there before is let go.
    ("loop { big.append(big); }", 32),
    ("loop { big += big; }", 32),
    ("loop { big = big + big; }", 32),
    ("loop { big.splice(0, 0, big); }", 32),
    ("loop { text += text; }", 32),
    ("loop { text = `${text}${text}`; }", 32),
    ("let all = []; for i in 0..99999 { all.push(text + i); }", 32),
    ("for i in 0..99999 { map[`t${i}`] = text + i; }", 32),
    // As much for each octet of a text.
    ("let long = \"a\"; long.pad(260000, \"a\"); long.split(\"a\")", 24),
    ("let long = \"a\"; long.pad(260000, \"a\"); long.split(\"\")", 24),
    ("let long = \"a\"; long.pad(260000, \"a\"); long.to_chars()", 24),
    // One text in every entry, which Rhai does not look at when it is assigned: all of it as one text.
    ("for i in 0..4000 { big[i] = text; } note(\"k\", `${big}`.len())", 4),
    ("for i in 0..4000 { big[i] = text; } note(\"k\", \"\" + big)", 4),
    ("for i in 0..4000 { big[i] = text; } note(\"k\", [#{ a: big }].to_string())", 4),
    ("for i in 0..4000 { big[i] = text; } note(\"k\", big.to_debug())", 4),
    ("for i in 0..4000 { big[i] = text; } throw big", 4),
    ("for i in 0..4000 { big[i] = text; } http_post(\"http://h/\", #{ a: big })", 4),
    ("for i in 0..1000 { map[`k${i}`] = text; } note(\"k\", `${map}`)", 4),
    ("for i in 0..1000 { map[`k${i}`] = text; } note(\"k\", map.to_json())", 4),
    ("for i in 0..1000 { map[`k${i}`] = text; } throw map", 4),
    ("for i in 0..1000 { map[`k${i}`] = text; } http_post(\"http://h/\", map)", 4),
    ("for i in 0..9999 { map[`t${i}`] = text; } note(\"k\", `${map}`)", 4),
    // What is kept in many places at once: for as long as scripts run.
    ("deep(text, big)", 128),
];

/// Endless work that no loop shows.
const ENDLESS: &[&str] = &[
    "big.filter(|x| other.filter(|y| text.len() == x).len() > 0)",
    "big.map(|x| other.some(|y| y == 1))",
    "big.for_each(|x| { for i in 0..9999 {} })",
    "big.sort(|x, y| { for i in 0..9999 {} 0 })",
    "big.reduce(|sum, x| sum + other.filter(|y| y == 1).len(), 0)",
    "for i in 0..9999 { glob(\"*a*a*a*a*a*b\", text); }",
    "for i in 0..9999 { matches(\"(a|b|ab)*c\", text); }",
    "for i in 0..9999 { address(text); }",
];

/// The policies with one more, whose function says `body`.
fn policies(body: &str) -> Arc<Policies> {
    let dir = tempfile::tempdir().unwrap();
    let copies: String = (0..40).map(|i| format!("let t{i} = text + \"b\"; let b{i} = big; ")).collect();
    let script = format!(
        "fn connect(session) {{ {STORES} {body} }}\nfn deep(text, big) {{ {copies} deep(text, big) }}\n"
    );
    fs::write(dir.path().join("00-relay.rhai"), GATE).unwrap();
    fs::write(dir.path().join("10-x.rhai"), script).unwrap();
    let sources = Sources {
        dir: dir.path().to_owned(),
        listeners: vec![("mx".to_owned(), Selection::All)],
        ..Sources::default()
    };
    Arc::new(Policies::load(&sources).unwrap_or_else(|problems| panic!("{body}: {problems:?}")))
}

/// Runs it. Why it failed, the octets that it allocated, and how long that took.
fn run(body: &str) -> (String, usize, Duration) {
    let policies = policies(body);
    let scene = Scene { session: Arc::new(ordinary::session()), moment: Moment::Connect };
    let mut memory = Memory::default();
    let (counted, begun) = (Region::new(COUNTER), Instant::now());
    let judgement = ordinary::judge(&policies, scene, &mut memory);
    let (allocated, took) = (counted.change().bytes_allocated, begun.elapsed());
    let [fault] = judgement.errors.as_slice() else { panic!("{body}: {:?}", judgement.errors) };
    assert!(fault.kind.is_budget(), "{body}: {fault:?}");
    (format!("{} ({})", fault.message, fault.kind.name()), allocated, took)
}

#[test]
fn every_bomb_ends_at_its_bound() {
    for (body, mib) in BOMBS {
        let (fault, allocated, took) = run(body);
        println!("{:>8} KiB {took:>9.2?}  {body}: {fault}", allocated >> 10);
        assert!(allocated > 0, "the allocator counts");
        assert!(
            allocated <= mib << 20,
            "{body}: {} KiB allocated, at most {mib} MiB are allowed",
            allocated >> 10
        );
        assert!(took < SOON, "{body}: {took:?}");
    }
    for body in ENDLESS {
        let (fault, allocated, took) = run(body);
        println!("{:>8} KiB {took:>9.2?}  {body}: {fault}", allocated >> 10);
        assert!(took < SOON, "{body}: {took:?}");
    }
}
