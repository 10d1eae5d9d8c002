//! Names of what is counted, remembered and noted: a name that nothing keeps would be a silent "no" for ever.

use std::collections::BTreeSet;

use rhai::Position;

use super::super::sources::split_target;
use super::check::NoteSite;
use super::join::comes_later;
use super::{Script, modes, suggest};
use crate::diagnostic::Diagnostic;
use crate::session::stage::Stage;

/// Checks the first arguments of `rate`, `remembered` and `noted`.
pub(super) fn check(scripts: &[Script], problems: &mut Vec<Diagnostic>) {
    for (index, script) in scripts.iter().enumerate() {
        problems.extend(script.names.counters.iter().filter_map(|counter| misspelt(script, counter)));
        let unknown = script.names.remembered.iter().filter_map(|asked| unknown(scripts, script, asked));
        problems.extend(unknown);
        let noted = script.names.noted.iter();
        problems.extend(noted.filter_map(|asked| never_noted(scripts, index, asked)));
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

/// A note that is asked for must be left somewhere, before that, and where it is looked for.
fn never_noted(scripts: &[Script], reader: usize, asked: &NoteSite) -> Option<Diagnostic> {
    let script = scripts.get(reader)?;
    let (asks, name) = (&asked.key, &script.name);
    let error = |message: String| script.file.error(asked.position, asked.width, message);
    let (policy, Some(key)) = split_target(asks) else {
        let problem = error(format!("a note has the name of its policy in front: `{name}.{asks}`"));
        return Some(
            problem.with_help(format!("write `noted(\"{name}.{asks}\")`, or name the policy that leaves it")),
        );
    };
    let Some((at, owner)) = scripts.iter().enumerate().find(|(_, script)| *script.name == *policy) else {
        let names = || scripts.iter().map(|script| &*script.name);
        let problem = suggest(error(format!("there is no policy `{policy}`")), policy, names());
        let help =
            format!("policies have the names of their files: {}", names().collect::<Vec<_>>().join(", "));
        return Some(if problem.help.is_some() { problem } else { problem.with_help(help) });
    };
    if owner.names.notes_anything {
        return None;
    }
    let left: Vec<_> = owner.names.notes.iter().filter(|note| note.key == key).collect();
    if left.is_empty() {
        let message = format!("the policy `{policy}` leaves no note `{key}`: this is always \"\"");
        return Some(with_notes(error(message), key, owner));
    }
    never_there(&left, at, asked, reader).map(|(message, help)| error(message).with_help(help))
}

fn with_notes(problem: Diagnostic, key: &str, owner: &Script) -> Diagnostic {
    let notes: BTreeSet<_> = owner.names.notes.iter().map(|note| note.key.as_str()).collect();
    let problem = suggest(problem, key, notes.iter().copied());
    let all: Vec<_> = notes.into_iter().collect();
    let help =
        if all.is_empty() { "it leaves none".to_owned() } else { format!("it leaves {}", all.join(", ")) };
    if problem.help.is_some() { problem } else { problem.with_help(help) }
}

/// Why a note that policy `owner` leaves is not there where policy `reader` asks for it, and the way out.
fn never_there(
    left: &[&NoteSite],
    owner: usize,
    asked: &NoteSite,
    reader: usize,
) -> Option<(String, String)> {
    let key = &asked.key;
    let stages: Vec<_> = left.iter().flat_map(|note| note.stages.iter().copied()).collect();
    let is_there = |from: &Stage, to: &Stage| match (from, to) {
        (Stage::Rcpt, _) if asked.is_of_recipient => true,
        (Stage::Rcpt, to) => *to == Stage::Rcpt && reader >= owner,
        (_, _) if asked.is_of_recipient => false,
        // A client that has logged in may say EHLO again.
        (Stage::Auth, Stage::Helo) => true,
        (from, to) => comes_later(*from, owner, *to, reader),
    };
    if stages.iter().any(|from| asked.stages.iter().any(|to| is_there(from, to))) {
        return None;
    }
    let names: BTreeSet<_> = stages.iter().map(|stage| stage.name()).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    Some(if asked.is_of_recipient {
        let message = format!("`{key}` is left at {names}, and for no recipient: this is always \"\"");
        (message, format!("write `noted(\"{key}\")`"))
    } else if stages.iter().all(|stage| *stage == Stage::Rcpt) && !asked.stages.contains(&Stage::Rcpt) {
        let message = format!("`{key}` is left at rcpt, for one recipient each: this is always \"\"");
        (message, format!("ask a recipient: `rcpt.noted(\"{key}\")` of each `rcpt` in `mail.recipients`"))
    } else {
        let message = format!("`{key}` is left at {names}, which comes later: this is always \"\"");
        (message, "leave it at an earlier stage, or in a policy whose file comes before this one".to_owned())
    })
}
