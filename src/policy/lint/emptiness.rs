//! Arrays that may be empty: an index into one is an error then, and `.all(` is true.

use std::collections::BTreeSet;

use rhai::{Expr, FnCallExpr, Position};

use super::super::language::{self, Type};
use super::super::load::begins;
use super::Walk;
use super::compare::shown;
use super::expressions::width;
use super::value::{Literal, Value};
use crate::diagnostic::Diagnostic;

/// An array of the host's: the object that has it, and the property or method that gives it.
pub(super) type Origin = (&'static str, &'static str);

/// The arrays whose emptiness was looked at on the way to a place.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Minded {
    /// Nobody is known to come by.
    All,
    These(BTreeSet<Origin>),
}

impl Minded {
    pub(super) const fn none() -> Self {
        Self::These(BTreeSet::new())
    }

    fn has(&self, origin: Origin) -> bool {
        match self {
            Self::All => true,
            Self::These(these) => these.contains(&origin),
        }
    }

    fn add(&mut self, origin: Origin) {
        if let Self::These(these) = self {
            these.insert(origin);
        }
    }

    /// What was looked at on both ways.
    pub(super) fn meet(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, other) => other.clone(),
            (one, Self::All) => one.clone(),
            (Self::These(one), Self::These(other)) => Self::These(one & other),
        }
    }
}

/// What is true of all entries of an array that may have none, within an `&&` whose other parts may still look at that.
#[derive(Debug)]
pub(super) struct Undecided {
    origin: Origin,
    problem: Diagnostic,
}

/// What a text was split into: at something, which gives at least one piece, or at blanks.
const PIECES: Origin = ("text", "split");
const WORDS: Origin = ("text", "words");

/// What splitting a stranger's text gives.
pub(super) fn split(text: &Value, call: &FnCallExpr) -> Option<Origin> {
    let is_split = matches!(call.name.as_str(), "split" | "split_rev");
    let (object, _) = text.source.filter(|_| is_split)?;
    let is_own = matches!(object, "Table" | "List");
    let origin = if call.args.is_empty() { WORDS } else { PIECES };
    (!is_own).then_some(origin)
}

/// Whether it is what a text was split into: nobody else has it, so that what is taken out of it is all that is wanted.
pub(super) fn is_split(value: &Value) -> bool {
    matches!(value.source, Some(PIECES | WORDS))
}

/// What to write in the place of an index into what a text was split into. An address has its parts by name.
fn instead_of_index(array: &Value, key: &Value) -> String {
    let by_index = format!("`{}.get({}) ?? \"\"`", shown(array), shown(key));
    let mut addresses = [".address.split(...)", ".original.split(...)"].into_iter();
    match addresses.find_map(|call| array.spelled.strip_suffix(call)) {
        Some(owner) => format!("write `{owner}.local_part` or `{owner}.domain`, else {by_index}"),
        None => format!("write {by_index}"),
    }
}

impl Walk<'_> {
    /// The script asks how many entries there are, or goes through them.
    pub(super) fn minds_emptiness(&mut self, array: &Value) {
        if let (Type::Array(_), Some(origin)) = (array.kind, array.source) {
            self.minded.add(origin);
        }
    }

    /// Results say whether there is anything in what stands beside them; DMARC passes only with exactly one author.
    pub(super) fn minds_by_property(&mut self, origin: Origin) {
        match origin {
            ("Message", "dmarc") => self.minded.add(("Message", "from")),
            (_, "is_null") => self.minds_splits(),
            (object, "result" | "trusted" | "weight") => {
                let object = language::object_named(object);
                let properties = object.into_iter().flat_map(|object| object.properties);
                let arrays = properties.filter(|property| matches!(property.kind, Type::Array(_)));
                let name = object.map_or("", |object| object.name);
                arrays.for_each(|array| self.minded.add((name, array.name)));
            }
            _ => {}
        }
    }

    /// Fields that are counted, or read otherwise, and keys that are looked for.
    pub(super) fn minds_by_call(&mut self, owner: &Value, name: &str) {
        match (owner.kind, name) {
            (Type::Array(_), "len" | "is_empty" | "contains" | "some" | "index_of" | "find") => {
                self.minds_emptiness(owner);
            }
            (Type::Object("Message"), "header" | "header_count") => {
                self.minded.add(("Message", "headers"));
                self.minded.add(("Message", "raw_headers"));
            }
            (Type::Object("Table"), "get" | "contains") => self.minded.add(("Table", "get_all")),
            // What is in the text says how often it can be split.
            (Type::Text(_), "contains" | "index_of" | "starts_with" | "ends_with" | "matches") => {
                self.minds_splits();
            }
            _ => {}
        }
    }

    /// The script looks at what is in texts.
    pub(super) fn minds_splits(&mut self) {
        self.minded.add(PIECES);
        self.minded.add(WORDS);
    }

    /// `array[...]`, with the index by itself.
    pub(super) fn index_into(&mut self, array: &Value, key: &Value, index: &Expr) {
        let (Type::Array(_), Some(origin)) = (array.kind, array.source) else { return };
        let is_first = matches!(key.literal, Some(Literal::Integer(0 | -1)));
        if self.minded.has(origin) || self.in_try > 0 || origin == PIECES && is_first {
            return;
        }
        if [PIECES, WORDS].contains(&origin) {
            let message = format!(
                "{} may have fewer entries, and an index behind the last is an error: 451",
                array.name()
            );
            let help = instead_of_index(array, key);
            return self.warning(begins(index), width(key), message, help);
        }
        let message = format!("{} may be empty, and an index into it is an error then: 451", array.name());
        let help = format!(
            "look at its length first, `if {}.len() > 0 {{ ... }}`, or walk it with `for`",
            array.spelled
        );
        self.warning(begins(index), 1, message, help);
    }

    /// `[].all(...)` is true.
    pub(super) fn all_of_nothing(&mut self, owner: &Value, name: &str, position: Position) {
        let Some(origin) = owner.source.filter(|_| name == "all") else { return };
        // Mail without recipients goes nowhere, and a text with something to split it at has at least one piece.
        if self.minded.has(origin) || [("Mail", "recipients"), PIECES].contains(&origin) {
            return;
        }
        let message = format!("`all` is also true when {} is empty", owner.name());
        let help = match origin {
            ("Message", "from") => format!("check the length first: `{}.len() == 1 && ...`", owner.spelled),
            _ => format!("ask that first: `!{}.is_empty() && ...`", owner.spelled),
        };
        let problem = self.unit.file.warning(position, 3, message).with_help(help);
        self.undecided.push(Undecided { origin, problem });
        self.decide();
    }

    /// Tells what no other part of an `&&` made right.
    pub(super) fn decide(&mut self) {
        if self.in_and == 0 {
            for Undecided { origin, problem } in std::mem::take(&mut self.undecided) {
                if !self.minded.has(origin) {
                    self.push(problem);
                }
            }
        }
    }
}
