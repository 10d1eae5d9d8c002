//! Decisions: each is on disk, is explained by its id, and can be asked of other policies.

use std::fs;
use std::process::Output;
use std::time::Duration;

use gatepost::decisions::{Query, read_all};

use crate::harness::{
    AtTheDot, Gatepost, Plan, Postfix, Program, SOON, Sink, command, folder, letter, until,
};

/// What a command of the program says about the configuration of this one.
#[track_caller]
fn ask(gatepost: &Gatepost, arguments: &[&str]) -> Output {
    let folder = gatepost.path("");
    command(&folder).arg("-c").arg(gatepost.configuration()).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The id at the end of a refusal.
fn id(reply: &str) -> String {
    reply.rsplit_once("(gp ").unwrap().1.trim_end_matches([')', '\r', '\n']).to_owned()
}

#[test]
fn a_refusal_is_explained_by_its_id_and_an_accepted_message_by_its_sender() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).start();
    let mut client = gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    let refused = client.ask("RCPT TO:<suzie@elsewhere.example>");
    assert_eq!(refused.code, 550, "{refused}");
    let unknown = client.ask("RCPT TO:<nobody@example.org>");
    assert_eq!(unknown.code / 100, 5, "{unknown}");
    assert_eq!(client.ask("RSET").code, 250);
    let accepted = client.deliver("joe@sender.example", "suzie@example.org", &letter("kept"));
    assert_eq!(accepted.code, 250, "{accepted}");
    client.ask("QUIT");
    let file = gatepost.path("decisions.jsonl");
    until("the decisions to be on disk", SOON, || {
        (read_all(&file, &Query::default()).unwrap().0.len() >= 4).then_some(())
    });

    let explained = ask(&gatepost, &["explain", &id(&refused.to_string())]);
    let page = stdout(&explained);
    assert!(explained.status.success(), "{page}");
    let first = page.lines().next().unwrap();
    assert!(
        first.starts_with(
            "The recipient <suzie@elsewhere.example> was rejected by the rule relay.denied (00-relay.rhai:"
        ),
        "{page}"
    );
    assert!(
        page.contains("add it to `domains`")
            && page.contains("in no domain of ours")
            && page.contains("elsewhere.example would"),
        "{page}"
    );

    // The upstream's refusals keep their text, and are found by what they are about.
    let upstream =
        stdout(&ask(&gatepost, &["explain", "--to", "nobody@example.org", "--outcome", "rejected"]));
    assert!(upstream.contains("by the upstream main, in its own words"), "{upstream}");

    let message = ask(
        &gatepost,
        &[
            "explain",
            "--from",
            "sender.example",
            "--outcome",
            "accepted",
            "--since",
            "1h",
            "--format",
            "json",
        ],
    );
    let message: serde_json::Value = serde_json::from_str(stdout(&message).trim()).unwrap();
    assert_eq!(message["deciding"]["kind"], "nobody");
    let queue_id = message["decision"]["upstream"]["queue_id"].as_str().unwrap().to_owned();
    assert!(!queue_id.is_empty(), "{message}");
    assert!(stdout(&ask(&gatepost, &["explain", "--queue-id", &queue_id])).contains("queued it as"));

    assert_eq!(ask(&gatepost, &["explain", "aaaaaaaaaa"]).status.code(), Some(1));
    gatepost.end_well();
}

