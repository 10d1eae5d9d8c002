//! Everything that is wrong with the file, collected while it is read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Position, Severity};

/// The file that is read and what was found wrong with it.
#[derive(Debug)]
pub(super) struct Report {
    file: PathBuf,
    text: Arc<str>,
    found: Vec<Diagnostic>,
    /// Other files whose text belongs to the configuration.
    read_along: Vec<PathBuf>,
}

impl Report {
    /// An empty report about `file`, whose text is `text`.
    pub(super) const fn new(file: PathBuf, text: Arc<str>) -> Self {
        Self { file, text, found: Vec::new(), read_along: Vec::new() }
    }

    /// The file.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Its text.
    pub(super) const fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Notes that the text of `path` belongs to the configuration.
    pub(super) fn reads_along(&mut self, path: &Path) {
        self.read_along.push(path.to_owned());
    }

    /// The files whose text belongs to the configuration, beside the file itself.
    pub(super) fn read_along(&self) -> &[PathBuf] {
        &self.read_along
    }

    /// `path` as the file means it: relative to the folder that the file is in.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        self.file.parent().unwrap_or_else(|| Path::new("")).join(path)
    }

    /// An error at `place`.
    pub(super) fn error(&mut self, place: Position, message: impl Into<String>) {
        self.add(Some(place), message, None);
    }

    /// An error at `place`, with a way out.
    pub(super) fn error_with_help(
        &mut self,
        place: Position,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(Some(place), message, Some(help.into()));
    }

    /// An error at `place`, or about the whole file.
    pub(super) fn add(&mut self, place: Option<Position>, message: impl Into<String>, help: Option<String>) {
        let error = Diagnostic::error(&self.file, message);
        self.push(error, place, help);
    }

    /// A warning at `place`, with a way out.
    pub(super) fn warning(&mut self, place: Position, message: impl Into<String>, help: impl Into<String>) {
        let warning = Diagnostic::warning(&self.file, message);
        self.push(warning, Some(place), Some(help.into()));
    }

    /// Something about another file, such as a list that the configuration names.
    pub(super) fn elsewhere(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// What was found, errors and warnings in the order of the file; then what other files have.
    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|diagnostic| (diagnostic.file != self.file, diagnostic.position));
        self.found
    }

    /// Whether there is an error among what was found.
    pub(super) fn has_errors(&self) -> bool {
        self.found.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    fn push(&mut self, mut diagnostic: Diagnostic, place: Option<Position>, help: Option<String>) {
        diagnostic.help = help;
        self.found.push(match place {
            Some(place) => diagnostic.at(&self.text, place),
            None => diagnostic,
        });
    }
}
