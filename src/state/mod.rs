//! What policies remember between sessions: greylisting, rates, and whatever a script wants kept for a time.
//!
//! One interface, [`Store::perform`], and two stores behind it: in this process, written down once a second, or in Redis, where
//! several processes share it. Both do the same, which one suite of tests holds them to. Each operation is atomic, takes its
//! time of day from the caller, and never takes longer than its deadline.
//!
//! **Invariants.** What clients say makes no key longer: values are hashed. Whatever is kept expires, and an embedded store
//! never grows beyond its [`Capacity`]. A store that is down costs a session no more than one deadline, and most sessions
//! nothing at all (the [`breaker`]).
//!
//! **Absent on purpose.** SMTP and policy. What a failing store means for mail is for whoever asked.

mod breaker;
mod embedded;
mod greylist;
mod operation;
mod redis;
mod window;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use self::breaker::{Breaker, Change};
use self::embedded::Embedded;
pub use self::embedded::{Capacity, FileError};
pub use self::operation::{Counted, Greylist, Key, Limit, Operation, Outcome, Rate, Seen, StoreError};
use self::redis::Redis;
pub use self::redis::{DEFAULT_PORT, Password, Target, Trust};
use crate::metrics::StoreMetrics;

/// How long one operation may take where nothing is configured.
pub const DEFAULT_DEADLINE: Duration = Duration::from_millis(500);

/// How long a trial may take at least, connection included, while the store is known to be down.
const TRIAL: Duration = Duration::from_secs(2);

/// Which store, and its bounds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Settings {
    /// In this process, until it ends.
    Memory(Capacity),
    /// In this process and in this folder.
    Embedded(PathBuf, Capacity),
    /// On a server.
    Redis {
        /// Where it is.
        target: Target,
        /// How long one operation may take.
        deadline: Duration,
    },
}

impl Default for Settings {
    fn default() -> Self {
        Self::Memory(Capacity::default())
    }
}

/// A store cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file of an embedded one.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is said about a server makes no sense.
    #[error("the state cannot be reached like that: {0}")]
    Server(String),
}

/// The store of a process.
#[derive(Debug)]
pub struct Store {
    backing: Backing,
    breaker: Breaker,
    metrics: StoreMetrics,
}

#[derive(Debug)]
enum Backing {
    Embedded(Embedded),
    Redis { redis: Box<Redis>, deadline: Duration },
}

impl Store {
    /// Opens the store. A server need not be there yet.
    ///
    /// Must be called within a runtime, and may block for as long as it takes to read an embedded store's file.
    ///
    /// # Errors
    /// When an embedded store's file is used by somebody else or damaged, or its folder cannot be had.
    pub fn open(settings: &Settings, metrics: StoreMetrics) -> Result<Self, OpenError> {
        let backing = match settings {
            Settings::Memory(capacity) => {
                Backing::Embedded(Embedded::open(None, *capacity, metrics.clone())?)
            }
            Settings::Embedded(folder, capacity) => {
                Backing::Embedded(Embedded::open(Some(folder), *capacity, metrics.clone())?)
            }
            Settings::Redis { target, deadline } => {
                let redis =
                    Redis::new(target, *deadline).map_err(|error| OpenError::Server(error.to_string()))?;
                Backing::Redis { redis: Box::new(redis), deadline: *deadline }
            }
        };
        metrics.up(true);
        Ok(Self { backing, breaker: Breaker::default(), metrics })
    }

    /// A store in memory that nobody counts, for simulations.
    pub fn in_memory() -> Self {
        Self {
            backing: Backing::Embedded(Embedded::in_memory(Capacity::default())),
            breaker: Breaker::default(),
            metrics: StoreMetrics::detached(),
        }
    }

    /// The metrics of this store.
    pub const fn metrics(&self) -> &StoreMetrics {
        &self.metrics
    }

    /// Does one thing, at the time of day `now`.
    ///
    /// # Errors
    /// When the store failed, is known to be down, or took too long. Whether the operation happened is then unknown.
    pub async fn perform(&self, operation: &Operation, now: SystemTime) -> Result<Outcome, StoreError> {
        let began = tokio::time::Instant::now();
        let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, operation::millis);
        let done = match &self.backing {
            Backing::Embedded(embedded) => Ok(embedded.perform(operation, now)),
            Backing::Redis { redis, deadline } => self.guarded(redis, *deadline, operation, now).await,
        };
        let result = done.as_ref().map_or_else(StoreError::name, |_| "ok");
        self.metrics.operation(operation.name(), result, began.elapsed());
        done
    }

    /// Lets go of the store: an embedded one writes down what it has. What happens afterwards is kept in memory only.
    ///
    /// May block for as long as the disk takes.
    pub fn close(&self) {
        if let Backing::Embedded(embedded) = &self.backing {
            embedded.close();
        }
    }

    /// Asks the server within its deadline, unless it is known to be down.
    async fn guarded(
        &self,
        redis: &Redis,
        deadline: Duration,
        operation: &Operation,
        now: operation::Millis,
    ) -> Result<Outcome, StoreError> {
        let permit = self.breaker.permit().ok_or(StoreError::Down)?;
        let mut limit = deadline;
        if permit.is_trial() {
            redis.renew();
            // To connect takes longer than to ask.
            limit = limit.max(TRIAL);
        }
        let done = tokio::time::timeout(limit, redis.perform(operation, now)).await;
        let done = done.unwrap_or(Err(StoreError::Deadline));
        // The breaker sees to it that these are few.
        if let Err(error) = &done {
            let operation = operation.name();
            tracing::warn!(event = "store_failed", store = ?redis, operation, %error, "an operation failed");
        }
        match self.breaker.record(permit, done.is_ok()) {
            Change::None => {}
            Change::Opened => {
                self.metrics.up(false);
                let error = done.as_ref().err().map(ToString::to_string).unwrap_or_default();
                tracing::error!(
                    event = "store_down", store = ?redis, error,
                    "the store is not asked any more but for a trial now and then; what policies ask of it is an error"
                );
            }
            Change::Closed => {
                self.metrics.up(true);
                tracing::info!(event = "store_up", store = ?redis, "the store is back");
            }
        }
        done
    }
}

#[cfg(test)]
mod tests;
