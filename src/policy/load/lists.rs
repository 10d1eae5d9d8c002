//! Lists, inline and from files.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use jiff::civil::Date;

use super::super::lists::{Entries, EntrySet, Line, without_comment};
use super::super::sources::{EntrySource, Sources};
use super::calendar::Calendar;
use super::file;
use crate::diagnostic::{Diagnostic, Position};
use crate::permissions;

/// The largest file of a list or table, in octets: some million entries.
pub(super) const MAX_LIST: u64 = 256 * 1024 * 1024;
/// Entries of one list that are over and told of with their places.
const MAX_OVER: usize = 3;
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
    let mut over = Over::default();
    for (index, entry) in entries.iter().enumerate() {
        let place = format!("policies.lists.{name}.{index}");
        match add(list, entry, calendar) {
            Ok(until) => over.see(until, || sources.warning(&place, "")),
            Err((_, problem)) => problems.push(sources.error(&place, format!("list `{name}`: {problem}"))),
        }
    }
    over.tell(name, calendar);
}

fn from_file(
    name: &str,
    path: &Path,
    list: &mut Entries,
    calendar: &mut Calendar,
    problems: &mut Vec<Diagnostic>,
) {
    let (mut over, mut number) = (Over::default(), 0);
    let add = |line: &str| {
        number += 1;
        let until = add(list, line, calendar).map_err(|(place, problem)| (place.to_owned(), problem))?;
        over.see(until, || {
            let text = without_comment(line).trim();
            let before = line.find(text).and_then(|at| line.get(..at)).unwrap_or_default();
            let position = Position::new(number, before.chars().count() + 1, text.chars().count());
            // The other lines of what may be a large file are not shown.
            let shown = format!("{}{line}", "\n".repeat(number - 1));
            Diagnostic::warning(path, "").at(&shown.into(), position)
        });
        Ok(())
    };
    read_lines(&format!("list `{name}`"), path, add, problems);
    over.tell(name, calendar);
}

/// Entries of one list that are over.
#[derive(Debug, Default)]
struct Over {
    count: usize,
    /// The first of them: the warning, still without words, and the last day.
    first: Vec<(Diagnostic, Date)>,
}

impl Over {
    /// Takes note of an entry that is over since `until`; `warning` has its place.
    fn see(&mut self, until: Option<Date>, warning: impl FnOnce() -> Diagnostic) {
        let Some(until) = until else { return };
        self.count += 1;
        if self.first.len() < MAX_OVER {
            self.first.push((warning(), until));
        }
    }

    /// Warns of the first ones, and says how many more there are.
    fn tell(self, name: &str, calendar: &mut Calendar) {
        let more = self.count - self.first.len();
        let last = self.first.len().saturating_sub(1);
        for (index, (warning, until)) in self.first.into_iter().enumerate() {
            let mut message = format!("list `{name}`: this entry ended on {until} and is not heeded");
            if more > 0 && index == last {
                message += &format!(", nor are {more} more below it");
            }
            calendar
                .notice(Diagnostic { message, ..warning }.with_help("take it out, or give it another day"));
        }
    }
}

/// Adds what a line says, if it still counts; else gives its last day, which is over.
///
/// # Errors
/// The part of the line that is wrong, and why.
fn add<'l>(
    list: &mut Entries,
    line: &'l str,
    calendar: &mut Calendar,
) -> Result<Option<Date>, (&'l str, String)> {
    let Line { entry, until } = Line::parse(line)?;
    if entry.is_empty() {
        return Ok(None);
    }
    if !calendar.counts(until) {
        return Ok(until);
    }
    list.add(entry).map_err(|problem| (entry, problem))?;
    Ok(None)
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
