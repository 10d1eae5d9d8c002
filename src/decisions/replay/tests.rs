use std::fs;

use super::super::record::{Decision, Fact, Header, Kind, Mail, Rcpt, Recipient, StageRecord};
use super::*;
use crate::policy::Sources;
use crate::policy::question::{Answer, Lookup, Question, RecordType};

const RELAY: &str = "const GATE = true;\nfn rcpt(session, mail, rcpt) {\n    if !rcpt.is_ours { reject(\"denied\", \"5.7.1\", \"relaying denied\"); }\n}\n";

/// Policies of the relay gate and one more.
fn policies(more: &str) -> Arc<Policies> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("00-relay.rhai"), RELAY).unwrap();
    fs::write(dir.path().join("10-more.rhai"), more).unwrap();
    let sources = Sources { dir: dir.path().to_owned(), ..Sources::default() };
    Arc::new(Policies::load(&sources).unwrap())
}

fn stage(stage: &'static str) -> StageRecord {
    let verdict = VerdictRecord { action: "pass", ..VerdictRecord::default() };
    StageRecord { stage, helo: stage != "connect", verdict, ..StageRecord::default() }
}

/// An accepted message of one recipient.
fn accepted() -> Decision {
    let rcpt = Rcpt { address: "suzie@example.org".into(), is_ours: true, ..Rcpt::default() };
    let mut decision = Decision {
        id: "aaaaaaaaaa".into(),
        kind: Kind::Transaction,
        listener: "mx".into(),
        helo: "client.example".into(),
        helo_verb: "EHLO",
        mail: Some(Mail { sender: "joe@sender.example".into(), body: "7bit", ..Mail::default() }),
        recipients: vec![Recipient { rcpt: rcpt.clone(), outcome: "accepted", ..Recipient::default() }],
        outcome: "accepted",
        size: 100,
        header: Some(Header {
            size: 60,
            known: vec!["from".into()],
            fields: vec!["From: joe@sender.example\r\n".into()],
            ..Header::default()
        }),
        stages: ["connect", "helo", "mail", "rcpt", "data", "message"].map(stage).into(),
        ..Decision::default()
    };
    decision.stages[3].rcpt = Some(rcpt);
    decision.stages[4].accepted = 1;
    decision.stages[5].accepted = 1;
    decision
}

/// The decision as a replay reads it from its line.
fn recorded(decision: &Decision) -> Recorded {
    serde_json::from_slice(&serde_json::to_vec(decision).unwrap()).unwrap()
}

fn replay(policies: &Arc<Policies>, decision: &Decision) -> Replayed {
    super::replay(policies, &recorded(decision))
}

fn of(more: &str) -> Replayed {
    replay(&policies(more), &accepted())
}

fn changed_to(replayed: Replayed) -> (String, String, String) {
    match replayed {
        Replayed::Changed { stage, to, .. } => (stage, to.action.to_owned(), to.rule.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_policies_say_the_same() {
    assert_eq!(of("fn helo(session) {}"), Replayed::Same);
}

#[test]
fn each_stage_is_judged_with_what_it_saw() {
    for (script, stage, rule) in [
        (
            "fn helo(session) { if session.helo == \"client.example\" { reject(\"x\", \"no\"); } }",
            "helo",
            "more.x",
        ),
        (
            "fn mail(session, mail) { if mail.sender.domain == \"sender.example\" { reject(\"x\", \"no\"); } }",
            "mail",
            "more.x",
        ),
        (
            "fn rcpt(session, mail, rcpt) { if rcpt.local_part == \"suzie\" { reject(\"x\", \"no\"); } }",
            "rcpt",
            "more.x",
        ),
        (
            "fn data(session, mail) { if mail.recipients.len() == 1 { reject(\"x\", \"no\"); } }",
            "data",
            "more.x",
        ),
        (
            "fn message(session, mail, message) { if message.from[0].domain == \"sender.example\" && mail.size == 100 { reject(\"x\", \"no\"); } }",
            "message",
            "more.x",
        ),
    ] {
        assert_eq!(
            changed_to(of(script)),
            (stage.to_owned(), "reject".to_owned(), rule.to_owned()),
            "{script}"
        );
    }
}

#[test]
fn what_was_refused_may_pass() {
    let mut decision = accepted();
    decision.stages.truncate(2);
    decision.stages[1].verdict =
        VerdictRecord { action: "reject", rule: "more.x".into(), reply: "550 5.7.1 no".into() };
    let strict = policies("fn helo(session) { reject(\"x\", \"5.7.1\", \"no\"); }");
    assert_eq!(replay(&strict, &decision), Replayed::Same);
    let lenient = policies("fn helo(session) {}");
    assert_eq!(changed_to(replay(&lenient, &decision)).1, "pass");
}

#[test]
fn what_was_not_recorded_is_undecidable_and_never_guessed() {
    let undecidable = |script: &str, missing: &str| match of(script) {
        Replayed::Undecidable(what) => assert!(what.contains(missing), "{what}"),
        other => panic!("{other:?}: {script}"),
    };
    undecidable(
        "fn helo(session) { if dns_a(session.helo).result != \"ok\" { reject(\"x\", \"no\"); } }",
        "dns_a client.example",
    );
    undecidable(
        "fn message(session, mail, message) { if message.subject == \"\" { reject(\"x\", \"no\"); } }",
        "subject",
    );
    undecidable(
        "fn message(session, mail, message) { if message.header_names.len() == 0 { reject(\"x\", \"no\"); } }",
        "names",
    );
    undecidable(
        "fn message(session, mail, message) { if message.dmarc.result == \"fail\" { reject(\"x\", \"no\"); } }",
        "dmarc",
    );
    undecidable("fn helo(session) { if random() > 2.0 { reject(\"x\", \"no\"); } }", "random");
    let redacted = Decision { redacted: true, ..accepted() };
    assert!(matches!(replay(&policies("fn helo(session) {}"), &redacted), Replayed::Undecidable(_)));
}

#[test]
fn recorded_facts_are_answered() {
    let mut decision = accepted();
    let question = Question::Dns(RecordType::A, "client.example".into());
    let answer = Some(Answer::from(Lookup { result: "nxdomain", values: Vec::new() }));
    decision.stages[3].facts.push(Fact {
        policy: "more".into(),
        also: Vec::new(),
        question,
        answer,
        took: Default::default(),
    });
    let asks = policies(
        "fn helo(session) { if dns_a(session.helo).result == \"nxdomain\" { reject(\"x\", \"no\"); } }",
    );
    assert_eq!(changed_to(replay(&asks, &decision)).2, "more.x");
}

#[test]
fn a_report_says_what_changes() {
    let mut report = Report::default();
    let decision = accepted();
    let strict = policies("fn helo(session) { reject(\"x\", \"no\"); }");
    for _ in 0..7 {
        report.add(&recorded(&decision), replay(&strict, &decision));
    }
    report.add(&recorded(&decision), Replayed::Undecidable("the fact dns_a x".to_owned()));
    let mut sum = Report::default();
    sum.merge(report);
    sum.sort();
    assert_eq!((sum.decisions, sum.changed, sum.undecidable), (8, 7, 1));
    let text = sum.to_string();
    assert!(text.contains("7  helo: pass -> reject by more.x  (such as aaaaaaaaaa"), "{text}");
    assert!(text.contains("1  undecidable for want of the fact dns_a x"), "{text}");
}
