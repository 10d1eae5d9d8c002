//! What a list of a million entries costs beside one of ten: `cargo bench --bench lists`.
//!
//! Both are asked by the same script, so that the ratio is one that a policy feels. The goals: a look-up costs at most ten times as
//! much, and less than a microsecond; a million entries load in less than two seconds.
//!
//! A measurement: it prints, and ends with 1 if a goal is missed.

// It runs on files of its own; a panic says which of them is wrong.
#![allow(clippy::unwrap_used)]

mod measure;

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepost::policy::scene::{AuthScene, ClientScene, Moment, Scene, SessionScene};
use gatepost::policy::sources::{EntrySource, Selection};
use gatepost::policy::{Memory, Policies, Sources, Step};
use measure::{cpu_time, say};

const LARGE: usize = 1_000_000;
const SMALL: usize = 10;
/// Look-ups of one run of the script.
const ASKED: u32 = 1_000;
const ROUNDS: u32 = 50;
const MAX_LOOKUP: Duration = Duration::from_micros(1);
const MAX_LOADING: Duration = Duration::from_secs(2);
const RELAY: &str = "const GATE = true;\nfn rcpt(session, mail, rcpt) { reject(\"denied\", \"no\"); }\n";

/// An entry of a list by its number.
type Entry = fn(usize) -> String;

fn network(number: usize, host: u32) -> std::net::Ipv4Addr {
    std::net::Ipv4Addr::from(u32::try_from(number).unwrap_or(0) * 32 + host)
}

fn main() -> ExitCode {
    // What is looked for and is not there: for networks an address in the gap behind one.
    let kinds: [(&str, Entry, Entry); 3] = [
        (
            "addresses",
            |number| format!("user{number}@domain{}.example", number % 1_000),
            |number| format!("xuser{number}@domain{}.example", number % 1_000),
        ),
        (
            "domains",
            |number| format!("mail.domain{number}.example"),
            |number| format!("xmail.domain{number}.example"),
        ),
        ("networks", |number| format!("{}/28", network(number, 0)), |number| network(number, 16).to_string()),
    ];
    let mut held = true;
    for (kind, entry, missing) in kinds {
        let dir = tempfile::tempdir().unwrap();
        let (small, _) = measure(dir.path(), SMALL, entry, missing);
        let (large, loaded) = measure(dir.path(), LARGE, entry, missing);
        let ratio = large.as_secs_f64() / small.as_secs_f64();
        println!(
            "{kind}: {LARGE} entries load in {loaded:.2?}; a look-up takes {large:.0?}, among {SMALL} {small:.0?}"
        );
        held &= say("look-up among many to one among few, at most 10", ratio, ratio <= 10.0);
        held &= say("microseconds of a look-up, below 1", large.as_secs_f64() * 1e6, large < MAX_LOOKUP);
        held &= say("seconds of loading, below 2", loaded.as_secs_f64(), loaded < MAX_LOADING);
    }
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The time of one look-up, the script around it left out, and that of loading.
fn measure(dir: &Path, entries: usize, entry: Entry, missing: Entry) -> (Duration, Duration) {
    let mut text = String::new();
    (0..entries).for_each(|number| _ = writeln!(text, "{}", entry(number)));
    fs::write(dir.join("list.txt"), text).unwrap();
    fs::write(dir.join("00-relay.rhai"), RELAY).unwrap();
    // Every second one is there, and they lie far apart.
    let step = entries / 10;
    let texts: Vec<String> = (0..10)
        .map(|number| if number % 2 == 0 { entry(number * step) } else { missing(number * step) })
        .map(|text| text.split('/').next().unwrap_or_default().to_owned())
        .collect();
    let loop_over = |what: &str| {
        format!(
            "fn connect(session) {{ let l = list(\"l\"); let a = {texts:?}; for i in 0..{} {{ for t in a {{ {what} }} }} }}\n",
            ASKED / 10
        )
    };
    let asked = run(dir, &loop_over("t in l;"));
    let empty = run(dir, &loop_over("t == \"\";"));
    (asked.0.saturating_sub(empty.0) / ASKED, asked.1)
}

/// The time of one run of `script`, the best of many, and that of loading it.
fn run(dir: &Path, script: &str) -> (Duration, Duration) {
    fs::write(dir.join("50-asks.rhai"), script).unwrap();
    let mut sources = Sources {
        dir: dir.to_owned(),
        listeners: vec![("mx".to_owned(), Selection::All)],
        ..Sources::default()
    };
    sources.lists.insert("l".to_owned(), EntrySource::File(dir.join("list.txt")).into());
    sources.budget.time = Duration::from_secs(10);
    sources.budget.operations = 100_000_000;
    let began = Instant::now();
    let policies = Arc::new(Policies::load(&sources).unwrap());
    let loaded = began.elapsed();
    let session = Arc::new(session());
    let times = (0..ROUNDS).map(|_| {
        let scene = Scene { session: Arc::clone(&session), moment: Moment::Connect };
        let mut memory = Memory::default();
        let began = cpu_time();
        let mut run = policies.begin(scene, &memory);
        assert!(matches!(run.step(), Step::Done));
        let judgement = black_box(run.finish(&mut memory));
        assert_eq!(judgement.errors, []);
        cpu_time() - began
    });
    (times.min().unwrap_or_default(), loaded)
}

fn session() -> SessionScene {
    SessionScene {
        id: "s1".to_owned(),
        listener: "mx".into(),
        hostname: "mx.example.org".into(),
        client: ClientScene { ip: [192, 0, 2, 1].into(), port: 4711, name: String::new() },
        server_ip: None,
        helo: String::new(),
        helo_verb: "",
        trusted: false,
        auth: AuthScene::default(),
        tls: None,
        recipients_refused: 0,
        errors: 0,
        transactions: 0,
    }
}
