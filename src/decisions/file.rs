//! Decisions on disk: lines of JSON, one file after the other.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use memchr::memmem;

use super::query::Query;
use super::record::Decision;

/// The longest line that is read; ours are far shorter.
const LONGEST: u64 = 4 << 20;
/// The highest number of files that were put aside: one more than the configuration can keep.
const MOST_ASIDE: usize = 1_001;
/// The longest that one file is written to, whatever its size.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When a file is put aside, and how much of what was put aside is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rotation {
    /// A file of so many octets is full.
    pub size: u64,
    /// Files that were put aside are deleted when their last decision is older than this; a file is put aside after a day at
    /// the latest.
    pub age: Duration,
    /// So many files that were put aside are kept.
    pub keep: usize,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { size: 64 << 20, age: Duration::from_secs(30 * 24 * 60 * 60), keep: 10 }
    }
}

/// The file that decisions are written to.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    size: u64,
    begun: SystemTime,
    buffer: Vec<u8>,
    /// The last line may lack its end.
    torn: bool,
}

/// What went wrong with lines that were to be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// They are not in the file.
    #[error("decisions are lost: {0}")]
    NotWritten(#[from] io::Error),
    /// They are, but the file is full or old and cannot be put aside.
    #[error("the file cannot be put aside, and grows: {0}")]
    NotPutAside(io::Error),
}

