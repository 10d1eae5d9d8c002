//! TLS towards a real Postfix: who it has to be, and what becomes of the mail if it is somebody else.

use crate::harness::{Authority, Gatepost, Issuer, Plan, Postfix, folder, letter};

/// Gatepost in front of `postfix`, with these words in the upstream's `tls`.
fn towards(postfix: &Postfix, tls: &str) -> Gatepost {
    let address = postfix.address();
    Plan::with_upstream(&format!("{{ address: \"{address}\", client_identity: none, tls: {{ {tls} }} }}"))
        .start()
}

fn send(gatepost: &Gatepost) -> String {
    gatepost.introduced().deliver("joe@sender.example", "suzie@example.org", &letter("x")).to_string()
}

fn ca(authority: &Authority) -> String {
    format!("mode: required, ca: \"{}\"", authority.certificate.display())
}

/// The mail is deferred, nothing is said in plain text, and the log says why.
#[track_caller]
fn deferred(postfix: &Postfix, tls: &str, reason: &str) {
    let gatepost = towards(postfix, tls);
    let reply = send(&gatepost);
    assert!(reply.starts_with("451 4.3.5 "), "{reply}");
    gatepost.logged(&["\"event\":\"refused\"", "\"rule\":\"tls\"", reason]);
    assert!(!postfix.log().contains("joe@sender.example"), "{}", postfix.log());
    gatepost.end_well();
}

/// Row 42.
#[test]
fn a_mail_server_that_is_not_the_one_that_is_meant_gets_nothing() {
    let folder = folder("tls");
    let authority = Authority::in_folder(folder.path());
    let postfix = Postfix::encrypting(&authority);
    let good = ca(&authority);
    deferred(&postfix, &format!("{good}, name: other.example.org"), "not valid for name");
    let stranger = Authority::for_names(folder.path(), "stranger", &["mx.example.org"]);
    deferred(&postfix, &ca(&stranger), "UnknownIssuer");
    // The system's authorities have never heard of it either.
    deferred(&postfix, "mode: required", "UnknownIssuer");

    let expired = Authority::expired(folder.path());
    let late = Postfix::encrypting(&expired);
    deferred(&late, &ca(&expired), "expired");
}

#[test]
fn the_name_to_check_need_not_be_the_address() {
    let folder = folder("tls");
    let authority = Authority::for_names(folder.path(), "mail", &["mail.internal.example"]);
    let postfix = Postfix::encrypting(&authority);
    deferred(&postfix, &ca(&authority), "not valid for name");
    let gatepost = towards(&postfix, &format!("{}, name: mail.internal.example", ca(&authority)));
    let reply = send(&gatepost);
    assert!(reply.starts_with("250 "), "{reply}");
    postfix.delivered("suzie", 1);
    gatepost.end_well();
}

/// Row 41.
#[test]
fn a_mail_server_without_starttls_gets_nothing_where_tls_is_required() {
    let postfix = Postfix::delivering();
    deferred(&postfix, "mode: required, verify: false", "STARTTLS is not offered");
    let gatepost = towards(&postfix, "mode: required, verify: false");
    send(&gatepost);
    let missing = [("upstream", "main"), ("mode", "required")];
    assert!(
        gatepost.metrics().sum("upstream_starttls_missing_total", &missing) >= 2,
        "the probe and the mail"
    );
    gatepost.end_well();
}

#[test]
fn we_show_a_certificate_of_our_own_to_a_mail_server_that_asks() {
    let folder = folder("tls");
    let authority = Authority::in_folder(folder.path());
    let issuer = Issuer::in_folder(folder.path(), "clients");
    let (cert, key) = issuer.issue(folder.path(), "gate", "gate.example.org");
    let postfix = Postfix::asking(&authority, &issuer.file);
    let own = format!("certificate: {{ cert: \"{}\", key: \"{}\" }}", cert.display(), key.display());
    let gatepost = towards(&postfix, &format!("{}, {own}", ca(&authority)));
    let reply = send(&gatepost);
    assert!(reply.starts_with("250 "), "{reply}");
    postfix.logged(&["Trusted TLS connection established from"]);
    gatepost.end_well();
}

/// The file of the authority by which a mail server is trusted changes, `before` which something else happens.
fn the_authority_changes(before: impl FnOnce(&Gatepost)) {
    let (folder, other) = (folder("tls"), folder("tls"));
    let authority = Authority::in_folder(folder.path());
    let trusted = Authority::in_folder(other.path());
    let postfix = Postfix::encrypting(&authority);
    let gatepost = towards(&postfix, &ca(&trusted));
    assert!(send(&gatepost).starts_with("451 "));
    before(&gatepost);
    std::fs::copy(&authority.certificate, &trusted.certificate).unwrap();
    gatepost.logged(&["\"event\":\"reloaded\"", "upstream main"]);
    let reply = send(&gatepost);
    assert!(reply.starts_with("250 "), "{reply}");
    gatepost.end_well();
}

#[test]
fn the_authority_of_the_mail_server_is_read_again_when_its_file_changes() {
    the_authority_changes(|_| {});
}

/// Its connections go on, and with them what they go by.
#[test]
fn an_upstream_that_a_new_configuration_leaves_alone_goes_by_its_files_all_the_same() {
    the_authority_changes(|gatepost| {
        let file = gatepost.configuration();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, text.replace("domains: [", "domains: [example.net, ")).unwrap();
        gatepost.logged(&["configuration reloaded"]);
    });
}
