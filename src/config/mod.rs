//! The configuration: one YAML file, read in two steps.
//!
//! First [`tree`] and [`read`] make of the text what [`raw`] declares: typed keys, each with its place. Then
//! [`assemble`] makes of that what [`ready`] declares: names matched, files read, defaults filled in. Both steps collect
//! what is wrong and go on, so that an operator hears everything at once. The rest of the program sees only the second.

mod assemble;
mod glimpse;
mod openings;
mod outline;
mod raw;
mod read;
pub mod ready;
mod reference;
mod report;
mod schema;
mod shape;
mod tree;
mod variables;

use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::{files, permissions};

use read::Read;
use report::Report;

pub use glimpse::{Glimpse, glimpse};
pub use openings::Openings;
pub use outline::Outline;
pub use ready::Settings;
pub use schema::schema;
pub use variables::Lookup;

/// Where the configuration is looked for when no file is named, in this order.
pub const PLACES: [&str; 2] = ["/etc/gatepost/gatepost.yaml", "config/gatepost.yaml"];

/// What the configuration file may hold, in bytes.
const LONGEST: u64 = 1 << 20;

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub settings: Settings,
    /// What is odd about it.
    pub warnings: Vec<Diagnostic>,
    /// Its keys, to be compared with what the file says later.
    pub outline: Outline,
}

/// There is no configuration in any of the usual places.
#[derive(Debug, thiserror::Error)]
#[error(
    "no configuration was found: tried {} from {}; name one with `-c FILE`",
    PLACES.join(" and "),
    directory.display()
)]
pub struct NotFound {
    directory: PathBuf,
}

/// The file to load: `named`, else the first of [`PLACES`] that exists.
///
/// # Errors
/// None is named and none exists. A named file is taken as it is; [`load`] says when it is missing.
pub fn find(named: Option<&Path>) -> Result<PathBuf, NotFound> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let found = PLACES.iter().map(Path::new).find(|path| path.exists());
    found
        .map(Path::to_owned)
        .ok_or_else(|| NotFound { directory: std::env::current_dir().unwrap_or_default() })
}

/// Loads the configuration at `path`, with variables from the environment.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file, warnings included.
pub fn load(path: &Path) -> Result<Loaded, Vec<Diagnostic>> {
    load_with(path, &|name| std::env::var(name).ok())
}

/// As [`load`], with variables from `lookup`.
///
/// # Errors
/// As [`load`].
pub fn load_with(path: &Path, lookup: Lookup<'_>) -> Result<Loaded, Vec<Diagnostic>> {
    let text = files::read_text(path, LONGEST)
        .map_err(|error| vec![Diagnostic::error(path, format!("cannot be read: {error}"))])?;
    let found = load_text(path, &text, lookup);
    match permissions::unchangeable(path) {
        Ok(()) => found,
        Err(exposed) => {
            let first = Diagnostic::error(&exposed.path, exposed.what()).with_help(exposed.fix());
            Err(std::iter::once(first)
                .chain(found.map_or_else(|found| found, |found| found.warnings))
                .collect())
        }
    }
}

/// As [`load`], for a file whose text is already at hand; what it names is still looked for beside `path`.
///
/// # Errors
/// As [`load`].
pub fn load_text(path: &Path, text: &str, lookup: Lookup<'_>) -> Result<Loaded, Vec<Diagnostic>> {
    let mut report = Report::new(path.to_owned(), text.into());
    let read = settings(&mut report, lookup);
    match read {
        Some((settings, outline)) if !report.has_errors() => {
            Ok(Loaded { settings, outline, warnings: report.into_diagnostics() })
        }
        _ => Err(report.into_diagnostics()),
    }
}

fn settings(report: &mut Report, lookup: Lookup<'_>) -> Option<(Settings, Outline)> {
    let tree = tree::parse(report, lookup)?;
    if matches!(tree.value, tree::Value::Empty) {
        let help = "begin with config/gatepost.yaml, which runs as it is".to_owned();
        report.add(None, "the file is empty", Some(help));
        return None;
    }
    let file = raw::File::read(&tree, report)?;
    let settings = assemble::settings(file, report)?;
    Some((settings, Outline::of(&tree, report)))
}
