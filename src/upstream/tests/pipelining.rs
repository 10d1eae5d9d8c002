//! Several commands in one go: as many answers as questions.

use super::simulated::{Act, Answer, Cue, Rule};
use super::*;

#[tokio::test(start_paused = true)]
async fn mail_goes_with_the_first_recipient_where_pipelining_is_offered() {
    for (extensions, together) in [(vec!["PIPELINING".to_owned()], true), (Vec::new(), false)] {
        let script = Script { extensions, ..Script::default() };
        let world = World::plain(script.on(Cue::Mail, Answer::reply("450 4.1.8 not now")));
        let failure = world.session().rcpt(&mail("s"), &rcpt("r1")).await.unwrap_err();
        assert_eq!(heard(&failure), "450 4.1.8 not now");
        assert_eq!(world.commands().contains("RCPT"), together);
    }
}

#[tokio::test(start_paused = true)]
async fn each_reply_is_its_own_commands() {
    let second = Duration::from_secs(1);
    let script = Script::default()
        .on_matching(Cue::Rcpt, "...<r1@...", Answer::reply("550-5.1.1 no\n550 5.1.1 r1").after(second))
        .on(Cue::Mail, Answer::from(Act::Usual).after(second));
    let world = World::plain(script);
    let mut session = world.session();
    let reply = session.rcpt(&mail("s"), &rcpt("r1")).await.unwrap();
    assert_eq!(fault::one_line(&reply), "550 5.1.1 no / r1");
    assert!(session.rcpt(&mail("s"), &rcpt("r2")).await.unwrap().is_completed());
    assert!(session.deliver(&outgoing(MESSAGE)).await.is_ok());
    assert_eq!(world.server.messages()[0].rcpts, ["<r2@example.org>"]);
}

#[tokio::test(start_paused = true)]
async fn more_replies_than_commands_cost_the_connection() {
    for (cue, text) in [
        (Cue::Mail, "250 2.1.0 Ok\n250 2.1.5 Ok"),
        (Cue::Rcpt, "250 2.1.5 Ok\n354 go"),
        (Cue::Rcpt, "550 5.1.1 no\n250 2.1.5 Ok"),
    ] {
        let world = World::plain(Script::default().on(cue, Answer::reply(text)));
        let mut session = world.session();
        let Err(Failure::Fault(fault)) = session.rcpt(&mail("s"), &rcpt("r1")).await else {
            panic!("{text}")
        };
        assert_eq!(fault.kind, FaultKind::Desync, "{text}");
        assert!(!session.in_transaction(), "{text}: the connection is still used");
    }
}

/// Nothing is accepted on the strength of an answer to a recipient of a refused sender.
#[tokio::test(start_paused = true)]
async fn the_refusal_of_mail_stands_whatever_follows() {
    for rcpt_answer in ["250 2.1.5 Ok", "503 5.5.1 need MAIL", "421 4.3.2 bye"] {
        let script = Script::default()
            .on(Cue::Mail, Answer::reply("550 5.1.8 not you"))
            .on(Cue::Rcpt, Answer::reply(rcpt_answer));
        let world = World::plain(script);
        let mut session = world.session();
        for name in ["r1", "r2"] {
            let failure = session.rcpt(&mail("s"), &rcpt(name)).await.unwrap_err();
            assert_eq!(heard(&failure), "550 5.1.8 not you", "{rcpt_answer}");
        }
        assert!(session.deliver(&outgoing(MESSAGE)).await.is_err(), "{rcpt_answer}");
        assert_eq!(session.in_transaction(), rcpt_answer.starts_with("503"), "{rcpt_answer}");
    }
}

/// The second of them asked a connection that was gone, and heard our words in place of the upstream's.
#[tokio::test(start_paused = true)]
async fn a_mail_refused_after_a_reconnect_is_the_answer_to_every_recipient() {
    for lost in [Cue::Mail, Cue::Rcpt] {
        let script = Script::default()
            .once(Cue::Mail, if lost == Cue::Mail { Act::Close } else { Act::Usual }.into())
            .once(Cue::Rcpt, if lost == Cue::Rcpt { Act::Close } else { Act::Usual }.into())
            .on(Cue::Mail, Answer::reply("550 5.1.8 not you"));
        let world = World::plain(script);
        let mut session = world.session();
        for name in ["r1", "r2", "r3"] {
            let failure = session.rcpt(&mail("s"), &rcpt(name)).await.unwrap_err();
            assert_eq!(heard(&failure), "550 5.1.8 not you", "{name}, lost at {}", lost.name());
        }
        assert_eq!(world.server.dialled(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_envelope_is_said_again_as_a_whole() {
    for script in [Script::default(), Script { extensions: Vec::new(), ..Script::default() }] {
        let names: Vec<String> = (0..100).map(|n| format!("r{n}")).collect();
        let world = World::plain(script.once(Cue::Data, Act::Close.into()));
        let mut session = world.session();
        for name in &names {
            assert!(session.rcpt(&mail("s"), &rcpt(name)).await.unwrap().is_completed());
        }
        assert!(session.deliver(&outgoing(MESSAGE)).await.is_ok());
        let rcpts: Vec<String> = names.iter().map(|name| format!("<{name}@example.org>")).collect();
        assert_eq!(world.server.messages()[0].rcpts, rcpts);
        assert_eq!(world.commands().matches("MAIL").count(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn one_recipient_refused_in_the_middle_of_a_replay_is_enough() {
    let names: Vec<String> = (0..40).map(|n| format!("r{n}")).collect();
    let no = Answer::reply("550 5.1.1 changed my mind");
    let yes = Rule {
        cue: Cue::Rcpt,
        pattern: Some("...<r20@...".into()),
        answer: Act::Usual.into(),
        times: Some(1),
    };
    let script = Script::default()
        .rule(yes)
        .on_matching(Cue::Rcpt, "...<r20@...", no)
        .once(Cue::Data, Act::Close.into());
    let world = World::plain(script);
    let mut session = world.session();
    for name in &names {
        assert!(session.rcpt(&mail("s"), &rcpt(name)).await.unwrap().is_completed());
    }
    let Err(Failure::Fault(fault)) = session.deliver(&outgoing(MESSAGE)).await else { panic!() };
    assert_eq!(fault.kind, FaultKind::Replay);
    assert_eq!(world.server.messages().len(), 0);
}
