//! Decisions on disk: lines of JSON, one file after the other.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::query::Query;
use super::record::Decision;

/// The longest line that is read; ours are far shorter.
const LONGEST: u64 = 4 << 20;
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
}

impl Writer {
    /// Opens the file at `path`, for its owner only, and goes on behind what is in it.
    ///
    /// # Errors
    /// It cannot be opened or created.
    pub(super) fn open(path: PathBuf, rotation: Rotation) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(&path)?;
        let size = file.metadata()?.len();
        let mut buffer = Vec::new();
        if size > 0 && !ends_with_line(&mut file)? {
            // Whoever wrote it last was cut off: what follows is not to suffer for it.
            buffer.push(b'\n');
        }
        let begun = if size > 0 { begun(&path) } else { SystemTime::now() };
        Ok(Self { path, rotation, file, size, begun, buffer })
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

    /// Writes what was taken, and puts the file aside when it is full or old. Whatever fails, nothing is kept back for later.
    ///
    /// # Errors
    /// The disk is full, or the folder is gone.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.follow()?;
        let buffer = std::mem::take(&mut self.buffer);
        self.file.write_all(&buffer)?;
        self.size += buffer.len() as u64;
        self.buffer = buffer;
        self.buffer.clear();
        self.buffer.shrink_to(64 << 10);
        let age = SystemTime::now().duration_since(self.begun).unwrap_or_default();
        if self.size >= self.rotation.size || (self.size > 0 && age >= A_DAY.min(self.rotation.age)) {
            self.put_aside()?;
        }
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
        let buffer = std::mem::take(&mut self.buffer);
        *self = Self::open(self.path.clone(), self.rotation.clone())?;
        self.buffer.extend_from_slice(&buffer);
        Ok(())
    }

    fn put_aside(&mut self) -> io::Result<()> {
        let oldest = aside(&self.path, self.rotation.keep.saturating_add(1));
        for number in (1..=self.rotation.keep).rev() {
            let (from, to) = (aside(&self.path, number), aside(&self.path, number.saturating_add(1)));
            if from.exists() {
                fs::rename(from, to)?;
            }
        }
        fs::rename(&self.path, aside(&self.path, 1))?;
        if oldest.exists() {
            fs::remove_file(oldest)?;
        }
        self.forget_old();
        *self = Self::open(self.path.clone(), self.rotation.clone())?;
        Ok(())
    }

    /// What cannot be deleted now will be with the next file.
    fn forget_old(&self) {
        for number in 1..=self.rotation.keep {
            let path = aside(&self.path, number);
            let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
            if age.is_some_and(|age| age > self.rotation.age) {
                let _ = fs::remove_file(path);
            }
        }
    }
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
pub fn read(path: &Path, mut take: impl FnMut(Decision) -> bool) -> Result<usize, ReadError> {
    let failed = |error| ReadError { path: path.to_owned(), error };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let (mut line, mut strange) = (Vec::new(), 0);
    loop {
        line.clear();
        let read = (&mut file).take(LONGEST).read_until(b'\n', &mut line).map_err(failed)?;
        if read == 0 {
            return Ok(strange);
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
/// lines that are no decisions.
///
/// # Errors
/// A file cannot be read; that there is none is no error.
pub fn read_all(path: &Path, query: &Query) -> Result<(Vec<Decision>, usize), ReadError> {
    let most = if query.limit == 0 { usize::MAX } else { query.limit };
    let (mut found, mut strange) = (Vec::new(), 0);
    let older = (1..).map(|number| aside(path, number)).take_while(|path| path.exists());
    let present = Some(path.to_owned()).filter(|path| path.exists());
    for path in present.into_iter().chain(older) {
        let mut here = Vec::new();
        strange += read(&path, |decision| {
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
    use std::os::unix::fs::PermissionsExt;

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
