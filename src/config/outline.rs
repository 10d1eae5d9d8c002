//! What a configuration said, small enough to keep and to compare: which keys there were, and what stood there.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use super::report::Report;
use super::tree::{Node, Scalar, Value};
use crate::log::safe;

/// A list with more elements than this is told by what came and went.
const SHORT: usize = 4;
/// Elements that are named of those that came, or went.
const NAMED: usize = 8;
/// What is in the names of keys under which something stands that nobody is to read.
const SECRETS: [&str; 6] = ["password", "passwd", "passphrase", "secret", "token", "credential"];
/// What stands in the place of a secret.
const MASK: &str = "***";

/// The keys of a configuration (`listeners.mx.limits.sessions`) and their values, as they are written: in place of what a variable
/// holds there is its name, and secrets are masked.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outline {
    keys: BTreeMap<String, Entry>,
    /// Files whose text is part of the configuration, such as lists of domains.
    files: Vec<PathBuf>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Entry {
    /// Of the value as it is, so that a change shows where the value must not.
    digest: u64,
    shown: Shown,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Shown {
    One(String),
    Several(Vec<String>),
}

impl Outline {
    pub(super) fn of(tree: &Node, report: &Report) -> Self {
        let mut outline = Self { keys: BTreeMap::new(), files: report.read_along().to_vec() };
        outline.add(String::new(), tree);
        outline
    }

    /// The files whose text is part of the configuration, beside its own.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// What `after` says otherwise, a line for each key: `listeners.mx.limits.recipients: 100 -> 50`.
    pub fn changes(&self, after: &Self) -> Vec<String> {
        let gone = self.keys.iter().filter(|(key, _)| !after.keys.contains_key(*key));
        let gone = gone.map(|(key, before)| format!("{key} is gone; it was {}", before.shown));
        let other = after.keys.iter().filter_map(|(key, now)| match self.keys.get(key) {
            None => Some(format!("{key} is new: {}", now.shown)),
            Some(before) if before.digest != now.digest => {
                Some(format!("{key}{}", change(&before.shown, &now.shown)))
            }
            Some(_) => None,
        });
        gone.chain(other).collect()
    }

    /// A list is one value: that its third entry became its second says less than that it is another list.
    fn add(&mut self, key: String, node: &Node) {
        if let Value::Map(entries) = &node.value {
            for (name, value) in entries {
                let path = if key.is_empty() { name.name.clone() } else { format!("{key}.{}", name.name) };
                self.add(path, value);
            }
            return;
        }
        let mut digest = DefaultHasher::new();
        take(&node.value, &mut digest);
        let shown = match &node.value {
            Value::List(_) if is_secret(&key) => Shown::One(MASK.to_owned()),
            Value::List(elements) => {
                Shown::Several(elements.iter().map(|element| written(&key, &element.value)).collect())
            }
            other => Shown::One(written(&key, other)),
        };
        self.keys.insert(key, Entry { digest: digest.finish(), shown });
    }
}

fn take(value: &Value, digest: &mut DefaultHasher) {
    value.kind().hash(digest);
    match value {
        Value::Scalar(scalar) => scalar.text.hash(digest),
        Value::List(entries) => entries.iter().for_each(|entry| take(&entry.value, digest)),
        Value::Map(entries) => entries.iter().for_each(|(key, entry)| {
            key.name.hash(digest);
            take(&entry.value, digest);
        }),
        Value::Empty | Value::Broken => {}
    }
}

// === showing values ===

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(text) => f.write_str(text),
            Self::Several(texts) => write!(f, "[{}]", named(texts.iter())),
        }
    }
}

/// What became of a value, to be read behind its key.
fn change(before: &Shown, now: &Shown) -> String {
    let (Shown::Several(old), Shown::Several(new)) = (before, now) else {
        // A secret, or something that is written as before and comes from elsewhere.
        let is_alike = before == now;
        return if is_alike { " is another".to_owned() } else { format!(": {before} -> {now}") };
    };
    if old == new {
        return " is another".to_owned();
    }
    if old.len().max(new.len()) <= SHORT {
        return format!(": {before} -> {now}");
    }
    let (before, now) = (old.iter().collect::<BTreeSet<_>>(), new.iter().collect::<BTreeSet<_>>());
    let (gone, come) = (named(before.difference(&now).copied()), named(now.difference(&before).copied()));
    match (gone.is_empty(), come.is_empty()) {
        (true, true) => " has another order".to_owned(),
        (true, false) => format!(": with {come}"),
        (false, true) => format!(": without {gone}"),
        (false, false) => format!(": without {gone}; with {come}"),
    }
}

/// The first few, and how many there are beside them.
fn named<'t>(texts: impl Iterator<Item = &'t String>) -> String {
    let all: Vec<&str> = texts.map(String::as_str).collect();
    let first = all.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match all.len().checked_sub(NAMED) {
        None | Some(0) => first,
        Some(more) => format!("{first} and {more} more"),
    }
}

