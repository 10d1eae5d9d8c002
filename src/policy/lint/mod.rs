//! What plain Rhai finds when the line runs, or never: names that do not exist, values of the wrong type, comparisons that can
//! never be true. Found before the first mail comes.
//!
//! The functions of a script are walked with the types of their parameters: a stage's function has those of its stage, every
//! other one what its callers hand over. That is done in rounds until nothing new is learnt; the problems of the last round are
//! reported. What is not known has the type [`Type::Any`] and is never a problem: better to miss a mistake than to invent one.

use std::collections::{BTreeSet, HashMap};

use rhai::Position;

use super::language::{self, Type};
use super::load::Role;
use super::words;
use crate::diagnostic::Diagnostic;
use crate::session::stage::Stage;

mod arguments;
mod asked;
mod calls;
mod chain;
mod closures;
mod compare;
mod emptiness;
mod entries;
mod expressions;
mod facts;
mod flow;
mod forms;
mod host;
mod inside;
mod keys;
mod named;
mod operators;
mod source;
mod spoken;
mod statements;
mod swapped;
mod unit;
mod value;
mod wanted;

pub(super) use asked::{Asked, ListUse};
use emptiness::{Minded, Undecided};
use facts::Tested;
use flow::Changed;
pub(super) use host::Host;
pub(super) use source::{Bracket, brackets};
pub(super) use spoken::Mention;
use unit::Body;
pub(super) use unit::Unit;
use value::Value;
pub(super) use wanted::{Fault, Wanted};

/// Rounds after which what is still in motion counts as unknown.
const MAX_ROUNDS: usize = 6;

/// The origin of what the function of the stage `rcpt` is given: its recipient is not accepted yet.
const OWN_RECIPIENT: &str = "rcpt";

/// A function by its name and the number of its parameters.
type Name = (String, usize);

/// What was learnt about the functions of one script.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Learnt {
    /// What callers hand over.
    parameters: HashMap<Name, Vec<Value>>,
    /// What the functions give back.
    gives: HashMap<Name, Value>,
    /// The arrays whose emptiness every caller looked at before.
    minded: HashMap<Name, Minded>,
}

/// The libraries by name, and what is known about each.
#[derive(Debug, Default)]
pub(super) struct Libraries {
    units: Vec<(String, Unit, Learnt)>,
}

/// Lints every script with all libraries. What scripts hand to libraries is known when these are walked. Gives what each script
/// mentions in variables, and what all of them ask of lists and settings.
pub(super) fn lint(
    host: &Host,
    libraries: Vec<(String, Unit)>,
    scripts: &[Unit],
    problems: &mut Vec<Diagnostic>,
) -> (Vec<Vec<Mention>>, Asked) {
    let mut asked = Asked::default();
    let mut known = Libraries::default();
    for (name, unit) in libraries {
        known.units.push((name, unit, Learnt::default()));
    }
    // What libraries give, as far as their own text says it.
    let guesses: Vec<_> = known
        .units
        .iter()
        .map(|(_, unit, _)| settle(host, &known, unit, &Learnt::default()).learnt)
        .collect();
    for (slot, guess) in known.units.iter_mut().zip(guesses) {
        slot.2.gives = guess.gives;
    }
    let mut handed: HashMap<String, Learnt> = HashMap::new();
    let mut mentions = Vec::new();
    for unit in scripts {
        let settled = settle(host, &known, unit, &Learnt::default());
        problems.extend(settled.problems);
        mentions.push(settled.mentions);
        asked.join(settled.asked);
        asked.declare(unit);
        for (library, learnt) in settled.outside {
            handed.entry(library).or_default().join(learnt);
        }
    }
    for (name, unit, _) in &known.units {
        let from_outside = handed.remove(name).unwrap_or_default();
        let settled = settle(host, &known, unit, &from_outside);
        problems.extend(settled.problems);
        asked.join(settled.asked);
    }
    (mentions, asked)
}

/// What the rounds over one script came to.
#[derive(Default)]
struct Settled {
    learnt: Learnt,
    /// What was handed to the functions of libraries.
    outside: HashMap<String, Learnt>,
    problems: Vec<Diagnostic>,
    mentions: Vec<Mention>,
    asked: Asked,
}