/// The process that serves remembers what no file keeps.
#[test]
fn what_is_only_remembered_is_explained_too() {
    let sink = Sink::start(AtTheDot::Take);
    let plan = Plan::in_front_of_server(sink.address()).section("decisions: { memory: 6 }");
    let mut gatepost = plan.admin("").start();
    let mut client = gatepost.introduced();
    let mut refused = Vec::new();
    for _ in 0..4 {
        assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
        refused.push(id(&client.ask("RCPT TO:<suzie@elsewhere.example>").to_string()));
        assert_eq!(client.ask("RSET").code, 250);
    }
    let list = stdout(&ask(&gatepost, &["explain", "--rule", "relay"]));
    let told: Vec<_> =
        list.lines().filter(|line| line.contains("rejected by relay.denied  127.0.0.1")).collect();
    assert_eq!(told.len(), 3, "{list}");
    assert!(told[0].contains(refused.last().unwrap().as_str()), "the youngest comes first: {list}");
    assert!(told[0].ends_with("from <joe@sender.example> to <suzie@elsewhere.example>"), "{list}");
    let one = ask(&gatepost, &["explain", "--rule", "relay", "--limit", "1"]);
    let note = String::from_utf8_lossy(&one.stderr).into_owned();
    assert!(note.contains("there are more; `--limit 2` shows more"), "{note}");
    let page = stdout(&one);
    assert!(
        page.starts_with("The recipient <suzie@elsewhere.example> was rejected by the rule relay.denied"),
        "{page}"
    );
    // A session's id leads to all of its decisions.
    let json = stdout(&ask(&gatepost, &["explain", "--rule", "relay", "--limit", "1", "--format", "json"]));
    let json: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
    let session = json["decision"]["session"].as_str().unwrap();
    let of_session = stdout(&ask(&gatepost, &["explain", session]));
    assert_eq!(of_session.lines().filter(|line| line.contains("relay.denied")).count(), 3, "{of_session}");
    let full = stdout(&ask(&gatepost, &["explain", session, "--full"]));
    assert_eq!(full.matches("What would have had to be different").count(), 6, "{full}");
    for (arguments, complaint) in [
        (["--outcome", "refused"], "[possible values: accepted"),
        (["--client", "300.1.1.1"], "write it as 192.0.2.9"),
        (["--since", "yesterday"], "write it as `2026-11-29T12:00:00Z`"),
    ] {
        let output = ask(&gatepost, &[&["explain"][..], &arguments].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(complaint), "{error}");
    }
    let before = stdout(&ask(&gatepost, &["explain", "--rule", "relay", "--until", "1h"]));
    assert_eq!(before, "", "all of it is younger");
    let [first, .., last] = &refused[..] else { panic!("{refused:?}") };
    assert!(stdout(&ask(&gatepost, &["explain", last])).contains("relay.denied"));
    let forgotten = ask(&gatepost, &["explain", first]);
    assert_eq!((forgotten.status.code(), stdout(&forgotten).as_str()), (Some(1), ""));
    // The sums while there is somebody to ask; no file has the decisions to look at afterwards.
    gatepost.balanced();
    gatepost.kill();
    let nobody = ask(&gatepost, &["explain", last]);
    assert_eq!(nobody.status.code(), Some(3), "{}", String::from_utf8_lossy(&nobody.stderr));
}

#[test]
fn sessions_are_followed_while_they_go_on() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address()).admin("").start();
    let shown = |arguments: &[&str], name: &str| {
        let (output, path) = (fs::File::create(gatepost.path(name)).unwrap(), gatepost.path(name));
        let mut tracing = command(&gatepost.path(""));
        let words = tracing.arg("-c").arg(gatepost.configuration()).arg("trace").args(arguments);
        let child = words.stdout(output).spawn().unwrap();
        (child, move || fs::read_to_string(&path).unwrap())
    };
    let mistyped = ask(&gatepost, &["trace", "--verdict", "nonsense"]);
    assert!(
        mistyped.status.code() == Some(2)
            && String::from_utf8_lossy(&mistyped.stderr).contains("would_reject"),
        "{mistyped:?}"
    );
    let (mut refusals, refused) = shown(&["--rule", "relay.denied", "--client", "127.0.0.0/8"], "refused");
    let (mut strangers, strange) = shown(&["--client", "192.0.2.9", "--for", "20s"], "strange");
    let (mut lines, json) = shown(&["--from", "sender.example", "--format", "json"], "json");
    // It takes a moment until all listen; what is said before is not heard.
    until("the followers to listen", SOON, || {
        let mut client = gatepost.introduced();
        client.ask("MAIL FROM:<joe@sender.example>");
        client.ask("RCPT TO:<suzie@elsewhere.example>");
        client.ask("QUIT");
        (refused().contains("rule relay.denied") && json().contains("relay.denied")).then_some(())
    });
    let mut client = gatepost.introduced();
    assert_eq!(client.deliver("joe@other.example", "suzie@example.org", &letter("unseen")).code, 250);
    client.ask("QUIT");
    // This one is shown from its beginning.
    let mut client = gatepost.introduced();
    client.ask("MAIL FROM:<ann@third.example>");
    client.ask("RCPT TO:<suzie@elsewhere.example>");
    client.ask("QUIT");
    let page = until("the last session", SOON, || {
        let page = refused();
        let ended = page.split_once("third.example")?.1.contains("<closed>");
        ended.then_some(page)
    });
    for line in [
        "  S: 220 ",
        "  C: EHLO ",
        "  C: RCPT TO:<suzie@elsewhere.example>",
        "  S: 550 5.7.1 ",
        "00-relay.rhai:",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    assert!(!page.contains("other.example") && strange().is_empty(), "{page}");
    let first: serde_json::Value = serde_json::from_str(json().lines().next().unwrap()).unwrap();
    assert_eq!((&first["kind"], &first["client"]), (&"line".into(), &"127.0.0.1".into()), "{first}");
    refusals.kill().unwrap();
    refusals.wait().unwrap();
    strangers.kill().unwrap();
    strangers.wait().unwrap();
    gatepost.end_well();
    assert_eq!(lines.wait().unwrap().code(), Some(1), "Gatepost ended first");
}

