//! Tables, inline and from files.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::super::lists::Table;
use super::super::sources::{Sources, TableSource};
use super::lists::read_lines;
use crate::diagnostic::Diagnostic;

/// All tables by name: those of the configuration, and empty ones for the rest of `optional`.
pub(super) fn load<'o>(
    sources: &Sources,
    optional: impl Iterator<Item = &'o String>,
    problems: &mut Vec<Diagnostic>,
) -> HashMap<String, Arc<Table>> {
    let mut tables: HashMap<_, _> = optional.map(|name| (name.clone(), Arc::new(Table::default()))).collect();
    for (name, source) in &sources.tables {
        let table = match source {
            TableSource::Inline(entries) => inline(name, entries, sources, problems),
            TableSource::File(path) => from_file(name, path, problems),
        };
        tables.insert(name.clone(), Arc::new(table));
    }
    tables
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
