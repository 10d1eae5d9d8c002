//! The operator's side door: what it shows, what it takes, and whom.

use std::fs;
use std::process::Output;

use crate::harness::{AtTheDot, Client, Gatepost, Plan, SOON, Sink, command, letter, until};

/// Gatepost with a UNIX socket, and a token over TCP.
fn guarded(sink: &Sink) -> Gatepost {
    let plan = Plan::in_front_of_server(sink.address()).file("token", "s3cret\n");
    plan.admin("token: { file: token }").start()
}

fn ask(gatepost: &Gatepost, arguments: &[&str]) -> Output {
    let mut asking = command(gatepost.path("").as_path());
    asking.arg("-c").arg(gatepost.configuration()).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn status_tells_monitoring_how_it_does() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = guarded(&sink);
    let mut open = gatepost.introduced();
    assert_eq!(open.ask("MAIL FROM:<joe@sender.example>").code, 250);
    let output = ask(&gatepost, &["status"]);
    assert!(
        output.status.success() && text(&output).starts_with("OK: 1 session, policies "),
        "{}",
        text(&output)
    );
    let output = ask(&gatepost, &["status", "--format", "json"]);
    for part in ["\"phase\": \"serving\"", "\"name\": \"main\"", "\"up\": true", "\"sessions\": 1"] {
        assert!(text(&output).contains(part), "{part}: {}", text(&output));
    }
    drop(open);
    gatepost.end_well();
}

/// The process outlives a mistake in the file, and so do those who ask it.
#[test]
fn a_broken_configuration_leaves_the_operator_every_question() {
    let sink = Sink::start(AtTheDot::Take);
    let plan = Plan::in_front_of_server(sink.address()).file("token", "s3cret\n").file("kept/README", "");
    let gatepost = plan.section("quarantine: { dir: kept }").admin("token: { file: token }").start();
    let mut client = gatepost.introduced();
    client.ask("MAIL FROM:<joe@sender.example>");
    let refused = client.ask("RCPT TO:<suzie@elsewhere.example>").to_string();
    let id = refused.rsplit_once("(gp ").unwrap().1.trim_end().trim_end_matches(')');
    client.ask("QUIT");
    let whole = fs::read_to_string(gatepost.configuration()).unwrap();
    fs::write(gatepost.configuration(), format!("{whole}trusted_networks: [\"0.0.0.0/0\"]\nnonsense: 1\n"))
        .unwrap();
    gatepost.logged(&["reload_refused", "nonsense"]);
    let says = |arguments: &[&str], status: i32, words: &[&str]| {
        let output = ask(&gatepost, arguments);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments:?}, {word}: {said}");
        }
    };
    says(&["explain", id], 0, &["relay.denied"]);
    says(&["status"], 1, &["WARNING: the last reload of config was refused", "nonsense"]);
    assert!(!text(&ask(&gatepost, &["status"])).contains("whole Internet"), "a warning is no reason");
    gatepost.logged(&["WARN", "reload_warning", "whole Internet"]);
    says(&["rules"], 0, &["`nonsense`", "these are the rules in force", "relay.denied", "HITS"]);
    says(&["log", "configured"], 0, &["gatepost=info"]);
    says(&["trace", "--for", "100ms"], 0, &[]);
    says(&["reload", "--wait"], 1, &["config: refused", "nonsense"]);
    says(&["quarantine", "list"], 0, &[]);
    says(&["quarantine", "release", "x"], 1, &["cannot be used: 1 error"]);

    // Nothing can be made of it at all: monitoring says that it does not know, and the socket leads there.
    fs::write(gatepost.configuration(), "hostname: [\n").unwrap();
    says(&["status"], 3, &["UNKNOWN: ", "--socket PATH"]);
    says(&["explain", id], 1, &["--socket PATH"]);
    let socket = gatepost.path("admin.sock").display().to_string();
    says(&["status", "--socket", &socket], 1, &["WARNING: "]);
    says(&["explain", id, "--socket", &socket], 0, &["relay.denied"]);

    // A user who may not read the token is told so.
    let by_tcp = whole.replace(", \"unix:admin.sock\"", "");
    fs::write(gatepost.configuration(), by_tcp).unwrap();
    fs::remove_file(gatepost.path("token")).unwrap();
    says(&["status"], 3, &["UNKNOWN: ", "status 401", "token"]);
    gatepost.end_well();
}

