//! What is taken out of decisions before they are kept.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// What stands in the place of what was taken out.
pub(crate) const MARK: &str = "[redacted]";

/// What is taken out of decisions before they are kept, in memory or on disk.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Redact {
    /// Nothing.
    #[default]
    None,
    /// Local parts of addresses, wherever they stand: in the envelope, in header fields, in replies, in what was asked. Logins too.
    LocalPart,
}

/// A local part with its `@`. What precedes an address in text (`<`, `=`, a space) is no part of it.
#[allow(clippy::expect_used)] // A constant: the test below compiles it.
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"("(?:[^"\\]|\\.)*"|[^\s<>@,;:"()\[\]=]+)@"#).expect("the pattern of an address compiles")
});

impl Redact {
    /// Takes it out of a decision in JSON.
    pub(super) fn apply(self, decision: &mut Value) {
        if self == Self::None {
            return;
        }
        if let Some(user) = decision.pointer_mut("/auth/user")
            && user.as_str().is_some_and(|user| !user.is_empty() && !user.contains('@'))
        {
            *user = Value::from(MARK);
        }
        take_out(decision);
        if let Some(decision) = decision.as_object_mut() {
            decision.insert("redacted".to_owned(), Value::Bool(true));
        }
    }
}

fn take_out(value: &mut Value) {
    match value {
        Value::String(text) => {
            if text.contains('@') {
                *text = ADDRESS.replace_all(text, format!("{MARK}@")).into_owned();
            }
        }
        Value::Array(all) => all.iter_mut().for_each(take_out),
        Value::Object(all) => all.values_mut().for_each(take_out),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_parts_are_gone_wherever_they_stand() {
        let mut decision = serde_json::json!({
            "auth": { "user": "joe" },
            "mail": { "sender": "Joe.Doe+x@sender.example", "parameters": ["AUTH=joe@sender.example"] },
            "reply": "550 5.1.1 <suzie@example.org>, \"odd one\"@example.org and suzie@example.org are unknown",
            "header": { "fields": [["from", " Joe <joe@sender.example>"]] },
            "size": 3,
        });
        Redact::LocalPart.apply(&mut decision);
        let text = decision.to_string();
        for gone in ["joe", "Joe.Doe", "suzie", "odd one"] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
        assert!(text.contains("[redacted]@sender.example") && text.contains("\"redacted\":true"), "{text}");
    }

    #[test]
    fn nothing_is_taken_out_unless_asked() {
        let mut decision = serde_json::json!({ "mail": { "sender": "joe@sender.example" } });
        let before = decision.clone();
        Redact::None.apply(&mut decision);
        assert_eq!(decision, before);
    }
}
