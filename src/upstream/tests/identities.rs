//! How the upstream learns who the client is, beside XCLIENT: see `introduction` for that.

use super::simulated::{Act, Answer, Cue};
use super::*;

const XFORWARD: &str = "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE";
const V1: Identity = Identity::Proxy(ProxyVersion::V1);
const V2: Identity = Identity::Proxy(ProxyVersion::V2);

fn offering(keyword: &str) -> Script {
    Script { extensions: vec![keyword.to_owned()], ..Script::default() }
}

fn behind_header() -> Script {
    Script { proxy: true, ..Script::default() }
}

async fn fault_of(world: &World) -> Fault {
    match world.session().rcpt(&mail("s"), &rcpt("r1")).await {
        Err(Failure::Fault(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

/// Sends a message on behalf of the client with this address, in a transaction with this name.
async fn send_for(world: &World, ip: &str, id: &str) -> String {
    let mut session = world.upstream.session(Client { ip: ip.parse().unwrap(), ..client() });
    session.name_transaction(id);
    let heard = send_in(&mut session, &["r1"], MESSAGE).await;
    session.quit().await;
    heard
}

#[tokio::test(start_paused = true)]
async fn a_shared_connection_is_told_each_transactions_client() {
    let world = World::new(offering(XFORWARD), Identity::XForward, TlsMode::Off);
    for (ip, id) in [("192.0.2.1", "first"), ("2001:db8::7", "second"), ("127.0.0.1", "third")] {
        assert!(send_for(&world, ip, id).await.starts_with("250 "));
    }
    let said = world.said(|line| line.starts_with("G: EHLO") || line.starts_with("G: XFORWARD"));
    let usual = "PROTO=ESMTP HELO=client.example";
    assert_eq!(
        said,
        format!(
            "G: EHLO gate.example.org
G: XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.1 PORT=40112 {usual} IDENT=first SOURCE=REMOTE
G: XFORWARD NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::7 PORT=40112 {usual} IDENT=second SOURCE=REMOTE
G: XFORWARD NAME=[UNAVAILABLE] ADDR=127.0.0.1 PORT=40112 {usual} IDENT=third SOURCE=LOCAL"
        )
    );
    assert_eq!(world.server.dialled(), 1);
    let idents: Vec<_> =
        world.server.messages().iter().map(|message| message.xforward[5].1.clone()).collect();
    assert_eq!(idents, ["first", "second", "third"]);
    assert_eq!(world.metric("upstream_replies_total", &[r#"command="xforward""#, r#"class="2""#]), 3);
    assert_eq!(world.metric("upstream_connects_total", &[r#"outcome="reused""#]), 2);
}

#[tokio::test(start_paused = true)]
async fn xforward_is_said_again_after_a_reconnect() {
    let script = offering(XFORWARD).once(Cue::Data, Act::Close.into());
    let world = World::new(script, Identity::XForward, TlsMode::Off);
    assert!(send_for(&world, "192.0.2.1", "only").await.starts_with("250 "));
    assert_eq!((world.server.dialled(), world.commands().matches("IDENT=only").count()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn xforward_that_does_not_work_fails_closed() {
    for script in [
        Script::default(),
        offering("XFORWARD"),
        offering("XFORWARD NAME IDENT"),
        offering(XFORWARD).on(Cue::XForward, Answer::reply("550 5.7.0 not you")),
        offering(XFORWARD).on(Cue::XForward, Answer::reply("501 5.5.4 bad syntax")),
        offering(XFORWARD).on(Cue::XForward, Answer::reply("451 4.3.0 later")),
    ] {
        let world = World::new(script, Identity::XForward, TlsMode::Off);
        let fault = fault_of(&world).await;
        assert_eq!(fault.kind, FaultKind::Identity, "{fault}");
        assert_eq!(fault::one_line(&fault.reply()).get(..9), Some("451 4.3.5"));
        assert!(!world.commands().contains("MAIL"), "{}", world.commands());
        world.send().await;
        assert_eq!(world.server.dialled(), 2, "what did not take an identity is not used again");
    }
}

/// A shared connection that no longer takes XFORWARD is replaced by a fresh one.
#[tokio::test(start_paused = true)]
async fn a_shared_connection_that_takes_no_identity_is_left() {
    let world = World::new(offering(XFORWARD), Identity::XForward, TlsMode::Off);
    assert!(send_for(&world, "192.0.2.1", "first").await.starts_with("250 "));
    world.server.direct(|script| {
        *script =
            std::mem::take(script).once(Cue::XForward, Answer::reply("421 4.3.2 tired").then(Act::Close));
    });
    assert!(send_for(&world, "192.0.2.1", "second").await.starts_with("250 "));
    assert_eq!(world.server.dialled(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_header_comes_first_and_the_greeting_is_the_clients() {
    for (identity, word) in [(V1, "PROXY"), (V2, "PROXY2")] {
        let world = World::new(behind_header(), identity, TlsMode::Off);
        assert!(world.send().await.starts_with("250 "));
        let begin = format!(
            "{word} TCP4 192.0.2.1 198.51.100.25 40112 25\nEHLO client.example\nMAIL FROM:<s@example.org>"
        );
        assert!(world.commands().starts_with(&begin), "{}", world.commands());
        assert!(world.commands().ends_with("QUIT"), "never shared");
        world.send().await;
        assert_eq!(world.server.dialled(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_on_our_own_behalf() {
    for (identity, said) in [(V1, "PROXY UNKNOWN"), (V2, "PROXY2 LOCAL")] {
        let world = World::new(behind_header(), identity, TlsMode::Off);
        let offered = world.upstream.probe().await.unwrap();
        assert_eq!(world.commands(), format!("{said}\nEHLO gate.example.org\nQUIT"));
        assert_eq!(world.upstream.misgiving(&offered), None);
    }
    let world = World::new(Script::default(), Identity::Transparent, TlsMode::Off);
    world.upstream.probe().await.unwrap();
    assert_eq!(world.commands(), "EHLO gate.example.org\nQUIT");
}

/// It takes the header for commands, and would take Gatepost for the client.
#[tokio::test(start_paused = true)]
async fn a_server_that_knows_no_header_gets_no_mail() {
    for identity in [V1, V2] {
        let world = World::new(Script::default(), identity, TlsMode::Off);
        let fault = fault_of(&world).await;
        assert_eq!(fault.kind, FaultKind::Identity, "{fault}");
        assert_eq!(fault::one_line(&fault.reply()).get(..9), Some("451 4.3.5"));
        assert!(!world.commands().contains("MAIL"), "{}", world.commands());
        assert_eq!(world.metric("upstream_connects_total", &[r#"outcome="identity""#]), 1);
    }
    // Exim's word to a client that talks before the banner.
    let sync = behind_header().on(Cue::Connect, Answer::reply("554 SMTP synchronization error"));
    let world = World::new(sync, V1, TlsMode::Off);
    assert_eq!(fault_of(&world).await.kind, FaultKind::Identity);
}

#[tokio::test(start_paused = true)]
async fn the_header_is_said_again_after_a_reconnect() {
    for identity in [V1, V2] {
        let script = behind_header().once(Cue::Data, Act::Reset.into());
        let world = World::new(script, identity, TlsMode::Off);
        assert!(world.send().await.starts_with("250 "));
        assert_eq!(world.commands().matches("TCP4 192.0.2.1").count(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn the_clients_address_is_the_source() {
    let world = World::new(Script::default(), Identity::Transparent, TlsMode::Off);
    assert!(world.send().await.starts_with("250 "));
    assert!(
        world.commands().starts_with("(from 192.0.2.1)\nEHLO client.example\nMAIL"),
        "{}",
        world.commands()
    );
    assert!(world.commands().ends_with("QUIT"), "never shared");
    let judging = Script::default().on(Cue::Connect, Answer::reply("554 5.7.1 not you"));
    let world = World::new(judging, Identity::Transparent, TlsMode::Off);
    assert_eq!(world.send().await, "554 5.7.1 not you", "it sees the client, and says what it thinks of it");
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_known_from_a_probe() {
    for (identity, offers, missing) in [
        (Identity::XClient, "XCLIENT NAME ADDR", None),
        (Identity::XClient, XFORWARD, Some("the upstream does not offer XCLIENT with ADDR")),
        (Identity::XForward, XFORWARD, None),
        (Identity::XForward, "XCLIENT NAME ADDR", Some("the upstream does not offer XFORWARD with ADDR")),
        (Identity::None, "SIZE", None),
    ] {
        let world = World::new(offering(offers), identity, TlsMode::Off);
        let offered = world.upstream.probe().await.unwrap();
        assert_eq!(world.upstream.misgiving(&offered), missing);
    }
}
