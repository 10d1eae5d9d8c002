//! Facts of lists in DNS, of services, and of what a message holds.

use std::net::Ipv4Addr;

use super::*;
use crate::message::mime::{Contents, EntriesResult, Entry, Part, Url};
use crate::policy::question::{HttpReply, Listable, Listed, Rspamd, Scan, Zone};

fn lists(subjects: &[&str], zones: &[(&str, bool)]) -> Question {
    let subject = |text: &&str| match text.parse() {
        Ok(ip) => Listable::Address(ip),
        Err(_) => Listable::Domain((*text).to_owned()),
    };
    let zones = zones.iter().map(|(name, known)| Zone { name: (*name).to_owned(), known: *known });
    Question::Listed(subjects.iter().map(subject).collect(), zones.collect())
}

fn listed(zone: &str, subject: &str, codes: &[[u8; 4]], error: Option<&str>) -> Listed {
    Listed {
        zone: zone.to_owned(),
        subject: subject.to_owned(),
        codes: codes.iter().map(|code| Ipv4Addr::from(*code)).collect(),
        error: error.map(str::to_owned),
    }
}

fn message_policy(body: &str) -> String {
    format!("fn message(session, mail, message) {{\n{body}\n}}")
}

#[test]
fn lists_in_dns() {
    let script = mail_policy(
        "let found = dnsbl(session.client.ip, #{ \"bad.test=127.0.0.[2..4]\": 2, \"worse.test\": 1.5 });
         reject(\"r\", `${found.result} ${found.weight} ${found.zones} ${found.codes} ${found.errors} ${found.subjects}`);",
    );
    let mut rig = Rig::new(&[("10-x.rhai", &script)]);
    let answers = vec![
        listed("bad.test", "192.0.2.1", &[[127, 0, 0, 3], [127, 0, 0, 9]], None),
        listed("worse.test", "192.0.2.1", &[], Some("timeout")),
    ];
    let question = lists(&["192.0.2.1"], &[("bad.test", true), ("worse.test", true)]);
    rig.knows(question.clone(), Answer::Listed(Arc::new(answers)));
    let expected =
        "550 5.7.1 listed 2.0 [\"bad.test\"] [\"127.0.0.3\"] [\"worse.test\"] [\"192.0.2.1\"] [x.r]";
    assert_eq!(told(&rig.mail()), expected);
    assert_eq!(rig.asked, [question]);
    assert_eq!(rig.policies.zones().collect::<Vec<_>>(), ["bad.test", "worse.test"]);
}

/// What may be a label is known before the first mail comes: what stands in scripts and settings.
#[test]
fn lists_are_known_from_scripts_and_settings() {
    let script = "const SETTINGS = #{ zones: [\"set.test*2\"], other: [\"x\"] };
        fn mail(session, mail) {
            dnsbl(mail.sender.domain, setting(\"zones\"));
            dnswl(\"A.test.\", [\"written.test=127.0.0.2*3\"]);
            dnsbl([\"https://u:p@Shop.test/x\", \"2001:db8::1\", \"shop.test\"], [`${mail.sender.domain}.made.test`]);
        }";
    let mut rig = Rig::new(&[("10-x.rhai", script)]);
    assert_eq!(told(&rig.mail()), "pass");
    assert_eq!(
        rig.asked,
        [
            lists(&["sender.test"], &[("set.test", true)]),
            lists(&["a.test"], &[("written.test", true)]),
            lists(&["shop.test", "2001:db8::1"], &[("sender.test.made.test", false)]),
        ]
    );
    assert_eq!(rig.policies.zones().collect::<Vec<_>>(), ["set.test", "written.test"]);
}

#[test]
fn lists_that_are_none_are_found_at_load() {
    for zones in ["#{ \"no zone\": 1 }", "[\"zone.test=127.0.0\"]"] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("00-relay.rhai"), RELAY).unwrap();
        let script = mail_policy(&format!("dnsbl(\"192.0.2.1\", {zones});"));
        fs::write(dir.path().join("10-x.rhai"), script).unwrap();
        let sources = Sources { dir: dir.path().to_owned(), ..Sources::default() };
        let problems = Policies::load(&sources).unwrap_err();
        assert!(problems.iter().any(|problem| problem.message.contains("is no list")), "{problems:?}");
    }
}

#[test]
fn nobody_is_asked_about_nothing() {
    let script = message_policy(
        "if dnsbl(message.urls, [\"a.test\"]).result == \"not_listed\" && dnsbl(\"x.test\", []).result == \"not_listed\" {
            reject(\"r\", \"t\");
        }",
    );
    let mut rig = Rig::new(&[("10-x.rhai", &script)]);
    assert_eq!(told(&rig.message("From: a@b.test")), "550 5.7.1 t [x.r]");
    assert_eq!(rig.asked, [Question::Contents]);
}

#[test]
fn web_services() {
    let script = mail_policy(
        "let got = http_get(\"https://api.test/x\");
         let posted = http_post(\"https://api.test/y\", #{ a: [1, \"b\", true], from: mail.sender.address });
         reject(\"r\", `${got.result} ${got.status} ${got.json.score ?? 0} ${got.json.none ?? 7} ${posted.result} ${posted.text}`);",
    );
    let mut rig = Rig::new(&[("10-x.rhai", &script)]);
    let reply = HttpReply { result: "ok", status: 200, body: "{\"score\": 4.5}".to_owned() };
    rig.knows(Question::HttpGet("https://api.test/x".to_owned()), Answer::Http(Arc::new(reply)));
    assert_eq!(told(&rig.mail()), "550 5.7.1 ok 200 4.5 7 error  [x.r]");
    let body = "{\"a\":[1,\"b\",true],\"from\":\"sender@sender.test\"}".to_owned();
    let post = Question::HttpPost { url: "https://api.test/y".to_owned(), body, policy: "x".into(), nth: 0 };
    assert_eq!(rig.asked[1], post);
}

/// The answer that a service gives is not the script's fault, whatever it is.
#[test]
fn no_answer_of_a_service_makes_a_script_fail() {
    let script = mail_policy(
        "let got = http_get(\"https://api.test/x\");
         reject(\"r\", `${got.result} ${got.json.score ?? 0} ${got.json.result?.score ?? 1} ${got.values.len()}`);",
    );
    for (result, body, expected) in [
        ("error", "", "error 0 1 0"),
        ("error", "<html>500</html>", "error 0 1 0"),
        ("ok", "null", "ok 0 1 0"),
        ("ok", "7", "ok 0 1 0"),
        ("ok", "[1, 2]", "ok 0 1 2"),
        ("ok", "{\"result\": {\"score\": 3}}", "ok 0 3 0"),
    ] {
        let mut rig = Rig::new(&[("10-x.rhai", &script)]);
        let reply = HttpReply { result, status: 200, body: body.to_owned() };
        rig.knows(Question::HttpGet("https://api.test/x".to_owned()), Answer::Http(Arc::new(reply)));
        assert_eq!(told(&rig.mail()), format!("550 5.7.1 {expected} [x.r]"), "{body}");
    }
}

/// However often a script is run again, what it posts is posted once each time that it comes by.
#[test]
fn what_happens_happens_once() {
    let posts = mail_policy(
        "for i in 0..2 { http_post(\"https://api.test/\", #{}); }
         dns_a(\"a.test\"); dns_a(\"b.test\"); http_get(\"https://api.test/\"); http_get(\"https://api.test/\");",
    );
    let also = mail_policy("http_post(\"https://api.test/\", #{}); dns_a(\"c.test\");");
    let mut rig = Rig::new(&[("10-x.rhai", &posts), ("20-y.rhai", &also)]);
    for round in 1..=2 {
        rig.mail();
        let posted =
            rig.asked.iter().filter(|question| matches!(question, Question::HttpPost { .. })).count();
        assert_eq!(posted, 3 * round, "{:?}", rig.asked);
    }
    let got = rig.asked.iter().filter(|question| matches!(question, Question::HttpGet(_))).count();
    assert_eq!(got, 2, "once a stage");
}

#[test]
fn scanners() {
    let script = message_policy(
        "let virus = clamd(message);
         let spam = rspamd(message);
         reject(\"r\", `${virus.result} ${virus.name} ${spam.result} ${spam.action} ${spam.score} ${\"B\" in spam.symbols} ${spam.symbols.A}`);",
    );
    let mut rig = Rig::new(&[("10-x.rhai", &script)]);
    assert_eq!(told(&rig.message("From: a@b.test")).split(' ').nth(2), Some("error"), "nobody is there");
    rig.memory.end_transaction();
    let scan = Scan { result: "infected", name: "Eicar".to_owned() };
    let symbols = vec![("A".to_owned(), 1.5)];
    let found = Rspamd { result: "ok", action: "reject".to_owned(), score: 20.0, symbols };
    rig.knows(Question::Clamd, Answer::Scan(Arc::new(scan)));
    rig.knows(Question::Rspamd, Answer::Rspamd(Arc::new(found)));
    let expected = "550 5.7.1 infected Eicar ok reject 20.0 false 1.5 [x.r]";
    assert_eq!(told(&rig.message("From: a@b.test")), expected);
}

#[test]
fn what_a_message_holds() {
    let script = message_policy(
        "let first = message.attachments[0];
         let url = message.urls[0];
         reject(\"r\", `${message.parts.len()} ${message.attachments.len()} ${first.name} ${join(first.names, \"|\")} ${first.extension} ${join(first.extensions, \"|\")} ${first.content_type} ${first.real_type} ${first.size} ${first.encrypted} ${first.has_macros} ${first.entries_result} ${first.entries[0].name} ${first.entries[0].extension} ${first.entries[0].size} ${url.url} ${url.host} ${message.contents_result} ${message.urls_result}`);",
    );
    let entry = Entry { name: "d/a.exe".to_owned(), extension: "exe".to_owned(), size: 7 };
    let file = Part {
        name: "a.zip".to_owned(),
        other_names: vec!["b.EXE".to_owned(), "c.zip".to_owned()],
        extension: "zip".to_owned(),
        content_type: "application/zip".to_owned(),
        real_type: "application/zip".to_owned(),
        size: 99,
        attached: true,
        encrypted: true,
        has_macros: true,
        entries: vec![entry],
        entries_result: EntriesResult::Complete,
    };
    let urls = vec![Url::parse("http://a.test/x").unwrap()];
    let contents =
        Contents { parts: vec![Part::default(), file], urls, truncated: true, urls_truncated: false };
    let mut rig = Rig::new(&[("10-x.rhai", &script)]);
    rig.knows(Question::Contents, Answer::Contents(Some(Arc::new(contents))));
    let expected = "550 5.7.1 2 1 a.zip a.zip|b.EXE|c.zip zip zip|exe application/zip application/zip 99 true true complete d/a.exe exe 7 \
                    http://a.test/x a.test truncated complete [x.r]";
    assert_eq!(told(&rig.message("From: a@b.test")), expected);
    rig.memory.end_transaction();
    rig.knows(Question::Contents, Answer::Contents(None));
    let unread = rig.message("From: a@b.test");
    assert_eq!(unread.errors[0].kind, FaultKind::Script);
    assert!(told(&unread).starts_with("451 4.7.0"), "never a silent nothing");
}

/// While one policy waits, what those behind it will want is begun too; nothing that happens is.
#[test]
fn policies_wait_together() {
    let first = mail_policy("dns_a(\"a.test\"); tag(\"t\", \"1\");");
    let second = mail_policy("note(\"n\", \"x\"); dns_a(\"b.test\"); dns_a(\"d.test\");");
    let third = mail_policy("http_post(\"https://api.test/\", #{});");
    let fourth = mail_policy("dns_a(\"a.test\"); mail.spf;");
    let files =
        [("10-a.rhai", &*first), ("20-b.rhai", &*second), ("30-c.rhai", &*third), ("40-d.rhai", &*fourth)];
    let rig = Rig::new(&files);
    let scene = Scene { session: Arc::new(session()), moment: Moment::Mail(Arc::new(mail("a@b.test"))) };
    let mut run = rig.policies.begin(scene, &rig.memory);
    let name = |name: &str| Question::Dns(RecordType::A, name.to_owned());
    let together = vec![name("a.test"), name("b.test"), name("d.test"), Question::Spf];
    assert_eq!(run.step(), Step::Ask(together));
    // The first is enough to go on.
    run.answer(name("a.test"), unknown(&name("a.test")), Duration::ZERO);
    assert_eq!(run.step(), Step::Ask(vec![name("b.test")]), "asked again where it is needed");
    run.answer(name("b.test"), unknown(&name("b.test")), Duration::ZERO);
    assert_eq!(run.step(), Step::Ask(vec![name("d.test")]));
    run.answer(name("d.test"), unknown(&name("d.test")), Duration::ZERO);
    assert!(matches!(run.step(), Step::Ask(asked) if matches!(&asked[..], [Question::HttpPost { .. }])));
}
