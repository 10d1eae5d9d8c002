//! TLS and identity: what is said before MAIL, and when nothing more is said.

use super::simulated::{Act, Answer, Cue};
use super::*;
use crate::tls::{Certificates, ClientTls, ServerTls, Verify};

/// A server with a certificate for `name`, and a client that trusts it alone.
pub(super) fn certified(name: &str) -> (Arc<ServerTls>, ClientTls) {
    let dir = tempfile::tempdir().unwrap();
    let files = crate::tls::tests::write(dir.path(), "mx", &[name]);
    let trusting = ClientTls::new(&Verify::CaFile(files.cert.clone())).unwrap();
    let server = ServerTls::new(Certificates::load(&[files]).unwrap()).unwrap();
    (Arc::new(server), trusting)
}

fn with_tls(tls: &Arc<ServerTls>) -> Script {
    Script { tls: Some(Arc::clone(tls)), ..Script::default() }
}

pub(super) fn careless() -> ClientTls {
    ClientTls::new(&Verify::Nothing).unwrap()
}

async fn fault_of(world: &World) -> Fault {
    match world.session().rcpt(&mail("s"), &rcpt("r1")).await {
        Err(Failure::Fault(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn tls_is_spoken_when_offered() {
    let (server, trusting) = certified("mta.example");
    for mode in [
        TlsMode::Opportunistic(careless()),
        TlsMode::Opportunistic(trusting.clone()),
        TlsMode::Required(trusting),
    ] {
        let world = World::new(with_tls(&server), Identity::XClient, mode);
        assert!(world.send().await.starts_with("250 "));
        let message = world.server.messages().pop().unwrap();
        assert!(message.tls && message.xclient.len() == 5);
        let begin = "EHLO gate.example.org\nSTARTTLS\nEHLO gate.example.org\nXCLIENT ";
        assert!(world.commands().starts_with(begin), "{}", world.commands());
    }
    let world = World::new(with_tls(&server), Identity::None, TlsMode::Off);
    assert!(world.send().await.starts_with("250 ") && !world.server.messages()[0].tls);
}

/// RFC 8689 4.2.1: over TLS, with a certificate that was checked.
#[tokio::test(start_paused = true)]
async fn requiretls_takes_a_server_that_proved_its_name() {
    let (server, trusting) = certified("mta.example");
    let mail = mail_line("MAIL FROM:<s@example.org> REQUIRETLS");
    for (mode, carried) in [
        (TlsMode::Required(trusting.clone()), true),
        (TlsMode::Opportunistic(trusting), true),
        (TlsMode::Required(careless()), false),
        (TlsMode::Off, false),
    ] {
        let script = Script { extensions: vec!["REQUIRETLS".to_owned()], ..with_tls(&server) };
        let world = World::new(script, Identity::None, mode);
        let answer = world.session().rcpt(&mail, &rcpt("r1")).await;
        assert_eq!(answer.is_ok_and(|reply| reply.is_completed()), carried);
        assert_eq!(world.commands().contains("REQUIRETLS"), carried, "{}", world.commands());
    }
}

#[tokio::test(start_paused = true)]
async fn opportunistic_goes_on_in_plaintext_only_when_tls_was_not_begun() {
    let (server, _) = certified("mta.example");
    let mode = || TlsMode::Opportunistic(careless());
    assert!(World::new(Script::default(), Identity::None, mode()).send().await.starts_with("250 "));
    let busy = with_tls(&server).on(Cue::StartTls, Answer::reply("454 4.7.0 not now"));
    assert!(World::new(busy, Identity::None, mode()).send().await.starts_with("250 "));
    let world = World::new(
        with_tls(&server).on(Cue::StartTls, Answer::raw(b"220 go\r\n").then(Act::Close)),
        Identity::None,
        mode(),
    );
    assert!(world.send().await.starts_with("451 "));
    assert!(!world.commands().contains("MAIL"));
}

/// Rows 41 and 42.
#[tokio::test(start_paused = true)]
async fn required_means_no_mail_without_it() {
    let (server, trusting) = certified("mta.example");
    let (_, mistrusting) = certified("mta.example");
    let (misnamed, trusts_misnamed) = certified("other.example");
    let busy = with_tls(&server).on(Cue::StartTls, Answer::reply("454 4.7.0 not now"));
    for (script, tls) in [
        (Script::default(), trusting.clone()),
        (busy, trusting),
        (with_tls(&server), mistrusting),
        (with_tls(&misnamed), trusts_misnamed),
    ] {
        let world = World::new(script, Identity::None, TlsMode::Required(tls));
        let fault = fault_of(&world).await;
        assert_eq!((fault.kind, fault.reply().code().get()), (FaultKind::Tls, 451), "{fault}");
        assert!(!world.commands().contains("MAIL"), "{}", world.commands());
    }
    let world = World::new(Script::default(), Identity::None, TlsMode::Implicit(careless()));
    assert_eq!(fault_of(&world).await.kind, FaultKind::Tls);
    // What a server without TLS hears is random, and has a line in it now and then.
    assert!(!world.commands().contains("EHLO"));
}

/// Row 41: where plaintext will do, mail goes on, and the operator is told.
#[tokio::test(start_paused = true)]
async fn starttls_that_vanishes_is_counted() {
    let (server, _) = certified("mta.example");
    let count = |world: &World, mode| world.metric("upstream_starttls_missing_total", &[mode]);
    let world = World::new(with_tls(&server), Identity::XClient, TlsMode::Opportunistic(careless()));
    assert!(world.send().await.starts_with("250 "));
    assert_eq!(count(&world, "opportunistic"), 0);
    world.server.direct(|script| script.tls = None);
    assert!(world.send().await.starts_with("250 "));
    assert!(!world.server.messages().pop().unwrap().tls);
    assert_eq!(count(&world, "opportunistic"), 1);

    let world = World::new(Script::default(), Identity::None, TlsMode::Required(careless()));
    assert_eq!(fault_of(&world).await.kind, FaultKind::Tls);
    assert_eq!(count(&world, "required"), 1);
}

/// RFC 3207 4.2: STARTTLS is not to be offered under TLS; where it is, nobody takes it up.
#[tokio::test(start_paused = true)]
async fn starttls_under_tls_is_ignored() {
    let (server, _) = certified("mta.example");
    let always = Answer::reply("250-upstream.example\n250 STARTTLS");
    let script = with_tls(&server).on(Cue::Ehlo, always);
    let world = World::new(script, Identity::None, TlsMode::Required(careless()));
    assert!(world.send().await.starts_with("250 "));
    assert_eq!(world.commands().matches("STARTTLS").count(), 1, "{}", world.commands());
}

/// What REQUIRETLS will ask for (RFC 8689 4.2.1).
#[tokio::test(start_paused = true)]
async fn a_connection_knows_whether_its_other_end_was_verified() {
    let (server, trusting) = certified("mta.example");
    for (mode, encrypted, verified) in [
        (TlsMode::Off, false, false),
        (TlsMode::Opportunistic(careless()), true, false),
        (TlsMode::Opportunistic(trusting.clone()), true, true),
        (TlsMode::Required(trusting), true, true),
    ] {
        let world = World::new(with_tls(&server), Identity::None, mode);
        let Place::Server(server) = &world.upstream.place else { panic!("a mail server") };
        let connection = server.connect(None).await.unwrap();
        assert_eq!((connection.encrypted, connection.verified_tls), (encrypted, verified));
    }
}

/// Row 40.
#[tokio::test(start_paused = true)]
async fn bytes_glued_to_the_220_end_the_connection() {
    let (server, _) = certified("mta.example");
    for glued in
        [&b"220 go\r\n250-evil\r\n250 XCLIENT NAME ADDR\r\n"[..], b"220 go\r\n2", b"220 go\r\n\x16\x03\x01"]
    {
        let script = with_tls(&server).on(Cue::StartTls, Answer::raw(glued));
        let world = World::new(script, Identity::XClient, TlsMode::Opportunistic(careless()));
        let (fault, took) = timed(fault_of(&world)).await;
        assert_eq!((fault.kind, fault.reply().code().get()), (FaultKind::Desync, 451), "{fault}");
        assert!(took < Duration::from_secs(20));
        assert_eq!(world.commands(), "EHLO gate.example.org\nSTARTTLS");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_offered_in_plaintext_counts_under_tls() {
    let (server, _) = certified("mta.example");
    let bare = Answer::reply("250 upstream.example");
    let full = Answer::reply("250-upstream.example\n250-STARTTLS\n250 XCLIENT NAME ADDR");
    let script = with_tls(&server).once(Cue::Ehlo, full).on(Cue::Ehlo, bare);
    let world = World::new(script, Identity::XClient, TlsMode::Opportunistic(careless()));
    assert_eq!(fault_of(&world).await.kind, FaultKind::Identity);
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_cannot_be_handed_over_fails_closed() {
    let offers = |attributes: &str| Script {
        extensions: vec![format!("XCLIENT {attributes}").trim_end().to_owned()],
        ..Script::default()
    };
    let nothing = Script { extensions: Vec::new(), ..Script::default() };
    for script in [
        nothing,
        offers(""),
        offers("NAME PORT HELO"),
        Script::default().on(Cue::XClient, Answer::reply("550 5.7.0 not authorized")),
        Script::default().on(Cue::XClient, Answer::reply("501 5.5.4 bad syntax")),
        Script::default().on(Cue::XClient, Answer::reply("451 4.3.0 later")),
    ] {
        let world = World::new(script, Identity::XClient, TlsMode::Off);
        let fault = fault_of(&world).await;
        assert_eq!(fault.kind, FaultKind::Identity, "{fault}");
        assert_eq!(fault::one_line(&fault.reply()).get(..9), Some("451 4.3.5"));
        assert!(!world.commands().contains("MAIL"), "{}", world.commands());
    }
}

/// Its own EHLO is the client's, so the word on it is too; before that, a 5yz is about Gatepost.
#[tokio::test(start_paused = true)]
async fn a_refused_greeting_is_the_clients_only_in_the_clients_name() {
    let refusal = || Answer::reply("550 5.7.1 go away");
    let world = World::new(
        Script::default().on_matching(Cue::Ehlo, "EHLO client.example", refusal()),
        Identity::XClient,
        TlsMode::Off,
    );
    assert_eq!(world.send().await, "550 5.7.1 go away");
    for cue in [Cue::Connect, Cue::Ehlo] {
        let world = World::new(Script::default().on(cue, refusal()), Identity::XClient, TlsMode::Off);
        assert_eq!(fault_of(&world).await.kind, FaultKind::Greeting);
    }
}
