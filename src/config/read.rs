//! From the tree to typed values, one section at a time; whatever does not fit is reported, and reading goes on.

use std::fmt::Display;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::diagnostic::{Position, nearest};
use crate::units::{UnitError, parse_data_rate, parse_duration, parse_rate, parse_size};

use super::report::Report;
use super::shape::{self, Shape};
use super::tree::{Key, Node, Scalar, Value};

/// A value that can be read from a node.
pub(super) trait Read: Sized {
    /// The value, or `None` when it does not fit, which is then reported.
    fn read(node: &Node, report: &mut Report) -> Option<Self>;

    /// What may stand there; everything that can be read fits it, though not everything that fits can be read.
    fn shape() -> Shape;
}

/// A value and where it stands, for what only shows later.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Position,
}

/// A size in bytes, written with a unit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Size(pub u64);

/// So many times within a time; `None` for `off`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Rate(pub Option<(u32, Duration)>);

/// Bytes a second; 0 for `off`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct DataRate(pub u64);

/// Values under names that the operator chose, in the order of the file. A name whose value was broken stays, so that
/// whoever refers to it is not told that it does not exist.
#[derive(Clone, Debug)]
pub(super) struct Named<T>(pub Vec<(Key, Option<T>)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Named<T> {
    /// The names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.name.as_str())
    }
}

/// A value, or several in a list.
#[derive(Clone, Debug)]
pub(super) struct OneOrMore<T>(pub Vec<T>);

/// One of a few words.
pub(super) trait Choice: Copy + 'static {
    /// Every word with what it means.
    const WORDS: &'static [(&'static str, Self)];
}

/// The keys of one section, taken one by one. Whoever was not asked for when it [ends](Self::end) is unknown.
#[derive(Debug)]
pub(super) struct Keys<'n> {
    entries: &'n [(Key, Node)],
    owner: Option<Position>,
    asked: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl<'n> Keys<'n> {
    /// The keys of `node`, which may be those of `known`; `None` when it is no section.
    pub(super) fn of(node: &'n Node, known: &[&str], report: &mut Report) -> Option<Self> {
        let entries: &[(Key, Node)] = match &node.value {
            Value::Map(entries) => entries,
            Value::Empty => &[],
            other => {
                let help = format!("keys here: {}", listing(known.iter().copied()));
                unfit_with_help(node, report, "a section with keys", other, Some(help));
                return None;
            }
        };
        Some(Self { entries, owner: node.owner, asked: Vec::new(), missing: Vec::new() })
    }

    /// The value of `name`; `None` when it is not there, empty, or broken.
    pub(super) fn optional<T: Read>(&mut self, name: &'static str, report: &mut Report) -> Option<T> {
        self.asked.push(name);
        let (_, node) = self.entry(name).filter(|(_, node)| !matches!(node.value, Value::Empty))?;
        T::read(node, report)
    }

    /// The value of `name`, which must be there.
    pub(super) fn required<T: Read>(&mut self, name: &'static str, report: &mut Report) -> Option<T> {
        match self.entry(name) {
            None => self.missing.push(name),
            Some((key, node)) if matches!(node.value, Value::Empty) => {
                report.error(key.place, format!("`{name}` is empty"));
            }
            Some(_) => {}
        }
        self.optional(name, report)
    }

    /// Reports every key that nobody asked for, and every one that is missing, unless it is there misspelt.
    pub(super) fn end(mut self, report: &mut Report) {
        for (key, _) in self.entries {
            let name = key.name.as_str();
            if !self.asked.contains(&name) {
                let help = suggestion(name, &self.asked);
                report.error_with_help(key.place, format!("unknown key `{name}`"), help);
                let meant = nearest(name, self.asked.iter().copied());
                self.missing.retain(|missing| Some(*missing) != meant);
            }
        }
        for name in self.missing {
            let help = format!("add `{name}: ...`; config/README.md says what it means");
            report.add(self.owner, format!("the key `{name}` is missing"), Some(help));
        }
    }

    fn entry(&self, name: &str) -> Option<&'n (Key, Node)> {
        self.entries.iter().find(|(key, _)| key.name == name)
    }
}

