use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::super::judgement::{Action, Mode};
use super::super::sources::{EntrySource, Selection, Sources, TableSource};
use super::*;
use crate::session::stage::Stage;

mod asked;
mod bent;
mod settings;
mod stages;

const RELAY: &str =
    "const GATE = true;\nfn rcpt(session, mail, rcpt) { reject(\"denied\", \"relaying denied\"); }\n";

/// A folder with a relay gate and these files.
fn folder(files: &[(&str, &str)]) -> (TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("00-relay.rhai", RELAY)].iter().chain(files) {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let sources = Sources {
        dir: dir.path().to_owned(),
        listeners: vec![("mx".to_owned(), Selection::All)],
        config: "gatepost.yaml".into(),
        ..Sources::default()
    };
    (dir, sources)
}

/// All errors of a set with one more file, on one line each, without the folder.
fn errors_of(name: &str, text: &str) -> Vec<String> {
    let (dir, sources) = folder(&[(name, text)]);
    errors(&sources, dir.path())
}

fn errors(sources: &Sources, dir: &Path) -> Vec<String> {
    let problems = Policies::load(sources).err().unwrap_or_default();
    let prefix = format!("{}/", dir.display());
    problems.iter().map(|problem| problem.one_line().replace(&prefix, "")).collect()
}

/// What the operator reads first is what has to be put right: the rest may follow from it.
#[test]
fn what_does_not_compile_comes_before_what_follows_from_it() {
    let (dir, sources) = folder(&[
        ("08-early.rhai", "fn helo(session) { skip(\"helo\"); }"),
        ("10-helo.rhai", "fn helo(session) { reject("),
    ]);
    let errors = errors(&sources, dir.path());
    assert!(
        errors[0].starts_with("10-helo.rhai:1:") && errors[1].contains("there is no policy"),
        "{errors:?}"
    );
}

#[test]
fn the_shipped_policies_load_and_every_rule_is_known() {
    let sources = Sources {
        dir: concat!(env!("CARGO_MANIFEST_DIR"), "/policies").into(),
        listeners: vec![("mx".to_owned(), Selection::All)],
        ..Sources::default()
    };
    let policies = Policies::load(&sources).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|problem| problem.render(false)).collect::<Vec<_>>().join("\n"))
    });
    assert_eq!(policies.warnings(), []);
    let names: Vec<_> = policies.policies().map(|policy| policy.name.to_string()).collect();
    assert_eq!(
        names,
        [
            "relay",
            "protocol",
            "manners",
            "logins",
            "lists",
            "helo",
            "client",
            "tls",
            "sender",
            "bounce",
            "recipients",
            "size",
            "rates",
            "dnsbl",
            "spamtrap",
            "spf",
            "submission",
            "dmarc",
            "headers",
            "attachments",
            "greylist"
        ]
    );
    for policy in policies.policies() {
        assert!(!policy.doc.is_empty(), "{} says nothing about itself", policy.name);
    }
    let shadow = policies.rules().iter().filter(|rule| rule.mode == Mode::Shadow).map(|rule| &*rule.rule);
    assert_eq!(
        shadow.collect::<Vec<_>>(),
        [
            "manners.early-commands",
            "logins.shut-out",
            "logins.guessing",
            "logins.shut-out",
            "helo.unresolved",
            "client.no-name",
            "tls.plaintext",
            "tls.certificate",
            "recipients.guessed-before",
            "rates.per-client",
            "rates.per-user",
            "rates.recipients-per-client",
            "dnsbl.client",
            "dnsbl.url",
            "spf.fail",
            "submission.unknown-login",
            "submission.null-sender",
            "headers.no-date",
            "headers.no-message-id",
            "headers.duplicate-field",
            "attachments.unseen",
            "greylist.wait"
        ]
    );
    let relay = &policies.rules()[0];
    assert_eq!(
        (&*relay.rule, relay.stage, relay.action, relay.code),
        ("relay.denied", Stage::Rcpt, Action::Reject, 550)
    );
    assert_eq!((&*relay.file, relay.line, relay.gate), ("00-relay.rhai", 21, true));
}

