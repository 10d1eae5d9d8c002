//! The lists in DNS that scripts and settings name: they are known when policies are loaded, so that they can be tested, and be
//! labels.

use std::collections::BTreeSet;

use rhai::{Array, Dynamic};

use super::super::listing::ZoneSpec;
use super::super::policies::Policy;
use super::Script;
use super::survey::Call;
use crate::diagnostic::Diagnostic;

/// The lists that are written out where a script asks one; what is none is a problem.
pub(super) fn written(scripts: &[Script], problems: &mut Vec<Diagnostic>) -> BTreeSet<Box<str>> {
    let mut zones = BTreeSet::new();
    for script in scripts {
        for call in calls(script) {
            for text in &call.written {
                match ZoneSpec::parse(text) {
                    Some(spec) => _ = zones.insert(spec.zone.into()),
                    None => problems.push(no_zone(script, call, text)),
                }
            }
        }
    }
    zones
}

fn no_zone(script: &Script, call: &Call, text: &str) -> Diagnostic {
    let message = format!("`{text}` is no list that `{}` can ask", call.name);
    script.file.error(call.position, call.name.len(), message).with_help(ZoneSpec::HELP)
}

/// The policies that ask lists at all.
pub(super) fn asking(scripts: &[Script]) -> Vec<bool> {
    scripts.iter().map(|script| calls(script).next().is_some()).collect()
}

/// The lists in the settings of a policy that asks lists.
pub(super) fn set(policy: &Policy) -> impl Iterator<Item = Box<str>> + '_ {
    policy
        .settings
        .values()
        .flat_map(|setting| texts(&setting.value))
        .filter_map(|text| Some(ZoneSpec::parse(&text)?.zone.into()))
}

fn calls(script: &Script) -> impl Iterator<Item = &Call> {
    let calls = script.survey.functions.iter().flat_map(|function| &function.calls);
    calls.filter(|call| call.module.is_empty() && matches!(call.name.as_str(), "dnsbl" | "dnswl"))
}

/// The texts of an array; a text by itself may be anything.
fn texts(value: &Dynamic) -> Vec<String> {
    let Some(values) = value.read_lock::<Array>() else { return Vec::new() };
    values.iter().filter_map(|value| value.clone().into_string().ok()).collect()
}
