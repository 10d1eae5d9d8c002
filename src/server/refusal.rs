//! What was refused at a reload: why, and when it is tried again.
//!
//! What a file holds is not all that decides whether it can be used. A mode may be mended, an address may come free, a file may
//! appear that another one names. So what was refused is tried again though it is as it was, and its reason is told once.

use std::time::{Duration, Instant};

use crate::diagnostic::Diagnostic;

/// To try again and again takes at most this part of one processor. What is read in less than 100 ms is tried at every look.
const SHARE: u32 = 10;
/// So long at most is waited, however long a try takes.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// Why what was read cannot be used, and what is odd about it beside that.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Objections {
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Objections {
    /// What it cannot be used for, a line for each error.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    /// What is only odd is no reason: it goes to the log as what it is.
    pub fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!(event = "reload_warning", "{warning}");
        }
    }
}

impl From<Vec<Diagnostic>> for Objections {
    fn from(found: Vec<Diagnostic>) -> Self {
        let (errors, warnings): (Vec<_>, Vec<_>) = found.iter().partition(|problem| problem.is_error());
        let lines = |found: Vec<&Diagnostic>| found.into_iter().map(Diagnostic::one_line).collect();
        Self { errors: lines(errors), warnings: lines(warnings) }
    }
}

/// An error that is no file's.
impl From<String> for Objections {
    fn from(error: String) -> Self {
        Self { errors: vec![error], warnings: Vec::new() }
    }
}

/// Whether what was looked at last was refused.
#[derive(Clone, Debug, Default)]
pub struct Refusal(Option<Refused>);

#[derive(Clone, Debug)]
struct Refused {
    errors: Vec<String>,
    again: Instant,
}

impl Refusal {
    /// It was refused for these reasons, as was found out since `began`.
    pub fn of(objections: &Objections, began: Instant) -> Self {
        let now = Instant::now();
        let pause = now.saturating_duration_since(began).saturating_mul(SHARE);
        Self(Some(Refused { errors: objections.errors.clone(), again: now + pause.min(LONGEST_PAUSE) }))
    }

    /// Whether it was refused.
    pub const fn stands(&self) -> bool {
        self.0.is_some()
    }

    /// Whether it is to be tried again, though it is as it was.
    pub fn is_due(&self, now: Instant) -> bool {
        self.0.as_ref().is_some_and(|refused| refused.again <= now)
    }

    /// Whether it was refused for the same reasons.
    pub fn is_for(&self, objections: &Objections) -> bool {
        self.0.as_ref().is_some_and(|refused| refused.errors == objections.errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objections(error: &str) -> Objections {
        vec![Diagnostic::warning("x", "odd"), Diagnostic::error("x", error)].into()
    }

    #[test]
    fn reasons_are_errors_alone() {
        let found = objections("wrong");
        assert_eq!(found.errors(), ["x: wrong"]);
        let refusal = Refusal::of(&found, Instant::now());
        assert!(refusal.stands() && refusal.is_for(&found) && !refusal.is_for(&objections("worse")));
        assert!(!Refusal::default().stands() && !Refusal::default().is_for(&found));
    }

    #[test]
    fn what_takes_long_is_tried_the_more_rarely() {
        let (found, now) = (objections("wrong"), Instant::now());
        for (took, early, late) in [(0, None, 1), (2, Some(19), 22), (60 * 60, Some(299), 302)] {
            let refusal = Refusal::of(&found, now - Duration::from_secs(took));
            let is_due = |after| refusal.is_due(now + Duration::from_secs(after));
            assert!(early.is_none_or(|early| !is_due(early)) && is_due(late), "{took}");
        }
        assert!(!Refusal::default().is_due(now + LONGEST_PAUSE));
    }
}
