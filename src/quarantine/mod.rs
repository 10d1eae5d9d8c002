//! Messages that policies keep away from their recipients: stored, listed, let go or deleted.
//!
//! An entry is two files with a random name of our own: `ID.eml`, the message as it would have gone on, and beside it what is
//! known about it, `ID.json`; it is there once that second name is on disk. As long as it is the copy of a message whose other
//! recipients wait for the upstream's word, the second name is `ID.pending`:
//!
//! ```text
//! pend: ID.eml, ID.pending -> upstream 2yz: finish, ID.json
//!                          -> anything else: withdraw, nothing is left
//! ```
//!
//! What is pending when the process dies stays, and is shown as such: the client was told nothing, so that it may be a
//! duplicate, but never a loss.
//!
//! **Invariants.** No [`Receipt`] before message, names and folder are synced. No entry without a bound: when the folder would
//! grow beyond its size, the client hears 452 and keeps its message; nothing is dropped to make room but what is older than the
//! operator wants to keep it, and that is logged.

mod entry;
mod shelf;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

pub use self::entry::{Client, Entry, Kept};
pub use self::shelf::{Claim, Id, Listed, State};
use self::shelf::{Found, Shelf};
use crate::durable::CopyError;
use crate::message::spool::Outgoing;
use crate::metrics::QuarantineMetrics;
use crate::smtp::receipt::Receipt;

/// How long storing a message may take before the session gives up waiting, as for a Maildir.
const PATIENCE: Duration = Duration::from_secs(8 * 60);

/// How often the folder is counted, and rid of what is too old.
const TIDY: Duration = Duration::from_secs(60);

/// How often a full folder is looked through again, in case somebody made room.
const RECOUNT: Duration = Duration::from_secs(1);

/// Where messages are kept, and how many for how long.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The folder, which is made when it is not there.
    pub dir: PathBuf,
    /// How long a message is kept.
    pub max_age: Duration,
    /// The most octets on disk.
    pub max_size: u64,
}

/// Why a message cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder is as large as it may be, or its disk is full.
    #[error("no space: {0}")]
    NoSpace(String),
    /// The folder cannot be written or read.
    #[error("{0}")]
    Io(io::Error),
    /// The message itself cannot be read.
    #[error("the message cannot be read: {0}")]
    Message(io::Error),
    /// There is no such entry, or somebody else is at it.
    #[error("{0}")]
    Entry(String),
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace(error.to_string()),
            _ => Self::Io(error),
        }
    }
}

impl From<CopyError> for StoreError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::File(error) => error.into(),
            CopyError::Message(error) => Self::Message(error),
        }
    }
}

/// The place for messages that policies keep back. Shared by all sessions, and with other processes.
pub struct Quarantine {
    shelf: Shelf,
    settings: Settings,
    ledger: Mutex<Ledger>,
    metrics: QuarantineMetrics,
}

/// What lies in the folder, as far as this process knows.
#[derive(Debug)]
struct Ledger {
    found: Found,
    counted: SystemTime,
}

