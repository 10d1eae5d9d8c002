//! Which connections are used again, and which never.

use super::simulated::{Act, Answer, Cue};
use super::*;

fn resets(world: &World) -> usize {
    world.commands().matches("RSET").count()
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_identity_serves_the_next_session_after_a_reset() {
    let world = World::plain(Script::default());
    for _ in 0..3 {
        assert!(world.send().await.starts_with("250 "));
    }
    assert_eq!((world.server.dialled(), resets(&world)), (1, 3));
    assert_eq!(world.commands().matches("EHLO").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_knows_a_client_serves_no_other() {
    let world = World::new(Script::default(), Identity::XClient, TlsMode::Off);
    world.send().await;
    world.send().await;
    assert_eq!(world.server.dialled(), 2);
    assert_eq!(world.commands().matches("QUIT").count(), 2);
}

/// Row 180.
#[tokio::test(start_paused = true)]
async fn nothing_unusual_gets_into_the_pool() {
    for (cue, answer) in [
        (Cue::Rset, Answer::reply("451 4.3.0 no")),
        (Cue::Rset, Answer::reply("250 2.0.0 Ok\n250 2.0.0 Ok")),
        (Cue::Rset, Answer::raw(b"250 2.0.0 Ok\r\n").then(Act::Close)),
        (Cue::Rset, Answer::raw(b"250 2.0.0 Ok\r\n421 4.4.2 idle\r\n").then(Act::Close)),
        (Cue::Rset, Answer::fault("garbage").unwrap()),
        (Cue::Rset, Answer::fault("1xx").unwrap()),
        (Cue::Rset, Answer::fault("stall").unwrap()),
        (Cue::Dot, Answer::reply("250 2.0.0 Ok\n250 2.0.0 Ok")),
    ] {
        let at = format!("{answer:?} at {}", cue.name());
        let world = World::plain(Script::default().once(cue, answer));
        world.send().await;
        assert!(world.send().await.starts_with("250 "), "{at}");
        assert_eq!(world.server.dialled(), 2, "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_dropped_without_goodbye_gives_nothing_back() {
    let world = World::plain(Script::default());
    let mut session = world.session();
    session.rcpt(&mail("s"), &rcpt("r1")).await.unwrap();
    drop(session);
    world.send().await;
    assert_eq!(world.server.dialled(), 2);
}

/// The second MAIL is the first command on a connection from the pool.
#[tokio::test(start_paused = true)]
async fn a_fault_on_a_reused_connection_before_its_first_reply_is_nobodys_fault() {
    for name in ["rst", "close", "stall", "half", "garbage", "421", "badcode", "1xx"] {
        let script = Script::default()
            .once(Cue::Mail, Answer::reply("250 2.1.0 Ok"))
            .once(Cue::Mail, Answer::fault(name).unwrap());
        let world = World::plain(script);
        for _ in 0..2 {
            assert!(world.send().await.starts_with("250 "), "{name}");
        }
        assert_eq!((world.server.dialled(), world.server.messages().len()), (2, 2), "{name}");
    }
    let refusal = Script::default()
        .once(Cue::Mail, Answer::reply("250 2.1.0 Ok"))
        .once(Cue::Mail, Answer::reply("451 4.7.1 greylisted"));
    let world = World::plain(refusal);
    world.send().await;
    assert_eq!(world.send().await, "451 4.7.1 greylisted", "an answer is an answer");
    assert_eq!(world.server.dialled(), 1);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_few_and_young() {
    let world = World::plain(Script::default());
    world.send().await;
    tokio::time::sleep(Duration::from_secs(29)).await;
    world.send().await;
    assert_eq!(world.server.dialled(), 1);
    tokio::time::sleep(Duration::from_secs(31)).await;
    world.send().await;
    assert_eq!(world.server.dialled(), 2);

    let mut sessions = Vec::new();
    for _ in 0..40 {
        let mut session = world.session();
        session.rcpt(&mail("s"), &rcpt("r1")).await.unwrap();
        sessions.push(session);
    }
    assert_eq!(world.server.dialled(), 41, "one was idle");
    for session in sessions {
        session.quit().await;
    }
    let mut sessions = Vec::new();
    for _ in 0..40 {
        let mut session = world.session();
        session.rcpt(&mail("s"), &rcpt("r1")).await.unwrap();
        sessions.push(session);
    }
    assert_eq!(world.server.dialled(), 41 + 8, "32 were kept");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_with_a_reset_says_it_once() {
    let world = World::plain(Script::default());
    let mut session = world.session();
    session.rcpt(&mail("s"), &rcpt("r1")).await.unwrap();
    session.reset().await;
    session.keep_alive().await;
    session.quit().await;
    assert_eq!(
        world.commands(),
        "EHLO gate.example.org\nMAIL FROM:<s@example.org>\nRCPT TO:<r1@example.org>\nRSET\nNOOP"
    );
    assert!(world.send().await.starts_with("250 "));
    assert_eq!(
        (world.server.dialled(), resets(&world)),
        (1, 2),
        "the second is for the message of the other session"
    );
}