/// What must be refused, at which place of `10-x.rhai`, in which words.
#[test]
fn every_unsafe_script_is_refused_with_its_place() {
    let table = [
        ("fn reject(a, b) {}", "1:4: this would replace Gatepost's own function `reject`"),
        ("fn reject(a) {}", "1:4: this would replace Gatepost's own function `reject`"),
        ("fn len(a) {}", "1:4: this would replace Gatepost's own function `len`"),
        ("let x = 1;", "1:1: this would never run"),
        ("if true { reject(\"a\", \"b\"); }", "1:1: this would never run"),
        ("reject(\"a\", \"b\");", "1:1: this would never run"),
        ("const MOD = \"shadow\";", "1:7: Gatepost knows no constant `MOD`; did you mean `MODE`?"),
        ("const LIMIT = 5;", "1:7: Gatepost knows no constant `LIMIT`; values of your own"),
        ("const MODE = \"shadwo\";", "1:14: a mode is"),
        ("const GATE = 1;", "1:14: GATE is"),
        (
            "const MODE = \"enforce\";\nconst MODE = \"shadow\";",
            "2:7: `MODE` is there twice, first in line 1",
        ),
        ("const SETTINGS = #{};\n\nconst SETTINGS = #{};", "3:7: `SETTINGS` is there twice, first in line 1"),
        ("const GATE = 1 == 1;", "1:"),
        ("const SETTINGS = #{ a: b };", "1:"),
        ("const SETTINGS = #{ \"A b\": 1 };", "1:21: `A b` is no name for a setting"),
        ("const SETTINGS = #{ a: [1, \"x\"] };", "1:24: a default is a literal"),
        ("const LISTS = \"own\";", "1:15: LISTS is an array of names"),
        ("const TABLES = [\"a b\"];", "1:16: TABLES is an array of names"),
        ("const LISTS = [5];", "1:15: LISTS is an array of names"),
        ("const MODES = #{ a: \"shadow\" };", "1:18: this policy has no rule `a`"),
        ("const RULES = #{ a: #{ why: \"x\" } };", "1:18: this policy has no rule `a`"),
        ("const RULES = \"a\";", "1:15: RULES is a map"),
        ("const RULES = #{ a: \"x\" };", "1:21: RULES is a map"),
        (
            "const RULES = #{ a: #{ whi: \"x\" } };",
            "1:24: of a rule RULES says why, otherwise, advice, and no `whi`",
        ),
        ("const RULES = #{ a: #{ why: 5 } };", "1:29: `why` is a literal text of at most 500 characters"),
        ("const RULES = #{ a: #{ why: \" \" } };", "1:29: `why` is a literal text of at most 500 characters"),
        (
            "const RULES = #{ r: #{ why: \"{hello}\" } }; fn helo(session) { reject(\"r\", \"t\"); }",
            "1:18: nothing is known that would be filled in for `{hello}`",
        ),
        (
            "fn helo(session) { reject(session.helo, \"x\"); }",
            "1:27: the rule of `reject` must be written out",
        ),
        (
            "fn helo(session) { reject('x', \"x\"); }",
            "1:27: the rule of `reject` must be written out as a text in double quotes; 'x' is a single character",
        ),
        ("fn helo(session) { reject(`x${1}`, \"x\"); }", "1:27: the rule of `reject` must be written out"),
        (
            "fn helo(session) { reject(\"Bad Name\", \"x\"); }",
            "1:27: `Bad Name` cannot be the name of a rule",
        ),
        ("fn helo(session) { reject(\"error\", \"x\"); }", "1:27: `error` cannot be the name of a rule"),
        ("fn helo(session) { reject(\"x\", \"5.7.1\"); }", "1:32: the last argument is the text"),
        ("fn helo(session) { reject(\"x\"); }", "1:20: `reject` takes (rule, text)"),
        ("fn helo(session) { reject(\"x\", 250, \"2.0.0\", \"t\"); }", "1:32: this is not a reply code"),
        ("fn helo(session) { defer(\"x\", 550, \"5.7.1\", \"t\"); }", "1:31: this is not a reply code"),
        ("fn helo(session) { disconnect(\"x\", 451, \"4.7.1\", \"t\"); }", "1:36: this is not a reply code"),
        (
            "fn helo(session) { reject(\"x\", 550, \"4.7.1\", \"t\"); }",
            "1:20: the enhanced code 4.7.1 does not belong to the code 550",
        ),
        (
            "fn helo(session) { disconnect(\"x\", \"5.7.1\", \"t\"); }",
            "1:20: the enhanced code 5.7.1 does not belong to the code 421",
        ),
        ("fn helo(session) { reject(\"x\", \"571\", \"t\"); }", "1:32: this is no enhanced status code"),
        (
            "fn helo(session) { let e = \"5.7.1\"; reject(\"x\", e, \"t\"); }",
            "1:49: this is no enhanced status code",
        ),
        ("fn helo(session) { \"x\".reject(\"t\"); }", "1:24: `reject` is no method"),
        ("fn helo(session) { [1].for_each(|| reject(session.helo, \"t\")); }", "1:"),
        ("fn helo(session) { discard(\"x\", \"t\"); }", "1:20: `discard` has no effect at stage `helo`"),
        (
            "fn helo(session) { later(); } fn later() { discard(\"x\", \"t\"); }",
            "1:44: `discard` has no effect at stage `helo`",
        ),
        ("fn close(session) { reject(\"x\", \"t\"); }", "1:21: `reject` has no effect at stage `close`"),
        (
            "fn mail(session, mail) { limit_size(\"x\", 5); }",
            "1:26: `limit_size` has no effect at stage `mail`",
        ),
        (
            "fn helo(session, mail) {}",
            "1:4: the function of stage `helo` has 1 parameter; write `fn helo(session)`",
        ),
        (
            "fn rcpt(session, mail) {}",
            "1:4: the function of stage `rcpt` has 3 parameters; write `fn rcpt(session, mail, rcpt)`",
        ),
        ("fn helo(session) { skip(\"rleay\"); }", "1:25: there is no policy `rleay`; did you mean `relay`?"),
        ("fn helo(session) { skip(\"relay\"); }", "1:25: `relay` is a gate"),
        ("fn helo(session) { skip(\"relay.denied\"); }", "1:25: `relay` is a gate"),
        (
            "fn helo(session) { skip(session.helo); }",
            "1:25: the policy or rule of `skip` must be written out",
        ),
        ("fn helo(session) { setting(\"max\"); }", "1:28: `max` is not declared in SETTINGS"),
        (
            "const SETTINGS = #{ maximum: 1 }; fn helo(session) { setting(\"maxmum\"); }",
            "1:62: `maxmum` is not declared in SETTINGS of this policy; did you mean `maximum`?",
        ),
        ("fn rcpt(session, mail, rcpt) { rcpt.setting(\"max\"); }", "1:45: `max` is not declared"),
        (
            "fn helo(session) { session.helo in list(\"x\"); }",
            "1:41: no list `x` is configured; add it to policies.lists",
        ),
        ("fn helo(session) { list(session.helo); }", "1:25: the list of `list` must be written out"),
        (
            "fn helo(session) { matches(session.helo, \"x\"); }",
            "1:28: the pattern of `matches` must be written out",
        ),
        (
            "fn helo(session) { matches(\"a(\", session.helo); }",
            "1:28: this regular expression does not compile: unclosed group",
        ),
        (
            "fn message(session, mail, message) { override_dmarc(\"because\"); }",
            "1:53: `because` is none of the words that can stand here; it is one of",
        ),
        ("fn helo(session) { eval(\"1\"); }", "1:20: reserved keyword 'eval' is disabled"),
        ("fn helo(session) { Fn(\"reject\"); }", "1:20: reserved keyword 'Fn' is disabled"),
        ("fn helo(session) { call(\"reject\"); }", "1:20: reserved keyword 'call' is disabled"),
        ("fn helo(session) { print(1); }", "1:20: reserved keyword 'print' is disabled"),
        ("fn helo(session) { debug(1); }", "1:20: reserved keyword 'debug' is disabled"),
        ("import \"x\" as y;", "1:1: "),
        ("fn helo(session) { import \"/etc/passwd\" as p; p::f() }", "1:20: "),
        ("fn helo(session) { sleep(1); }", "1:20: "),
        ("fn helo(session) { timestamp(); }", "1:20: "),
        (
            "fn helo(session) { rejekt(\"x\", \"t\"); }",
            "1:20: there is no function `rejekt`; did you mean `reject`?",
        ),
        ("fn helo(session) { nope; }", "1:20: Undefined variable"),
        ("const X = 1; fn helo(session) { global::X }", "1:"),
        ("fn helo(session) { if true { }", "1:31: "),
        ("fn helo(session) { unknown::f(1); }", "1:"),
        ("fn helo(session) { [\"a\"].for_each(reject); }", "1:35: "),
    ];
    for (script, expected) in table {
        let errors = errors_of("10-x.rhai", script);
        let wanted = format!("10-x.rhai:{expected}");
        assert!(
            errors.iter().any(|error| error.starts_with(&wanted)),
            "{script}\nwanted {wanted}\ngot {errors:#?}"
        );
    }
}

