//! What the operator sees: answers on standard output, everything that is wrong on standard error.

use std::io::{self, IsTerminal, Write};

use crate::diagnostic::Diagnostic;
use crate::log::escaped;

/// Standard output and standard error, and how much may be drawn there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    terminal: bool,
    color: bool,
}

/// How an answer with data looks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

impl Screen {
    /// Coloured on a terminal, unless `NO_COLOR` is set (no-color.org) or the terminal is dumb.
    pub(super) fn of_the_process() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let able = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let terminal = io::stderr().is_terminal();
        Self { terminal, color: terminal && wanted && able }
    }

    /// Whether a person is likely to look on.
    pub(super) const fn is_terminal(self) -> bool {
        self.terminal
    }

    /// An answer.
    pub(super) fn say(self, text: &str) {
        // A reader that went away, as `head` does, is no error of ours.
        _ = writeln!(io::stdout().lock(), "{text}");
    }

    /// An answer for programs, which people look at too: strangers' text in it does not act on the terminal.
    pub(super) fn say_json(self, json: &str) {
        self.say(&escaped(json));
    }

    /// What is wrong with the operator's files, with source lines and carets.
    pub(super) fn diagnostics(self, found: &[Diagnostic]) {
        let mut out = io::stderr().lock();
        for diagnostic in found {
            _ = writeln!(out, "{}\n", diagnostic.render(self.color));
        }
    }

    /// Whatever else is to be read where errors are, as `draw` shows it with or without colour.
    pub(super) fn details(self, draw: impl FnOnce(bool) -> String) {
        _ = write!(io::stderr().lock(), "{}", draw(self.color));
    }

    /// Anything else that went wrong, on one line with what caused it.
    pub(super) fn error(self, error: &anyhow::Error) {
        let (on, off) = if self.color { ("\u{1b}[1m\u{1b}[91m", "\u{1b}[0m") } else { ("", "") };
        _ = writeln!(io::stderr().lock(), "{on}error{off}: {}", one_line(error));
    }
}

/// An error and what caused it, where it does not say that itself.
pub(super) fn one_line(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told {
        told if told.is_empty() => cause,
        told if told.ends_with(&cause) => told,
        told => format!("{told}: {cause}"),
    })
}

/// How many errors and warnings were found.
pub(super) fn tally(found: &[Diagnostic]) -> String {
    let errors = found.iter().filter(|diagnostic| diagnostic.is_error()).count();
    match found.len() - errors {
        0 => count(errors, "error"),
        warnings => format!("{} and {}", count(errors, "error"), count(warnings, "warning")),
    }
}

/// `1 error`, `2 errors`, `3 policies`.
pub(super) fn count(number: usize, what: &str) -> String {
    match what.strip_suffix('y') {
        _ if number == 1 => format!("1 {what}"),
        Some(stem) => format!("{number} {stem}ies"),
        None => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let cause = || anyhow::anyhow!("it is full");
        assert_eq!(one_line(&cause().context("not written: it is full")), "not written: it is full");
        assert_eq!(one_line(&cause().context("not written")), "not written: it is full");
    }

    #[test]
    fn counts() {
        assert_eq!(count(0, "error"), "0 errors");
        assert_eq!(count(1, "error"), "1 error");
        assert_eq!(count(1, "policy"), "1 policy");
        assert_eq!(count(2, "policy"), "2 policies");
    }
}
