//! Texts that Gatepost's words are given, written out at the place or in a variable before it.

use rhai::{Expr, Position};

use super::super::language;
use super::super::load::{Role, begins};
use super::Walk;
use super::expressions::width;
use super::value::Value;
use crate::smtp::reply::EnhancedCode;

/// A text in a variable, of which other files decide whether it is right.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Mention {
    pub(in super::super) word: &'static str,
    pub(in super::super) is_method: bool,
    pub(in super::super) text: String,
    pub(in super::super) position: Position,
    /// Of the variable's name, in characters.
    pub(in super::super) width: usize,
    /// The function around it.
    pub(in super::super) function: String,
}

impl Walk<'_> {
    /// Looks at what `name` is given; in method style the first value is not among `arguments`.
    pub(super) fn spoken(&mut self, name: &str, values: &[Value], arguments: &[Expr]) {
        // A library has no say at all.
        if self.unit.role == Role::Library {
            return;
        }
        let own = values.len() - arguments.len().min(values.len());
        let pairs: Vec<_> = values.iter().skip(own).zip(arguments).collect();
        match name {
            "reject" | "defer" | "disconnect" => pairs.last().map(|(value, at)| self.said(value, at)),
            "redirect" => pairs.last().map(|(value, at)| self.mentioned(name, value, at, own > 0)),
            "noted" | "add_recipient" | "http_get" | "http_post" => {
                pairs.first().map(|(value, at)| self.mentioned(name, value, at, own > 0))
            }
            _ => None,
        };
    }

    /// The text for the client: `reject("rule", "5.7.1")` has forgotten it, `reject("rule", "")` has none.
    fn said(&mut self, value: &Value, argument: &Expr) {
        let Some(text) = value.literal_text() else { return };
        let (message, help) = if EnhancedCode::parse(text).is_some() {
            ("the last argument is the text for the client", "add a text in plain words behind the code")
        } else if begins_with_code(text) {
            let message = "the codes are said in front of this text, and would be there twice".to_owned();
            let help = "codes are arguments of their own: `reject(\"rule\", 550, \"5.7.1\", \"why\")`";
            return self.warning(begins(argument), width(value), message, help);
        } else if text.trim().is_empty() {
            (
                "the client would be told no reason",
                "say in plain words why, and what its sender can do about it",
            )
        } else {
            return;
        };
        self.error(begins(argument), width(value), message.to_owned(), help);
    }

    /// What is written out at the place was seen there already.
    fn mentioned(&mut self, name: &str, value: &Value, argument: &Expr, is_method: bool) {
        let (Some(text), Some(word)) = (value.literal_text(), language::find(name)) else { return };
        if matches!(argument, Expr::StringConstant(..)) {
            return;
        }
        let mention = Mention {
            word: word.name,
            is_method,
            text: text.to_owned(),
            position: begins(argument),
            width: width(value),
            function: self.within.map(|body| body.name.clone()).unwrap_or_default(),
        };
        if !self.mentions.contains(&mention) {
            self.mentions.push(mention);
        }
    }
}

/// Whether a text begins with a reply code or an enhanced one.
fn begins_with_code(text: &str) -> bool {
    let first = text.split([' ', '-']).next().unwrap_or_default();
    let is_code =
        first.len() == 3 && first.starts_with(['4', '5']) && first.bytes().all(|b| b.is_ascii_digit());
    EnhancedCode::parse(first).is_some() || is_code && text.len() > first.len()
}
