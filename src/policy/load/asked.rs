//! Lists and settings against what scripts ask of them: an entry that can never be found is found here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::super::lint::{Asked, ListUse, SettingName, Wanted};
use super::super::lists::EntrySet;
use super::super::sources::{ListKind, Setting, Sources};
use super::Script;
use crate::diagnostic::Diagnostic;

/// Checks all that is asked.
pub(super) fn check(
    asked: &Asked,
    scripts: &[Script],
    sources: &Sources,
    lists: &HashMap<String, Arc<EntrySet>>,
    problems: &mut Vec<Diagnostic>,
) {
    check_lists(&asked.lists, sources, lists, problems);
    check_settings(&asked.settings, scripts, sources, problems);
}

/// A list that was declared to be of one kind is never asked in vain. One without a kind may have several uses, of which one is enough.
fn check_lists(
    uses: &[ListUse],
    sources: &Sources,
    lists: &HashMap<String, Arc<EntrySet>>,
    problems: &mut Vec<Diagnostic>,
) {
    for (name, source) in &sources.lists {
        let uses: Vec<_> = uses.iter().filter(|one| one.list == *name).collect();
        let has = match source.kind {
            Some(kind) => vec![kind],
            None => lists.get(name).map(|list| list.kinds()).unwrap_or_default(),
        };
        let vain: Vec<_> = uses.iter().filter(|one| is_vain(one, &has)).collect();
        if has.is_empty() || source.kind.is_none() && vain.len() < uses.len() {
            continue;
        }
        for one in vain {
            let problem = in_vain(one, &has, source.kind.is_some());
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
}

fn is_vain(one: &ListUse, has: &[ListKind]) -> bool {
    one.kinds.is_some_and(|kinds| !kinds.iter().any(|kind| has.contains(kind)))
}

fn in_vain(one: &ListUse, has: &[ListKind], is_declared: bool) -> Diagnostic {
    let (list, names) = (&one.list, has.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" and "));
    let message = format!("{}, and the list `{list}` has {names} only: it is never there", one.what);
    let help = match has {
        [ListKind::Networks] => format!("ask for an IP address: `session.client.ip in list(\"{list}\")`"),
        [ListKind::Domains] => {
            format!("ask for a domain or an address: `mail.sender.domain in list(\"{list}\")`")
        }
        [ListKind::Addresses] => format!("ask for an address: `mail.sender in list(\"{list}\")`"),
        _ => format!("see what is in policies.lists.{list}"),
    };
    let problem = match is_declared {
        true => one.file.error(one.position, one.len, message),
        false => one.file.warning(one.position, one.len, message),
    };
    problem.with_help(help)
}

/// Texts in settings that no script has a use for.
fn check_settings(
    asked: &BTreeMap<SettingName, Vec<Wanted>>,
    scripts: &[Script],
    sources: &Sources,
    problems: &mut Vec<Diagnostic>,
) {
    for ((policy, name), wanted) in asked {
        let Some(script) = scripts.iter().find(|script| *script.name == **policy) else { continue };
        if let Some(default) = script.constants.settings.iter().find(|default| default.name == *name) {
            for (_, text) in texts(&default.value) {
                let len = name.chars().count();
                problems.extend(useless(wanted, text, |message| {
                    script.file.warning(default.position, len, message)
                }));
            }
        }
        let common = std::iter::once(("policies.settings".to_owned(), &sources.settings));
        let of_domains = sources.domains.iter();
        let of_domains = of_domains
            .map(|(domain, source)| (format!("policies.domains.{domain}.settings"), &source.settings));
        for (path, settings) in common.chain(of_domains) {
            let Some(value) = settings.get(policy).and_then(|values| values.get(name)) else { continue };
            let path = format!("{path}.{policy}.{name}");
            for (index, text) in texts(value) {
                let entry = index.map(|index| format!("{path}.{index}"));
                let place = entry.filter(|entry| sources.places.keys.contains_key(entry));
                problems.extend(useless(wanted, text, |message| {
                    sources.warning(place.as_deref().unwrap_or(&path), format!("{path}: {message}"))
                }));
            }
        }
    }
}

/// The texts of a setting, those of an array with their numbers.
fn texts(value: &Setting) -> Vec<(Option<usize>, &str)> {
    match value {
        Setting::Text(text) => vec![(None, text)],
        Setting::Array(values) => {
            let texts = values.iter().enumerate().filter_map(|(index, value)| match value {
                Setting::Text(text) => Some((Some(index), text.as_str())),
                _ => None,
            });
            texts.collect()
        }
        _ => Vec::new(),
    }
}

/// A text that every place where it is asked for refuses. An empty one stands for none.
fn useless(wanted: &[Wanted], text: &str, error: impl FnOnce(String) -> Diagnostic) -> Option<Diagnostic> {
    let refuses = |wanted: &Wanted| !wanted.is_form_of_settings() && wanted.refuses(text).is_some();
    if text.is_empty() || !wanted.iter().all(refuses) {
        return None;
    }
    let (message, help) = wanted.iter().find(|wanted| !wanted.is_literal())?.refuses(text)?;
    let help = if help.starts_with("write \"") { help } else { "it is taken letter by letter".to_owned() };
    Some(error(message).with_help(help))
}
