//! Policies: where they are and how the operator bends them. Whether the names exist is for those who load them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::policy::sources::{Budget, ListSource, Selection, Sources};

use super::super::raw::{self, Entries};
use super::super::read::{Named, Placed, within};
use super::super::report::Report;
use super::super::tree::Key;
use super::{count, duration, name};

/// What the section `policies` says, and which policies each listener takes.
pub(super) fn sources(
    raw: raw::Policies,
    listeners: Option<&Named<raw::Listener>>,
    report: &mut Report,
) -> Option<Sources> {
    let dir = folder(raw.dir.as_ref(), report);
    let settings = raw.settings.unwrap_or_default().0.into_iter();
    let sources = Sources {
        on_error: raw.on_error.unwrap_or_default(),
        deny_warnings: raw.deny_warnings.unwrap_or_default(),
        modes: table(raw.modes.unwrap_or_default()),
        settings: settings.filter_map(|(policy, own)| Some((policy.name, table(own?)))).collect(),
        lists: lists(raw.lists.unwrap_or_default(), report),
        redirect_domains: raw
            .redirect_domains
            .and_then(|domains| name::redirect_domains(&domains, report))
            .into_iter()
            .flatten()
            .collect(),
        // What the other sections say is not known here.
        quarantine: false,
        listeners: listeners.map(|listeners| selections(listeners, report)).unwrap_or_default(),
        budget: budget(raw.limits.unwrap_or_default(), report),
        config: report.file().to_owned(),
        dir: dir?,
    };
    Some(sources)
}

fn selections(listeners: &Named<raw::Listener>, report: &mut Report) -> Vec<(String, Selection)> {
    let selection = |(key, listener): &(Key, Option<raw::Listener>)| {
        let chosen = listener.as_ref()?.policies.as_ref();
        Some((key.name.clone(), chosen.map_or(Some(Selection::All), |raw| selection_of(raw, report))?))
    };
    listeners.0.iter().filter_map(selection).collect()
}

fn selection_of(raw: &Placed<raw::Selection>, report: &mut Report) -> Option<Selection> {
    let names = |list: &[Placed<String>]| list.iter().map(|name| name.value.clone()).collect();
    match (&raw.value.only, &raw.value.except) {
        (None, None) => Some(Selection::All),
        (Some(only), None) => Some(Selection::Only(names(only))),
        (None, Some(except)) => Some(Selection::Except(names(except))),
        (Some(_), Some(_)) => {
            let help = "`only` names the policies to take, `except` those to leave out; keep one";
            report.error_with_help(raw.place, "`only` and `except` cannot stand together", help);
            None
        }
    }
}

fn table<T>(named: Named<T>) -> BTreeMap<String, T> {
    named.0.into_iter().filter_map(|(key, value)| Some((key.name, value?))).collect()
}

/// The configured folder; else `policies` beside the file or beside its folder, whichever is there.
fn folder(configured: Option<&Placed<PathBuf>>, report: &mut Report) -> Option<PathBuf> {
    if let Some(dir) = configured {
        let path = report.resolve(&dir.value);
        if !path.is_dir() {
            report.error(dir.place, format!("{}: there is no such folder", path.display()));
            return None;
        }
        return Some(path);
    }
    let candidates = ["policies", "../policies"].map(|path| report.resolve(Path::new(path)));
    let found = candidates.iter().find(|path| path.is_dir()).cloned();
    if found.is_none() {
        let [near, far] = &candidates;
        let message =
            format!("no folder of policies was found: neither {} nor {}", near.display(), far.display());
        report.add(None, message, Some("name it as `policies: { dir: PATH }`".to_owned()));
    }
    found
}

fn lists(raw: Named<Entries>, report: &mut Report) -> BTreeMap<String, ListSource> {
    let mut lists = BTreeMap::new();
    for (key, entries) in raw.0 {
        let source = match entries {
            Some(Entries::Inline(entries)) => {
                ListSource::Inline(entries.into_iter().map(|entry| entry.value).collect())
            }
            Some(Entries::File(file)) => {
                let path = report.resolve(&file.value);
                if let Err(error) = std::fs::File::open(&path) {
                    report.error(file.place, format!("{}: {error}", path.display()));
                }
                ListSource::File(path)
            }
            None => continue,
        };
        lists.insert(key.name, source);
    }
    lists
}

fn budget(raw: raw::Budget, report: &mut Report) -> Budget {
    let default = Budget::default();
    let operations = raw.operations.and_then(|placed| within(&placed, 1_000, 1_000_000_000, |n| n, report));
    Budget {
        time: duration(raw.time, default.time, Duration::from_millis(1), 10, report),
        operations: operations.unwrap_or(default.operations),
        facts: count(raw.facts, default.facts, 10_000, report),
    }
}
