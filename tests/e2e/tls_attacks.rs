//! Section B of the catalogue of attacks, as far as it needs real sockets and other people's TLS.

use std::time::{Duration, Instant};

use crate::harness::{Authority, Client, Gatepost, Plan, Postfix, Program, folder, letter, until};

struct Setting {
    postfix: Postfix,
    gatepost: Gatepost,
    authority: Authority,
    _folder: tempfile::TempDir,
}

fn with_tls(mode: &str) -> Setting {
    let (folder, postfix) = (folder("tls"), Postfix::delivering());
    let authority = Authority::in_folder(folder.path());
    let gatepost = Plan::in_front_of(&postfix)
        .listener(format!("tls: {}", authority.setting(mode)))
        .listener("limits: { sessions_per_ip: 300 }")
        .listener("timeouts: { command: 5s }")
        .start();
    Setting { postfix, gatepost, authority, _folder: folder }
}

fn openssl(setting: &Setting, words: &str, input: &str) -> String {
    Program::new("openssl")
        .words("s_client -starttls smtp -name client.example.net -connect")
        .arg(setting.gatepost.address().to_string())
        .words(words)
        .input(input)
        .run()
        .to_string()
}

/// Row 38.
#[test]
fn a_client_of_the_last_century_is_refused_and_the_log_says_what_it_offers() {
    let setting = with_tls("opportunistic");
    let session = openssl(&setting, "-tls1_1 -cipher DEFAULT:@SECLEVEL=0", "");
    assert!(session.contains("alert"), "{session}");
    let line = setting.gatepost.logged(&["tls_failed", "the client offers at most TLS 1.1"]);
    assert!(line.contains("\"client\":\"127.0.0.1\"") && line.contains("\"listener\":\"mx\""), "{line}");
    assert_eq!(setting.gatepost.metrics().sum("tls_handshakes_total", &[("outcome", "failed")]), 1);
    setting.gatepost.end_well();
}

/// Row 37, in the log.
#[test]
fn plain_text_in_place_of_a_handshake_is_named_in_the_log() {
    let setting = with_tls("opportunistic");
    let mut client = setting.gatepost.introduced();
    assert_eq!(client.ask("STARTTLS").code, 220);
    client.send(b"EHLO client.example.net\r\n").unwrap();
    client.rest();
    setting.gatepost.logged(&["tls_failed", "what the client sent is no TLS"]);
    setting.gatepost.end_well();
}

/// Row 39, on a listener that speaks TLS from the first byte on.
#[test]
fn silent_clients_of_implicit_tls_harm_nobody_and_are_given_up() {
    let setting = with_tls("implicit");
    let stalled: Vec<Client> =
        (0..200).map(|_| Client::connect(setting.gatepost.address()).unwrap()).collect();
    let begin = Instant::now();
    let client = Client::connect(setting.gatepost.address()).unwrap();
    let mut client = client.encrypted(&setting.authority.trust()).unwrap();
    client.expect(220);
    assert_eq!(client.ask("EHLO client.example.net").code, 250);
    assert_eq!(client.deliver("joe@sender.example", "suzie@example.org", &letter("x")).code, 250);
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert_eq!(setting.gatepost.metrics().sum("tls_handshakes_total", &[("outcome", "ok")]), 1);
    until("the silent ones to be given up", Duration::from_secs(20), || {
        let failed = setting.gatepost.metrics().sum("tls_handshakes_total", &[("outcome", "failed")]);
        (failed == 200).then_some(())
    });
    setting.gatepost.logged(&["tls_failed", "took too long"]);
    drop(stalled);
    setting.gatepost.end_well();
}

/// Row 43, in DATA and in a chunk.
#[test]
fn who_ends_tls_in_the_middle_of_a_message_is_not_heard_in_plain_text() {
    let setting = with_tls("opportunistic");
    for rest in [&b"\r\nthe rest\r\n.\r\n"[..], b"\r\n.\r\nMAIL FROM:<evil@sender.example>\r\n", b""] {
        let mut client = in_transaction(&setting);
        assert_eq!(client.ask("DATA").code, 354);
        client.send(b"Subject: half\r\n\r\nthe beginning").unwrap();
        client.end_tls_and_send(rest).unwrap();
        assert_told_nothing_good(client);
    }
    // The rest would complete the chunk of 40 octets.
    for rest in [
        &b"and the end of it\r\n\r\n"[..],
        b"and the end of it\r\n\r\nMAIL FROM:<evil@sender.example>\r\n",
        b"",
    ] {
        let mut client = in_transaction(&setting);
        client.send(b"BDAT 40 LAST\r\nSubject: half\r\n\r\nhalf").unwrap();
        client.end_tls_and_send(rest).unwrap();
        assert_told_nothing_good(client);
    }
    setting.gatepost.counted("messages_total", &[("outcome", "aborted")], 6);
    assert_eq!(setting.gatepost.metrics().sum("messages_total", &[("outcome", "accepted")]), 0);
    assert!(!setting.postfix.log().contains("evil"), "{}", setting.postfix.log());
    assert!(!setting.postfix.log().contains("message-id"), "nothing was queued");
    setting.gatepost.end_well();
}

/// A client under TLS with a recipient.
fn in_transaction(setting: &Setting) -> Client {
    let mut client = setting.gatepost.introduced().start_tls(&setting.authority.trust());
    assert_eq!(client.ask("EHLO client.example.net").code, 250);
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    assert_eq!(client.ask("RCPT TO:<suzie@example.org>").code, 250);
    client
}

fn assert_told_nothing_good(client: Client) {
    let heard = client.rest();
    assert!(!heard.contains("250") && !heard.contains("354"), "{heard:?}");
}

/// Row 44: a client that wants to renegotiate is told no. (The flood of key updates is a unit test: no client offers one.)
#[test]
fn nobody_renegotiates() {
    let setting = with_tls("opportunistic");
    // The refusal is on its way with the next reply, which is the farewell to a client that says nothing.
    let session = openssl(&setting, "-tls1_2", "R\n");
    assert!(session.contains("RENEGOTIATING") && session.contains("no renegotiation"), "{session}");
    let reply =
        setting.gatepost.introduced().deliver("joe@sender.example", "suzie@example.org", &letter("x"));
    assert_eq!(reply.code, 250, "{reply}");
    setting.gatepost.end_well();
}
