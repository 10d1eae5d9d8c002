//! The file in which the embedded store is written down: one redb database, one table of it for each of memory's.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::record::Stored;

/// The file's name in the store's folder.
const NAME: &str = "state.redb";
/// Pages that redb keeps in memory, in octets: everything is in memory already, so that it needs few.
const CACHE: usize = 8 << 20;

/// Why the file cannot be used. The text says which file, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The folder cannot be made.
    #[error("{path}: the folder of the state cannot be made: {error}", path = .0.display(), error = .1)]
    Folder(PathBuf, io::Error),
    /// Another process has it.
    #[error("{}: another process uses this state; each Gatepost needs a folder of its own, or all of them a Redis", .0.display())]
    Locked(PathBuf),
    /// It is no such file, or is damaged.
    #[error("{path}: the file is damaged ({why}); move it away to begin anew: greylisting and rates are all that is lost", path = .0.display(), why = .1)]
    Damaged(PathBuf, String),
    /// The thread that writes it cannot be had.
    #[error("the thread that writes the state down cannot be started: {0}")]
    Thread(io::Error),
    /// It cannot be read or written.
    #[error("{path}: {why}", path = .0.display(), why = .1)]
    Unusable(PathBuf, String),
}

/// The open file.
#[derive(Debug)]
pub(super) struct File {
    database: Database,
    path: PathBuf,
}

impl File {
    /// Opens the file in `folder`, or makes both.
    pub(super) fn open(folder: &Path) -> Result<Self, FileError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| FileError::Folder(folder.to_owned(), error))?;
        let path = folder.join(NAME);
        let file = own(&path).map_err(|error| FileError::Unusable(path.clone(), error.to_string()))?;
        let open = AssertUnwindSafe(|| {
            let file = FileBackend::new(file)?;
            Database::builder().set_cache_size(CACHE).create_with_backend(file)
        });
        // It checks much of what it reads, and breaks down over the rest.
        let opened = catch_unwind(open).map_err(|_| damaged(&path, "it cannot be read"))?;
        let database = opened.map_err(|error| of_opening(&path, error))?;
        Ok(Self { database, path })
    }

    /// Hands every record of one table to `take`, and the keys of those that are damaged.
    pub(super) fn read<R: Stored>(&self, mut take: impl FnMut(u128, Option<R>)) -> Result<(), FileError> {
        let read = AssertUnwindSafe(|| -> Result<(), redb::Error> {
            let reading = self.database.begin_read()?;
            let table = match reading.open_table(table::<R>()) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(()),
                table => table?,
            };
            for entry in table.iter()? {
                let (key, value) = entry?;
                take(key.value(), R::from_octets(value.value()));
            }
            Ok(())
        });
        match catch_unwind(read) {
            Ok(read) => read.map_err(|error| damaged(&self.path, &error.to_string())),
            Err(_) => Err(damaged(&self.path, "it cannot be read")),
        }
    }

    /// Writes all changes down at once: when this returns, they outlive a crash of the machine.
    pub(super) fn write(&self, changes: &Changes) -> Result<(), FileError> {
        let write = AssertUnwindSafe(|| -> Result<(), redb::Error> {
            let writing = self.database.begin_write()?;
            for changes in changes.0.chunk_by(|one, next| one.table == next.table) {
                let Some(first) = changes.first() else { continue };
                let mut table = writing.open_table(definition(first.table))?;
                for change in changes {
                    match &change.octets {
                        Some(octets) => _ = table.insert(change.key, octets.as_slice())?,
                        None => _ = table.remove(change.key)?,
                    }
                }
            }
            Ok(writing.commit()?)
        });
        match catch_unwind(write) {
            Ok(written) => written.map_err(|error| FileError::Unusable(self.path.clone(), error.to_string())),
            Err(_) => Err(damaged(&self.path, "it cannot be written")),
        }
    }
}

/// The file, which tells who writes to whom: for nobody else to read, also where it was there before.
fn own(path: &Path) -> io::Result<fs::File> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Changes(Vec<Change>);

/// One record that is new, different or, without octets, gone.
#[derive(Debug)]
struct Change {
    table: &'static str,
    key: u128,
    octets: Option<Vec<u8>>,
}

impl Changes {
    pub(super) fn add<R: Stored>(&mut self, changes: &[(u128, Option<R>)]) {
        let change = |(key, record): &(u128, Option<R>)| Change {
            table: R::TABLE,
            key: *key,
            octets: record.as_ref().map(Stored::to_octets),
        };
        self.0.extend(changes.iter().map(change));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys of one table's.
    pub(super) fn keys<R: Stored>(&self) -> impl Iterator<Item = u128> + '_ {
        self.0.iter().filter(|change| change.table == R::TABLE).map(|change| change.key)
    }
}

type Table = TableDefinition<'static, u128, &'static [u8]>;

const fn table<R: Stored>() -> Table {
    definition(R::TABLE)
}

const fn definition(name: &'static str) -> Table {
    TableDefinition::new(name)
}

fn of_opening(path: &Path, error: DatabaseError) -> FileError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            FileError::Locked(path.to_owned())
        }
        // What cannot be read as its format says is damage; what the system refuses is not.
        DatabaseError::Storage(redb::StorageError::Io(error))
            if !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            FileError::Unusable(path.to_owned(), error.to_string())
        }
        error => damaged(path, &error.to_string()),
    }
}

fn damaged(path: &Path, why: &str) -> FileError {
    FileError::Damaged(path.to_owned(), why.to_owned())
}
