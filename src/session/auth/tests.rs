use std::time::Instant;

use bytes::Bytes;

use super::*;
use crate::session::{Inquiries, Limits, Offers, Terms, Timeouts};
use crate::smtp::reply::Code;

/// `\0suzie\0hunter2`, and what could be seen of it in any form.
const SECRET: &str = "AHN1emllAGh1bnRlcjI=";
const TRACES: [&str; 4] = ["AHN1emll", "hunter2", "h1bnRlcj", "104, 117, 110, 116, 101, 114, 50"];

fn session() -> Session {
    let auth = AuthTerms { relay: true, without_tls: true, required: false };
    let terms = Terms {
        hostname: "mx.example.org".to_owned(),
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        tls_required: false,
        auth,
        inquiries: Inquiries::default(),
        quarantine_address: None,
    };
    let offers = Offers { auth: vec!["PLAIN".to_owned()], ..Offers::default() };
    let mut session = Session::new(terms, false, offers, Instant::now());
    session.begin();
    settle(&mut session);
    says(&mut session, "EHLO client.example.net\r\n");
    session
}

/// Lets policy agree to everything, and gives the other actions.
fn settle(session: &mut Session) -> Vec<Action> {
    let mut actions = Vec::new();
    while let Some(action) = session.poll(Instant::now()) {
        match action {
            Action::Decide(_) => session.decided(Verdict::Pass),
            action => actions.push(action),
        }
    }
    actions
}

fn says(session: &mut Session, line: &str) -> Vec<Action> {
    session.receive(Bytes::from(line.as_bytes().to_vec()));
    settle(session)
}

fn reply(code: u16) -> Reply {
    Reply::new(Code::new(code).unwrap(), None, "")
}

#[track_caller]
fn shows_nothing(shown: &str) {
    for trace in TRACES {
        assert!(!shown.contains(trace), "{trace} in {shown}");
    }
}

#[test]
fn no_state_of_a_session_shows_the_secret() {
    let mut session = session();
    // Cut in two: the first half waits in the line decoder.
    shows_nothing(&format!("{:?}", says(&mut session, "AUTH PLAIN AHN1emllAGh1")));
    shows_nothing(&format!("{session:?} {session:#?}"));
    let actions = says(&mut session, "bnRlcjI=\r\n");
    shows_nothing(&format!("{actions:?} {session:?}"));
    assert!(actions.iter().any(|action| matches!(action, Action::Authenticate(_))), "{actions:?}");
    session.auth_answered(Ok(reply(334)));
    shows_nothing(&format!("{:?} {session:?}", settle(&mut session)));
    // Received, and not looked at yet.
    session.receive(Bytes::from(format!("{SECRET}\r\n")));
    shows_nothing(&format!("{session:?}"));
    shows_nothing(&format!("{:?} {session:?}", settle(&mut session)));
    session.auth_answered(Ok(reply(235)));
    shows_nothing(&format!("{:?} {session:?}", settle(&mut session)));
    assert_eq!(session.login().map(|login| login.user.as_str()), Some("suzie"));
}

#[test]
fn the_secret_is_relayed_in_one_action_and_kept_nowhere() {
    let mut session = session();
    let actions = says(&mut session, &format!("AUTH PLAIN {SECRET}\r\n"));
    let wires: Vec<String> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Authenticate(line) => Some((*line.wire()).clone()),
            _ => None,
        })
        .collect();
    assert_eq!(wires, [format!("AUTH PLAIN {SECRET}")]);
    assert!(session.pending.is_empty() && session.lines.is_empty());
}

#[test]
fn answers_to_a_question_that_is_not_open_change_nothing() {
    let mut session = session();
    session.auth_answered(Ok(reply(235)));
    assert!(session.login().is_none());
    says(&mut session, &format!("AUTH PLAIN {SECRET}\r\n"));
    session.hung_up();
    session.auth_answered(Ok(reply(235)));
    assert!(session.login().is_none() && session.is_closed());
}

#[test]
fn every_exchange_ends_once() {
    let ends = |actions: &[Action]| -> Vec<&'static str> {
        let ended = |action: &Action| match action {
            Action::AuthEnded(_, outcome) => Some(outcome.name()),
            _ => None,
        };
        actions.iter().filter_map(ended).collect()
    };
    let mut gone = session();
    says(&mut gone, "AUTH PLAIN\r\n");
    gone.auth_answered(Ok(reply(334)));
    settle(&mut gone);
    gone.hung_up();
    assert_eq!(ends(&settle(&mut gone)), ["cancelled"]);

    let mut late = session();
    says(&mut late, "AUTH PLAIN\r\n");
    late.auth_answered(Ok(reply(334)));
    settle(&mut late);
    late.timed_out(Instant::now());
    assert_eq!(ends(&settle(&mut late)), ["cancelled"]);

    for (answer, outcome) in [(235, "ok"), (535, "refused"), (454, "deferred")] {
        let mut talk = session();
        says(&mut talk, &format!("AUTH PLAIN {SECRET}\r\n"));
        talk.auth_answered(Ok(reply(answer)));
        assert_eq!(ends(&settle(&mut talk)), [outcome]);
        talk.hung_up();
        assert_eq!(ends(&settle(&mut talk)), [""; 0]);
    }
}

#[test]
fn what_is_wiped_has_to_belong_to_nobody_else() {
    let shared = Bytes::from(SECRET.as_bytes().to_vec());
    wipe(shared.clone());
    assert_eq!(shared, SECRET.as_bytes(), "somebody looks at it: it stays as it is");
}
