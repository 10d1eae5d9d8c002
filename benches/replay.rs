//! How long a hundred thousand recorded decisions take to be asked of the shipped policies: `cargo bench --bench replay`.
//!
//! The decisions are lines of JSON as they are on disk. A measurement: it prints, and ends with 1 if it takes longer than ten seconds.

// It runs on the project's own files; a panic says which of them is wrong.
#![allow(clippy::unwrap_used)]

mod measure;
#[path = "measure/ordinary.rs"]
mod ordinary;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use gatepost::checks::results::{CheckResult, Iprev, MessageResults, Spf};
use gatepost::decisions::replay::{Recorded, Report, replay};
use gatepost::decisions::{Decision, Dossier, Headers, Hearing, Kind, Recipient};
use gatepost::policy::scene::Scene;
use gatepost::policy::sources::Selection;
use gatepost::policy::{Memory, Policies, Sources};
use gatepost::session::stage::Verdict;
use measure::{best, say};
use ordinary::{judge, moments, session};

const DECISIONS: usize = 100_000;
const GOAL: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/policies").into();
    let listeners = vec![("mx".to_owned(), Selection::All)];
    let policies = Arc::new(Policies::load(&Sources { dir, listeners, ..Sources::default() }).unwrap());
    let line = serde_json::to_vec(&decision(&policies)).unwrap();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let kept: Recorded = serde_json::from_slice(&line).unwrap();
    let parsing = best(100, || drop(black_box(serde_json::from_slice::<Recorded>(&line).unwrap())));
    let asking = best(100, || drop(black_box(replay(&policies, &kept))));
    println!("{parsing:.2?} to read a decision, {asking:.2?} to ask about it");
    let began = Instant::now();
    let mut report = Report::default();
    let work = || {
        let mut report = Report::default();
        for _ in 0..DECISIONS / threads {
            let decision: Recorded = serde_json::from_slice(&line).unwrap();
            let replayed = replay(&policies, &decision);
            report.add(&decision, replayed);
        }
        report
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().for_each(|worker| report.merge(worker.join().unwrap()));
    });
    let took = began.elapsed();
    println!("{} octets a decision, {threads} threads: {took:.2?}", line.len());
    print!("{report}");
    assert_eq!(report.undecidable, 0, "what was measured is no replay");
    let held = say("seconds for 100,000 decisions, at most 10", took.as_secs_f64(), took < GOAL);
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The record of an ordinary message that the policies let through, with every fact that they asked for.
fn decision(policies: &Arc<Policies>) -> Decision {
    let (session, mut memory) = (Arc::new(session()), Memory::default());
    let mut dossier: Option<Dossier> = None;
    for moment in moments() {
        let scene = Scene { session: Arc::clone(&session), moment };
        let judgement = judge(policies, scene.clone(), &mut memory);
        assert_eq!(judgement.verdict, Verdict::Pass);
        let (at, took) = (SystemTime::now(), Duration::ZERO);
        let hearing = Hearing { scene, policies, judgement: &judgement, at, took };
        dossier.get_or_insert_with(|| Dossier::open(Headers::All, &hearing)).add(hearing);
    }
    let mut decision = dossier.unwrap().decision();
    (decision.kind, decision.outcome) = (Kind::Transaction, "accepted");
    let asked = decision.stages.iter().filter_map(|stage| stage.rcpt.clone());
    let accepted = |rcpt| Recipient { rcpt, outcome: "accepted", ..Recipient::default() };
    decision.recipients = asked.map(accepted).collect();
    let pass = |domain: &str| Spf { result: CheckResult::Pass, domain: domain.into(), ..Spf::default() };
    decision.checks.spf = Some(pass("sender.test").into());
    decision.checks.helo_spf = Some(pass("mail.sender.test").into());
    decision.checks.message = Some(Arc::new(MessageResults::default()));
    decision.checks.iprev = Some(Iprev { result: CheckResult::Pass, names: vec!["mail.sender.test".into()] });
    decision
}
