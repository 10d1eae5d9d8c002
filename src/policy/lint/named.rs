//! Names that are no variable and still compile: a function above has them, and the name alone stands for that function.

use rhai::{Expr, Position};

use super::super::language::{self, Type};
use super::super::load::elsewhere;
use super::super::words;
use super::value::Value;
use super::{Body, Walk};
use crate::session::stage::Stage;

/// What a function in a variable is good for.
pub(super) const IN_VARIABLE: &str = "a function in a variable is not called by itself: hand it to `filter` or the like, or write its own name and brackets";

impl Walk<'_> {
    /// Whether the name stands for a function of the script: no variable around it has the name.
    pub(super) fn is_function(&self, name: &str) -> bool {
        self.unit.has(name) && !self.scope.iter().any(|(known, _)| known == name)
    }

    /// The name of a function where a value is needed.
    pub(super) fn no_variable(&mut self, name: &str, position: Position) {
        if self.in_closure {
            let message =
                format!("in a closure `{name}` is the function of this name, and not what is around it");
            let help = format!("give it another name in front of the closure: `let outer = {name};`");
            return self.error(position, name.chars().count(), message, help);
        }
        let parameters = |body: &Body| elsewhere(name, &body.name, &body.parameters);
        match self.within.and_then(parameters) {
            Some(help) => {
                let message = format!("here `{name}` is the function of this name, and no variable");
                self.error(position, name.chars().count(), message, help);
            }
            None => self.uncalled(name, position),
        }
    }

    /// A function that is not called, where nothing takes functions.
    pub(super) fn uncalled(&mut self, name: &str, position: Position) {
        let message = format!("`{name}` is a function, and nothing calls it here");
        let own = self.unit.has(name).then(|| format!("write `{name}(...)`"));
        self.error(position, name.chars().count(), message, own.unwrap_or_else(|| IN_VARIABLE.to_owned()));
    }

    /// A value that is handed on. A function may stand there by its name, for something to call it: `ports.filter(is_low)`.
    pub(super) fn handed(&mut self, value: &Expr) -> Value {
        match self.function_in(value) {
            Some(name) => Value::of(Type::Closure).spelled(name),
            None => self.expression(value),
        }
    }

    /// The function that stands there by its name. What is called like a stage or a parameter of one is hardly meant to be one.
    pub(super) fn function_in<'e>(&self, value: &'e Expr) -> Option<&'e str> {
        let Expr::Variable(variable, ..) = value else { return None };
        let name = variable.1.as_str();
        let is_taken = words::stage_named(name).is_some() || is_parameter(name);
        (variable.2.is_empty() && !is_taken && self.is_function(name)).then_some(name)
    }
}

/// Whether a stage's function has a parameter of this name.
fn is_parameter(name: &str) -> bool {
    Stage::ALL.into_iter().flat_map(language::parameters).any(|parameter| parameter.name == name)
}
