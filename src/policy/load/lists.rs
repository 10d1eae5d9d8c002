//! Lists, inline and from files.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::super::lists::EntrySet;
use super::super::sources::{ListSource, Sources};
use super::file;
use crate::diagnostic::{Diagnostic, Position};

/// The largest list file, in octets.
pub(super) const MAX_LIST: u64 = 64 * 1024 * 1024;
/// Problems reported for one list; whoever has more has another kind of file.
const MAX_PROBLEMS: usize = 20;

/// All lists by name.
pub(super) fn load(sources: &Sources, problems: &mut Vec<Diagnostic>) -> HashMap<String, Arc<EntrySet>> {
    let named = sources.lists.iter();
    named
        .map(|(name, source)| {
            let set = match source {
                ListSource::Inline(entries) => inline(name, entries, sources, problems),
                ListSource::File(path) => from_file(name, path, problems),
            };
            (name.clone(), Arc::new(set))
        })
        .collect()
}

fn inline(name: &str, entries: &[String], sources: &Sources, problems: &mut Vec<Diagnostic>) -> EntrySet {
    let mut set = EntrySet::default();
    for entry in entries {
        if let Err(problem) = set.add(entry.trim()) {
            problems.push(Diagnostic::error(&sources.config, format!("list `{name}`: {problem}")));
        }
    }
    set
}

fn from_file(name: &str, path: &Path, problems: &mut Vec<Diagnostic>) -> EntrySet {
    let mut set = EntrySet::default();
    let text: Arc<str> = match file::read(path, MAX_LIST) {
        Ok(text) => text.into(),
        Err(problem) => {
            problems.push(Diagnostic::error(path, format!("list `{name}`: {problem}")));
            return set;
        }
    };
    let mut found = 0;
    for (index, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() || found == MAX_PROBLEMS {
            continue;
        }
        if let Err(problem) = set.add(entry) {
            found += 1;
            let column = line.chars().take_while(|c| c.is_whitespace()).count() + 1;
            let position = Position::new(index + 1, column, entry.chars().count());
            problems.push(Diagnostic::error(path, format!("list `{name}`: {problem}")).at(&text, position));
        }
    }
    set
}
