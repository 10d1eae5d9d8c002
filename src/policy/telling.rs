//! What the operator is told of a rule that spoke, in the words of its policy: the constant RULES.

use serde::{Deserialize, Serialize};

use super::words;

/// What a policy says of one of its rules. Names in braces, such as `{helo}`, are filled in with what was decided about; they are
/// among [`BLANKS`], or settings of the policy.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleWords {
    /// Why it spoke.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// What would have had to be different.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub otherwise: String,
    /// What to do if the sender is legitimate.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

/// What may stand in braces, and what stands there where it is not known.
pub const BLANKS: [(&str, &str); 14] = [
    ("client", "the client's address"),
    ("client_name", "the client's name"),
    ("client_network", "the client's network"),
    ("helo", "the name in HELO"),
    ("hostname", "our own name"),
    ("listener", "the listener"),
    ("login", "the login"),
    ("sender", "the sender"),
    ("sender_domain", "the sender's domain"),
    ("recipient", "the recipient"),
    ("recipient_domain", "the recipient's domain"),
    ("size", "the size"),
    ("spf_domain", "the domain that SPF is about"),
    ("author_domain", "the author's domain"),
];

impl RuleWords {
    /// The names of what it can say.
    pub(super) const KEYS: [&str; 3] = ["why", "otherwise", "advice"];

    /// The part with this name.
    pub(super) fn part(&mut self, key: &str) -> Option<&mut String> {
        match key {
            "why" => Some(&mut self.why),
            "otherwise" => Some(&mut self.otherwise),
            "advice" => Some(&mut self.advice),
            _ => None,
        }
    }

    /// The names in braces, in all its parts.
    pub(super) fn blanks(&self) -> impl Iterator<Item = &str> {
        let parts = [&self.why, &self.otherwise, &self.advice];
        let named = |piece| match piece {
            Piece::Blank(name) => Some(name),
            Piece::Plain(_) => None,
        };
        parts.into_iter().flat_map(|text| pieces(text)).filter_map(named)
    }
}

/// `text` with `fill` in place of each name in braces.
pub fn filled(text: &str, fill: impl Fn(&str) -> String) -> String {
    let one = |piece| match piece {
        Piece::Blank(name) => fill(name),
        Piece::Plain(text) => text.to_owned(),
    };
    pieces(text).map(one).collect()
}

/// A piece of such a text.
enum Piece<'t> {
    /// As it stands.
    Plain(&'t str),
    /// The name that stood in braces.
    Blank(&'t str),
}

/// The text in pieces. Braces around anything but a name are text.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if let Some((name, behind)) = blank(rest) {
            rest = behind;
            return Some(Piece::Blank(name));
        }
        let starts = rest.char_indices().skip(1).filter(|(_, letter)| *letter == '{').map(|(at, _)| at);
        let end = starts.into_iter().find(|at| rest.get(*at..).and_then(blank).is_some());
        let (plain, behind) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
        rest = behind;
        (!plain.is_empty()).then_some(Piece::Plain(plain))
    })
}

/// The name in the braces with which `text` begins, and what is behind them.
fn blank(text: &str) -> Option<(&str, &str)> {
    let (name, behind) = text.strip_prefix('{')?.split_once('}')?;
    words::is_name(name).then_some((name, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_braces_are_filled_in_and_nothing_else() {
        let fill = |name: &str| format!("<{name}>");
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("{helo}", "<helo>"),
            ("a {helo}{client} b", "a <helo><client> b"),
            ("policies: { modes: { helo: off } } {", "policies: { modes: { helo: off } } {"),
            ("{{helo}}", "{<helo>}"),
            ("ü{max-size}ü", "ü<max-size>ü"),
        ] {
            assert_eq!(filled(text, fill), expected);
        }
        let words = RuleWords { why: "{a} b".into(), advice: "{c}".into(), ..RuleWords::default() };
        assert_eq!(words.blanks().collect::<Vec<_>>(), ["a", "c"]);
    }
}
