//! The folders of domains that have policies of their own: `domains/example.net/*.rhai`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::lists::normal_domain;
use super::super::sources::Sources;
use super::{Folder, file, ours};
use crate::diagnostic::{Diagnostic, nearest};

/// Scripts and folders in wrong places that are told of.
const MAX_STRAYS: usize = 10;
/// Domains that can have policies of their own.
const MAX_TENANTS: usize = 10_000;

/// The folder of every domain below `dir`, by name.
pub(super) fn folders(sources: &Sources, problems: &mut Vec<Diagnostic>) -> Vec<Folder> {
    let parent = sources.dir.join("domains");
    problems.extend(unread(&sources.dir));
    problems.extend(strays(&parent));
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
        Some(domain) => {
            problems.extend(stranger(&domain, &path, sources));
            let domain = domain.into_owned().into();
            Some(Folder { prefix: format!("domains/{name}/"), path, domain: Some(domain) })
        }
        None => {
            let problem = Diagnostic::error(path, "the folder's name is no domain");
            problems.push(problem.with_help("name it as the recipients' domain, such as `example.net`"));
            None
        }
    };
    found.into_iter().take(MAX_TENANTS).filter_map(folder).collect()
}

/// Warns of policies that mail from outside never meets.
fn stranger(domain: &str, path: &Path, sources: &Sources) -> Option<Diagnostic> {
    if !ours::is_strange(domain, sources) {
        return None;
    }
    let message =
        format!("`{domain}` is none of our domains: these policies are asked about mail from inside only");
    let problem = ours::suggest_ours(Diagnostic::warning(path, message), domain, sources);
    let help = "name the folder as one of `domains`, or add the domain there";
    Some(if problem.help.is_some() { problem } else { problem.with_help(help) })
}

/// Warns of scripts beside the folders of domains: they belong to none, and nobody asks them.
fn strays(parent: &Path) -> Vec<Diagnostic> {
    let stray = |(_, path): (String, PathBuf)| {
        let help =
            "put it into a folder with a domain's name, or for all domains into the folder of the policies";
        Diagnostic::warning(path, "this belongs to no domain and is never asked").with_help(help)
    };
    file::script_paths(parent).unwrap_or_default().into_iter().take(MAX_STRAYS).map(stray).collect()
}

/// Warns of folders that are nearly called as one that is read, and of others that have scripts.
fn unread(dir: &Path) -> Vec<Diagnostic> {
    const READ: [&str; 2] = ["domains", "lib"];
    let folders = domain_folders(dir).unwrap_or_default().into_iter();
    let others = folders.filter(|(name, _)| !READ.contains(&name.as_str()) && name != "tests");
    let has_scripts = |path: &Path| file::script_paths(path).is_ok_and(|found| !found.is_empty());
    let warning = |(name, path): (String, PathBuf)| {
        let help = match nearest(&name, READ) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if has_scripts(&path) => "put its files into the folder above it".to_owned(),
            None => return None,
        };
        Some(Diagnostic::warning(path, "no policy is read from this folder").with_help(help))
    };
    others.filter_map(warning).take(MAX_STRAYS).collect()
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
