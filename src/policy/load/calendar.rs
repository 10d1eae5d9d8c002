//! What counts until a day.

use jiff::civil::Date;

use super::super::sources::Sources;
use crate::diagnostic::Diagnostic;

/// The day at which policies are loaded, and the first day after it that changes something.
#[derive(Debug)]
pub(super) struct Calendar {
    today: Date,
    until: Option<Date>,
    /// What is over.
    notices: Vec<Diagnostic>,
}

impl Calendar {
    pub(super) fn new(sources: &Sources) -> Self {
        Self { today: sources.today(), until: None, notices: Vec::new() }
    }

    /// Whether something still counts whose last day is `until`, which is noted down.
    pub(super) fn counts(&mut self, until: Option<Date>) -> bool {
        let Some(until) = until else { return true };
        if until < self.today {
            return false;
        }
        self.until = Some(self.until.map_or(until, |first| first.min(until)));
        true
    }

    /// Warns of something that is over.
    pub(super) fn notice(&mut self, notice: Diagnostic) {
        self.notices.push(notice);
    }

    /// The warnings.
    pub(super) fn into_notices(self) -> Vec<Diagnostic> {
        self.notices
    }

    /// The last day on which all is as it is today.
    pub(super) const fn until(&self) -> Option<Date> {
        self.until
    }
}
