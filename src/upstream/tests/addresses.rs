//! Several addresses of one server, and what becomes of those that do not answer.

use super::simulated::{Act, Answer, Cue, Rule};
use super::*;

const ADDRESSES: [&str; 3] = ["one.example:25", "two.example:25", "three.example:25"];

fn world(balance: Balance, script: Script) -> World {
    World::with(Remote { balance, ..remote(&ADDRESSES, Identity::XClient, TlsMode::Off) }, script)
}

/// How often each was dialled.
fn dialled(world: &World) -> [usize; 3] {
    ADDRESSES.map(|address| world.server.dialled_at(address))
}

fn refusing(address: &str) -> Script {
    Script::default().on_matching(Cue::Connect, address, Act::Refuse.into())
}

#[tokio::test(start_paused = true)]
async fn least_sessions_counts_what_is_open() {
    let world = world(Balance::LeastSessions, Script::default());
    let mut sessions = Vec::new();
    for _ in 0..6 {
        let mut session = world.session();
        session.rcpt(&mail("s"), &rcpt("r1")).await.unwrap();
        sessions.push(session);
    }
    assert_eq!(dialled(&world), [2, 2, 2]);
    assert_eq!(world.metric("upstream_sessions_active", &[r#"address="two.example:25""#]), 2);
    // The two of the second address leave: the next two go there.
    for at in [4, 1] {
        sessions.remove(at).quit().await;
    }
    assert_eq!(world.metric("upstream_sessions_active", &[r#"address="two.example:25""#]), 0);
    for _ in 0..2 {
        let mut session = world.session();
        session.rcpt(&mail("s"), &rcpt("r1")).await.unwrap();
        sessions.push(session);
    }
    assert_eq!(dialled(&world), [2, 4, 2]);
    drop(sessions);
    assert_eq!(world.metric("upstream_sessions_active", &[]), 0);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_fails_is_seen_in_the_metrics_and_found_again_by_the_probe() {
    let world = world(Balance::First, refusing("one.example:25"));
    world.upstream.probe().await.unwrap();
    let up = |address: &str| world.metric("upstream_address_up", &[&format!(r#"address="{address}""#)]);
    assert_eq!(ADDRESSES.map(up), [0, 1, 1]);
    assert_eq!(world.metric("upstream_up", &[]), 1);
    assert_eq!(world.upstream.next_trial(), Some(Duration::from_secs(1)));
    assert!(world.send().await.starts_with("250 "));
    assert_eq!(dialled(&world), [1, 2, 1], "mail does not try what is set aside while another is there");
    world.server.direct(|script| script.rules.clear());
    world.upstream.probe().await.unwrap();
    assert_eq!(ADDRESSES.map(up), [1, 1, 1]);
    assert_eq!(world.upstream.next_trial(), None);
    assert!(world.send().await.starts_with("250 "));
    assert_eq!(dialled(&world), [3, 3, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_asks_every_address_at_once() {
    let slow = Rule {
        cue: Cue::Connect,
        pattern: Some("one.example:25".to_owned()),
        answer: Answer(vec![Act::Wait(Duration::from_secs(3600)), Act::Refuse]),
        times: None,
    };
    let world = world(Balance::First, Script::default().rule(slow));
    let (probed, took) = timed(world.upstream.probe()).await;
    probed.unwrap();
    assert_eq!((dialled(&world), took), ([1, 1, 1], TIMEOUTS.connect));
}

#[tokio::test(start_paused = true)]
async fn many_clients_at_once_find_out_about_one_failure() {
    let world = Arc::new(world(Balance::First, Script::default().on(Cue::Connect, Act::Refuse.into())));
    for _ in 0..50 {
        assert!(world.send().await.starts_with("451 4.4.1 "));
    }
    assert_eq!(dialled(&world), [50, 50, 50], "the circuit is not open after failures at one moment");
    assert_eq!(world.metric("upstream_up", &[]), 0);
    for pause in [1, 2] {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        world.send().await;
    }
    assert_eq!(dialled(&world), [52, 52, 52]);
    let open = |world: &World| world.metric("upstream_connects_total", &[r#"outcome="circuit_open""#]);
    for sent in 1..=10 {
        assert!(world.send().await.starts_with("451 4.4.1 "));
        assert_eq!((dialled(&world), open(&world)), ([52, 52, 52], sent));
    }
    // Its time is over: one client finds out, and the next is told at once again.
    tokio::time::sleep(Duration::from_secs(4)).await;
    for _ in 0..5 {
        assert!(world.send().await.starts_with("451 4.4.1 "));
    }
    assert_eq!((dialled(&world), open(&world)), ([53, 53, 53], 14));
    world.server.direct(|script| script.rules.clear());
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(world.send().await.starts_with("250 "));
    assert_eq!(world.metric("upstream_up", &[]), 1);
}

/// Who is refused for its own sake says nothing about the address.
#[tokio::test(start_paused = true)]
async fn what_is_said_about_a_client_does_not_set_an_address_aside() {
    let script = Script::default().once(Cue::Ehlo, Act::Usual.into()).on_matching(
        Cue::Ehlo,
        "EHLO client.example",
        Answer::reply("550 5.7.1 no mail from you"),
    );
    let world = world(Balance::First, script);
    assert_eq!(world.send().await, "550 5.7.1 no mail from you");
    assert_eq!((dialled(&world), world.upstream.next_trial()), ([1, 0, 0], None));
    assert_eq!(world.metric("upstream_address_up", &[r#"address="one.example:25""#]), 1);
}

#[tokio::test(start_paused = true)]
async fn lmtp_takes_one_recipient_and_is_greeted_in_its_own_words() {
    let lmtp =
        Remote { protocol: Protocol::Lmtp, ..remote(&["unix:/run/lmtp"], Identity::None, TlsMode::Off) };
    let world = World::with(lmtp, Script { lmtp: true, ..Script::default() });
    assert!(world.upstream.takes_one_recipient());
    assert!(world.send().await.starts_with("250 "));
    assert!(world.commands().starts_with("LHLO gate.example.org\nMAIL FROM:<s@example.org>"));
    assert!(!World::plain(Script::default()).upstream.takes_one_recipient());

    let mut session = world.session();
    let heard = send_in(&mut session, &["r1", "r2"], MESSAGE).await;
    assert!(heard.starts_with("451 "), "two recipients were to share one answer: {heard}");
    assert_eq!(world.server.messages().len(), 1);
}
