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
    let mut gatepost = guarded(&sink);
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
    fs::write(gatepost.configuration(), "hostname: [\n").unwrap();
    gatepost.logged(&["reload_refused"]);
    // The commands read the configuration too, which must be whole for that.
    drop(open);
    gatepost.kill();
    let output = ask(&gatepost, &["status"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
}

#[test]
fn without_a_daemon_the_status_is_three() {
    let sink = Sink::start(AtTheDot::Take);
    let mut gatepost = guarded(&sink);
    gatepost.kill();
    for arguments in [&["status"] as &[&str], &["reload"], &["reload", "--wait"]] {
        let output = ask(&gatepost, arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {}", text(&output));
        assert!(text(&output).contains("nobody answers"), "{}", text(&output));
    }
}

#[test]
fn reload_says_what_changed() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address()).own_policies().admin("").start();
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
    assert!(known().status.success());
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
