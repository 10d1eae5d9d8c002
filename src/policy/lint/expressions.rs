//! Expressions and their types.

use rhai::{Dynamic, Expr, FnCallExpr, FnPtr, Position, Stmt};

use super::super::language::{Form, MAP, TEXT, Type};
use super::super::load::{Role, begins, suggest};
use super::named::IN_VARIABLE;
use super::value::{Literal, Value, array_of, is_address, join};
use super::{Walk, compare, source};

impl Walk<'_> {
    /// The value of an expression; what is wrong with it is taken down.
    pub(super) fn expression(&mut self, expression: &Expr) -> Value {
        match expression {
            Expr::StringConstant(text, position) => self.literal_text(text, *position),
            Expr::CharConstant(character, _) => Value::character(*character),
            Expr::IntegerConstant(_, position)
                if source::is_written_over(&self.unit.file.text, *position) =>
            {
                Value::unknown()
            }
            Expr::IntegerConstant(number, _) => Value::integer(*number),
            Expr::FloatConstant(number, _) => Value::of(Type::Float).spelled(number.to_string()),
            Expr::BoolConstant(truth, _) => Value::of(Type::Bool).spelled(truth.to_string()),
            Expr::Unit(_) => Value::of(Type::Nothing).spelled("()"),
            Expr::InterpolatedString(parts, _) => {
                for part in parts.iter() {
                    let value = self.expression(part);
                    self.in_text(&value, part);
                }
                Value::of(TEXT)
            }
            Expr::Array(entries, _) => self.array(entries),
            Expr::Map(map, _) => {
                let pairs = map
                    .0
                    .iter()
                    .map(|(key, value)| (key.name.to_string(), self.expression(value).within_map()));
                Value { literal: Some(Literal::Map(pairs.collect())), ..Value::of(MAP) }
            }
            Expr::Variable(variable, _, position)
                if !variable.2.is_empty() && variable.2.root() == "global" =>
            {
                self.constant(&variable.1, *position)
            }
            Expr::Variable(variable, _, position) => {
                if self.is_function(&variable.1) {
                    self.no_variable(&variable.1, *position);
                }
                self.variable(&variable.1).spelled(variable.1.as_str())
            }
            Expr::Stmt(block) => self.block(block.iter()),
            Expr::FnCall(call, position) => self.call(call, *position),
            Expr::Dot(pair, flags, _) => {
                let owner = self.expression(&pair.lhs);
                self.dot(owner, &pair.rhs, *flags)
            }
            Expr::Index(pair, flags, _) => {
                let owner = self.expression(&pair.lhs);
                self.index(&owner, &pair.rhs, *flags)
            }
            Expr::And(parts, _) => self.conditions(parts, false),
            Expr::Or(parts, _) => self.conditions(parts, true),
            Expr::Coalesce(parts, position) => self.coalesce(parts, *position),
            Expr::DynamicConstant(value, _) => constant(value),
            _ => Value::unknown(),
        }
    }

    /// `global::NAME`, which in a library is one of its constants.
    fn constant(&mut self, name: &str, position: Position) -> Value {
        let unit = self.unit;
        if unit.role == Role::Library && !unit.constants.iter().any(|constant| constant == name) {
            let problem = unit.file.error(position, 1, format!("this library has no constant `{name}`"));
            let problem = suggest(problem, name, unit.constants.iter().map(String::as_str));
            self.push(if problem.help.is_some() {
                problem
            } else {
                problem.with_help(format!("declare it at the top: `const {name} = ...;`"))
            });
        }
        Value::unknown()
    }

    fn literal_text(&mut self, text: &str, position: Position) -> Value {
        if text.contains("${") {
            let message = "only a text between backticks fills in `${...}`".to_owned();
            self.warning(position, text.chars().count() + 2, message, "write it between backticks: `...`");
        }
        Value::text(text)
    }

    fn array(&mut self, entries: &[Expr]) -> Value {
        let values: Vec<_> = entries.iter().map(|entry| self.expression(entry)).collect();
        let kind = values.iter().map(|value| value.kind).reduce(|one, other| join(&one, &other));
        let texts: Option<Vec<_>> =
            values.iter().map(|value| Some(value.literal_text()?.to_owned())).collect();
        let given = values.iter().flat_map(Value::given_entries).collect();
        let literal = texts.map(Literal::Texts);
        Value { literal, given, ..Value::of(array_of(&kind.unwrap_or(Type::Any))) }
    }

    /// `x ?? y` where `x` is always there.
    fn coalesce(&mut self, parts: &[Expr], position: Position) -> Value {
        let mut all: Option<Value> = None;
        for (index, part) in parts.iter().enumerate() {
            let value = self.expression(part);
            if index == 0 && value.source.is_some() && value.kind != Type::Any {
                let message = format!("{} is never absent: what is behind `??` is never used", value.name());
                self.warning(position, 2, message, absent_help(&value.kind));
            }
            all = Some(all.map_or_else(|| value.clone(), |all| all.join(&value)));
        }
        all.unwrap_or_else(Value::unknown)
    }

    /// A value that becomes part of a text.
    pub(super) fn in_text(&mut self, value: &Value, expression: &Expr) {
        let at = begins(expression);
        match value.kind {
            Type::Array(_) => {
                let message =
                    format!("{} is an array, and would be shown with brackets and quotes", value.name());
                self.warning(at, width(value), message, "write `join(array, \", \")`");
            }
            Type::Object(name) if !is_address(name) => {
                let message = format!("{} has no text of its own", value.name());
                let help = "name one of its properties";
                self.error(at, width(value), message, help);
            }
            Type::Closure => self.uncalled(&value.spelled, at),
            Type::Nothing => {
                let message = format!("{} gives nothing that could stand in a text", value.name());
                self.warning(at, width(value), message, compare::in_place(value, "write"));
            }
            _ => {}
        }
    }

    /// The parts of an `&&` or an `||`.
    fn conditions(&mut self, parts: &[Expr], is_or: bool) -> Value {
        self.in_and += usize::from(!is_or);
        let values: Vec<_> = parts.iter().map(|part| self.condition(part)).collect();
        self.in_and -= usize::from(!is_or);
        self.decide();
        self.trusted_or_logged_in(parts, &values, is_or);
        Value::of(Type::Bool)
    }

    /// An expression that must be true or false, and what is known of it.
    pub(super) fn condition(&mut self, expression: &Expr) -> Value {
        let value = self.expression(expression);
        let help = match value.kind {
            Type::Bool | Type::Any | Type::OneOf(_) => return value,
            Type::Text(_) => format!("compare it with something: `{} != \"\"`", value.spelled),
            Type::Integer | Type::Float => format!("compare it with something: `{} > 0`", value.spelled),
            Type::Array(_) => format!("ask `!{}.is_empty()`", value.spelled),
            Type::Object(name) => match super::super::language::object_named(name)
                .and_then(|object| object.property("result"))
            {
                Some(_) => format!("look at its result: `{}.result == ...`", value.spelled),
                None => "look at one of its properties".to_owned(),
            },
            Type::Closure => IN_VARIABLE.to_owned(),
            Type::Nothing => "it gives nothing back: let it be a statement of its own".to_owned(),
            Type::Map(_) | Type::Plain => "look at one of its keys".to_owned(),
            Type::Character => format!("compare it with something: `{} == 'x'`", value.spelled),
        };
        let message = format!("{} is {}, where true or false is needed", value.name(), a(&value.kind));
        self.error(begins(expression), width(&value), message, help);
        value
    }

    /// What a `for` over the value walks.
    pub(super) fn entry_of(&mut self, all: &Value, expression: &Expr) -> Value {
        self.minds_emptiness(all);
        match all.kind {
            Type::Array(_) | Type::Text(_) | Type::Any => all.entry(),
            Type::OneOf(_) => Value::unknown(),
            kind => {
                let message = format!("{} is {}, and `for` walks an array", all.name(), a(&kind));
                let help = match kind {
                    Type::Integer => "for numbers, write `for i in 0..n`",
                    Type::Object("List") => "a list is asked with `in`: `x in list(...)`",
                    _ => "",
                };
                self.error(begins(expression), width(all), message, help);
                Value::unknown()
            }
        }
    }
}

