//! Files that outlive a power cut: what is acknowledged when it lies on disk has to stay there, with its name and its folders.
//!
//! A file lasts when it was seen to disk, and after that the folder that has its name; a folder that was just made lasts when the
//! one above it was seen to disk, too.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// How much of a message is copied at once.
const PIECE: usize = 64 * 1024;

/// The calls on which it depends whether a file outlives a power cut. A test watches their order and fails each.
pub(crate) trait Disk: fmt::Debug + Send + Sync {
    /// Sees what was written to disk.
    fn sync_file(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// Gives a file another name on the same file system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Sees the names in a folder to disk.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

/// The disk, and nothing that watches.
#[derive(Debug)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {}

/// Makes a folder, and those above it that are missing, for their owner's eyes only, and sees their names to disk. One that is there
/// may have been made by a process that was cut short before it did so.
///
/// # Errors
/// As of [`DirBuilder::create`] and [`Disk::sync_folder`].
pub(crate) fn make_folder(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    let missing = folder.ancestors().take_while(|folder| is_named(folder) && !folder.is_dir()).count();
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for made in folder.ancestors().take(missing.max(1)) {
        let above = made.parent().filter(|above| is_named(above));
        disk.sync_folder(above.unwrap_or_else(|| Path::new(".")))?;
    }
    Ok(())
}

/// What is above a relative path's first part has no name: it is the folder in which the process works.
fn is_named(folder: &Path) -> bool {
    !folder.as_os_str().is_empty()
}

/// Creates a file that is not there yet, for its owner's eyes only.
///
/// # Errors
/// As of [`OpenOptions::open`]; there may be one already.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Whose fault it is that a message could not be copied.
#[derive(Debug)]
pub(crate) enum CopyError {
    /// The file cannot be written.
    File(io::Error),
    /// The message cannot be read.
    Message(io::Error),
}

/// Copies a message into a file. [`io::copy`] does not say which side failed.
///
/// # Errors
/// Part of it may be in the file then.
pub(crate) fn copy(mut message: impl Read, file: &mut File) -> Result<(), CopyError> {
    let mut piece = vec![0; PIECE];
    loop {
        match message.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => file.write_all(piece.get(..read).unwrap_or_default()).map_err(CopyError::File)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(CopyError::Message(error)),
        }
    }
}

/// A disk for tests, and a message.
#[cfg(test)]
pub(crate) mod watched {
    use super::*;

    use std::sync::{Arc, Mutex};

    /// Writes down what is done to the disk, and fails at one step.
    #[derive(Debug, Default)]
    pub(crate) struct Watched {
        /// What was done: `sync 12 octets`, `sync FOLDER`, `rename to FOLDER/*.EXTENSION`.
        pub(crate) steps: Arc<Mutex<Vec<String>>>,
        /// The step that fails, from 1.
        pub(crate) fails_at: Option<usize>,
    }

    impl Watched {
        fn step(&self, what: String) -> io::Result<()> {
            let mut steps = self.steps.lock().unwrap();
            steps.push(what);
            if self.fails_at == Some(steps.len()) { Err(io::Error::other("cut")) } else { Ok(()) }
        }
    }

    impl Disk for Watched {
        fn sync_file(&self, file: &File) -> io::Result<()> {
            self.step(format!("sync {} octets", file.metadata()?.len()))
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            let extension = to.extension().unwrap().to_str().unwrap();
            self.step(format!("rename to {}/*.{extension}", name(to.parent().unwrap())))?;
            RealDisk.rename(from, to)
        }

        fn sync_folder(&self, folder: &Path) -> io::Result<()> {
            self.step(format!("sync {}", name(folder)))
        }
    }

    /// A message that gives three octets, then fails.
    #[derive(Debug, Default)]
    pub(crate) struct Broken {
        has_given: bool,
    }

    impl Read for Broken {
        fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.has_given, true) {
                return Err(io::Error::other("gone"));
            }
            piece[..3].copy_from_slice(b"abc");
            Ok(3)
        }
    }

    fn name(folder: &Path) -> &str {
        folder.file_name().unwrap_or(folder.as_os_str()).to_str().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::watched::{Broken, Watched};
    use super::*;

    #[test]
    fn every_folder_that_is_made_is_seen_to_disk_and_an_old_one_is_again() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        fs::create_dir(&top).unwrap();
        let folder = top.join("one/two/three");
        for wanted in [&["sync two", "sync one", "sync top"][..], &["sync two"]] {
            let watched = Watched::default();
            make_folder(&watched, &folder).unwrap();
            assert_eq!(*watched.steps.lock().unwrap(), wanted);
        }
        for made in folder.ancestors().take(3) {
            assert_eq!(made.metadata().unwrap().permissions().mode() & 0o777, 0o700, "{made:?}");
        }
        for fails_at in 1..=3 {
            fs::remove_dir_all(top.join("one")).unwrap();
            let watched = Watched { fails_at: Some(fails_at), ..Watched::default() };
            assert!(make_folder(&watched, &folder).is_err());
        }
    }

    #[test]
    fn a_folder_without_one_above_it_stands_where_the_process_works() {
        let watched = Watched::default();
        make_folder(&watched, Path::new("src")).unwrap();
        assert_eq!(*watched.steps.lock().unwrap(), ["sync ."]);
    }

    #[test]
    fn a_copy_says_which_side_failed() {
        let mut file = tempfile::tempfile().unwrap();
        assert!(matches!(copy(Broken::default(), &mut file), Err(CopyError::Message(_))));
        assert_eq!(file.metadata().unwrap().len(), 3);
        // The one file that is always full.
        let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let Err(CopyError::File(error)) = copy(&b"x"[..], &mut full) else { panic!("not full") };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
