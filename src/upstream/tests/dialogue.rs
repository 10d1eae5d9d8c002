//! Envelope and message on their way, and the one reconnect.

use super::simulated::{Act, Answer, Cue, Rule};
use super::*;
use crate::smtp::params::RcptParams;

#[tokio::test(start_paused = true)]
async fn nothing_is_dialled_before_a_recipient() {
    let world = World::plain(Script::default());
    let mut session = world.session();
    session.keep_alive().await;
    session.reset().await;
    session.quit().await;
    assert_eq!(world.server.dialled(), 0);
}

#[tokio::test(start_paused = true)]
async fn several_messages_take_one_connection_in_order() {
    let world = World::new(Script::default(), Identity::XClient, TlsMode::Off);
    let mut session = world.session();
    assert_eq!(send_in(&mut session, &["r1", "r2"], MESSAGE).await, "250 2.0.0 Ok: queued as SIM1");
    session.rcpt(&mail("s"), &rcpt("r3")).await.unwrap();
    session.keep_alive().await;
    session.reset().await;
    assert_eq!(send_in(&mut session, &["r4"], MESSAGE).await, "250 2.0.0 Ok: queued as SIM2");
    session.quit().await;
    let wanted = [
        "EHLO gate.example.org",
        "XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.1 PORT=40112 HELO=client.example PROTO=ESMTP",
        "EHLO client.example",
        "MAIL FROM:<s@example.org>",
        "RCPT TO:<r1@example.org>",
        "RCPT TO:<r2@example.org>",
        "DATA",
        ".",
        "MAIL FROM:<s@example.org>",
        "RCPT TO:<r3@example.org>",
        "NOOP",
        "RSET",
        "MAIL FROM:<s@example.org>",
        "RCPT TO:<r4@example.org>",
        "DATA",
        ".",
        "QUIT",
    ];
    assert_eq!(world.commands(), wanted.join("\n"));
    let messages = world.server.messages();
    assert_eq!(messages[0].rcpts, ["<r1@example.org>", "<r2@example.org>"]);
    assert_eq!(messages[1].rcpts, ["<r4@example.org>"]);
}

#[tokio::test(start_paused = true)]
async fn messages_arrive_byte_for_byte() {
    let piece = 64 * 1024;
    let mut bodies = vec![
        b"".to_vec(),
        b"\r\n".to_vec(),
        b".\r\n".to_vec(),
        b"..\r\n.\r\n.x\r\n\r\n.".to_vec(),
        b"no line end".to_vec(),
        b"\xff\xfe8-bit \x01\r\n".to_vec(),
    ];
    for size in [piece - 2, piece - 1, piece, piece + 1, 2 * piece - 1, 2 * piece, 5 * piece + 3] {
        bodies.push(b".dotted\r\n".iter().copied().cycle().take(size).collect());
        bodies.push(vec![b'x'; size]);
    }
    let world = World::plain(Script::default());
    for body in bodies {
        // What the decoder lets through has no bare CR; the line end is the one that DATA needs.
        let body = if body.ends_with(b"\r") { body[..body.len() - 1].to_vec() } else { body };
        let mut session = world.session();
        assert!(send_in(&mut session, &["r1"], &body).await.starts_with("250 "));
        session.quit().await;
        let ending: &[u8] = if body.is_empty() || body.ends_with(b"\r\n") { b"" } else { b"\r\n" };
        let got = world.server.messages().pop().unwrap().data;
        assert!(got == [&body, ending].concat(), "{} octets became {}", body.len(), got.len());
    }
}

