//! Whether anything changed that a generation is made of.
//!
//! Files are looked at in two steps, each second: a [`Glance`] asks the file system when they were changed, and only when that
//! differs are they read. What they hold then decides, so that a file that is touched or copied over itself changes nothing.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{Context, SHA256};

use super::super::sources::{EntrySource, Sources, TableSource};
use super::file::{self, MAX_SCRIPT};
use super::lists::MAX_LIST;
use super::tenants::domain_folders;

/// A digest of the names and contents of all files that policies are made of. Equal fingerprints, equal files.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Fingerprint([u8; 32]);

/// Its first twelve hexadecimal digits: enough to tell generations apart.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(6).try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// What the file system said about those files at one moment, without reading them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Glance {
    digest: [u8; 32],
    /// Whether the last change lay so far back that another one would have another time.
    settled: bool,
}

impl Glance {
    /// Whether nothing can have changed between this glance and a `later` one.
    pub fn vouches_for(&self, later: &Self) -> bool {
        self.settled && self.digest == later.digest
    }

    /// Whether another glance saw the same.
    pub fn looks_like(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// A glance at a file, or at every file below a folder.
    pub fn at(path: &Path) -> Self {
        let files = if path.is_dir() { files_below(path) } else { vec![path.to_owned()] };
        glance(files.iter().map(PathBuf::as_path))
    }
}

/// Two changes within this time may look like one: file systems count time in ticks, some in whole seconds.
const TICK: Duration = Duration::from_secs(2);
/// Files of tests that are looked at.
const MAX_TESTS: usize = 100_000;

impl Sources {
    /// Reads all policies, libraries, lists and tables, and the tests where they decide, and digests them. Blocks on the disk; a
    /// file that cannot be read counts by its error, so that its coming and going is seen too.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut digest = Context::new(&SHA256);
        for (path, limit) in self.files() {
            add(&mut digest, self.name_of(&path).to_string_lossy().as_bytes());
            match file::read(&path, limit) {
                Ok(text) => add(&mut digest, text.as_bytes()),
                Err(error) => add(&mut digest, error.as_bytes()),
            }
        }
        Fingerprint(finished(digest))
    }

    /// Asks for the state of the same files. Cheap, however large they are.
    pub fn glance(&self) -> Glance {
        glance(self.files().iter().map(|(path, _)| path.as_path()))
    }

    /// The path of a file below the folder of the policies; of any other, which is a list, its name. The same files have the same
    /// fingerprint on every host.
    fn name_of<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(&self.dir).unwrap_or_else(|_| path.file_name().map_or(path, Path::new))
    }

    /// Every file that a generation is made of, with the size that it may have.
    fn files(&self) -> Vec<(PathBuf, u64)> {
        let mut scripts = scripts(&self.dir);
        scripts.extend(self::scripts(&self.dir.join("lib")));
        for (_, folder) in domain_folders(&self.dir.join("domains")).unwrap_or_default() {
            scripts.extend(self::scripts(&folder));
        }
        let tests = if self.require_tests { files_below(&self.dir.join("tests")) } else { Vec::new() };
        let scripts = scripts.into_iter().map(|path| (path, MAX_SCRIPT));
        let lists = self.list_files().map(|path| (path.to_owned(), MAX_LIST));
        scripts.chain(lists).chain(tests.into_iter().map(|path| (path, MAX_LIST))).collect()
    }

    /// The files of lists and tables.
    fn list_files(&self) -> impl Iterator<Item = &Path> {
        let lists = self.lists.values().filter_map(|list| match &list.entries {
            EntrySource::File(path) => Some(path.as_path()),
            EntrySource::Inline(_) => None,
        });
        let tables = self.tables.values().filter_map(|table| match table {
            TableSource::File(path) => Some(path.as_path()),
            TableSource::Inline(_) => None,
        });
        lists.chain(tables)
    }
}

fn glance<'p>(files: impl Iterator<Item = &'p Path>) -> Glance {
    let mut digest = Context::new(&SHA256);
    let mut last = SystemTime::UNIX_EPOCH;
    for path in files {
        add(&mut digest, path.to_string_lossy().as_bytes());
        let Ok(state) = fs::metadata(path) else { continue };
        let times = [state.mtime(), state.mtime_nsec(), state.ctime(), state.ctime_nsec()];
        times.iter().for_each(|time| digest.update(&time.to_be_bytes()));
        [state.len(), state.ino(), state.dev()].iter().for_each(|part| digest.update(&part.to_be_bytes()));
        last = last.max(changed(&state));
    }
    let settled = SystemTime::now().duration_since(last).is_ok_and(|age| age > TICK);
    Glance { digest: finished(digest), settled }
}

fn scripts(dir: &Path) -> Vec<PathBuf> {
    file::script_paths(dir).unwrap_or_default().into_iter().map(|(_, path)| path).collect()
}

/// Every file below a folder, by name. Links to folders are not followed, so that there is an end.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let (mut files, mut open) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(folder) = open.pop().filter(|_| files.len() < MAX_TESTS) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder { open.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.sort();
    files
}

/// When a file was changed, its name and rights counted; nobody but the clock sets that.
fn changed(state: &fs::Metadata) -> SystemTime {
    let (seconds, nanos) = (u64::try_from(state.ctime()), u32::try_from(state.ctime_nsec()));
    SystemTime::UNIX_EPOCH + Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0).min(999_999_999))
}

/// With its length in front, so that no two sequences of parts look alike.
fn add(digest: &mut Context, part: &[u8]) {
    digest.update(&part.len().to_be_bytes());
    digest.update(part);
}

fn finished(digest: Context) -> [u8; 32] {
    let mut value = [0; 32];
    value.iter_mut().zip(digest.finish().as_ref()).for_each(|(to, from)| *to = *from);
    value
}
