//! The files of the quarantine: how they are named, written so that they last, found again and removed.

use std::fmt;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;

use super::StoreError;
use super::entry::Entry;
use crate::durable::{self, Disk, RealDisk};

/// What a file takes up at least, and in multiples of.
const BLOCK: u64 = 4_096;
/// The largest description of an entry that is read: ten times what the most recipients need.
const MAX_ABOUT: u64 = 32 << 20;
/// How old a file without a description is before it counts as left behind. Storing takes minutes at most.
const LEFT_BEHIND: Duration = Duration::from_secs(60 * 60);

/// The name of an entry: 16 characters of base32, of which nobody can guess one.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Id(String);

impl Id {
    const LENGTH: usize = 16;

    /// A new one.
    pub(super) fn fresh() -> Self {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut bytes = [0; Self::LENGTH];
        // The generator of the operating system does not fail once the process has started TLS; were it to, the name would be
        // one that is there already, and the file could not be made.
        let _ = rand::fill(&mut bytes);
        let letter = |byte: &u8| ALPHABET.get(usize::from(byte & 31)).copied().map_or('a', char::from);
        Self(bytes.iter().map(letter).collect())
    }

    /// The name as somebody writes it; `None` for one that cannot be of ours, nor lead out of the folder.
    pub fn parse(text: &str) -> Option<Self> {
        let ours = |b: u8| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b);
        (text.len() == Self::LENGTH && text.bytes().all(ours)).then(|| Self(text.to_owned()))
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether an entry's message was acknowledged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It is there for good.
    Kept,
    /// The message's other recipients wait for the upstream, or the process died meanwhile.
    Pending,
}

impl State {
    /// The word for it in lists and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Pending => "pending",
        }
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Kept => "json",
            Self::Pending => "pending",
        }
    }
}

/// An entry, as it is found.
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub id: Id,
    /// Whether its message was acknowledged.
    pub state: State,
    /// What is known about it, or why that cannot be read.
    pub entry: Result<Entry, String>,
    written: SystemTime,
}

impl Listed {
    /// Since when it lies there.
    pub(super) fn since(&self) -> SystemTime {
        self.entry.as_ref().map_or(self.written, |entry| entry.time.into())
    }

    /// The rule that kept it back.
    pub(super) fn rule(&self) -> &str {
        self.entry.as_ref().map_or("", Entry::rule)
    }
}

/// What lies in the folder.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) octets: u64,
    pub(super) kept: u64,
    pub(super) pending: u64,
}

impl Found {
    /// How many entries are in this state.
    pub(super) const fn of(&mut self, state: State) -> &mut u64 {
        match state {
            State::Kept => &mut self.kept,
            State::Pending => &mut self.pending,
        }
    }
}

/// What a file of so many octets takes up.
pub(super) const fn on_disk(octets: u64) -> u64 {
    octets.div_ceil(BLOCK).saturating_mul(BLOCK)
}

/// The folder.
#[derive(Debug)]
pub(super) struct Shelf {
    dir: PathBuf,
    /// Whether this process saw the folder to disk.
    made: AtomicBool,
    disk: Box<dyn Disk>,
}

