//! Keys of maps: they are texts, and sometimes known to be in lower case.

use rhai::Position;

use super::super::language::{TEXT, Type};
use super::Walk;
use super::arguments::conversion;
use super::compare::shown;
use super::expressions::{a, width};
use super::value::{Value, fits};

impl Walk<'_> {
    /// What is looked for among the keys of a map.
    pub(super) fn among_keys(&mut self, owner: &Value, key: &Value, position: Position) {
        if !matches!(owner.kind, Type::Map(_)) {
            return;
        }
        if let Some(text) = key.literal_text() {
            self.key(owner, text, width(key), position);
        } else if !fits(&TEXT, &key.kind) {
            let is = a(&key.kind);
            let message = format!("{} is {is}, and the keys of a map are texts", key.name());
            let help = match (key.kind, conversion(key, &TEXT)) {
                (Type::Integer | Type::Float, help) if help.is_empty() => {
                    format!("write `` `${{{}}}` ``", shown(key))
                }
                (_, help) => help,
            };
            self.error(position, width(key), message, help);
        }
    }

    /// The keywords of parameters are in lower case.
    pub(super) fn key(&mut self, owner: &Value, key: &str, len: usize, position: Position) {
        let is_known = matches!(owner.kind, Type::Map(_)) && owner.source == Some(("Mail", "parameters"));
        if is_known && key.chars().any(char::is_uppercase) {
            let message = format!("the keys of {} are in lower case, and never `{key}`", owner.name());
            let help = format!("write `{}[\"{}\"]`", shown(owner), key.to_lowercase());
            self.error(position, len, message, help);
        }
    }
}
