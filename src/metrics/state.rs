//! What policies' memory does: the store and its operations, and what greylisting said.

use std::time::Duration;

use super::families::Families;
use super::family::{Counter, Gauge, Histogram, Resolved};

/// What a store can be asked to do.
const OPERATIONS: [&str; 4] = ["rate", "greylist", "remember", "remembered"];

/// How that can end: it was done, it failed, it took too long, or the store is known to be down and was not asked.
const RESULTS: [&str; 4] = ["ok", "error", "timeout", "down"];

/// What greylisting says of a sender. In shadow nobody is told to wait: `would_wait`.
const GREYLIST: [&str; 5] = ["wait", "would_wait", "pass", "known", "error"];

/// The tables of an embedded store.
const TABLES: [&str; 3] = ["greylist", "rate", "memory"];

/// Handles for the store of policies' memory.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    families: Families,
    operations: Resolved<(&'static str, &'static str), Counter>,
    durations: Resolved<&'static str, Histogram>,
    greylist: Resolved<&'static str, Counter>,
    up: Gauge,
}

impl StoreMetrics {
    /// Handles that nobody scrapes.
    pub fn detached() -> Self {
        Self::new(&Families::detached())
    }

    pub(super) fn new(families: &Families) -> Self {
        for table in TABLES {
            families.store_records.with([table]);
            families.store_displaced_total.with([table]);
        }
        for result in ["ok", "error"] {
            families.store_flushes_total.with([result]);
        }
        let operations =
            OPERATIONS.iter().flat_map(|operation| RESULTS.iter().map(move |result| (*operation, *result)));
        Self {
            operations: Resolved::new(operations, |(operation, result)| {
                families.store_operations_total.with([operation, result])
            }),
            durations: Resolved::new(OPERATIONS, |operation| {
                families.store_operation_duration_seconds.with([operation])
            }),
            greylist: Resolved::new(GREYLIST, |result| families.greylist_total.with([result])),
            up: families.store_up.with([]),
            families: families.clone(),
        }
    }

    /// The store was asked for `operation`: `rate`, `greylist`, `remember` or `remembered`; `result` is `ok`, `error`,
    /// `timeout` or `down`. The time of an operation that was not tried is not observed.
    pub fn operation(&self, operation: &'static str, result: &'static str, elapsed: Duration) {
        if let Some(counter) = self.operations.find((operation, result)) {
            counter.inc();
        }
        if result != "down"
            && let Some(duration) = self.durations.find(operation)
        {
            duration.observe(elapsed);
        }
    }

    /// Greylisting said `wait`, `would_wait`, `pass`, `known` or `error`.
    pub fn greylist(&self, result: &'static str) {
        if let Some(counter) = self.greylist.find(result) {
            counter.inc();
        }
    }

    /// Whether the store is asked, as it was told.
    pub fn is_up(&self) -> bool {
        self.up.get() != 0
    }

    /// Whether the store is asked, or known to be down.
    pub fn up(&self, up: bool) {
        self.up.set(up.into());
    }

    /// A table of an embedded store holds so many records, of which so many more had to go for want of room.
    pub fn table(&self, table: &'static str, records: u64, displaced: u64) {
        self.families.store_records.with([table]).set_count(records);
        self.families.store_displaced_total.with([table]).add(displaced);
    }

    /// An embedded store wrote down what had changed, or could not.
    pub fn flushed(&self, worked: bool) {
        self.families.store_flushes_total.with([if worked { "ok" } else { "error" }]).inc();
    }
}
