//! AUTH through Gatepost: a real Postfix with Dovecot's passwords behind it, other people's clients in front.

use std::fs;

use data_encoding::BASE64;

use crate::harness::{
    Authority, Client, Dns, Dovecot, Gatepost, Plan, Postfix, Program, copy, folder, free_port, letter,
    repository,
};

const USER: &str = "suzie@example.org";
const PASSWORD: &str = "gp-Zq7hunter2-Wv9";
/// Of a domain that is nobody's here.
const FRIEND: &str = "friend@elsewhere.example";

struct Setting {
    gatepost: Gatepost,
    postfix: Postfix,
    authority: Authority,
    _dovecot: Dovecot,
    _folder: tempfile::TempDir,
}

fn setting(change: impl FnOnce(Plan) -> Plan) -> Setting {
    let folder = folder("auth");
    let authority = Authority::in_folder(folder.path());
    let dovecot = Dovecot::with_users(&[(USER, PASSWORD)]);
    let postfix = Postfix::authenticating(&dovecot);
    let plan = Plan::in_front_of(&postfix)
        .listener(format!("tls: {}", authority.setting("required")))
        .listener("auth: relay")
        .section("policies: { dir: \"@POLICIES@\", modes: { spf: off } }");
    let gatepost = change(plan).start();
    Setting { gatepost, postfix, authority, _dovecot: dovecot, _folder: folder }
}

fn swaks(setting: &Setting, mechanism: &str, password: &str) -> Program {
    Program::new("swaks")
        .words("--tls --tls-verify --tls-ca-path")
        .arg(&setting.authority.certificate)
        .words("--ehlo laptop.example.net --auth")
        .arg(mechanism)
        .words("--auth-user")
        .arg(USER)
        .words("--auth-password")
        .arg(password)
        .words("--from")
        .arg(USER)
        .words("--to")
        .arg(FRIEND)
        .words("--server")
        .arg(setting.gatepost.address().to_string())
}

/// A client that has said EHLO under TLS.
fn encrypted(setting: &Setting) -> Client {
    let mut client = setting.gatepost.introduced().start_tls(&setting.authority.trust());
    assert_eq!(client.ask("EHLO laptop.example.net").code, 250);
    client
}

fn plain(password: &str) -> String {
    BASE64.encode(format!("\0{USER}\0{password}").as_bytes())
}

#[test]
fn swaks_logs_in_with_plain_login_and_cram_md5_and_may_relay() {
    let setting = setting(|plan| plan);
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5"] {
        let session = swaks(&setting, mechanism, PASSWORD).succeed();
        assert!(session.output.contains("235 2.7.0 Authentication successful"), "{session}");
        assert!(session.output.contains("queued as "), "{session}");
        let method = format!("sasl_method={mechanism}");
        setting.postfix.logged(&[&method, &format!("sasl_username={USER}")]);
        let labels = [("mechanism", &*mechanism.to_lowercase()), ("result", "ok")];
        assert_eq!(setting.gatepost.metrics().sum("auth_total", &labels), 1);
        let line = setting
            .gatepost
            .logged(&["\"event\":\"transaction\"", &format!("\"mechanism\":\"{mechanism}\"")]);
        assert!(line.contains(&format!("\"user\":\"{USER}\"")), "{line}");
    }
    setting.gatepost.end_well();
}

#[test]
fn gsasl_logs_in_with_scram() {
    let setting = setting(|plan| plan);
    let session = Program::new("gsasl")
        .words("--smtp --starttls --no-cb --verbose --mechanism SCRAM-SHA-256 --connect")
        .arg(setting.gatepost.address().to_string())
        .words("--authentication-id")
        .arg(USER)
        .words("--password")
        .arg(PASSWORD)
        .arg(format!("--x509-ca-file={}", setting.authority.certificate.display()))
        .succeed();
    assert!(session.output.contains("235 2.7.0"), "{session}");
    let labels = [("mechanism", "scram-sha-256"), ("result", "ok")];
    assert_eq!(setting.gatepost.metrics().sum("auth_total", &labels), 1);
    let line = setting.gatepost.logged(&["\"event\":\"auth\""]);
    assert!(line.contains(USER) && line.contains("SCRAM-SHA-256"), "{line}");
    setting.gatepost.end_well();
}

