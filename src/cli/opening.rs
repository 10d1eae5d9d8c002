//! What the operator is told when something that the configuration opens cannot be had.

use std::io;

use crate::admin::Place;
use crate::config::Settings;
use crate::diagnostic::Diagnostic;
use crate::server::{self, OpenError};

/// It cannot be had; the diagnostic says where in the file it stands, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.one_line())]
pub(super) struct CannotOpen(pub(super) Box<Diagnostic>);

impl CannotOpen {
    /// An address of a listener.
    pub(super) fn listener(settings: &Settings, error: &OpenError) -> Self {
        let found = settings.openings.error(&settings.file, &error.address().to_string(), error.to_string());
        Self(Box::new(found.with_help(error.advice())))
    }

    /// A place of the operator's side door.
    pub(super) fn admin(settings: &Settings, place: &Place, error: &io::Error) -> Self {
        let message = format!("the admin endpoint cannot listen on {place}: {error}");
        let found = settings.openings.error(&settings.file, &place.to_string(), message);
        let advice = match place {
            Place::Tcp(address) => server::advice(*address, error),
            Place::Unix(_) => "name a socket in a folder that the user of Gatepost can write to".to_owned(),
        };
        Self(Box::new(found.with_help(advice)))
    }
}
