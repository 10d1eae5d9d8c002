//! Tables, inline and from files.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::super::lists::Table;
use super::super::sources::{Sources, TableSource};
use super::lists::read_lines;
use crate::diagnostic::Diagnostic;

/// All tables by name.
pub(super) fn load(sources: &Sources, problems: &mut Vec<Diagnostic>) -> HashMap<String, Arc<Table>> {
    let named = sources.tables.iter();
    named
        .map(|(name, source)| {
            let table = match source {
                TableSource::Inline(entries) => inline(name, entries, sources, problems),
                TableSource::File(path) => from_file(name, path, problems),
            };
            (name.clone(), Arc::new(table))
        })
        .collect()
}

fn inline(
    name: &str,
    entries: &[(String, Vec<String>)],
    sources: &Sources,
    problems: &mut Vec<Diagnostic>,
) -> Table {
    let mut table = Table::default();
    for (key, values) in entries {
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        if let Err(problem) = table.add(key, &values) {
            problems.push(
                sources.error(&format!("policies.tables.{name}"), format!("table `{name}`: {problem}")),
            );
        }
    }
    table
}

fn from_file(name: &str, path: &Path, problems: &mut Vec<Diagnostic>) -> Table {
    let mut table = Table::default();
    let add = |line: &str| table.add_line(line).map_err(|problem| (line.trim().to_owned(), problem));
    read_lines(&format!("table `{name}`"), path, add, problems);
    table
}