/// Walks all functions of a script until nothing new is learnt about them. `outside` is what others hand over.
fn settle(host: &Host, libraries: &Libraries, unit: &Unit, outside: &Learnt) -> Settled {
    let mut known = outside.clone();
    for round in 0.. {
        let mut walk = Walk::new(host, libraries, unit, &known, outside);
        for body in &unit.functions {
            walk.function(body);
        }
        walk.finish();
        let Walk { next, handed, problems, mentions, asked, .. } = walk;
        if next == known || round >= MAX_ROUNDS {
            return Settled { learnt: next, outside: handed, problems, mentions, asked };
        }
        known = if round + 1 == MAX_ROUNDS { unknown(next) } else { next };
    }
    Settled { learnt: known, ..Settled::default() }
}

/// The same functions, about which nothing is known.
fn unknown(mut learnt: Learnt) -> Learnt {
    learnt.parameters.values_mut().flatten().for_each(|value| *value = Value::unknown());
    learnt.gives.values_mut().for_each(|value| *value = Value::unknown());
    learnt
}

impl Learnt {
    /// One more call of a function, behind a look at these arrays.
    fn called(&mut self, name: Name, values: &[Value], minded: &Minded) {
        let before = self.minded.get(&name).unwrap_or(&Minded::All);
        let minded = before.meet(minded);
        _ = self.minded.insert(name.clone(), minded);
        hand_over(&mut self.parameters, name, values);
    }

    /// The calls of others too.
    fn join(&mut self, other: Self) {
        for (name, values) in other.parameters {
            let minded = other.minded.get(&name).unwrap_or(&Minded::All);
            self.called(name, &values, minded);
        }
    }
}

/// Joins what one more caller hands over.
fn hand_over(parameters: &mut HashMap<Name, Vec<Value>>, name: Name, values: &[Value]) {
    match parameters.get_mut(&name) {
        Some(known) => {
            for (known, value) in known.iter_mut().zip(values) {
                *known = known.join(value);
            }
        }
        None => {
            let plain = values.iter().cloned().map(|value| value.spelled(""));
            _ = parameters.insert(name, plain.collect());
        }
    }
}

/// One round over one script.
struct Walk<'a> {
    host: &'a Host,
    libraries: &'a Libraries,
    unit: &'a Unit,
    known: &'a Learnt,
    next: Learnt,
    handed: HashMap<String, Learnt>,
    problems: Vec<Diagnostic>,
    mentions: Vec<Mention>,
    tested: Tested,
    asked: Asked,
    // Of the function that is walked.
    within: Option<&'a Body>,
    scope: Vec<(String, Value)>,
    /// Where the innermost block's own variables begin in `scope`.
    block_begins: usize,
    returned: Option<Value>,
    /// What the `break` of the innermost loop gives.
    broken: Option<Value>,
    /// The call of this statement, whose value nobody looks at.
    dropped: Option<Position>,
    changed: Changed,
    in_closure: bool,
    /// The arrays whose emptiness was looked at so far.
    minded: Minded,
    /// How many `&&` there are around, and what is open in them.
    in_and: usize,
    undecided: Vec<Undecided>,
    /// How many `try` there are around.
    in_try: usize,
}

impl<'a> Walk<'a> {
    fn new(
        host: &'a Host,
        libraries: &'a Libraries,
        unit: &'a Unit,
        known: &'a Learnt,
        outside: &Learnt,
    ) -> Self {
        Self {
            host,
            libraries,
            unit,
            known,
            next: Learnt { gives: HashMap::new(), ..outside.clone() },
            handed: HashMap::new(),
            problems: Vec::new(),
            mentions: Vec::new(),
            tested: Tested::default(),
            asked: Asked::default(),
            within: None,
            scope: Vec::new(),
            returned: None,
            broken: None,
            dropped: None,
            block_begins: 0,
            changed: Changed::default(),
            in_closure: false,
            minded: Minded::none(),
            in_and: 0,
            undecided: Vec::new(),
            in_try: 0,
        }
    }

    fn function(&mut self, body: &'a Body) {
        self.within = Some(body);
        self.tested.enter(&body.name);
        self.changed = flow::changed(&body.statements);
        self.minded = self.minded_before(body);
        (self.in_and, self.in_try) = (0, 0);
        self.in_closure = body.name.contains('$');
        (self.returned, self.broken) = (None, None);
        self.scope = self.parameters(body);
        let last = self.block(&body.statements);
        let given = match self.returned.take() {
            Some(returned) => returned.join(&last),
            None => last,
        };
        _ = self.next.gives.insert((body.name.clone(), body.parameters.len()), given.spelled(""));
    }

