//! Keys of maps that are known to be in lower case.

use rhai::{Expr, Position};

use super::super::language::Type;
use super::Walk;
use super::compare::shown;
use super::expressions::width;
use super::value::Value;

impl Walk<'_> {
    /// `owner[index]`.
    pub(super) fn keyed(&mut self, owner: &Value, index: &Expr) {
        if let Expr::StringConstant(key, position) = index {
            self.key(owner, key, key.chars().count() + 2, *position);
        }
    }

    /// What is written out and looked for among the keys of a map.
    pub(super) fn among_keys(&mut self, owner: &Value, key: &Value, position: Position) {
        if let Some(text) = key.literal_text() {
            self.key(owner, text, width(key), position);
        }
    }

    /// The keywords of parameters are in lower case.
    pub(super) fn key(&mut self, owner: &Value, key: &str, len: usize, position: Position) {
        let is_known = owner.kind == Type::Map && owner.source == Some(("Mail", "parameters"));
        if is_known && key.chars().any(char::is_uppercase) {
            let message = format!("the keys of {} are in lower case, and never `{key}`", owner.name());
            let help = format!("write `{}[\"{}\"]`", shown(owner), key.to_lowercase());
            self.error(position, len, message, help);
        }
    }
}
