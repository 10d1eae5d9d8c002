//! Replies that take their time, by order of policy: for how long, and for how many sessions at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// For one command at most.
const PER_COMMAND: Duration = Duration::from_secs(30);
/// For one transaction at most: less than what upstreams wait for the next command (RFC 5321 4.5.3.2.7).
const PER_TRANSACTION: Duration = Duration::from_secs(2 * 60);

/// The places for sessions whose replies take their time. All sessions share them, so that clients cannot make Gatepost keep
/// any number of connections open for nothing.
#[derive(Debug)]
pub struct Tarpits {
    most: usize,
    taken: AtomicUsize,
}

impl Tarpits {
    /// Places for `most` sessions at once.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: AtomicUsize::new(0) })
    }

    /// A place, if there is one.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Place> {
        let one_more = |taken: usize| (taken < self.most).then_some(taken.saturating_add(1));
        let entered = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        entered.is_ok().then(|| Place(Arc::clone(self)))
    }
}

/// A place among the [`Tarpits`], until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Tarpits>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long the reply takes that is to take `wanted`, after `spent` in the same transaction.
pub(super) fn bounded(wanted: Duration, spent: Duration) -> Duration {
    wanted.min(PER_COMMAND).min(PER_TRANSACTION.saturating_sub(spent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_places_and_each_is_given_back() {
        let tarpits = Tarpits::new(2);
        let (one, two) = (tarpits.enter(), tarpits.enter());
        assert!(one.is_some() && two.is_some() && tarpits.enter().is_none());
        drop(one);
        assert!(tarpits.enter().is_some());
        assert!(Tarpits::new(0).enter().is_none());
    }

    #[test]
    fn a_reply_takes_no_longer_than_allowed() {
        let seconds = Duration::from_secs;
        for (wanted, spent, time) in [(5, 0, 5), (31, 0, 30), (30, 100, 20), (30, 120, 0), (30, 500, 0)] {
            assert_eq!(bounded(seconds(wanted), seconds(spent)), seconds(time), "{wanted} after {spent}");
        }
    }
}
