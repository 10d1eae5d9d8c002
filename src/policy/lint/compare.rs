//! Comparisons that can never be true, and those that compare other things than they seem to.

use rhai::{Expr, Position};

use super::super::language::{Form, Type, object_named};
use super::super::load::begins;
use super::super::units;
use super::Walk;
use super::entries::{for_entries, is_one};
use super::expressions::{a, absent_help, width};
use super::forms;
use super::inside::About;
use super::named::IN_VARIABLE;
use super::value::{Literal, Value, comparable, is_address, is_lower_case};
use super::wanted::Want;
use crate::diagnostic::nearest;

impl Walk<'_> {
    /// `one == other`, `one != other`, and what that says of the client.
    pub(super) fn compared(
        &mut self,
        one: &Expr,
        other: &Expr,
        is_equality: bool,
        position: Position,
    ) -> Option<About> {
        let (left, right) = (self.expression(one), self.expression(other));
        let at = if right.literal.is_some() {
            begins(other)
        } else if left.literal.is_some() {
            begins(one)
        } else {
            position
        };
        self.tested.compared(&left, &right, is_equality, at);
        self.minds_emptiness(&left);
        self.minds_emptiness(&right);
        self.equality(&left, &right, at);
        let equal = About::of_equality(&left, &right);
        if is_equality { equal } else { equal.map(About::negated) }
    }

    /// Two values that are looked at for being equal. `at` is where what is written out stands, else the operator.
    pub(super) fn equality(&mut self, one: &Value, other: &Value, at: Position) {
        if !comparable(&one.kind, &other.kind) {
            return self.never_equal(one, other, at);
        }
        if let Some((is, other_is)) = forms::apart(&one.kind, &other.kind) {
            let message =
                format!("{} is {is}, and {} is {other_is}: they are never equal", one.name(), other.name());
            return self.error(at, 2, message, forms::way_between(one, other));
        }
        self.asks_for_equal(one, other);
        for (value, literal) in [(one, other), (other, one)] {
            if let Some(Literal::Character(character)) = literal.literal
                && matches!(value.kind, Type::Text(_))
            {
                let message = format!("'{character}' is a single character, not a text");
                self.warning(at, 3, message, format!("a text has double quotes: \"{character}\""));
            }
            if let Some(text) = literal.literal_text() {
                self.possible(value, text, at);
            }
        }
        if let (Type::Text(Form::Words(these)), Type::Text(Form::Words(those))) = (one.kind, other.kind)
            && !these.iter().any(|word| those.contains(word))
        {
            let message = format!("{} and {} have no value in common", one.name(), other.name());
            self.error(at, 2, message, "");
        }
    }

    /// Whether the value can have this text at all.
    fn possible(&mut self, value: &Value, text: &str, at: Position) {
        match impossible(value, text) {
            Some((message, help)) => self.error(at, text.chars().count() + 2, message, help),
            None => {
                self.unusual(value, text, at);
                self.no_listener(value, text, at);
            }
        }
    }

    /// Words that others chose, and hardly this one.
    fn unusual(&mut self, value: &Value, text: &str, at: Position) {
        let Type::Text(Form::Usually(words)) = value.kind else { return };
        if text.is_empty() || words.contains(&text) {
            return;
        }
        let message = format!("{} is hardly ever `{text}`", value.name());
        self.warning(at, text.chars().count() + 2, message, one_of(text, words));
    }

    /// A set of policies may be for several hosts, and then not every listener is everywhere.
    fn no_listener(&mut self, value: &Value, text: &str, at: Position) {
        let known = || self.host.listeners.iter().map(String::as_str);
        let is_one = text.is_empty() || known().next().is_none() || known().any(|known| known == text);
        if value.source != Some(("Session", "listener")) || is_one {
            return;
        }
        let all = format!("the configuration has {}", known().collect::<Vec<_>>().join(", "));
        let help = match nearest(text, known()) {
            Some(near) => format!("did you mean `{near}`? {all}"),
            None => all,
        };
        let message = format!("there is no listener `{text}`");
        self.warning(at, text.chars().count() + 2, message, help);
    }

    fn never_equal(&mut self, one: &Value, other: &Value, at: Position) {
        let message = format!(
            "{} is {}, and {} is {}: they are never equal",
            one.name(),
            a(&one.kind),
            other.name(),
            a(&other.kind)
        );
        let len = [other, one].into_iter().find(|value| value.literal.is_some()).map_or(2, width);
        self.error(at, len, message, way_out(one, other));
    }

    /// `one < other` and the like.
    pub(super) fn ordered(&mut self, one: &Expr, other: &Expr, position: Position) {
        let (left, right) = (self.expression(one), self.expression(other));
        let at = if right.literal.is_some() { begins(other) } else { position };
        let len = if right.literal.is_some() { width(&right) } else { 1 };
        let is_plain = |kind: &Type| {
            use Type::{Array, Closure, Map, Nothing, Object};
            !matches!(kind, Object(_) | Array(_) | Map(_) | Nothing | Closure)
        };
        if !comparable(&left.kind, &right.kind) || !is_plain(&left.kind) || !is_plain(&right.kind) {
            let (left_is, right_is) = (a(&left.kind), a(&right.kind));
            let message = format!(
                "{} is {left_is}, and {} is {right_is}: neither is smaller",
                left.name(),
                right.name()
            );
            return self.error(at, len, message, way_out(&left, &right));
        }
        let texts = [&left, &right].map(|value| matches!(value.kind, Type::Text(_)));
        let unit = [&left, &right].into_iter().find_map(unit);
        if let (true, Some(function)) = (texts.contains(&true), unit) {
            let message = "texts are compared letter by letter: \"10m\" is smaller than \"9m\"".to_owned();
            let help = format!("compare numbers: `{function}({})`", shown(&left));
            self.error(at, len, message, help);
        }
    }

    /// Functions that look for a part of a text, where that is written out: what it looks for may never be there.
    pub(super) fn parts_of_texts(
        &mut self,
        name: &str,
        values: &[Value],
        arguments: &[Expr],
        position: Position,
    ) {
        let (text, part) = match (name, values) {
            ("starts_with" | "ends_with" | "contains" | "index_of", [text, part, ..]) => (text, part),
            ("glob", [pattern, text]) => (text, pattern),
            ("matches", _) => return self.minds_splits(),
            _ => return,
        };
        self.asks(part, &Want::Part(text.clone()));
        let at = if name == "glob" { arguments.first() } else { arguments.last() };
        let at = at.map_or(position, begins);
        if let Some((message, help)) = part.literal_text().and_then(|written| never_part(text, written)) {
            self.error(at, width(part), message, help);
        }
    }
}

