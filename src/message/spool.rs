//! Where a message's body waits for its verdict: in memory while there is enough of it, then in a file without a name.
//!
//! Everything here blocks, at most for a write to or a read from a file of the operating system's cache. Whoever must not wait asks
//! [`Spool::touches_disk`] first.

use std::fmt;
use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stored::{Content, Tail};
pub use stored::{Outgoing, OutgoingReader, Reader, Stored};

mod stored;

/// Files are written in pieces of this size, as long as the memory budget has room for the buffer...
const FILE_BUFFER: usize = 64 * 1024;
/// ...and of this size otherwise: sessions that all write to files must not add up to more memory than the budget says.
const SMALL_BUFFER: usize = 4 * 1024;
/// What a message in memory begins with.
const FIRST_RESERVE: u64 = 4 * 1024;

/// How much may wait, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Where the files go; made (mode 0700) if it is missing. `None`: memory only, up to `memory`.
    pub dir: Option<PathBuf>,
    /// Octets in memory for all messages together.
    pub memory: u64,
    /// Octets in memory for one message; a larger one goes to a file. Without a `dir` it means nothing.
    pub memory_per_message: u64,
}

/// Why a message could not be kept. The message is not lost: its sender still has it.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The disk, the quota, the file handles or (without a folder) the memory budget are used up: 452 4.3.1.
    #[error("no space left to spool a message: {0}")]
    NoSpace(io::Error),
    /// Anything else that went wrong with the file: 451 4.3.0.
    #[error("cannot spool a message: {0}")]
    Io(io::Error),
}

/// Makes spools that share one memory budget. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Spooler {
    settings: Arc<Settings>,
    budget: Arc<Budget>,
}

impl Spooler {
    /// Makes the folder if it is missing, and one file in it to see that it can be done.
    pub fn new(settings: Settings) -> Result<Self, SpoolError> {
        if let Some(dir) = &settings.dir {
            make_dir(dir)?;
            drop(unlinked_file(dir)?);
        }
        let budget = Budget { limit: settings.memory, used: AtomicU64::new(0) };
        Ok(Self { settings: Arc::new(settings), budget: Arc::new(budget) })
    }

    /// A spool for one message.
    pub fn begin(&self) -> Spool {
        Spool {
            settings: Arc::clone(&self.settings),
            memory: Reservation::empty(&self.budget),
            place: Place::Memory(Vec::new()),
            len: 0,
            tail: Tail::default(),
        }
    }

    /// Octets of memory that all messages together have reserved.
    pub fn memory_in_use(&self) -> u64 {
        self.budget.used.load(Ordering::Relaxed)
    }
}

/// One message on its way in.
///
/// Dropped before it is sealed, it leaves nothing behind: the file never had a name, the memory goes back to the budget.
pub struct Spool {
    settings: Arc<Settings>,
    memory: Reservation,
    place: Place,
    len: u64,
    tail: Tail,
}

enum Place {
    Memory(Vec<u8>),
    File(FileWriter),
    /// A write failed: the message has a hole, and no later success may hide that.
    Lost(ErrorKind),
}

