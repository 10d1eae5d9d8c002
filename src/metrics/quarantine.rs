//! What lies in the quarantine, and what is done with it.

use super::families::Families;
use super::family::{Counter, Gauge, Resolved};

/// What is done with an entry.
const OPERATIONS: [&str; 4] = ["store", "finish", "withdraw", "expire"];

/// How that ends.
const OUTCOMES: [&str; 3] = ["ok", "full", "error"];

/// Whether the message of an entry was acknowledged.
const STATES: [&str; 2] = ["kept", "pending"];

/// Handles for the quarantine.
#[derive(Clone, Debug)]
pub struct QuarantineMetrics {
    operations: Resolved<(&'static str, &'static str), Counter>,
    entries: Resolved<&'static str, Gauge>,
    octets: Gauge,
}

impl QuarantineMetrics {
    /// Handles that nobody scrapes.
    pub fn detached() -> Self {
        Self::new(&Families::detached())
    }

    pub(super) fn new(families: &Families) -> Self {
        let words = OPERATIONS.into_iter().flat_map(|operation| OUTCOMES.map(|outcome| (operation, outcome)));
        Self {
            operations: Resolved::new(words, |(operation, outcome)| {
                families.quarantine_operations_total.with([operation, outcome])
            }),
            entries: Resolved::new(STATES, |state| families.quarantine_entries.with([state])),
            octets: families.quarantine_bytes.with([]),
        }
    }

    /// Something was tried: `store`, `finish`, `withdraw` or `expire`; it went `ok`, the folder was `full`, or there was an
    /// `error`.
    pub fn operation(&self, operation: &'static str, outcome: &'static str) {
        if let Some(counter) = self.operations.find((operation, outcome)) {
            counter.inc();
        }
    }

    /// So many entries are `kept` or `pending`.
    pub fn entries(&self, state: &'static str, number: u64) {
        if let Some(gauge) = self.entries.find(state) {
            gauge.set_count(number);
        }
    }

    /// So much of its disk is taken.
    pub fn octets(&self, octets: u64) {
        self.octets.set_count(octets);
    }
}
