//! Who else on this machine may read or change a file of the operator's.
//!
//! What everybody can read is no secret, and whoever can change a policy or the configuration decides about all mail and runs
//! what he likes within it. So neither is used, and the error has the command that mends it. A group may do either: how it
//! is shared is the operator's to say, and with a umask of 002 every file is its group's to write.

use std::fs::{self, Metadata};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};

/// The rights of those who are neither the owner nor in the group, and what keeps them from what is others' in a folder that all
/// may write (`/tmp`).
const READ_BY_OTHERS: u32 = 0o004;
const WRITE_BY_OTHERS: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// A file or a folder that too many may read or change.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}: {}", path.display(), self.what())]
pub struct Exposed {
    /// The file or folder.
    pub path: PathBuf,
    mode: u32,
    danger: Danger,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Danger {
    Read,
    Written,
    Filled,
}

impl Exposed {
    /// What is wrong, without the name.
    pub fn what(&self) -> String {
        let can = match self.danger {
            Danger::Read => "read this secret",
            Danger::Written => "change this file",
            Danger::Filled => "put files into this folder",
        };
        format!("everybody on this machine can {can} (mode {:04o})", self.mode)
    }

    /// The command that mends it.
    pub fn fix(&self) -> String {
        let path = self.path.display();
        match self.danger {
            Danger::Read => format!("chmod {:o} {path}", self.mode & 0o740),
            Danger::Written | Danger::Filled => format!("chmod o-w {path}"),
        }
    }
}

/// Whether the secret in the file at `path` is one: strangers may neither read nor write it. Who cannot look at the file says nothing;
/// reading it will.
///
/// # Errors
/// Strangers may.
pub fn secret(path: &Path) -> Result<(), Exposed> {
    match fs::metadata(path) {
        Ok(meta) if mode(&meta) & READ_BY_OTHERS != 0 => Err(exposed(path, &meta, Danger::Read)),
        _ => unchangeable(path),
    }
}

/// Whether strangers can neither change the file at `path` nor put another in its place.
///
/// # Errors
/// They can: the file itself, or the folder that it is in, is theirs to write.
pub fn unchangeable(path: &Path) -> Result<(), Exposed> {
    if let Ok(meta) = fs::metadata(path)
        && meta.is_file()
        && mode(&meta) & WRITE_BY_OTHERS != 0
        && !is_read_only(path)
    {
        return Err(exposed(path, &meta, Danger::Written));
    }
    // Where it is named, and where it is: a link may lead into another folder.
    let real = fs::canonicalize(path).ok();
    for folder in [Some(path), real.as_deref()].into_iter().flatten().filter_map(Path::parent) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        folder_with(folder, |mode| mode & WRITE_BY_OTHERS != 0 && mode & STICKY == 0)?;
    }
    Ok(())
}

/// Whether strangers can put no file into the folder at `path`, where every file counts.
///
/// # Errors
/// They can.
pub fn unfillable(path: &Path) -> Result<(), Exposed> {
    folder_with(path, |mode| mode & WRITE_BY_OTHERS != 0)
}

fn folder_with(folder: &Path, open: impl Fn(u32) -> bool) -> Result<(), Exposed> {
    match fs::metadata(folder) {
        Ok(meta) if open(mode(&meta)) && !is_read_only(folder) => Err(exposed(folder, &meta, Danger::Filled)),
        _ => Ok(()),
    }
}

/// What is mounted read-only is nobody's to write, whatever its modes say, as with Kubernetes' ConfigMaps.
fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY))
}

fn mode(meta: &Metadata) -> u32 {
    meta.permissions().mode() & 0o7777
}

fn exposed(path: &Path, meta: &Metadata, danger: Danger) -> Exposed {
    Exposed { path: path.to_owned(), mode: mode(meta), danger }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_everybody_can_read_is_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("mx.key");
        fs::write(&key, "x").unwrap();
        for (mode, fix) in [(0o644, "640"), (0o604, "600"), (0o444, "440"), (0o666, "640")] {
            with_mode(&key, mode);
            let exposed = secret(&key).unwrap_err();
            assert_eq!(exposed.fix(), format!("chmod {fix} {}", key.display()));
            assert!(exposed.what().ends_with(&format!("can read this secret (mode {mode:04o})")));
        }
        with_mode(&key, 0o662);
        assert_eq!(secret(&key).unwrap_err().fix(), format!("chmod o-w {}", key.display()));
        for mode in [0o600, 0o640, 0o660, 0o400] {
            with_mode(&key, mode);
            assert_eq!(secret(&key), Ok(()), "{mode:o}");
        }
        assert_eq!(secret(&dir.path().join("none")), Ok(()));
    }

    #[test]
    fn what_everybody_can_change_is_not_the_operators() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, file) = (dir.path().join("etc"), dir.path().join("etc/gatepost.yaml"));
        fs::create_dir(&folder).unwrap();
        fs::write(&file, "x").unwrap();
        for (folder_mode, file_mode, good) in [
            (0o755, 0o644, true),
            (0o775, 0o664, true),
            (0o1777, 0o644, true),
            (0o755, 0o646, false),
            (0o777, 0o644, false),
        ] {
            with_mode(&folder, folder_mode);
            with_mode(&file, file_mode);
            assert_eq!(unchangeable(&file).is_ok(), good, "{folder_mode:o} {file_mode:o}");
        }
        assert_eq!(unchangeable(&file).unwrap_err().path, folder);
        with_mode(&folder, 0o1777);
        assert!(unfillable(&folder).unwrap_err().what().contains("put files into this folder (mode 1777)"));
        with_mode(&folder, 0o775);
        assert_eq!(unfillable(&folder), Ok(()));
    }

    #[test]
    fn a_link_is_where_it_leads() {
        let dir = tempfile::tempdir().unwrap();
        let (open, link) = (dir.path().join("open"), dir.path().join("gatepost.yaml"));
        fs::create_dir(&open).unwrap();
        fs::write(open.join("real.yaml"), "x").unwrap();
        std::os::unix::fs::symlink("open/real.yaml", &link).unwrap();
        assert_eq!(unchangeable(&link), Ok(()));
        with_mode(&open, 0o777);
        assert!(unchangeable(&link).is_err());
    }
}