/// A letter whose author is the user.
fn own(subject: &str) -> Vec<u8> {
    let text = String::from_utf8(letter(subject)).unwrap();
    text.replacen("joe@sender.example", USER, 1).into_bytes()
}

#[test]
fn a_wrong_password_is_refused_in_postfixs_words_and_relays_nothing() {
    let setting = setting(|plan| plan);
    let session = swaks(&setting, "PLAIN", "wrong").run();
    assert!(!session.status.success(), "{session}");
    assert!(session.output.contains("535 5.7.8 Error: authentication failed"), "{session}");
    let labels = [("mechanism", "plain"), ("result", "refused")];
    assert_eq!(setting.gatepost.metrics().sum("auth_total", &labels), 1);
    let line =
        setting.gatepost.logged(&["\"event\":\"refused\"", "\"stage\":\"auth\"", "\"mechanism\":\"PLAIN\""]);
    assert!(line.contains(&format!("\"user\":\"{USER}\"")) && !line.contains("wrong"), "{line}");

    let mut client = encrypted(&setting);
    assert_eq!(client.ask("AUTH CRAM-MD5").code, 334);
    assert_eq!(client.ask("*").code, 501);
    assert_eq!(client.ask(&format!("AUTH PLAIN {}", plain("wrong"))).code, 535);
    let refused = client.deliver(USER, FRIEND, &letter("no"));
    assert_eq!((refused.code, refused.text().contains("relaying denied")), (550, true), "{refused}");
    assert_eq!(client.ask("RSET").code, 250);
    assert_eq!(client.ask(&format!("AUTH PLAIN {}", plain(PASSWORD))).code, 235);
    assert_eq!(client.deliver(USER, FRIEND, &own("yes")).code, 250);
    assert_eq!(client.ask("EHLO other.example.net").code, 250);
    assert_eq!(client.deliver(USER, FRIEND, &own("again")).code, 250, "EHLO keeps the login");
    setting.gatepost.end_well();
}

#[test]
fn the_login_is_lost_with_the_upstream() {
    let mut setting = setting(|plan| plan);
    let mut client = encrypted(&setting);
    assert_eq!(client.ask(&format!("AUTH PLAIN {}", plain(PASSWORD))).code, 235);
    setting.postfix.kill();
    assert_eq!(client.ask(&format!("MAIL FROM:<{USER}>")).code, 250);
    let reply = client.ask(&format!("RCPT TO:<{FRIEND}>"));
    assert_eq!(reply.code, 421, "{reply}");
    assert!(client.is_closed());
    setting.gatepost.end_well();
}

#[test]
fn no_password_is_in_the_log_at_any_level() {
    let setting = setting(|plan| plan.log_level("trace"));
    for (mechanism, password) in
        [("PLAIN", PASSWORD), ("LOGIN", PASSWORD), ("CRAM-MD5", PASSWORD), ("LOGIN", "gp-Zq7hunter2-Xx0")]
    {
        swaks(&setting, mechanism, password).run();
    }
    // Broken off, broken, too late, in the clear: nowhere.
    let mut client = encrypted(&setting);
    assert_eq!(client.ask("AUTH LOGIN").code, 334);
    assert_eq!(client.ask(&format!("{}!", BASE64.encode(PASSWORD.as_bytes()))).code, 501);
    assert_eq!(client.ask(&BASE64.encode(PASSWORD.as_bytes())).code, 500);
    assert_eq!(client.ask(PASSWORD).code, 500);
    assert_eq!(client.ask(&format!("AUTH PLAIN {} {}", plain(PASSWORD), plain(PASSWORD))).code, 501);
    assert_eq!(client.ask("AUTH LOGIN").code, 334);
    client.send(BASE64.encode(PASSWORD.as_bytes()).as_bytes()).unwrap();
    client.reset();
    let mut client = setting.gatepost.introduced();
    assert_eq!(client.ask(&format!("AUTH PLAIN {}", plain(PASSWORD))).code, 530);
    setting.gatepost.balanced();

    let log = setting.gatepost.log();
    assert!(log.contains("\"level\":\"DEBUG\"") && log.contains("\"event\":\"auth\""), "it is on");
    for trace in traces(PASSWORD) {
        let line = log.lines().find(|line| line.contains(&trace));
        assert_eq!(line, None, "{trace}");
    }
    setting.gatepost.end_well();
}