/// Why the value never equals the text, and what to write in its place.
pub(super) fn impossible(value: &Value, text: &str) -> Option<(String, String)> {
    let form = match value.kind {
        Type::Text(form) => form,
        Type::Object(name) if is_address(name) => Form::Address,
        _ => return None,
    };
    let never = forms::never(form, value, text);
    never.or_else(|| match value.kind {
        Type::Text(Form::Words(words)) if !words.contains(&text) => {
            Some((format!("{} is never `{text}`", value.name()), one_of(text, words)))
        }
        kind => {
            let (case, written) = other_case(&kind, text)?;
            let message = format!("{} is in {case} case, and never `{text}`", value.name());
            Some((message, format!("write \"{written}\"")))
        }
    })
}

/// The words, and the one that was meant.
fn one_of(text: &str, words: &[&str]) -> String {
    let shown: Vec<_> = words.iter().map(|word| if word.is_empty() { "\"\"" } else { word }).collect();
    let all = format!("it is one of {}", shown.join(", "));
    let known = words.iter().copied().filter(|word| !word.is_empty());
    match nearest(text, known) {
        Some(near) => format!("did you mean `{near}`? {all}"),
        None => all,
    }
}

/// The case in which such texts are, and the text written so; `None` where it is.
fn other_case(kind: &Type, text: &str) -> Option<(&'static str, String)> {
    let (case, written) = match kind {
        Type::Text(Form::UpperCase) => ("upper", text.to_uppercase()),
        kind if is_lower_case(kind) => ("lower", text.to_lowercase()),
        _ => return None,
    };
    (written != text).then_some((case, written))
}