impl Quarantine {
    /// The quarantine that `settings` describe. What an earlier process left half done, and was never acknowledged, is removed.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(settings: Settings, metrics: QuarantineMetrics) -> Result<Arc<Self>, StoreError> {
        let shelf = Shelf::new(settings.dir.clone());
        shelf.make()?;
        shelf.sweep(SystemTime::now())?;
        let ledger = Mutex::new(Ledger { found: Found::default(), counted: SystemTime::now() });
        let quarantine = Self { shelf, settings, ledger, metrics };
        quarantine.recount()?;
        Ok(Arc::new(quarantine))
    }

    /// Keeps `message`, and says so once nothing short of a broken disk can lose it.
    ///
    /// # Errors
    /// No part of it is left behind then.
    pub async fn store(self: &Arc<Self>, entry: Entry, message: &Outgoing) -> Result<Receipt, StoreError> {
        let id = self.put(entry, State::Kept, message).await?;
        Ok(Receipt::from_durable_store(id.as_str()))
    }

    /// Keeps a copy of `message`, whose other recipients have yet to hear from the upstream.
    ///
    /// # Errors
    /// As for [`store`](Self::store).
    pub async fn pend(self: &Arc<Self>, entry: Entry, message: &Outgoing) -> Result<Pending, StoreError> {
        let id = self.put(entry, State::Pending, message).await?;
        // Claimed, so that nobody lets it go before the upstream has spoken.
        let claim = self.shelf.claim(&id)?;
        Ok(Pending { quarantine: Arc::clone(self), claim })
    }

    async fn put(self: &Arc<Self>, entry: Entry, state: State, message: &Outgoing) -> Result<Id, StoreError> {
        let (quarantine, size, message) = (Arc::clone(self), message.size(), message.reader());
        let stored = blocking(move || {
            let id = Id::fresh();
            let about = entry.to_json(&id).into_bytes();
            let reserved = quarantine.reserve(shelf::on_disk(size) + shelf::on_disk(about.len() as u64))?;
            match quarantine.shelf.put(&id, state, &about, message) {
                Ok(()) => {
                    quarantine.book(|found| *found.of(state) += 1);
                    Ok(id)
                }
                Err(error) => {
                    quarantine.book(|found| found.octets = found.octets.saturating_sub(reserved));
                    Err(error)
                }
            }
        })
        .await;
        self.metrics.operation("store", outcome(&stored));
        stored
    }

    /// Takes up room for `octets` more.
    fn reserve(&self, octets: u64) -> Result<u64, StoreError> {
        if self.take(octets) {
            return Ok(octets);
        }
        let stale = self.ledger().counted.elapsed().is_ok_and(|since| since >= RECOUNT);
        if stale {
            self.expire_now(SystemTime::now())?;
            self.recount()?;
            if self.take(octets) {
                return Ok(octets);
            }
        }
        let Settings { dir, max_size, .. } = &self.settings;
        Err(StoreError::NoSpace(format!("{} holds nearly the {max_size} octets that it may", dir.display())))
    }

    fn take(&self, octets: u64) -> bool {
        self.book(|found| {
            let sum = found.octets.saturating_add(octets);
            let fits = sum <= self.settings.max_size;
            if fits {
                found.octets = sum;
            }
            fits
        })
    }

    /// Changes what is known to lie there, and shows it.
    fn book<T>(&self, change: impl FnOnce(&mut Found) -> T) -> T {
        let mut ledger = self.ledger();
        let changed = change(&mut ledger.found);
        self.metrics.octets(ledger.found.octets);
        self.metrics.entries(State::Kept.name(), ledger.found.kept);
        self.metrics.entries(State::Pending.name(), ledger.found.pending);
        changed
    }

    /// Counts what really lies in the folder.
    fn recount(&self) -> Result<(), StoreError> {
        let counted = self.shelf.count()?;
        self.ledger().counted = SystemTime::now();
        self.book(|found| *found = counted);
        Ok(())
    }

    /// Where messages are kept, and how many for how long.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Deletes what is too old and counts what is there, now and then for as long as anybody has a use for the quarantine.
    pub fn keep_tidy(self: &Arc<Self>) {
        let quarantine = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some(quarantine) = quarantine.upgrade() {
                quarantine.tidy().await;
                drop(quarantine);
                sleep(TIDY).await;
            }
        });
    }

    /// Deletes what is older than the operator wants to keep it, and looks what is there.
    async fn tidy(self: &Arc<Self>) {
        let quarantine = Arc::clone(self);
        let tidied = blocking(move || {
            quarantine.expire_now(SystemTime::now())?;
            quarantine.recount()
        })
        .await;
        if let Err(error) = tidied {
            tracing::error!(event = "quarantine_failed", %error, "the quarantine cannot be tidied");
        }
    }

    fn expire_now(&self, now: SystemTime) -> Result<(), StoreError> {
        for listed in self.shelf.list()? {
            let age = now.duration_since(listed.since()).unwrap_or_default();
            if age <= self.settings.max_age {
                continue;
            }
            let Ok(claim) = self.shelf.claim(&listed.id) else { continue };
            let removed = claim.remove();
            self.metrics.operation("expire", outcome(&removed));
            removed?;
            tracing::warn!(
                event = "quarantine_expired",
                id = %listed.id,
                state = listed.state.name(),
                rule = listed.rule(),
                "deleted unseen: it is older than quarantine.max_age"
            );
        }
        Ok(())
    }

    /// What is kept, the oldest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        self.shelf.list()
    }

    /// Takes an entry, so that nobody else lets it go or deletes it meanwhile.
    ///
    /// # Errors
    /// There is none of this name, somebody is at it, or it cannot be read.
    pub fn claim(&self, id: &Id) -> Result<Claim, StoreError> {
        self.shelf.claim(id)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quarantine").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A copy whose message is not acknowledged yet.
#[derive(Debug)]
#[must_use = "it stays pending until it is finished or withdrawn"]
pub struct Pending {
    quarantine: Arc<Quarantine>,
    claim: Claim,
}

impl Pending {
    /// The upstream took the message for the others: the copy is one that is kept. Where that cannot be written, it stays
    /// pending, and just as safe.
    pub async fn finish(self) {
        let Self { quarantine, claim } = self;
        let (shelf, id) = (Arc::clone(&quarantine), claim.id.clone());
        let done = blocking(move || shelf.shelf.finish(&claim.id)).await;
        quarantine.metrics.operation("finish", outcome(&done));
        if done.is_ok() {
            quarantine.book(|found| {
                found.pending = found.pending.saturating_sub(1);
                found.kept += 1;
            });
        }
        if let Err(error) = done {
            tracing::error!(event = "quarantine_failed", id = %id, %error, "a copy stays pending");
        }
    }

    /// The client is told to keep its message: the copy goes, so that it is not there twice.
    pub async fn withdraw(self) {
        let Self { quarantine, claim } = self;
        let id = claim.id.clone();
        let done = blocking(move || claim.remove()).await;
        quarantine.metrics.operation("withdraw", outcome(&done));
        match done {
            Ok(octets) => quarantine.book(|found| {
                found.octets = found.octets.saturating_sub(octets);
                found.pending = found.pending.saturating_sub(1);
            }),
            Err(error) => {
                tracing::error!(event = "quarantine_failed", id = %id, %error, "a copy that nobody needs stays pending");
            }
        }
    }
}

const fn outcome<T>(result: &Result<T, StoreError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(StoreError::NoSpace(_)) => "full",
        Err(_) => "error",
    }
}

/// Runs `work`, which blocks, beside the runtime. It cannot be interrupted: what is stored after all is one copy too many.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match timeout(PATIENCE, spawn_blocking(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(lost)) => Err(StoreError::Io(lost.into())),
        Err(_) => Err(StoreError::Io(io::Error::other("the disk is not done"))),
    }
}

#[cfg(test)]
mod tests;
