//! Values of settings, held against their defaults and against what they are used for.

use super::{errors, errors_of, folder};
use crate::diagnostic::Position;
use crate::policy::sources::{DomainSource, Setting, Sources};

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

/// Where the value of a setting can be written, and what stands in front of a problem with it.
const PLACES: [(&str, &str); 3] = [
    ("default", "10-x.rhai:1:21: "),
    ("policies.settings.x.value", "gatepost.yaml:2:5: policies.settings.x.value"),
    (
        "policies.domains.example.org.settings.x.value",
        "gatepost.yaml:3:7: policies.domains.example.org.settings.x.value",
    ),
];

/// What is said about a script whose setting has the value, or the default, at this place.
fn said(place: &str, body: &str, default: &str, value: &Setting) -> Vec<String> {
    let default = match value {
        _ if place != "default" => default.to_owned(),
        Setting::Text(text) => format!("{text:?}"),
        Setting::Array(texts) => format!("[{}]", texts.iter().map(quoted).collect::<Vec<_>>().join(", ")),
        _ => unreachable!(),
    };
    let other = "fn message(session, mail, message) { reject(\"r\", \"t\"); }";
    let script = format!(
        "const SETTINGS = #{{ value: {default} }};\nfn rcpt(session, mail, rcpt) {{ let value = setting(\"value\"); {body} }}"
    );
    let (dir, mut sources) = folder(&[("10-x.rhai", &script), ("20-other.rhai", other)]);
    write(&mut sources, place, value);
    errors(&sources, dir.path())
}

fn quoted(text: &Setting) -> String {
    let Setting::Text(text) = text else { unreachable!() };
    format!("{text:?}")
}

fn write(sources: &mut Sources, place: &str, value: &Setting) {
    let settings = || [("x".to_owned(), [("value".to_owned(), value.clone())].into())].into();
    sources.places.text = Some("one\n    value: two\n      value: [a, b]\n".into());
    let at = |line, column| Position::new(line, column, 5);
    sources.places.keys = [
        ("policies.settings.x.value".to_owned(), at(2, 5)),
        ("policies.settings.x.value.1".to_owned(), at(2, 15)),
        ("policies.domains.example.org.settings.x.value".to_owned(), at(3, 7)),
        ("policies.domains.example.org.settings.x.value.1".to_owned(), at(3, 17)),
    ]
    .into();
    match place {
        "default" => {}
        "policies.settings.x.value" => sources.settings = settings(),
        _ => {
            let domain = DomainSource { settings: settings(), ..DomainSource::default() };
            sources.domains.insert("example.org".into(), domain);
        }
    }
}

/// What takes a text of each form, with a text that is one, one that is none, and what that has to be.
const FORMS: [(&str, &str, &str, &str); 6] = [
    ("rate(\"r\", rcpt.domain, value);", "60/m", "60", "a limit of a rate such as 60/m"),
    ("tarpit(value);", "10s", "10", "a duration such as 10m"),
    (
        "greylist(session.client.ip, mail.sender, rcpt, \"1m\", value);",
        "30d",
        "500d",
        "a duration such as 10m, of at most a year",
    ),
    ("remember(\"x\", rcpt.domain, value);", "30d", "500d", "a duration such as 10m, of at most a year"),
    (
        "if in_network(session.client.ip, value) { skip(\"other\"); }",
        "192.0.2.0/24",
        "192.0.2",
        "a network such as 192.0.2.0/24",
    ),
    ("limit_size(\"big\", bytes(value));", "25MiB", "25 apples", "a size such as 25MiB"),
];

#[test]
fn a_text_that_a_word_cannot_take_is_an_error_wherever_it_stands() {
    for (body, good, bad, wanted) in FORMS {
        for (place, at) in PLACES {
            let default = format!("{good:?}");
            assert!(said(place, body, &default, &Setting::Text(good.into())).is_empty(), "{place} {body}");
            let said = said(place, body, &default, &Setting::Text(bad.into()));
            let words = match place {
                "default" => format!("{at}the setting `value` is used as {wanted}, and this is none"),
                _ => format!("{at} must be {wanted}; write it like its default, `value: "),
            };
            assert!(said.len() == 1 && said[0].starts_with(&words), "{place} {body}: {said:#?}");
        }
    }
}