#[test]
fn rules_say_what_they_did() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address()).admin("").start();
    let mut client = gatepost.introduced();
    client.ask("MAIL FROM:<joe@sender.example>");
    assert_eq!(client.ask("RCPT TO:<suzie@elsewhere.example>").code, 550);
    let json = stdout(&ask(&gatepost, &["rules", "--format", "json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let rules = json["rules"].as_array().unwrap();
    let relay = rules.iter().find(|rule| rule["rule"] == "relay.denied").unwrap();
    assert_eq!(relay["hits"], 1, "{relay}");
    assert!(relay["last_hit"].as_u64().unwrap() > 1_700_000_000 && relay["median_us"].is_u64(), "{relay}");
    let text = stdout(&ask(&gatepost, &["rules"]));
    assert!(text.lines().next().unwrap().contains("HITS"), "{text}");
    gatepost.end_well();
}

#[test]
fn recorded_decisions_are_asked_of_other_policies() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).own_policies().start();
    let mut client = gatepost.introduced();
    assert_eq!(client.deliver("joe@sender.example", "suzie@example.org", &letter("kept")).code, 250);
    client.ask("QUIT");
    let file = gatepost.path("decisions.jsonl");
    until("the decision to be on disk", SOON, || {
        (!read_all(&file, &Query::default()).unwrap().0.is_empty()).then_some(())
    });
    let policies = gatepost.path("policies").display().to_string();
    let replay =
        |gatepost: &Gatepost| ask(gatepost, &["replay", "--policies", &policies, "--format", "json"]);
    let same = replay(&gatepost);
    let report: serde_json::Value = serde_json::from_str(stdout(&same).trim()).unwrap();
    assert_eq!(
        (same.status.code(), &report["same"], &report["undecidable"]),
        (Some(0), &1.into(), &0.into()),
        "{report}"
    );
    let strict =
        "fn mail(session, mail) { if mail.sender.domain == \"sender.example\" { reject(\"x\", \"no\"); } }\n";
    fs::write(gatepost.path("policies/99-strict.rhai"), strict).unwrap();
    let changed = replay(&gatepost);
    let report: serde_json::Value = serde_json::from_str(stdout(&changed).trim()).unwrap();
    assert_eq!((changed.status.code(), &report["changed"]), (Some(1), &1.into()), "{report}");
    assert_eq!(report["changes"][0]["to"], "reject by strict.x");
    // What was put aside counts too.
    fs::copy(&file, gatepost.path("decisions.jsonl.2")).unwrap();
    let changed = replay(&gatepost);
    let report: serde_json::Value = serde_json::from_str(stdout(&changed).trim()).unwrap();
    assert_eq!(report["changed"], 2, "{report}");
    // Who cannot tell does not say that something would change.
    fs::write(gatepost.path("policies/99-strict.rhai"), "fn mail(").unwrap();
    assert_eq!(replay(&gatepost).status.code(), Some(4));
    fs::remove_file(gatepost.path("policies/99-strict.rhai")).unwrap();
    let missing = ask(&gatepost, &["replay", "--policies", &policies, "not-there.jsonl"]);
    assert_eq!(missing.status.code(), Some(4));
    // Nor does what holds no decisions, or none that can be decided, say that all stays as it is.
    let redacted =
        fs::read_to_string(&file).unwrap().replace("\"version\":1,", "\"version\":1,\"redacted\":true,");
    for (text, told) in [("garbage\n\n", "no decision to ask about"), (&redacted, "nothing could be decided")]
    {
        fs::write(gatepost.path("strange.jsonl"), text).unwrap();
        let nothing = ask(&gatepost, &["replay", "--policies", &policies, "strange.jsonl"]);
        let errors = String::from_utf8_lossy(&nothing.stderr).into_owned();
        assert_eq!(nothing.status.code(), Some(4), "{errors}");
        assert!(errors.contains(told), "{errors}{}", stdout(&nothing));
    }
    gatepost.end_well();
}

