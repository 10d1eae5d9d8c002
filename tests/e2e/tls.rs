//! STARTTLS, with other people's implementations and with our own.

use std::time::{Duration, Instant};

use crate::harness::{
    AddedFields, Authority, Client, Gatepost, Plan, Postfix, Program, Reply, folder, letter, until,
};

struct Setting {
    postfix: Postfix,
    gatepost: Gatepost,
    authority: Authority,
    _folder: tempfile::TempDir,
}

fn with_tls(mode: &str) -> Setting {
    let (folder, postfix) = (folder("tls"), Postfix::delivering());
    let authority = Authority::in_folder(folder.path());
    let tls = format!("tls: {}", authority.setting(mode));
    let gatepost = Plan::in_front_of(&postfix).listener(tls).start();
    Setting { postfix, gatepost, authority, _folder: folder }
}

fn offers(reply: &Reply, keyword: &str) -> bool {
    reply.lines.iter().any(|line| line == keyword)
}

/// A client that was greeted and has said EHLO under TLS.
fn encrypted(setting: &Setting) -> Client {
    let mut client = setting.gatepost.introduced().start_tls(&setting.authority.trust());
    let reply = client.ask("EHLO client.example.net");
    assert_eq!(reply.code, 250);
    assert!(!offers(&reply, "STARTTLS"), "{reply}");
    client
}

#[test]
fn a_client_that_offers_the_post_quantum_key_exchange_gets_it() {
    let setting = with_tls("opportunistic");
    let mut client = encrypted(&setting);
    assert_eq!(client.key_exchange, "X25519MLKEM768");
    let sent = letter("secret");
    assert_eq!(client.deliver("joe@sender.example", "suzie@example.org", &sent).code, 250);
    assert_eq!(client.ask("STARTTLS").code, 503);
    let added = AddedFields::of(&setting.postfix.delivered("suzie", 1)[0], &sent);
    let received = added.all("received")[1].to_owned();
    assert!(received.contains("with ESMTPS") && received.contains("TLS"), "{received}");
    let labels = [("side", "client"), ("key_exchange", "X25519MLKEM768")];
    assert_eq!(setting.gatepost.metrics().sum("tls_handshakes_total", &labels), 1);
    setting.gatepost.end_well();
}

#[test]
fn swaks_delivers_over_starttls() {
    let setting = with_tls("opportunistic");
    let session = Program::new("swaks")
        .words("--tls --tls-verify --tls-ca-path")
        .arg(&setting.authority.certificate)
        .words("--ehlo client.example.net --from joe@sender.example --to suzie@example.org --server")
        .arg(setting.gatepost.address().to_string())
        .run();
    assert!(session.output.contains("TLS started with cipher TLSv1.3"), "{session}");
    assert!(session.output.contains("queued as "), "{session}");
    setting.postfix.delivered("suzie", 1);
    setting.gatepost.end_well();
}

#[test]
fn openssl_speaks_tls_1_2_and_1_3_but_nothing_older() {
    let setting = with_tls("opportunistic");
    let talk = |version: &str| {
        Program::new("openssl")
            .words("s_client -starttls smtp -name client.example.net -servername mx.example.org -verify_return_error")
            .arg("-CAfile")
            .arg(&setting.authority.certificate)
            .arg(format!("-{version}"))
            .words("-connect")
            .arg(setting.gatepost.address().to_string())
            .input("EHLO client.example.net\r\nQUIT\r\n")
            .run()
    };
    for version in ["tls1_3", "tls1_2"] {
        let session = talk(version);
        assert!(session.output.contains("Verify return code: 0 (ok)"), "{version}: {session}");
    }
    let session = talk("tls1_1 -cipher=DEFAULT@SECLEVEL=0".split(' ').next().unwrap());
    assert!(!session.status.success(), "{session}");
    let metrics = setting.gatepost.metrics();
    assert_eq!(metrics.sum("tls_handshakes_total", &[("version", "TLSv1.3"), ("outcome", "ok")]), 1);
    assert_eq!(metrics.sum("tls_handshakes_total", &[("version", "TLSv1.2"), ("outcome", "ok")]), 1);
    setting.gatepost.end_well();
}

#[test]
fn plain_text_behind_starttls_is_never_taken_for_a_command() {
    let setting = with_tls("opportunistic");
    let mut client = setting.gatepost.introduced();
    client.send(b"STARTTLS\r\nEHLO evil.example.net\r\nMAIL FROM:<evil@sender.example>\r\n").unwrap();
    let reply = client.reply().unwrap();
    if reply.code == 220 {
        // Discarded: TLS works, and nobody has said EHLO or MAIL yet.
        let mut client = client.encrypted(&setting.authority.trust()).unwrap();
        assert_eq!(client.ask("RCPT TO:<suzie@example.org>").code, 503);
        assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 503);
        assert_eq!(client.ask("EHLO client.example.net").code, 250);
        assert_eq!(client.ask("RCPT TO:<suzie@example.org>").code, 503);
    } else {
        assert_eq!(reply.class(), 5, "{reply}");
        assert_eq!(client.rest(), "", "nothing behind the refusal");
    }
    assert!(!setting.postfix.log().contains("evil"), "{}", setting.postfix.log());
    setting.gatepost.end_well();
}

