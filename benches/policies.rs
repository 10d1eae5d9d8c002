//! What the shipped policies cost for one ordinary message, stage by stage: `cargo bench --bench policies`.
//!
//! With facts that are known, as those in caches are, this is the time of the scripts. The goal: all of it costs at most what five
//! verifications of a signature by an RSA key of 2048 bits cost, in the same run. Beside it stands what it costs when each fact has
//! to be asked for, which stops a script and runs it again, although the answer is there at once.
//!
//! A measurement: it prints, and ends with 1 if the goal is missed.

// It runs on the project's own files; a panic says which of them is wrong.
#![allow(clippy::unwrap_used)]

mod measure;
#[path = "measure/ordinary.rs"]
mod ordinary;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use gatepost::policy::question::{Answer, Known, Question};
use gatepost::policy::scene::{Moment, Scene};
use gatepost::policy::sources::Selection;
use gatepost::policy::{Judgement, Memory, Policies, Sources, Step};
use measure::{Signed, best, both, say};
use ordinary::{HEADER, answer, judge, moments, session};

/// Facts that are all known.
#[derive(Debug)]
struct AllKnown;

impl Known for AllKnown {
    fn known(&self, question: &Question) -> Option<Answer> {
        Some(answer(question))
    }
}

/// What the policies say of a scene when each fact is known.
fn judge_knowing(
    policies: &Arc<Policies>,
    scene: Scene,
    memory: &mut Memory,
    known: &Arc<AllKnown>,
) -> Judgement {
    let mut run = policies.begin_knowing(scene, memory, || Arc::<AllKnown>::clone(known));
    assert_eq!(run.step(), Step::Done, "all is known");
    run.finish(memory)
}

/// Messages of one round.
const MESSAGES: u32 = 100;
fn main() -> ExitCode {
    let sources = Sources {
        dir: concat!(env!("CARGO_MANIFEST_DIR"), "/policies").into(),
        listeners: vec![("mx".to_owned(), Selection::All)],
        ..Sources::default()
    };
    let policies = Arc::new(Policies::load(&sources).unwrap());
    let (session, moments) = (Arc::new(session()), moments());
    let scene = |moment: &Moment| Scene { session: Arc::clone(&session), moment: moment.clone() };
    let signed = Signed::new(HEADER.to_vec());
    let known = Arc::new(AllKnown);
    let message = || {
        let mut memory = Memory::default();
        for moment in &moments {
            black_box(judge_knowing(&policies, scene(moment), &mut memory, &known));
        }
    };
    let asking = || {
        let mut memory = Memory::default();
        for moment in &moments {
            black_box(judge(&policies, scene(moment), &mut memory));
        }
    };
    let (bare, all) = both(MESSAGES, || signed.verify(), message);
    println!("the shipped policies over one ordinary message");
    println!("  bare verification {bare:>10.2?}\n  all policies      {all:>10.2?}");
    println!("  with facts to ask {:>10.2?}", best(MESSAGES, asking));
    // Where the time goes: of what stages left behind for one another nothing is missing.
    let mut memory = Memory::default();
    for moment in &moments {
        let took = best(MESSAGES, || {
            black_box(judge_knowing(&policies, scene(moment), &mut memory.clone(), &known));
        });
        judge_knowing(&policies, scene(moment), &mut memory, &known);
        println!("    {:8} {took:>10.2?}", moment.stage());
    }
    let ratio = all.as_secs_f64() / bare.as_secs_f64();
    if say("all policies to bare verification, at most 5", ratio, ratio <= 5.0) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