/// `mail` is what a stage's function gets, and the name of another stage's function: reading it calls nothing.
#[test]
fn a_variable_named_like_a_stage_leads_nowhere() {
    let (_dir, sources) = folder(&[(
        "10-x.rhai",
        "fn rcpt(session, mail, rcpt) { limit_size(\"big\", 1000); }\n\
         fn message(session, mail, message) { for rcpt in mail.recipients { if rcpt.is_ours { return; } } }\n",
    )]);
    let policies = Policies::load(&sources).unwrap();
    let stages: Vec<_> =
        policies.rules().iter().filter(|rule| &*rule.rule == "x.big").map(|rule| rule.stage).collect();
    assert_eq!(stages, [Stage::Rcpt]);
}

#[test]
fn all_problems_of_all_files_are_told_at_once() {
    let (dir, sources) = folder(&[
        ("10-a.rhai", "fn helo(session) { reject(\"x\", \"5.7.1\"); skip(\"nobody\"); }\nlet x = 1;"),
        ("20-b.rhai", "fn helo(session) {"),
        ("30-c.rhai", "fn rcpt(a) {}"),
        ("lib/net.rhai", "fn f(x) { reject(\"x\", \"y\"); }"),
    ]);
    let errors = errors(&sources, dir.path());
    assert_eq!(errors.len(), 6, "{errors:#?}");
}

#[test]
fn undefined_variables_hide_nothing_behind_them() {
    let script = "fn helo(session) {\n    let a = \"ä\"; if sesion.helo == nope { rejekt(\"x\", \"t\"); }\n}";
    assert_eq!(
        errors_of("10-x.rhai", script),
        [
            "10-x.rhai:2:21: Undefined variable: sesion; did you mean `session`?",
            "10-x.rhai:2:36: Undefined variable: nope; a variable is declared with `let nope = ...`; a text has double quotes: \"nope\"",
            "10-x.rhai:2:43: there is no function `rejekt`; did you mean `reject`?",
        ]
    );
}

/// What follows from a mistake that is told already is not told as another one.
#[test]
fn one_mistake_is_told_once() {
    for (script, told) in [
        (
            "fn helo(session) { if x = 5 { return; } }",
            "10-x.rhai:1:23: Undefined variable: x; declare it: `let x = ...`",
        ),
        ("fn helo(session) { x = 5; }", "10-x.rhai:1:20: Undefined variable: x; declare it: `let x = ...`"),
        (
            "fn rctp(session, mail, rcpt) { reject(\"x\", \"no\"); }\nfn close(session) { session.id; }",
            "10-x.rhai:1:4: there is no stage `rctp`, and no stage's function calls this; did you mean `fn rcpt(session, mail, rcpt)`?",
        ),
    ] {
        assert_eq!(errors_of("10-x.rhai", script), [told], "{script}");
    }
}

