//! YAML as a tree in which every key and every value knows its place in the file.
//!
//! Serde would stop at the first value that does not fit; from this tree, everything that is wrong can be said at once,
//! and what only shows later (a name that does not exist, a certificate that cannot be read) still has its place.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_yaml::{DuplicateKeyPolicy, Location, NonFiniteFloatPolicy, Spanned};

use crate::diagnostic::Position;

use super::report::Report;
use super::variables::{Lookup, VariableError, expand};

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where the value stands, or the alias that stands for it.
    pub place: Position,
    /// Where the key of this value stands, or the value itself in a list; `None` for the file as a whole.
    pub owner: Option<Position>,
    /// What it is.
    pub value: Value,
}

/// What a [`Node`] can be.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Empty,
    /// One value: a text, a number, a bool.
    Scalar(Scalar),
    /// `[a, b]`.
    List(Vec<Node>),
    /// `{ a: b }`.
    Map(Vec<(Key, Node)>),
    /// Cannot be known; what is wrong was already reported.
    Broken,
}

impl Value {
    /// What it is, for "expected ..., found ...".
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Empty => "nothing",
            Self::Scalar(_) => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a section with keys",
            Self::Broken => "an error",
        }
    }
}

/// One value without structure.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    /// The value with its variables expanded; numbers and bools as they were written.
    pub text: String,
    /// The value as the file has it. Shown in messages in place of `text`, which may hold what a variable held.
    pub written: String,
    /// Whether it was written without quotes, so that `5` may be a number.
    pub plain: bool,
}

/// A key with its place.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// The key itself.
    pub name: String,
    /// Where it stands.
    pub place: Position,
}

/// Reads the YAML of `report`'s file. `None` when it is not YAML at all, which is then reported; a variable that is not
/// set makes only its own value [`Value::Broken`].
pub(super) fn parse(report: &mut Report, lookup: Lookup<'_>) -> Option<Node> {
    let text = Arc::clone(report.text());
    let options = serde_yaml::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
    };
    match serde_yaml::from_str_with_options::<Spanned<Shape>>(&text, options) {
        Ok(shape) => Some(Planter { text: &text, lookup, report }.plant(shape, None)),
        Err(error) => {
            report_syntax(report, &error);
            None
        }
    }
}

/// What the parser hands out, before variables and places are settled.
enum Shape {
    Empty,
    /// A number or a bool; what the parser made of it does not matter, its spelling is in the file.
    Literal,
    Text(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Empty)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Literal)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Literal)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Literal)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Shape, E> {
        Ok(Shape::Literal)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Shape, E> {
        Ok(Shape::Literal)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Literal)
    }

    fn visit_str<E>(self, text: &str) -> Result<Shape, E> {
        Ok(Shape::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Shape, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Shape::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Shape, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            if key.value.is_empty() {
                return Err(A::Error::custom("a key is empty"));
            }
            map.push((key, entries.next_value()?));
        }
        Ok(Shape::Map(map))
    }
}

/// Turns shapes into nodes.
struct Planter<'a> {
    text: &'a str,
    lookup: Lookup<'a>,
    report: &'a mut Report,
}

