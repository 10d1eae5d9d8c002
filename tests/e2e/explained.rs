//! What is recorded, logged and explained where the reply alone does not say what decided: what policies take in silence, what the
//! upstream refuses at another command than the client, who logged in.

use serde_json::Value;

use crate::harness::{AtTheDot, Client, Gatepost, Plan, Reply, SOON, Sink, command, letter, stuffed, until};

/// What a command of the program says about the configuration of this one.
fn ask(gatepost: &Gatepost, arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = gatepost.path("");
    let output = command(&folder).arg("-c").arg(gatepost.configuration()).args(arguments).output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The same as one line of words.
fn words(gatepost: &Gatepost, arguments: &[&str]) -> String {
    let (status, out, error) = ask(gatepost, arguments);
    assert_eq!(status, Some(0), "{arguments:?}: {out}{error}");
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The rest of a transaction whose recipients were taken.
fn data(client: &mut Client) -> Reply {
    client.ask("DATA");
    client.send(&stuffed(&letter("kept"))).unwrap();
    client.reply().unwrap()
}

fn logged(gatepost: &Gatepost, words: &[&str]) -> Value {
    serde_json::from_str(&gatepost.logged(words)).unwrap()
}

#[test]
fn what_policies_take_in_silence_is_found_by_its_rule() {
    let sink = Sink::start(AtTheDot::Take);
    let script = "const MODES = #{ \"watched\": \"shadow\" };\n\
        fn rcpt(session, mail, rcpt) {\n\
        if rcpt.local_part == \"gone\" { discard(\"gone\", \"by wish\"); }\n\
        if rcpt.local_part == \"lost\" { discard(\"lost\", \"by mishap\"); }\n\
        }\n\
        fn mail(session, mail) { defer(\"watched\", \"not yet\"); }\n";
    let plan = Plan::in_front_of_server(sink.address()).policy("99-mine.rhai", script);
    let gatepost = plan.admin("").start();
    let mut client = gatepost.introduced();
    for rcpts in [&["gone", "lost"][..], &["suzie", "gone"]] {
        assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
        for rcpt in rcpts {
            assert_eq!(client.ask(&format!("RCPT TO:<{rcpt}@example.org>")).code, 250);
        }
        assert_eq!(data(&mut client).code, 250);
    }
    client.ask("QUIT");
    let gone = logged(&gatepost, &["\"outcome\":\"discarded\""]);
    assert_eq!((&gone["rule"], &gone["source"]), (&"mine.lost".into(), &"policy".into()), "{gone}");
    assert!(gone["place"].as_str().unwrap().starts_with("99-mine.rhai:"), "{gone}");
    let page = words(&gatepost, &["explain", gone["decision"].as_str().unwrap()]);
    assert!(page.starts_with("The message was discarded by the rule mine.lost (99-mine.rhai:4)."), "{page}");
    assert!(
        page.contains("<gone@example.org> was discarded by the rule mine.gone (99-mine.rhai:3). - By wish."),
        "{page}"
    );

    let accepted = logged(&gatepost, &["\"outcome\":\"accepted\""]);
    let page = words(&gatepost, &["explain", accepted["decision"].as_str().unwrap()]);
    assert!(page.starts_with("The message was accepted, and main queued it as SINK, but not for everybody: 1 recipient was discarded."), "{page}");
    for (rule, found) in [("mine.gone", 2), ("mine.lost", 1), ("mine.watched", 2), ("mine", 2)] {
        let list = ask(&gatepost, &["explain", "--rule", rule, "--format", "json"]).1;
        assert_eq!(list.lines().count(), found, "{rule}: {list}");
    }
    let list = ask(&gatepost, &["explain", "--rule", "mine"]).1;
    assert!(list.contains(" to <suzie@example.org>, <gone@example.org>\n"), "{list}");
    let (status, _, error) = ask(&gatepost, &["explain", "--rule", "mine.nothing"]);
    assert!(status == Some(1) && error.contains("no decision is like that"), "{error}");
    let (status, _, error) = ask(&gatepost, &["explain", "aaaaaaaaaa"]);
    assert!(status == Some(1) && error.contains("there is no such decision"), "{error}");
    gatepost.end_well();
}

/// The client hears it at another command, or with another code, than it is in the upstream's log.
#[test]
fn what_the_upstream_refuses_is_told_with_its_step_and_in_its_words() {
    for (verb, said, rule, told) in [
        (
            "MAIL",
            "553 5.1.8 sender not liked here",
            "mail",
            "It answered MAIL with `553 5.1.8 sender not liked here`.",
        ),
        ("MAIL", "421 4.3.2 closing down", "mail", "It answered MAIL with `421 4.3.2 closing down`."),
        ("RCPT", "550 5.1.1 nobody", "rcpt", "It answered RCPT with `550 5.1.1 nobody`."),
        ("DATA", "554 5.7.1 no more today", "data", "It answered DATA with `554 5.7.1 no more today`."),
    ] {
        let sink = Sink::refusing(verb, said);
        let gatepost = Plan::in_front_of_server(sink.address()).admin("").start();
        let mut client = gatepost.introduced();
        let heard = client.deliver("joe@sender.example", "suzie@example.org", &letter("refused"));
        assert_eq!(heard.code, said.replacen("421", "451", 1)[..3].parse::<u16>().unwrap(), "{heard}");
        client.ask("QUIT");
        let rejections = [("source", "upstream"), ("rule", rule)];
        until("the refusal to be counted", SOON, || {
            (gatepost.metrics().sum("rejections_total", &rejections) == 1).then_some(())
        });
        let page = words(&gatepost, &["explain", "--rule", rule]);
        assert!(page.contains(told), "{verb}: {page}");
        let json = ask(&gatepost, &["explain", "--rule", rule, "--format", "json"]).1;
        let json: Value = serde_json::from_str(json.trim()).unwrap();
        assert_eq!(json["decision"]["upstream"]["reply"], said, "{json}");
        gatepost.end_well();
    }
}

/// The list names whom a decision is about, each once.
#[test]
fn the_list_names_the_recipients_of_each_decision() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address()).admin("").start();
    let mut client = gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    for number in 1..=5 {
        assert_eq!(client.ask(&format!("RCPT TO:<b{number}@example.org>")).code, 250);
    }
    assert_eq!(client.ask("RCPT TO:<x@else.example>").code, 550);
    assert_eq!(data(&mut client).code, 250);
    client.ask("QUIT");
    gatepost.logged(&["\"outcome\":\"accepted\""]);
    let list = ask(&gatepost, &["explain", "--from", "joe@sender.example"]).1;
    assert!(list.contains(" to <x@else.example>\n"), "{list}");
    assert!(list.contains(" to <b1@example.org>, <b2@example.org> and 4 more\n"), "{list}");
    let of_one = ask(&gatepost, &["explain", "--to", "b3@example.org", "--format", "json"]).1;
    assert_eq!(of_one.lines().count(), 1, "the refusal of another is not about this one: {of_one}");
    gatepost.end_well();
}
