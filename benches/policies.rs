//! What the shipped policies cost for one ordinary message, stage by stage: `cargo bench --bench policies`.
//!
//! Facts are answered at once, so this is the time of scripts and their reruns. A measurement, and no test: it prints.

// It runs on the project's own files; a panic says which of them is wrong.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepost::checks::results::{ArcChain, CheckResult, Dmarc, Spf};
use gatepost::message::header::Header;
use gatepost::policy::question::{Answer, Ask, GreylistAnswer, Lookup, Question, RateAnswer};
use gatepost::policy::scene::{
    Address, AuthScene, ClientScene, MailScene, MessageScene, Moment, RcptScene, Scene, SessionScene,
};
use gatepost::policy::sources::Selection;
use gatepost::policy::{Memory, Policies, Sources, Step};

const ROUNDS: u32 = 10_000;
const HEADER: &[u8] = b"From: a@sender.test\r\nTo: b@example.org\r\nSubject: x\r\n\
    Date: Sat, 21 Nov 2026 20:00:00 +0100\r\nMessage-ID: <1@sender.test>\r\n\r\n";

fn main() {
    let sources = Sources {
        dir: concat!(env!("CARGO_MANIFEST_DIR"), "/policies").into(),
        listeners: vec![("mx".to_owned(), Selection::All)],
        ..Sources::default()
    };
    let policies = Arc::new(Policies::load(&sources).unwrap());
    let session = Arc::new(session());
    let moments = moments();
    let mut spent = vec![Duration::ZERO; moments.len()];
    for _ in 0..ROUNDS {
        let mut memory = Memory::default();
        for (moment, spent) in moments.iter().zip(&mut spent) {
            let scene = Scene { session: Arc::clone(&session), moment: moment.clone() };
            let began = Instant::now();
            judge(&policies, scene, &mut memory);
            *spent += began.elapsed();
        }
    }
    for (moment, spent) in moments.iter().zip(&spent) {
        println!("{:8} {:>8.2?}", moment.stage(), *spent / ROUNDS);
    }
    println!("all      {:>8.2?}", spent.iter().sum::<Duration>() / ROUNDS);
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