impl Writer {
    /// As [`open`](Self::open), in a folder that is made, for its owner only, where it is not there.
    ///
    /// # Errors
    /// Also when the folder cannot be made.
    pub(super) fn begin(path: PathBuf, rotation: Rotation) -> io::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.map(|folder| DirBuilder::new().recursive(true).mode(0o700).create(folder)).transpose()?;
        Self::open(path, rotation)
    }

    /// Opens the file at `path`, for its owner only whoever it was for before, and goes on behind what is in it.
    ///
    /// # Errors
    /// It cannot be opened or created, or is somebody else's who lets others read it.
    fn open(path: PathBuf, rotation: Rotation) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(&path)?;
        let metadata = file.metadata()?;
        // What is no file, a pipe say, has its mode from whoever made it.
        if metadata.is_file() && metadata.mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        let size = metadata.len();
        // Whoever wrote it last was cut off: what follows is not to suffer for it.
        let torn = size > 0 && !ends_with_line(&mut file)?;
        let begun = if size > 0 { begun(&path) } else { SystemTime::now() };
        let writer = Self { path, rotation, file, size, begun, buffer: Vec::new(), torn };
        writer.forget_old();
        Ok(writer)
    }

    /// Takes a line; it is written with the next [`flush`](Self::flush).
    pub(super) fn add(&mut self, line: &[u8]) {
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
    }

    /// How much was taken and not written yet.
    pub(super) const fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// Writes what was taken, and puts the file aside when it is full or old. Whatever fails, nothing is kept back for later. A file
    /// that cannot be put aside is written to until it is twice as large as it should be.
    ///
    /// # Errors
    /// The disk is full, or the folder is gone or not to be written to.
    pub(super) fn flush(&mut self) -> Result<(), Trouble> {
        let lines = std::mem::take(&mut self.buffer);
        let written = self.write(&lines);
        self.buffer = lines;
        self.buffer.clear();
        self.buffer.shrink_to(64 << 10);
        written?;
        let age = SystemTime::now().duration_since(self.begun).unwrap_or_default();
        if self.size >= self.rotation.size || (self.size > 0 && age >= A_DAY.min(self.rotation.age)) {
            self.put_aside().map_err(Trouble::NotPutAside)?;
        }
        Ok(())
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.follow()?;
        if self.size >= self.rotation.size.saturating_mul(2) {
            self.put_aside()?;
        }
        let torn = std::mem::replace(&mut self.torn, true);
        if torn {
            self.file.write_all(b"\n")?;
        }
        self.file.write_all(lines)?;
        self.torn = false;
        self.size += lines.len() as u64 + u64::from(torn);
        Ok(())
    }

    /// Whoever moved the file away, as logrotate does, finds a new one in its place.
    fn follow(&mut self) -> io::Result<()> {
        let is_ours = |there: fs::Metadata| {
            self.file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (there.dev(), there.ino()))
        };
        if fs::metadata(&self.path).is_ok_and(is_ours) {
            return Ok(());
        }
        *self = Self::open(self.path.clone(), self.rotation.clone())?;
        Ok(())
    }

    /// Makes room for one more up to the first number that is free: what an earlier attempt moved is not moved again.
    fn put_aside(&mut self) -> io::Result<()> {
        let free = (1..MOST_ASIDE).find(|number| !aside(&self.path, *number).exists()).unwrap_or(MOST_ASIDE);
        for number in (1..free).rev() {
            fs::rename(aside(&self.path, number), aside(&self.path, number.saturating_add(1)))?;
        }
        fs::rename(&self.path, aside(&self.path, 1))?;
        *self = Self::open(self.path.clone(), self.rotation.clone())?;
        Ok(())
    }

    /// Deletes what was put aside and is too old, or beyond the number that is kept. What cannot be deleted now will be with the next
    /// file.
    fn forget_old(&self) {
        for (number, path) in put_aside(&self.path) {
            let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
            if number > self.rotation.keep || age.is_some_and(|age| age > self.rotation.age) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// What was put aside from the file at `path`, the youngest first. One may be missing in between.
fn put_aside(path: &Path) -> impl Iterator<Item = (usize, PathBuf)> {
    let all = (1..=MOST_ASIDE).map(|number| (number, aside(path, number)));
    all.filter(|(_, path)| path.exists())
}

/// The file at `path` and those that were put aside from it, as far as there are any, the youngest first.
pub fn files(path: &Path) -> impl Iterator<Item = PathBuf> {
    let present = Some(path.to_owned()).filter(|path| path.exists());
    present.into_iter().chain(put_aside(path).map(|(_, path)| path))
}

/// `decisions.jsonl.1` of `decisions.jsonl`: the youngest that was put aside.
fn aside(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn ends_with_line(file: &mut File) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// When the first decision of a file was made.
fn begun(path: &Path) -> SystemTime {
    let first = File::open(path).ok().and_then(|file| {
        let mut line = Vec::new();
        BufReader::new(file).take(LONGEST).read_until(b'\n', &mut line).ok()?;
        serde_json::from_slice::<Decision>(&line).ok()
    });
    first.map_or_else(SystemTime::now, |first| first.at.into())
}

/// Decisions cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", path.display())]
pub struct ReadError {
    path: PathBuf,
    error: io::Error,
}

/// The decisions in the file at `path`, oldest first, each handed to `take` until it says `false`. Gives the number of lines that are
/// no decisions: one torn at the end, or those of a later version.
///
/// # Errors
/// The file cannot be read.
pub fn read(path: &Path, take: impl FnMut(Decision) -> bool) -> Result<usize, ReadError> {
    read_with(path, None, take)
}

/// The same for lines with `hint` in them.
fn read_with(
    path: &Path,
    hint: Option<&str>,
    mut take: impl FnMut(Decision) -> bool,
) -> Result<usize, ReadError> {
    let hint = hint.map(memmem::Finder::new);
    let failed = |error| ReadError { path: path.to_owned(), error };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let (mut line, mut strange) = (Vec::new(), 0);
    loop {
        line.clear();
        let read = (&mut file).take(LONGEST).read_until(b'\n', &mut line).map_err(failed)?;
        if read == 0 {
            return Ok(strange);
        }
        if hint.as_ref().is_some_and(|hint| hint.find(&line).is_none()) {
            continue;
        }
        match serde_json::from_slice::<Decision>(&line) {
            Ok(decision) => {
                if !take(decision) {
                    return Ok(strange);
                }
            }
            Err(_) if line.trim_ascii().is_empty() => {}
            Err(_) => strange += 1,
        }
    }
}

/// The decisions that `query` wants of the file at `path` and those that were put aside from it, the youngest first; and the number of
/// lines that are no decisions, as far as they had to be read.
///
/// # Errors
/// A file cannot be read; that there is none is no error.
pub fn read_all(path: &Path, query: &Query) -> Result<(Vec<Decision>, usize), ReadError> {
    let most = if query.limit == 0 { usize::MAX } else { query.limit };
    let (mut found, mut strange) = (Vec::new(), 0);
    for path in files(path) {
        let mut here = Vec::new();
        strange += read_with(&path, query.hint(), |decision| {
            if query.matches(&decision) {
                here.push(decision);
            }
            true
        })?;
        here.reverse();
        found.append(&mut here);
        if found.len() >= most {
            found.truncate(most);
            break;
        }
    }
    Ok((found, strange))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: usize) -> Vec<u8> {
        let now = SystemTime::now().try_into().unwrap();
        serde_json::to_vec(&Decision { id: id.to_string(), at: now, ..Decision::default() }).unwrap()
    }

    fn ids(path: &Path) -> Vec<String> {
        read_all(path, &Query::default()).unwrap().0.into_iter().map(|found| found.id).collect()
    }

    #[test]
    fn a_file_is_for_its_owner_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        for id in [1, 2] {
            let mut writer = Writer::open(path.clone(), Rotation::default()).unwrap();
            writer.add(&line(id));
            writer.flush().unwrap();
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(ids(&path), ["2", "1"]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_made_for_its_owner_at_the_start_alone() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("var/log");
        let path = deep.join("decisions.jsonl");
        let mut writer = Writer::begin(path.clone(), Rotation::default()).unwrap();
        assert_eq!(fs::metadata(&deep).unwrap().permissions().mode() & 0o777, 0o700);
        writer.add(&line(1));
        writer.flush().unwrap();
        assert_eq!(ids(&path), ["1"]);
        fs::remove_dir_all(&deep).unwrap();
        writer.add(&line(2));
        assert!(writer.flush().is_err(), "a disk that is gone is not hidden");
    }

    #[test]
    fn a_torn_line_harms_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        let whole = line(1);
        fs::write(&path, [&whole[..], b"\n", &whole[..whole.len() / 2]].concat()).unwrap();
        assert_eq!(read_all(&path, &Query::default()).unwrap().1, 1);
        let mut writer = Writer::open(path.clone(), Rotation::default()).unwrap();
        writer.add(&line(2));
        writer.flush().unwrap();
        assert_eq!(ids(&path), ["2", "1"]);
        assert_eq!(read_all(&path, &Query::default()).unwrap().1, 1);
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_that_others_could_read_is_closed_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        Writer::open(path.clone(), Rotation::default()).unwrap();
        assert_eq!(mode(&path), 0o600);
    }

    /// A folder stands where the file is to be moved to, which fails whoever tries.
    #[test]
    fn a_file_that_cannot_be_put_aside_is_written_to_and_has_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        let octets = line(1).len() as u64;
        let mut writer =
            Writer::open(path.clone(), Rotation { size: 2 * octets, ..Rotation::default() }).unwrap();
        let parked = folder.path().join("parked");
        // Every number is taken, and the last by a folder that is not empty.
        for number in 1..MOST_ASIDE {
            fs::write(aside(&path, number), "").unwrap();
        }
        fs::create_dir_all(aside(&path, MOST_ASIDE).join("full")).unwrap();
        for id in 1..=9 {
            writer.add(&line(id));
            let told = writer.flush();
            match id {
                1 => assert!(told.is_ok()),
                2..=4 => assert!(matches!(told, Err(Trouble::NotPutAside(_))), "{id} {told:?}"),
                _ => assert!(matches!(told, Err(Trouble::NotWritten(_))), "{id} {told:?}"),
            }
        }
        assert!(fs::metadata(&path).unwrap().len() < 5 * (octets + 1));
        fs::rename(aside(&path, MOST_ASIDE), parked).unwrap();
        writer.add(&line(10));
        writer.flush().unwrap();
        assert_eq!(ids(&path), ["10", "4", "3", "2", "1"]);
    }

    #[test]
    fn an_attempt_that_failed_moves_nothing_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        // The first attempt came as far as to free the first number.
        for number in [2, 3] {
            fs::write(aside(&path, number), [&line(number)[..], b"\n"].concat()).unwrap();
        }
        let rotation = Rotation { size: 10, keep: 3, ..Rotation::default() };
        let mut writer = Writer::open(path.clone(), rotation).unwrap();
        assert_eq!(ids(&path), ["2", "3"], "a number that is missing hides none behind it");
        writer.add(&line(1));
        writer.flush().unwrap();
        assert_eq!(ids(&path), ["1", "2", "3"]);
    }

    #[test]
    fn what_is_no_longer_kept_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        for number in 1..=5 {
            fs::write(aside(&path, number), [&line(number)[..], b"\n"].concat()).unwrap();
        }
        let strange = aside(&path, 20_261_129);
        fs::write(&strange, "").unwrap();
        Writer::open(path.clone(), Rotation { keep: 2, ..Rotation::default() }).unwrap();
        assert_eq!(ids(&path), ["1", "2"]);
        assert!(strange.exists(), "whoever made it will know why");
    }

    #[test]
    fn a_line_behind_one_that_failed_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        let mut writer = Writer::open(path.clone(), Rotation::default()).unwrap();
        let whole = File::options().append(true).open(&path).unwrap();
        // A part of it arrived, then the disk was full.
        (&whole).write_all(b"{\"version\":1").unwrap();
        writer.file = File::open(&path).unwrap();
        writer.add(&line(1));
        assert!(matches!(writer.flush(), Err(Trouble::NotWritten(_))));
        writer.file = whole;
        writer.add(&line(2));
        writer.flush().unwrap();
        assert_eq!(ids(&path), ["2"]);
    }

    #[test]
    fn full_files_are_put_aside_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        let rotation = Rotation { size: 10, keep: 2, ..Rotation::default() };
        let mut writer = Writer::open(path.clone(), rotation).unwrap();
        for id in 1..=5 {
            writer.add(&line(id));
            writer.flush().unwrap();
        }
        assert_eq!(ids(&path), ["5", "4"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn old_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        let rotation = Rotation { age: Duration::ZERO, ..Rotation::default() };
        let mut writer = Writer::open(path.clone(), rotation).unwrap();
        for id in 1..=2 {
            writer.add(&line(id));
            writer.flush().unwrap();
        }
        assert_eq!(ids(&path), Vec::<String>::new());
    }

    #[test]
    fn who_moves_the_file_finds_a_new_one_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        let mut writer = Writer::open(path.clone(), Rotation::default()).unwrap();
        writer.add(&line(1));
        writer.flush().unwrap();
        fs::rename(&path, folder.path().join("moved")).unwrap();
        writer.add(&line(2));
        writer.flush().unwrap();
        assert_eq!(ids(&path), ["2"]);
    }
}