#[tokio::test(start_paused = true)]
async fn parameters_are_those_that_the_upstream_offers() {
    let all = "MAIL FROM:<s@example.org> SIZE=1000 BODY=8BITMIME";
    let bare = || Script { extensions: vec!["PIPELINING".to_owned()], ..Script::default() };
    for (script, line, wanted) in [
        (Script::default(), all, "MAIL FROM:<s@example.org> SIZE=17384 BODY=8BITMIME"),
        (Script::default(), "MAIL FROM:<>", "MAIL FROM:<>"),
        (bare(), "MAIL FROM:<s@example.org> SIZE=1000 BODY=7BIT", "MAIL FROM:<s@example.org>"),
    ] {
        let world = World::plain(script);
        assert!(world.session().rcpt(&mail_line(line), &rcpt("r1")).await.unwrap().is_completed());
        assert_eq!(world.commands().lines().nth(1), Some(wanted));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_withdrawn_is_refused_and_the_connection_serves_on() {
    let bare = Script { extensions: vec!["PIPELINING".to_owned()], ..Script::default() };
    let world = World::plain(bare);
    let mut session = world.session();
    for (line, wanted) in [
        ("MAIL FROM:<s@example.org> SIZE=1000 BODY=8BITMIME", "550 5.6.3"),
        ("MAIL FROM:<s@example.org> BODY=BINARYMIME", "550 5.6.3"),
        ("MAIL FROM:<s@example.org> SMTPUTF8", "550 5.6.7"),
        ("MAIL FROM:<s@example.org> RET=FULL", "555 5.5.4"),
        ("MAIL FROM:<s@example.org> AUTH=a@b.c", "555 5.5.4"),
        ("MAIL FROM:<s@example.org> REQUIRETLS", "550 5.7.30"),
    ] {
        let failure = session.rcpt(&mail_line(line), &rcpt("r1")).await.unwrap_err();
        assert!(matches!(failure, Failure::Withdrawn(_)), "{line}: {failure}");
        assert!(failure.reply().to_string().starts_with(wanted), "{line}: {}", failure.reply());
    }
    let said = session.rcpt(&mail_line("MAIL FROM:<s@example.org> AUTH=<>"), &rcpt("r1")).await.unwrap();
    assert!(said.is_completed(), "nobody's name is nothing to lose");
    let with_notify =
        RcptCommand { params: RcptParams { notify: Some("NEVER".to_owned()), orcpt: None }, ..rcpt("r2") };
    let mail = mail_line("MAIL FROM:<s@example.org> AUTH=<>");
    let failure = session.rcpt(&mail, &with_notify).await.unwrap_err();
    assert_eq!(failure.reply().code().get(), 555);
    assert!(session.rcpt(&mail, &rcpt("r3")).await.unwrap().is_completed(), "others are not concerned");
    let commands = world.commands();
    let said: Vec<&str> = commands.lines().filter(|line| !line.starts_with("EHLO")).collect();
    assert_eq!(
        said,
        ["MAIL FROM:<s@example.org>", "RCPT TO:<r1@example.org>", "RCPT TO:<r3@example.org>"],
        "a fresh connection might have what is missing: for each there was another EHLO, and no more"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_after_a_reconnect_is_no_reason_to_refuse_for_good() {
    let script = Script { extensions: vec!["DSN".to_owned()], ..Script::default() };
    let world = World::plain(script.once(Cue::Data, Act::Reset.into()));
    let mut session = world.session();
    let mail = mail_line("MAIL FROM:<s@example.org> RET=FULL");
    assert!(session.rcpt(&mail, &rcpt("r1")).await.unwrap().is_completed());
    world.server.direct(|script| script.extensions.clear());
    let Failure::Fault(fault) = session.deliver(&outgoing(MESSAGE)).await.unwrap_err() else { panic!() };
    assert_eq!(fault.kind, FaultKind::Capability);
}

#[tokio::test(start_paused = true)]
async fn a_refused_mail_is_the_answer_to_every_recipient() {
    let world = World::plain(Script::default().on(Cue::Mail, Answer::reply("550 5.1.8 not you")));
    let mut session = world.session();
    for name in ["r1", "r2"] {
        let Failure::Refused(no) = session.rcpt(&mail("s"), &rcpt(name)).await.unwrap_err() else { panic!() };
        assert_eq!((no.step, fault::one_line(&no.reply).as_str()), ("mail", "550 5.1.8 not you"));
    }
    let said = "EHLO gate.example.org\nMAIL FROM:<s@example.org>\nRCPT TO:<r1@example.org>";
    assert_eq!(world.commands(), said, "the first came with MAIL, the second needs not be asked about");
    let failure = session.deliver(&outgoing(MESSAGE)).await.unwrap_err();
    assert!(failure.reply().code().get() == 451, "nobody would get it");
}

/// The fault comes once, at one of the steps; the transaction is said again and the message arrives once.
#[tokio::test(start_paused = true)]
async fn an_upstream_lost_before_data_is_connected_to_once_more() {
    for (cue, pattern) in [(Cue::Mail, ""), (Cue::Rcpt, "...r1..."), (Cue::Rcpt, "r3"), (Cue::Data, "")] {
        for answer in ["rst", "close"].map(|name| Answer::fault(name).unwrap()) {
            let at = format!("{answer:?} at {} {pattern}", cue.name());
            let pattern = Some(format!("...{pattern}..."));
            let script = Script::default()
                .on_matching(Cue::Rcpt, "...r2...", Answer::reply("550 5.1.1 no r2"))
                .rule(Rule { cue, pattern, answer, times: Some(1) });
            let world = World::new(script, Identity::XClient, TlsMode::Off);
            let mut session = world.session();
            for (name, accepted) in [("r1", true), ("r2", false), ("r3", true)] {
                let reply = session.rcpt(&mail("s"), &rcpt(name)).await.unwrap();
                assert_eq!(reply.is_completed(), accepted, "{at}");
            }
            assert!(session.deliver(&outgoing(MESSAGE)).await.is_ok(), "{at}");
            let messages = world.server.messages();
            assert_eq!((messages.len(), world.server.dialled()), (1, 2), "{at}");
            assert_eq!(messages[0].rcpts, ["<r1@example.org>", "<r3@example.org>"], "{at}");
            assert_eq!(messages[0].xclient.len(), 5, "{at}: the identity was handed over again");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_reconnect_every_recipient_must_be_accepted_again() {
    let script = Script::default()
        .once(Cue::Data, Act::Close.into())
        .rule(Rule { cue: Cue::Rcpt, pattern: Some("...r1...".into()), answer: ok(), times: Some(1) })
        .on_matching(Cue::Rcpt, "...r1...", Answer::reply("550 5.1.1 changed my mind"));
    let world = World::plain(script);
    let mut session = world.session();
    assert!(session.rcpt(&mail("s"), &rcpt("r1")).await.unwrap().is_completed());
    let Err(Failure::Fault(fault)) = session.deliver(&outgoing(MESSAGE)).await else { panic!() };
    assert_eq!(
        (fault.kind, fault.reply().enhanced().unwrap().to_string()),
        (FaultKind::Replay, "4.4.2".into())
    );
    assert_eq!(world.server.messages().len(), 0);
}

/// Nothing was promised before MAIL was answered, so its answer after a reconnect is simply the answer.
#[tokio::test(start_paused = true)]
async fn a_mail_refused_after_a_reconnect_is_refused() {
    let script = Script::default()
        .once(Cue::Mail, Act::Close.into())
        .on(Cue::Mail, Answer::reply("550 5.1.8 not you"));
    assert_eq!(World::plain(script).send().await, "550 5.1.8 not you");
}

fn ok() -> Answer {
    Answer::reply("250 2.1.5 Ok")
}

#[tokio::test(start_paused = true)]
async fn one_reconnect_is_all_that_a_transaction_gets() {
    let world = World::plain(Script::default().on(Cue::Data, Act::Close.into()));
    let mut session = world.session();
    session.rcpt(&mail("s"), &rcpt("r1")).await.unwrap();
    for _ in 0..3 {
        let failure = session.deliver(&outgoing(MESSAGE)).await.unwrap_err();
        assert_eq!(failure.reply().code().get(), 451);
    }
    assert_eq!(world.server.dialled(), 2);
    session.reset().await;
    session.rcpt(&mail("s"), &rcpt("r1")).await.unwrap();
    assert_eq!(world.server.dialled(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_farewell_at_one_recipient_costs_that_recipient_only() {
    let script = Script::default().rule(Rule {
        cue: Cue::Rcpt,
        pattern: Some("...r2...".into()),
        answer: Answer::fault("421").unwrap(),
        times: Some(1),
    });
    let world = World::plain(script);
    let mut session = world.session();
    assert!(session.rcpt(&mail("s"), &rcpt("r1")).await.is_ok());
    let Err(Failure::Refused(no)) = session.rcpt(&mail("s"), &rcpt("r2")).await else { panic!() };
    let said = no.said.map(|said| said.code().get());
    assert_eq!((no.step, no.reply.code().get(), said), ("rcpt", 451, Some(421)));
    assert!(session.rcpt(&mail("s"), &rcpt("r3")).await.is_ok());
    assert!(session.deliver(&outgoing(MESSAGE)).await.is_ok());
    assert_eq!(world.server.messages()[0].rcpts, ["<r1@example.org>", "<r3@example.org>"]);
}

/// Servers say 421 and close when a client is idle for too long; a keep-alive that finds out must not cost the message.
#[tokio::test(start_paused = true)]
async fn a_connection_lost_while_the_client_sends_is_replaced() {
    for answer in [Answer::fault("421").unwrap(), Act::Reset.into(), Act::Stall.into()] {
        let world = World::plain(Script::default().once(Cue::Noop, answer));
        let mut session = world.session();
        session.rcpt(&mail("s"), &rcpt("r1")).await.unwrap();
        session.keep_alive().await;
        assert!(session.deliver(&outgoing(MESSAGE)).await.is_ok());
        assert_eq!((world.server.dialled(), world.server.messages().len()), (2, 1));
    }
    let idle = Answer::raw(b"250 2.1.5 Ok\r\n421 4.4.2 idle\r\n").then(Act::Close);
    let world = World::plain(Script::default().once(Cue::Rcpt, idle));
    assert!(world.send().await.starts_with("250 "));
}

/// Who calls may give up at any point; the question that was open stays on a connection that nobody uses again.
#[tokio::test(start_paused = true)]
async fn a_dropped_future_takes_its_connection_with_it() {
    let world = World::plain(Script::default().once(Cue::Rcpt, ok().after(Duration::from_secs(3))));
    let mut session = world.session();
    let (mail, r1) = (mail("s"), rcpt("r1"));
    let cut = tokio::time::timeout(Duration::from_secs(1), session.rcpt(&mail, &r1)).await;
    assert!(cut.is_err());
    assert!(session.rcpt(&mail, &rcpt("r2")).await.unwrap().is_completed());
    assert!(session.deliver(&outgoing(MESSAGE)).await.is_ok());
    assert_eq!(world.server.messages()[0].rcpts, ["<r2@example.org>"]);
    assert_eq!(world.server.dialled(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_offered_is_known_from_a_probe_and_refreshed_by_sessions() {
    let small = Answer::reply("250-upstream.example\n250 SIZE 1000");
    let world = World::plain(Script::default().once(Cue::Ehlo, small));
    assert_eq!(world.upstream.extensions(), None);
    let probed = world.upstream.probe().await.unwrap();
    assert_eq!((probed.size, probed.eight_bit_mime), (Some(Some(1000)), false));
    assert_eq!(world.upstream.extensions(), Some(probed));
    assert_eq!(world.commands(), "EHLO gate.example.org\nQUIT");
    world.send().await;
    assert!(world.upstream.extensions().unwrap().eight_bit_mime);
}

#[tokio::test]
async fn a_maildir_accepts_everybody_and_stores_once() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("Maildir");
    let kind = Kind::Maildir(root.clone());
    let target = Target { name: "local".into(), hostname: "gate.example.org".into(), kind };
    let upstream = Upstream::new(target, Arc::new(TcpDial), UpstreamMetrics::detached());
    assert!(upstream.probe().await.unwrap().eight_bit_mime);
    assert!(root.join("new").is_dir());
    let mut session = upstream.session(client());
    let failure = session.deliver(&outgoing(MESSAGE)).await.unwrap_err();
    assert_eq!(failure.reply().code().get(), 451, "no recipient yet");
    let heard = send_in(&mut session, &["r1", "r2"], MESSAGE).await;
    let name = heard.strip_prefix("250 2.0.0 Ok: stored as ").unwrap();
    let stored = std::fs::read(root.join("new").join(name)).unwrap();
    assert_eq!(stored, [b"Return-Path: <s@example.org>\r\n", MESSAGE].concat());
    session.rcpt(&mail("s"), &rcpt("r1")).await.unwrap();
    session.reset().await;
    assert!(session.deliver(&outgoing(MESSAGE)).await.is_err());
    session.quit().await;
    assert_eq!(std::fs::read_dir(root.join("new")).unwrap().count(), 1);
}
