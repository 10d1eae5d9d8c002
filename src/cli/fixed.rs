//! What of a configuration stays as it was at the start, whatever a reload brings: it takes a restart.

use crate::config::Settings;
use crate::config::ready::Admin;
use crate::{decisions, log, state};

/// What the process goes by until it ends.
#[derive(Debug)]
pub(super) struct Fixed {
    admin: Option<Admin>,
    decisions: decisions::Settings,
    format: log::Format,
    state: state::Settings,
}

impl Fixed {
    /// As at the start.
    pub(super) fn of(settings: &Settings) -> Self {
        let Settings { admin, decisions, log, state, .. } = settings;
        Self { admin: admin.clone(), decisions: decisions.clone(), format: log.format, state: state.clone() }
    }

    /// The sections of `settings` that say something else, and wait for the next start.
    pub(super) fn waiting(&self, settings: &Settings) -> Vec<&'static str> {
        let parts = [
            ("admin", self.admin != settings.admin),
            ("decisions", self.decisions != settings.decisions),
            ("log.format", self.format != settings.log.format),
            ("state", self.state != settings.state),
        ];
        parts.into_iter().filter(|(_, differs)| *differs).map(|(section, _)| section).collect()
    }
}