impl Shelf {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self::on(dir, Box::new(RealDisk))
    }

    pub(super) fn on(dir: PathBuf, disk: Box<dyn Disk>) -> Self {
        Self { dir, made: AtomicBool::new(false), disk }
    }

    /// Makes the folder, for its owner's eyes only, and sees it to disk.
    pub(super) fn make(&self) -> Result<(), StoreError> {
        if self.made.load(Ordering::Acquire) && self.dir.is_dir() {
            return Ok(());
        }
        durable::make_folder(&*self.disk, &self.dir)?;
        self.made.store(true, Ordering::Release);
        Ok(())
    }

    /// Writes an entry, so that it lasts.
    ///
    /// # Errors
    /// No part of it is left behind then.
    pub(super) fn put(
        &self,
        id: &Id,
        state: State,
        about: &[u8],
        message: impl Read,
    ) -> Result<(), StoreError> {
        self.make()?;
        let put = self.write(id, state, about, message);
        if put.is_err() {
            for extension in [state.extension(), "eml", "eml-part", "json-part"] {
                // Whichever of them there are; the client is told to try again, so none may stay.
                let _ = fs::remove_file(self.path(id, extension));
            }
        }
        put
    }

    fn write(&self, id: &Id, state: State, about: &[u8], message: impl Read) -> Result<(), StoreError> {
        let (unfinished, described) = (self.path(id, "eml-part"), self.path(id, "json-part"));
        let mut file = durable::create(&unfinished)?;
        durable::copy(message, &mut file)?;
        self.disk.sync_file(&file)?;
        let mut file = durable::create(&described)?;
        file.write_all(about)?;
        self.disk.sync_file(&file)?;
        self.disk.rename(&unfinished, &self.path(id, "eml"))?;
        // With this name it is an entry.
        self.disk.rename(&described, &self.path(id, state.extension()))?;
        Ok(self.disk.sync_folder(&self.dir)?)
    }

    /// A pending entry is one that is kept.
    pub(super) fn finish(&self, id: &Id) -> Result<(), StoreError> {
        let (pending, kept) = (State::Pending.extension(), State::Kept.extension());
        self.disk.rename(&self.path(id, pending), &self.path(id, kept))?;
        Ok(self.disk.sync_folder(&self.dir)?)
    }

    /// What lies in the folder, whoever put it there.
    pub(super) fn count(&self) -> Result<Found, StoreError> {
        let mut found = Found::default();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            // It may be gone by now.
            let Ok(metadata) = entry.metadata() else { continue };
            found.octets = found.octets.saturating_add(on_disk(metadata.len()));
            match state_of(&entry.path()) {
                Some((_, State::Kept)) => found.kept += 1,
                Some((_, State::Pending)) => found.pending += 1,
                None => {}
            }
        }
        Ok(found)
    }

    /// Every entry, the oldest first.
    pub(super) fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let mut all = Vec::new();
        for file in fs::read_dir(&self.dir)? {
            let path = file?.path();
            let Some((id, state)) = state_of(&path) else { continue };
            // It may be gone by now.
            let Ok(metadata) = path.metadata() else { continue };
            let written = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            all.push(Listed { id, state, entry: read_about(&path), written });
        }
        all.sort_by_key(|listed| (listed.since(), listed.id.clone()));
        Ok(all)
    }

    /// Takes an entry for oneself.
    pub(super) fn claim(&self, id: &Id) -> Result<Claim, StoreError> {
        let nothing = || StoreError::Entry(format!("there is no entry {id}"));
        let message = match File::open(self.path(id, "eml")) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(nothing()),
            Err(error) => return Err(error.into()),
        };
        message.try_lock().map_err(|_| StoreError::Entry(format!("somebody is at entry {id}")))?;
        // Whoever was at it before may have removed it.
        let states = [State::Kept, State::Pending];
        let described = |state: &State| self.path(id, state.extension()).is_file();
        let state = states.into_iter().find(described).ok_or_else(nothing)?;
        let about = self.path(id, state.extension());
        let entry = read_about(&about);
        Ok(Claim {
            id: id.clone(),
            state,
            entry,
            message,
            about,
            path: self.path(id, "eml"),
            dir: self.dir.clone(),
        })
    }

    /// Removes what a process left that died while it stored: such files have no description and were never acknowledged.
    pub(super) fn sweep(&self, now: SystemTime) -> Result<(), StoreError> {
        for file in fs::read_dir(&self.dir)? {
            let path = file?.path();
            let Some((stem, extension)) = parts_of(&path) else { continue };
            let described = [State::Kept, State::Pending]
                .iter()
                .any(|state| self.path(&stem, state.extension()).is_file());
            let is_part = matches!(extension.as_str(), "eml-part" | "json-part");
            let written = path.metadata().and_then(|metadata| metadata.modified());
            let old =
                written.is_ok_and(|written| now.duration_since(written).is_ok_and(|age| age >= LEFT_BEHIND));
            if old && (is_part || (extension == "eml" && !described)) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn path(&self, id: &Id, extension: &str) -> PathBuf {
        self.dir.join(format!("{id}.{extension}"))
    }
}

/// An entry that is this process's to deal with, until it is dropped.
#[derive(Debug)]
pub struct Claim {
    /// Its name.
    pub id: Id,
    /// Whether its message was acknowledged.
    pub state: State,
    /// What is known about it, or why that cannot be read.
    pub entry: Result<Entry, String>,
    /// The message; the lock is on it.
    message: File,
    about: PathBuf,
    path: PathBuf,
    dir: PathBuf,
}

impl Claim {
    /// The message, from its beginning.
    pub const fn message(&self) -> &File {
        &self.message
    }

    /// Removes the entry; gives the octets that it took up.
    ///
    /// # Errors
    /// It is still there then, or its message without a description, which is swept away later.
    pub fn remove(self) -> Result<u64, StoreError> {
        let octets = [&self.about, &self.path].into_iter().filter_map(|path| path.metadata().ok());
        let octets = octets.map(|metadata| on_disk(metadata.len())).sum();
        fs::remove_file(&self.about)?;
        fs::remove_file(&self.path)?;
        File::open(&self.dir)?.sync_all()?;
        Ok(octets)
    }
}

fn read_about(path: &Path) -> Result<Entry, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_ABOUT).read_to_string(&mut text));
    read.map_err(|error| error.to_string())?;
    Entry::from_json(&text)
}

/// The entry that the file describes, if it is such a file.
fn state_of(path: &Path) -> Option<(Id, State)> {
    let (id, extension) = parts_of(path)?;
    let state = [State::Kept, State::Pending].into_iter().find(|state| state.extension() == extension)?;
    Some((id, state))
}

fn parts_of(path: &Path) -> Option<(Id, String)> {
    let (stem, extension) = path.file_name()?.to_str()?.split_once('.')?;
    Some((Id::parse(stem)?, extension.to_owned()))
}
