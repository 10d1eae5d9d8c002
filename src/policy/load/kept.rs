//! Names of what is counted, remembered and noted: a name that nothing keeps would be a silent "no" for ever.

use std::collections::BTreeSet;

use rhai::Position;

use super::super::sources::split_target;
use super::{Script, modes, suggest};
use crate::diagnostic::Diagnostic;

/// Checks the first arguments of `rate`, `remembered` and `noted`.
pub(super) fn check(scripts: &[Script], problems: &mut Vec<Diagnostic>) {
    for script in scripts {
        problems.extend(script.names.counters.iter().filter_map(|counter| misspelt(script, counter)));
        let unknown = script.names.remembered.iter().filter_map(|asked| unknown(scripts, script, asked));
        problems.extend(unknown);
        problems.extend(script.names.noted.iter().filter_map(|asked| never_noted(scripts, script, asked)));
    }
}

/// What `rate` counts is usually a rule, whose mode it has; a name that is nearly one's was probably meant to be.
fn misspelt(script: &Script, (name, position): &(String, Position)) -> Option<Diagnostic> {
    let rules = modes::rule_names(script);
    if rules.contains(name.as_str()) {
        return None;
    }
    let message =
        format!("no verdict of this policy has the rule `{name}`, so that it has the policy's mode");
    let problem = suggest(script.file.warning(*position, name.len() + 2, message), name, rules);
    problem.help.is_some().then_some(problem)
}

/// What is asked for must be remembered somewhere.
fn unknown(
    scripts: &[Script],
    script: &Script,
    (asked, position): &(String, Position),
) -> Option<Diagnostic> {
    let error = |message: String| script.file.error(*position, asked.len() + 2, message);
    let (owner, name) = match asked.split_once('.') {
        Some((policy, name)) => {
            let Some(owner) = scripts.iter().find(|script| *script.name == *policy) else {
                let names = scripts.iter().map(|script| &*script.name);
                return Some(suggest(error(format!("there is no policy `{policy}`")), policy, names));
            };
            (owner, name)
        }
        None => (script, asked.as_str()),
    };
    let kept: BTreeSet<_> = owner.names.kept.iter().map(|(name, _)| name.as_str()).collect();
    if kept.contains(name) {
        return None;
    }
    let problem =
        suggest(error(format!("the policy `{}` remembers nothing as `{name}`", owner.name)), name, kept);
    let help = "say `remember(NAME, key, \"24h\")` there; of another policy ask as `policy.name`";
    Some(if problem.help.is_some() { problem } else { problem.with_help(help) })
}

/// A note that is asked for must be left somewhere.
fn never_noted(
    scripts: &[Script],
    script: &Script,
    (asked, position): &(String, Position),
) -> Option<Diagnostic> {
    let error = |message: String| script.file.error(*position, asked.chars().count() + 2, message);
    let own = format!("{}.{asked}", script.name);
    let (policy, Some(key)) = split_target(asked) else {
        let problem = error(format!("a note has the name of its policy in front: `{own}`"));
        return Some(
            problem.with_help(format!("write `noted(\"{own}\")`, or name the policy that leaves it")),
        );
    };
    let Some(owner) = scripts.iter().find(|script| *script.name == *policy) else {
        let names = || scripts.iter().map(|script| &*script.name);
        let problem = suggest(error(format!("there is no policy `{policy}`")), policy, names());
        let help =
            format!("policies have the names of their files: {}", names().collect::<Vec<_>>().join(", "));
        return Some(if problem.help.is_some() { problem } else { problem.with_help(help) });
    };
    let notes: BTreeSet<_> = owner.names.notes.iter().map(|(key, _)| key.as_str()).collect();
    if owner.names.notes_anything || notes.contains(key) {
        return None;
    }
    let problem = error(format!("the policy `{policy}` leaves no note `{key}`: this is always \"\""));
    let problem = suggest(problem, key, notes.iter().copied());
    let all: Vec<_> = notes.into_iter().collect();
    let help =
        if all.is_empty() { "it leaves none".to_owned() } else { format!("it leaves {}", all.join(", ")) };
    Some(if problem.help.is_some() { problem } else { problem.with_help(help) })
}
