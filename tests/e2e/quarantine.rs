//! Mail that policies keep back or send elsewhere, in front of a real Postfix, and the commands that look after it.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::{AtTheDot, Gatepost, Plan, Postfix, SOON, Sink, command, letter, until};

const QUARANTINE: &str = "quarantine: { dir: quarantine }";

/// What a policy of the test's own decides by the subject.
const BY_SUBJECT: &str = r#"
fn rcpt(session, mail, rcpt) {
    if rcpt.local_part == "old" { rcpt.redirect("suzie@example.org"); }
}
fn message(session, mail, message) {
    if message.subject.contains("[keep]") { quarantine("keep", "a human should look"); }
    if message.subject.contains("[hold]") {
        for to in mail.recipients { if to.local_part == "load" { hold("load", to, "not now"); } }
    }
    if message.subject.contains("[move]") {
        for to in mail.recipients { if to.local_part == "load" { mail.redirect(to, "joe@example.org"); } }
    }
}
"#;

fn guarded(plan: Plan) -> Gatepost {
    plan.section(QUARANTINE).policy("90-keep.rhai", BY_SUBJECT).start()
}

/// `gatepost quarantine` with these words: whether it went well, and what it said.
fn quarantine(gatepost: &Gatepost, words: &[&str]) -> (bool, String, String) {
    let mut run = command(&gatepost.path("."));
    let output = run.arg("-c").arg(gatepost.configuration()).arg("quarantine").args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn entries(gatepost: &Gatepost) -> Vec<Value> {
    let (good, out, error) = quarantine(gatepost, &["list", "--format", "json"]);
    assert!(good, "{error}");
    serde_json::from_str::<Value>(&out).unwrap().as_array().unwrap().clone()
}

fn id_of(entry: &Value) -> String {
    entry["id"].as_str().unwrap().to_owned()
}

/// One message to several recipients; the reply to its dot.
fn send(gatepost: &Gatepost, to: &[&str], message: &[u8]) -> String {
    let mut client = gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    for to in to {
        let reply = client.ask(&format!("RCPT TO:<{to}@example.org>"));
        assert_eq!(reply.code, 250, "{reply}");
    }
    assert_eq!(client.ask("DATA").code, 354);
    client.send(&crate::harness::stuffed(message)).unwrap();
    client.expect(250).text()
}

#[test]
fn a_quarantined_message_is_seen_and_let_go_with_its_envelope() {
    let postfix = Postfix::delivering();
    let gatepost = guarded(Plan::in_front_of(&postfix));
    let message = letter("[keep] one");
    let told = send(&gatepost, &["suzie", "joe"], &message);
    assert!(postfix.queued().is_empty() && postfix.all_delivered("suzie").is_empty());
    let all = entries(&gatepost);
    assert_eq!(all.len(), 1, "{all:?}");
    let id = id_of(&all[0]);
    assert!(told.contains(&id), "{told}");
    assert_eq!(all[0]["state"], "kept");
    assert_eq!(all[0]["recipients"].as_array().unwrap().len(), 2);
    assert_eq!(all[0]["recipients"][0]["rule"], "keep.keep");

    // The columns stay where they are.
    let (good, list, _) = quarantine(&gatepost, &["list"]);
    let time = list.split_whitespace().nth(2).unwrap_or_default();
    assert!(good && time.len() == "2026-01-02T03:04:05Z".len() && time.ends_with('Z'), "{list}");

    let (good, shown, _) = quarantine(&gatepost, &["show", &id]);
    assert!(good && shown.contains("RCPT TO:<joe@example.org>") && shown.contains("Subject: "), "{shown}");
    let (good, released, error) = quarantine(&gatepost, &["release", &id]);
    assert!(good, "{released}{error}");
    for name in ["suzie", "joe"] {
        let delivered = postfix.delivered(name, 1);
        let body = message.split(|byte| *byte == b'\n').next_back().unwrap();
        assert!(delivered[0].ends_with(body), "{}", delivered[0].escape_ascii());
    }
    assert!(entries(&gatepost).is_empty());
    let (good, _, error) = quarantine(&gatepost, &["release", &id]);
    assert!(!good && error.contains("no entry"), "{error}");
    gatepost.end_well();
}

#[test]
fn what_the_upstream_does_not_take_stays_in_the_quarantine() {
    let mut postfix = Postfix::delivering();
    let gatepost = guarded(Plan::in_front_of(&postfix));
    send(&gatepost, &["suzie"], &letter("[keep] one"));
    let id = id_of(&entries(&gatepost)[0]);
    postfix.kill();
    let (good, _, error) = quarantine(&gatepost, &["release", &id]);
    assert!(!good && error.contains(&id), "{error}");
    assert_eq!(entries(&gatepost).len(), 1);
    postfix.start_again();
    assert!(quarantine(&gatepost, &["release", &id]).0);
    postfix.delivered("suzie", 1);
    send(&gatepost, &["suzie"], &letter("[keep] two"));
    let id = id_of(&entries(&gatepost)[0]);
    assert!(quarantine(&gatepost, &["delete", &id]).0);
    assert!(entries(&gatepost).is_empty());
    for wrong in ["../../../etc/passwd", "nonsense"] {
        assert!(!quarantine(&gatepost, &["show", wrong]).0);
    }
    gatepost.end_well();
}

#[test]
fn one_of_three_recipients_is_held_and_gets_it_later() {
    let postfix = Postfix::delivering();
    let gatepost = guarded(Plan::in_front_of(&postfix));
    send(&gatepost, &["suzie", "load", "joe"], &letter("[hold] one"));
    postfix.delivered("suzie", 1);
    postfix.delivered("joe", 1);
    assert!(postfix.all_delivered("load").is_empty());
    let all = entries(&gatepost);
    assert_eq!(all[0]["recipients"][0]["rcpt"], "RCPT TO:<load@example.org>", "{all:?}");
    assert!(quarantine(&gatepost, &["release", &id_of(&all[0])]).0);
    postfix.delivered("load", 1);
    assert_eq!(postfix.all_delivered("suzie").len(), 1);
    gatepost.end_well();
}

#[test]
fn redirected_mail_arrives_where_the_policy_sent_it() {
    let postfix = Postfix::delivering();
    let gatepost = guarded(Plan::in_front_of(&postfix));
    send(&gatepost, &["old"], &letter("one"));
    postfix.delivered("suzie", 1);
    send(&gatepost, &["suzie", "load"], &letter("[move] two"));
    postfix.delivered("suzie", 2);
    postfix.delivered("joe", 1);
    assert!(postfix.all_delivered("load").is_empty());
    gatepost.end_well();
}

#[test]
fn a_copy_that_was_pending_when_the_process_was_killed_is_still_there() {
    let sink = Sink::start(AtTheDot::SayNothing);
    let mut gatepost = guarded(Plan::in_front_of_server(sink.address()));
    let mut client = gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    for to in ["suzie", "load"] {
        assert_eq!(client.ask(&format!("RCPT TO:<{to}@example.org>")).code, 250);
    }
    assert_eq!(client.ask("DATA").code, 354);
    let message = letter("[hold] one");
    client.send(&crate::harness::stuffed(&message)).unwrap();
    until("the message at the upstream", SOON, || (sink.taken().len() == 1).then_some(()));
    gatepost.kill();
    // Nobody was told anything: the client has its message, and the copy is there for whoever looks.
    assert!(client.reply().is_err());
    let all = entries(&gatepost);
    assert_eq!((all.len(), &all[0]["state"]), (1, &Value::from("pending")), "{all:?}");
    gatepost.start_again();
    gatepost.counted("quarantine_entries", &[("state", "pending")], 1);
    assert_eq!(entries(&gatepost).len(), 1);
    let kept = fs::read(file(&gatepost, &all[0])).unwrap();
    assert!(kept.ends_with(&message[message.len() - 20..]), "{}", kept.escape_ascii());
    gatepost.kill();
}

fn file(gatepost: &Gatepost, entry: &Value) -> PathBuf {
    gatepost.path("quarantine").join(format!("{}.eml", id_of(entry)))
}

#[test]
fn a_full_quarantine_lets_the_client_keep_its_mail() {
    let postfix = Postfix::delivering();
    let plan = Plan::in_front_of(&postfix).policy("90-keep.rhai", BY_SUBJECT);
    let gatepost = plan.section("quarantine: { dir: quarantine, max_size: 1MiB }").start();
    let large =
        [&letter("[keep] large")[..], &b"0123456789012345678901234567890123456789\r\n".repeat(16_000)]
            .concat();
    send(&gatepost, &["suzie"], &large);
    let mut client = gatepost.introduced();
    let refused = client.deliver("joe@sender.example", "suzie@example.org", &large);
    assert!(refused.code == 452 && refused.text().starts_with("4.3.1 "), "{refused}");
    assert_eq!(entries(&gatepost).len(), 1);
    assert!(quarantine(&gatepost, &["delete", &id_of(&entries(&gatepost)[0])]).0);
    // The next look, at most a second later, finds the room that another process made.
    until("room", SOON, || {
        (gatepost.introduced().deliver("joe@sender.example", "suzie@example.org", &large).code == 250)
            .then_some(())
    });
    gatepost.end_well();
}