#[test]
fn a_library_is_pure_and_known_by_its_name() {
    let uses = "fn helo(session) { if net::inner(session.helo) { reject(\"x\", net::TEXT); } }";
    let (_dir, sources) = folder(&[
        ("lib/net.rhai", "const SECRET = \"a\"; fn inner(x) { x == global::SECRET }"),
        ("10-x.rhai", "fn helo(session) { if net::inner(session.helo) { reject(\"x\", \"y\"); } }"),
    ]);
    Policies::load(&sources).unwrap();
    let impure = [
        ("fn f() { reject(\"a\", \"b\") }", "a library cannot say `reject`"),
        ("fn f() { tag(\"a\", \"b\") }", "a library cannot say `tag`"),
        ("fn f() { setting(\"a\") }", "a library cannot say `setting`"),
        ("fn f() { now() }", "a library cannot say `now`"),
        ("fn f() { dns_a(\"x\") }", "a library cannot say `dns_a`"),
        ("fn reject(a) { }", "this would replace"),
        ("let x = 1;", "only functions and literal constants"),
        ("fn f() { other::g() }", "other"),
    ];
    for (script, expected) in impure {
        let (dir, sources) = folder(&[("lib/net.rhai", script), ("lib/other.rhai", "fn g() { 1 }")]);
        let errors = errors(&sources, dir.path());
        assert!(
            errors.iter().any(|error| error.starts_with("lib/net.rhai:1:") && error.contains(expected)),
            "{script}: {errors:#?}"
        );
    }
    assert!(!errors_of("10-x.rhai", uses).is_empty(), "a library that is not there");
}

#[test]
fn a_listener_without_a_relay_gate_is_refused() {
    let (dir, mut sources) = folder(&[
        ("10-helo.rhai", "fn helo(session) {}"),
        ("12-fake.rhai", "fn rcpt(session, mail, rcpt) { reject(\"x\", \"y\"); }"),
    ]);
    let gate = "gatepost.yaml: the listener `mx` would be an open relay";
    let selections = [
        (Selection::All, false),
        (Selection::Only(vec!["relay".into()]), false),
        (Selection::Except(vec!["helo".into()]), false),
        (Selection::Only(vec!["helo".into(), "fake".into()]), true),
        (Selection::Except(vec!["relay".into()]), true),
        (Selection::Only(vec![]), true),
    ];
    for (selection, refused) in selections {
        sources.listeners = vec![("mx".to_owned(), selection.clone())];
        let errors = errors(&sources, dir.path());
        assert_eq!(errors.iter().any(|error| error.starts_with(gate)), refused, "{selection:?}: {errors:#?}");
    }
    sources.listeners = vec![("mx".to_owned(), Selection::Only(vec!["relay".into(), "hleo".into()]))];
    assert_eq!(
        errors(&sources, dir.path()),
        ["gatepost.yaml: listeners.mx.policies: there is no policy `hleo`; did you mean `helo`?"]
    );
    let empty = tempfile::tempdir().unwrap();
    sources = Sources {
        dir: empty.path().to_owned(),
        listeners: vec![("mx".to_owned(), Selection::All)],
        ..Sources::default()
    };
    assert_eq!(errors(&sources, empty.path()).len(), 1, "an empty folder is no open relay");
    sources.dir = empty.path().join("not-there");
    assert!(errors(&sources, empty.path()).len() > 1);
}

#[test]
fn a_gate_cannot_be_softened() {
    for file in ["const MODE = \"shadow\";", "const MODES = #{ denied: \"off\" };"] {
        let (dir, sources) = folder(&[]);
        fs::write(dir.path().join("00-relay.rhai"), format!("{file}\n{RELAY}")).unwrap();
        assert!(errors(&sources, dir.path())[0].ends_with("a gate is always enforced"), "{file}");
    }
    for key in ["relay", "relay.denied"] {
        for mode in [Mode::Shadow, Mode::Off] {
            let (dir, mut sources) = folder(&[]);
            sources.modes.insert(key.to_owned(), mode);
            assert!(errors(&sources, dir.path())[0].ends_with("a gate is always enforced"), "{key}");
        }
    }
}

