//! The classes of mistakes, each in five positions, with what `gatepost check` says: the files in `tests/lint`.
//!
//! `NAME.case` begins with comments, may set `at:` (the stage, else `message`), `settings:` (the inside of SETTINGS) and
//! `condition:` (`no` where it is no condition), and has expressions, each on a line of its own. `NAME.expected` has what is said
//! of each in each position. A folder has whole sets. `GATEPOST_BLESS=1 cargo test --lib policy::lint` writes what is expected
//! anew; look at what changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::sources::{EntrySource, Selection, Sources};
use super::super::{Policies, language};
use crate::session::stage::Stage;

const GATE: &str = "//! The gate.\nconst GATE = true;\nfn rcpt(session, mail, rcpt) { reject(\"denied\", \"relaying denied\"); }\n";
/// What the objects are called where they are renamed.
const ALIASES: [(&str, &str); 4] =
    [("session", "connection"), ("mail", "envelope"), ("rcpt", "person"), ("message", "letter")];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lint")
}

/// A case as it was read.
struct Case {
    at: Stage,
    settings: String,
    is_condition: bool,
    expressions: Vec<String>,
}

impl Case {
    fn read(text: &str) -> Self {
        let mut case =
            Self { at: Stage::Message, settings: String::new(), is_condition: true, expressions: Vec::new() };
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.split_once(": ") {
                Some(("at", stage)) => {
                    case.at = Stage::ALL.into_iter().find(|known| known.name() == stage).unwrap();
                }
                Some(("settings", settings)) => settings.clone_into(&mut case.settings),
                Some(("condition", "no")) => case.is_condition = false,
                _ => case.expressions.push(line.to_owned()),
            }
        }
        case
    }

    /// The sets of files that have `expression` in each position, and the line where it stands.
    fn positions(&self, expression: &str) -> Vec<(&'static str, String, String)> {
        let names: Vec<_> = language::parameters(self.at).iter().map(|parameter| parameter.name).collect();
        let names = names.join(", ");
        let condition = if self.is_condition {
            expression.to_owned()
        } else {
            format!("noted(\"early.seen\") ==\n{expression}")
        };
        let settings = if self.settings.is_empty() {
            String::new()
        } else {
            format!("const SETTINGS = #{{ {} }};\n", self.settings)
        };
        let script =
            |body: &str, rest: &str| format!("{settings}fn {}({names}) {{\n{body}\n}}\n{rest}", self.at);
        let library = format!("fn look({names}) {{\n{expression}\n}}\n");
        let aliases: String = ALIASES
            .iter()
            .filter(|(name, _)| names.split(", ").any(|known| known == *name))
            .fold(String::new(), |aliases, (name, alias)| format!("{aliases}let {alias} = {name}; "));
        let aliased = format!("{aliases}\nlet value = {};\nnote(\"k\", value);", renamed(expression));
        vec![
            ("argument", script(&format!("note(\"k\",\n{expression}\n);"), ""), String::new()),
            ("condition", script(&format!("if\n{condition}\n{{ return; }}"), ""), String::new()),
            ("alias", script(&aliased, ""), String::new()),
            ("nested function", script(&format!("note(\"k\", look({names}));"), &library), String::new()),
            ("library", script(&format!("note(\"k\", five::look({names}));"), ""), library),
        ]
    }
}

/// The expression with every object under another name.
fn renamed(expression: &str) -> String {
    let mut out = String::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let len =
            if is_word(first) { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (word, behind) = rest.split_at(len);
        let is_place = !out.ends_with(['.', '"']);
        let alias = ALIASES.iter().find(|(name, _)| *name == word && is_place);
        out.push_str(alias.map_or(word, |(_, alias)| alias));
        rest = behind;
    }
    out
}

