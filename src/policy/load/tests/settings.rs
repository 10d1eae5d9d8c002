//! Values of settings, held against their defaults and against what they are used for.

use super::{errors, errors_of, folder};
use crate::diagnostic::Position;
use crate::policy::sources::Setting;

#[test]
fn settings_have_the_type_of_their_default() {
    let script =
        "const SETTINGS = #{ n: 5, f: 0.5, t: \"x\", size: \"5MiB\", wait: \"5s\", on: true, all: [\"a\"] };";
    let table = [
        ("n", Setting::Integer(7), ""),
        ("n", Setting::Text("7".into()), "must be a whole number; write it like its default, `n: 5`"),
        ("n", Setting::Float(1.0), "must be a whole number; write it like its default, `n: 5`"),
        ("f", Setting::Integer(1), ""),
        ("t", Setting::Text("y".into()), ""),
        ("size", Setting::Text("1GiB".into()), ""),
        (
            "size",
            Setting::Text("1 gig".into()),
            "must be a size such as 25MiB; write it like its default, `size: 5MiB`",
        ),
        ("size", Setting::Integer(5), "must be a text; write it like its default, `size: 5MiB`"),
        (
            "wait",
            Setting::Text("1MiB".into()),
            "must be a duration such as 10m; write it like its default, `wait: 5s`",
        ),
        ("on", Setting::Bool(false), ""),
        ("all", Setting::Array(vec![]), ""),
        (
            "all",
            Setting::Array(vec![Setting::Integer(1)]),
            "must be an array of its default's type; write it like its default, `all: [a]`",
        ),
        ("siez", Setting::Integer(1), "there is no setting `siez`; did you mean `size`?"),
    ];
    for (name, value, expected) in table {
        let (dir, mut sources) = folder(&[("10-x.rhai", script)]);
        sources.settings.insert("x".into(), [(name.to_owned(), value.clone())].into());
        let mut errors = errors(&sources, dir.path());
        // The settings are only declared here.
        errors.retain(|error| !error.contains("nothing reads"));
        match errors.first() {
            None => assert_eq!(expected, "", "{name} {value:?}"),
            Some(error) => {
                assert!(!expected.is_empty() && error.contains(expected), "{name} {value:?}: {error}")
            }
        }
    }
}

/// What would be a fault of each mail is one of the configuration.
#[test]
fn settings_fit_what_they_are_used_for() {
    let script = r#"const SETTINGS = #{ per: "60/m", most: "", zones: [], good: [], keep: "", net: "192.0.2.0/24", wait: "10s" };
        fn rcpt(session, mail, rcpt) {
            let zones = setting("zones");
            if rate("r", rcpt.domain, setting("per")).result == "over" { defer("r", "t"); }
            if setting("most") != "" { rate("r", rcpt.domain, rcpt.setting("most")); }
            if dnsbl(session.client.ip, zones).weight > 0 { defer("l", "t"); }
            if ask(session.client.ip, setting("good")) || in_network(session.client.ip, setting("net")) { skip("other"); }
            if setting("keep") != "" { remember("x", rcpt.domain, setting("keep")); }
            tarpit(setting("wait"));
        }
        fn ask(ip, lists) { dnswl(ip, lists).weight > 0 && remembered("x", ip).result == "no" }"#;
    let text = |text: &str| Setting::Text(text.into());
    let texts = |texts: &[&str]| Setting::Array(texts.iter().map(|one| text(one)).collect());
    let zone = |number: usize| format!("z{number}.test");
    let many: Vec<_> = (0..17).map(zone).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let table = [
        ("per", text("20/m, 100/h"), ""),
        (
            "per",
            text("60"),
            "per must be a limit of a rate such as 60/m; write it like its default, `per: 60/m`",
        ),
        ("per", text(""), "per must be a limit of a rate"),
        ("most", text(""), ""),
        ("most", text("5/h"), ""),
        ("most", text("lots"), "most must be a limit of a rate such as 60/m"),
        ("zones", texts(&["zen.example.org=127.0.0.[2..11]*3"]), ""),
        (
            "zones",
            texts(&["a.test", "bad zone"]),
            "gatepost.yaml:1:9: policies.settings.x.zones: `bad zone` is no list in DNS; write a zone",
        ),
        ("zones", texts(&["zen.example.org=127.0.0.300"]), "`zen.example.org=127.0.0.300` is no list in DNS"),
        ("zones", texts(&many[..16]), ""),
        ("zones", texts(&many), "zones must be an array of at most 16 lists in DNS"),
        ("zones", Setting::Array(vec![Setting::Integer(5)]), "is no list in DNS"),
        ("good", texts(&["x"]), "policies.settings.x.good: `x` is no list in DNS"),
        ("keep", text("30d"), ""),
        ("keep", text("500d"), "keep must be a duration such as 10m, of at most a year"),
        ("net", text("192.0.2"), "net must be a network such as 192.0.2.0/24"),
        ("wait", text("5"), "wait must be a duration such as 10m"),
    ];
    let other = "fn message(session, mail, message) { reject(\"r\", \"t\"); }";
    for (name, value, expected) in table {
        let (dir, mut sources) = folder(&[("10-x.rhai", script), ("20-other.rhai", other)]);
        sources.places.text = Some("zones: [a.test, bad zone]".into());
        let place = Position::new(1, 9, 8);
        sources.places.keys = [("policies.settings.x.zones.1".to_owned(), place)].into();
        sources.settings.insert("x".into(), [(name.to_owned(), value.clone())].into());
        let errors = errors(&sources, dir.path());
        match errors.as_slice() {
            [] => assert_eq!(expected, "", "{name} {value:?}"),
            [error] => assert!(!expected.is_empty() && error.contains(expected), "{name} {value:?}: {error}"),
            more => panic!("{name} {value:?}: {more:#?}"),
        }
    }
}

/// A default that its own policy cannot use is found without any configuration.
#[test]
fn defaults_fit_what_they_are_used_for() {
    let script = r#"const SETTINGS = #{ per: "60", zones: ["a.test", "b"] };
        fn rcpt(session, mail, rcpt) {
            rate("r", rcpt.domain, setting("per"));
            dnsbl(session.client.ip, setting("zones"));
        }"#;
    let errors = errors_of("10-x.rhai", script);
    let has = |text: &str| assert!(errors.iter().any(|error| error.contains(text)), "{errors:#?}");
    has("the setting `per` is used as a limit of a rate such as 60/m, and this is none");
    has("`b` is no list in DNS; write a zone");
}
