//! What the resolver does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::families::Families;
use super::family::{Counter, Gauge, Histogram, Resolved};

/// The record types that Gatepost asks for.
const TYPES: [&str; 5] = ["a", "aaaa", "mx", "ptr", "txt"];

/// Where an answer came from.
const CACHES: [&str; 2] = ["hit", "miss"];

/// What the answer was.
const OUTCOMES: [&str; 5] = ["ok", "nodata", "nxdomain", "timeout", "error"];

/// Look-ups in a row that brought no answer before the resolver counts as failing: one dead zone is not that.
const FAILING: u32 = 5;

/// Handles for the resolver.
#[derive(Clone, Debug)]
pub struct DnsMetrics {
    families: Families,
    lookups: Resolved<(&'static str, &'static str, &'static str), Counter>,
    durations: Resolved<&'static str, Histogram>,
    cache_entries: Gauge,
    failing: Gauge,
    unanswered: Arc<AtomicU32>,
}

impl DnsMetrics {
    /// Handles that nobody scrapes.
    pub fn detached() -> Self {
        Self::new(&Families::detached())
    }

    pub(super) fn new(families: &Families) -> Self {
        let words = TYPES.iter().flat_map(|kind| {
            CACHES.iter().flat_map(move |cache| OUTCOMES.iter().map(move |outcome| (*kind, *cache, *outcome)))
        });
        Self {
            lookups: Resolved::new(words, |(kind, cache, outcome)| {
                families.dns_lookups_total.with([kind, cache, outcome])
            }),
            durations: Resolved::new(TYPES, |kind| families.dns_lookup_duration_seconds.with([kind])),
            cache_entries: families.dns_cache_entries.with([]),
            failing: families.dns_failing.with([]),
            unanswered: Arc::default(),
            families: families.clone(),
        }
    }

    /// A look-up ended: the record type in lower case, `hit` or `miss` of the cache, and `ok`, `nodata`, `nxdomain`, `timeout`
    /// or `error`. The time of a hit is not observed.
    pub fn lookup(&self, kind: &'static str, cache: &'static str, outcome: &'static str, elapsed: Duration) {
        match self.lookups.find((kind, cache, outcome)) {
            Some(counter) => counter.inc(),
            None => self.families.dns_lookups_total.with([kind, cache, outcome]).inc(),
        }
        if cache != "hit" {
            self.asked(kind, outcome, elapsed);
        }
    }

    fn asked(&self, kind: &'static str, outcome: &'static str, elapsed: Duration) {
        let unanswered = match outcome {
            "timeout" | "error" => self.unanswered.fetch_add(1, Ordering::Relaxed).saturating_add(1),
            _ => {
                self.unanswered.store(0, Ordering::Relaxed);
                0
            }
        };
        self.failing.set((unanswered >= FAILING).into());
        match self.durations.find(kind) {
            Some(duration) => duration.observe(elapsed),
            None => self.families.dns_lookup_duration_seconds.with([kind]).observe(elapsed),
        }
    }

    /// How many answers the caches hold.
    pub fn cache_entries(&self, entries: u64) {
        self.cache_entries.set_count(entries);
    }
}
