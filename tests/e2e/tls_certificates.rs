//! Certificates: which one is shown, what becomes of clients' own, and what happens when the files change.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{
    AddedFields, Authority, Client, Gatepost, Issuer, Load, NAME, Plan, Postfix, Program, folder, letter,
    stuffed, until,
};

/// How soon a change has to be in effect.
const LIMIT: Duration = Duration::from_secs(2);

/// What OpenSSL says of the certificate that it is shown.
fn shown(gatepost: &Gatepost, words: &str) -> String {
    let session = Program::new("openssl")
        .words("s_client -starttls smtp -name client.example.net -connect")
        .arg(gatepost.address().to_string())
        .words(words)
        .input("QUIT\r\n")
        .run();
    let talk = session.to_string();
    let pem = talk.find("-----BEGIN").zip(talk.find("-----END"));
    let (begin, end) = pem.unwrap_or_else(|| panic!("no certificate: {talk}"));
    let pem = format!("{}-----END CERTIFICATE-----\n", &talk[begin..end]);
    Program::new("openssl")
        .words("x509 -noout -text -ext subjectAltName -fingerprint -sha256")
        .input(pem)
        .succeed()
        .output
}

#[test]
fn the_name_and_the_kind_of_key_choose_the_certificate() {
    let (folder, postfix) = (folder("tls"), Postfix::delivering());
    let one = Authority::for_names(folder.path(), "one", &[NAME]);
    let rsa = Authority::with_rsa(folder.path(), "rsa", &[NAME]);
    let two = Authority::for_names(folder.path(), "two", &["*.two.example.org"]);
    let pairs = [&one, &rsa, &two].map(Authority::pair).join(", ");
    let gatepost = Plan::in_front_of(&postfix)
        .listener(format!("tls: {{ mode: opportunistic, certificates: [{pairs}] }}"))
        .start();
    for (words, name, key) in [
        ("-servername mx.example.org", "DNS:mx.example.org", "id-ecPublicKey"),
        ("-servername mx.two.example.org", "DNS:*.two.example.org", "id-ecPublicKey"),
        ("-servername unknown.example", "DNS:mx.example.org", "id-ecPublicKey"),
        ("-noservername", "DNS:mx.example.org", "id-ecPublicKey"),
        ("-servername mx.example.org -sigalgs RSA-PSS+SHA256", "DNS:mx.example.org", "rsaEncryption"),
        (
            "-servername mx.example.org -tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256",
            "DNS:mx.example.org",
            "rsaEncryption",
        ),
    ] {
        let certificate = shown(&gatepost, words);
        assert!(certificate.contains(name) && certificate.contains(key), "{words}: {certificate}");
    }
    for certificate in ["one.pem", "rsa.pem", "two.pem"] {
        let ends = gatepost.metrics().sum(
            "tls_certificate_not_after_timestamp_seconds",
            &[("listener", "mx"), ("certificate", certificate)],
        );
        assert!(ends > 2_000_000_000, "{certificate}: {ends}");
    }
    gatepost.end_well();
}

/// Takes one client, by the SHA-256 of its certificate.
fn policy_for(fingerprint: &str) -> String {
    format!(
        "/// One client alone.\nfn mail(session, mail) {{\n    if session.tls.client_fingerprint != \"{fingerprint}\" {{\n        \
         reject(\"stranger\", `who is ${{session.tls.client_name}} (verified: ${{session.tls.verified}})?`);\n    }}\n}}\n"
    )
}

fn fingerprint(certificate: &Path) -> String {
    let output = Program::new("openssl")
        .words("x509 -noout -fingerprint -sha256 -in")
        .arg(certificate)
        .succeed()
        .output;
    output.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase()
}

