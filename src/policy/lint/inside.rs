//! `session.trusted || session.auth.user != ""`, which `session.inside` says shorter, and without a gap: some mechanisms show no user.

use rhai::Expr;

use super::super::load::begins;
use super::Walk;
use super::value::Value;

/// What a condition says of the client, if it is one of these.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum About {
    /// It comes from a trusted network, or does not.
    Trusted(bool),
    /// Somebody logged in, or nobody did.
    LoggedIn(bool),
}

impl About {
    /// What the opposite says.
    pub(super) const fn negated(self) -> Self {
        match self {
            Self::Trusted(is) => Self::Trusted(!is),
            Self::LoggedIn(is) => Self::LoggedIn(!is),
        }
    }

    /// What a property says that is a condition by itself.
    pub(super) fn of_property(source: (&str, &str)) -> Option<Self> {
        (source == ("Session", "trusted")).then_some(Self::Trusted(true))
    }

    /// What it says that `value` is empty.
    pub(super) fn of_emptiness(value: &Value) -> Option<Self> {
        matches!(value.source, Some(("Auth", "user" | "mechanism"))).then_some(Self::LoggedIn(false))
    }

    /// What it says that the two are equal.
    pub(super) fn of_equality(one: &Value, other: &Value) -> Option<Self> {
        let pairs = [(one, other), (other, one)];
        let mut found = pairs.iter().filter(|(_, literal)| literal.literal_text() == Some(""));
        found.find_map(|(value, _)| Self::of_emptiness(value))
    }
}

impl Walk<'_> {
    /// The parts of an `||`, or of an `&&` where both say the opposite.
    pub(super) fn trusted_or_logged_in(&mut self, parts: &[Expr], values: &[Value], is_or: bool) {
        let place = |about: About| values.iter().position(|value| value.about == Some(about));
        let (Some(one), Some(other)) = (place(About::Trusted(is_or)), place(About::LoggedIn(is_or))) else {
            return;
        };
        let first = one.min(other);
        let (Some(part), Some(value)) = (parts.get(first), values.get(first)) else { return };
        let message = match is_or {
            true => "a trusted network or a login is what `session.inside` says",
            false => "neither a trusted network nor a login is what `!session.inside` says",
        };
        let help = format!(
            "write `{}session.inside` for both: it also knows logins whose mechanism shows no user",
            if is_or { "" } else { "!" }
        );
        self.warning(begins(part), super::expressions::width(value), message.to_owned(), help);
    }
}
