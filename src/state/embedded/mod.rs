//! State in this process: tables in memory are the truth, and a file that is at most a second behind outlives the process.
//!
//! Every operation happens in memory, at once and under one lock. A thread of its own writes what changed into the file,
//! once a second and in one transaction, so that neither a crash nor `kill -9` loses more than that second.

mod file;
mod record;
mod table;

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

pub use self::file::FileError;
use self::file::{Changes, File};
use self::record::{Grey, Kept, Stored, Windows};
use self::table::{Bounds, Table};
use super::greylist;
use super::operation::{Greylist, Key, Millis, Operation, Outcome, Rate, Seen, digest, millis};
use super::window;
use crate::metrics::StoreMetrics;

/// How far the file may be behind.
const BEHIND: Duration = Duration::from_secs(1);

/// How much an embedded store may hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capacity {
    /// Records of each kind: pairs of greylisting, keys of rates, keys that are remembered.
    pub records: usize,
    /// Octets of memory, of all kinds together and about.
    pub octets: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { records: 1_000_000, octets: 256 << 20 }
    }
}

/// The store within this process.
#[derive(Debug)]
pub(super) struct Embedded {
    tables: Arc<Tables>,
    writer: Mutex<Option<Writer>>,
}

/// What is in memory.
#[derive(Debug)]
struct Tables {
    greylist: Mutex<Table<Grey>>,
    rates: Mutex<Table<Windows>>,
    memory: Mutex<Table<Kept>>,
}

