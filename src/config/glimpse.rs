//! The little that commands need which only ask. The process that serves goes on with what it has in force when the file breaks, and
//! that is the hour in which somebody wants to ask it.

use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::{files, permissions};

use super::read::{Placed, Read};
use super::ready::{Admin, Log, Quarantine};
use super::report::Report;
use super::tree::{self, Node, Value};
use super::{LONGEST, Lookup, assemble, raw};

/// Where the process that serves can be asked, and where it keeps what others may look at.
#[derive(Debug, Default)]
pub struct Glimpse {
    /// The operator's side door; `None` where there is none, or none that can be read.
    pub admin: Option<Admin>,
    /// The file of decisions.
    pub decisions: Option<PathBuf>,
    /// Decisions are kept neither in memory nor in a file.
    pub forgets: bool,
    /// Where mail is kept that policies keep back.
    pub quarantine: Option<Quarantine>,
    /// What is logged, and how.
    pub log: Log,
    /// What is wrong with these, and with the file as YAML.
    pub problems: Vec<Diagnostic>,
}

/// What can be made of the configuration at `path`, whatever else is wrong with it.
///
/// # Errors
/// It cannot be read, it is no YAML, or others may change it: they would learn the token by naming a place of theirs.
pub fn glimpse(path: &Path) -> Result<Glimpse, Vec<Diagnostic>> {
    glimpse_with(path, &|name| std::env::var(name).ok())
}

fn glimpse_with(path: &Path, lookup: Lookup<'_>) -> Result<Glimpse, Vec<Diagnostic>> {
    let text = files::read_text(path, LONGEST)
        .map_err(|error| vec![Diagnostic::error(path, format!("cannot be read: {error}"))])?;
    if let Err(exposed) = permissions::unchangeable(path) {
        return Err(vec![Diagnostic::error(&exposed.path, exposed.what()).with_help(exposed.fix())]);
    }
    let mut report = Report::new(path.to_owned(), text.as_str().into());
    let Some(tree) = tree::parse(&mut report, lookup) else { return Err(report.into_diagnostics()) };
    let admin = section::<raw::Admin>(&tree, "admin", &mut report);
    let decisions = section::<raw::Decisions>(&tree, "decisions", &mut report);
    let quarantine = section::<Placed<raw::Quarantine>>(&tree, "quarantine", &mut report);
    let log = section::<raw::Log>(&tree, "log", &mut report);
    let decisions = decisions.map(|decisions| assemble::decisions(decisions, &mut report));
    Ok(Glimpse {
        log: assemble::log(log.unwrap_or_default()),
        admin: admin.and_then(|admin| assemble::admin(&admin, &mut report)),
        forgets: decisions.as_ref().is_some_and(|kept| kept.memory == 0 && kept.file.is_none()),
        decisions: decisions.and_then(|decisions| decisions.file),
        quarantine: quarantine.and_then(|quarantine| assemble::quarantine(&quarantine, &mut report).0),
        problems: report.into_diagnostics().into_iter().filter(Diagnostic::is_error).collect(),
    })
}

fn section<T: Read>(tree: &Node, name: &str, report: &mut Report) -> Option<T> {
    let Value::Map(entries) = &tree.value else { return None };
    let (_, node) = entries.iter().find(|(key, _)| key.name == name)?;
    T::read(node, report)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::admin::Place;

    fn look(text: &str) -> (tempfile::TempDir, Result<Glimpse, Vec<Diagnostic>>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gatepost.yaml");
        fs::write(&path, text).unwrap();
        let found = glimpse_with(&path, &|_| None);
        (folder, found)
    }

    #[test]
    fn whatever_else_is_wrong_the_door_is_found() {
        let (folder, found) = look(
            "hostname: ${UNSET}\nlisteners: { mx: { listen: 1, upstraem: [] } }\nnonsense: 1\n\
             admin: { listen: \"unix:door\" }\ndecisions: { file: kept.jsonl, redact: perhaps }\n\
             quarantine: { dir: kept }\n",
        );
        let found = found.unwrap();
        assert_eq!(found.admin.unwrap().places, [Place::Unix(folder.path().join("door"))]);
        assert_eq!(found.decisions, Some(folder.path().join("kept.jsonl")));
        assert!(matches!(found.quarantine, Some(Quarantine::Folder(_))));
        let lines: Vec<_> = found.problems.iter().filter_map(|found| Some(found.position?.line)).collect();
        assert_eq!(lines, [1, 5], "{:?}", found.problems);
    }

    #[test]
    fn what_is_kept_nowhere_is_known() {
        for (section, forgets) in [
            ("", false),
            ("decisions: { memory: 0 }\n", true),
            ("decisions: { memory: 0, file: kept.jsonl }\n", false),
            ("decisions: { memory: 1 }\n", false),
        ] {
            let (_folder, found) = look(&format!("hostname: x\n{section}"));
            assert_eq!(found.unwrap().forgets, forgets, "{section}");
        }
    }

    #[test]
    fn a_token_that_cannot_be_read_leaves_the_place() {
        let (_folder, found) = look("admin: { listen: \"127.0.0.1:9925\", token: { file: none } }\n");
        let found = found.unwrap();
        let admin = found.admin.unwrap();
        assert!(admin.token.is_none() && admin.places.len() == 1);
        assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
    }

    #[test]
    fn what_is_no_yaml_or_anybodys_to_change_is_not_believed() {
        assert!(look("hostname: [\n").1.is_err());
        let (folder, _) = look("admin: { listen: \"unix:door\" }\n");
        let path = folder.path().join("gatepost.yaml");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(glimpse_with(&path, &|_| None).is_err());
    }
}