    /// What every caller looked at; a stage's function has none.
    fn minded_before(&self, body: &Body) -> Minded {
        let is_stage = self.unit.role == Role::Policy && words::stage_named(&body.name).is_some();
        if is_stage {
            return Minded::none();
        }
        let known = self.known.minded.get(&(body.name.clone(), body.parameters.len()));
        known.cloned().unwrap_or(Minded::All)
    }

    /// The parameters with what is known of them: by the stage, by the callers, or else by their names.
    fn parameters(&self, body: &Body) -> Vec<(String, Value)> {
        let names = body.parameters.iter().cloned();
        if let Some(stage) = words::stage_named(&body.name).filter(|_| self.unit.role == Role::Policy) {
            let kinds = language::parameters(stage).iter().map(|parameter| parameter.kind);
            let kinds = kinds.chain(std::iter::repeat(Type::Any));
            let origin = (stage == Stage::Rcpt).then_some(OWN_RECIPIENT);
            return names
                .zip(kinds)
                .map(|(name, kind)| {
                    let value = self.as_long_as_it_is(&name, Value { origin, ..Value::of(kind) });
                    (name.clone(), value.spelled(name))
                })
                .collect();
        }
        let known = self.known.parameters.get(&(body.name.clone(), body.parameters.len()));
        let of_callers =
            known.cloned().unwrap_or_default().into_iter().map(Some).chain(std::iter::repeat(None));
        names
            .zip(of_callers)
            .map(|(name, value)| {
                let value = value.unwrap_or_else(Value::unknown);
                let value = match value.kind {
                    Type::Any => Value { given: value.given, ..named(&name) },
                    _ => value,
                };
                (name.clone(), self.as_long_as_it_is(&name, value).spelled(name))
            })
            .collect()
    }

    /// Runs after all functions of the script.
    fn finish(&mut self) {
        self.problems.extend(self.tested.problems(&self.unit.file, &self.unit.reaches()));
    }

    /// One more call of a function of the script's own.
    fn hand_over(&mut self, name: Name, values: &[Value]) {
        self.next.called(name, values, &self.minded);
    }

    fn variable(&self, name: &str) -> Value {
        let found = self.scope.iter().rev().find(|(known, _)| known == name);
        found.map_or_else(Value::unknown, |(_, value)| value.clone())
    }

    fn declare(&mut self, name: &str, value: Value) {
        let value = self.as_long_as_it_is(name, value);
        self.scope.push((name.to_owned(), value));
    }

    /// The value of a variable that keeps it; of one that does not, little is known, or nothing but what of the operator's it may
    /// still be.
    fn as_long_as_it_is(&self, name: &str, value: Value) -> Value {
        let is_in = |names: &[String]| names.iter().any(|changed| changed == name);
        let is_touched = is_in(&self.changed.touched);
        if !is_in(&self.changed.assigned) {
            return if is_touched { value.changed() } else { value };
        }
        let is_another = is_touched || is_in(&self.changed.remade);
        let given = match value.kind {
            Type::Array(_) if is_another => value.given_entries(),
            _ if is_another => BTreeSet::new(),
            _ => value.given,
        };
        Value { given, ..Value::unknown() }
    }

    /// A variable that is declared in this block and assigned once is known from there on; in another block nobody knows
    /// whether that comes by.
    fn assign(&mut self, name: &str, value: Value) {
        let is_only = self.changed.assigned.iter().filter(|changed| *changed == name).count() == 1;
        let is_touched = self.changed.touched.iter().any(|one| one == name);
        let value = if is_touched { value.changed() } else { value };
        let own = self.scope.iter_mut().skip(self.block_begins).rev().find(|(known, _)| known == name);
        if let (true, Some((_, known))) = (is_only, own) {
            *known = value.spelled(name);
        }
    }

    fn error(&mut self, at: Position, len: usize, message: String, help: impl Into<String>) {
        self.push(with_help(self.unit.file.error(at, len, message), help.into()));
    }

    fn warning(&mut self, at: Position, len: usize, message: String, help: impl Into<String>) {
        self.push(with_help(self.unit.file.warning(at, len, message), help.into()));
    }

    fn push(&mut self, problem: Diagnostic) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

fn with_help(problem: Diagnostic, help: String) -> Diagnostic {
    if help.is_empty() { problem } else { problem.with_help(help) }
}

/// What a parameter usually is that has the name of one of the stages' own.
fn named(name: &str) -> Value {
    Value::of(match name {
        "session" => Type::Object("Session"),
        "mail" => Type::Object("Mail"),
        "rcpt" => Type::Object("Rcpt"),
        "message" => Type::Object("Message"),
        _ => Type::Any,
    })
}

#[cfg(test)]
mod tests;
