//! How long a hundred thousand recorded decisions take to be asked of the shipped policies: `cargo bench --bench replay`.
//!
//! The decisions are lines of JSON as they are on disk. A measurement, and no test: it prints.

// It runs on the project's own files; a panic says which of them is wrong.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use gatepost::checks::results::{CheckResult, Iprev, MessageResults, Spf};
use gatepost::decisions::replay::{Report, replay};
use gatepost::decisions::{Decision, Fact, Header, Kind, Mail, Rcpt, Recipient, StageRecord, VerdictRecord};
use gatepost::policy::question::{Answer, Lookup, Question};
use gatepost::policy::{Policies, Sources};

const DECISIONS: usize = 100_000;

fn main() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/policies").into();
    let policies = Arc::new(Policies::load(&Sources { dir, ..Sources::default() }).unwrap());
    let line = serde_json::to_vec(&decision()).unwrap();
    let once = replay(&policies, &decision());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let began = Instant::now();
    let mut report = Report::default();
    let work = || {
        let mut report = Report::default();
        for _ in 0..DECISIONS / threads {
            let decision: Decision = serde_json::from_slice(&line).unwrap();
            let replayed = replay(&policies, &decision);
            report.add(&decision, replayed);
        }
        report
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().for_each(|worker| report.merge(worker.join().unwrap()));
    });
    println!("{once:?}; {} octets a decision, {threads} threads: {:.2?}", line.len(), began.elapsed());
    print!("{report}");
}

/// An ordinary message that the shipped policies let through.
fn decision() -> Decision {
    let rcpt = Rcpt { address: "suzie@example.org".into(), is_ours: true, ..Rcpt::default() };
    let pass = |domain: &str| Spf { result: CheckResult::Pass, domain: domain.into(), ..Spf::default() };
    let fields = [
        "From: joe@sender.test\r\n",
        "Date: Sat, 21 Nov 2026 20:00:00 +0100\r\n",
        "Message-ID: <1@sender.test>\r\n",
        "Subject: x\r\n",
        "To: suzie@example.org\r\n",
    ];
    let mut decision = Decision {
        id: "aaaaaaaaaa".into(),
        kind: Kind::Transaction,
        listener: "mx".into(),
        hostname: "mx.example.org".into(),
        helo: "client.sender.test".into(),
        helo_verb: "EHLO",
        mail: Some(Mail { sender: "joe@sender.test".into(), body: "7bit", ..Mail::default() }),
        recipients: vec![Recipient { rcpt: rcpt.clone(), outcome: "accepted", ..Recipient::default() }],
        outcome: "accepted",
        size: 10_000,
        header: Some(Header {
            size: 200,
            whole: true,
            fields: fields.map(str::to_owned).into(),
            ..Header::default()
        }),
        stages: ["connect", "helo", "mail", "rcpt", "data", "message"].map(stage).into(),
        ..Decision::default()
    };
    decision.client.ip = [192, 0, 2, 9].into();
    decision.checks.spf = Some(pass("sender.test"));
    decision.checks.helo_spf = Some(pass("client.sender.test"));
    decision.checks.message = Some(Arc::new(MessageResults::default()));
    decision.checks.iprev =
        Some(Iprev { result: CheckResult::Pass, names: vec!["client.sender.test".into()] });
    if let [_, helo, mail, rcpt_stage, data, message] = decision.stages.as_mut_slice() {
        let found = |result| Some(Answer::from(Lookup { result, values: vec!["192.0.2.9".into()] }));
        let fact =
            |question, answer| Fact { policy: "x".into(), question, answer, took: std::time::Duration::ZERO };
        helo.facts.push(fact(Question::Fcrdns, found("pass")));
        mail.facts.push(fact(Question::MailHosts("sender.test".into()), found("ok")));
        rcpt_stage.rcpt = Some(rcpt);
        data.accepted = 1;
        message.accepted = 1;
    }
    decision
}

fn stage(stage: &'static str) -> StageRecord {
    let verdict = VerdictRecord { action: "pass", ..VerdictRecord::default() };
    StageRecord { stage, helo: stage != "connect", verdict, ..StageRecord::default() }
}