/// "did you mean ..." for the nearest of `known`, or all of them.
pub(super) fn suggestion<S: AsRef<str>>(name: &str, known: &[S]) -> String {
    match nearest(name, known.iter().map(AsRef::as_ref)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "no name is known here".to_owned(),
        None => format!("known here: {}", listing(known.iter().map(AsRef::as_ref))),
    }
}

/// `a`, `b`, `c`.
pub(super) fn listing<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The single value of `node`.
pub(super) fn scalar<'n>(node: &'n Node, report: &mut Report, expected: &str) -> Option<&'n Scalar> {
    match &node.value {
        Value::Scalar(scalar) => Some(scalar),
        other => {
            unfit(node, report, expected, other);
            None
        }
    }
}

fn unfit(node: &Node, report: &mut Report, expected: &str, found: &Value) {
    unfit_with_help(node, report, expected, found, None);
}

fn unfit_with_help(node: &Node, report: &mut Report, expected: &str, found: &Value, help: Option<String>) {
    if !matches!(found, Value::Broken) {
        report.add(Some(node.place), format!("expected {expected}, found {}", found.kind()), help);
    }
}

/// The scalar of `node` as whatever `parse` makes of it; else it is not `expected`, and `help` shows how it looks.
pub(super) fn parsed<T>(
    node: &Node,
    report: &mut Report,
    expected: &str,
    help: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let found = scalar(node, report, expected)?;
    let value = parse(&found.text);
    if value.is_none() {
        report.error_with_help(node.place, format!("expected {expected}, found `{}`", found.written), help);
    }
    value
}

// === impl Read ===

impl Read for String {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let found = scalar(node, report, "a text")?;
        if found.text.is_empty() {
            report.error(node.place, "expected a text, found an empty one");
            return None;
        }
        Some(found.text.clone())
    }

    fn shape() -> Shape {
        Shape::Text
    }
}

impl Read for PathBuf {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        String::read(node, report).map(Self::from)
    }

    fn shape() -> Shape {
        Shape::Text
    }
}

impl Read for bool {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        // What other programs, and older versions of YAML, take for the same.
        let help = match &node.value {
            Value::Scalar(found) if ["yes", "on", "1"].contains(&found.written.as_str()) => "write `true`",
            Value::Scalar(found) if ["no", "off", "0"].contains(&found.written.as_str()) => "write `false`",
            _ => "one of these two words, in small letters",
        };
        parsed(node, report, "`true` or `false`", help, |text| text.parse().ok())
    }

    fn shape() -> Shape {
        Shape::Switch
    }
}

impl Read for u32 {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        parsed(node, report, "a whole number", "digits only, at most 4294967295", digits)
    }

    fn shape() -> Shape {
        Shape::Whole
    }
}

impl Read for u64 {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        parsed(node, report, "a whole number", "digits only", digits)
    }

    fn shape() -> Shape {
        Shape::Whole
    }
}

fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl Read for Size {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        quantity(node, report, "a size such as `25MiB`", parse_size).map(Self)
    }

    fn shape() -> Shape {
        Shape::Form(&shape::SIZE)
    }
}

impl Read for Duration {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        quantity(node, report, "a time such as `30s`", parse_duration)
    }

    fn shape() -> Shape {
        Shape::Form(&shape::TIME)
    }
}

impl Read for Rate {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let parse = |text: &str| if text == "off" { Ok(None) } else { parse_rate(text).map(Some) };
        quantity(node, report, "a rate such as `60/m`, or `off`", parse).map(Self)
    }

    fn shape() -> Shape {
        Shape::Form(&shape::RATE)
    }
}

impl Read for DataRate {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let parse = |text: &str| if text == "off" { Ok(0) } else { parse_data_rate(text) };
        quantity(node, report, "a rate such as `100B/s`, or `off`", parse).map(Self)
    }

    fn shape() -> Shape {
        Shape::Form(&shape::DATA_RATE)
    }
}

