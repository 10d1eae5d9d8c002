//! Holds the tree to its own plan: which room may import which, where a receipt may be made, how long a function may be.

// Functions that tests call are not tests to clippy; a panic is how they report.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room with the rooms that it may import. A room may always import from itself.
const ALLOWED: &[(&str, &[&str])] = &[
    ("smtp", &[]),
    ("message", &["smtp"]),
    ("session", &["smtp"]),
    ("dns", &[]),
    ("tls", &["permissions", "files"]),
    ("metrics", &[]),
    ("log", &[]),
    ("diagnostic", &[]),
    ("permissions", &[]),
    ("files", &["units"]),
    ("durable", &[]),
    ("units", &[]),
    ("serial", &[]),
    ("tap", &["log", "smtp"]),
    ("checks", &["smtp", "message", "dns", "tls", "metrics", "log", "diagnostic", "units", "serial"]),
    ("state", &["metrics", "log"]),
    ("quarantine", &["smtp", "message", "metrics", "log", "diagnostic", "units", "durable"]),
    ("upstream", &["smtp", "message", "tls", "metrics", "log", "diagnostic", "units", "tap", "durable"]),
    (
        "policy",
        &[
            "session",
            "smtp",
            "message",
            "checks",
            "metrics",
            "log",
            "diagnostic",
            "permissions",
            "files",
            "units",
            "serial",
        ],
    ),
    (
        "facts",
        &[
            "policy",
            "dns",
            "checks",
            "state",
            "smtp",
            "message",
            "tls",
            "metrics",
            "log",
            "diagnostic",
            "units",
            "serial",
        ],
    ),
    (
        "decisions",
        &[
            "policy",
            "session",
            "checks",
            "message",
            "smtp",
            "metrics",
            "log",
            "diagnostic",
            "units",
            "serial",
            "tap",
        ],
    ),
    (
        "proxy",
        &[
            "decisions",
            "tap",
            "smtp",
            "message",
            "session",
            "dns",
            "checks",
            "quarantine",
            "upstream",
            "policy",
            "facts",
            "tls",
            "metrics",
            "log",
            "diagnostic",
            "units",
        ],
    ),
    (
        "server",
        &[
            "proxy",
            "session",
            "smtp",
            "policy",
            "upstream",
            "tls",
            "metrics",
            "log",
            "diagnostic",
            "files",
            "admin",
        ],
    ),
    ("admin", &["decisions", "tap", "metrics", "log", "diagnostic", "policy", "proxy", "tls"]),
    (
        "transcript",
        &[
            "decisions",
            "proxy",
            "session",
            "smtp",
            "message",
            "dns",
            "checks",
            "quarantine",
            "upstream",
            "state",
            "policy",
            "facts",
            "tls",
            "metrics",
            "log",
            "diagnostic",
            "files",
            "units",
        ],
    ),
    ("config", &["*"]),
    ("cli", &["*"]),
    ("main", &["*"]),
];

/// Deeper than rooms: what of a room an upper one may see.
const NARROW: &[(&str, &str, &[&str])] = &[
    ("policy", "session", &["stage"]),
    ("policy", "checks", &["results"]),
    ("facts", "policy", &["question"]),
];