/// What a policy can do without is empty, and a misspelling of it is not taken for an intention.
#[test]
fn optional_lists_and_tables_may_be_missing() {
    let script = "const LISTS = [\"partners\"]; const TABLES = [\"owners\"];
        fn helo(session) { if session.helo in list(\"partners\") || table(\"owners\").get(\"x\") != \"\" { reject(\"a\", \"b\"); } }";
    let (_dir, mut sources) = folder(&[("10-x.rhai", script)]);
    assert_eq!(Policies::load(&sources).unwrap().warnings(), []);
    let entries = || EntrySource::Inline(vec!["a.test".to_owned()]);
    sources.lists.insert("partner".to_owned(), entries().into());
    sources.lists.insert("unrelated".to_owned(), entries().into());
    let warnings = Policies::load(&sources).unwrap();
    let [warning] = warnings.warnings() else { panic!("{:?}", warnings.warnings()) };
    let said = warning.render(false);
    assert!(said.contains("policies.lists.partner: no policy asks this list"), "{said}");
    assert!(said.contains("did you mean `partners`?"), "{said}");
    sources.lists.insert("partners".to_owned(), entries().into());
    assert_eq!(Policies::load(&sources).unwrap().warnings(), []);
}

/// Configuration for the rule, for the policy, MODES, MODE, enforce.
#[test]
fn the_nearest_word_about_a_mode_counts() {
    let script = "const MODE = \"off\"; const MODES = #{ a: \"shadow\" };
        fn helo(session) { reject(\"a\", \"t\"); reject(\"b\", \"t\"); }";
    let (_dir, mut sources) = folder(&[("10-x.rhai", script)]);
    let modes = |sources: &Sources| {
        let policies = Policies::load(sources).unwrap();
        let rules: Vec<_> = policies.rules().iter().skip(1).map(|rule| rule.mode.name()).collect();
        rules.join(" ")
    };
    assert_eq!(modes(&sources), "shadow off");
    sources.modes.insert("x".to_owned(), Mode::Enforce);
    assert_eq!(modes(&sources), "enforce enforce");
    sources.modes.insert("x.b".to_owned(), Mode::Shadow);
    assert_eq!(modes(&sources), "enforce shadow");
    sources.modes = [("x.c".to_owned(), Mode::Off), ("y".to_owned(), Mode::Off)].into();
    let problems = Policies::load(&sources).unwrap_err();
    assert_eq!(problems.len(), 2);
}

#[test]
fn a_skip_must_still_be_able_to_skip() {
    let later = "fn rcpt(session, mail, rcpt) { reject(\"r\", \"t\"); }";
    let table = [
        ("20-x.rhai", "fn mail(session, mail) { skip(\"late\"); }", true),
        ("20-x.rhai", "fn rcpt(session, mail, rcpt) { skip(\"late.r\"); }", true),
        ("40-x.rhai", "fn rcpt(session, mail, rcpt) { skip(\"late\"); }", false),
        ("20-x.rhai", "fn data(session, mail) { skip(\"late\"); }", false),
        ("40-x.rhai", "fn violation(session, event) { skip(\"late\"); }", true),
        ("20-x.rhai", "fn mail(session, mail) { skip(\"late.x\"); }", false),
    ];
    for (name, script, loads) in table {
        let (dir, sources) = folder(&[("30-late.rhai", later), (name, script)]);
        let errors = errors(&sources, dir.path());
        assert_eq!(errors.is_empty(), loads, "{script}: {errors:#?}");
    }
}

/// The tree keeps the arms of a `switch` in another order each time.
#[test]
fn rules_are_listed_in_the_order_of_their_lines() {
    let names = ["f", "b", "e", "a", "d", "c"];
    let arms: String =
        names.iter().map(|name| format!("    \"{name}\" => reject(\"{name}\", \"t\"),\n")).collect();
    let script = format!("fn helo(session) {{\n  switch session.helo {{\n{arms}    _ => ()\n  }}\n}}\n");
    let (_dir, sources) = folder(&[("10-x.rhai", &script)]);
    for _ in 0..8 {
        let policies = Policies::load(&sources).unwrap();
        let rules = policies.rules().iter().filter_map(|rule| rule.rule.strip_prefix("x."));
        assert_eq!(rules.collect::<Vec<_>>(), names);
    }
}

#[test]
fn rules_are_listed_by_stage_also_those_of_helpers_and_closures() {
    let script = "fn helo(session) { check(session); }
fn mail(session, mail) { check(session); mail.recipients.filter(|r| deep(r)); }
fn connect(session) { reject(\"c\", \"t\"); }
fn check(session) { defer(\"shared\", \"t\"); }
fn deep(r) { reject(\"deep\", 551, \"5.1.1\", \"t\"); }
";
    let (_dir, sources) = folder(&[("10-x.rhai", script)]);
    let policies = Policies::load(&sources).unwrap();
    let rules = policies.rules().iter().skip(1);
    let lines: Vec<_> = rules
        .map(|rule| {
            format!("{} {} {} {} {}", rule.rule, rule.stage, rule.action.name(), rule.code, rule.line)
        })
        .collect();
    assert_eq!(
        lines,
        [
            "x.c connect reject 554 3",
            "x.shared helo defer 451 4",
            "x.shared mail defer 451 4",
            "x.deep mail reject 551 5"
        ]
    );
}

#[test]
fn a_function_that_nobody_calls_is_a_warning() {
    let (_dir, sources) =
        folder(&[("10-x.rhai", "fn helo(session) { used() }\nfn used() { 1 }\nfn never(session) {}")]);
    let policies = Policies::load(&sources).unwrap();
    let [warning] = policies.warnings() else { panic!("{:?}", policies.warnings()) };
    assert!(
        warning
            .one_line()
            .ends_with("10-x.rhai:3:4: no stage's function ever calls this; call it, or take it away")
    );
}

#[test]
fn lists_are_read_and_their_errors_have_lines() {
    let script = "fn helo(session) { session.helo in list(\"bad\") }";
    let (dir, mut sources) = folder(&[("10-x.rhai", script)]);
    let path = dir.path().join("bad.txt");
    fs::write(&path, "# comment\nexample.org # fine\n\n  not an entry\n192.0.2.0/33\n").unwrap();
    sources.lists.insert("bad".to_owned(), EntrySource::File(path.clone()).into());
    assert_eq!(
        errors(&sources, dir.path()),
        [
            "bad.txt:4:3: list `bad`: `not an entry` is no address, domain or network: each stands by itself, in a file on a line of its own",
            "bad.txt:5:1: list `bad`: `192.0.2.0/33` is no network: write a whole one, such as `192.0.2.0/24` or `2001:db8::/32`"
        ]
    );
    fs::write(&path, "example.org\n").unwrap();
    Policies::load(&sources).unwrap();
    sources.lists.insert("bad".to_owned(), EntrySource::Inline(vec!["a b".to_owned()]).into());
    assert_eq!(
        errors(&sources, dir.path()),
        [
            "gatepost.yaml: list `bad`: `a b` is no address, domain or network: each stands by itself, in a file on a line of its own"
        ]
    );
}

/// Each with its place, but a list of which thousands are over fills no log, and none stops a load.
#[test]
fn entries_that_are_over_are_told_of() {
    let (dir, mut sources) = folder(&[]);
    let list = dir.path().join("l.txt");
    let old: String =
        (0..1000).map(|n| format!("192.0.2.{}/32 until 2026-01-0{}\n", n % 256, n % 2 + 1)).collect();
    fs::write(&list, format!("# partners\n  a.example until 2026-03-31  # moves\nb.example\n{old}")).unwrap();
    sources.lists.insert("l".to_owned(), EntrySource::File(list).into());
    sources.today = Some("2026-04-01".parse().unwrap());
    sources.deny_warnings = true;
    let told = |sources: &Sources| -> Vec<String> {
        let prefix = format!("{}/", dir.path().display());
        let policies = Policies::load(sources).unwrap();
        policies.warnings().iter().map(|warning| warning.one_line().replace(&prefix, "")).collect()
    };
    let help = "take it out, or give it another day";
    assert_eq!(
        told(&sources),
        [
            format!("l.txt:2:3: list `l`: this entry ended on 2026-03-31 and is not heeded; {help}"),
            format!("l.txt:4:1: list `l`: this entry ended on 2026-01-01 and is not heeded; {help}"),
            format!(
                "l.txt:5:1: list `l`: this entry ended on 2026-01-02 and is not heeded, nor are 998 more below it; {help}"
            ),
        ]
    );
    let inline = vec!["c.example until 2026-03-31".to_owned()];
    sources.lists = [("in".to_owned(), EntrySource::Inline(inline).into())].into();
    assert_eq!(
        told(&sources),
        [format!("gatepost.yaml: list `in`: this entry ended on 2026-03-31 and is not heeded; {help}")]
    );
}

/// Some editors put a mark in front of a text, that nobody sees.
#[test]
fn a_byte_order_mark_is_no_part_of_a_file() {
    let script = "\u{feff}fn helo(session) { table(\"t\").get(session.helo) in list(\"l\") }";
    let (dir, mut sources) = folder(&[("10-x.rhai", script)]);
    let path = |name: &str| dir.path().join(name);
    fs::write(path("l.txt"), "\u{feff}first.example\r\nsecond.example\r\n").unwrap();
    fs::write(path("t.txt"), "\u{feff}key: value\r\n").unwrap();
    sources.lists.insert("l".to_owned(), EntrySource::File(path("l.txt")).into());
    sources.tables.insert("t".to_owned(), TableSource::File(path("t.txt")));
    let policies = Policies::load(&sources).unwrap();
    let list = policies.list("l").unwrap();
    assert!(list.contains("first.example") && list.contains("second.example"));
    assert_eq!(policies.table("t").unwrap().values("key").collect::<Vec<_>>(), ["value"]);
}

#[test]
fn an_entry_counts_until_its_day_is_over() {
    let (dir, mut sources) = folder(&[]);
    let list = dir.path().join("l.txt");
    fs::write(&list, "a.example until 2027-03-31 # moves\n192.0.2.0/24\n").unwrap();
    sources.lists.insert("l".to_owned(), EntrySource::File(list.clone()).into());
    let inline = vec!["b.example until 2027-03-31".to_owned()];
    sources.lists.insert("inline".to_owned(), EntrySource::Inline(inline).into());
    for (today, counts) in [("2027-03-30", true), ("2027-03-31", true), ("2027-04-01", false)] {
        sources.today = Some(today.parse().unwrap());
        let policies = Policies::load(&sources).unwrap();
        assert_eq!(policies.list("l").unwrap().contains("a.example"), counts, "{today}");
        assert_eq!(policies.list("inline").unwrap().contains("b.example"), counts, "{today}");
        assert!(policies.list("l").unwrap().contains("192.0.2.9"), "{today}");
        let warnings: Vec<_> = policies.warnings().iter().map(Diagnostic::one_line).collect();
        assert_eq!(warnings.is_empty(), counts, "{warnings:?}");
    }
    fs::write(&list, "\n  a.example until soon # moves\n").unwrap();
    assert_eq!(
        errors(&sources, dir.path()),
        ["l.txt:2:19: list `l`: `soon` is no day: write it as 2027-03-31"]
    );
}

#[test]
fn tables_are_read_and_their_errors_have_lines() {
    let script = "fn mail(session, mail) { table(\"bad\").get(session.auth.user) }\nfn helo(session) { table(\"bda\") }";
    let (dir, mut sources) = folder(&[("10-x.rhai", script)]);
    let path = dir.path().join("bad.txt");
    fs::write(&path, "# logins\njane: jane@example.org\n\n  joe  # nothing\nJANE: x\n").unwrap();
    sources.tables.insert("bad".to_owned(), TableSource::File(path));
    sources.tables.insert("in".to_owned(), TableSource::Inline(vec![("a".to_owned(), Vec::new())]));
    assert_eq!(
        errors(&sources, dir.path()),
        [
            "10-x.rhai:2:26: no table `bda` is configured; did you mean `bad`?",
            "bad.txt:4:3: table `bad`: this is no line of a table: write it as `KEY: VALUE, VALUE`",
            "bad.txt:5:1: table `bad`: the key `JANE` is there twice",
            "gatepost.yaml: table `in`: the key `a` has no value"
        ]
    );
}

#[test]
fn of_a_file_that_is_no_list_not_every_line_is_reported() {
    let (dir, mut sources) = folder(&[]);
    let list = dir.path().join("l.txt");
    fs::write(&list, "no entry\n".repeat(1_000)).unwrap();
    sources.lists.insert("l".to_owned(), EntrySource::File(list).into());
    assert_eq!(errors(&sources, dir.path()).len(), 20);
}

proptest::proptest! {
    /// Whatever stands in a file, the operator gets words and never a panic.
    #[test]
    fn no_text_makes_the_loader_panic(
        words in proptest::collection::vec(proptest::sample::select(SOUP.to_vec()), 0..24),
        noise in "\\PC{0,12}",
    ) {
        let (dir, sources) = folder(&[("10-x.rhai", &format!("{}{noise}", words.concat()))]);
        for error in errors(&sources, dir.path()) {
            proptest::prop_assert!(!error.is_empty());
        }
    }
}

/// Pieces that scripts are made of.
const SOUP: [&str; 28] = [
    "fn ",
    "helo",
    "(session)",
    "{",
    "}",
    "reject",
    "(",
    ")",
    "\"a\"",
    ",",
    ";",
    "const ",
    "MODES",
    " = ",
    "#{",
    "skip",
    "|x| ",
    "net::",
    "setting",
    "\n",
    "if ",
    "matches",
    "'",
    "`${",
    "5",
    "in ",
    "this",
    "loop ",
];

#[test]
fn files_have_bounds() {
    let (dir, sources) = folder(&[("10-x.rhai", &"// long\n".repeat(40_000))]);
    fs::create_dir(dir.path().join("20-y.rhai")).unwrap();
    fs::write(dir.path().join("30-z.rhai"), b"// \xff\n").unwrap();
    fs::write(dir.path().join(".40-hidden.rhai"), b"(").unwrap();
    fs::write(dir.path().join("README.md"), b"(").unwrap();
    assert_eq!(
        errors(&sources, dir.path()),
        [
            "10-x.rhai: the file cannot be read: larger than 256KiB",
            "20-y.rhai: the file cannot be read: not a regular file",
            "30-z.rhai: the file cannot be read: not UTF-8 at byte 3"
        ]
    );
}

/// What stands in the place of a script may be anything: it is opened once, never waited for, and never read without an end.
#[test]
fn only_regular_files_are_read() {
    let (dir, sources) = folder(&[("10-x.rhai", &"x".repeat(10 * 1024 * 1024))]);
    let link = |name: &str, target: &str| std::os::unix::fs::symlink(target, dir.path().join(name)).unwrap();
    link("20-endless.rhai", "/dev/zero");
    link("30-circle.rhai", "30-circle.rhai");
    link("40-nowhere.rhai", "nowhere");
    link("50-folder.rhai", "/");
    let fifo = dir.path().join("60-fifo.rhai");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let errors = errors(&sources, dir.path());
    assert_eq!(errors.len(), 6, "{errors:#?}");
    for (error, expected) in errors.iter().zip([
        "10-x.rhai: the file cannot be read: larger than 256KiB",
        "20-endless.rhai: the file cannot be read: not a regular file",
        "30-circle.rhai: the file cannot be read: ",
        "40-nowhere.rhai: the file cannot be read: ",
        "50-folder.rhai: the file cannot be read: not a regular file",
        "60-fifo.rhai: the file cannot be read: not a regular file",
    ]) {
        assert!(error.starts_with(expected), "{error}");
    }
}

/// As Kubernetes mounts files: links to files behind a folder that is swapped.
#[test]
fn links_to_regular_files_are_read() {
    let (dir, sources) = folder(&[("data/10-x.rhai", "fn helo(session) { if session.inside { return; } }")]);
    std::os::unix::fs::symlink("data", dir.path().join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/10-x.rhai", dir.path().join("10-x.rhai")).unwrap();
    assert!(Policies::load(&sources).unwrap().policies().any(|policy| *policy.name == *"x"));
}

#[test]
fn names_of_policies_are_unique_and_plain() {
    let (dir, sources) = folder(&[("10-x.rhai", ""), ("20-x.rhai", ""), ("30-Ü.rhai", "")]);
    let errors = errors(&sources, dir.path());
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].starts_with("20-x.rhai: the policy `x` is there twice, also in 10-x.rhai"));
    assert!(errors[1].starts_with("30-Ü.rhai: `Ü` cannot be the name of a policy"));
}

#[test]
fn the_fingerprint_changes_with_every_file_and_with_nothing_else() {
    let (dir, mut sources) = folder(&[("10-x.rhai", "// one"), ("lib/net.rhai", "// two")]);
    let list = dir.path().join("list.txt");
    fs::write(&list, "example.org").unwrap();
    sources.lists.insert("l".to_owned(), EntrySource::File(list.clone()).into());
    let mut seen = vec![sources.fingerprint()];
    let mut changed = |sources: &Sources, what: &str| {
        let now = sources.fingerprint();
        assert!(!seen.contains(&now), "{what}");
        seen.push(now);
    };
    fs::write(dir.path().join("10-x.rhai"), "// One").unwrap();
    changed(&sources, "a policy");
    fs::write(dir.path().join("lib/net.rhai"), "// Two").unwrap();
    changed(&sources, "a library");
    fs::write(&list, "example.net").unwrap();
    changed(&sources, "a list");
    fs::rename(dir.path().join("10-x.rhai"), dir.path().join("20-x.rhai")).unwrap();
    changed(&sources, "a name");
    let table = dir.path().join("table.txt");
    fs::write(&table, "a: b").unwrap();
    sources.tables.insert("t".to_owned(), TableSource::File(table.clone()));
    changed(&sources, "another file");
    fs::write(&table, "a: c").unwrap();
    changed(&sources, "a table");
    fs::remove_file(&list).unwrap();
    changed(&sources, "a file that is gone");
    fs::write(dir.path().join("notes.txt"), "x").unwrap();
    assert_eq!(sources.fingerprint(), *seen.last().unwrap());
}

/// A name that nothing keeps would be a "no" for ever, and a rate that is none a 451 when mail comes.
#[test]
fn what_is_counted_and_remembered_has_names_that_are_known() {
    for (body, expected) in [
        ("rate(x, \"k\", \"1/m\");", "must be written out as a text in double quotes"),
        ("rate(\"A b\", \"k\", \"1/m\");", "`A b` cannot be a rule"),
        ("rate(\"r\", \"k\", \"1/month\");", "`1/month` is no limit of a rate such as 60/m"),
        ("remembered(\"hit\", \"k\");", "the policy `x` remembers nothing as `hit`"),
        ("remember(\"hit\", \"k\", \"1h\"); remembered(\"hut\", \"k\");", "did you mean `hit`?"),
        ("remembered(\"y.hit\", \"k\");", "there is no policy `y`"),
        ("remember(\"x.hit\", \"k\", \"1h\");", "`x.hit` cannot be a name"),
        ("\"hit\".remember(\"k\", \"1h\");", "`remember` is no method"),
    ] {
        let text = format!("fn mail(session, mail) {{ let x = \"r\"; {body} }}");
        let (dir, sources) = folder(&[("10-x.rhai", &text)]);
        let problems = Policies::load(&sources).err().unwrap_or_default();
        let shown: Vec<_> = problems.iter().map(|problem| problem.render(false)).collect();
        assert_eq!(problems.len(), 1, "{body}: {shown:#?}");
        assert!(shown[0].contains(expected), "{body}: {}", shown[0]);
        drop(dir);
    }
    let text =
        "fn mail(session, mail) { rate(\"per-clint\", \"k\", \"1/m\"); defer(\"per-client\", \"t\"); }";
    let (_dir, sources) = folder(&[("10-x.rhai", text)]);
    let warnings = Policies::load(&sources).unwrap().warnings().to_vec();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].render(false).contains("did you mean `per-client`?"));
}

#[test]
fn scripts_where_nobody_reads_them_are_told() {
    let relay =
        ("00-relay.rhai", "const GATE = true;\nfn rcpt(session, mail, rcpt) { reject(\"no\", \"no\"); }\n");
    let (dir, sources) = folder(&[relay, ("90-y.RHAI", "nonsense"), (".hidden.Rhai", ""), ("notes.txt", "")]);
    for (name, script) in
        [("custom", "10-x.rhai"), ("tests", "10-x.rhai"), ("data", "list.txt"), ("LIB", "net.rhai")]
    {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join(script), "nonsense").unwrap();
    }
    let warnings = Policies::load(&sources).unwrap().warnings().to_vec();
    let told: Vec<_> = warnings.iter().map(|warning| warning.render(false)).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    for (path, message) in [
        ("LIB", "did you mean `lib`?"),
        ("custom", "no policy is read from this folder"),
        ("90-y.RHAI", "this is no policy: its name has to end with `.rhai`"),
    ] {
        assert!(told.iter().any(|one| one.contains(path) && one.contains(message)), "{message}: {told:?}");
    }
}

#[test]
fn what_is_kept_needs_a_place() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("00-relay.rhai"),
        "const GATE = true;\nfn rcpt(session, mail, rcpt) { quarantine(\"trap\", \"no\"); }\n",
    )
    .unwrap();
    let mut sources = Sources {
        dir: dir.path().to_owned(),
        listeners: vec![("mx".to_owned(), Selection::All)],
        ..Sources::default()
    };
    let problems = Policies::load(&sources).unwrap_err();
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert!(problem.render(false).contains("needs a quarantine, and none is configured"), "{problem:?}");
    sources.quarantine = true;
    assert!(Policies::load(&sources).is_ok());
}
