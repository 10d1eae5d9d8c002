//! Which results of checks a script looks at, and which it forgets.
//!
//! A stage is judged with all functions that it leads to: what another stage says is no help to it, unless mail for which DNS failed
//! was refused there already.

use std::collections::BTreeSet;

use rhai::Position;

use super::super::language::{Form, Type};
use super::super::load::ScriptFile;
use super::value::Value;
use crate::diagnostic::Diagnostic;

/// What stands for all results that are not named: the arm `_`, an `else`.
const OTHERS: &str = "_";

/// The results that were compared.
#[derive(Debug, Default)]
pub(super) struct Tested {
    seen: Vec<Seen>,
    /// The function that is walked.
    function: String,
}

#[derive(Clone, Debug)]
struct Seen {
    /// The object that has the result.
    object: &'static str,
    /// The property that gave the object, where it is known: `mail.spf` and `mail.helo_spf` are two.
    origin: Option<&'static str>,
    result: String,
    /// Compared with `==`, `in` or an arm of `switch`; `!=`, `else` and the arm `_` take in all other results.
    is_equality: bool,
    /// What follows from it is a verdict.
    is_answered: bool,
    function: String,
    at: Position,
}

/// The functions that one stage leads to.
pub(super) type Reach<'n> = BTreeSet<&'n str>;

impl Tested {
    /// From here on comparisons are those of this function.
    pub(super) fn enter(&mut self, function: &str) {
        function.clone_into(&mut self.function);
    }

    /// How many comparisons there were so far.
    pub(super) const fn count(&self) -> usize {
        self.seen.len()
    }

    /// A comparison of two values.
    pub(super) fn compared(&mut self, one: &Value, other: &Value, is_equality: bool, at: Position) {
        for (value, literal) in [(one, other), (other, one)] {
            if let Some(result) = literal.literal_text() {
                self.see(value, result, is_equality, at);
            }
        }
    }

    /// Something is said about all results of `value` that are not named.
    pub(super) fn others(&mut self, value: &Value, at: Position) {
        self.see(value, OTHERS, false, at);
    }

    fn see(&mut self, value: &Value, result: &str, is_equality: bool, at: Position) {
        let Some((object, "result")) = value.source else { return };
        if matches!(value.kind, Type::Text(Form::Words(words)) if words.contains(&"temperror")) {
            let (result, function) = (result.to_owned(), self.function.clone());
            let origin = value.origin;
            self.seen.push(Seen { object, origin, result, is_equality, is_answered: false, function, at });
        }
    }

    /// The comparisons from number `first` on were a condition: whether a verdict follows where it holds, and whether anything
    /// is said where it does not.
    pub(super) fn branched(&mut self, first: usize, is_answered: bool, says_else: bool) {
        let mut others = Vec::new();
        for seen in self.seen.iter_mut().skip(first).filter(|seen| seen.is_equality) {
            seen.is_answered |= is_answered;
            if says_else {
                others.push(Seen { result: OTHERS.to_owned(), is_equality: false, ..seen.clone() });
            }
        }
        self.seen.extend(others);
    }

    /// Scripts that act on `fail` and let a failure of DNS pass without a word. `reaches` has what each stage leads to, in the
    /// order of the stages.
    pub(super) fn problems(&self, file: &ScriptFile, reaches: &[Reach<'_>]) -> Vec<Diagnostic> {
        let mut problems: Vec<Diagnostic> = Vec::new();
        for (stage, reach) in reaches.iter().enumerate() {
            let earlier = reaches.get(..stage).unwrap_or_default();
            let mut told: Vec<&Seen> = Vec::new();
            for seen in self.within(reach).filter(|seen| seen.acts_on_fail()) {
                let is_told = told.iter().any(|other| seen.is_about(other));
                if is_told || self.is_minded(seen, reach, earlier) {
                    continue;
                }
                told.push(seen);
                let problem = forgotten(file, seen);
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
        problems
    }

    fn within<'s>(&'s self, reach: &'s Reach<'_>) -> impl Iterator<Item = &'s Seen> {
        self.seen.iter().filter(|seen| reach.contains(seen.function.as_str()))
    }

    /// Whether the stage says what happens when DNS fails, or an earlier one refused such mail.
    fn is_minded(&self, seen: &Seen, reach: &Reach<'_>, earlier: &[Reach<'_>]) -> bool {
        let of_it = |other: &&Seen| seen.is_about(other);
        self.within(reach).filter(of_it).any(Seen::minds)
            || earlier.iter().any(|reach| {
                self.within(reach).filter(of_it).any(|other| other.result == "temperror" && other.is_answered)
            })
    }
}

impl Seen {
    fn is_about(&self, other: &Self) -> bool {
        let same_origin = match (self.origin, other.origin) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        self.object == other.object && same_origin
    }

    /// `!= "fail"` says in so many words that everything else passes.
    fn acts_on_fail(&self) -> bool {
        self.result == "fail" && self.is_equality
    }

    /// Whether `temperror` is among the results that it takes in.
    fn minds(&self) -> bool {
        self.result == "temperror" || !self.is_equality && ["pass", OTHERS].contains(&self.result.as_str())
    }
}

fn forgotten(file: &ScriptFile, seen: &Seen) -> Diagnostic {
    let message = format!(
        "`fail` of {} is looked at, and `temperror` is not: when DNS fails, mail passes",
        seen.origin.unwrap_or(seen.object)
    );
    let help =
        "add a branch for \"temperror\", such as `defer(\"temperror\", \"4.7.0\", \"try again later\")`";
    file.warning(seen.at, 1, message).with_help(help)
}
