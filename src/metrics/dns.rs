//! What the resolver does.

use std::time::Duration;

use super::families::Families;
use super::family::{Counter, Gauge, Histogram, Resolved};

/// The record types that Gatepost asks for.
const TYPES: [&str; 5] = ["a", "aaaa", "mx", "ptr", "txt"];

/// Where an answer came from.
const CACHES: [&str; 2] = ["hit", "miss"];

/// What the answer was.
const OUTCOMES: [&str; 5] = ["ok", "nodata", "nxdomain", "timeout", "error"];

/// Handles for the resolver.
#[derive(Clone, Debug)]
pub struct DnsMetrics {
    families: Families,
    lookups: Resolved<(&'static str, &'static str, &'static str), Counter>,
    durations: Resolved<&'static str, Histogram>,
    cache_entries: Gauge,
    failing: Gauge,
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
        if cache == "hit" {
            return;
        }
        match self.durations.find(kind) {
            Some(duration) => duration.observe(elapsed),
            None => self.families.dns_lookup_duration_seconds.with([kind]).observe(elapsed),
        }
    }

    /// Whether nothing is answered any more, whoever's names are asked for.
    pub fn servers_fail(&self, fail: bool) {
        self.failing.set(fail.into());
    }

    /// Whether nothing was answered any more, as it was told.
    pub fn is_failing(&self) -> bool {
        self.failing.get() != 0
    }

    /// How many answers the caches hold.
    pub fn cache_entries(&self, entries: u64) {
        self.cache_entries.set_count(entries);
    }
}