#[test]
fn rooms_import_only_from_below() {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let room = room_of(&file);
        let Some(may) = allowed.get(room.as_str()) else {
            if room != "lib" {
                wrong.push(format!("{}: no plan for the room {room:?}", file.display()));
            }
            continue;
        };
        for (line, path) in imports(&text) {
            let mut parts = path.split("::");
            let target = parts.next().unwrap_or_default();
            let inner = parts.next().unwrap_or_default();
            let known = allowed.contains_key(target);
            if !known || target == room || may.contains(&"*") {
                continue;
            }
            let narrow = NARROW.iter().find(|(from, to, _)| *from == room && *to == target);
            let fits = narrow.is_none_or(|(_, _, only)| only.contains(&inner));
            if !may.contains(&target) || !fits {
                wrong.push(format!("{}:{line}: {room} may not import {path}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A message is acknowledged on a receipt only, and there are three places that may write one: where the upstream's reply to the
/// final dot is read, and where a store has synced a message, each with the constructor that is its own.
#[test]
fn receipts_are_made_where_the_evidence_is() {
    let places = [
        ("Receipt::from_final_reply", &["upstream/dialogue.rs"][..]),
        ("Receipt::from_durable_store", &["quarantine/mod.rs", "upstream/maildir.rs"]),
    ];
    for (constructor, places) in places {
        let mut made: Vec<_> = sources()
            .into_iter()
            .filter(|(_, text)| text.contains(constructor))
            .map(|(file, _)| file.strip_prefix("src").unwrap_or(&file).display().to_string())
            .collect();
        made.sort();
        assert_eq!(made, places, "{constructor}");
    }
    let other = sources().into_iter().find(|(file, text)| {
        !file.ends_with("smtp/receipt.rs")
            && text.matches("Receipt::").count()
                != places.iter().map(|(constructor, _)| text.matches(constructor).count()).sum::<usize>()
    });
    assert!(other.is_none(), "a receipt comes from elsewhere: {:?}", other.map(|(file, _)| file));
}

#[test]
fn libraries_stay_in_their_rooms() {
    let homes = [
        ("mail_auth::", &["checks"][..]),
        // mail-auth's own interface speaks hickory's types.
        ("hickory_resolver::", &["dns", "checks"]),
        ("rhai::", &["policy"]),
        ("serde_yaml::", &["config"]),
        ("hyper::", &["admin", "facts"]),
        ("prometheus::", &["metrics"]),
        ("redb::", &["state"]),
        ("redis::", &["state"]),
    ];
    let mut wrong = Vec::new();
    // A suite of tests may come in the form of others.
    for (file, text) in sources().into_iter().filter(|(file, _)| !file.ends_with("suite.rs")) {
        for (library, homes) in homes {
            if text.contains(library) && !homes.contains(&room_of(&file).as_str()) {
                wrong.push(format!("{} uses {library}, which lives in {homes:?}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A limit that refuses has its series from the start, so that a dashboard shows 0 and not nothing.
#[test]
fn every_limit_is_known_to_the_metrics() {
    let metrics = gatepost::metrics::Metrics::new();
    let _listener = metrics.listener("mx");
    let text = metrics.encode().unwrap();
    let mut found = 0;
    for (file, source) in sources() {
        for (at, marker) in source.match_indices("Source::Limit,") {
            let Some(rest) = source[at + marker.len()..].trim_start().strip_prefix('"') else { continue };
            let limit = rest.split('"').next().unwrap();
            let series = format!("gatepost_limits_total{{limit=\"{limit}\",listener=\"mx\"}} 0");
            assert!(text.contains(&series), "{}: {limit}", file.display());
            found += 1;
        }
    }
    assert!(found > 5, "{found} limits were found");
}

/// What the log says by `event` is for programs, so its names and fields stand in config/README.md.
#[test]
fn every_event_of_the_log_is_documented_with_its_fields() {
    let page = fs::read_to_string("config/README.md").unwrap();
    let table = page.split("\n## The log\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let (mut found, mut missing) = (0, Vec::new());
    for (file, text) in sources() {
        for (at, marker) in text.match_indices("event = \"") {
            let event = text[at + marker.len()..].split('"').next().unwrap();
            let row = table.lines().find(|line| line.starts_with(&format!("| {event} |")));
            let fields = logged_fields(&text, at);
            found += 1;
            let unsaid =
                fields.iter().filter(|field| !row.is_some_and(|row| row.contains(&format!("`{field}`"))));
            let unsaid: Vec<_> = unsaid.collect();
            if row.is_none() || !unsaid.is_empty() {
                missing.push(format!("{}: {event} {unsaid:?}", file.display()));
            }
        }
    }
    assert!(found > 30 && missing.is_empty(), "{found}\n{}", missing.join("\n"));
}

/// The fields of a line of the log that has its event at `at`: everything behind it, up to the message or the end of the call.
fn logged_fields(text: &str, at: usize) -> Vec<&str> {
    let behind = text[at..].split_once(',').map_or("", |(_, behind)| behind);
    let (mut depth, mut fields, mut start) = (0, Vec::new(), 0);
    for (index, c) in behind.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                fields.push(behind[start..index].trim());
                start = index + 1;
            }
            '"' if depth == 0 && behind[start..index].trim().is_empty() => break,
            _ => {}
        }
    }
    let name = |field: &str| {
        field.split(['=', '.']).next().unwrap_or_default().trim().trim_start_matches(['%', '?']).len()
    };
    fields
        .into_iter()
        .map(|field| field.trim_start_matches(['%', '?']))
        .map(|field| field[..name(field)].trim())
        .filter(|field| !field.is_empty())
        .collect()
}

/// The models' p90 is 30 lines, and nothing is above 60.
#[test]
fn functions_stay_small() {
    let mut lengths = Vec::new();
    for (file, text) in sources() {
        lengths.extend(functions(&text).into_iter().map(|(name, length)| (length, file.clone(), name)));
    }
    lengths.sort();
    let p90 = lengths[lengths.len() * 9 / 10].0;
    assert!(p90 <= 30, "the 90th percentile of function lengths is {p90}");
    let long: Vec<_> = lengths.iter().filter(|(length, ..)| *length > 60).collect();
    assert!(long.is_empty(), "{long:#?}");
}

/// The source without its tests, file by file.
fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    collect(Path::new("src"), &mut files);
    files
        .into_iter()
        .filter(|file| {
            !file.ends_with("tests.rs") && !file.components().any(|part| part.as_os_str() == "tests")
        })
        .map(|file| {
            let text = fs::read_to_string(&file).unwrap();
            let text = text.split("#[cfg(test)]\nmod ").next().unwrap().to_owned();
            (file, text)
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn room_of(file: &Path) -> String {
    let inside = file.strip_prefix("src").unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Every `crate::...` path of the text with its line, groups opened: `crate::{a, b::c}` gives `a` and `b::c`.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let line = text[..at].lines().count().max(1);
        let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
        if text[start..].trim_start().starts_with("//") {
            continue;
        }
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(members(group).into_iter().map(|member| (line, member))),
            None => found.push((line, path_of(rest))),
        }
    }
    found
}

/// The members of a group at its own level, up to its closing brace.
fn members(group: &str) -> Vec<String> {
    let (mut depth, mut starts) = (0, vec![0]);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => starts.push(at + 1),
            _ => {}
        }
    }
    starts
        .into_iter()
        .map(|start| path_of(group[start..].trim_start()))
        .filter(|path| !path.is_empty())
        .collect()
}

fn path_of(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect()
}

/// Each function with its length in lines, from `fn` to the brace that closes it in the same column.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let is_function = ["fn ", "pub fn ", "async fn ", "const fn ", "pub async fn ", "pub const fn "]
            .iter()
            .any(|head| code.starts_with(head))
            || (code.starts_with("pub(") && code.contains(" fn "));
        if !is_function || line.trim_end().ends_with([';', '}']) {
            continue;
        }
        let indent = &line[..line.len() - code.len()];
        let closing = format!("{indent}}}");
        if let Some(length) = lines[start..].iter().position(|line| *line == closing) {
            found.push((code.split('(').next().unwrap_or(code).to_owned(), length + 1));
        }
    }
    found
}

/// A mutation that no longer applies proves nothing: the lines that it replaces have to be in its file.
#[test]
fn mutations_still_apply() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let patches = fs::read_dir(root.join("tests/mutations")).unwrap().map(|entry| entry.unwrap().path());
    let mut seen = 0;
    for patch in patches.filter(|path| path.extension().is_some_and(|kind| kind == "patch")) {
        let text = fs::read_to_string(&patch).unwrap();
        for part in text.split("\n--- a/").skip(1) {
            let (file, hunks) = part.split_once('\n').unwrap();
            let source = fs::read_to_string(root.join(file)).unwrap();
            for hunk in hunks.split("\n@@ ").skip(1) {
                let old = hunk.lines().skip(1).filter_map(|line| match line.split_at_checked(1) {
                    Some((" " | "-", rest)) => Some(rest),
                    None => Some(""),
                    Some(_) => None,
                });
                let old: Vec<&str> = old.collect();
                assert!(source.contains(&old.join("\n")), "{} does not apply to {file}", patch.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "{seen} hunks");
}