/// A script that asks for a text by its letters has a meaning for it, and does not hand it on.
#[test]
fn a_text_that_the_script_knows_is_accepted_wherever_it_stands() {
    let guards = [
        ("none", "if value != \"none\" { TAKE }"),
        ("none", "if value == \"none\" { return; } TAKE"),
        ("none", "switch value { \"all\" => (), \"none\" => (), _ => { TAKE } }"),
        ("none", "if value in [\"none\", \"off\"] { return; } TAKE"),
        ("none", "if [\"none\", \"off\"].contains(value) { return; } TAKE"),
        ("", "if value != \"\" { TAKE }"),
        ("", "switch value { \"\" | \"none\" => (), _ => { TAKE } }"),
        ("", "if value in [\"\", \"none\"] { return; } TAKE"),
        ("", "if !value.is_empty() { TAKE }"),
        ("", "if value.is_empty { return; } TAKE"),
        ("", "if value.len() > 0 { TAKE }"),
        ("", "if len(value) == 0 { return; } TAKE"),
    ];
    for ((text, guard), (take, good, ..)) in guards.into_iter().zip(FORMS.into_iter().cycle()) {
        let (body, default) = (guard.replace("TAKE", take), format!("{good:?}"));
        for (place, _) in PLACES {
            let said = said(place, &body, &default, &Setting::Text(text.into()));
            assert!(said.is_empty(), "{place} {body}: {said:#?}");
        }
    }
}

/// Another text has no meaning for that, nor has an empty one where the script asks for `none`.
#[test]
fn a_text_that_the_script_does_not_know_is_none_that_it_knows() {
    let body = "if value != \"none\" { rate(\"r\", rcpt.domain, value); }";
    for (place, at) in PLACES {
        for text in ["nine", "None", "60"] {
            let said = said(place, body, "\"none\"", &Setting::Text(text.into()));
            assert!(said.len() == 1 && said[0].starts_with(at), "{place} {text}: {said:#?}");
        }
    }
    assert_eq!(said("policies.settings.x.value", body, "\"none\"", &Setting::Text("".into())).len(), 1);
    assert!(said("default", body, "", &Setting::Text("".into())).is_empty(), "nothing, unless it is set");
}

#[test]
fn each_entry_is_held_against_what_takes_it() {
    let zone = "if dnsbl(session.client.ip, value).result == \"listed\" { skip(\"other\"); }";
    let network = "for one in value { if is_near(session.client.ip, one) { skip(\"other\"); } } } fn is_near(ip, one) { in_network(ip, one)";
    let some = "if value.some(|one| in_network(session.client.ip, one)) { skip(\"other\"); }";
    let wrong = [
        (zone, ["a.test", "bad zone"], "`bad zone` is no list in DNS; write a zone, with codes"),
        (network, ["192.0.2.0/24", "192.0.2"], "`192.0.2` is no network such as 192.0.2.0/24; "),
        (some, ["192.0.2.0/24", "192.0.2"], "`192.0.2` is no network such as 192.0.2.0/24; "),
    ];
    for (body, texts, wanted) in wrong {
        let texts = Setting::Array(texts.map(|text| Setting::Text(text.into())).into());
        for (place, at) in [
            ("default", "10-x.rhai:1:21: "),
            (PLACES[1].0, "gatepost.yaml:2:15: policies.settings.x.value: "),
            (PLACES[2].0, "gatepost.yaml:3:17: policies.domains.example.org.settings.x.value: "),
        ] {
            let said = said(place, body, "[]", &texts);
            let is_told = said.len() == 1 && said[0].starts_with(&format!("{at}{wanted}"));
            assert!(is_told, "{place} {body}: {said:#?}");
            let known = format!(
                "if \"{}\" in value {{ return; }} {body}",
                quoted(&texts_of(&texts)[1]).trim_matches('"')
            );
            let said = self::said(place, &known, "[]", &texts);
            assert!(said.is_empty(), "{place} {known}: {said:#?}");
        }
    }
}