impl Spool {
    /// Keeps the next octets of the message.
    ///
    /// After an error the message is gone, its memory and its file are free again, and every further call fails alike; the
    /// session reads on to the final dot and then answers.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), SpoolError> {
        self.keep(octets).inspect_err(|error| {
            self.place = Place::Lost(error.kind());
            self.memory.release();
        })?;
        self.len += octets.len() as u64;
        self.tail.push(octets);
        Ok(())
    }

    /// Whether the next [`write`](Self::write), of so many octets, or [`seal`](Self::seal) if there are none, is known to wait for a
    /// file. A budget that is used up can make others wait too.
    pub fn touches_disk(&self, more: usize) -> bool {
        match &self.place {
            Place::Memory(_) => {
                self.settings.dir.is_some() && self.len + more as u64 > self.settings.memory_per_message
            }
            Place::File(writer) => more == 0 || writer.buffer.len() + more >= writer.size,
            Place::Lost(_) => false,
        }
    }

    /// Octets so far.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// True before the first octet.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The message is complete.
    ///
    /// # Errors
    /// The last octets could not be written, or an earlier [`write`](Self::write) had failed.
    pub fn seal(mut self) -> Result<Stored, SpoolError> {
        let content = match self.place {
            Place::Memory(mut octets) => {
                octets.shrink_to_fit();
                self.memory.shrink_to(self.len);
                Content::Memory(octets)
            }
            Place::File(writer) => {
                let file = writer.finish()?;
                self.memory.release();
                Content::File(file)
            }
            Place::Lost(kind) => return Err(io::Error::from(kind).into()),
        };
        Ok(Stored::new(content, self.len, self.tail, self.memory))
    }

    fn keep(&mut self, octets: &[u8]) -> Result<(), SpoolError> {
        if matches!(self.place, Place::Memory(_)) && !self.reserve(octets.len() as u64) {
            self.move_to_file()?;
        }
        match &mut self.place {
            Place::Memory(kept) => {
                kept.extend_from_slice(octets);
                Ok(())
            }
            Place::File(writer) => Ok(writer.write(octets)?),
            Place::Lost(kind) => Err(io::Error::from(*kind).into()),
        }
    }

    /// Makes room in memory for `more` octets, and for as many again, so that small pieces are not copied over and over.
    /// False: they do not fit.
    fn reserve(&mut self, more: u64) -> bool {
        let needed = self.len + more;
        let has_file = self.settings.dir.is_some();
        let most = if has_file { self.settings.memory_per_message } else { u64::MAX };
        if needed <= self.memory.amount {
            return true;
        }
        let ahead = needed.max(self.memory.amount * 2).max(FIRST_RESERVE).min(most);
        let fits =
            needed <= most && (self.memory.grow_to(ahead) || (!has_file && self.memory.grow_to(needed)));
        if let Place::Memory(kept) = &mut self.place
            && let (true, Ok(capacity)) = (fits, usize::try_from(self.memory.amount))
        {
            kept.reserve_exact(capacity.saturating_sub(kept.len()));
        }
        fits
    }

    fn move_to_file(&mut self) -> Result<(), SpoolError> {
        let Some(dir) = &self.settings.dir else {
            return Err(
                io::Error::new(ErrorKind::StorageFull, "the memory for waiting messages is used up").into()
            );
        };
        let file = unlinked_file(dir)?;
        if let Place::Memory(kept) = &self.place {
            file.write_all_at(kept, 0)?;
        }
        self.place = Place::Lost(ErrorKind::Other);
        self.memory.release();
        let buffer = if self.memory.grow_to(FILE_BUFFER as u64) { FILE_BUFFER } else { SMALL_BUFFER };
        self.place = Place::File(FileWriter::new(file, self.len, buffer));
        Ok(())
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Place::Memory(_) => "memory",
            Place::File(_) => "file",
            Place::Lost(_) => "lost",
        };
        f.debug_struct("Spool").field("place", &place).field("len", &self.len).finish_non_exhaustive()
    }
}

/// Writes a file in large pieces.
struct FileWriter {
    file: File,
    written: u64,
    buffer: Vec<u8>,
    size: usize,
}

impl FileWriter {
    /// Goes on behind the first `written` octets of `file`.
    fn new(file: File, written: u64, size: usize) -> Self {
        Self { file, written, buffer: Vec::with_capacity(size), size }
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let room = self.size - self.buffer.len();
        let Some((fitting, rest)) = octets.split_at_checked(room) else {
            self.buffer.extend_from_slice(octets);
            return Ok(());
        };
        if !self.buffer.is_empty() {
            self.buffer.extend_from_slice(fitting);
            self.flush()?;
            return self.write(rest);
        }
        self.file.write_all_at(octets, self.written)?;
        self.written += octets.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<File> {
        self.flush()?;
        Ok(self.file)
    }
}

/// The memory of all messages together.
#[derive(Debug)]
struct Budget {
    limit: u64,
    used: AtomicU64,
}

/// A part of the budget, given back on drop.
#[derive(Debug)]
struct Reservation {
    budget: Arc<Budget>,
    amount: u64,
}

impl Reservation {
    fn empty(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), amount: 0 }
    }

    /// Becomes `amount` large, if the budget has what that takes.
    fn grow_to(&mut self, amount: u64) -> bool {
        let more = amount.saturating_sub(self.amount);
        let grown = |used: u64| used.checked_add(more).filter(|&sum| sum <= self.budget.limit);
        let fits = self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok();
        if fits {
            self.amount += more;
        }
        fits
    }

    fn shrink_to(&mut self, amount: u64) {
        let less = self.amount.saturating_sub(amount);
        self.budget.used.fetch_sub(less, Ordering::Relaxed);
        self.amount -= less;
    }

    fn release(&mut self) {
        self.shrink_to(0);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release();
    }
}

impl SpoolError {
    fn kind(&self) -> ErrorKind {
        match self {
            // Keeps its meaning when it is made again from the kind alone, also where the cause was EMFILE.
            Self::NoSpace(_) => ErrorKind::StorageFull,
            Self::Io(error) => error.kind(),
        }
    }
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> Self {
        /// The process or the system has no file handle left; the same numbers on all systems that have these errors.
        const EMFILE: i32 = 24;
        const ENFILE: i32 = 23;
        let full = matches!(
            error.kind(),
            ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
                | ErrorKind::FileTooLarge
                | ErrorKind::OutOfMemory
        );
        if full || matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) {
            Self::NoSpace(error)
        } else {
            Self::Io(error)
        }
    }
}

/// A new file that has no name, so that it is gone with its last handle, also after a crash.
fn unlinked_file(dir: &Path) -> io::Result<File> {
    match tempfile::tempfile_in(dir) {
        // Somebody cleaned up while we ran.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_dir(dir)?;
            tempfile::tempfile_in(dir)
        }
        other => other,
    }
}

fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(test)]
mod tests;
