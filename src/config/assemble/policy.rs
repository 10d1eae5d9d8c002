//! Policies: where they are and how the operator bends them. Whether the names exist is for those who load them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::facts::ServiceSettings;
use crate::files;
use crate::policy::judgement::Mode;
use crate::policy::sources::{
    Budget, DomainSource, EntrySource, ListSource, Places, Selection, Setting, Sources, TableSource,
};

use super::super::raw::{self, Entries};
use super::super::read::{Named, Placed, within};
use super::super::report::Report;
use super::super::tree::Key;
use super::{count, duration, exceptions, name};

/// What the section `policies` says, and which policies each listener takes.
pub(super) fn sources(
    raw: raw::Policies,
    listeners: Option<&Named<raw::Listener>>,
    services: &ServiceSettings,
    report: &mut Report,
) -> Option<Sources> {
    let dir = folder(raw.dir.as_ref(), report);
    let mut places = Places { text: Some(Arc::clone(report.text())), ..Places::default() };
    let sources = Sources {
        on_error: raw.on_error.unwrap_or_default(),
        refuse_at: raw.refuse_at.unwrap_or_default(),
        deny_warnings: raw.deny_warnings.unwrap_or_default(),
        modes: modes("policies.modes", raw.modes.unwrap_or_default(), &mut places),
        settings: settings("policies.settings", raw.settings.unwrap_or_default(), &mut places),
        lists: lists(raw.lists.unwrap_or_default(), &mut places, report),
        tables: tables(raw.tables.unwrap_or_default(), &mut places, report),
        exceptions: exceptions::all(raw.exceptions.unwrap_or_default(), &mut places, report),
        domains: domains(raw.domains.unwrap_or_default(), &mut places, report),
        our_domains: Default::default(),
        redirect_domains: raw
            .redirect_domains
            .and_then(|domains| name::redirect_domains(&domains, report))
            .into_iter()
            .flatten()
            .collect(),
        http_hosts: Some(services.http_hosts.clone()),
        // What the other sections say is not known here.
        quarantine: false,
        require_tests: raw.require_tests.unwrap_or(false),
        today: None,
        coverage: None,
        listeners: listeners.map(|listeners| selections(listeners, report)).unwrap_or_default(),
        budget: budget(raw.limits.unwrap_or_default(), report),
        config: report.file().to_owned(),
        dir: dir?,
        places,
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

/// Modes by policy or rule, with their places below `path`.
fn modes(path: &str, named: Named<Mode>, places: &mut Places) -> BTreeMap<String, Mode> {
    let mut modes = BTreeMap::new();
    for (key, mode) in named.0 {
        places.keys.insert(format!("{path}.{}", key.name), key.place);
        modes.extend(mode.map(|mode| (key.name, mode)));
    }
    modes
}

/// Settings by policy and name, with their places below `path`.
fn settings(
    path: &str,
    named: raw::Settings,
    places: &mut Places,
) -> BTreeMap<String, BTreeMap<String, Setting>> {
    let mut all = BTreeMap::new();
    for (policy, own) in named.0 {
        let path = format!("{path}.{}", policy.name);
        let mut values = BTreeMap::new();
        for (key, value) in own.map(|own| own.0).unwrap_or_default() {
            let path = format!("{path}.{}", key.name);
            values.extend(value.map(|value| (key.name, setting(&path, value, places))));
            places.keys.insert(path, key.place);
        }
        places.keys.insert(path, policy.place);
        all.insert(policy.name, values);
    }
    all
}

/// One setting, with the places of its elements below `path`.
fn setting(path: &str, given: raw::Given, places: &mut Places) -> Setting {
    match given {
        raw::Given::One(value) => value,
        raw::Given::Several(values) => Setting::Array(elements(path, values, places)),
    }
}

/// The elements of a list without their places, which go below `path`.
fn elements<T>(path: &str, values: Vec<Placed<T>>, places: &mut Places) -> Vec<T> {
    let element = |(index, Placed { value, place })| {
        places.keys.insert(format!("{path}.{index}"), place);
        value
    };
    values.into_iter().enumerate().map(element).collect()
}

/// What domains wish, each under its name in A-labels and lower case.
fn domains(
    raw: Named<raw::Domain>,
    places: &mut Places,
    report: &mut Report,
) -> BTreeMap<String, DomainSource> {
    let mut domains = BTreeMap::new();
    for (key, domain) in raw.0 {
        if key.name == "*" {
            let help = "what holds for everybody stands in policies.settings and policies.modes";
            report.error_with_help(key.place, "`*` is no domain", help);
            continue;
        }
        let (Some(name), Some(domain)) = (name::domain_pattern(&key.name, key.place, report), domain) else {
            continue;
        };
        let path = format!("policies.domains.{name}");
        places.keys.insert(path.clone(), key.place);
        let source = DomainSource {
            settings: settings(&format!("{path}.settings"), domain.settings.unwrap_or_default(), places),
            modes: modes(&format!("{path}.modes"), domain.modes.unwrap_or_default(), places),
        };
        if domains.insert(name, source).is_some() {
            report.error(key.place, format!("`{}` is there twice", key.name));
        }
    }
    domains
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

fn lists(raw: Named<raw::List>, places: &mut Places, report: &mut Report) -> BTreeMap<String, ListSource> {
    let mut lists = BTreeMap::new();
    for (key, list) in raw.0 {
        let path = format!("policies.lists.{}", key.name);
        places.keys.insert(path.clone(), key.place);
        let Some(raw::List { kind, entries }) = list else { continue };
        let entries = match entries {
            Entries::Inline(entries) => EntrySource::Inline(elements(&path, entries, places)),
            Entries::File(file) => EntrySource::File(readable(&file, report)),
        };
        lists.insert(key.name, ListSource { kind, entries });
    }
    lists
}

fn tables(raw: Named<raw::Table>, places: &mut Places, report: &mut Report) -> BTreeMap<String, TableSource> {
    let mut tables = BTreeMap::new();
    for (key, table) in raw.0 {
        places.keys.insert(format!("policies.tables.{}", key.name), key.place);
        let source = match table {
            Some(raw::Table::Inline(entries)) => TableSource::Inline(
                entries.0.into_iter().filter_map(|(key, values)| Some((key.name, values?.0))).collect(),
            ),
            Some(raw::Table::File(file)) => TableSource::File(readable(&file, report)),
            None => continue,
        };
        tables.insert(key.name, source);
    }
    tables
}

/// The path of a file that is there.
fn readable(file: &Placed<PathBuf>, report: &mut Report) -> PathBuf {
    let path = report.resolve(&file.value);
    if let Err(error) = files::open(&path) {
        report.error(file.place, format!("{}: {error}", path.display()));
    }
    path
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
