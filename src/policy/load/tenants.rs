//! The folders of domains that have policies of their own: `domains/example.net/*.rhai`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::lists::normal_domain;
use super::Folder;
use crate::diagnostic::Diagnostic;

/// Domains that can have policies of their own.
const MAX_TENANTS: usize = 10_000;

/// The folder of every domain below `dir`, by name.
pub(super) fn folders(dir: &Path, problems: &mut Vec<Diagnostic>) -> Vec<Folder> {
    let parent = dir.join("domains");
    let found = match domain_folders(&parent) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            problems.push(Diagnostic::error(parent, format!("the folder cannot be read: {error}")));
            return Vec::new();
        }
    };
    if found.len() > MAX_TENANTS {
        problems.push(Diagnostic::error(
            &parent,
            format!("more than {MAX_TENANTS} domains with policies of their own"),
        ));
    }
    let folder = |(name, path): (String, PathBuf)| match normal_domain(&name) {
        Some(domain) => Some(Folder {
            prefix: format!("domains/{name}/"),
            path,
            domain: Some(domain.into_owned().into()),
        }),
        None => {
            let problem = Diagnostic::error(path, "the folder's name is no domain");
            problems.push(problem.with_help("name it as the recipients' domain, such as `example.net`"));
            None
        }
    };
    found.into_iter().take(MAX_TENANTS).filter_map(folder).collect()
}

/// Name and path of every folder in `parent`, by name. Hidden ones are none, files neither.
pub(super) fn domain_folders(parent: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(parent)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with('.') && path.is_dir() {
            folders.push((name, path));
        }
    }
    folders.sort();
    Ok(folders)
}
