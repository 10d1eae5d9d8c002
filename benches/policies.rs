//! What the shipped policies cost for one ordinary message, stage by stage: `cargo bench --bench policies`.
//!
//! Facts are answered at once, so this is the time of scripts and their reruns. The goal: all of it costs at most what five
//! verifications of a signature by an RSA key of 2048 bits cost, in the same run.
//!
//! A measurement: it prints, and ends with 1 if the goal is missed.

// It runs on the project's own files; a panic says which of them is wrong.
#![allow(clippy::unwrap_used)]

mod measure;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use gatepost::checks::results::{ArcChain, CheckResult, Dmarc, Spf};
use gatepost::message::header::Header;
use gatepost::policy::question::{Answer, Ask, GreylistAnswer, Lookup, Question, RateAnswer};
use gatepost::policy::scene::{
    Address, AuthScene, ClientScene, MailScene, MessageScene, Moment, RcptScene, Scene, SessionScene,
};
use gatepost::policy::sources::Selection;
use gatepost::policy::{Memory, Policies, Sources, Step};
use measure::{Signed, best, both, say};

/// Messages of one round.
const MESSAGES: u32 = 100;
const HEADER: &[u8] = b"From: a@sender.test\r\nTo: b@example.org\r\nSubject: x\r\n\
    Date: Sat, 21 Nov 2026 20:00:00 +0100\r\nMessage-ID: <1@sender.test>\r\n\r\n";

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
    let message = || {
        let mut memory = Memory::default();
        moments.iter().for_each(|moment| judge(&policies, scene(moment), &mut memory));
    };
    let (bare, all) = both(MESSAGES, || signed.verify(), message);
    println!("the shipped policies over one ordinary message");
    println!("  bare verification {bare:>10.2?}\n  all policies      {all:>10.2?}");
    // Where the time goes: of what stages left behind for one another nothing is missing.
    let mut memory = Memory::default();
    for moment in &moments {
        let took = best(MESSAGES, || judge(&policies, scene(moment), &mut memory.clone()));
        judge(&policies, scene(moment), &mut memory);
        println!("    {:8} {took:>10.2?}", moment.stage());
    }
    let ratio = all.as_secs_f64() / bare.as_secs_f64();
    if say("all policies to bare verification, at most 5", ratio, ratio <= 5.0) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn judge(policies: &Arc<Policies>, scene: Scene, memory: &mut Memory) {
    let mut run = policies.begin(scene, memory);
    while let Step::Ask(questions) = run.step() {
        for question in questions {
            let answer = answer(&question);
            run.answer(question, answer, Duration::ZERO);
        }
    }
    black_box(run.finish(memory));
}

fn answer(question: &Question) -> Answer {
    match question {
        Question::Dns(..) | Question::MailHosts(_) => {
            Answer::from(Lookup { result: "ok", values: vec!["192.0.2.1".to_owned()] })
        }
        Question::Fcrdns => Answer::from(Lookup { result: "pass", values: Vec::new() }),
        Question::HeloSpf | Question::Spf => {
            Answer::from(Spf { result: CheckResult::Pass, ..Spf::default() })
        }
        Question::Dkim => Answer::Dkim(Arc::default()),
        Question::Dmarc => Answer::from(Dmarc { result: CheckResult::Pass, ..Dmarc::default() }),
        Question::Arc => ArcChain::default().into(),
        Question::State(question) => fresh(&question.ask),
        Question::Now => Answer::Now(1_800_000_000),
        Question::Random => Answer::Random(0.5),
        Question::Listed(..) => Answer::Listed(Arc::default()),
        Question::Contents => Answer::Contents(Some(Arc::default())),
        other => other.unanswered(),
    }
}

/// What a memory says about somebody who does nothing too often.
const fn fresh(ask: &Ask) -> Answer {
    match ask {
        Ask::Rate { .. } => Answer::Rate(RateAnswer { result: "ok", count: 1, retry_after: 0 }),
        Ask::Greylist { .. } => Answer::Greylist(GreylistAnswer { result: "known", remaining: 0 }),
        Ask::Remember { .. } => Answer::Remembered("ok"),
        Ask::Remembered { .. } => Answer::Remembered("no"),
    }
}

/// An ordinary session's moments, in order.
fn moments() -> [Moment; 6] {
    let rcpt = Arc::new(RcptScene {
        address: Address::of_text("b@example.org"),
        is_ours: true,
        ..RcptScene::default()
    });
    let begun = Arc::new(mail(Vec::new()));
    let full = Arc::new(mail(vec![Arc::clone(&rcpt)]));
    let header = Header::of_message(HEADER, 1 << 20).unwrap();
    [
        Moment::Connect,
        Moment::Helo,
        Moment::Mail(Arc::clone(&begun)),
        Moment::Rcpt(begun, rcpt),
        Moment::Data(Arc::clone(&full)),
        Moment::Message(full, Arc::new(MessageScene::new(10_000, header))),
    ]
}

fn mail(recipients: Vec<Arc<RcptScene>>) -> MailScene {
    MailScene {
        id: "t1".to_owned(),
        sender: Address::of_text("a@sender.test"),
        size: 10_000,
        body: "8bitmime",
        smtputf8: false,
        requiretls: false,
        ret: "",
        envid: String::new(),
        parameters: Vec::new(),
        recipients,
        discarded: Vec::new(),
        quarantined: Vec::new(),
    }
}

fn session() -> SessionScene {
    SessionScene {
        id: "s1".to_owned(),
        listener: "mx".into(),
        hostname: "mx.example.org".into(),
        client: ClientScene { ip: [192, 0, 2, 1].into(), port: 4711, name: String::new() },
        helo: "mail.sender.test".to_owned(),
        helo_verb: "EHLO",
        trusted: false,
        auth: AuthScene::default(),
        tls: None,
        recipients_refused: 0,
        errors: 0,
        transactions: 0,
    }
}
