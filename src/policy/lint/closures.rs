//! What is done with the entries of arrays.

use rhai::{Expr, FnCallExpr, Position};

use super::super::language::Type;
use super::super::load::begins;
use super::expressions::{a, closure};
use super::value::Value;
use super::{Walk, host};

impl Walk<'_> {
    /// The arguments; closures learn what the array has.
    pub(super) fn method_arguments(&mut self, owner: &Value, call: &FnCallExpr) -> Vec<Value> {
        let mut values = Vec::new();
        for argument in &call.args {
            if let Some((name, captured)) = closure(argument) {
                self.hand_to_closure(owner, &call.name, &name, captured);
                self.answers(&call.name, &name, begins(argument));
                values.push(Value::unknown());
            } else {
                if let Some(name) = self.function_in(argument) {
                    self.hand_to_closure(owner, &call.name, name, &[]);
                    self.answers(&call.name, name, begins(argument));
                }
                values.push(self.handed(argument));
            }
        }
        values
    }

    fn hand_to_closure(&mut self, owner: &Value, method: &str, name: &str, captured: &[Expr]) {
        let bodies = self.unit.named(name).into_iter();
        let Some(all) = bodies.map(|body| body.parameters.len()).max() else { return };
        let mut values: Vec<_> = captured.iter().map(|captured| self.expression(captured)).collect();
        let own = all.saturating_sub(values.len());
        let entry = owner.entry();
        match (method, own) {
            ("sort", 2) => values.extend([entry.clone(), entry]),
            ("reduce" | "reduce_rev", 2) => values.extend([Value::unknown(), entry]),
            (_, own) => {
                let rest = std::iter::repeat_n(Value::unknown(), own.saturating_sub(1));
                values.extend(std::iter::once(entry).take(own).chain(rest));
            }
        }
        self.hand_over((name.to_owned(), all), &values);
    }

    /// `some`, `filter` and the like take for a "no" what is neither true nor false.
    fn answers(&mut self, method: &str, name: &str, at: Position) {
        let bodies = self.unit.named(name).into_iter();
        let all = bodies.map(|body| body.parameters.len()).max().unwrap_or_default();
        let Some(gives) = self.known.gives.get(&(name.to_owned(), all)) else { return };
        let may_decide = matches!(gives.kind, Type::Bool | Type::Any | Type::OneOf(_));
        let may_end = gives.kind == Type::Nothing && self.unit.can_end(name);
        if !host::is_asking(method) || may_decide || may_end {
            return;
        }
        let message = format!(
            "`{method}` asks for true or false, and gets {}, which counts as a \"no\"",
            a(&gives.kind)
        );
        let help = match (gives.source, gives.kind) {
            (Some((_, property)), Type::Text(_)) => format!("compare it: `|one| one.{property} == ...`"),
            (_, Type::Integer | Type::Float) => "compare it: `|one| ... > 0`".to_owned(),
            _ => "what stands in it must be a condition: `|one| ... == ...`".to_owned(),
        };
        self.error(at, 1, message, help);
    }
}