/// What would betray `password`: itself, base64 at each of the three places it can begin at, octets in decimal and hexadecimal.
fn traces(password: &str) -> Vec<String> {
    let bytes = password.as_bytes();
    let mut traces = vec![password.to_owned(), "hunter2".to_owned(), "HUNTER2".to_owned()];
    for start in 0..3 {
        let whole = bytes.len().saturating_sub(start) / 3 * 3;
        traces.push(BASE64.encode(&bytes[start..start + whole]));
    }
    let octets = |form: fn(&u8) -> String, between: &str| {
        bytes[..6].iter().map(form).collect::<Vec<_>>().join(between)
    };
    traces.push(octets(|byte| byte.to_string(), ", "));
    traces.push(octets(|byte| format!("{byte:02x}"), ""));
    traces.push(octets(|byte| format!("{byte:#04x}"), ", "));
    traces
}

/// The example of `config/examples`, but for the ports and the DNS.
#[test]
fn the_submission_example_works_on_both_ports() {
    let folder = folder("submission");
    let dovecot = Dovecot::with_users(&[(USER, PASSWORD)]);
    let postfix = Postfix::authenticating(&dovecot);
    let dns = Dns::with("");
    let (starttls, implicit, admin) = (free_port(), free_port(), free_port());
    copy(&repository().join("policies"), &folder.path().join("policies"));
    fs::create_dir(folder.path().join("tls")).unwrap();
    let authority = Authority::in_folder(&folder.path().join("tls"));
    let shipped = fs::read_to_string(repository().join("config/examples/submission.yaml")).unwrap();
    let moved = shipped
        .replace("[::]:587", &format!("127.0.0.1:{starttls}"))
        .replace("[::]:465", &format!("127.0.0.1:{implicit}"))
        .replace("address: 127.0.0.1:10587", &format!("address: {}", postfix.address()))
        .replace("127.0.0.1:9925", &format!("127.0.0.1:{admin}"));
    let text = format!("{moved}\ndns: {{ servers: [\"{}\"] }}\n", dns.address());
    fs::write(folder.path().join("gatepost.yaml"), text).unwrap();
    let gatepost = Gatepost::with_configuration(folder, "gatepost.yaml", starttls, admin);

    let trust = authority.trust();
    let mut under_starttls = gatepost.introduced().start_tls(&trust);
    let mut from_the_first_byte =
        Client::connect(([127, 0, 0, 1], implicit).into()).unwrap().encrypted(&trust).unwrap();
    from_the_first_byte.expect(220);
    for client in [&mut under_starttls, &mut from_the_first_byte] {
        let reply = client.ask("EHLO laptop.example.net");
        let mechanisms = reply.lines.iter().find(|line| line.starts_with("AUTH ")).unwrap();
        for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"] {
            assert!(mechanisms.contains(mechanism), "{reply}");
        }
        assert_eq!(client.ask(&format!("MAIL FROM:<{USER}>")).code, 530);
        assert_eq!(client.ask(&format!("AUTH PLAIN {}", plain(PASSWORD))).code, 235);
        assert_eq!(client.deliver(USER, FRIEND, &own("out")).code, 250);
        assert_eq!(client.deliver(USER, "joe@example.org", &own("in")).code, 250);
        // Nobody writes as somebody else, in the envelope or in the header.
        assert_eq!(client.ask("MAIL FROM:<boss@example.org>").code, 553);
        assert_eq!(client.deliver(USER, "joe@example.org", &letter("forged")).code, 550);
    }
    let delivered = postfix.delivered("joe", 2);
    for message in delivered {
        let text = String::from_utf8_lossy(&message).replace("\n ", " ");
        assert!(text.contains(" with ESMTPSA (using TLSv1.3 "), "{text}");
    }
    gatepost.end_well();
}
