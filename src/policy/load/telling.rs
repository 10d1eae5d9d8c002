//! The constant RULES: what the operator is told of each rule.

use rhai::{Expr, ImmutableString, Position};

use super::super::telling::{BLANKS, RuleWords};
use super::constants::{Mistake, entries, literal};
use super::{Script, modes, suggest};
use crate::diagnostic::Diagnostic;

/// The words about one rule, and where they stand.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) rule: String,
    pub(super) words: RuleWords,
    position: Position,
}

/// The longest text about a rule, in characters: it is kept with each decision of the rule's.
const MAX_TEXT: usize = 500;

const SHAPE: &str = "#{ \"not-fqdn\": #{ why: \"...\", otherwise: \"...\", advice: \"...\" } }";

/// Reads the value of RULES.
pub(super) fn take(value: &Expr) -> Result<Vec<Told>, Mistake> {
    let one = |(rule, value, position)| Ok(Told { rule, words: words(value)?, position });
    entries(value, "RULES", SHAPE)?.into_iter().map(one).collect()
}

fn words(value: &Expr) -> Result<RuleWords, Mistake> {
    let mut words = RuleWords::default();
    for (key, value, position) in entries(value, "RULES", SHAPE)? {
        let at = value.start_position();
        let Some(part) = words.part(&key) else {
            let known = RuleWords::KEYS.join(", ");
            let message = format!("of a rule RULES says {known}, and no `{key}`");
            let mistake =
                Mistake::new(position, message, format!("write `#{{ why: \"...\" }}`, or one of {known}"));
            return Err(mistake.instead_of(&key, RuleWords::KEYS));
        };
        let text = literal(value).and_then(|text| text.try_cast::<ImmutableString>());
        let text = text.filter(|text| !text.trim().is_empty() && text.chars().count() <= MAX_TEXT);
        let problem = || {
            let message = format!("`{key}` is a literal text of at most {MAX_TEXT} characters");
            Mistake::new(at, message, "write it out in double quotes, or between backticks without `${...}`")
        };
        *part = text.ok_or_else(problem)?.to_string();
    }
    Ok(words)
}

/// Checks that RULES speaks of rules that are there, and that everything in braces can be filled in.
pub(super) fn check(scripts: &[Script], problems: &mut Vec<Diagnostic>) {
    for script in scripts {
        let names = modes::rule_names(script);
        for told in &script.constants.rules {
            let error = |message: String| script.file.error(told.position, 1, message);
            if !names.contains(told.rule.as_str()) {
                let problem = error(format!("this policy has no rule `{}`", told.rule));
                problems.push(modes::suggest_rule(problem, &told.rule, script));
            }
            let settings = || script.constants.settings.iter().map(|default| default.name.as_str());
            let known = || BLANKS.iter().map(|(name, _)| *name).chain(settings());
            for blank in told.words.blanks().filter(|blank| !known().any(|name| name == *blank)) {
                let problem = error(format!("nothing is known that would be filled in for `{{{blank}}}`"));
                problems.push(suggest(problem, blank, known()));
            }
        }
    }
}
