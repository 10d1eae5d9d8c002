//! What arguments must have beside their types: the form of a text, the range of a number, the values of a map.

use rhai::{Expr, Position};

use super::super::language::{Form, Type, Within};
use super::super::load::begins;
use super::compare::shown;
use super::expressions::{a, width};
use super::host::Signature;
use super::value::{Literal, Value, fits, is_address, main_property};
use super::{Walk, compare, forms};

impl Walk<'_> {
    /// Looks at arguments whose types fit; in method style the first value stands in front of the dot and is not among
    /// `arguments`.
    pub(super) fn fitted(
        &mut self,
        signature: &Signature,
        values: &[Value],
        arguments: &[Expr],
        position: Position,
        is_method: bool,
    ) {
        for (index, (wanted, value)) in signature.parameters.iter().zip(values).enumerate() {
            let written = argument(arguments, index, is_method);
            let at = written.map_or(position, begins);
            match wanted {
                Some(Type::Map(wanted)) => self.values_of_map(wanted, value, written, at),
                Some(wanted) => self.form(wanted, value, at),
                None => {}
            }
            let within = signature.within.iter().find(|(of, _)| *of == index);
            if let (Some((_, within)), Some(Literal::Integer(number))) = (within, &value.literal) {
                let own = index.saturating_sub(usize::from(is_method));
                let name = signature.names.get(own).copied().unwrap_or("this");
                self.range(name, *within, *number, at);
            }
        }
    }

    /// A text must have the form that the parameter asks for.
    fn form(&mut self, wanted: &Type, value: &Value, at: Position) {
        let forms = wanted.alternatives().iter().filter_map(|wanted| match wanted {
            Type::Text(form) => Some(*form),
            _ => None,
        });
        for form in forms {
            if let Some((message, help)) = forms::misshapen(form, value) {
                self.error(at, width(value), message, help);
            }
        }
    }

    fn range(&mut self, name: &str, (least, greatest): Within, number: i64, at: Position) {
        if (least..=greatest).contains(&number) {
            return;
        }
        let range = match greatest {
            i64::MAX => format!("{least} or more"),
            _ => format!("from {least} to {greatest}"),
        };
        let message = format!("`{name}` cannot be {number}");
        self.error(at, number.to_string().len(), message, format!("it is a whole number, {range}"));
    }

    /// The values of a map that is written out, as far as they are known. Recursion ends with the map.
    fn values_of_map(&mut self, wanted: &Type, map: &Value, written: Option<&Expr>, at: Position) {
        let Some(Literal::Map(pairs)) = &map.literal else { return };
        for (key, value) in pairs {
            let written = written.and_then(|written| under(written, key));
            let at = written.map_or(at, begins);
            if fits(wanted, &value.kind) {
                self.values_of_map(wanted, value, written, at);
                continue;
            }
            let (must_be, is) = (a(wanted), a(&value.kind));
            let message = format!("`{key}` of this map must be {must_be}, and {} is {is}", value.name());
            self.error(at, width(value), message, conversion(value, wanted));
        }
    }
}

/// What a map that is written out at the place has under this key.
fn under<'e>(map: &'e Expr, key: &str) -> Option<&'e Expr> {
    let Expr::Map(pairs, _) = map else { return None };
    pairs.0.iter().find(|(name, _)| name.name == key).map(|(_, value)| value)
}

/// The argument with this index, where in method style the one in front of the dot is counted first.
pub(super) fn argument(arguments: &[Expr], index: usize, is_method: bool) -> Option<&Expr> {
    arguments.get(index.checked_sub(usize::from(is_method))?)
}

/// How to make of a value what is wanted.
pub(super) fn conversion(value: &Value, wanted: &Type) -> String {
    let ways = wanted.alternatives().iter().map(|wanted| conversion_to(value, wanted));
    ways.into_iter().find(|way| !way.is_empty()).unwrap_or_default()
}

fn conversion_to(value: &Value, wanted: &Type) -> String {
    match (&value.kind, wanted) {
        (Type::Object(name), Type::Text(Form::Domain | Form::Name | Form::Host)) if is_address(name) => {
            format!("write `{}.domain`", shown(value))
        }
        (Type::Object(name), Type::Text(_) | Type::Plain) if is_address(name) => {
            format!("write `{}.address`", shown(value))
        }
        (Type::Object(_), Type::Plain) => "name one of its properties".to_owned(),
        (Type::Array(Type::Object(name)), Type::Plain) => {
            format!("take a property of each: `{}.map(|one| one.{})`", shown(value), main_property(name))
        }
        (Type::Character, Type::Text(_)) => match value.literal {
            Some(Literal::Character(character)) => format!("a text has double quotes: \"{character}\""),
            _ => format!("`{}.to_string()` is a text", shown(value)),
        },
        (Type::Integer, Type::Float) if value.literal.is_some() => format!("write `{}.0`", value.spelled),
        (Type::Integer, Type::Text(Form::Duration | Form::Keeping)) if value.literal.is_some() => {
            format!("write `\"{}s\"` for seconds; m, h and d are minutes, hours and days", value.spelled)
        }
        (Type::Integer, Type::Text(Form::Size)) if value.literal.is_some() => {
            format!("a number is octets already: write {} alone, or a size such as \"25MiB\"", value.spelled)
        }
        (Type::Integer | Type::Float, Type::Text(_)) if value.literal.is_some() => {
            format!("write `\"{}\"`", value.spelled)
        }
        (Type::Text(_), Type::Integer | Type::Float) => compare::number_help(value),
        (Type::Array(_), Type::Text(_)) => "take one entry, or `join(array, \", \")`".to_owned(),
        _ => String::new(),
    }
}