#[test]
fn without_a_daemon_the_status_is_three() {
    let sink = Sink::start(AtTheDot::Take);
    let mut gatepost = guarded(&sink);
    gatepost.kill();
    let gone = ["rules", "--socket", "/nowhere/admin.socket"];
    for arguments in [&["status"] as &[&str], &["reload"], &["reload", "--wait"], &gone] {
        let output = ask(&gatepost, arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {}", text(&output));
        assert!(text(&output).contains("nobody answers"), "{}", text(&output));
    }
}

#[test]
fn reload_says_what_changed() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address()).own_policies().admin("").start();
    let output = ask(&gatepost, &["reload", "--wait"]);
    assert!(output.status.success() && text(&output).contains("policies: unchanged"), "{}", text(&output));
    let policy = gatepost.path("policies/90-late.rhai");
    fs::write(&policy, "//! Late.\n/// Nobody.\nfn helo(session) { reject(\"late\", \"too late\"); }\n")
        .unwrap();
    let output = ask(&gatepost, &["reload", "--wait"]);
    // The look of the clock may have taken it up a moment before.
    let known = || ask(&gatepost, &["status", "--format", "json"]);
    assert!(output.status.success() && text(&output).contains("policies: taken"), "{}", text(&output));
    until("the rule", SOON, || {
        let mut client = Client::connect(gatepost.address()).unwrap();
        client.expect(220);
        client.ask("EHLO client.example.net").to_string().contains("too late").then_some(())
    });
    fs::write(&policy, "fn helo(session) { reject(").unwrap();
    let output = ask(&gatepost, &["reload", "--wait"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("policies: refused") && text(&output).contains("90-late.rhai:1:"),
        "{}",
        text(&output)
    );
    assert_eq!(known().status.code(), Some(1), "a refused reload is a warning");
    fs::remove_file(&policy).unwrap();
    assert!(ask(&gatepost, &["reload", "--wait"]).status.success());
    let ordered = ask(&gatepost, &["reload"]);
    assert!(
        ordered.status.success() && text(&ordered).contains("`--wait` tells the result"),
        "{}",
        text(&ordered)
    );
    assert!(known().status.success());
    gatepost.end_well();
}

/// What takes a restart is remembered until there is one, or until it is as it was.
#[test]
fn a_change_that_waits_for_the_next_start_shows() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address()).admin("").start();
    let text_of = |arguments: &[&str]| text(&ask(&gatepost, arguments));
    let was = fs::read_to_string(gatepost.configuration()).unwrap();
    fs::write(gatepost.configuration(), was.replace("format: json", "format: text")).unwrap();
    let said = text_of(&["reload", "--wait"]);
    gatepost.logged(&[
        "configuration reloaded",
        "log.format: json -> text",
        "log.format takes effect at the next start",
    ]);
    assert!(said.contains("config: taken") || said.contains("config: unchanged"), "{said}");
    let another =
        was.replace("format: json", "format: text").replace("domains: [", "domains: [example.net, ");
    fs::write(gatepost.configuration(), another).unwrap();
    text_of(&["reload", "--wait"]);
    let status = ask(&gatepost, &["status"]);
    assert_eq!(status.status.code(), Some(0), "a reminder, no warning");
    assert!(
        text(&status).contains("what was changed in log.format waits for the next start"),
        "{}",
        text(&status)
    );
    fs::write(gatepost.configuration(), was).unwrap();
    text_of(&["reload", "--wait"]);
    assert!(!text_of(&["status"]).contains("next start"));
    gatepost.end_well();
}

#[test]
fn mail_goes_on_while_strangers_hold_the_side_door() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = guarded(&sink);
    let hold = |_| {
        let mut stream = std::net::TcpStream::connect(gatepost.admin()).unwrap();
        std::io::Write::write_all(&mut stream, b"GET /status HTTP/1.1\r\nX: ").unwrap();
        stream
    };
    let _held: Vec<_> = (0..100).map(hold).collect();
    let reply = gatepost.introduced().deliver("joe@sender.example", "load@example.org", &letter("x"));
    assert_eq!(reply.code, 250);
    assert_eq!(gatepost.get("/healthz").unwrap().0, 200);
    assert_eq!(gatepost.get("/status").unwrap().0, 401);
    gatepost.end_well();
}

/// As long as somebody looks closer, and no restart is needed for it.
#[test]
fn the_log_says_more_when_it_is_told_to() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = guarded(&sink);
    let level = |level: &str| ask(&gatepost, &["log", level]);
    assert_eq!(text(&level("debug")), "warn,gatepost=debug\n");
    gatepost.logged(&["\"event\":\"log_level\"", "\"directives\":\"warn,gatepost=debug\""]);
    let mut client = gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    assert_eq!(client.ask("RCPT TO:<joe@example.org>").code, 250);
    gatepost.logged(&["\"level\":\"DEBUG\"", "greeted"]);
    assert_eq!(client.ask("QUIT").code, 221);
    assert_eq!(text(&level("info,gatepost::dns=debug")), "info,gatepost::dns=debug\n");
    assert_eq!(text(&level("configured")), "warn,gatepost=info\n");
    let wrong = level("loud");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong).contains("\"loud\" is no level"), "{}", text(&wrong));
    gatepost.end_well();
}
