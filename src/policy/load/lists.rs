//! Lists, inline and from files.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::super::lists::{Entries, EntrySet, Line};
use super::super::sources::{EntrySource, Sources};
use super::calendar::Calendar;
use super::file;
use crate::diagnostic::{Diagnostic, Position};
use crate::permissions;

/// The largest file of a list or table, in octets: some million entries.
pub(super) const MAX_LIST: u64 = 256 * 1024 * 1024;
/// Problems reported for one list; whoever has more has another kind of file.
pub(super) const MAX_PROBLEMS: usize = 20;

/// All lists by name: those of the configuration, and empty ones for the rest of `optional`.
pub(super) fn load<'o>(
    sources: &Sources,
    optional: impl Iterator<Item = &'o String>,
    calendar: &mut Calendar,
    problems: &mut Vec<Diagnostic>,
) -> HashMap<String, Arc<EntrySet>> {
    let mut lists: HashMap<_, _> =
        optional.map(|name| (name.clone(), Arc::new(EntrySet::default()))).collect();
    for (name, source) in &sources.lists {
        let mut list = Entries::of_kind(source.kind);
        match &source.entries {
            EntrySource::Inline(entries) => inline(name, entries, sources, &mut list, calendar, problems),
            EntrySource::File(path) => from_file(name, path, &mut list, calendar, problems),
        }
        lists.insert(name.clone(), Arc::new(list.into_set()));
    }
    lists
}

fn inline(
    name: &str,
    entries: &[String],
    sources: &Sources,
    list: &mut Entries,
    calendar: &mut Calendar,
    problems: &mut Vec<Diagnostic>,
) {
    for entry in entries {
        if let Err((_, problem)) = add(list, entry, calendar) {
            problems
                .push(sources.error(&format!("policies.lists.{name}"), format!("list `{name}`: {problem}")));
        }
    }
}

fn from_file(
    name: &str,
    path: &Path,
    list: &mut Entries,
    calendar: &mut Calendar,
    problems: &mut Vec<Diagnostic>,
) {
    let add = |line: &str| add(list, line, calendar).map_err(|(place, problem)| (place.to_owned(), problem));
    read_lines(&format!("list `{name}`"), path, add, problems);
}

/// Adds what a line says, if it still counts.
///
/// # Errors
/// The part of the line that is wrong, and why.
fn add<'l>(list: &mut Entries, line: &'l str, calendar: &mut Calendar) -> Result<(), (&'l str, String)> {
    let Line { entry, until } = Line::parse(line)?;
    if entry.is_empty() || !calendar.counts(until) {
        return Ok(());
    }
    list.add(entry).map_err(|problem| (entry, problem))
}

/// Hands each line of a file to `add`, which says what part of it is wrong, and why.
pub(super) fn read_lines(
    what: &str,
    path: &Path,
    mut add: impl FnMut(&str) -> Result<(), (String, String)>,
    problems: &mut Vec<Diagnostic>,
) {
    file::closed(permissions::unchangeable(path), problems);
    let text = match file::read(path, MAX_LIST) {
        Ok(text) => text,
        Err(problem) => return problems.push(Diagnostic::error(path, format!("{what}: {problem}"))),
    };
    let lines = text.lines().enumerate();
    let wrong = lines.filter_map(|(index, line)| add(line).err().map(|wrong| (index, line, wrong)));
    let wrong: Vec<_> = wrong.take(MAX_PROBLEMS).collect();
    if wrong.is_empty() {
        return;
    }
    // Shared by the diagnostics, so that a large file is copied only when it is wrong.
    let whole: Arc<str> = text.as_str().into();
    for (index, line, (part, problem)) in wrong {
        let before = line.find(&part).and_then(|at| line.get(..at)).unwrap_or_default();
        let position = Position::new(index + 1, before.chars().count() + 1, part.chars().count());
        problems.push(Diagnostic::error(path, format!("{what}: {problem}")).at(&whole, position));
    }
}