impl Planter<'_> {
    fn plant(&mut self, shape: Spanned<Shape>, owner: Option<Position>) -> Node {
        let place = position(shape.referenced);
        let value = match shape.value {
            Shape::Empty => Value::Empty,
            Shape::Literal => {
                let written = self.written(shape.defined).to_owned();
                Value::Scalar(Scalar { text: written.clone(), written, plain: true })
            }
            Shape::Text(text) => {
                let plain = !self.written(shape.defined).starts_with(['"', '\'']);
                self.scalar(place, text, plain)
            }
            Shape::List(list) => Value::List(list.into_iter().map(|node| self.element(node)).collect()),
            Shape::Map(entries) => self.map(entries),
        };
        Node { place, owner, value }
    }

    fn element(&mut self, shape: Spanned<Shape>) -> Node {
        let owner = position(shape.referenced);
        self.plant(shape, Some(owner))
    }

    fn map(&mut self, entries: Vec<(Spanned<String>, Spanned<Shape>)>) -> Value {
        let mut map: Vec<(Key, Node)> = Vec::with_capacity(entries.len());
        let mut seen = std::collections::HashMap::new();
        for (name, shape) in entries {
            let key = Key { place: position(name.referenced), name: name.value };
            let first = *seen.entry(key.name.clone()).or_insert(key.place);
            let node = self.plant(shape, Some(key.place));
            if first == key.place {
                map.push((key, node));
            } else {
                let message = format!("the key `{}` stands here a second time", key.name);
                self.report.error_with_help(
                    key.place,
                    message,
                    format!("the first is on line {}", first.line),
                );
            }
        }
        Value::Map(map)
    }

    fn scalar(&mut self, place: Position, written: String, plain: bool) -> Value {
        match expand(&written, self.lookup) {
            Ok(text) => Value::Scalar(Scalar { text: text.into_owned(), written, plain }),
            Err(error) => {
                let message = error.to_string();
                match error {
                    VariableError::Unset(name) => {
                        let help = format!("set it, or give a default: `${{{name}:-value}}`");
                        self.report.error_with_help(place, message, help);
                    }
                    VariableError::Unclosed | VariableError::BadName(_) => {
                        let help = "write `${NAME}` or `${NAME:-default}`, and `$${` for a plain `${`";
                        self.report.error_with_help(place, message, help);
                    }
                }
                Value::Broken
            }
        }
    }

    /// The source of a scalar.
    fn written(&self, location: Location) -> &str {
        let span = location.span();
        let (Some(start), Some(len)) = (span.byte_offset(), span.byte_len()) else { return "" };
        let end = start.saturating_add(len);
        let (Ok(start), Ok(end)) = (usize::try_from(start), usize::try_from(end)) else { return "" };
        self.text.get(start..end).unwrap_or("")
    }
}

fn position(location: Location) -> Position {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    // An empty place still gets a caret of its own, on the character behind it.
    let len = location.span().len().max(1);
    Position::new(number(location.line()), number(location.column()), number(len))
}

/// What the parser's own messages mean for the person who wrote the file: a part of the message, what to say (empty: the
/// message itself), and what to do.
const SYNTAX: &[(&str, &str, &str)] = &[
    ("tabs disallowed", "a tab stands where only spaces may indent", "indent with spaces"),
    (
        "multiline quoted scalar",
        "a quoted text does not end before this line",
        "a quotation mark on an earlier line is not closed",
    ),
    (
        "mapping values are not allowed",
        "a `:` stands where no key can be",
        "keys of one section begin in the same column; a text with `: ` in it needs quotes",
    ),
    (
        "illegal placement of ':'",
        "a `:` stands where no key can be",
        "is a bracket or brace before it not closed?",
    ),
    (
        "while parsing a block mapping",
        "no key can begin here",
        "keys of one section begin in the same column, each on a line of its own",
    ),
    (
        "while parsing a flow",
        "a `,` or a closing bracket is missing here",
        "within brackets and braces, a text with `{`, `[` or `,` in it needs quotes: `\"${NAME}\"`",
    ),
    ("unclosed quote", "", "close it on the same line"),
    (
        "multiple YAML documents",
        "a second document begins here",
        "one file holds one configuration: remove the `---`",
    ),
    ("unexpected character", "", "a text that begins with this character needs quotes"),
    ("null into string", "a key is missing here", "every line of a section is `key: value`"),
    ("expected string scalar", "a key must be a text", "every line of a section is `key: value`"),
    ("unclosed bracket", "", "close it, or begin every key on a line of its own"),
    (
        "unknown anchor",
        "",
        "an alias `*name` needs an anchor `&name` before it; a text with `*` needs quotes",
    ),
];

fn report_syntax(report: &mut Report, error: &serde_yaml::Error) {
    let full = error.without_snippet().to_string();
    // The place is drawn; only the sentence before it is wanted.
    let sentence = full.rsplit_once(" at line ").map_or(full.as_str(), |(sentence, _)| sentence);
    let known = SYNTAX.iter().find(|(part, _, _)| sentence.contains(part));
    let message = known.map(|(_, say, _)| *say).filter(|say| !say.is_empty()).unwrap_or(sentence);
    let place = error.location().map(position);
    let help = known.map(|(_, _, help)| (*help).to_owned());
    report.add(place, message, help);
}