/// The memory has room for one; what it forgot is in the file.
#[test]
fn what_is_remembered_and_what_is_in_the_file_are_explained_together() {
    let sink = Sink::start(AtTheDot::Take);
    let plan =
        Plan::in_front_of_server(sink.address()).section("decisions: { memory: 1, file: decisions.jsonl }");
    let gatepost = plan.admin("").start();
    let mut client = gatepost.introduced();
    let mut refused = Vec::new();
    for number in 0..3 {
        assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
        refused.push(id(&client.ask(&format!("RCPT TO:<suzie{number}@elsewhere.example>")).to_string()));
        assert_eq!(client.ask("RSET").code, 250);
    }
    let ids = |more: &[&str]| {
        let output = ask(&gatepost, &[&["explain", "--rule", "relay", "--format", "json"], more].concat());
        let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let id = |line: &str| read(line)["decision"]["id"].as_str().unwrap().to_owned();
        stdout(&output).lines().map(id).collect::<Vec<_>>()
    };
    refused.reverse();
    assert_eq!(ids(&[]), refused);
    assert_eq!(ids(&["--limit", "0"]), refused);
    assert_eq!(ids(&["--limit", "2"]), &refused[..2]);
    assert_eq!(ids(&["--limit", "1"]), &refused[..1]);
    assert_eq!(ids(&["--to", "suzie0@elsewhere.example"]), &refused[2..]);
    let two = ask(&gatepost, &["explain", "--to", "a@b.example", "--to", "c@d.example"]);
    assert!(String::from_utf8_lossy(&two.stderr).contains("name one with `--to`"));
    gatepost.end_well();
}

/// A policy that puts local parts where nobody would look for them.
const INDISCREET: &str = r#"
fn mail(session, mail) {
    if dns_a(`${mail.sender.local_part}.users.test`).result == "ok" { reject("user", "you may not"); }
}
fn message(session, mail, message) {
    if dns_txt(`a.${message.from[0].local_part}.authors.test`).result == "ok" { reject("author", "you may not"); }
}
"#;

/// Whoever asks for an address is given what was kept about its domain, and told so.
#[test]
fn what_was_redacted_is_found_by_its_domain() {
    let sink = Sink::start(AtTheDot::Take);
    let plan = Plan::in_front_of_server(sink.address())
        .policy("09-indiscreet.rhai", INDISCREET)
        .section("decisions: { redact: local_part, file: decisions.jsonl }");
    let gatepost = plan.admin("").start();
    let mut client = gatepost.introduced();
    assert_eq!(client.deliver("jim@sender.example", "suzie@example.org", &letter("known")).code, 250);
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    assert_eq!(client.ask("RCPT TO:<suzie@elsewhere.example>").code, 550);
    assert_eq!(client.ask("RSET").code, 250);
    assert_eq!(client.ask("MAIL FROM:<joe doe@sender.example>").code, 501);
    for address in [["--from", "joe@sender.example"], ["--to", "suzie@elsewhere.example"]] {
        let found = ask(&gatepost, &[&["explain", "--rule", "relay"][..], &address].concat());
        let (page, note) = (stdout(&found), String::from_utf8_lossy(&found.stderr).into_owned());
        assert!(page.contains("[redacted]@elsewhere.example") && !page.contains("joe"), "{page}");
        assert!(note.contains("found by their domains"), "{note}");
    }
    let other = ask(&gatepost, &["explain", "--from", "joe@other.example"]);
    assert_eq!(other.status.code(), Some(1));
    let page = stdout(&ask(&gatepost, &["explain", "--rule", "bad-path", "--limit", "1"]));
    assert!(page.contains("It said `MAIL [redacted]`") && !page.contains("doe"), "{page}");
    let kept = fs::read_to_string(gatepost.path("decisions.jsonl")).unwrap();
    for asked in ["[redacted].users.test", "a.[redacted].authors.test"] {
        assert!(kept.contains(asked), "{asked} in {kept}");
    }
    for gone in ["joe", "jim", "suzie"] {
        assert!(!kept.to_lowercase().contains(gone), "{gone} in {kept}");
    }
    gatepost.end_well();
}