#[test]
fn what_came_before_tls_is_forgotten() {
    let setting = with_tls("opportunistic");
    let mut client = setting.gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    let mut client = client.start_tls(&setting.authority.trust());
    assert_eq!(client.ask("RCPT TO:<suzie@example.org>").code, 503);
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 503);
    setting.gatepost.end_well();
}

#[test]
fn junk_in_place_of_a_handshake_ends_the_session_without_a_word_in_plain_text() {
    let setting = with_tls("opportunistic");
    let mut client = setting.gatepost.introduced();
    assert_eq!(client.ask("STARTTLS").code, 220);
    client.send(b"EHLO client.example.net\r\nMAIL FROM:<joe@sender.example>\r\n").unwrap();
    let rest = client.rest();
    assert!(!rest.contains("250"), "{rest:?}");
    setting.gatepost.counted("tls_handshakes_total", &[("outcome", "failed")], 1);
    setting.gatepost.end_well();
}

#[test]
fn a_listener_that_requires_tls_takes_no_mail_without_it() {
    let setting = with_tls("required");
    let mut client = setting.gatepost.introduced();
    let reply = client.ask("MAIL FROM:<joe@sender.example>");
    assert!(reply.to_string().starts_with("530 5.7.0 "), "{reply}");
    let mut client = encrypted(&setting);
    assert_eq!(client.deliver("joe@sender.example", "suzie@example.org", &letter("tls")).code, 250);
    setting.gatepost.end_well();
}

#[test]
fn a_listener_with_implicit_tls_speaks_it_from_the_first_byte() {
    let setting = with_tls("implicit");
    let client = Client::connect(setting.gatepost.address()).unwrap();
    let mut client = client.encrypted(&setting.authority.trust()).unwrap();
    client.expect(220);
    let reply = client.ask("EHLO client.example.net");
    assert!(reply.code == 250 && !offers(&reply, "STARTTLS"), "{reply}");
    assert_eq!(client.deliver("joe@sender.example", "suzie@example.org", &letter("tls")).code, 250);
    setting.gatepost.end_well();
}

#[test]
fn a_postfix_that_wants_tls_gets_it_and_the_client_s_address_under_it() {
    let folder = folder("tls");
    let authority = Authority::in_folder(folder.path());
    let postfix = Postfix::encrypting(&authority);
    let (address, ca) = (postfix.address(), authority.certificate.display());
    let upstream =
        format!("{{ address: \"{address}\", tls: {{ mode: required, verify: true, ca: \"{ca}\" }} }}");
    let gatepost = Plan::with_upstream(&upstream).start();
    let sent = letter("within");
    let reply = gatepost.introduced().deliver("joe@sender.example", "suzie@example.org", &sent);
    assert_eq!(reply.code, 250, "{reply}");
    AddedFields::of(&postfix.delivered("suzie", 1)[0], &sent);
    postfix.logged(&["client=unknown[127.0.0.1]"]);
    assert!(gatepost.metrics().sum("tls_handshakes_total", &[("side", "upstream"), ("outcome", "ok")]) >= 1);
    gatepost.end_well();
}

#[test]
fn a_postfix_whose_certificate_is_another_s_gets_no_mail() {
    let (folder, other) = (folder("tls"), folder("tls"));
    let authority = Authority::in_folder(folder.path());
    let stranger = Authority::in_folder(other.path());
    let postfix = Postfix::encrypting(&authority);
    let (address, ca) = (postfix.address(), stranger.certificate.display());
    let upstream =
        format!("{{ address: \"{address}\", tls: {{ mode: required, verify: true, ca: \"{ca}\" }} }}");
    let gatepost = Plan::with_upstream(&upstream).start();
    let reply = gatepost.introduced().deliver("joe@sender.example", "suzie@example.org", &letter("without"));
    assert_eq!(reply.class(), 4, "{reply}");
    gatepost.end_well();
}

#[test]
fn clients_that_stall_in_their_handshake_harm_nobody_and_are_given_up() {
    let folder = folder("tls");
    let authority = Authority::in_folder(folder.path());
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix)
        .listener(format!("tls: {}", authority.setting("opportunistic")))
        .listener("limits: { sessions_per_ip: 300 }")
        .start();
    let stalled: Vec<Client> = (0..200)
        .map(|_| {
            let mut client = gatepost.introduced();
            assert_eq!(client.ask("STARTTLS").code, 220);
            // The beginning of a ClientHello, and then nothing.
            client.send(b"\x16\x03\x01\x02\x00\x01").unwrap();
            client
        })
        .collect();
    let begin = Instant::now();
    let reply = gatepost.introduced().deliver("joe@sender.example", "suzie@example.org", &letter("other"));
    assert_eq!(reply.code, 250, "{reply}");
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    // Row 39 of the catalogue of attacks: ten seconds for a handshake.
    until("the stalled ones to be given up", Duration::from_secs(20), || {
        (gatepost.metrics().sum("sessions_active", &[]) == 0).then_some(())
    });
    drop(stalled);
    assert_eq!(gatepost.metrics().sum("tls_handshakes_total", &[("outcome", "failed")]), 200);
    gatepost.end_well();
}