/// The thread that writes, and the way to tell it to end.
#[derive(Debug)]
struct Writer {
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl Embedded {
    /// A store that ends with the process, and that nobody counts.
    pub(super) fn in_memory(capacity: Capacity) -> Self {
        Self { tables: Arc::new(Tables::new(capacity)), writer: Mutex::new(None) }
    }

    /// The store in `folder`, which is made where there is none; without one it ends with the process.
    pub(super) fn open(
        folder: Option<&Path>,
        capacity: Capacity,
        metrics: StoreMetrics,
    ) -> Result<Self, FileError> {
        let tables = Arc::new(Tables::new(capacity));
        let file = folder.map(|folder| load_all(folder, &tables)).transpose()?;
        let (end, ended) = mpsc::channel();
        let work = {
            let tables = Arc::clone(&tables);
            move || {
                let mut failing = false;
                loop {
                    let ending = ended.recv_timeout(BEHIND) != Err(RecvTimeoutError::Timeout);
                    failing = write(file.as_ref(), &tables, &metrics, failing);
                    if ending {
                        return;
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("state".to_owned()).spawn(work);
        let thread = thread.map_err(FileError::Thread)?;
        Ok(Self { tables, writer: Mutex::new(Some(Writer { end, thread })) })
    }

    /// Does what is asked, at the time `now`.
    pub(super) fn perform(&self, operation: &Operation, now: Millis) -> Outcome {
        match operation {
            Operation::Rate(rate) => self.rate(rate, now),
            Operation::Greylist(attempt) => Outcome::Greylist(self.greylist(attempt, now)),
            Operation::Remember { key, keep } => self.remember(key, *keep, now),
            Operation::Remembered { key } => {
                Outcome::Remembered(lock(&self.tables.memory).get(key.digest(), now).is_some())
            }
        }
    }

    /// Writes the last changes down and lets go of the file. What happens afterwards is in memory only. May block for as long
    /// as the disk takes.
    pub(super) fn close(&self) {
        if let Some(writer) = lock(&self.writer).take() {
            // It may have ended already, and then there is nothing to wait for.
            let _ = writer.end.send(());
            let _ = writer.thread.join();
        }
    }

    fn rate(&self, rate: &Rate, now: Millis) -> Outcome {
        let key = rate.key.digest();
        let mut table = lock(&self.tables.rates);
        let mut windows = table.get(key, now).cloned().unwrap_or_default();
        let counted = window::count(&mut windows.0, &rate.limits, now);
        if counted.fits {
            table.put(key, windows, now);
        }
        Outcome::Rate(counted)
    }

    fn greylist(&self, attempt: &Greylist, now: Millis) -> Seen {
        let [own, shadow] = [attempt.shadow, true].map(|shadow| GreyKeys::of(attempt, shadow));
        let mut table = lock(&self.tables.greylist);
        let kept = greylist::Kept {
            pair: pair(&table, own.pair, now),
            client: client(&table, own.client, now),
            shadow_pair: pair(&table, shadow.pair, now).filter(|_| !attempt.shadow),
            shadow_client: client(&table, shadow.client, now).filter(|_| !attempt.shadow),
        };
        let step = greylist::see(attempt, kept, now);
        if let Some(pair) = step.pair {
            table.put(own.pair, Grey::Pair(pair), now);
        }
        if let Some(client) = step.client {
            table.put(own.client, Grey::Client(client), now);
        }
        step.seen
    }

    fn remember(&self, key: &Key, keep: Duration, now: Millis) -> Outcome {
        let key = key.digest();
        let mut table = lock(&self.tables.memory);
        let until = now.saturating_add(millis(keep));
        let longer = table.get(key, now).map_or(until, |kept| kept.0.max(until));
        table.put(key, Kept(longer), now);
        Outcome::Kept
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.close();
    }
}

impl Tables {
    fn new(capacity: Capacity) -> Self {
        // Pairs come by the thousand; what is counted or remembered is known to the operator's rules.
        let bounds = |share: usize| Bounds { records: capacity.records, octets: capacity.octets / 4 * share };
        Self {
            greylist: Mutex::new(Table::new(bounds(2))),
            rates: Mutex::new(Table::new(bounds(1))),
            memory: Mutex::new(Table::new(bounds(1))),
        }
    }
}

/// Where a greylist's records are.
struct GreyKeys {
    pair: u128,
    client: u128,
}

impl GreyKeys {
    fn of(attempt: &Greylist, shadow: bool) -> Self {
        let mode = if shadow { "shadow" } else { "enforce" };
        Self {
            pair: digest(&["pair", &attempt.space, mode, &attempt.client, &attempt.pair]),
            client: digest(&["client", &attempt.space, mode, &attempt.client]),
        }
    }
}

fn pair(table: &Table<Grey>, key: u128, now: Millis) -> Option<greylist::Pair> {
    match table.get(key, now) {
        Some(Grey::Pair(pair)) => Some(*pair),
        _ => None,
    }
}

fn client(table: &Table<Grey>, key: u128, now: Millis) -> Option<greylist::Client> {
    match table.get(key, now) {
        Some(Grey::Client(client)) => Some(*client),
        _ => None,
    }
}

// === the file ===

/// Opens the file and reads what still holds.
fn load_all(folder: &Path, tables: &Tables) -> Result<File, FileError> {
    let file = File::open(folder)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, millis);
    load(&file, &tables.greylist, now)?;
    load(&file, &tables.rates, now)?;
    load(&file, &tables.memory, now)?;
    Ok(file)
}

/// Reads one table. What has expired, is damaged or finds no room is removed from the file in time.
fn load<R: Stored>(file: &File, table: &Mutex<Table<R>>, now: Millis) -> Result<(), FileError> {
    let mut table = lock(table);
    let mut damaged: u64 = 0;
    file.read(|key, record: Option<R>| {
        damaged += u64::from(record.is_none());
        let kept = record.is_some_and(|record| record.expires() > now && table.load(key, record));
        if !kept {
            table.give_back([key]);
        }
    })?;
    if damaged > 0 {
        tracing::warn!(
            event = "state_damaged",
            table = R::TABLE,
            records = damaged,
            "records were unreadable"
        );
    }
    Ok(())
}

/// Writes what changed. Gives whether that failed; a failure is told when it begins and when it is over.
fn write(file: Option<&File>, tables: &Tables, metrics: &StoreMetrics, failed_before: bool) -> bool {
    let mut changes = Changes::default();
    collect(&tables.greylist, &mut changes, metrics);
    collect(&tables.rates, &mut changes, metrics);
    collect(&tables.memory, &mut changes, metrics);
    let Some(file) = file.filter(|_| !changes.is_empty()) else { return failed_before };
    let written = file.write(&changes);
    metrics.flushed(written.is_ok());
    match &written {
        Ok(()) if failed_before => tracing::info!(event = "state_written", "the state is written down again"),
        Ok(()) => {}
        Err(error) => {
            if !failed_before {
                tracing::error!(event = "state_not_written", %error, "the state is in memory only, and tried again");
            }
            give_back(&tables.greylist, &changes);
            give_back(&tables.rates, &changes);
            give_back(&tables.memory, &changes);
        }
    }
    written.is_err()
}

fn collect<R: Stored>(table: &Mutex<Table<R>>, changes: &mut Changes, metrics: &StoreMetrics) {
    let mut table = lock(table);
    metrics.table(R::TABLE, table.len() as u64, table.take_displaced());
    let changed = table.take_changes();
    drop(table);
    changes.add(&changed);
}

fn give_back<R: Stored>(table: &Mutex<Table<R>>, changes: &Changes) {
    lock(table).give_back(changes.keys::<R>());
}

/// A panic under the lock leaves no record half-written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
