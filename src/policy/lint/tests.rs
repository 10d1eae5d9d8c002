//! The classes of mistakes, each in five positions, with what `gatepost check` says: the files in `tests/lint`.
//!
//! `NAME.case` begins with comments, may set `at:` (the stage, else `message`), `settings:` (the inside of SETTINGS),
//! `condition:` (`no` where it is no condition), `beside:` and `library:` (a line more in the expression's own file, or in the
//! library `five`), and has expressions, each on a line of its own. A library has no `five::` in front of its own functions.
//! `wrong beside:` and `wrong library:` are lines that have the mistake, in place of the expression; `without:` is a position that
//! means nothing for it. `NAME.expected` has what is said of each in each position. A folder has whole sets.
//! `GATEPOST_BLESS=1 cargo test --lib policy::lint` writes what is expected anew; look at what changed. `README.md` says which of
//! them are about which mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::super::sources::{EntrySource, Selection, Sources, TableSource};
use super::super::{Policies, language, words};
use crate::session::stage::Stage;

const GATE: &str = "//! The gate.\nconst GATE = true;\nfn rcpt(session, mail, rcpt) { reject(\"denied\", \"relaying denied\"); }\n";
/// What the objects are called where they are renamed.
const ALIASES: [(&str, &str); 4] =
    [("session", "connection"), ("mail", "envelope"), ("rcpt", "person"), ("message", "letter")];

/// Where an expression can stand.
const POSITIONS: [&str; 5] = ["argument", "condition", "alias", "nested function", "library"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lint")
}

/// A case as it was read.
#[derive(Default)]
struct Case {
    at: Option<Stage>,
    settings: String,
    is_no_condition: bool,
    /// Lines more in the file of the expression, and in the library.
    beside: Vec<String>,
    library: Vec<String>,
    /// The lines that have the mistake; none where the expressions have it.
    wrong: Vec<String>,
    without: Vec<String>,
    expressions: Vec<String>,
}

impl Case {
    fn read(path: &Path) -> Self {
        let mut case = Self::default();
        let text = fs::read_to_string(path).unwrap();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            case.line(line);
        }
        case
    }

    fn line(&mut self, line: &str) {
        match line.split_once(": ") {
            Some(("at", stage)) => self.at = Some(words::stage_named(stage).unwrap()),
            Some(("settings", settings)) => settings.clone_into(&mut self.settings),
            Some(("condition", "no")) => self.is_no_condition = true,
            Some(("beside", line)) => self.beside.push(line.to_owned()),
            Some(("library", line)) => self.library.push(line.to_owned()),
            Some(("wrong beside", line)) => {
                self.beside.push(line.to_owned());
                self.wrong.push(line.to_owned());
            }
            Some(("wrong library", line)) => {
                self.library.push(line.to_owned());
                self.wrong.push(line.to_owned());
            }
            Some(("without", position)) => {
                assert!(POSITIONS.contains(&position), "{position}");
                self.without.push(position.to_owned());
            }
            _ => self.expressions.push(line.to_owned()),
        }
    }

    /// The sets of files that have `expression` in each position that means something.
    fn positions(&self, expression: &str) -> Vec<(&'static str, String, String)> {
        let at = self.at.unwrap_or(Stage::Message);
        let names: Vec<_> = language::parameters(at).iter().map(|parameter| parameter.name).collect();
        let names = names.join(", ");
        let condition = if self.is_no_condition {
            format!("noted(\"early.seen\") ==\n{expression}")
        } else {
            expression.to_owned()
        };
        let settings = if self.settings.is_empty() {
            String::new()
        } else {
            format!("const SETTINGS = #{{ {} }};\n", self.settings)
        };
        let look = |expression: &str| format!("fn look({names}) {{\n{expression}\n}}\n");
        let script = |body: &str, rest: &str, beside: &[String]| {
            format!("{settings}fn {at}({names}) {{\n{body}\n}}\n{rest}{}", lines(beside))
        };
        let own = |body: &str, rest: &str| (script(body, rest, &self.beside), lines(&self.library));
        let in_library =
            [look(&expression.replace("five::", "")), lines(&self.beside), lines(&self.library)].concat();
        let all = [
            own(&format!("note(\"k\",\n{expression}\n);"), ""),
            own(&format!("if\n{condition}\n{{ return; }}"), ""),
            own(
                &format!("{}\nlet value = {};\nnote(\"k\", value);", aliases(&names), renamed(expression)),
                "",
            ),
            own(&format!("note(\"k\", look({names}));"), &look(expression)),
            (script(&format!("note(\"k\", five::look({names}));"), "", &[]), in_library),
        ];
        let all =
            POSITIONS.into_iter().zip(all).map(|(position, (script, library))| (position, script, library));
        all.filter(|(position, ..)| !self.without.iter().any(|without| without == position)).collect()
    }

    /// Whether each line that is wrong is shown, with a hint.
    fn is_found(&self, expression: &str, problems: &[String]) -> bool {
        let shows = |line: &str| {
            let line = format!("| {line}\n");
            // What `note` cannot take is no part of the case.
            let mut own = problems.iter().filter(|problem| !problem.starts_with("error: `note` takes"));
            own.any(|problem| problem.contains(&line) && problem.contains("= help: "))
        };
        if self.wrong.is_empty() {
            let aliased = format!("let value = {};", renamed(expression));
            shows(expression) || shows(&aliased) || shows(&expression.replace("five::", ""))
        } else {
            self.wrong.iter().all(|line| shows(line))
        }
    }
}

