//! One thing that the doctor says.

use serde_json::{Value, json};

/// How it is, the worst last.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Level {
    Ok,
    Warn,
    Fail,
}

impl Level {
    /// The word for programs.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    /// The word for people, as wide as the others.
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok  ",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// What was looked at, how it is, and what to do.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// The kind of look: one of a closed set.
    pub(super) check: &'static str,
    pub(super) message: String,
    /// The way out, where there is something to do.
    pub(super) advice: Option<String>,
}

impl Finding {
    /// As it should be.
    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self { level: Level::Ok, check, message: message.into(), advice: None }
    }

    /// Mail flows, and not as well as it could.
    pub(super) fn warn(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Warn, check, message: message.into(), advice: Some(advice.into()) }
    }

    /// Mail does not flow, or mail flows that must not.
    pub(super) fn fail(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Fail, check, message: message.into(), advice: Some(advice.into()) }
    }

    /// For people: one line, and one more for what to do.
    pub(super) fn text(&self) -> String {
        let advice = self.advice.as_ref().map(|advice| format!("\n      {advice}")).unwrap_or_default();
        format!("{}  {}: {}{advice}", self.level.word(), self.check, self.message)
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        json!({ "level": self.level.name(), "check": self.check, "message": self.message, "advice": self.advice })
    }
}
