//! What a configuration said, small enough to keep and to compare: which keys there were, and a digest of each value.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use super::report::Report;
use super::tree::{Node, Value};

/// The keys of a configuration (`listeners.mx.limits.sessions`) and what their values were like. It holds no value itself: some of
/// them are secrets.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outline {
    keys: BTreeMap<String, u64>,
    /// Files whose text is part of the configuration, such as lists of domains.
    files: Vec<PathBuf>,
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

    /// What `after` says otherwise, a line for each key; values are not shown.
    pub fn changes(&self, after: &Self) -> Vec<String> {
        let gone = self.keys.keys().filter(|key| !after.keys.contains_key(*key));
        let gone = gone.map(|key| format!("{key} is gone"));
        let other = after.keys.iter().filter_map(|(key, value)| match self.keys.get(key) {
            None => Some(format!("{key} is new")),
            Some(before) if before != value => Some(format!("{key} is another")),
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
        self.keys.insert(key, digest.finish());
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::tree;

    fn outline(text: &str) -> Outline {
        let mut report = Report::new(Path::new("x.yaml").to_owned(), text.into());
        let tree = tree::parse(&mut report, &|_| None).unwrap();
        Outline::of(&tree, &report)
    }

    #[test]
    fn changes_are_told_by_key() {
        let before = outline("a: 1\nb: { c: [x, y], d: q }\ne: {}\n");
        assert!(before.changes(&before.clone()).is_empty());
        let after = outline("a: 2\nb: { c: [y, x], f: q }\ne: {}\n");
        assert_eq!(before.changes(&after), ["b.d is gone", "a is another", "b.c is another", "b.f is new"]);
    }

    #[test]
    fn no_value_is_kept() {
        assert!(!format!("{:?}", outline("state: redis://:hunter2@localhost/0\n")).contains("hunter2"));
    }
}
