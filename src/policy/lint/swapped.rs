//! Two texts in the wrong order.

use rhai::{Expr, Position};

use super::Walk;
use super::expressions::width;
use super::value::Value;

impl Walk<'_> {
    /// `glob` takes the pattern first, `is_subdomain` the domain that is looked at: who writes out the other one has them swapped.
    pub(super) fn swapped(&mut self, name: &str, values: &[Value], arguments: &[Expr], position: Position) {
        let [one, other] = values else { return };
        let at = arguments.first().map_or(position, Expr::start_position);
        let help = format!("write `{name}({}, {})`", other.spelled, one.spelled);
        let is_read = |value: &Value| value.literal.is_none() && value.source.is_some();
        match name {
            "glob" if is_read(one) && other.literal_text().is_some() => {
                let message = format!("`glob` takes the pattern first, and {} is none", one.name());
                self.error(at, width(one), message, help);
            }
            "is_subdomain" if one.literal_text().is_some() && is_read(other) => {
                let message = format!("this asks whether {} is below {}", one.name(), other.name());
                self.warning(at, width(one), message, help);
            }
            _ => {}
        }
    }
}