fn texts_of(value: &Setting) -> &[Setting] {
    let Setting::Array(texts) = value else { unreachable!() };
    texts
}

/// What the script itself finds out about a text, nobody knows here.
#[test]
fn a_text_that_the_script_looks_into_may_be_anything() {
    let mixed = ["192.0.2.0/24", "example.org"].map(|text| Setting::Text(text.into()));
    let either = "for one in value { if one.contains(\"/\") { if in_network(session.client.ip, one) { skip(\"other\"); } } else if is_subdomain(rcpt.domain, one) { skip(\"other\"); } }";
    let by_form = "for one in value { if one.contains(\"/\") && in_network(session.client.ip, one) || one == rcpt.domain { skip(\"other\"); } }";
    let completed = "if value.contains(\"/\") { rate(\"r\", rcpt.domain, value); } else { rate(\"r\", rcpt.domain, value + \"/m\"); }";
    let replaced = "if value == \"\" { value = \"60/m\"; } rate(\"r\", rcpt.domain, value);";
    for (place, _) in PLACES {
        for body in [either, by_form] {
            let said = said(place, body, "[]", &Setting::Array(mixed.to_vec()));
            assert!(said.is_empty(), "{place} {body}: {said:#?}");
        }
        for (body, text, problems) in [(completed, "60", 0), (replaced, "", 0), (replaced, "60", 1)] {
            let said = said(place, body, "\"\"", &Setting::Text(text.into()));
            assert_eq!(said.len(), problems, "{place} {body}: {said:#?}");
        }
    }
}

/// What is added to the entries of a setting takes none of them away.
#[test]
fn entries_stay_what_they_are_among_others() {
    let asks = "if dnsbl(session.client.ip, value).result == \"listed\" { skip(\"other\"); }";
    let texts = Setting::Array(["a.test", "bad zone"].map(|text| Setting::Text(text.into())).into());
    for before in [
        "value.push(\"b.test\");",
        "value += [\"b.test\"];",
        "if value.is_empty() { value = [\"b.test\"]; }",
        "value = [value[0], value[1]];",
    ] {
        for (place, _) in PLACES {
            let said = said(place, &format!("{before} {asks}"), "[]", &texts);
            let is_told = said.len() == 1 && said[0].contains("`bad zone` is no list in DNS");
            assert!(is_told, "{place} {before}: {said:#?}");
        }
    }
}

/// What a default looks like, its values do, but for those that the script asks for.
#[test]
fn a_value_looks_like_its_default() {
    let body = "if value == \"never\" { return; } note(\"k\", value);";
    let like = |default: &str| format!("; write it like its default, `value: {default}`");
    for (default, form) in [
        ("5m", "a duration such as 10m"),
        ("5MiB", "a size such as 25MiB"),
        ("5/m", "a limit of a rate such as 60/m"),
    ] {
        for (place, at) in &PLACES[1..] {
            let said = |text: &str| said(place, body, &format!("{default:?}"), &Setting::Text(text.into()));
            assert_eq!(said("never"), [""; 0], "{place}");
            let wanted = format!("{at} must be {form}");
            let told = said("ever");
            assert!(told.len() == 1 && told[0].starts_with(&wanted), "{place}: {told:#?}");
            assert!(told[0].replace('"', "").ends_with(&like(default)), "{place}: {told:#?}");
        }
    }
}

/// A library fails with what the policy hands to it.
#[test]
fn what_goes_to_a_library_is_held_against_what_that_does() {
    let script = "const SETTINGS = #{ net: \"nowhere\", all: \"none\" };
        fn rcpt(session, mail, rcpt) {
            if net::has(setting(\"net\"), session.client.ip) || net::has(setting(\"all\"), session.client.ip) { note(\"k\", 1); }
        }";
    let library = "fn has(net, ip) { net == \"none\" || in_network(ip, net) }";
    let (dir, sources) = folder(&[("10-x.rhai", script), ("lib/net.rhai", library)]);
    let errors = errors(&sources, dir.path());
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(
        errors[0].starts_with("10-x.rhai:1:21: the setting `net` is used as a network such as"),
        "{errors:#?}"
    );
}