fn quantity<T>(
    node: &Node,
    report: &mut Report,
    expected: &str,
    parse: impl FnOnce(&str) -> Result<T, UnitError>,
) -> Option<T> {
    let found = scalar(node, report, expected)?;
    match parse(&found.text) {
        Ok(value) => Some(value),
        // The error quotes the text, and what came from a variable stays out of messages.
        Err(_) if found.text != found.written => {
            report.error(node.place, format!("expected {expected} in `{}`", found.written));
            None
        }
        Err(UnitError { message, help }) => {
            report.error_with_help(node.place, message, help);
            None
        }
    }
}

impl Read for IpNet {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let help = "write it as `192.0.2.0/24`, `2001:db8::/32`, or one address alone";
        let net = parsed(node, report, "a network", help, |text| {
            text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(Self::from))
        })?;
        if net.trunc() != net {
            let message = format!("`{net}` is an address in a network, not a network");
            report.error_with_help(node.place, message, format!("write `{}`", net.trunc()));
            return None;
        }
        Some(net)
    }

    fn shape() -> Shape {
        Shape::Form(&shape::NETWORK)
    }
}

impl<T: Read> Read for Placed<T> {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        T::read(node, report).map(|value| Self { value, place: node.place })
    }

    fn shape() -> Shape {
        T::shape()
    }
}

/// Elements that do not fit are left out.
impl<T: Read> Read for Vec<T> {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::List(elements) => Some(elements.iter().filter_map(|node| T::read(node, report)).collect()),
            Value::Scalar(scalar) => {
                let message = "expected a list, found a single value";
                let switch = ["true", "false", "yes", "no", "on", "off"].contains(&scalar.written.as_str());
                let elements = if switch { "..." } else { scalar.written.as_str() };
                report.error_with_help(node.place, message, format!("write `[{elements}]`"));
                None
            }
            other => {
                let help =
                    matches!(other, Value::Map(_)).then(|| "put brackets around it: `[{ ... }]`".to_owned());
                unfit_with_help(node, report, "a list", other, help);
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }
}

impl<T: Read> Read for OneOrMore<T> {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::List(elements) if elements.is_empty() => {
                report.error(node.place, "at least one is needed here");
                None
            }
            Value::List(_) => Vec::read(node, report).map(Self),
            _ => T::read(node, report).map(|one| Self(vec![one])),
        }
    }

    fn shape() -> Shape {
        T::shape().one_or_more()
    }
}

impl<T: Read> Read for Named<T> {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::Map(entries) => {
                let read = |(key, node): &(Key, Node)| (key.clone(), T::read(node, report));
                Some(Self(entries.iter().map(read).collect()))
            }
            other => {
                let help =
                    "a name and its value: `{ NAME: ... }`, or one `NAME: ...` on each line".to_owned();
                unfit_with_help(node, report, "a section with names of your choice", other, Some(help));
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Named(Box::new(T::shape()))
    }
}

/// Reads one of the words of `C`.
pub(super) fn choice<C: Choice>(node: &Node, report: &mut Report) -> Option<C> {
    let names: Vec<&str> = C::WORDS.iter().map(|(name, _)| *name).collect();
    let expected = format!("one of {}", listing(names.iter().copied()));
    let found = scalar(node, report, &expected)?;
    let chosen = C::WORDS.iter().find(|(name, _)| *name == found.text).map(|(_, meaning)| *meaning);
    if chosen.is_none() {
        let near = nearest(&found.written, names).map(|near| format!("did you mean `{near}`?"));
        report.add(Some(node.place), format!("expected {expected}, found `{}`", found.written), near);
    }
    chosen
}

/// `placed`'s value if it lies between `least` and `most`, shown by `show`; else that is reported.
pub(super) fn within<T: PartialOrd + Copy, D: Display>(
    placed: &Placed<T>,
    least: T,
    most: T,
    show: impl Fn(T) -> D,
    report: &mut Report,
) -> Option<T> {
    if placed.value >= least && placed.value <= most {
        return Some(placed.value);
    }
    let message = format!("must be between {} and {}", show(least), show(most));
    report.error(placed.place, message);
    None
}
