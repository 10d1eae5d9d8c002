//! What an upstream can do wrong, at every step.

use super::simulated::{Act, Answer, Cue, Rule};
use super::*;

const FAULTS: [&str; 10] =
    ["rst", "close", "stall", "half", "halfmulti", "garbage", "421", "451", "badcode", "1xx"];

const PATIENCE: Duration = Duration::from_secs(20);

fn fault(name: &str) -> Answer {
    Answer::fault(name).unwrap()
}

fn twice(cue: Cue, answer: Answer) -> Script {
    Script::default().rule(Rule { cue, pattern: None, answer, times: Some(2) })
}

fn is_transient(heard: &str) -> bool {
    heard.starts_with("451 ") && !heard.contains(|c: char| !c.is_ascii_graphic() && c != ' ')
}

/// Rows 108 to 167. The fault lasts for two connections, so that the one reconnect does not hide it.
#[tokio::test(start_paused = true)]
async fn no_fault_at_any_step_is_ever_an_acknowledgement_a_permanent_error_or_a_hang() {
    for identity in [Identity::None, Identity::XClient] {
        for cue in [Cue::Connect, Cue::Ehlo, Cue::Mail, Cue::Rcpt, Cue::Data, Cue::Dot] {
            for name in FAULTS {
                let at = format!("{name} at {} with {identity:?}", cue.name());
                let world = World::new(twice(cue, fault(name)), identity, TlsMode::Off);
                let mut tries = 0;
                loop {
                    let (heard, took) = timed(world.send()).await;
                    if heard.starts_with("250 ") {
                        break;
                    }
                    tries += 1;
                    assert!(is_transient(&heard), "{at}: {heard}");
                    assert!(took < PATIENCE, "{at}: {took:?}");
                    assert!(tries <= 2, "{at}: the fault is over, but not its effect");
                }
                assert!(tries >= 1, "{at}: not noticed");
                assert_eq!(world.server.messages().len(), 1, "{at}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_421_keeps_its_words() {
    for cue in [Cue::Connect, Cue::Ehlo, Cue::Mail, Cue::Rcpt, Cue::Data, Cue::Dot] {
        let world = World::plain(Script::default().on(cue, fault("421")));
        assert_eq!(world.send().await, "451 4.3.2 upstream.example shutting down", "{}", cue.name());
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_comes_after_the_dot_leaves_a_doubt() {
    for (cue, doubt) in [(Cue::Data, false), (Cue::Body, false), (Cue::Dot, true)] {
        for name in FAULTS {
            let world = World::plain(Script::default().on(cue, fault(name)));
            let mut session = world.session();
            session.rcpt(&mail("s"), &rcpt("r1")).await.unwrap();
            let failure = session.deliver(&outgoing(MESSAGE)).await.unwrap_err();
            let counted = matches!(failure, Failure::Fault(Fault { ambiguous: true, .. }));
            assert_eq!(
                world.metric("upstream_ambiguous_total", &[]),
                u64::from(counted),
                "{name}: {failure}"
            );
            match failure {
                // A short message goes with its dot before anybody can see that it is not read.
                Failure::Fault(fault) if (cue, name) == (Cue::Body, "stall") => assert!(fault.ambiguous),
                Failure::Fault(fault) => {
                    assert_eq!(fault.ambiguous, doubt, "{name} at {}: {fault}", cue.name());
                }
                Failure::Withdrawn(need) => panic!("{need:?}"),
                Failure::Refused(no) => {
                    assert!(cue != Cue::Body && ["421", "451"].contains(&name), "{name}: {no:?}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waiting_for_the_answer_leaves_the_same_doubt() {
    let late = Answer::reply("250 2.0.0 Ok").after(Duration::from_secs(3));
    let world = World::plain(Script::default().on(Cue::Dot, late));
    let mut session = world.session();
    session.rcpt(&mail("s"), &rcpt("r1")).await.unwrap();
    let message = outgoing(MESSAGE);
    assert!(tokio::time::timeout(Duration::from_secs(1), session.deliver(&message)).await.is_err());
    assert_eq!(world.metric("upstream_ambiguous_total", &[]), 1);
    assert!(session.deliver(&message).await.is_err(), "and is not sent again");
    assert_eq!(world.server.messages().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_connection_and_every_reply_is_counted() {
    let world = World::plain(Script::default().once(Cue::Rcpt, Answer::reply("550 5.1.1 no")));
    assert_eq!(world.send().await, "550 5.1.1 no");
    assert!(world.send().await.starts_with("250 "));
    assert_eq!(world.metric("upstream_up", &[]), 1);
    let connects = |outcome: &str| world.metric("upstream_connects_total", &[&format!("\"{outcome}\"")]);
    assert_eq!((connects("ok"), connects("reused")), (1, 1));
    let replies = |command: &str, class: &str| {
        let labels = [format!("\"{command}\""), format!("\"{class}\"")];
        world.metric("upstream_replies_total", &[&labels[0], &labels[1]])
    };
    assert_eq!((replies("connect", "2"), replies("ehlo", "2"), replies("mail", "2")), (1, 1, 2));
    assert_eq!((replies("rcpt", "2"), replies("rcpt", "5")), (1, 1));
    assert_eq!((replies("data", "3"), replies("end_of_data", "2"), replies("rset", "2")), (1, 1, 2));

    let closed = World::plain(Script::default().on(Cue::Mail, fault("close")));
    closed.send().await;
    assert_eq!(closed.metric("upstream_replies_total", &["\"mail\"", "\"none\""]), 2);
    for (cue, answer, outcome) in [
        (Cue::Connect, Act::Refuse.into(), "refused"),
        (Cue::Connect, fault("stall"), "timeout"),
        (Cue::Connect, fault("451"), "greeting"),
        (Cue::XClient, Answer::reply("550 5.7.0 no"), "identity"),
    ] {
        let world = World::new(Script::default().on(cue, answer), Identity::XClient, TlsMode::Off);
        world.send().await;
        assert_eq!(world.metric("upstream_connects_total", &[&format!("\"{outcome}\"")]), 1, "{outcome}");
        assert_eq!(world.metric("upstream_up", &[]), u64::from(outcome == "greeting"), "{outcome}");
    }
}

/// Rows 168 and 169: at once, in the middle, and just before the end, of a message of one piece and of one of many.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_speaks_or_goes_before_the_dot_gets_no_second_chance() {
    let long = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat(16_500);
    let at_the_end = (long.len() - 64).to_string();
    let short = b"Subject: short\r\n\r\nx\r\n".as_slice();
    for (message, after) in
        [(short, "0"), (short, "1"), (&long, "0"), (&long, "1"), (&long, "200000"), (&long, &at_the_end)]
    {
        for answer in [
            fault("rst"),
            fault("close"),
            fault("stall"),
            fault("421"),
            Answer::reply("250 2.0.0 Ok: queued early"),
            Answer::raw(b"250 2.0.0 Ok: queued early\r\n").then(Act::Reset),
            Answer::raw(b"250 2.0.0 Ok: queued early\r\n").then(Act::Stall),
            Answer::raw(b"2"),
        ] {
            let at = format!("{answer:?} after {after} of {}", message.len());
            let early = Rule { cue: Cue::Body, pattern: Some(after.to_owned()), answer, times: Some(1) };
            let world = World::plain(Script::default().rule(early));
            let mut session = world.session();
            let (heard, took) = timed(send_in(&mut session, &["r1"], message)).await;
            assert!(is_transient(&heard), "{at}: {heard}");
            assert!(took < PATIENCE, "{at}: {took:?}");
            assert_eq!(world.server.messages().len(), 0, "{at}: the dot was sent");
            session.quit().await;
            assert_eq!(world.server.dialled(), 1, "{at}: sent again");
            assert!(world.send().await.starts_with("250 "), "{at}");
            assert_eq!(world.server.dialled(), 2, "{at}: the connection was used again");
        }
    }
}

/// A reply that would be right elsewhere is no answer, least of all a 250 to DATA.
#[tokio::test(start_paused = true)]
async fn a_reply_of_the_wrong_class_is_a_fault() {
    for (cue, reply) in [
        (Cue::Connect, "250 2.0.0 Ok"),
        (Cue::Connect, "354 go"),
        (Cue::Ehlo, "354 go"),
        (Cue::XClient, "354 go"),
        (Cue::Mail, "354 go"),
        (Cue::Rcpt, "354 go"),
        (Cue::Data, "250 2.0.0 Ok: queued"),
        (Cue::Data, "334 go"),
        (Cue::Dot, "354 go"),
    ] {
        let at = format!("{reply} at {}", cue.name());
        let script = Script::default().on(cue, Answer::reply(reply));
        let world = World::new(script, Identity::XClient, TlsMode::Off);
        let mut session = world.session();
        let outcome = match session.rcpt(&mail("s"), &rcpt("r1")).await {
            Ok(_) => session.deliver(&outgoing(MESSAGE)).await.map(|_| ()),
            Err(failure) => Err(failure),
        };
        let Err(Failure::Fault(fault)) = outcome else { panic!("{at}: {outcome:?}") };
        assert_eq!(fault.kind, FaultKind::Unexpected, "{at}");
    }
}

/// Row 170.
#[tokio::test(start_paused = true)]
async fn bytes_that_answer_nothing_are_never_taken_for_an_answer() {
    let two = |reply: &str| Answer::reply(&format!("{reply}\n{reply}"));
    for (cue, answer) in [
        (Cue::Connect, two("220 upstream.example")),
        (Cue::Ehlo, two("250 upstream.example")),
        (Cue::Mail, two("250 2.1.0 Ok")),
        (Cue::Rcpt, two("250 2.1.5 Ok")),
        (Cue::Rcpt, Answer::raw(b"250 2.1.5 Ok\r\n250")),
        (Cue::Data, Answer::reply("354 Go\n250 2.0.0 Ok")),
        (Cue::Dot, two("250 2.0.0 Ok")),
        (Cue::Dot, Answer::reply("250 2.0.0 Ok\n451 4.3.0 No")),
    ] {
        let at = format!("{answer:?} at {}", cue.name());
        let world = World::plain(Script::default().on(cue, answer));
        let heard = world.send().await;
        assert!(is_transient(&heard), "{at}: {heard}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_reply_that_comes_late_is_found_before_the_next_command() {
    let late = Answer::reply("451 4.3.0 late");
    let script = Script::default().on(Cue::Rcpt, Answer::reply("250 2.1.5 Ok\n250 2.1.5 Ok"));
    let one_by_one = Script { extensions: Vec::new(), ..script.on(Cue::Dot, late) };
    let world = World::plain(one_by_one);
    let mut session = world.session();
    assert!(session.rcpt(&mail("s"), &rcpt("r1")).await.unwrap().is_completed());
    let Err(Failure::Fault(fault)) = session.rcpt(&mail("s"), &rcpt("r2")).await else { panic!() };
    assert_eq!(fault.kind, FaultKind::Desync);
    assert!(!world.commands().contains("r2"), "said on a connection that is out of step");
}

/// Row 171.
#[tokio::test(start_paused = true)]
async fn refusals_are_relayed_word_by_word_and_leave_the_connection_in_order() {
    let script = Script::default()
        .on_matching(Cue::Rcpt, "...<r2@...", Answer::reply("550-5.1.1 unknown\n550 5.1.1 user"))
        .once(Cue::Dot, Answer::reply("554 5.7.1 spam, says I"))
        .once(Cue::Data, Answer::reply("354 go"))
        .once(Cue::Data, Answer::reply("452 4.3.1 full"));
    let world = World::plain(script);
    let mut session = world.session();
    assert_eq!(send_in(&mut session, &["r1", "r2"], MESSAGE).await, "550 5.1.1 unknown / user");
    assert_eq!(send_in(&mut session, &[], MESSAGE).await, "554 5.7.1 spam, says I");
    assert_eq!(send_in(&mut session, &["r1"], MESSAGE).await, "452 4.3.1 full");
    session.reset().await;
    assert!(send_in(&mut session, &["r1"], MESSAGE).await.starts_with("250 2.0.0 "));
    assert_eq!(world.server.dialled(), 1);
}

/// Rows 172 and 173.
#[tokio::test(start_paused = true)]
async fn replies_are_bounded_and_printable() {
    let controls = Answer::raw(b"550 5.7.1 a\x1b[2Jb\0c\rd\xc3\xa9\r\n");
    let world = World::plain(Script::default().on(Cue::Rcpt, controls));
    assert_eq!(world.send().await, "550 5.7.1 a?[2Jb?c?d??");
    let lines = b"250-more\r\n".repeat(100_000);
    let line = vec![b'2'; 50 << 20];
    for flood in [lines, line] {
        let world = World::plain(Script::default().on(Cue::Mail, Answer::raw(&flood)));
        let (heard, took) = timed(world.send()).await;
        assert!(is_transient(&heard), "{heard}");
        assert_eq!(took, Duration::ZERO, "given up at once, not read to the end");
    }
}

/// A reply that trickles must not hold a session longer than one that does not come.
#[tokio::test(start_paused = true)]
async fn a_timeout_is_for_the_whole_reply() {
    let slow = Answer::reply("250 2.1.0 Ok").after(TIMEOUTS.reply + Duration::from_millis(1));
    let world = World::plain(Script::default().on(Cue::Mail, slow));
    let (heard, took) = timed(world.send()).await;
    assert!(is_transient(&heard), "{heard}");
    assert_eq!(took, TIMEOUTS.reply);
    let patient = Answer::reply("250 2.1.0 Ok").after(TIMEOUTS.reply - Duration::from_millis(1));
    assert!(World::plain(Script::default().on(Cue::Mail, patient)).send().await.starts_with("250 "));
}

/// Row 174.
#[tokio::test(start_paused = true)]
async fn who_cannot_be_reached_is_tried_at_every_address_once_per_transaction() {
    let never = Answer::from(Act::Refuse).after(Duration::from_secs(1_000_000));
    let everywhere = [Act::Refuse.into(), never];
    for (answer, patience) in everywhere.into_iter().zip([Duration::ZERO, TIMEOUTS.connect * 2]) {
        let script = Script::default().on(Cue::Connect, answer);
        let world = World::at(&["a.example:25", "b.example:25"], script, Identity::None, TlsMode::Off);
        let mut session = world.session();
        let (_, took) = timed(async {
            for name in ["r1", "r2", "r3"] {
                let failure = session.rcpt(&mail("s"), &rcpt(name)).await.unwrap_err();
                assert!(is_transient(&heard(&failure)), "{failure}");
            }
        })
        .await;
        assert_eq!((world.server.dialled(), took), (2, patience));
        session.reset().await;
        session.rcpt(&mail("s"), &rcpt("r1")).await.unwrap_err();
        assert_eq!(world.server.dialled(), 4, "another transaction is another try");
    }
    let script = Script::default().on_matching(Cue::Connect, "a.example...", Act::Refuse.into());
    let world = World::at(&["a.example:25", "b.example:25"], script, Identity::None, TlsMode::Off);
    assert!(world.send().await.starts_with("250 "));
}