#[test]
fn a_message_that_never_came_is_judged() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).dns("sender.example A 192.0.2.9\n").start();
    let file = gatepost.path("mail.eml");
    fs::write(&file, letter("never sent")).unwrap();
    let file = file.display().to_string();
    let judged = |more: &[&str]| {
        let common = ["explain", "--message", &file, "--ip", "192.0.2.9", "--helo", "client.example.net"];
        let output = ask(&gatepost, &[&common[..], more].concat());
        (output.status.code(), stdout(&output), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (status, page, error) = judged(&["--from", "joe@sender.example", "--to", "suzie@example.org"]);
    assert_eq!(status, Some(0), "{page}{error}");
    assert!(page.starts_with("A rehearsal: nobody sent this message"), "{page}{error}");
    assert!(
        page.contains("\nThe message was ") && !page.contains("(gp ") && !page.contains("  decision "),
        "{page}"
    );
    let (_, page, error) = judged(&["--from", "joe@sender.example", "--to", "suzie@elsewhere.example"]);
    assert!(page.contains("relay.denied") && !page.contains("(gp "), "{page}{error}");
    let (_, page, error) = judged(&["--from", "joe@sender.example", "--to", "suzie@example.org", "--tls"]);
    assert!(page.contains("TLSv1.3"), "{page}{error}");
    postfix.delivered("suzie", 0);
    gatepost.end_well();
}

#[test]
fn junk_does_not_fill_the_log() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).listener("limits: { errors: 1000 }").start();
    let before = gatepost.log().len();
    let mut client = gatepost.introduced();
    for number in 0..300 {
        client.ask(&format!("JUNK{number} \u{1b}[31m"));
    }
    client.ask("QUIT");
    drop(client);
    let line = gatepost.logged(&["silenced"]);
    assert!(line.contains("\"lines\":"), "{line}");
    let grown = gatepost.log().len() - before;
    assert!(grown < 20_000, "{grown} octets");
    gatepost.end_well();
}

#[test]
fn a_disk_that_hangs_keeps_nobody_from_ending() {
    // A pipe that nobody reads has room for a few pages, and whoever writes more than that waits.
    let folder = folder("pipe");
    let pipe = folder.path().join("decisions");
    Program::new("mkfifo").arg(&pipe).succeed();
    let sink = Sink::start(AtTheDot::Take);
    let mut gatepost = Plan::in_front_of_server(sink.address())
        .section(format!("decisions: {{ file: \"{}\" }}", pipe.display()))
        .listener("limits: { errors: 10000 }")
        .start();
    let mut client = gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    until("the thread to fall behind", SOON, || {
        for _ in 0..200 {
            assert_eq!(client.ask("RCPT TO:<suzie@elsewhere.example>").code, 550);
        }
        let dropped = [("reason", "queue")];
        (gatepost.metrics().sum("decisions_dropped_total", &dropped) > 0).then_some(())
    });
    client.ask("QUIT");
    gatepost.balanced();
    gatepost.signal(rustix::process::Signal::TERM);
    let status = gatepost.exit(SOON / 2);
    assert!(status.success(), "{status}: {}", gatepost.log());
    gatepost.logged(&["decisions_not_written", "the disk does not answer"]);
}

#[test]
fn the_level_of_the_log_changes_while_it_runs() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).start();
    gatepost.signal(rustix::process::Signal::USR1);
    gatepost.logged(&["log_level", "debug"]);
    gatepost.signal(rustix::process::Signal::USR2);
    until("the usual level to be back", Duration::from_secs(20), || {
        (gatepost.log().matches("log_level").count() == 2).then_some(())
    });
    gatepost.end_well();
}
