//! Which results of checks a script looks at, and which it forgets.

use rhai::Position;

use super::super::language::{Form, Type};
use super::super::load::ScriptFile;
use super::value::Value;
use crate::diagnostic::Diagnostic;

/// The results that were compared, by the property that gave the object which has them: `mail.spf` and `mail.helo_spf` are two.
#[derive(Debug, Default)]
pub(super) struct Tested {
    seen: Vec<Seen>,
}

#[derive(Debug)]
struct Seen {
    origin: &'static str,
    result: String,
    /// Compared with `==`, `in` or an arm of `switch`; `!=` and the arm `_` take in all other results.
    is_equality: bool,
    at: Position,
}

impl Tested {
    /// A comparison of two values.
    pub(super) fn compared(&mut self, one: &Value, other: &Value, is_equality: bool, at: Position) {
        for (value, literal) in [(one, other), (other, one)] {
            let Some((object, "result")) = value.source else { continue };
            let Some(result) = literal.literal_text() else { continue };
            if matches!(value.kind, Type::Text(Form::Words(words)) if words.contains(&"temperror")) {
                let origin = value.origin.unwrap_or(object);
                self.seen.push(Seen { origin, result: result.to_owned(), is_equality, at });
            }
        }
    }

    /// Scripts that act on `fail` and let a failure of DNS pass without a word.
    pub(super) fn problems(&self, file: &ScriptFile) -> Vec<Diagnostic> {
        let mut told = Vec::new();
        let mut problems = Vec::new();
        for seen in self.seen.iter().filter(|seen| seen.result == "fail" && seen.is_equality) {
            let of_it = self.seen.iter().filter(|other| other.origin == seen.origin);
            let mut minding = of_it.filter(|other| !other.is_equality || other.result == "temperror");
            if minding.next().is_none() && !told.contains(&seen.origin) {
                told.push(seen.origin);
                let message = format!(
                    "`fail` of {} is looked at, and `temperror` is not: when DNS fails, mail passes",
                    seen.origin
                );
                let help = "add a branch for \"temperror\", such as `defer(\"temperror\", \"4.7.0\", \"try again later\")`";
                problems.push(file.warning(seen.at, 1, message).with_help(help));
            }
        }
        problems
    }
}