/// Why the value never has the text in it, and what to write in its place.
pub(super) fn never_part(value: &Value, text: &str) -> Option<(String, String)> {
    let Type::Text(form) = value.kind else { return None };
    if let Some((case, written)) = other_case(&value.kind, text) {
        let message = format!("{} is in {case} case, and has never `{text}` in it", value.name());
        return Some((message, format!("write \"{written}\"")));
    }
    if form != Form::Domain || text.is_ascii() {
        return None;
    }
    let message = format!("{} is in A-labels, and has never `{text}` in it", value.name());
    let help = match value.spelled.strip_suffix(".domain") {
        Some(owner) => format!("ask `{owner}.domain_unicode`, or write it as `xn--...`"),
        None => "write it as `xn--...`".to_owned(),
    };
    Some((message, help))
}

/// How two values could be compared that cannot as they are.
pub(super) fn way_out(one: &Value, other: &Value) -> String {
    let array_first = matches!(other.kind, Type::Array(_));
    let pairs = if array_first { [(other, one), (one, other)] } else { [(one, other), (other, one)] };
    for (value, against) in pairs {
        match (&value.kind, &against.kind) {
            (Type::Closure, _) => return IN_VARIABLE.to_owned(),
            (Type::Nothing, kind) if value.spelled == "()" => return absent_help(kind),
            (Type::Nothing, _) => return in_place(value, "compare"),
            (Type::Integer | Type::Float, Type::Text(_)) => return number_help(against),
            (Type::Array(Type::Object(entry)), Type::Object(_))
                if is_one(&against.kind, &Type::Object(entry)) =>
            {
                return format!("ask `{} in {}`", shown(against), shown(value));
            }
            (Type::Object(name), kind) if !matches!(kind, Type::Object(_)) => {
                let has_result = object_named(name).is_some_and(|object| object.property("result").is_some());
                let property = if has_result { "its result: `.result`" } else { "one of its properties" };
                return format!("compare {property}");
            }
            (Type::Array(entry), Type::Text(_)) => {
                let literal = || impossible(&Value::of(**entry), against.literal_text()?);
                if !is_one(&against.kind, entry) || literal().is_some() {
                    return for_entries(against, value);
                }
                return format!("ask `{} in {}`", shown(against), shown(value));
            }
            (Type::Bool, Type::Text(_) | Type::Integer) => {
                return format!("write `{}` or `!{}`", shown(value), shown(value));
            }
            _ => {}
        }
    }
    String::new()
}

/// Methods such as `trim` change what they are called on and give nothing back.
pub(super) fn in_place(value: &Value, then: &str) -> String {
    match value.spelled.rsplit_once('.') {
        Some((_, call)) => {
            format!("it changes its text in place: `let text = ...; text.{call};`, then {then} `text`")
        }
        None if value.spelled == "()" => "leave it out".to_owned(),
        None => "it gives nothing back".to_owned(),
    }
}

/// How to make a number of a text.
pub(super) fn number_help(value: &Value) -> String {
    if let Some(function) = unit(value) {
        return format!("write `{function}({})`", shown(value));
    }
    match (value.literal_text(), value.kind) {
        (Some(text), _) if text.parse::<f64>().is_ok() => format!("write {text} without quotes"),
        (None, Type::Text(Form::Notation)) if value.spelled.ends_with(".date") => {
            format!("`{}_seconds` is its number", value.spelled)
        }
        (None, Type::Text(Form::Any | Form::LowerCase)) => {
            format!("`parse_int({})` makes a number of digits", shown(value))
        }
        (Some(_), _) => "a number stands there without quotes".to_owned(),
        (_, Type::Bool) => format!("write `if {} {{ 1 }} else {{ 0 }}`", shown(value)),
        _ => String::new(),
    }
}

/// Whether the text is a number, a size or a duration.
pub(super) fn is_like_a_number(value: &Value) -> bool {
    unit(value).is_some() || value.literal_text().is_some_and(|text| text.parse::<f64>().is_ok())
}

/// The function that makes a number of a size or a duration in a text.
fn unit(value: &Value) -> Option<&'static str> {
    match (value.kind, value.literal_text()) {
        (Type::Text(Form::Size), _) => Some("bytes"),
        (Type::Text(Form::Duration), _) => Some("seconds"),
        (_, Some(text)) if units::seconds(text).is_some() => Some("seconds"),
        (_, Some(text)) if units::bytes(text).is_some() => Some("bytes"),
        _ => None,
    }
}

pub(super) fn shown(value: &Value) -> &str {
    if value.spelled.is_empty() { "x" } else { &value.spelled }
}