/// A value that the compiler made.
fn constant(value: &Dynamic) -> Value {
    if value.is_array() {
        Value::of(Type::Array(&Type::Any))
    } else if value.is_map() {
        Value::of(MAP)
    } else {
        Value::unknown()
    }
}

/// The closure that an argument is: its name, and the variables that it takes along.
pub(super) fn closure(expression: &Expr) -> Option<(String, &[Expr])> {
    match expression {
        Expr::DynamicConstant(value, _) => Some((value.read_lock::<FnPtr>()?.fn_name().to_owned(), &[])),
        Expr::FnCall(call, _) if call.name == "curry" => curried(call),
        // What it takes along is shared in front of it.
        Expr::Stmt(block) => match block.statements() {
            [Stmt::Share(_), Stmt::Expr(closing)] => closure(closing),
            _ => None,
        },
        _ => None,
    }
}

fn curried(call: &FnCallExpr) -> Option<(String, &[Expr])> {
    let (first, rest) = call.args.split_first()?;
    let (name, _) = closure(first)?;
    Some((name, rest))
}

/// How many characters a message points at.
pub(super) fn width(value: &Value) -> usize {
    value.spelled.chars().count().max(1)
}

/// The type with its article.
pub(super) fn a(kind: &Type) -> String {
    match kind {
        Type::Bool => "true or false".to_owned(),
        Type::Nothing => "nothing".to_owned(),
        Type::Closure => "a function".to_owned(),
        Type::Object(name) => format!("an object ({name})"),
        Type::Text(Form::Ip) => "an IP address in a text".to_owned(),
        Type::Text(_) => "a text".to_owned(),
        Type::Array(_) => "an array".to_owned(),
        other => format!("a {}", other.name()),
    }
}

/// What to compare with instead of `()`.
pub(super) fn absent_help(kind: &Type) -> String {
    match kind {
        Type::Text(_) => "a text that is not there is `\"\"`".to_owned(),
        Type::Integer | Type::Float => "a number that is not there is 0".to_owned(),
        Type::Array(_) => "an array without entries has `.is_empty()`".to_owned(),
        _ => "objects are always there; ask their properties".to_owned(),
    }
}
