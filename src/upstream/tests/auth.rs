//! AUTH: where a password may go, and what becomes of its connection.

use super::introduction::{careless, certified};
use super::*;
use crate::smtp::auth::{AuthCommand, Mechanism, Secret};

const FAR: &str = "mta.example:587";
const NEAR: &str = "127.0.0.1:587";

fn script() -> Script {
    let mut script = Script::default();
    script.extensions.push("AUTH PLAIN".to_owned());
    script
}

fn plain() -> AuthLine {
    AuthLine::Begin(AuthCommand {
        mechanism: Mechanism::parse("PLAIN").unwrap(),
        initial: Some(Secret::parse(b"AHN1emllAGh1bnRlcjI=").unwrap()),
    })
}

#[tokio::test(start_paused = true)]
async fn a_password_goes_under_tls_or_not_beyond_this_machine() {
    let (server, trusting) = certified("mta.example");
    let with_tls = || Script { tls: Some(Arc::clone(&server)), ..script() };
    for (address, script, tls, goes) in [
        (FAR, script(), TlsMode::Off, false),
        (FAR, with_tls(), TlsMode::Off, false),
        (FAR, script(), TlsMode::Opportunistic(careless()), false),
        (FAR, with_tls(), TlsMode::Opportunistic(careless()), true),
        (FAR, with_tls(), TlsMode::Required(trusting), true),
        (NEAR, script(), TlsMode::Off, true),
    ] {
        let world = World::at(&[address], script, Identity::None, tls);
        let offered = world.upstream.probe().await.unwrap();
        assert_eq!(!offered.auth.is_empty(), goes, "what is not relayed is not offered either");
        let answer = world.session().auth(&plain()).await;
        assert_eq!(answer.is_ok_and(|reply| reply.code().get() == 235), goes, "{address}");
        assert_eq!(world.commands().contains("AUTH PLAIN"), goes, "{}", world.commands());
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_knows_a_login_serves_nobody_else_and_is_not_replaced() {
    let world = World::at(&[NEAR], script(), Identity::None, TlsMode::Off);
    let mut session = world.session();
    assert!(session.auth(&plain()).await.is_ok() && session.holds_login());
    assert!(send_in(&mut session, &["r1", "r2"], MESSAGE).await.starts_with("250 "));
    session.quit().await;
    assert!(world.send().await.starts_with("250 "));
    assert_eq!(world.server.connections(), 2);
    assert_eq!(world.metric("upstream_connects_total", &[r#"outcome="reused""#]), 0);

    let script = script().once(simulated::Cue::Rcpt, simulated::Act::Reset.into());
    let world = World::at(&[NEAR], script, Identity::None, TlsMode::Off);
    let mut session = world.session();
    assert!(session.auth(&plain()).await.is_ok());
    for _ in 0..2 {
        assert!(session.rcpt(&mail("s"), &rcpt("r1")).await.is_err() && !session.holds_login());
    }
    session.reset().await;
    assert!(session.rcpt(&mail("t"), &rcpt("r1")).await.is_err(), "nor for another transaction");
    assert_eq!(world.server.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_but_a_response_is_said_in_an_exchange() {
    let world = World::at(&[NEAR], script(), Identity::None, TlsMode::Off);
    let mut session = world.session();
    let begin = AuthLine::Begin(AuthCommand { mechanism: Mechanism::parse("PLAIN").unwrap(), initial: None });
    assert_eq!(session.auth(&begin).await.unwrap().code().get(), 334);
    session.quit().await;
    assert!(world.commands().ends_with("AUTH PLAIN"), "{}", world.commands());
    let mut session = world.session();
    assert!(session.auth(&AuthLine::Cancel).await.is_err(), "there is none");
    assert!(!world.commands().contains('*'));
}

#[test]
fn no_wire_shows_a_secret() {
    let shown = format!("{:?}", plain());
    assert!(!shown.contains("AHN1") && !shown.contains("hunter2"), "{shown}");
}
