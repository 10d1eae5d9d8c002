//! Lists and settings that scripts ask for what they never have.

use super::*;
use crate::policy::sources::{DomainSource, ListKind, ListSource, Places, Setting};

fn list(kind: Option<ListKind>, entries: &[&str]) -> ListSource {
    let entries = EntrySource::Inline(entries.iter().map(|entry| (*entry).to_owned()).collect());
    ListSource { kind, entries }
}

/// What is said about the set, errors or warnings.
fn told(sources: &Sources, dir: &Path) -> Vec<String> {
    let problems = match Policies::load(sources) {
        Ok(policies) => policies.warnings().to_vec(),
        Err(problems) => problems,
    };
    let prefix = format!("{}/", dir.display());
    let mark = |problem: &Diagnostic| if problem.is_error() { "error" } else { "warning" };
    problems
        .iter()
        .map(|problem| format!("{}: {}", mark(problem), problem.one_line().replace(&prefix, "")))
        .collect()
}

const ASKS: &str = "fn mail(session, mail) {\n    let known = list(\"l\");\n    if is_in(QUESTION, known) { note(\"k\", 1); }\n}\nfn is_in(found, all) { found in all }\n";

#[test]
fn a_list_of_one_kind_is_asked_for_what_it_may_have() {
    let (networks, domains, addresses) = (ListKind::Networks, ListKind::Domains, ListKind::Addresses);
    for (question, kind, problem) in [
        (
            "mail.sender.domain",
            networks,
            "error: 10-x.rhai:5:24: `found` is a domain, and the list `l` has networks only: it is never there; ask for an IP address: `session.client.ip in list(\"l\")`",
        ),
        (
            "mail.sender",
            networks,
            "error: 10-x.rhai:5:24: `found` is an address, and the list `l` has networks only: it is never there; ask for an IP address: `session.client.ip in list(\"l\")`",
        ),
        (
            "session.client.ip",
            domains,
            "error: 10-x.rhai:5:24: `found` is an IP address, and the list `l` has domains only: it is never there; ask for a domain or an address: `mail.sender.domain in list(\"l\")`",
        ),
        (
            "session.client.name",
            addresses,
            "error: 10-x.rhai:5:24: `found` is a domain, and the list `l` has addresses only: it is never there; ask for an address: `mail.sender in list(\"l\")`",
        ),
        (
            "session.client.network",
            networks,
            "error: 10-x.rhai:5:24: `found` is a network, and never in a list; ask for the address: `ip in ...`",
        ),
        ("session.client.ip", networks, ""),
        ("session.helo", networks, ""),
        ("mail.sender", domains, ""),
        ("mail.sender.address", addresses, ""),
        ("mail.sender.domain", domains, ""),
    ] {
        let (dir, mut sources) = folder(&[("10-x.rhai", &ASKS.replace("QUESTION", question))]);
        // The kind that was declared counts, whether there is an entry or not.
        sources.lists.insert("l".into(), list(Some(kind), &[]));
        assert_eq!(told(&sources, dir.path()).join("\n"), problem, "{question}");
    }
}

/// A list without a kind may be asked for this and for that; only one that is asked for nothing it has is told of.
#[test]
fn entries_of_one_kind_are_asked_for_what_they_may_be() {
    let warning = "warning: 10-x.rhai:5:24: `found` is a domain, and the list `l` has networks only: it is never there; ask for an IP address: `session.client.ip in list(\"l\")`";
    let also = "fn connect(session) { if session.client.ip in list(\"l\") { note(\"k\", 1); } }\n";
    let asks = ASKS.replace("QUESTION", "mail.sender.domain");
    for (entries, rest, problem) in [
        (&["192.0.2.0/24"][..], "", warning),
        (&["192.0.2.0/24", "example.org"], "", ""),
        (&[".example.org"], "", ""),
        (&[], "", ""),
        (&["192.0.2.0/24"], also, ""),
        (&["example.org"], also, ""),
    ] {
        let (dir, mut sources) = folder(&[("10-x.rhai", &asks), ("11-y.rhai", rest)]);
        sources.lists.insert("l".into(), list(None, entries));
        assert_eq!(told(&sources, dir.path()).join("\n"), problem, "{entries:?} {rest}");
    }
}