#[test]
fn a_policy_sees_the_client_s_certificate_and_what_it_is_worth() {
    let (folder, postfix) = (folder("tls"), Postfix::delivering());
    let authority = Authority::in_folder(folder.path());
    let issuer = Issuer::in_folder(folder.path(), "clients");
    let good = issuer.issue(folder.path(), "good", "good.example.net");
    let known = issuer.issue(folder.path(), "known", "known.example.net");
    let foreign =
        Issuer::in_folder(folder.path(), "strangers").issue(folder.path(), "foreign", "foreign.example.net");
    let (pair, ca) = (authority.pair(), issuer.file.display());
    let gatepost = Plan::in_front_of(&postfix)
        .listener(format!(
            "tls: {{ mode: opportunistic, certificates: [{pair}], client_certificates: {{ mode: request, ca: \"{ca}\" }} }}"
        ))
        .policy("15-certificates.rhai", &policy_for(&fingerprint(&good.0)))
        .start();
    let talk = |own| {
        let mut client = gatepost.introduced().start_tls(&authority.trust_as(own));
        assert_eq!(client.ask("EHLO client.example.net").code, 250);
        client.deliver("joe@sender.example", "suzie@example.org", &letter("x")).to_string()
    };
    let reply = talk(Some(&good));
    assert!(reply.starts_with("250 "), "{reply}");
    for (own, words) in [
        (Some(&known), "who is known.example.net (verified: true)?"),
        (Some(&foreign), "who is foreign.example.net (verified: false)?"),
        (None, "who is  (verified: false)?"),
    ] {
        let reply = talk(own);
        assert!(reply.starts_with("550 ") && reply.contains(words), "{reply}");
    }
    gatepost.logged(&["\"event\":\"transaction\"", "X25519MLKEM768", &fingerprint(&good.0), "verified=true"]);
    gatepost.end_well();
}

#[test]
fn where_a_client_certificate_is_required_nobody_comes_in_without() {
    let (folder, postfix) = (folder("tls"), Postfix::delivering());
    let authority = Authority::in_folder(folder.path());
    let issuer = Issuer::in_folder(folder.path(), "clients");
    let good = issuer.issue(folder.path(), "good", "good.example.net");
    let foreign =
        Issuer::in_folder(folder.path(), "strangers").issue(folder.path(), "foreign", "foreign.example.net");
    let (pair, ca) = (authority.pair(), issuer.file.display());
    let gatepost = Plan::in_front_of(&postfix)
        .listener(format!(
            "tls: {{ mode: implicit, certificates: [{pair}], client_certificates: {{ mode: require, ca: \"{ca}\" }} }}"
        ))
        .start();
    let enter = |own| {
        let client = Client::connect(gatepost.address()).unwrap();
        client.encrypted(&authority.trust_as(own)).and_then(|mut client| client.reply())
    };
    assert_eq!(enter(Some(&good)).unwrap().code, 220);
    assert!(enter(None).is_err() && enter(Some(&foreign)).is_err());
    gatepost.counted("tls_handshakes_total", &[("outcome", "failed")], 2);
    gatepost.logged(&["tls_failed", "UnknownIssuer"]);
    gatepost.end_well();
}

#[test]
fn what_was_negotiated_is_in_the_received_field_and_in_the_log() {
    let (folder, postfix) = (folder("tls"), Postfix::delivering());
    let authority = Authority::in_folder(folder.path());
    let tls = format!("tls: {}", authority.setting("required"));
    let gatepost = Plan::in_front_of(&postfix).listener(tls).start();
    let mut client = gatepost.introduced().start_tls(&authority.trust());
    assert_eq!(client.ask("EHLO client.example.net").code, 250);
    let sent = letter("x");
    assert_eq!(client.deliver("joe@sender.example", "suzie@example.org", &sent).code, 250);
    let added = AddedFields::of(&postfix.delivered("suzie", 1)[0], &sent);
    let received = added.all("received")[1].split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let comment = " with ESMTPS (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 group X25519MLKEM768) id ";
    assert!(received.contains(comment), "{received}");
    let line = "version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 group=X25519MLKEM768";
    gatepost.logged(&["\"event\":\"transaction\"", line]);
    gatepost.end_well();
}

