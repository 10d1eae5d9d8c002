//! Operators.

use rhai::{Expr, FnCallExpr, Position};

use super::super::language::{TEXT, Type};
use super::super::load::begins;
use super::expressions::{a, width};
use super::inside::About;
use super::value::{Value, is_address};
use super::{Walk, compare};

impl Walk<'_> {
    pub(super) fn operator(&mut self, call: &FnCallExpr, position: Position) -> Value {
        match (call.name.as_str(), &*call.args) {
            ("contains", [all, item]) => {
                self.membership(item, all, position);
                Value::of(Type::Bool)
            }
            ("!", [part]) => {
                let about = self.condition(part).about.map(About::negated);
                Value { about, ..Value::of(Type::Bool) }
            }
            ("==" | "!=", [one, other]) => {
                let is_equality = call.name == "==";
                let about = self.compared(one, other, is_equality, position);
                Value { about, ..Value::of(Type::Bool) }
            }
            ("<" | "<=" | ">" | ">=", [one, other]) => {
                self.ordered(one, other, position);
                Value::of(Type::Bool)
            }
            ("+", [one, other]) => self.sum(one, other),
            ("-" | "*" | "/" | "%" | "**", [one, other]) => self.arithmetic(&call.name, one, other),
            ("-" | "+", [one]) => Value::of(self.expression(one).kind),
            (_, parts) => {
                for part in parts {
                    self.expression(part);
                }
                Value::unknown()
            }
        }
    }

    /// `+` adds numbers, and makes one text out of a text and nearly anything.
    fn sum(&mut self, one: &Expr, other: &Expr) -> Value {
        let (left, right) = (self.expression(one), self.expression(other));
        let is_text = |value: &Value| matches!(value.kind, Type::Text(_));
        if is_text(&left) || is_text(&right) {
            self.number_and_text(&left, &right, one);
            if is_text(&left) {
                self.in_text(&right, other);
            } else {
                self.in_text(&left, one);
            }
            return Value::of(TEXT);
        }
        if matches!(left.kind, Type::Array(_)) {
            return Value::of(Type::Array(&Type::Any));
        }
        self.number(&left, &right, "+", one, other)
    }

    /// A number with a text behind it, or with one that looks like a number, was hardly meant to become a text.
    fn number_and_text(&mut self, left: &Value, right: &Value, one: &Expr) {
        let is_number = |value: &Value| matches!(value.kind, Type::Integer | Type::Float);
        let text = match (is_number(left), is_number(right)) {
            (true, false) => right,
            (false, true) if compare::is_like_a_number(left) => left,
            _ => return,
        };
        let message = "`+` of a number and a text makes a text".to_owned();
        let help = format!(
            "{}; for a text, write it between backticks: `...${{number}}...`",
            compare::number_help(text)
        );
        self.warning(begins(one), width(left), message, help);
    }

    fn arithmetic(&mut self, name: &str, one: &Expr, other: &Expr) -> Value {
        let (left, right) = (self.expression(one), self.expression(other));
        // Texts can have something taken away from them, arrays too.
        if matches!(left.kind, Type::Text(_)) && name == "-" {
            return Value::of(TEXT);
        }
        self.number(&left, &right, name, one, other)
    }

    fn number(&mut self, left: &Value, right: &Value, name: &str, one: &Expr, other: &Expr) -> Value {
        for (value, expression) in [(left, one), (right, other)] {
            let wrong = match value.kind {
                Type::Bool | Type::Nothing | Type::Text(_) | Type::Closure => true,
                Type::Object(name) => !is_address(name),
                _ => false,
            };
            if wrong {
                let message = format!("`{name}` needs numbers, and {} is {}", value.name(), a(&value.kind));
                let help = compare::number_help(value);
                self.error(begins(expression), width(value), message, help);
                return Value::unknown();
            }
        }
        match (left.kind, right.kind) {
            (Type::Integer, Type::Integer) => Value::of(Type::Integer),
            (Type::Float, Type::Integer | Type::Float) | (Type::Integer, Type::Float) => {
                Value::of(Type::Float)
            }
            _ => Value::unknown(),
        }
    }
}
