//! Which mode a policy and each of its rules has: configuration for the rule, for the policy, MODES, MODE, enforce.

use std::collections::{BTreeSet, HashMap};

use super::super::judgement::Mode;
use super::super::policies::{ModeOrigin, Rule};
use super::super::sources::{Sources, split_target};
use super::{Script, suggest};
use crate::diagnostic::Diagnostic;

/// The mode of effects without a rule, and those of all rules.
pub(super) fn resolve(script: &Script, sources: &Sources) -> ((Mode, ModeOrigin), HashMap<String, Rule>) {
    let constants = &script.constants;
    let configured = |key: &str| sources.modes.get(key).copied();
    let written = constants.mode.map(|(mode, _)| mode);
    let policy = configured(&script.name);
    let rules = rule_names(script).into_iter().map(|name| {
        let id = format!("{}.{name}", script.name);
        let in_modes = constants.modes.iter().find(|(rule, ..)| rule == name).map(|(_, mode, _)| *mode);
        let (mode, origin) = first([
            (configured(&id), ModeOrigin::ConfiguredRule),
            (policy, ModeOrigin::ConfiguredPolicy),
            (in_modes, ModeOrigin::FileModes),
            (written, ModeOrigin::FileMode),
        ]);
        (name.to_owned(), Rule { id: id.into(), mode, origin })
    });
    let own = first([
        (policy, ModeOrigin::ConfiguredPolicy),
        (written, ModeOrigin::FileMode),
        (None, ModeOrigin::Default),
        (None, ModeOrigin::Default),
    ]);
    (own, rules.collect())
}

/// The first mode that somebody gave, and who.
fn first(given: [(Option<Mode>, ModeOrigin); 4]) -> (Mode, ModeOrigin) {
    let mut given = given.into_iter().filter_map(|(mode, origin)| Some((mode?, origin)));
    given.next().unwrap_or_default()
}

/// Whether a fault of this policy may touch mail: not when all that it could do is in shadow.
pub(super) fn is_enforced(mode: Mode, rules: &HashMap<String, Rule>) -> bool {
    if rules.is_empty() {
        mode == Mode::Enforce
    } else {
        rules.values().any(|rule| rule.mode == Mode::Enforce)
    }
}

/// Checks what policies and configuration say about modes.
pub(super) fn check(scripts: &[Script], sources: &Sources, problems: &mut Vec<Diagnostic>) {
    for script in scripts {
        check_constants(script, problems);
    }
    for (key, mode) in &sources.modes {
        target("policies.modes", key, *mode, scripts, sources, problems);
    }
}

fn check_constants(script: &Script, problems: &mut Vec<Diagnostic>) {
    let names = rule_names(script);
    for (rule, mode, position) in &script.constants.modes {
        if !names.contains(rule.as_str()) {
            let problem = script.file.error(*position, 1, format!("this policy has no rule `{rule}`"));
            problems.push(suggest_rule(problem, rule, script));
        }
        if script.constants.gate && *mode != Mode::Enforce {
            problems.push(script.file.error(*position, 1, GATE));
        }
    }
    if let Some((mode, position)) = script.constants.mode
        && script.constants.gate
        && mode != Mode::Enforce
    {
        problems.push(script.file.error(position, 1, GATE));
    }
}

const GATE: &str = "a gate is always enforced";

/// What `key` below `path` of the configuration names, if it may have this mode: the policy, and the rule where one is named.
pub(super) fn target<'s, 'k>(
    path: &str,
    key: &'k str,
    mode: Mode,
    scripts: &'s [Script],
    sources: &Sources,
    problems: &mut Vec<Diagnostic>,
) -> Option<(&'s Script, Option<&'k str>)> {
    let error = |message: String| sources.error(&format!("{path}.{key}"), format!("{path}: {message}"));
    let (policy, rule) = split_target(key);
    let Some(script) = scripts.iter().find(|script| *script.name == *policy) else {
        let problem = error(format!("there is no policy `{policy}`"));
        problems.push(suggest(problem, policy, scripts.iter().map(|script| &*script.name)));
        return None;
    };
    let rules = rule_names(script);
    if let Some(rule) = rule.filter(|rule| !rules.contains(rule)) {
        let problem = error(format!("`{policy}` has no rule `{rule}`"));
        problems.push(suggest(problem, rule, rules.iter().copied()));
        return None;
    }
    if script.constants.gate && mode != Mode::Enforce {
        problems.push(error(format!("`{key}` cannot be `{}`: {GATE}", mode.name())));
        return None;
    }
    Some((script, rule))
}

/// The problem with the nearest rule of the script, or with all of them.
pub(super) fn suggest_rule(problem: Diagnostic, rule: &str, script: &Script) -> Diagnostic {
    let names = rule_names(script);
    let problem = suggest(problem, rule, names.iter().copied());
    let all = names.into_iter().collect::<Vec<_>>().join(", ");
    match problem.help {
        Some(_) => problem,
        None if all.is_empty() => problem.with_help("it has none"),
        None => problem.with_help(format!("it has {all}")),
    }
}

/// The names of a script's rules.
pub(super) fn rule_names(script: &Script) -> BTreeSet<&str> {
    script.names.rules.iter().map(|site| site.rule.as_str()).collect()
}