#[test]
fn new_certificates_are_shown_within_two_seconds_and_no_session_is_dropped() {
    let (folder, postfix) = (folder("tls"), Postfix::holding());
    let old = Authority::in_folder(folder.path());
    let gatepost = Plan::in_front_of(&postfix)
        .listener(format!("tls: {}", old.setting("opportunistic")))
        .listener("limits: { sessions_per_ip: 1000 }")
        .start();
    let trust_old = old.trust();
    let mut session = gatepost.introduced().start_tls(&trust_old);
    assert_eq!(session.ask("EHLO client.example.net").code, 250);
    assert_eq!(session.ask("MAIL FROM:<joe@sender.example>").code, 250);
    let load = Load::start(gatepost.address(), 10, 100_000, Duration::from_secs(60));
    load.await_acknowledged(50);

    let new = Authority::in_folder(folder.path());
    let meets = |trust: &_| {
        let mut client = gatepost.introduced();
        assert_eq!(client.ask("STARTTLS").code, 220);
        client.encrypted(trust).ok()
    };
    until("the new certificate", LIMIT, || meets(&new.trust()));
    let reloads = [("kind", "certificates"), ("outcome", "ok")];
    gatepost.counted("config_reloads_total", &reloads, 1);
    assert!(meets(&old.trust()).is_none(), "who knows the old one alone does not know us any more");
    let resumed = meets(&trust_old).unwrap();
    assert!(resumed.resumed, "and yet a session from before goes on");
    assert_eq!(session.ask("RCPT TO:<load@example.org>").code, 250);
    assert_eq!(session.ask("DATA").code, 354);
    session.send(&stuffed(&letter("old"))).unwrap();
    session.expect(250);

    fs::write(&new.key, "-----BEGIN PRIVATE KEY-----\n").unwrap();
    gatepost.logged(&["reload_refused", "listener mx", "mx.key"]);
    let (status, ready) = gatepost.get("/readyz").unwrap();
    assert!(status == 200 && ready.contains("the last reload of certificates was refused"), "{ready}");
    gatepost.counted("config_reloads_total", &[("kind", "certificates"), ("outcome", "failed")], 1);
    assert!(meets(&new.trust()).is_some(), "the last good pair stays");
    let last = Authority::in_folder(folder.path());
    until("the last certificate", LIMIT, || meets(&last.trust()));
    until("health", LIMIT, || (gatepost.get("/readyz").unwrap().1 == "ready\n").then_some(()));

    let acknowledged = load.acknowledged();
    load.await_acknowledged(acknowledged + 50);
    let report = load.stop();
    assert_eq!((report.lost, report.refused.len()), (0, 0), "{:?}", report.refused);
    drop(session);
    gatepost.end_well();
}

#[test]
fn sighup_reads_certificates_again_and_says_at_once_what_is_wrong() {
    let (folder, postfix) = (folder("tls"), Postfix::delivering());
    let authority = Authority::in_folder(folder.path());
    let tls = format!("tls: {}", authority.setting("opportunistic"));
    let gatepost = Plan::in_front_of(&postfix).listener(tls).start();
    gatepost.signal(Signal::HUP);
    gatepost.counted("config_reloads_total", &[("kind", "certificates"), ("outcome", "ok")], 1);
    fs::remove_file(&authority.certificate).unwrap();
    gatepost.signal(Signal::HUP);
    gatepost.logged(&["reload_refused", "listener mx", "mx.pem", "No such file"]);
    let mut client = gatepost.introduced().start_tls(&authority.trust());
    assert_eq!(client.ask("EHLO client.example.net").code, 250);
    gatepost.end_well();
}

/// What the refusal advises is done, and nothing else.
#[test]
fn a_key_is_taken_when_its_mode_alone_is_mended() {
    let (folder, renewed, postfix) = (folder("tls"), folder("tls"), Postfix::delivering());
    let old = Authority::in_folder(folder.path());
    let tls = format!("tls: {}", old.setting("opportunistic"));
    let gatepost = Plan::in_front_of(&postfix).listener(tls).start();
    let new = Authority::in_folder(renewed.path());
    let mode = |key: &Path, mode| fs::set_permissions(key, Permissions::from_mode(mode)).unwrap();
    mode(&new.key, 0o644);
    fs::rename(&new.key, &old.key).unwrap();
    fs::rename(&new.certificate, &old.certificate).unwrap();
    gatepost.logged(&["reload_refused", "listener mx", "everybody on this machine can read this secret"]);
    mode(&old.key, 0o600);
    until("the new certificate", LIMIT, || {
        let mut client = gatepost.introduced();
        assert_eq!(client.ask("STARTTLS").code, 220);
        client.encrypted(&new.trust()).ok()
    });
    until("health", LIMIT, || (gatepost.get("/readyz").unwrap().1 == "ready\n").then_some(()));
    gatepost.end_well();
}