const TRAP: &str = "const SETTINGS = #{ traps: [\"default@example.org\"], ends: [\"exe\"], patterns: [\"dsl-*\"], kinds: [], net: \"192.0.2.0/24\", way: \"strict\" };
fn rcpt(session, mail, rcpt) {
    if rcpt.address !in setting(\"traps\") { return; }
    for pattern in setting(\"patterns\") { if five::is_like(pattern, session.helo) { note(\"k\", 1); } }
    if in_network(session.client.ip, rcpt.setting(\"net\")) { note(\"k\", 2); }
    if setting(\"way\") == \"strict\" { note(\"k\", 3); }
}
fn message(session, mail, message) {
    let ends = setting(\"ends\");
    if message.attachments.some(|part| is_bad(part, ends)) { note(\"k\", 4); }
}
fn is_bad(part, ends) { ends.contains(part.extension) || setting(\"kinds\").some(|kind| kind == part.extension || part.real_type == kind) }
";
const FIVE: &str = "fn is_like(pattern, text) { glob(pattern, text) }\n";

fn set(values: &[(&str, &[&str])]) -> Vec<String> {
    let (dir, mut sources) = folder(&[("30-trap.rhai", TRAP), ("lib/five.rhai", FIVE)]);
    let settings = values.iter().map(|(name, texts)| {
        let texts: Vec<_> = texts.iter().map(|text| Setting::Text((*text).to_owned())).collect();
        let value =
            if texts.len() == 1 && *name != "traps" { texts[0].clone() } else { Setting::Array(texts) };
        ((*name).to_owned(), value)
    });
    sources.settings.insert("trap".into(), settings.collect());
    told(&sources, dir.path())
}

#[test]
fn a_setting_has_what_it_is_compared_with() {
    for (values, problem) in [
        (
            ("traps", &["Old@Example.org"][..]),
            "warning: gatepost.yaml: policies.settings.trap.traps: `rcpt.address` is in lower case, and never `Old@Example.org`; write \"old@example.org\"",
        ),
        (
            ("traps", &["old@example.org", "example.org"]),
            "warning: gatepost.yaml: policies.settings.trap.traps: `rcpt.address` is an address, and never `example.org`; it is taken letter by letter",
        ),
        (
            ("patterns", &["dsl-*", "DSL-*"]),
            "warning: gatepost.yaml: policies.settings.trap.patterns: `text` is in lower case, and has never `DSL-*` in it; write \"dsl-*\"",
        ),
        (
            ("ends", &["com", ".exe"]),
            "warning: gatepost.yaml: policies.settings.trap.ends: `part.extension` is what follows the last dot, and never `.exe`; write \"exe\"",
        ),
        (
            ("net", &["192.0.2.0/33"]),
            "error: gatepost.yaml: policies.settings.trap.net must be a network such as 192.0.2.0/24; write it like its default, `net: 192.0.2.0/24`",
        ),
        (("traps", &["old@example.org"]), ""),
        (("traps", &[""]), ""),
        // It may be a type of content.
        (("kinds", &["com", "application/x.exe"]), ""),
        (
            ("kinds", &["com", "EXE"]),
            "warning: gatepost.yaml: policies.settings.trap.kinds: `part.extension` is in lower case, and never `EXE`; write \"exe\"",
        ),
        (("net", &["2001:db8::1"]), ""),
        // What else it may be, the script alone knows.
        (("way", &["Lax"]), ""),
    ] {
        assert_eq!(set(&[values]).join("\n"), problem, "{values:?}");
    }
}

/// Those of domains, the defaults, and the line where an entry stands.
#[test]
fn values_of_settings_are_looked_at_wherever_they_stand() {
    let (dir, mut sources) =
        folder(&[("30-trap.rhai", &TRAP.replace("default@", "Default@")), ("lib/five.rhai", FIVE)]);
    let net = [("net".to_owned(), Setting::Text("nowhere".to_owned()))];
    let domain =
        DomainSource { settings: [("trap".to_owned(), net.into())].into(), ..DomainSource::default() };
    sources.domains.insert("example.org".into(), domain);
    let traps = [("traps".to_owned(), Setting::Array(vec![Setting::Text("A@example.org".to_owned())]))];
    sources.settings.insert("trap".into(), traps.into());
    let position = crate::diagnostic::Position::new(3, 5, 1);
    sources.places = Places {
        text: Some("a\nb\nc\n".into()),
        keys: [("policies.settings.trap.traps.0".to_owned(), position)].into(),
    };
    let told = told(&sources, dir.path());
    let starts = |part: &str| told.iter().any(|told| told.starts_with(part));
    assert!(
        starts(
            "warning: 30-trap.rhai:1:21: `rcpt.address` is in lower case, and never `Default@example.org`"
        ),
        "{told:?}"
    );
    assert!(
        starts(
            "error: gatepost.yaml: policies.domains.example.org.settings.trap.net must be a network such as"
        ),
        "{told:?}"
    );
    assert!(starts("warning: gatepost.yaml:3:5: policies.settings.trap.traps: "), "{told:?}");
    assert_eq!(told.len(), 3, "{told:?}");
}