/// What is said about these files, as an operator sees it.
fn said(files: &BTreeMap<String, String>) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let sources = Sources {
        dir: dir.path().to_owned(),
        listeners: vec![("mx".to_owned(), Selection::All)],
        lists: [("partners".to_owned(), EntrySource::Inline(vec!["partner.test".to_owned()]).into())].into(),
        http_hosts: Some(vec!["api.example.org".to_owned()]),
        redirect_domains: ["ours.example".to_owned()].into_iter().collect(),
        config: "gatepost.yaml".into(),
        ..Sources::default()
    };
    let problems = match Policies::load(&sources) {
        Ok(policies) => policies.warnings().to_vec(),
        Err(problems) => problems,
    };
    let prefix = format!("{}/", dir.path().display());
    problems.iter().map(|problem| problem.render(false).replace(&prefix, "")).collect()
}

/// A policy that is asked before all others, at one stage.
const EARLY: &str = "//! Early.\nfn connect(session) { note(\"seen\", 1); if session.client.port == 0 { reject(\"port\", \"no\"); } }\n";

fn with_gate(script: &str, library: &str) -> BTreeMap<String, String> {
    let mut files: BTreeMap<_, _> = [
        ("00-relay.rhai".to_owned(), GATE.to_owned()),
        ("01-early.rhai".to_owned(), EARLY.to_owned()),
        ("10-x.rhai".to_owned(), script.to_owned()),
    ]
    .into();
    if !library.is_empty() {
        files.insert("lib/five.rhai".to_owned(), library.to_owned());
    }
    files
}

fn compare(path: &Path, found: &str) {
    if std::env::var_os("GATEPOST_BLESS").is_some() {
        fs::write(path, found).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    let difference = similar::TextDiff::from_lines(expected.as_str(), found);
    assert!(expected == found, "{}:\n{}", path.display(), difference.unified_diff());
}

fn entries(of: &Path, is_wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| is_wanted(path));
    paths.sort();
    paths
}

#[test]
fn every_class_is_found_in_five_positions() {
    let cases = entries(&folder(), |path| path.extension().is_some_and(|extension| extension == "case"));
    assert!(cases.len() > 20, "{cases:?}");
    let mut missed = Vec::new();
    for path in cases {
        let case = Case::read(&fs::read_to_string(&path).unwrap());
        let mut out = String::new();
        for expression in &case.expressions {
            for (position, script, library) in case.positions(expression) {
                let problems = said(&with_gate(&script, &library));
                let is_placed = |problem: &String| {
                    let shows = |line: &str| problem.contains(&format!("| {line}"));
                    let aliased = format!("let value = {};", renamed(expression));
                    problem.contains("= help: ") && (shows(expression) || shows(&aliased))
                };
                if !problems.iter().any(is_placed) {
                    missed.push(format!("{expression}: {position}: {problems:#?}"));
                }
                out.push_str(&format!("== {expression}: {position}\n\n{}\n\n", problems.join("\n\n")));
            }
        }
        compare(&path.with_extension("expected"), &out);
    }
    assert!(missed.is_empty(), "no help at the right line:\n{}", missed.join("\n"));
}

#[test]
fn every_whole_set_is_understood() {
    let sets = entries(&folder(), |path| path.is_dir());
    assert!(sets.len() > 5, "{sets:?}");
    for set in sets {
        let mut files = with_gate("", "");
        files.remove("10-x.rhai");
        for path in entries(&set, |path| path.extension().is_some_and(|extension| extension == "rhai")) {
            files.insert(
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                fs::read_to_string(path).unwrap(),
            );
        }
        let library = set.join("lib");
        if library.is_dir() {
            for path in entries(&library, |_| true) {
                let name = format!("lib/{}", path.file_name().unwrap().to_str().unwrap());
                files.insert(name, fs::read_to_string(path).unwrap());
            }
        }
        compare(&set.join("expected"), &format!("{}\n", said(&files).join("\n\n")));
    }
}

/// What is right and looks a little like what is wrong.
#[test]
fn nothing_is_said_of_what_is_right() {
    let text = fs::read_to_string(folder().join("good.rhai")).unwrap();
    let mut files = with_gate(&text, &fs::read_to_string(folder().join("good-library.rhai")).unwrap());
    let problems = said(&files);
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    // The file can tell right from wrong.
    files.insert("10-x.rhai".to_owned(), text.replace("\"pass\"", "\"passed\""));
    assert!(!said(&files).is_empty());
}
