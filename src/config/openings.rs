//! Where the configuration says what is to be opened. Whether it can be had shows when it is tried, long after the file was read.

use std::path::Path;
use std::sync::Arc;

use crate::admin::Place;
use crate::diagnostic::{Diagnostic, Position};
use crate::server::Address;

use super::raw;
use super::report::Report;

/// The places in the file of all that is listened at.
#[derive(Clone, Default)]
pub struct Openings {
    text: Arc<str>,
    places: Vec<(String, Position)>,
}

/// Without the text, which may hold secrets.
impl std::fmt::Debug for Openings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Openings").field("places", &self.places).finish_non_exhaustive()
    }
}

impl Openings {
    pub(super) fn of(file: &raw::File, report: &Report) -> Self {
        let listeners = file.listeners.iter().flat_map(|listeners| &listeners.0);
        let listeners = listeners.filter_map(|(_, listener)| listener.as_ref()?.listen.as_ref());
        let listeners = listeners.flat_map(|listen| &listen.0);
        let listeners = listeners.map(|address| (address.value.to_string(), address.place));
        let admin = file.admin.as_ref().and_then(|admin| admin.listen.as_ref());
        let admin = admin.into_iter().flat_map(|listen| &listen.0);
        let admin = admin.map(|place| (admin_name(&place.value, report), place.place));
        Self { text: Arc::clone(report.text()), places: listeners.chain(admin).collect() }
    }

    /// That `opening` of `file` cannot be had: an [`Address`] or a [`Place`], as they are shown.
    pub fn error(&self, file: &Path, opening: &str, message: impl Into<String>) -> Diagnostic {
        let error = Diagnostic::error(file, message);
        match self.places.iter().find(|(name, _)| name == opening) {
            Some((_, position)) => error.at(&self.text, *position),
            None => error,
        }
    }
}

fn admin_name(place: &Place, report: &Report) -> String {
    match place {
        Place::Tcp(address) => Address::Bind(*address).to_string(),
        Place::Unix(path) => Place::Unix(report.resolve(path)).to_string(),
    }
}