/// The value at `key` as it is written, on one line.
fn written(key: &str, value: &Value) -> String {
    match value {
        Value::Scalar(_) if is_secret(key) => MASK.to_owned(),
        Value::Scalar(Scalar { written, .. }) if written.is_empty() => "\"\"".to_owned(),
        Value::Scalar(Scalar { written, .. }) => safe(&without_secret(written)).to_string(),
        Value::List(elements) => {
            let elements = elements.iter().map(|element| written(key, &element.value));
            format!("[{}]", elements.collect::<Vec<_>>().join(", "))
        }
        Value::Map(entries) => {
            let entries = entries.iter().map(|(name, entry)| {
                format!("{}: {}", name.name, written(&format!("{key}.{}", name.name), &entry.value))
            });
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Empty => "nothing".to_owned(),
        Value::Broken => MASK.to_owned(),
    }
}

/// Whether something stands at `key` that nobody is to read. Secrets of Gatepost's own stand elsewhere, but those of policies may be
/// among their settings, tables and lists.
fn is_secret(key: &str) -> bool {
    let named = ["policies.tables.", "policies.lists."].iter().find_map(|all| key.strip_prefix(all));
    let settings = key.strip_prefix("policies").and_then(|rest| rest.split_once(".settings."));
    let name = match (named, settings) {
        // The name of the table, and the key in it, which may have dots of its own.
        (Some(name), _) => name,
        (None, Some((_, setting))) => setting.split_once('.').map_or(setting, |(_policy, name)| name),
        (None, None) => key.rsplit('.').next().unwrap_or(key),
    };
    let name = name.to_ascii_lowercase();
    let is_policys = named.is_some() || settings.is_some();
    SECRETS.iter().any(|secret| name.contains(secret)) || (is_policys && name.contains("key"))
}

/// `text` without the login and the query of an address.
fn without_secret(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, _)) => (rest, "?***"),
        None => (rest, ""),
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = match host.rsplit_once('@') {
        Some((_, host)) => format!("{MASK}@{host}"),
        None => host.to_owned(),
    };
    format!("{scheme}://{host}{path}{query}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::tree;

    fn outline(text: &str) -> Outline {
        let mut report = Report::new(Path::new("x.yaml").to_owned(), text.into());
        let tree = tree::parse(&mut report, &|name| (name == "NAME").then(|| "hunter2".to_owned())).unwrap();
        Outline::of(&tree, &report)
    }

    fn changes(before: &str, after: &str) -> Vec<String> {
        outline(before).changes(&outline(after))
    }

    #[test]
    fn changes_are_told_by_key_with_what_was_and_what_is() {
        let before = "a: 1\nb: { c: [x, y], d: q }\ne: {}\n";
        assert!(changes(before, before).is_empty());
        assert_eq!(
            changes(before, "a: 2\nb: { c: [y, x], f: \"\" }\ne: {}\n"),
            ["b.d is gone; it was q", "a: 1 -> 2", "b.c: [x, y] -> [y, x]", "b.f is new: \"\""]
        );
        assert_eq!(changes("a: 1\n", "a: \"x\\ny\"\n"), [r"a: 1 -> x\ny"]);
    }

    #[test]
    fn of_a_long_list_what_came_and_went_is_told() {
        for (after, expected) in [
            ("[b, a, c, d, e]", "l has another order"),
            ("[a, b, c, d, e, f]", "l: with f"),
            ("[b, c, d]", "l: without a, e"),
            ("[a, b, c, d, {x: 1, y: [z]}]", "l: without e; with { x: 1, y: [z] }"),
            (
                "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]",
                "l: without a, b, c, d, e; with 1, 10, 2, 3, 4, 5, 6, 7 and 2 more",
            ),
        ] {
            assert_eq!(changes("l: [a, b, c, d, e]\n", &format!("l: {after}\n")), [expected]);
        }
    }

    #[test]
    fn no_secret_is_kept_or_told() {
        for secret in [
            "admin: { token: hunter2 }",
            "policies: { settings: { web: { key: hunter2 } } }",
            "policies: { settings: { web: { API_KEYS: [hunter2] } } }",
            "policies: { domains: { x.example: { settings: { web: { passwords: { a: hunter2 } } } } } }",
            "policies: { exceptions: [{ token: hunter2 }] }",
            "policies: { tables: { passwords: { suzie: hunter2 } } }",
            "policies: { tables: { Api_Keys: { suzie@example.org: [x, hunter2] } } }",
            "policies: { tables: { web: { token.example.org: hunter2 } } }",
            "policies: { lists: { tokens: { entries: [hunter2] } } }",
            "policies: { settings: { web: { url: \"https://x:hunter2@web.example/\" } } }",
            "state: \"${NAME}\"",
            "state: redis://:hunter2@localhost/0",
            "a: https://x:hunter2@web.example/x?y",
            "a: https://web.example?key=hunter2",
        ] {
            assert!(!format!("{:?}", outline(secret)).contains("hunter2"), "{secret}");
            assert!(!changes("b: 1\n", secret).join(" ").contains("hunter2"), "{secret}");
        }
        let (before, after) = (
            "policies: { settings: { web: { key: hunter2 } } }",
            "policies: { settings: { web: { key: x } } }",
        );
        assert_eq!(changes(before, after), ["policies.settings.web.key is another"]);
        assert_eq!(
            changes(
                "policies: { modes: { dkim.weak-key: off } }",
                "policies: { modes: { dkim.weak-key: shadow } }"
            ),
            ["policies.modes.dkim.weak-key: off -> shadow"]
        );
        assert_eq!(
            changes(
                "policies: { tables: { logins: { joe: a } } }",
                "policies: { tables: { logins: { joe: b } } }"
            ),
            ["policies.tables.logins.joe: a -> b"]
        );
        assert_eq!(changes("tls: { key: a.pem }", "tls: { key: b.pem }"), ["tls.key: a.pem -> b.pem"]);
        assert_eq!(changes("a: x", "a: ${NAME}"), ["a: x -> ${NAME}"]);
        assert_eq!(
            changes("a: https://u:p@web.example/x?y", "a: https://web.example/"),
            ["a: https://***@web.example/x?*** -> https://web.example/"]
        );
    }
}