fn lines(all: &[String]) -> String {
    all.iter().map(|line| format!("{line}\n")).collect()
}

/// `let connection = session; ` and so on, for the parameters.
fn aliases(names: &str) -> String {
    let known = ALIASES.iter().filter(|(name, _)| names.split(", ").any(|known| known == *name));
    known.fold(String::new(), |aliases, (name, alias)| format!("{aliases}let {alias} = {name}; "))
}

/// The expression with every object under another name.
fn renamed(expression: &str) -> String {
    let mut out = String::new();
    let mut rest = expression;
    let mut in_text = false;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let len =
            if is_word(first) { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (word, behind) = rest.split_at(len);
        in_text ^= first == '"';
        let is_place = !in_text && !out.ends_with('.');
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
        tables: [(
            "owners".to_owned(),
            TableSource::Inline(vec![("jane".to_owned(), vec!["a@b.example".to_owned()])]),
        )]
        .into(),
        quarantine: true,
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
const EARLY: &str = "//! Early.
fn connect(session) { note(\"seen\", 1); if session.client.port == 0 { reject(\"port\", \"no\"); } }
fn rcpt(session, mail, rcpt) { note(\"of-rcpt\", 1); }
fn message(session, mail, message) { note(\"late\", 1); }
";

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
        let case = Case::read(&path);
        let mut out = String::new();
        for expression in &case.expressions {
            for (position, script, library) in case.positions(expression) {
                let problems = said(&with_gate(&script, &library));
                if !case.is_found(expression, &problems) {
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

/// A line of a table in `README.md`.
struct Row {
    name: String,
    goldens: Vec<String>,
    /// The positions that mean nothing, and why.
    without: Vec<(String, String)>,
}

impl Row {
    fn read(line: &str) -> Option<Self> {
        let cells: Vec<_> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
        let [name @ .., goldens, without] = cells.as_slice() else { return None };
        if name.is_empty() || *goldens == "---" || *goldens == "golden files" {
            return None;
        }
        let without = without.split("; ").filter_map(|one| one.split_once(": "));
        Some(Self {
            name: name.join(" "),
            goldens: quoted(goldens),
            without: without.map(|(position, why)| (position.to_owned(), why.to_owned())).collect(),
        })
    }

    /// The positions that its cases try.
    fn tried(&self) -> BTreeSet<String> {
        let cases = self.goldens.iter().map(|golden| folder().join(format!("{golden}.case")));
        let cases = cases.filter(|path| path.exists()).map(|path| Case::read(&path));
        cases
            .flat_map(|case| {
                POSITIONS.map(str::to_owned).into_iter().filter(move |one| !case.without.contains(one))
            })
            .collect()
    }

    /// The positions that it says mean nothing.
    fn excused(&self) -> BTreeSet<String> {
        let positions = self.without.iter().flat_map(|(position, _)| match position.as_str() {
            "all" => POSITIONS.map(str::to_owned).to_vec(),
            one => vec![one.to_owned()],
        });
        positions.collect()
    }
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether the transcript, or the test, is there.
fn is_there(proof: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if proof.ends_with(".smtp") {
        return root.join("tests/transcripts").join(proof).is_file();
    }
    let mut open = vec![root.join("src")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(entries(&path, |_| true));
        } else if fs::read_to_string(&path).is_ok_and(|text| text.contains(&format!("fn {proof}()"))) {
            return true;
        }
    }
    false
}

#[test]
fn every_mistake_is_tried_at_every_position_or_it_is_said_why_not() {
    let text = fs::read_to_string(folder().join("README.md")).unwrap();
    let rows: Vec<_> = text.lines().filter_map(Row::read).collect();
    let traps = rows.iter().filter_map(|row| row.name.split_once(' ')?.0.parse::<usize>().ok());
    assert_eq!(traps.collect::<Vec<_>>(), (1..=43).collect::<Vec<_>>());
    for row in &rows {
        let all: BTreeSet<_> = POSITIONS.map(str::to_owned).into();
        assert_eq!(&all - &row.tried(), row.excused(), "{}", row.name);
        for (_, why) in &row.without {
            assert!(why.len() > 20, "{}: {why}", row.name);
            let proofs = quoted(why)
                .into_iter()
                .filter(|name| name.contains(".smtp") || name.matches('_').count() > 2);
            proofs.for_each(|proof| assert!(is_there(&proof), "{}: {proof}", row.name));
        }
    }
    let named: BTreeSet<_> = rows.into_iter().flat_map(|row| row.goldens).collect();
    let is_golden =
        |path: &Path| path.is_dir() || path.extension().is_some_and(|extension| extension == "case");
    let there = entries(&folder(), is_golden);
    let there: BTreeSet<_> =
        there.iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(named, there);
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
