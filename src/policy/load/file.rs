//! Files read whole, once, within bounds; and diagnostics about places in them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rhai::Position;

use crate::diagnostic::{self, Diagnostic};
use crate::files;
use crate::permissions::{self, Exposed};

/// The largest script, in octets.
pub(super) const MAX_SCRIPT: u64 = 256 * 1024;
/// Scripts in one folder.
const MAX_SCRIPTS: usize = 1_000;
/// Files with nearly the ending of scripts that are told of.
const MAX_MISNAMED: usize = 10;

/// One script as it was read.
#[derive(Clone, Debug)]
pub(in super::super) struct ScriptFile {
    /// Relative to the policies' folder: `10-helo.rhai`, `lib/net.rhai`.
    pub(super) name: Arc<str>,
    pub(super) path: PathBuf,
    pub(in super::super) text: Arc<str>,
}

impl ScriptFile {
    /// `helo` of `10-helo.rhai`, `net` of `lib/net.rhai`.
    pub(super) fn stem(&self) -> &str {
        let base = self.name.rsplit_once('/').map_or(&*self.name, |(_, base)| base);
        let base = base.strip_suffix(".rhai").unwrap_or(base);
        let without_number = base.trim_start_matches(|c: char| c.is_ascii_digit());
        if without_number.len() < base.len() {
            without_number.strip_prefix('-').unwrap_or(base)
        } else {
            base
        }
    }

    /// An error at `len` characters from `position` on.
    pub(in super::super) fn error(
        &self,
        position: Position,
        len: usize,
        message: impl Into<String>,
    ) -> Diagnostic {
        self.place(Diagnostic::error(&self.path, message), position, len)
    }

    /// A warning at `len` characters from `position` on.
    pub(in super::super) fn warning(
        &self,
        position: Position,
        len: usize,
        message: impl Into<String>,
    ) -> Diagnostic {
        self.place(Diagnostic::warning(&self.path, message), position, len)
    }

    fn place(&self, diagnostic: Diagnostic, position: Position, len: usize) -> Diagnostic {
        match position.line() {
            Some(line) => {
                let column = position.position().unwrap_or(1);
                diagnostic.at(&self.text, diagnostic::Position::new(line, column, len))
            }
            None => diagnostic,
        }
    }

    /// Where the name of a function stands whose body begins at `body`: the tree does not keep it.
    pub(super) fn position_of_function(&self, name: &str, body: Position) -> Position {
        let Some(body_line) = body.line() else { return body };
        let lines = self.text.split('\n').enumerate().take(body_line);
        let found = lines.filter_map(|(index, line)| {
            let (before, after) = line.split_once("fn ")?;
            let named = after.trim_start().strip_prefix(name)?;
            let column = before.chars().count() + 4 + (after.len() - after.trim_start().len());
            named.trim_start().starts_with('(').then_some((index + 1, column))
        });
        let Some((line, column)) = found.last() else { return body };
        match (u16::try_from(line), u16::try_from(column)) {
            (Ok(line), Ok(column)) => Position::new(line, column),
            _ => body,
        }
    }
}

/// The scripts of a folder, by name. Hidden files and other endings are none.
pub(super) fn scripts(dir: &Path, prefix: &str, problems: &mut Vec<Diagnostic>) -> Vec<ScriptFile> {
    closed(permissions::unfillable(dir), problems);
    problems.extend(misnamed(dir));
    let paths = match script_paths(dir) {
        Ok(paths) => paths,
        Err(error) => {
            problems.push(Diagnostic::error(dir, format!("the folder cannot be read: {error}")));
            return Vec::new();
        }
    };
    if paths.len() > MAX_SCRIPTS {
        problems.push(Diagnostic::error(dir, format!("more than {MAX_SCRIPTS} scripts in one folder")));
    }
    let mut scripts = Vec::new();
    for (name, path) in paths.into_iter().take(MAX_SCRIPTS) {
        closed(permissions::unchangeable(&path), problems);
        match read(&path, MAX_SCRIPT) {
            Ok(text) => {
                scripts.push(ScriptFile { name: format!("{prefix}{name}").into(), path, text: text.into() })
            }
            Err(problem) => problems.push(Diagnostic::error(path, problem)),
        }
    }
    scripts
}

/// Reports what strangers can change: they would decide about the mail.
pub(super) fn closed(found: Result<(), Exposed>, problems: &mut Vec<Diagnostic>) {
    if let Err(exposed) = found {
        let problem = Diagnostic::error(&exposed.path, exposed.what()).with_help(exposed.fix());
        // That of a folder is the same for each of its files.
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
}

/// Warns of files that are called as scripts are, but for capitals: nobody reads them.
fn misnamed(dir: &Path) -> Vec<Diagnostic> {
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let is_meant = |name: &OsString| {
        let name = name.to_string_lossy();
        name.to_lowercase().ends_with(".rhai") && !name.ends_with(".rhai") && !name.starts_with('.')
    };
    let mut paths: Vec<_> = names.filter(is_meant).take(MAX_MISNAMED).map(|name| dir.join(name)).collect();
    paths.sort();
    let warning = |path| Diagnostic::warning(path, "this is no policy: its name has to end with `.rhai`");
    paths.into_iter().map(warning).collect()
}

/// Name and path of every script of a folder, by name.
pub(super) fn script_paths(dir: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".rhai") && !name.starts_with('.') {
            paths.push((name, entry.path()));
        }
    }
    paths.sort();
    Ok(paths)
}

/// The text of a regular file of at most `limit` octets, or what is wrong with it.
pub(super) fn read(path: &Path, limit: u64) -> Result<String, String> {
    files::read_text(path, limit).map_err(|error| format!("the file cannot be read: {error}"))
}
